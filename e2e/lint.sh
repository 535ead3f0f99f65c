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
shopt -s lastpipe # rule, at the end of a pipe, sets bad
for tool in ctags clang-format-16 nm; do
	command -v "$tool" >/dev/null || die "needs $tool: bash e2e/deps.sh --test"
done
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

# What is written in /sys is written by one file, in a child (node-daemon/write.h); journal_file.c writes its own file, plugin_io.c only looks at the kubelet's socket.
grep -nE 'O_(WRONLY|RDWR|CREAT)|\bopenat2?\(|SYS_openat2' node-daemon/*.c | grep -vE '^node-daemon/([a-z_]*_(test|fuzz)|sysfs|write|journal_file|plugin_io)\.c:' |
	rule "only write.c writes in /sys"

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
	# A header that only the files of one job share may gather what they all need.
	grep -qiE 'private to|shared by the files' "$h" && most=6 || most=3
	[ "$n" -le "$most" ] || echo "$h: $n includes, at most $most"
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

# Purity: a plan or a step machine calls others of its kind, memory, strings and JSON, and nothing else.
pure_objects() {
	ls build/dev/lib/kube/{kind,obj,cache,index,intent,plan,intent_rules,queue,lease,watch,event,condition}.o \
		build/dev/controller/{plan_,vm_,permit_,disk_,cluster_,inventory,child,companions,cr,devices,gpus,start_failure,volumes,device_,node_,pool_}*.o build/dev/controller/beats.o build/dev/node-daemon/{report,plan_,unit,vgpu,status,pcifn,dpapi,grpc_server,grpc_client,grpc_word,journal,books,steps,hands,offers,moves,tokens,grant,prefer,uses,uses_call,uses_units,holders,eyes_wire,reading,links,orders,fit,rivals}*.o build/dev/node-daemon/{grpc,plugin}.o 2>/dev/null | grep -v -e _test.o -e _fuzz.o -e _file.o -e _run.o
}
pure_libraries() {
	ls build/dev/lib/base/{arena,base,base64,buf,err,intern,listing,map,quantity,sha256,slab}.o build/dev/lib/json/*.o build/dev/api/*.o 2>/dev/null | grep -v -e _test.o -e _fuzz.o
}
pure='mem(chr|cmp|cpy|mem|move|set)|str[a-z]+|qsort|bsearch|snprintf|free|json_.*|__ctype_b_loc|__stack_chk_fail|clock_(micro_)?time|clock_parse|flag_duration|machine_(group|function)|abort|nghttp2_[a-z0-9_]+|protobuf_c_[a-z_]+|(deviceplugin|podresources)__[a-z_]+'
impure='json_(load|dump)(f|fd|_file|_callback)|strerror.*|strftime'
impurities() {
	local defined o
	make -s >/dev/null 2>&1 || { echo "it does not build" && return; }
	defined=$(mktemp)
	# shellcheck disable=SC2046
	nm --defined-only $(pure_objects) $(pure_libraries) | awk 'NF == 3 {print $3}' | sort -u >"$defined"
	for o in $(pure_objects); do
		nm -u "$o" | awk '{print $2}' | sort -u | comm -23 - "$defined" | grep -Evx "$pure" | sed "s|^|$o calls |"
		nm -u "$o" | awk '{print $2}' | grep -Ex "$impure" | sed "s|^|$o calls |"
	done
	rm -f "$defined"
}
impurities | rule "plans and step machines do no I/O and read no clock"

git ls-files '*.sh' | while read -r f; do bash -n "$f" 2>&1; done | rule "every script can be read"

clang-format-16 --dry-run "${product[@]}" 2>&1 | grep -E 'warning' | sed 's/: warning.*//' | cut -d: -f1 | sort | uniq -c | sort -rn | rule "formatted by clang-format"
grep -nIwE 'TODO|FIXME|XXX' "${product[@]}" | rule "no TODO left behind"
exit $bad
