#!/bin/bash
# join-test.sh: the guest as a node of a cluster (join.sh) holds: its kubelet and containerd run pods, hand out what a device plugin lists, and
# run the launchers of virtual machines, which virt-controller makes. One launcher opens a card that is on vfio-pci. The plugin is nodekit's:
# nothing of vmgpu is tested. Prints TAP.
#
# Variables:
#   STATE=FOLDER  a cluster that runs, with KubeVirt, and has no nodes; default: one of its own
set -uo pipefail
prog=join-test.sh
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
work=$(mktemp -d)
state=${STATE:-$work/cluster} g=$work/guest resource=nvidia.com/GA100_A100_PCIE_80GB card=0000:02:00.0
n=0 failed=0

clean() {
	bash e2e/node/stop.sh "$g"
	if [ -n "${STATE:-}" ]; then permit '{}' >/dev/null 2>&1; else bash e2e/cluster/down.sh "$state"; fi
	rm -rf "$work"
}
trap clean EXIT

after_failure() { guest 'cd /tmp && tail -n 3 containerd.log kubelet.log handler.log plugin*.log' 2>/dev/null | cut -c1-300 | sed 's/^/# /'; }
guest() { bash e2e/node/guest.sh "$g" sh -c "$*"; }
soon() { within 90 "$@"; }
node() { kubectl get node gpu-node -o "jsonpath=$1"; }

mounts() { cut -d' ' -f5- /proc/self/mountinfo | sort; }
kubelet_url() { echo "https://127.0.0.1:$(($(cat "$state/port") + 7))"; } # through QEMU
kubelet_listens() {
	curl -sk "$(kubelet_url)" >/dev/null
	[ $? != 7 ]
}
is_real() { [[ "$(node '{.status.nodeInfo.kubeletVersion} {.status.nodeInfo.containerRuntimeVersion}')" == "v1.36.3 containerd://1.6."* ]]; }

# ours: the processes that work in the guest's folder
ours() { find /proc -maxdepth 2 -name cwd -lname "$g*" 2>/dev/null; }

# plugin LOG [--device HOST:CONTAINER]... RESOURCE ID...: nodekit's, in the guest
plugin() {
	local log=$1
	shift
	guest "(setsid $g/kubelet/bin/nodekit plugin $* >/tmp/plugin-$log.log 2>&1 </dev/null &)"
}
counts() { [ "$(node "{.status.allocatable.${1//./\\.}}")" = "$2" ]; } # RESOURCE NUMBER

pod() { # NAME COMMAND [LIMITS]
	kubectl create -f - >/dev/null <<Y
apiVersion: v1
kind: Pod
metadata: {name: $1}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 1
  containers: [{name: main, image: "busybox:local", imagePullPolicy: Never, command: [sh, -c, '$2; trap "exit 0" TERM; while sleep 1; do :; done'], resources: {limits: {${3:-}}}}]
Y
}
phase() { [ "$(kubectl get "$1" -o 'jsonpath={.status.phase}')" = "$2" ]; }
gone() { ! kubectl get "$@" -o name 2>/dev/null | grep -q .; }
says() { kubectl logs "${@:2}" | grep -E "$1"; } # EXPRESSION ARGUMENT...: of kubectl logs

# held EXPECTED: what pod-resources says, as POD=ID words in order
held() {
	[ "$(guest "$g/kubelet/bin/nodekit resources" | python3 -c '
import json, sys
pods = json.load(sys.stdin).get("podResources", [])
print(*sorted("%s=%s" % (p["name"], i) for p in pods for c in p["containers"] for d in c.get("devices", []) for i in d["deviceIds"] if d["resourceName"] == "test.vmgpu.io/card"))')" = "$1" ]
}

vm() { # NAME [DEVICES]
	kubectl create -f - >/dev/null <<Y
apiVersion: kubevirt.io/v1
kind: VirtualMachine
metadata: {name: $1}
spec: {runStrategy: Always, template: {spec: {evictionStrategy: None, domain: {memory: {guest: 64Mi}, devices: {${2:-}}}}}}
Y
}
launcher() { kubectl get pod -l "vm.kubevirt.io/name=$1" -o name; } # VM
runs() { [ "$(kubectl get vm "$1" -o 'jsonpath={.status.printableStatus}')" = Running ] && phase "vmi/$1" Running; }
vm_gone() { gone vm "$1" && gone vmi "$1" && gone pod -l "vm.kubevirt.io/name=$1"; }
permit() { kubectl -n kubevirt patch kubevirt kubevirt --type=json -p "[{\"op\": \"add\", \"path\": \"/spec/configuration/permittedHostDevices\", \"value\": $1}]"; }

# bind: the card comes to vfio-pci, as vmgpu-node would bring it there; group is its IOMMU group
bind() {
	guest "d=/sys/bus/pci/devices/$card; echo vfio-pci >\$d/driver_override; [ ! -e \$d/driver ] || echo $card >\$d/driver/unbind; echo $card >/sys/bus/pci/drivers_probe" &&
		group=$(basename "$(guest "readlink /sys/bus/pci/devices/$card/iommu_group")") && guest "[ -c /dev/vfio/$group ]"
}

pods_of_all_kinds() {
	plugin card --device /dev/null:/dev/vfio/7 test.vmgpu.io/card c0 c1
	pod a 'echo "this is $(cat /proc/sys/kernel/osrelease)"'
	vm plain
	it "a pod with an image of ours runs" soon phase pod/a Running
	it "its log can be read, and it runs on the guest's kernel" soon says "^this is $(guest uname -r)$" a
	it "who enters it is where it is" eval '[ "$(kubectl exec a -- ls -d /bin /init 2>/dev/null)" = /bin ]'
	it "the Node counts what a device plugin in the guest lists" soon counts test.vmgpu.io/card 2
	pod b 'env; ls /dev/vfio' 'test.vmgpu.io/card: 2'
	it "a virtual machine comes up, by virt-controller and a launcher in the guest" soon runs plain
	it "its launcher ran as virt-launcher does, and without a device" eval 'says "^waits to be told" "$(launcher plain)" -c compute && [ "$(kubectl exec "$(launcher plain)" -c compute -- id -u)" = 107 ]'
	it "a pod that asks for devices runs" soon phase pod/b Running
	it "it got the plugin's variable" soon says '^PCI_RESOURCE_TEST_VMGPU_IO_CARD=c[01],c[01]$' b
	it "and the device node" says '^7$' b
	it "pod-resources names the pod and the devices" held 'b=c0 b=c1'
	kubectl delete vm plain --wait=false >/dev/null
	kubectl delete pod a b --wait=false >/dev/null
}

a_card() {
	it "a card is brought to vfio-pci" bind
	plugin vfio --device /dev/vfio/vfio:/dev/vfio/vfio --device "/dev/vfio/$group:/dev/vfio/$group" $resource $card
	permit "{\"pciHostDevices\": [{\"pciVendorSelector\": \"10DE:20B5\", \"resourceName\": \"$resource\", \"externalResourceProvider\": true}]}" >/dev/null
	vm gpu "gpus: [{name: gpu1, deviceName: $resource}], logSerialConsole: false" # without the sidecar for it
	it "the virtual machine is deleted: its launcher ends, and it is gone" soon vm_gone plain
	it "the pods are gone, too" soon eval 'gone pod a && gone pod b && held ""'
	it "a virtual machine with the card comes up" soon runs gpu
	it "its launcher has opened the card, mapped memory for it and reset it" soon says "^$card is 10de:20b5, in group $group; memory mapped, reset$" "$(launcher gpu)" -c compute
	it "which nobody else can open meanwhile" eval 'guest "$g/guest/vfioprobe --once $card || :" | grep "/dev/vfio/$group: Device or resource busy"'
	kubectl delete vm gpu --wait=false >/dev/null
	it "the virtual machine is deleted: its launcher ends" soon vm_gone gpu
	it "and the card can be opened again" guest "$g/guest/vfioprobe --once $card"
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - a guest as a node # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
[ -n "${STATE:-}" ] || CRDS='' bash e2e/cluster/up.sh "$state" || { echo "not ok 1 - a cluster for a node" && exit 1; }
# shellcheck source=/dev/null
. "$state/env"
mounts >"$work/before"
it "a guest boots" env NVFAKE=driver=0 KUBELET=1 bash e2e/node/run.sh "$g"
it "it joins the cluster, its Node is Ready" bash e2e/node/join.sh "$g" "$state"
it "with Kubernetes' kubelet and Debian's containerd" is_real
it "the kubelet answers only who has a certificate of the cluster, as the API server" eval 'kubelet_listens && ! curl -skf "$(kubelet_url)/pods"'
pods_of_all_kinds
a_card
pod left 'echo here'
it "stop takes the Node and its pods away" eval 'bash e2e/node/stop.sh "$g" && ! kubectl get node gpu-node -o name && gone pods -A --field-selector spec.nodeName=gpu-node'
it "and every process and file" eval '[ -z "$(ours)" ] && [ ! -e "$g" ]'
it "and the machine is as it was: mounts, and nobody listens" eval 'mounts | diff "$work/before" - && ! kubelet_listens'
echo "1..$n"
exit $failed
