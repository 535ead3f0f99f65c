#!/bin/bash
# lint.sh: the rules of the house, checked. One line "ok - RULE" or "not ok - RULE" each, with the places that break it.
set -uo pipefail
prog=lint.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
bad=0
mapfile -t code < <(git ls-files '*.c' '*.h' | grep -v -e '^e2e/node/nvfake' -e '^e2e/bench/')
mapfile -t product < <(printf '%s\n' "${code[@]}" | grep -E '^(lib|api|controller|node-daemon|cli)/')

# rule NAME: reads the places that break it
rule() {
	local places
	places=$(cat)
	if [ -z "$places" ]; then
		echo "ok - $1"
	else
		echo "not ok - $1"
		echo "$places" | head -20 | sed 's/^/    /'
		bad=1
	fi
}

functions() { # FILE LINE LENGTH NAME of each
	ctags --c-kinds=f -x --_xformat='%F	%n	%e	%N' "${product[@]}" | awk -F'\t' '{print $1"\t"$2"\t"($3-$2+1)"\t"$4}'
}

functions | awk -F'\t' '$3 > 80 {print $1":"$2": "$4" has "$3" lines"}' | rule "no function over 80 lines"
functions | grep -v _test.c | awk -F'\t' '{print $3}' | sort -n | awk '{v[NR]=$1} END {if (v[int((NR+1)/2)] > 15) print "the median is "v[int((NR+1)/2)]" lines"}' |
	rule "functions have a median of at most 15 lines"
wc -l "${product[@]}" | awk '$2 != "total" && $1 > 800 {print $2": "$1" lines"}' | rule "no file over 800 lines"
grep -nE '\b(strcpy|strcat|sprintf|strtok|atoi|alloca|system|popen|gets)\(' "${product[@]}" | rule "no banned function"
grep -nE '^typedef struct' "${product[@]}" | rule "no typedef of a struct"
grep -nE 'char (path|url|file)[a-z_]*\[[A-Z0-9]' "${product[@]}" | rule "no fixed array for a path or URL"
for h in $(printf '%s\n' "${product[@]}" | grep '\.h$'); do
	n=$(grep -cE '^#include' "$h")
	case $h in lib/base/test.h | *_test.h) continue ;; esac
	[ "$n" -le 6 ] || echo "$h: $n includes"
done | rule "headers include little"

# Who may include whom.
layers() {
	local f
	for f in "${product[@]}"; do
		local allowed
		case $f in
		lib/base/*) allowed=base ;;
		lib/json/*) allowed='base|json' ;;
		lib/kube/*) allowed='base|json|kube' ;;
		api/*) allowed='base|json|kube|api|gen' ;;
		controller/*) allowed='base|json|kube|api|controller' ;;
		node-daemon/*) allowed='base|json|kube|api|node-daemon|gen' ;;
		cli/*) allowed='base|json|kube|api|controller|cli' ;;
		esac
		grep -nE '^#include "' "$f" | grep -vE "\"($allowed)/" | sed "s|^|$f:|"
	done
}
layers | rule "each layer includes only itself and those below"

for h in $(printf '%s\n' "${product[@]}" | grep '\.h$'); do
	echo "#include \"${h#lib/}\"" | gcc -std=gnu17 -D_GNU_SOURCE -Ilib -I. -Ibuild -fsyntax-only -Wall -xc - 2>&1 | grep -E 'error' | head -1
done | rule "each header compiles alone"

# Purity: what a plan or a step machine may call. Everything else of libc, and every function of a rim, is forbidden.
pure_objects() {
	ls build/dev/lib/kube/{kind,obj,cache,index,intent,plan,intent_rules,queue,lease,watch,event,condition}.o \
		build/dev/controller/{plan_,vm_,permit_,disk_,cluster_,inventory,child,cr,devices,gpus,volumes}*.o build/dev/node-daemon/{report,plan_,unit,vgpu,status,pcifn}*.o 2>/dev/null | grep -v -e _test.o -e _fuzz.o
}
impure='^(open|openat|read|write|close|socket|connect|send|recv|fopen|fread|fwrite|fputs|puts|printf|fprintf|vfprintf|getenv|setenv|time|clock_gettime|gettimeofday|rand|random|getrandom|fork|execve|kill|signal|poll|select|epoll_.*|ioctl|sleep|usleep|nanosleep|pthread_.*|curl_.*|http_.*|loop_.*|log_.*|process_kill|process_start|clock_boot_ms|clock_wall_us|file_.*|lws_.*|pci_(alloc|init|cleanup|scan_bus|lookup_name|load_name_list|read_.*|write_.*)|stderr|stdout|stdin|errno)$'
make -s >/dev/null && for o in $(pure_objects); do
	nm -u "$o" | awk '{print $2}' | grep -E "$impure" | sed "s|^|$o calls |"
done | rule "plans and step machines do no I/O and read no clock"

git ls-files '*.sh' | while read -r f; do bash -n "$f" 2>&1; done | rule "every script can be read"

if command -v clang-format-16 >/dev/null; then
	clang-format-16 --dry-run "${product[@]}" 2>&1 | grep -E 'warning' | sed 's/: warning.*//' | cut -d: -f1 | sort | uniq -c | sort -rn | rule "formatted by clang-format"
fi
grep -nIwE 'TODO|FIXME|XXX' "${product[@]}" | rule "no TODO left behind"
exit $bad
