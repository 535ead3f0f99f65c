#!/bin/bash
# faults.sh: every scenario that writes, once for each fault at each place (tools/README.md, "faults"). The last line
# sums the results of this commit, of all parts that were run: "N runs, N broken". Results are kept in
# $XDG_CACHE_HOME/vmgpu/faults/COMMIT, a JSON line a run.
#
# Variables:
#   SHARD=I/N       the I-th of N parts (1/1)
#   PERCENT=N       a fixed share of the cases, and those of scenarios/failed.txt (100)
#   ONLY=TEXT       only cases whose id has this part, e.g. permit-admin/kill
#   CLUSTERS=N      how many clusters share the work, 1 GB of memory each (as many as cores)
#   ETCD=built|debian
#   V=dev|asan      build of the controller
#   LONG=0          without the runs that each scenario has one of: 60 s of quiet, and the Lease at 15 s
set -euo pipefail
# shellcheck disable=SC2034
prog=faults
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top"
V=${V:-dev} clusters=${CLUSTERS:-$(nproc)}
trap - ERR # a broken run is a result
commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || commit=$commit-changed-$(git diff HEAD | sha256sum | cut -c1-6)
make -s -j"$(nproc)" V="$V"
make -s build/vmgpu-e2e
out=$(mktemp -d)
states=()
down() {
	local state
	for state in ${states[@]+"${states[@]}"}; do bash e2e/cluster/down.sh "$state"; done
	rmdir "$out" 2>/dev/null || true
}
trap down EXIT
for ((i = 0; i < clusters; i++)); do
	states+=("$out/$i")
	NEIGHBOURS=newest bash e2e/cluster/up.sh "$out/$i"
done
# shellcheck disable=SC2154
mkdir -p "$cache/faults" build/faults
args=()
[ "${LONG:-1}" != 0 ] || args+=(--calm 0 --long-lease 0)
[ ! -e e2e/scenarios/failed.txt ] || args+=(--also e2e/scenarios/failed.txt)
build/vmgpu-e2e faults --state "$(IFS=,; echo "${states[*]}")" --keep-namespaces --out build/faults --results "$cache/faults/$commit" \
	--commit "$commit" --shard "${SHARD:-1/1}" --percent "${PERCENT:-100}" --only "${ONLY:-}" ${args[@]+"${args[@]}"} \
	--controller "build/$V/vmgpu-controller --kubeconfig {kubeconfig} --worker-image=registry.example.com/worker:{minor} --metrics-bind-address=127.0.0.1:{metrics} --health-probe-bind-address=0 --lease-duration={lease} --renew-deadline={renew} --renew-period={period} --retry-period={retry}" \
	e2e/scenarios
