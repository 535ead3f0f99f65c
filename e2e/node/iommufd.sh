#!/bin/bash
# iommufd.sh: a GPU given by its character device, on a kernel that has IOMMUFD (tiny-kernel.sh, built first: ten minutes): what the report says of it,
# the nodes that an Allocate hands out, that they can be opened as QEMU opens them, and that it is seen who has them. Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   TAIL=N      lines of the daemon's log after a failure (8)
set -uo pipefail
prog=node/iommufd.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V="$V" "build/$V/vmgpu-node" && (cd e2e/tools/nodekit && CGO_ENABLED=0 go build -trimpath -o "$top/build/nodekit" .) || exit 1
node=$top/build/$V/vmgpu-node
work=$(mktemp -d)
g=$work/guest
n=0 failed=0
export KERNEL=tiny

clean() {
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	get '{range .status.units[*]}{.id} {.driver} {.functions}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest "tail -n ${TAIL:-8} /tmp/node.log /tmp/eyes.log" | sed 's/^/# log: /'
}

h100=0000:81:00.0 socket=/run/vmgpu/eyes.sock
order() { # WANT
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"term\": 1, \"units\": [{\"id\": \"$h100\", \"device\": \"10de:2321\", \"want\": \"$1\"}]}}" >/dev/null
}
daemon="$node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --eyes-socket $socket"
start_daemon() { guest "($daemon --device-plugins= >>/tmp/node.log 2>&1) & echo \$! >/tmp/node"; }
stop_daemon() { guest 'kill -TERM $(cat /tmp/node); while [ -e /proc/$(cat /tmp/node) ]; do sleep 0.1; done'; }
start_eyes() { guest "($node observe --eyes-socket $socket >>/tmp/eyes.log 2>&1) & sleep 1"; }
# allocated: what a kubelet would get for a container
allocated() {
	guest "mkdir -p /var/lib/kubelet/device-plugins /var/lib/kubelet/pod-resources; $top/build/nodekit measure --show --settle 15s --timeout 60s --log /tmp/plugin.log -- $daemon"
}
gives() { allocated | tee "$work/allocated" | grep -q "$1"; }
hold() { guest "python3 $here/iommufd_open.py /dev/vfio/devices/$1 >/tmp/held 2>&1 & echo \$! >/tmp/holder; sleep 3; cat /tmp/held"; }
says() { unit_says $h100 Available "$1"; }

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - a GPU by its character device # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
bash e2e/node/tiny-kernel.sh >/dev/null || exit 1
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
CARD=nvme,serial=card MASK=$h100=10de:2321:030200 NVFAKE="vgpu=none ready_ms=0" bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
guest "echo $h100 >/sys/bus/pci/devices/$h100/driver/unbind" # whether anybody uses it on the fake driver nobody can say
start_eyes
start_daemon
within 30 get '{.status.units[0].id}' >/dev/null
order vfio
it "on a kernel with IOMMUFD a card is brought to vfio-pci" within 60 driver $h100 vfio-pci
cdev=$(guest "ls /sys/bus/pci/devices/$h100/vfio-dev")
it "and has a character device" guest "[ -c /dev/vfio/devices/${cdev:-none} ]"
stop_daemon
it "an Allocate hands it out, with /dev/iommu" gives "/dev/iommu"
sed 's/^/# /' "$work/allocated"
it "it is that of the card" grep -q "/dev/vfio/devices/$cdev" "$work/allocated"
start_daemon
it "who opens it as QEMU does has the card" eval 'hold "$cdev" | tee "$work/held" | grep -q "bound and attached"'
sed 's/^/# /' "$work/held"
order host
it "it is seen to be in use, by whom, and stays" within 60 says "process [0-9]* (python3)"
it "on vfio-pci" driver $h100 vfio-pci
let_go
it "and goes when it is let go" within 60 driver $h100 -
echo "1..$n"
exit $failed
