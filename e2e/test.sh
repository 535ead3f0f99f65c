#!/bin/bash
# test.sh [PART...]: runs the tests and ends with the line "N passed, N failed, N skipped". All parts by default:
#   unit      every *_test.c with AddressSanitizer and UBSan, the plans' cases, and the corpus of each fuzz target
#   tools     the Go tests of the test tools
#   programs  what the programs say to wrong flags and files; that each test of e2e/catalogue.tsv is there, and what is made from the chart is current
#   data      CRDs, examples and seeds against a real API server
#   seeds     the manifests of others there, with the CRDs of Cluster API and its kin in both generations
#   cluster   the scenarios against a real control plane with KubeVirt, on etcd 3.7
#   faults    a fixed thirty-third of the fault sweep, with each of its scenarios without a fault, and each case that ever failed
#   played    a fixed hundredth of the node's fault sweep: vmgpu-node on a machine that is played; and each case that ever failed
#   kubelet   the rig of a real kubelet with a played runtime
#   supply    GPUs given to that kubelet, and taken back
#   oldetcd   some scenarios on Debian's etcd 3.4, which refuses streamed lists; data, seeds, kubelet, supply and join run there too, and only there
#   chart     the Helm chart: its values, rights and policies; installed, upgraded and taken away
#   neighbours  a cluster to which KubeVirt, CDI and Cluster API come later
#   node      the scan in a real kernel, in a QEMU guest; the daemon there, on a cluster
#   hands     the controller's orders carried out there: cards brought to vfio-pci and back
#   eyes      who uses cards there, seen by a process that has the rights for it, for one that has none
#   given     GPUs given to virtual machines, and taken back: vmgpu-node as a pod on a guest that is a node, with a real kubelet and containerd
# and, since they are long, only when they are named:
#   cut       virtual functions and vGPUs made in the guest as ordered
#   pool      cards taken, moved and cut there by GPUPools
#   demand    vGPUs made there as pods ask
#   vfs       virtual functions there that are GPUs by themselves, as Intel's and AMD's
#   fit       how many more vGPUs a card is said to take, against what the kernel there takes: 1,250 random steps
#   vgpus     seed 003 there from the first click to the reboot, with KubeVirt, on both generations of NVIDIA's driver
#   power     vmgpu-node there killed, and the guest without power, at each of its writes
#   pairs     vmgpu-controller and vmgpu-node there killed on one way, each at one of its writes
#   join      the rig that given stands on: a QEMU guest as a node of a cluster, in which launchers of virtual machines run; nothing of vmgpu
# Most of them wait most of the time, so several run beside each other, each in its lane: a line of output when one ends.
# Each leaves build/test/PART.log; a test that needs something absent says so and counts as skipped.
# With no PART named, one that passed before is not run again while all files that it uses are as they were (remember.sh); what it said then counts,
# and the line says from when it is. A part that is named is run.
#
# Variables:
#   FRESH=1     run all of them, whatever passed before
#   CLUSTERS=N  how many clusters data, seeds, kubelet, supply, join, oldetcd, cluster and faults share, 2 GB of memory each (four a core)
set -uo pipefail
prog=test.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
# shellcheck source-path=SCRIPTDIR source=remember.sh
. "$top/e2e/remember.sh"
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
	printf '%-8s %4d passed, %d failed, %d skipped (%s)\n' "$2" "$p" "$f" "$s" "$3"
	[ "$f" = 0 ] || grep -B4 -A4 '^not ok ' "$1" | grep -v '^ok '
}

# part NAME: its TAP goes to the log; a part that ends badly without a failed test is a failed test itself
part() {
	local name=$1 log=$out/$1.log from=$SECONDS rc=0
	"part_$name" >"$log" 2>&1 || rc=$?
	if [ $rc != 0 ] && ! grep -q '^not ok ' "$log"; then
		tail -20 "$log" >&2
		echo "not ok - part $name ended with code $rc" >>"$log"
	fi
	grep -q '^\(not \)\?ok ' "$log" || echo "not ok - part $name ran no test" >>"$log"
	remember "$name" "$log"
	echo "$name $((SECONDS - from))" >&"$ended"
}

# lane PART...: those of them that are wanted, one after the other
lane() {
	local p
	for p; do
		! part_is_wanted "$p" || part "$p"
	done
}

part_is_wanted() { [[ " $wanted " == *" $1 "* ]]; }

# Three at a time: some of them wait for most of their time.
part_unit() {
	local logs=$out/unit
	make -s -j"$(nproc)" V=asan tests fuzzers || return 1
	rm -rf "$logs" && mkdir "$logs"
	export -f unit_program
	{ make -s V=asan list-tests && make -s V=asan list-fuzzers; } | xargs -n 1 | xargs -P 3 -I {} bash -c 'unit_program "$@"' - {} "$logs"
	cat "$logs"/*
	! grep -q '^not ok ' "$logs"/*
}

unit_program() { # PROGRAM FOLDER: what it says goes to a file there
	local name=${1##*/} log=$2/${1//\//_} rc=0 args=()
	[ "${name%_fuzz}" = "$name" ] || args=(-t "fuzz ${name%_fuzz}" "e2e/corpus/${name%_fuzz}")
	echo "# $1" >"$log"
	"$1" ${args[@]+"${args[@]}"} >>"$log" 2>&1 || rc=$?
	[ $rc = 0 ] || grep -q '^not ok ' "$log" || echo "not ok - $1 ends with code $rc" >>"$log"
}

part_tools() {
	(cd e2e/tools && go test -json ./... | python3 "$top/e2e/gotap.py")
}

part_programs() {
	local rc=0
	bash e2e/programs.sh || rc=1
	python3 e2e/catalogue.py --check || rc=1
	bash manifests/make.sh --check || { rc=1 && printf 'not '; }
	echo "ok - install.yaml and the chart's table of values are what the chart makes"
	return $rc
}
part_chart() { bash e2e/chart.sh; }
part_neighbours() { bash e2e/neighbours.sh; }
part_data() { on 0 bash e2e/data/check.sh; }
part_seeds() { on 0 seeds; }
part_kubelet() {
	local rc=0
	(cd e2e/tools/nodekit && CGO_ENABLED=0 go test -trimpath -json ./... | python3 "$top/e2e/gotap.py") || rc=1
	on 0 kubelet || rc=1
	return $rc
}
kubelet() { STATE=$STATE bash e2e/cluster/kubelet-test.sh; }
part_supply() { on 0 supply; }
supply() { STATE=$STATE bash e2e/supply.sh; }
part_join() { on 0 joined; }
joined() { STATE=$STATE bash e2e/node/join-test.sh; }
part_oldetcd() {
	local rc=0
	LEASE=15s on 0 scenarios e2e/scenarios/{gpus-repeated,permit-late,watch-garbage}.yaml || rc=1
	bash e2e/cluster/down.sh "$rig/0" # nobody needs it any more
	return $rc
}
part_cluster() {
	local i rc=0 states=''
	for ((i = 1; i <= for_cluster; i++)); do
		up $i || rc=1
		states=$states${states:+,}$rig/$i
	done
	# shellcheck disable=SC2046
	[ $rc != 0 ] || STATE=$states scenarios --free $(for_this_part) e2e/scenarios/violations || rc=1
	for ((i = 1; i <= for_cluster; i++)); do touch "$rig/$i.free"; done # where no scenario came to run, too
	return $rc
}

# for_this_part: the scenarios that faults does not run from end to end, without a fault, before it runs them with one
for_this_part() { if part_is_wanted faults; then grep -lE '^noSweep: true|^ *undisturbed: true' e2e/scenarios/*.yaml; else echo e2e/scenarios; fi; }

# Begins on the first cluster that is free; the others join when they are.
part_faults() {
	local i first='' late='' rc=0 dead
	rm -f "$out/faults.results"
	until [ -n "$first" ]; do
		dead=0
		for ((i = clusters - 1; i > 0; i--)); do
			[ ! -e "$rig/$i.failed" ] || dead=$((dead + 1))
			[ ! -e "$rig/$i.free" ] || [ ! -e "$rig/$i.up" ] || first=$i
		done
		[ $dead -lt $((clusters - 1)) ] || return 1
		nap 0.5
	done
	for ((i = 1; i < clusters; i++)); do [ $i = "$first" ] || late=$late${late:+,}$rig/$i; done
	PERCENT=3 LONG=0 STATES=$rig/$first LATE=$late OUT=$out/faults RESULTS=$out/faults.results bash e2e/faults.sh || rc=1
	return $rc
}
part_played() { PERCENT=1 JOBS=$((2 * $(nproc))) OUT=$out/played bash e2e/node-faults.sh; }
part_power() { bash e2e/node/faults.sh; }
part_pairs() { bash e2e/node/pairs.sh; }
part_node() { bash e2e/node/test.sh; }
part_hands() { bash e2e/node/hands.sh; }
part_eyes() { bash e2e/node/eyes.sh; }
part_given() { bash e2e/node/given.sh; }
part_cut() { bash e2e/node/cut.sh; }
part_vfs() { bash e2e/node/vfs.sh; }
part_pool() { bash e2e/node/pool.sh; }
part_demand() { bash e2e/node/demand.sh; }
part_fit() { bash e2e/node/fit.sh; }
part_vgpus() { bash e2e/node/vgpus.sh; }

# --- the clusters: the first, on Debian's etcd, is for data, seeds, kubelet, supply, join and oldetcd, the others for cluster and faults ------------

# rig FROM TO STEP: starts those clusters, one after the other
rig() {
	local i
	for ((i = $1; i < $2; i += $3)); do
		ETCD=$([ $i = 0 ] && echo debian || echo built) NEIGHBOURS=newest bash e2e/cluster/up.sh "$rig/$i" && touch "$rig/$i.up" || touch "$rig/$i.failed"
		[ $i -le $for_cluster ] || touch "$rig/$i.free"
	done
}

# up INDEX: waits until that cluster is there
up() {
	until [ -e "$rig/$1.up" ]; do
		[ ! -e "$rig/$1.failed" ] || return 1
		nap 0.2
	done
}

on() { # INDEX COMMAND...
	up "$1" || return 1
	# shellcheck source=/dev/null
	(. "$rig/$1/env" && STATE=$rig/$1 && shift && "$@")
}

down() {
	local state
	end_children $$
	wait
	for state in "$rig"/*/; do bash e2e/cluster/down.sh "${state%/}"; done
	rm -rf "$rig"
}

controller="$top/build/dev/vmgpu-controller --kubeconfig {kubeconfig} --metrics-bind-address=0 --health-probe-bind-address=0"
a_lease="--lease-duration={lease} --renew-deadline={renew} --renew-period={period} --retry-period={retry}"

scenarios() {
	tool scenario --state "$STATE" --out "$out/scenarios" --lease "${LEASE:-12s}" --controller "$controller $a_lease --worker-image=registry.example.com/worker:{minor}" "${@:-e2e/scenarios}"
}

# seeds: on a node whose GPUs vmgpu-node finds in a fake /sys
seeds() {
	python3 e2e/bench/mktree.py "$STATE/tmp/tree" --gpus 10 --ids 10de:26b9,10de:20b5,10de:2321 >/dev/null || return 1
	tool seeds --state "$STATE" --out "$out/seeds" --generation newest --next e2e/data/crds/cozystack --types e2e/data/instancetypes/instancetypes.yaml \
		--controller "$controller" --scan "$top/build/dev/vmgpu-node --sys-root $STATE/tmp/tree/sys --state-dir $STATE/tmp/state" --kubectl-vmgpu build/dev/kubectl-vmgpu e2e/data/seeds
}

# recall_parts PART...: counts those that need not run; the others are to_run
recall_parts() {
	local name
	for name; do
		if recall "$name" "$out/$name.log"; then
			count "$out/$name.log" "$name" "as on $(date -r "$out/$name.log" '+%F %R'); nothing that it uses has changed"
		else
			to_run+=("$name")
		fi
	done
}

all=(unit tools programs data seeds kubelet supply cluster faults played oldetcd neighbours chart node hands eyes given)
named=$#
[ $# -gt 0 ] || set -- "${all[@]}"
for p; do
	declare -F "part_$p" >/dev/null || { say "$p is no part; there are ${all[*]} cut pool demand vfs fit vgpus power pairs join" && exit 2; }
done

bash e2e/deps.sh --build --test || exit 1
make -s -j"$(nproc)" || exit 1
make -s build/vmgpu-e2e || exit 1
rig=$(mktemp -d)
looked_at=$rig/files
look_at_files "$looked_at" || looked_at=''
for p; do rm -f "$out/$p.log"; done
if [ "$named" = 0 ] && [ -z "${FRESH:-}" ]; then
	to_run=()
	recall_parts "$@"
	set -- ${to_run[@]+"${to_run[@]}"}
fi
wanted="$*"
export MANY=1
# Each takes 8 s of CPU to start and a twenty-fifth of a core at rest; four a core keep the cores busy. The first is for
# data, seeds, kubelet, supply, join and oldetcd. Half of the others, rounded up, are cluster's and join faults when they are free; the rest is its own from the beginning.
clusters=0 for_cluster=0
case " $wanted " in *\ data\ * | *\ seeds\ * | *\ kubelet\ * | *\ supply\ * | *\ join\ * | *\ cluster\ * | *\ faults\ * | *\ oldetcd\ *) clusters=${CLUSTERS:-$(clusters_that_fit)} ;; esac
[ "$clusters" != 1 ] || clusters=2
! part_is_wanted cluster || for_cluster=$((clusters / 2))
part_is_wanted faults || [ "$clusters" = 0 ] || clusters=$((for_cluster + 1))
[ -z "$wanted" ] || say "logs in $out; $clusters clusters: ${wanted// /, }"
trap down EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
mkfifo "$rig/ended"
exec {ended}<>"$rig/ended"
for ((i = 0; i < $(nproc); i++)); do rig $i $clusters "$(nproc)" >"$out/rig.$i.log" 2>&1 & done
lane data seeds kubelet supply join oldetcd unit & # unit when clusters leave the cores some of the time; not niced, since some of it has times to keep
lane cluster node tools programs neighbours chart demand fit cut vfs pool power pairs &
{ # guests when the clusters have let the cores go: they have times to keep
	lane faults played
	lane hands eyes &
	lane given vgpus
	wait
} &
for p; do
	read -r name seconds <&"$ended"
	count "$out/$name.log" "$name" "$seconds s"
done
wait
say "$SECONDS s in all"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
