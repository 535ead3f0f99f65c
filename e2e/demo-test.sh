#!/bin/bash
# demo-test.sh: runs `make demo` and `make demo-down` in a world of their own and proves that the second leaves nothing: no process, mount,
# network interface, claimed port or file outside the cache. /tmp, /var/tmp, /dev/shm, /run and the home folder are empty ones (a mount
# namespace), so that whatever is found there is the demo's; a process is known by a variable that all of the demo's inherit. Prints TAP.
set -uo pipefail
prog=demo-test.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1

if [ "${1:-}" != inside ]; then
	# Caches of compilers are caches; they are named before home moves.
	GOPATH=$(go env GOPATH) GOCACHE=$(go env GOCACHE)
	export GOPATH GOCACHE XDG_CACHE_HOME=${cache%/vmgpu}
	exec unshare --mount --propagation private bash "$0" inside
fi

for d in /tmp /var/tmp /dev/shm /run /mnt; do mount -t tmpfs none "$d" || exit 1; done
mkdir /mnt/home
export HOME=/mnt/home TMPDIR=/tmp VMGPU_DEMO_TEST=$$-$RANDOM
n=0 failed=0

# none TEXT COMMAND...: it prints nothing
none() {
	local text=$1 out
	shift
	out=$("$@")
	n=$((n + 1))
	[ -z "$out" ] || { echo "$out" | head -10 | sed 's/^/# /' && printf 'not ' && failed=1; }
	echo "ok $n - $text"
}

processes() {
	local file
	for file in /proc/[0-9]*/environ; do
		case $file in /proc/$$/* | /proc/$BASHPID/*) continue ;; esac
		if grep -qzx "VMGPU_DEMO_TEST=$VMGPU_DEMO_TEST" "$file" 2>/dev/null; then
			tr '\0' ' ' <"${file%environ}cmdline" 2>/dev/null && echo
		fi
	done | grep -vE '^(grep|bash .*demo-test.sh|tr) '
}
interfaces() { ip -o link | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort; }
files() { find /tmp /var/tmp /dev/shm /run /mnt -mindepth 1 ! -path /mnt/home ! -path /run/mount; } # of mount above
claims() { find "$cache/cluster/ports" -type f -exec grep -l "$cache/demo/" {} + 2>/dev/null; }
more() { comm -13 "$cache/demo-test.before" <("$1"); }

cleanup() { rm -f "$cache/demo-test.before" "$cache/demo-test.git"; }
trap cleanup EXIT
git status --porcelain --ignored >"$cache/demo-test.git"
interfaces >"$cache/demo-test.before"
mounts=$(wc -l </proc/self/mountinfo)
rc=0
make demo >&2 || rc=$?
none "make demo ends well" eval "[ $rc = 0 ] || echo code $rc"
it "while it runs its processes are found" eval '[ "$(processes | wc -l)" -ge 8 ]'
make demo-down >&2 || rc=$?
none "make demo-down ends well" eval "[ $rc = 0 ] || echo code $rc"
none "no process is left" processes
none "no mount is left" eval "[ $mounts = \$(wc -l </proc/self/mountinfo) ] || cat /proc/self/mountinfo"
none "no network interface is left" more interfaces
none "no port is claimed" claims
none "no file is left in /tmp, /var/tmp, /dev/shm, /run or the home folder" files
none "the working tree has no more files than before" eval 'git status --porcelain --ignored | grep -vxFf "$cache/demo-test.git" | grep -v "^!! build/$"'
none "of the demo's own folder in the cache nothing is left" find "$cache/demo" -mindepth 0
echo "1..$n"
exit $failed
