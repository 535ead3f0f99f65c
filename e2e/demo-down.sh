#!/bin/bash
# demo-down.sh: takes away what demo.sh started. Silent when there is nothing.
set -euo pipefail
prog=demo-down
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
# shellcheck disable=SC2154
state=$cache/demo
[ -d "$state" ] || exit 0
for f in "$state"/pid/*; do
	[ -e "$f" ] || continue
	pid=$(cat "$f")
	# Ours, and not one that got the number later: it was started in this folder's name.
	case $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null) in *"$state"*) kill "$pid" 2>/dev/null || true ;; esac
done
for f in "$state"/pid/*; do
	[ -e "$f" ] || continue
	for _ in $(seq 100); do [ -d "/proc/$(cat "$f")" ] || break; sleep 0.1; done
done
bash "$top/e2e/node/stop.sh" "$state/guest"
bash "$top/e2e/cluster/down.sh" "$state/cluster"
rm -rf "$state"
