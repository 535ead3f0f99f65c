#!/bin/bash
# fuzz.sh [TARGET...]: runs the fuzz targets (lib/json/scan_fuzz.c is "scan") with clang's libFuzzer, ASan and UBSan, and reports how many
# lines of the parsers they reached. RUNS=N executions each (default: 10000000 of the scanner, 1000000 of each other), JOBS=2 at a time.
# Seeds lie in e2e/corpus/TARGET, what is found on the way in build/fuzz/TARGET, a crash in build/fuzz/crashes.
#   --list            names the targets
#   --cover [TARGET]  only the report, of what the corpora reach
set -euo pipefail
prog=fuzz.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
cd "$top"

# Target, longest input, dictionary, and the parsers that it is for.
targets='
scan        1536 json.dict lib/json/scan.c lib/json/scan_read.c lib/json/scan_wire.c lib/json/token.c lib/json/view.c
type        1024 json.dict lib/json/type_read.c lib/json/type_json.c lib/json/type_pack.c
yaml        2048 yaml.dict lib/json/yaml.c
clock         64 -         lib/base/clock.c
flag         256 -         lib/base/flag.c
quantity      64 -         lib/base/quantity.c lib/base/base.c
base64       256 -         lib/base/base64.c
log          512 -         lib/base/log.c
config      2048 yaml.dict lib/kube/config.c lib/kube/config_tree.c lib/kube/config_user.c lib/kube/config_exec.c
serve       9216 -         lib/kube/serve.c
http_header  512 -         lib/kube/http_header.c
watch       2048 json.dict lib/kube/watch.c
discovery   2048 json.dict lib/kube/discovery.c
intent      1024 json.dict lib/kube/intent.c
gpu_names    256 -         api/gpu_names.c api/gpu_names_near.c
pcifn         96 -         node-daemon/pcifn.c
uevent       256 -         node-daemon/uevent.c
journal     2048 json.dict node-daemon/journal.c
steps        512 -         node-daemon/steps.c
holders      512 -         node-daemon/holders.c
eyes_wire   1024 json.dict node-daemon/eyes_wire.c node-daemon/reading.c
tool         512 -         node-daemon/tool.c
grpc        1024 -         node-daemon/grpc.c node-daemon/grpc_server.c node-daemon/grpc_client.c node-daemon/grpc_word.c
dpapi        512 -         node-daemon/dpapi.c
sysfs       1024 -         node-daemon/scan.c node-daemon/scan_read.c node-daemon/scan_vgpu.c node-daemon/scan_node.c node-daemon/sysfs.c
render      2048 yaml.dict cli/render.c
'

row() { awk -v n="$1" '$1 == n' <<<"$targets"; }
source_of() { git ls-files "*/$1_fuzz.c"; }

# one TARGET: runs it to its end
one() {
	local name=$1 max dict runs options=() bin=build/fuzz/$1.bin log=build/fuzz/$1.log from=$SECONDS
	read -r _ max dict _ < <(row "$name")
	runs=${RUNS:-$([ "$name" = scan ] && echo 10000000 || echo 1000000)}
	[ "$dict" = - ] || options=(-dict="e2e/corpus/$dict")
	mkdir -p "build/fuzz/$name" build/fuzz/crashes
	# shellcheck disable=SC2015
	nice -n 10 "$bin" "${options[@]}" -runs="$runs" -max_len="$max" -artifact_prefix=build/fuzz/crashes/ -timeout=20 -print_final_stats=1 -verbosity=0 \
		"build/fuzz/$name" "e2e/corpus/$name" >"$log" 2>&1 || { grep -v '^0x' "$log" | tail -40; echo "not ok - $name: build/fuzz/crashes"; return 1; }
	echo "ok - $name: $(sed -n 's/stat::number_of_executed_units: *//p' "$log") executions in $((SECONDS - from)) s"
}

# cover TARGET...: what their corpora reach, measured by clang, for all of them together
cover() {
	local name objects=() files=() data=build/cover/profile
	mkdir -p "$data"
	rm -f "$data"/*
	for name; do
		local bin=build/cover/$(source_of "$name") dirs=("e2e/corpus/$name")
		bin=${bin%.c}
		make -s V=cover CC=clang "$bin"
		[ ! -d "build/fuzz/$name" ] || dirs+=("build/fuzz/$name")
		LLVM_PROFILE_FILE="$data/$name.raw" "$bin" "${dirs[@]}" >/dev/null
		objects+=(-object "$bin")
		mapfile -t -O "${#files[@]}" files < <(row "$name" | tr -s ' ' '\n' | grep '\.c$')
	done
	llvm-profdata-14 merge -o "$data/all" "$data"/*.raw
	llvm-cov-14 report "${objects[@]:1}" -instr-profile="$data/all" "${files[@]}" |
		awk '$1 ~ /\.c$|^TOTAL$/ {printf "%-28s %5d lines %5d missed %8s\n", $1, $8, $9, $10}'
}

case ${1:-} in
-h | --help) usage && exit 0 ;;
--list) git ls-files '*_fuzz.c' | sed 's|.*/||; s|_fuzz.c||' && exit 0 ;;
--one) one "$2" && exit 0 || exit 1 ;;
esac
mapfile -t all < <(git ls-files '*_fuzz.c' | sed 's|.*/||; s|_fuzz.c||')
for name in "${all[@]}"; do
	[ -n "$(row "$name")" ] || die "the target $name has no row in e2e/fuzz.sh"
done
only=
[ "${1:-}" != --cover ] || { only=cover && shift; }
[ $# -eq 0 ] || all=("$@")
rc=0
if [ -z "$only" ]; then
	for name in "${all[@]}"; do
		make -s "build/fuzz/$name.bin" FUZZ="$(source_of "$name")"
	done
	# The scanner, which takes longest, first.
	printf '%s\n' "${all[@]}" | sort | awk '{print ($1 == "scan" ? 0 : $1 == "sysfs" || $1 == "render" ? 1 : 2), $1}' | sort -s -k1,1n | cut -d' ' -f2 |
		xargs -P "${JOBS:-2}" -n 1 bash e2e/fuzz.sh --one || rc=1
fi
cover "${all[@]}"
exit $rc
