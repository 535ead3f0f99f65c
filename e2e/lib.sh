# e2e/lib.sh: what the scripts of the rig share; sourced, not run. The script names itself in $prog.
# shellcheck shell=bash disable=SC2034,SC2154

cache=${XDG_CACHE_HOME:-$HOME/.cache}/vmgpu

say() { printf '%s: %s\n' "$prog" "$*" >&2; }
die() {
	say "$@"
	exit 1
}

# No script that ends at its first failed command (set -e) does so without a word.
set -E
[[ $- != *e* ]] || trap 'say "failed: ${BASH_SOURCE[0]##*/}, line $LINENO: $BASH_COMMAND"' ERR

# usage: the comment at the head of the script, up to the first line that is none
usage() { sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"; }

# arguments COUNT ARGUMENT...: ends the script if it was asked for help, or has fewer than COUNT arguments
arguments() {
	local count=$1
	shift
	case ${1:-} in -h | --help) usage && exit 0 ;; esac
	[ $# -ge "$count" ] || { usage >&2 && exit 2; }
}

# timed TEXT COMMAND...: runs it, and says how long it took when that was over two seconds
timed() {
	local text=$1 from=${EPOCHREALTIME/[.,]/} ms
	shift
	"$@"
	ms=$(((${EPOCHREALTIME/[.,]/} - from) / 1000))
	[ "$ms" -lt 2000 ] || say "$(printf '%3d.%d s  %s' $((ms / 1000)) $((ms % 1000 / 100)) "$text")"
}

# lock FILE: waits until no other process has it locked; sets lock to the descriptor, closing which frees it
lock() {
	exec {lock}>"$1"
	flock -w 2 "$lock" || { say "waiting for whoever holds $1"; flock "$lock"; }
}
unlock() { exec {lock}>&-; }

# nap SECONDS: a sleep that starts no process: it reads from who never says anything
exec {nobody}<> <(:)
nap() { read -rt "$1" -u "$nobody" || true; }

# detached ARGUMENT...: becomes the program, leading a session of its own, holding no file of the caller's
detached() {
	# shellcheck disable=SC2016
	exec setsid bash -c 'for fd in /proc/self/fd/*; do fd=${fd##*/}; [ "$fd" -le 2 ] || eval "exec $fd>&-"; done; exec "$@"' - "$@"
}

# alive PID DIR: whether this process runs, and in this working folder (so that it is ours, not one that got the number later)
# No process is started for it: some ask this many times a second.
alive() { [ -n "$1" ] && [ "/proc/$1/cwd" -ef "$2" ] && [ -e "/proc/$1/exe" ]; }

# debian DIR PACKAGE...: downloads Debian packages into DIR, as they are in the machine's sources now
debian() {
	local dir=$1 log
	shift
	mkdir -p "$dir"
	log=$(mktemp)
	if ! (cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@") >"$log" 2>&1; then
		say "apt-get download $* failed (apt-get update first?):"
		tail -5 "$log" >&2
		rm -f "$log"
		return 1
	fi
	rm -f "$log"
}

# clusters_that_fit: how many clusters may share work that mostly waits: four a core, as far as four fifths of the free memory go, and the
# inotify instances that one user may have (often 128): each takes 11, and those that other parts start for themselves 60 in all
clusters_that_fit() {
	local fit most=$((4 * $(nproc))) watches
	watches=$((($(cat /proc/sys/fs/inotify/max_user_instances) - 60) / 11))
	most=$((watches < most ? watches : most))
	fit=$(awk '/^MemAvailable:/ { print int($2 * 0.8 / 2000000) }' /proc/meminfo)
	fit=$((fit < most ? fit : most))
	echo $((fit < 1 ? 1 : fit))
}

# python3 ARGUMENT...: Debian's, which deps.sh installs; a version manager's shim starts a hundred processes first
python3() { /usr/bin/python3 "$@"; }

# tool ARGUMENT...: the test tool beside clusters that need the cores more. It leads a session, as each program of a cluster does:
# Linux shares the cores among sessions (autogroups, sched(7)), so it and its controllers do not share one with all else that runs.
tool() { GOMAXPROCS=1 setsid -w build/vmgpu-e2e "$@"; }

# end_children PID: asks all that descend from a process to end, so that nothing goes on when a script is told to
end_children() {
	# shellcheck disable=SC2046
	kill $(descendants "$1") 2>/dev/null || true
}

descendants() {
	local pid
	for pid in $(ps -o pid= --ppid "$1"); do
		echo "$pid"
		descendants "$pid"
	done
}

# within SECONDS COMMAND...: tries until it succeeds
within() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		nap 0.1
	done
}

# it TEXT COMMAND...: one behaviour as a line of TAP, after the end of what the command said if it fails. Counts in n, sets failed;
# both are the script's. Where it has a function after_failure, that says more
it() {
	local text=$1 said
	shift
	n=$((n + 1))
	said=$(mktemp)
	if ! "$@" >"$said" 2>&1; then
		failed=1
		tail -20 "$said" | sed 's/^/# /'
		! declare -F after_failure >/dev/null || after_failure
		printf 'not '
	fi
	rm -f "$said"
	echo "ok $n - $text"
}
