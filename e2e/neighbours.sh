#!/bin/bash
# neighbours.sh: the controller on a cluster that has nothing but our kinds; KubeVirt's, CDI's and Cluster API's come one after the
# other, and two KubeVirt CRs; in the end KubeVirt's kinds go again. What is missing is said once, the rest works, what comes is
# noticed. The kinds are all that comes: nobody serves them here. Prints TAP.
set -uo pipefail
prog=neighbours.sh
top=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
work=$(mktemp -d)
n=0 failed=0 pid=''

clean() {
	[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null
	bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() { tail -3 "$work/log" | sed 's/^/# log: /'; }
soon() { within 30 "$@"; }

k() { kubectl -n neighbours "$@"; }
ready() { # KIND NAME REASON [TEXT]: its condition Ready is False with this reason, and a message that has the text
	k get "$1" "$2" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason} {.message}{end}' | grep -E "^False $3 .*${4:-}"
}
there() { k get "$@" -o name; }
gone() { ! k get "$@" -o name; }
logged() { [ "$(grep -cE "$2" "$work/log")" = "$1" ]; } # TIMES PATTERN

# crds FOLDER NAME...: those kinds' CRDs
crds() {
	local folder=$1 args=() name
	shift
	for name; do args+=(-f "$(find "$folder" -name "$name.yaml" | head -1)"); done
	kubectl apply --server-side "${args[@]}" >/dev/null && kubectl wait --for=condition=Established crd "$@" --timeout=30s >/dev/null
}

kubevirt_crds() {
	local all=$work/crds
	mkdir -p "$all"
	"$(bash e2e/cluster/build.sh kubevirt)/objects" crds | python3 -c '
import json, sys
for line in sys.stdin:
    o = json.loads(line)
    open("%s/%s.yaml" % (sys.argv[1], o["metadata"]["name"]), "w").write(line)' "$all"
	crds "$all" {virtualmachines,virtualmachineinstances,kubevirts}.kubevirt.io virtualmachinecluster{instancetypes,preferences}.instancetype.kubevirt.io
}

deployed() { # NAMESPACE...: a KubeVirt CR that its operator has deployed
	local ns
	for ns; do
		sed "s/namespace: kubevirt/namespace: $ns/" e2e/cluster/kubevirt/kubevirt.yaml >"$work/cr"
		kubectl create namespace "$ns" >/dev/null && kubectl create -f "$work/cr" >/dev/null
	done
	for ns; do kubectl -n "$ns" patch kubevirt kubevirt --subresource=status --type=merge -p '{"status": {"phase": "Deployed"}}' >/dev/null; done
}

begin() {
	WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || return 1
	# shellcheck source=/dev/null
	. "$work/cluster/env"
	kubectl create namespace neighbours >/dev/null && k create -f - >/dev/null <<'Y' || return 1
apiVersion: v1
kind: List
items:
- {apiVersion: apps.cozystack.io/v1alpha1, kind: VMInstance, metadata: {name: gpu}, spec: {gpus: [{name: nvidia.com/AD102GL_L40S}]}}
- {apiVersion: apps.cozystack.io/v1alpha1, kind: VMDisk, metadata: {name: disk}, spec: {source: {http: {url: "https://example.com/x"}}}}
- {apiVersion: apps.cozystack.io/v1alpha1, kind: Kubernetes, metadata: {name: tenant}, spec: {nodeGroups: {workers: {minReplicas: 1}}}}
Y
	build/dev/vmgpu-controller --kubeconfig "$KUBECONFIG" --leader-elect=false --metrics-bind-address=0 --health-probe-bind-address=0 --worker-image=worker 2>"$work/log" &
	pid=$!
}

ends() {
	local rc=0
	kill -TERM "$pid"
	wait "$pid" || rc=$?
	pid=''
	[ $rc = 0 ]
}

begin || { echo "not ok 1 - a cluster without neighbours" && exit 1; }
it "without KubeVirt a VMInstance says so" soon ready vminstance gpu KubeVirtMissing kubevirt.io
it "without CDI a VMDisk says so" soon ready vmdisk disk CDIMissing cdi.kubevirt.io
it "without Cluster API a Kubernetes says what it lacks first" soon ready kubernetes tenant KubeVirtMissing
it "each API that is missing is logged once" soon eval '(for g in kubevirt.io instancetype.kubevirt.io cdi.kubevirt.io cluster.x-k8s.io; do logged 1 "API not served.*\"group\":\"$g\"" || exit 1; done)'
kubevirt_crds
kubectl create -f e2e/data/instancetypes >/dev/null
it "KubeVirt's kinds are noticed; then its CR is missed" soon ready vminstance gpu KubeVirtMissing 'no KubeVirt CR'
it "what needs no GPU is made meanwhile" soon there service vm-instance-gpu
deployed kubevirt other
it "of two KubeVirt CRs both are named" soon ready vminstance gpu SeveralKubeVirts 'kubevirt/kubevirt.*other/kubevirt|other/kubevirt.*kubevirt/kubevirt'
it "neither is written" soon eval '[ -z "$(kubectl get kubevirt -A -o "jsonpath={.items[*].metadata.annotations.vmgpu\.io/permitted-host-devices}")" ]'
kubectl -n other delete kubevirt kubevirt --wait=false >/dev/null
it "with one of them the VM is made" soon there virtualmachine.kubevirt.io vm-instance-gpu
crds e2e/data/crds/cdi-v1.66.0 datavolumes.cdi.kubevirt.io
it "CDI is noticed: the disk's DataVolume is made" soon there datavolume vm-disk-disk
it "a Kubernetes now misses Cluster API" soon ready kubernetes tenant ClusterAPIMissing cluster.x-k8s.io
crds e2e/data/crds/newest {clusters,machinedeployments,machinehealthchecks,machinesets,machines}.cluster.x-k8s.io \
	kubevirt{clusters,machinetemplates}.infrastructure.cluster.x-k8s.io kubeadmconfigtemplates.bootstrap.cluster.x-k8s.io \
	kamajicontrolplanes.controlplane.cluster.x-k8s.io
it "Cluster API is noticed: the Cluster is made" soon there cluster.cluster.x-k8s.io kubernetes-tenant
it "nothing was said twice" soon eval '[ -z "$(sed "s/\"ts\":[^,]*,//" "$work/log" | grep "not served" | sort | uniq -d)" ]'
kubectl delete crd virtualmachines.kubevirt.io --wait=false >/dev/null
it "a kind that goes again is noticed too" soon ready vminstance gpu KubeVirtMissing kubevirt.io
it "the controller has run all the time and ends well" soon ends
echo "1..$n"
exit $failed
