#!/bin/bash
# down.sh STATE: stops what up.sh started in STATE and removes STATE. Silent if there is no such folder.
set -euo pipefail
prog=down.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$here/lib.sh"

main() {
	local state
	arguments 1 "$@"
	[ -d "$1" ] || return 0
	state=$(cd "$1" && pwd -P)
	[ -e "$state/.vmgpu-cluster" ] || die "$state is not a cluster's folder"
	stop_cluster "$state"
	release_ports "$state"
	rm -rf "$state"
}

main "$@"
