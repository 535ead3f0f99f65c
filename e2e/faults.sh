#!/bin/bash
# faults.sh: every scenario that writes, once for each fault at each place (tools/README.md, "faults"). The last line
# sums the results of this commit, of all parts that were run: "N runs, N broken". Results are kept in
# $XDG_CACHE_HOME/vmgpu/faults/COMMIT, a JSON line a run.
#
# Variables:
#   SHARD=I/N       the I-th of N parts (1/1)
#   PERCENT=N       a fixed share of each scenario's runs, and those of scenarios/failed.txt (100)
#   ONLY=TEXT       only cases whose id has this part, e.g. permit-admin/kill
#   CLUSTERS=N      how many clusters share the work, 2 GB of memory each (four times as many as cores: runs mostly wait)
#   STATES=A,B      folders of clusters that run already, instead of CLUSTERS
#   LATE=A,B        more of them, each from when there is a file A.free, B.free on
#   ETCD=built|debian
#   V=dev|asan      build of the controller
#   OUT=FOLDER      for logs of what fails (build/faults)
#   RESULTS=FILE    where results are kept instead
#   LONG=0          without the runs that each scenario has one of, whatever the share: 60 s of quiet, and the Lease at 15 s
set -euo pipefail
# shellcheck disable=SC2034
prog=faults
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top"
V=${V:-dev}
trap - ERR # a broken run is a result

# up FIRST: every $(nproc)-th cluster from FIRST on, one after the other
up() {
	local i
	for ((i = $1; i < ${#states[@]}; i += $(nproc))); do NEIGHBOURS=newest bash e2e/cluster/up.sh "${states[i]}" || return; done
}

down() {
	local state
	end_children $$
	wait
	for state in ${states[@]+"${states[@]}"}; do bash e2e/cluster/down.sh "$state"; done
	rmdir "$out" 2>/dev/null || true
}

# start_clusters: as many at once as there are cores
start_clusters() {
	local i pids=()
	export MANY=1
	for ((i = 0; i < ${CLUSTERS:-$(clusters_that_fit)}; i++)); do states+=("$out/$i"); done
	for ((i = 0; i < $(nproc); i++)); do
		up "$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i"; done
}

commit=$(git rev-parse --short=12 HEAD)
[ -z "$(git status --porcelain --untracked-files=no)" ] || commit=$commit-changed-$(git diff HEAD | sha256sum | cut -c1-6)
make -s -j"$(nproc)" V="$V"
make -s build/vmgpu-e2e
out=$(mktemp -d) states=()
trap down EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
[ -n "${STATES:-}" ] || start_clusters
# shellcheck disable=SC2154
mkdir -p "$cache/faults" "${OUT:-build/faults}"
args=()
[ "${LONG:-1}" != 0 ] || args+=(--calm 0 --long-lease 0)
[ ! -e e2e/scenarios/failed.txt ] || args+=(--also e2e/scenarios/failed.txt)
tool faults --state "${STATES:-$(IFS=,; echo "${states[*]}")}" --late "${LATE:-}" --keep-namespaces --out "${OUT:-build/faults}" --results "${RESULTS:-$cache/faults/$commit}" \
	--commit "$commit" --shard "${SHARD:-1/1}" --percent "${PERCENT:-100}" --only "${ONLY:-}" ${args[@]+"${args[@]}"} \
	--controller "build/$V/vmgpu-controller --kubeconfig {kubeconfig} --worker-image=registry.example.com/worker:{minor} --metrics-bind-address=127.0.0.1:{metrics} --health-probe-bind-address=0 --lease-duration={lease} --renew-deadline={renew} --renew-period={period} --retry-period={retry}" \
	e2e/scenarios &
wait $! # in the foreground it would keep this script from ending when it is told to
