#!/bin/bash
# node-faults.sh: the node's fault sweep: vmgpu-node as it ships, on a machine that is played (node/played.c, tools/nodekit/faults), once for each
# fault at each place: killed, its writes refused, short or hanging, its reads untrue, the power lost, kubelet and card misbehaving. Prints
# TAP; the last line is "N passed, N failed, N skipped".
#
# Variables:
#   SHARD=I/N     the I-th of N parts (1/1)
#   PERCENT=N     a fixed share of the runs, and those of node/failed.txt (100)
#   ONLY=TEXT     only cases whose id has this part, e.g. bind/kill
#   LIST=1        only print which cases there are
#   JOBS=N        so many at once (four a core: a run mostly waits)
#   V=dev|asan    build of vmgpu-node
#   OUT=FOLDER    for logs of what fails (build/faults/node)
set -euo pipefail
prog=node-faults.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top"
V=${V:-dev}
trap - ERR # a broken run is a result
make -s -j"$(nproc)" V="$V" "build/$V/vmgpu-node"
make -s build/played.so
(cd e2e/tools/nodekit && CGO_ENABLED=0 go build -trimpath -o "$top/build/nodekit" .)
args=()
[ -z "${LIST:-}" ] || args+=(--list)
[ ! -e e2e/node/failed.txt ] || args+=(--also e2e/node/failed.txt)
exec build/nodekit faults --node "build/$V/vmgpu-node" --preload build/played.so --shard "${SHARD:-1/1}" --percent "${PERCENT:-100}" --only "${ONLY:-}" \
	--jobs "${JOBS:-$((4 * $(nproc)))}" --out "${OUT:-build/faults/node}" ${args[@]+"${args[@]}"}
