#!/bin/bash
# stop.sh STATE: ends the guest that run.sh booted in STATE and removes STATE. Silent if there is no such folder. A Node that it was
# (join.sh) goes with its pods. With --keep before STATE the folder stays; with --off the Node does, too: only its power is gone (run.sh --again).
set -euo pipefail
prog=stop.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"

# leave: nobody else would ever take them away. The cluster may have gone before
leave() {
	local cluster
	cluster=$(cat "$1/cluster" 2>/dev/null) || return 0
	[ -e "$cluster/env" ] || return 0
	# shellcheck source=/dev/null
	. "$cluster/env"
	kubectl delete pods -A --field-selector "spec.nodeName=$(cat "$1/node")" --force --grace-period=0 >/dev/null 2>>"$cluster/log/kubectl" || true
	kubectl delete node "$(cat "$1/node")" --ignore-not-found >/dev/null 2>>"$cluster/log/kubectl" || true
}

main() {
	local state pid keep=''
	arguments 1 "$@"
	case $1 in --keep | --off) keep=$1 && shift ;; esac
	[ -d "$1" ] || return 0
	state=$(cd "$1" && pwd -P)
	[ -e "$state/.vmgpu-guest" ] || die "$state is not a guest's folder"
	pid=$(cat "$state/qemu.pid" 2>/dev/null || true)
	if alive "$pid" "$state"; then
		kill -KILL "$pid"
		while alive "$pid" "$state"; do sleep 0.02; done
	fi
	[ "$keep" != --off ] || return 0
	leave "$state"
	if [ -n "$keep" ]; then touch "$state/.failed"; else rm -rf "$state"; fi
}

main "$@"
