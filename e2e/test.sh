#!/bin/bash
# test.sh [PART...]: runs the tests and ends with the line "N passed, N failed, N skipped". Parts, in this order by default:
#   unit      every *_test.c with AddressSanitizer and UBSan, the plans' cases, and the corpus of each fuzz target
#   tools     the Go tests of the test tools
#   programs  what the programs say to wrong flags and files
#   data      CRDs, examples and seeds against a real API server
#   cluster   the scenarios against a real control plane with KubeVirt, on etcd 3.7; the manifests of others there, with the
#             CRDs of Cluster API and its kin in both generations
#   oldetcd   a few of them again on Debian's etcd 3.4, which refuses streamed lists
#   neighbours  a cluster to which KubeVirt, CDI and Cluster API come later
#   node      the scan in a real kernel, in a QEMU guest; the daemon there, on a cluster
# Each part leaves build/test/PART.log; a test that needs something absent says so and counts as skipped.
set -uo pipefail
prog=test.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
out=build/test
mkdir -p "$out"
passed=0 failed=0 skipped=0

# count FILE: adds the TAP lines of a part's log
count() {
	local p f s
	s=$(grep -c '^ok .*# SKIP' "$1")
	p=$(($(grep -c '^ok ' "$1") - s))
	f=$(grep -c '^not ok ' "$1")
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	printf '%-8s %4d passed, %d failed, %d skipped (%d s)\n' "$2" "$p" "$f" "$s" "$3"
	[ "$f" = 0 ] || grep -B4 '^not ok ' "$1" | grep -v '^ok '
}

# part NAME: its TAP goes to the log; a part that ends badly without a failed test is a failed test itself
part() {
	local name=$1 log=$out/$1.log from=$SECONDS rc=0
	say "part $name: log in $log"
	"part_$name" >"$log" 2>&1 || rc=$?
	if [ $rc != 0 ] && ! grep -q '^not ok ' "$log"; then
		tail -20 "$log" >&2
		echo "not ok - part $name ended with code $rc" >>"$log"
	fi
	grep -q '^\(not \)\?ok ' "$log" || echo "not ok - part $name ran no test" >>"$log"
	count "$log" "$name" $((SECONDS - from))
}

part_unit() {
	make -s -j"$(nproc)" V=asan tests fuzzers || return 1
	local t rc=0
	for t in $(make -s V=asan list-tests); do
		echo "# $t"
		"./$t" || rc=1
	done
	for t in $(make -s V=asan list-fuzzers); do
		local name=${t##*/}
		name=${name%_fuzz}
		"./$t" -t "fuzz $name" "e2e/corpus/$name" || { echo "not ok - fuzz $name: an input of e2e/corpus/$name" && rc=1; }
	done
	return $rc
}

part_tools() {
	(cd e2e/tools && go test -json ./... | python3 "$top/e2e/gotap.py")
}

part_programs() { bash e2e/programs.sh; }
part_neighbours() { bash e2e/neighbours.sh; }
part_data() { with_cluster built bash e2e/data/check.sh; }
part_cluster() { NEIGHBOURS=newest with_cluster built on_cluster; }
on_cluster() {
	local rc=0
	scenarios e2e/scenarios e2e/scenarios/violations || rc=1
	seeds || rc=1
	return $rc
}
part_oldetcd() { with_cluster debian scenarios e2e/scenarios/gpus-repeated.yaml e2e/scenarios/permit-late.yaml e2e/scenarios/halted.yaml; }
part_node() {
	local rc=0
	bash e2e/node/test.sh || rc=1
	bash e2e/node/live.sh || rc=1
	return $rc
}

# with_cluster ETCD COMMAND...: runs it with KUBECONFIG of a cluster that lives as long
with_cluster() {
	local etcd=$1 state rc=0
	shift
	state=$(mktemp -d)
	if ETCD=$etcd bash e2e/cluster/up.sh "$state"; then
		# shellcheck source=/dev/null
		(. "$state/env" && STATE=$state "$@") || rc=$?
	else
		rc=1
	fi
	bash e2e/cluster/down.sh "$state"
	return $rc
}

controller="$top/build/dev/vmgpu-controller --kubeconfig {kubeconfig} --metrics-bind-address=0 --health-probe-bind-address=0"
a_lease="--lease-duration={lease} --renew-deadline={renew} --renew-period={period} --retry-period={retry}"

scenarios() {
	make -s build/vmgpu-e2e || return 1
	build/vmgpu-e2e scenario --state "$STATE" --out "$out/scenarios" --lease 3s --controller "$controller $a_lease --worker-image=registry.example.com/worker:{minor}" "${@:-e2e/scenarios}"
}

# seeds: on a node whose GPUs vmgpu-node finds in a fake /sys
seeds() {
	make -s build/vmgpu-e2e || return 1
	python3 e2e/bench/mktree.py "$STATE/tmp/tree" --gpus 10 --ids 10de:26b9,10de:20b5,10de:2321 >/dev/null || return 1
	build/vmgpu-e2e seeds --state "$STATE" --out "$out/seeds" --generation newest --next e2e/data/crds/cozystack --types e2e/data/instancetypes/instancetypes.yaml \
		--controller "$controller" --scan "$top/build/dev/vmgpu-node --sys-root $STATE/tmp/tree/sys" --kubectl-vmgpu build/dev/kubectl-vmgpu e2e/data/seeds
}

bash e2e/deps.sh --build --test || exit 1
make -s -j"$(nproc)" || exit 1
[ $# -gt 0 ] || set -- unit tools programs data cluster oldetcd neighbours node
for p; do part "$p"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
