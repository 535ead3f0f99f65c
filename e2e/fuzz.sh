#!/bin/bash
# fuzz.sh [TARGET...]: runs the fuzz targets (lib/json/scan_fuzz.c is "scan") with clang's libFuzzer, ASan and UBSan.
# RUNS=N executions each (default 1000000); corpora lie in e2e/corpus/TARGET and grow in build/fuzz. --list names the targets.
set -euo pipefail
prog=fuzz.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in
-h | --help) usage && exit 0 ;;
--list) cd "$top" && git ls-files '*_fuzz.c' | sed 's|.*/||; s|_fuzz.c||' && exit 0 ;;
esac
cd "$top"
mapfile -t all < <(git ls-files '*_fuzz.c')
rc=0
for src in "${all[@]}"; do
	name=$(basename "$src" _fuzz.c)
	[ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
	mkdir -p "build/fuzz/$name" "e2e/corpus/$name"
	make -s "build/fuzz/$name.bin" FUZZ="$src"
	options=()
	[[ $src != lib/json/* ]] || options=(-dict=e2e/corpus/json.dict)
	timed "$name" "build/fuzz/$name.bin" "${options[@]}" -runs="${RUNS:-1000000}" -max_len="${MAX_LEN:-4096}" -print_final_stats=1 -verbosity=0 \
		"build/fuzz/$name" "e2e/corpus/$name" >"build/fuzz/$name.log" 2>&1 || { tail -20 "build/fuzz/$name.log"; echo "not ok - $name"; rc=1; continue; }
	echo "ok - $name: $(sed -n 's/stat::number_of_executed_units: *//p' "build/fuzz/$name.log") executions"
done
exit $rc
