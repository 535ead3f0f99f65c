#!/bin/bash
# pool.sh: GPUPools in a real kernel. A card that NVIDIA's driver (nvfake.c) has is taken from it by a pool when no container uses it, and
# moved between virtual machines and the host; another is cut by a layout. They are given back when the pool is changed or deleted; what
# is open stays. The controller orders, vmgpu-node in a guest does it. Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/pool.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V=dev build/dev/vmgpu-controller && make -s V="$V" "build/$V/vmgpu-node" || exit 1
node=$top/build/$V/vmgpu-node
socket=/run/vmgpu/tool.sock
work=$(mktemp -d)
g=$work/guest
n=0 failed=0

clean() {
	[ -z "$controller" ] || kill -KILL "$controller" 2>/dev/null
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	kubectl get gpupools -o wide | sed 's/^/# /'
	kubectl get gpupools -o 'jsonpath={range .items[*].status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\n"}{end}' | sed 's/^/# /'
	get '{.spec.units}{"\n"}{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{range .slots[?(@.type)]}{.vf}={.type} {end}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest 'tail -${TAIL:-5} /tmp/node.log; tail -3 /tmp/tool.log' | sed 's/^/# log: /'
	tail -n "${TAIL:-5}" "$work/controller.log" | sed 's/^/# controller: /'
}

l40s=0000:02:00.0 h100=0000:81:00.0 other=0000:84:00.0

pool() { # NAME SPEC
	kubectl apply --server-side --force-conflicts -f - >/dev/null <<Y
{"apiVersion": "vmgpu.io/v1alpha1", "kind": "GPUPool", "metadata": {"name": "$1"}, "spec": $2}
Y
}
# columns NAME: what kubectl get shows, without the age
columns() { kubectl get gpupool "$1" --no-headers | awk '{NF--; print}'; }
shows() { [ "$(columns "$1")" = "$1 $2" ]; } # NAME "USE GPUS READY IN-USE READY"
# ready NAME EXPRESSION: of "STATUS REASON: MESSAGE"
ready() { kubectl get gpupool "$1" -o 'jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}' | grep -qE "$2"; }
ordered() { [ "$(get "{range .spec.units[?(@.id==\"$1\")]}{.want} {.by}{end}")" = "$2" ]; } # ADDRESS "WANT BY"
numvfs() { [ "$(get "{.status.units[?(@.id==\"$l40s\")].sriov.numVFs}")" = "$1" ] && [ "$(guest "cat /sys/bus/pci/devices/$l40s/sriov_numvfs")" = "$1" ]; }
current() { [ "$(guest "cat /sys/bus/pci/devices/0000:02:00.$1/nvidia/current_vgpu_type")" = "$2" ]; } # FUNCTION TYPE
types() { [ "$(get '{range .status.units[*].slots[?(@.type)]}{.vf}={.type} {end}')" = "${*:+$* }" ]; }

start_daemon() {
	guest "(exec $node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --device-plugins= --tool-socket $socket >>/tmp/node.log 2>&1) & echo \$! >/tmp/node"
}
start_tool() { guest "(exec python3 $here/tool.py $socket >>/tmp/tool.log 2>&1) & echo \$! >/tmp/tool; while [ ! -S $socket ]; do sleep 0.1; done"; }
# contain NODE: as a container has it open; let_go ends it
contain() { guest "python3 -c \"import time; f = open('$1', 'rb'); time.sleep(600)\" >/dev/null 2>&1 & echo \$! >/tmp/holder; sleep 1; kill -0 \$(cat /tmp/holder)"; }
# hold DEVICE: as a virtual machine has it open; let_go ends it
hold() { guest "(exec $g/guest/vfioprobe $1 >/tmp/probe.log 2>&1) & echo \$! >/tmp/holder; sleep 1; grep 'waits to be told' /tmp/probe.log"; }

moved() {
	guest "for c in /proc/driver/nvidia/gpus/*; do mknod /dev/nvidia-\${c##*/} c 195 \$(sed -n 's/^Device Minor:[^0-9]*//p' \$c/information); done"
	start_daemon
	start_controller
	it "a card that the host's driver has is left to it" within 20 unit_says $h100 Available "is on the host's driver nvidia"
	contain /dev/nvidia-$h100
	pool training '{"use": "passthrough", "gpus": ["nvidia.com/H100_94GB"]}'
	it "while a container has it open it stays there, and the pool says so" within 30 ready training "^False InUse: gpu-node $h100: .*is used by process [0-9]* \(python3\); it is taken when that has ended"
	it "its driver, too" driver $h100 nvidia
	let_go
	it "then the pool takes it" within 40 driver $h100 vfio-pci
	it "by name: no other card is ordered" ordered $other ''
	it "kubectl get gpupools says so" within 10 shows training 'passthrough 1 1 0 True'
	hold $h100
	pool training '{"use": "host", "gpus": ["nvidia.com/H100_94GB"]}'
	it "a card that is open is not moved, and the pool says who has it" within 15 ready training "^False InUse: gpu-node $h100: .*is used by process [0-9]* \(vfioprobe\); it is given back when that has ended"
	it "it stays where it is" driver $h100 vfio-pci
	let_go
	it "when nobody has it any more, it moves to the host" within 40 driver $h100 nvidia
	it "and the pool is ready" within 10 shows training 'host 1 1 0 True'
	pool training '{"use": "passthrough", "gpus": ["nvidia.com/H100_94GB"]}'
	it "and back to virtual machines" within 40 driver $h100 vfio-pci
	kubectl delete gpupool training >/dev/null
	it "a pool that is deleted leaves it to the driver that it had" within 40 driver $h100 nvidia
	it "and orders nothing any more" within 10 ordered $h100 ''
}

cut() {
	pool desktops '{"use": "vgpu", "gpus": ["10de:26b9"], "layout": [{"type": "NVIDIA L40S-8Q", "count": 2}]}'
	it "a layout needs virtual functions, which the card gets" within 60 numvfs 16
	it "its vGPUs are made on the first of them" within 20 types 0000:02:00.1=NVIDIA L40S-8Q 0000:02:00.2=NVIDIA L40S-8Q
	it "the driver has them" current 1 1152
	it "kubectl get gpupools says so" within 10 shows desktops 'vgpu 1 1 0 True'
	it "no object of Harvester's is enabled by that" [ "$(kubectl get sriovgpudevices,vgpudevices -o 'jsonpath={.items[*].spec.enabled}' | tr ' ' '\n' | sort -u)" = false ]
	pool desktops '{"use": "vgpu", "gpus": ["10de:26b9"], "layout": [{"type": "NVIDIA L40S-8Q", "count": 2}, {"type": "NVIDIA L40S-4Q", "count": 2}]}'
	it "a layout of two sizes is refused, with the reason" within 10 ready desktops "^False LayoutNotCarried: gpu-node $l40s: NVIDIA L40S-8Q and NVIDIA L40S-4Q have different sizes"
	sleep 2
	it "and the card is left as it is" types 0000:02:00.1=NVIDIA L40S-8Q 0000:02:00.2=NVIDIA L40S-8Q
	hold 0000:02:00.1
	pool desktops '{"use": "vgpu", "gpus": ["10de:26b9"], "layout": [{"type": "NVIDIA L40S-8A", "count": 2}]}'
	it "a vGPU that is open stays when the layout changes, the others follow" within 30 types 0000:02:00.1=NVIDIA L40S-8Q 0000:02:00.3=NVIDIA L40S-8A 0000:02:00.4=NVIDIA L40S-8A
	kubectl delete gpupool desktops >/dev/null
	it "nor do the virtual functions go with the pool" within 20 unit_says $l40s Available '0000:02:00.1 is used by process [0-9]* (vfioprobe)'
	it "all sixteen" numvfs 16
	let_go
	it "when nobody has one any more, all of them go" within 60 numvfs 0
	it "and nothing is ordered any more" within 15 ordered $l40s ''
	it "the card is with its driver" driver $l40s nvidia
}

whole_after_cut() {
	pool desktops '{"use": "vgpu", "gpus": ["10de:26b9"], "layout": [{"type": "NVIDIA L40S-24Q", "count": 1}]}'
	within 60 types 0000:02:00.1=NVIDIA L40S-24Q
	pool desktops '{"use": "passthrough", "gpus": ["10de:26b9"]}'
	it "a card that is cut goes through its driver to be taken whole" within 90 driver $l40s vfio-pci
	it "and the pool is ready" within 15 shows desktops 'passthrough 1 1 0 True'
	kubectl delete gpupool desktops >/dev/null
	it "and back" within 40 driver $l40s nvidia
	it "nothing is ordered any more" within 15 ordered $l40s ''
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - pools in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
VFS=16 MASK=$l40s=10de:26b9:030200,$other=10de:1eb8:030200,$h100=10de:2321:030200 NVFAKE="nodes=1 vgpu=none ready_ms=1000 card=$l40s=vfio:equal" \
	bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
start_tool
moved
cut
whole_after_cut
stop_controller
echo "1..$n"
exit $failed
