#!/bin/bash
# vfs.sh: a card whose virtual functions are GPUs by themselves, as Intel's and AMD's are, in a real kernel: made as a SRIOVGPUDevice asks,
# brought to vfio-pci by the default policy, kept while somebody has one, and removed. The card is an emulated one with SR-IOV and the ids
# of an Intel Flex 170; pci-pf-stub stands for the host's driver. Prints TAP.
set -uo pipefail
prog=node/vfs.sh
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$top/e2e/node/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
make -s V=dev build/dev/vmgpu-controller build/dev/vmgpu-node || exit 1
node=$top/build/dev/vmgpu-node
work=$(mktemp -d)
g=$work/guest card=0000:02:00.0 object=gpu-node-000002000
n=0 failed=0

clean() {
	[ -z "$controller" ] || kill -KILL "$controller" 2>/dev/null
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	get '{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{end}{.spec}{"\n"}' | sed 's/^/# /'
	guest 'tail -5 /tmp/node.log' | sed 's/^/# log: /'
}

# units NUMBER DRIVER: so many virtual functions are reported, all with that driver
units() { [ "$(get "{range .status.units[?(@.physicalFunction==\"$card\")]}{.driver} {end}")" = "$(for ((i = 0; i < $1; i++)); do printf '%s ' "$2"; done)" ]; }
names() { get "{range .status.units[?(@.physicalFunction==\"$card\")]}{.name}{\"\n\"}{end}" | sort -u | grep -qx "$1"; }
numvfs() { [ "$(guest "cat /sys/bus/pci/devices/$card/sriov_numvfs")" = "$1" ]; }
ask() { kubectl patch sriovgpudevices $object --type=merge -p "$1" >/dev/null; }
says() { kubectl get sriovgpudevices $object -o "jsonpath={.status.conditions[*].message}" | grep -q "$1"; }
lists() { [ "$(kubectl get sriovgpudevices $object -o 'jsonpath={.status.vfAddresses}' | grep -o 0000: | wc -l)" = "$1" ]; }
hold() { guest "(exec $g/guest/vfioprobe $1 >/tmp/probe.log 2>&1) & echo \$! >/tmp/holder; sleep 1; grep 'waits to be told' /tmp/probe.log"; }

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - virtual functions in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
VFS=8 MASK=$card=8086:56c0:038000 NVFAKE="driver=0" bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
guest "modprobe pci-pf-stub; echo pci-pf-stub >/sys/bus/pci/devices/$card/driver_override; echo $card >/sys/bus/pci/drivers_probe"
guest "(exec $node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --device-plugins= >>/tmp/node.log 2>&1) & true"
start_controller
it "the card is there as an SRIOVGPUDevice, off" within 20 ask '{"spec": {"enabled": false}}'
ask '{"metadata": {"annotations": {"vmgpu.io/virtual-functions": "3"}}, "spec": {"enabled": true}}'
it "a number that it cannot have is refused, with those that it can" within 10 says 'among 1, 2, 4, 5, 8'
it "and nothing is made" numvfs 0
ask '{"metadata": {"annotations": {"vmgpu.io/virtual-functions": "4"}}}'
it "as many as are asked for are made, and brought to vfio-pci" within 30 units 4 vfio-pci
it "each is a quarter, by its name" names intel.com/ATSM_DATA_CENTER_GPU_FLEX_170_VF4
it "they are listed" within 10 lists 4
it "the card stays with its driver" driver $card pci-pf-stub
it "somebody opens one" hold 0000:02:00.2
ask '{"metadata": {"annotations": {"vmgpu.io/virtual-functions": null}}}'
it "while somebody has one their number stays, and the report says who" within 15 unit_says $card Available '0000:02:00.2 is used by process [0-9]* (vfioprobe)'
it "all four are there" numvfs 4
let_go
it "when nobody has one, it is as many as the card's profile has" within 30 units 8 vfio-pci
it "each is an eighth then" names intel.com/ATSM_DATA_CENTER_GPU_FLEX_170_VF8
ask '{"spec": {"enabled": false}}'
it "disabled, they go" within 30 numvfs 0
it "and are reported no more" within 10 units 0 -
stop_controller
echo "1..$n"
exit $failed
