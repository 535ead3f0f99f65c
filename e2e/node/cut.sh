#!/bin/bash
# cut.sh: cards cut as ordered, in a real kernel. A card gets its virtual functions by the vendor's tool, which fails, lies, is slow or not
# there; vGPUs are made on them, refused where they do not fit, kept while somebody has them, and removed. Both faces of NVIDIA's driver
# (nvfake.c); orders by hand, and by the controller from Harvester's objects. Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   QUICK=1     without the tool that lies
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/cut.sh
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
	get '{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{range .slots[*]}{.vf}={.type} {end}{"\n"}{end}{.status.conditions[*].message}{"\n"}' |
		sed 's/^/# /'
	guest 'tail -${TAIL:-5} /tmp/node.log; tail -3 /tmp/tool.log' | sed 's/^/# log: /'
}

l40s=0000:02:00.0 t4=0000:81:00.0 idle=0000:84:00.0
a2=$l40s # by another mask
id_of() { case $1 in "$l40s") echo "${l40s_id:-10de:26b9}" ;; "$t4") echo 10de:1eb8 ;; "$idle") echo 10de:2321 ;; esac }

# unit ADDRESS WANT [vfs=N] [VF=TYPE...]: one order, in the place of a controller
unit() {
	local at=$1 want=$2 vfs='' slots='' pair
	shift 2
	for pair; do
		case $pair in
		vfs=*) vfs=", \"vfs\": ${pair#*=}" ;;
		*) slots+="${slots:+, }{\"vf\": \"${pair%%=*}\", \"type\": \"${pair#*=}\"}" ;;
		esac
	done
	echo "{\"id\": \"$at\", \"device\": \"$(id_of "$at")\", \"want\": \"$want\"$vfs, \"slots\": [$slots]}"
}
# order UNIT...: all of them
order() {
	local IFS=,
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"term\": 1, \"permittedTypes\": [${permitted:-}], \"units\": [$*]}}" >/dev/null
}
says() { get "{.status.units[?(@.id==\"$1\")].conditions[?(@.type==\"Available\")].message}" | grep -qE "$2"; }
numvfs() { [ "$(get "{.status.units[?(@.id==\"$l40s\")].sriov.numVFs}")" = "$1" ] && [ "$(guest "cat /sys/bus/pci/devices/$l40s/sriov_numvfs")" = "$1" ]; }
# types VF=TYPE...: what the report says of these, and of no others
types() {
	local all
	all=$(get '{range .status.units[*].slots[?(@.type)]}{.vf}={.type}{"\n"}{end}' | sort | grep -v '^$')
	[ "$all" = "$(printf '%s\n' "$@" | sort | grep -v '^$')" ]
}
current() { [ "$(guest "cat /sys/bus/pci/devices/$1/nvidia/current_vgpu_type")" = "$2" ]; }
vf() { echo "$((0x${1} / 8)) $((0x${1} % 8))" | { read -r slot function && printf '0000:02:%02x.%x' "$slot" "$function"; }; } # N in hex: 1 is 0000:02:00.1

start_daemon() {
	guest "(exec $node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default --device-plugins= --tool-socket $socket \
		>>/tmp/node.log 2>&1) & echo \$! >/tmp/node"
}
stop_daemon() { guest 'kill -TERM $(cat /tmp/node); while kill -0 $(cat /tmp/node) 2>/dev/null; do sleep 0.1; done'; }
kill_daemon() { guest 'kill -KILL $(cat /tmp/node)'; }
start_tool() { guest "(exec python3 $here/tool.py $socket >>/tmp/tool.log 2>&1) & echo \$! >/tmp/tool; while [ ! -S $socket ]; do sleep 0.1; done"; }
behave() { guest "echo $1 >/run/sriov-manage"; }

# hold DEVICE: as a virtual machine has it open; let_go ends it
hold() { guest "(exec $g/guest/vfioprobe $1 >/tmp/probe.log 2>&1) & echo \$! >/tmp/holder; sleep 1; grep 'waits to be told' /tmp/probe.log"; }

functions() {
	start_daemon
	within 15 numvfs 0
	order "$(unit $l40s vgpu vfs=16)" "$(unit $idle vfio)"
	it "without the vendor's tools no virtual functions are made, and the report says what is missing" within 10 says $l40s 'nobody answers at /run/vmgpu/tool.sock.*must run beside vmgpu-node'
	it "another card is brought to virtual machines meanwhile" within 15 driver $idle vfio-pci
	behave fail
	start_tool
	it "tools that fail are quoted" within 40 says $l40s '"sriov-manage -e 0000:02:00.0" ended with 1: Cannot obtain unbindLock'
	behave slow=3
	order "$(unit $l40s vgpu vfs=8)" "$(unit $idle vfio)"
	it "other than all is refused" within 10 obeying "False OrdersRefused .*NVIDIA.s driver makes all 16 virtual functions of the card, or none"
	order "$(unit $l40s vgpu vfs=16)" "$(unit $idle host)"
	it "while they are slow, another card is given back" within 10 driver $idle -
	it "and then all sixteen are there" within 40 numvfs 16
	behave ok
}

lying() {
	order "$(unit $l40s vgpu vfs=0)"
	it "ordered off, they go" within 40 numvfs 0
	behave lie
	order "$(unit $l40s vgpu vfs=16)"
	it "tools that lie are not believed" within 20 says $l40s 'ended with 0, and sriov_numvfs is 0 all the same'
	behave ok
	it "when they do it, it is done" within 90 numvfs 16
}

vendor_vfio() {
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-8Q")"
	it "a vGPU that is ordered is made" within 15 types "$(vf 1)=NVIDIA L40S-8Q"
	it "the driver has it" current "$(vf 1)" 1152
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-8Q" "$(vf 2)=NVIDIA L40S-4Q" "$(vf 3)=NVIDIA L40S-8A")"
	it "of another size none can be beside it, and the report says what can" within 15 says $l40s '0000:02:00.2: vGPU type .* cannot be made here now; creatable now: .*L40S-8Q'
	it "it stops no other" within 10 types "$(vf 1)=NVIDIA L40S-8Q" "$(vf 3)=NVIDIA L40S-8A"
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-7X")"
	it "a type that nobody knows is refused" within 10 obeying 'False OrdersRefused .*the card has no vGPU type "NVIDIA L40S-7X"'
	it "what is not ordered has gone" within 10 types ''
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-24Q" "$(vf 5)=NVIDIA L40S-24Q" "$(vf 9)=NVIDIA L40S-24Q")"
	it "more than any card takes are refused" within 10 obeying 'False OrdersRefused .*more than 2 of NVIDIA L40S-24Q are ordered'
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-24Q" "$(vf 5)=NVIDIA L40S-24Q" "$(vf 9)=NVIDIA L40S-24A")"
	it "a full card refuses the next, and two are there" within 15 says $l40s '0000:02:01.1: vGPU type .* cannot be made here now; creatable now: nothing'
	it "those that fit are there" within 10 types "$(vf 1)=NVIDIA L40S-24Q" "$(vf 5)=NVIDIA L40S-24Q"
}

in_use() {
	order "$(unit $l40s vgpu vfs=16 "$(vf 1)=NVIDIA L40S-24Q" "$(vf 5)=NVIDIA L40S-24Q")"
	within 10 says $l40s '2 vGPUs are made'
	hold "$(vf 1)"
	order "$(unit $l40s vgpu vfs=16 "$(vf 2)=NVIDIA L40S-24Q")"
	it "a vGPU that a process has open stays, and the report says who has it" within 10 says $l40s '0000:02:00.1 carries NVIDIA L40S-24Q, which is not ordered and used by process [0-9]* \(vfioprobe\)'
	it "the other one goes, and what is ordered comes" within 15 types "$(vf 1)=NVIDIA L40S-24Q" "$(vf 2)=NVIDIA L40S-24Q"
	order "$(unit $l40s vgpu vfs=0)"
	it "nor do the virtual functions go" within 10 says $l40s '0000:02:00.1 is used by process [0-9]* \(vfioprobe\), and a change of the number of virtual functions takes all'
	it "all sixteen" numvfs 16
	order
	sleep 2
	it "when nothing is ordered of the card, what is open stays" within 10 types "$(vf 1)=NVIDIA L40S-24Q"
	let_go
	it "when nobody has it any more, it goes" within 15 types ''
	it "the virtual functions are as they are" numvfs 16
}

# While it makes sixteen vGPUs.
killed() {
	local i all=() given=()
	for i in 1 2 3 4 5 6 7 8 9 a b c d e f 10; do all+=("$(vf $i)=NVIDIA L40S-2Q"); done
	for i in 1 3 6; do
		order "$(unit $l40s vgpu vfs=16 "${all[@]}")"
		sleep 0.$i
		kill_daemon
		start_daemon
		it "killed 0.$i s after sixteen were ordered, and started again, it makes all" within 30 types "${all[@]}"
		order "$(unit $l40s vgpu vfs=16)"
		it "not ordered any more, all of them go" within 30 types "${given[@]}" ''
	done
}

uuids() { guest 'ls /sys/bus/mdev/devices' | tr '\n' ' '; }
mediated() {
	local uuid
	order "$(unit $t4 vgpu "$t4=GRID T4-4Q")"
	it "a mediated device that KubeVirt would delete is not made" within 10 says $t4 'gets no GRID T4-4Q yet: KubeVirt would delete'
	permitted='"GRID T4-4Q", "GRID T4-8Q"'
	order "$(unit $t4 vgpu "$t4=GRID T4-4Q" "$t4=GRID T4-4Q")"
	it "with the type permitted, both are made" within 15 types "$t4=GRID T4-4Q" "$t4=GRID T4-4Q"
	uuid=$(uuids)
	it "the report has their UUIDs" [ "$(get '{.status.units[*].slots[*].uuid}' | tr ' ' '\n' | sort | tr '\n' ' ')" = "$uuid" ]
	order "$(unit $t4 vgpu "$t4=GRID T4-4Q" "$t4=GRID T4-4Q" "$t4=GRID T4-8Q")"
	it "another size is refused beside them" within 15 says $t4 'vGPU type nvidia-[0-9]* cannot be made here now; creatable now: .*T4-4Q'
	hold "${uuid%% *}"
	order "$(unit $t4 vgpu "$t4=GRID T4-8Q")"
	it "one that is open stays, and the report says who has it" within 10 says $t4 'carries GRID T4-4Q, which is not ordered and used by process [0-9]* \(vfioprobe\)'
	it "the other one goes" within 10 types "$t4=GRID T4-4Q"
	let_go
	it "then it goes, too, and the other size is made" within 20 types "$t4=GRID T4-8Q"
	order
	it "not ordered any more, it goes" within 20 types ''
	permitted=''
}

# An A2 has its mediated devices on virtual functions.
mediated_functions() {
	order
	stop_daemon
	guest "rmmod nvfake && modprobe nvfake mask=$a2=10de:25b6:030200,$t4=10de:1eb8:030200 vgpu=mdev ready_ms=1000 card=$a2=mdev:only=A2-"
	l40s_id=10de:25b6
	kubectl delete gpunode gpu-node >/dev/null
	start_daemon
	within 15 numvfs 0
	permitted='"NVIDIA A2-4Q"'
	order "$(unit $a2 vgpu vfs=16 "$(vf 1)=NVIDIA A2-4Q" "$(vf 3)=NVIDIA A2-4Q")"
	it "a card with mediated devices on virtual functions gets both" within 60 types "$(vf 1)=NVIDIA A2-4Q" "$(vf 3)=NVIDIA A2-4Q"
	hold "$(guest "ls /sys/bus/pci/devices/$(vf 1) | grep -E '^.{8}-.{4}-'")"
	order "$(unit $a2 vgpu vfs=0)"
	it "while one is open they stay" within 15 says $a2 '0000:02:00.1 is used by process [0-9]* \(vfioprobe\)'
	let_go
	it "then all goes" within 60 numvfs 0
	permitted='' l40s_id=''
}

object() { kubectl get "$1" "$2" -o "jsonpath=$3" 2>/dev/null; }
object_is() { [ "$(object "$1" "$2" "$3")" = "$4" ]; }
patch() { kubectl patch "$1" "$2" --type=merge -p "{\"spec\": $3}" >/dev/null; }
by_objects() {
	local sriov=gpu-node-000002000 first=gpu-node-000002001 second=gpu-node-000002002
	start_controller
	it "the card is there as an SRIOVGPUDevice" within 20 object sriovgpudevices $sriov '{.spec.address}'
	patch sriovgpudevices $sriov '{"enabled": true}'
	it "enabled, it gets its virtual functions" within 40 numvfs 16
	it "each is there as a VGPUDevice" within 20 object vgpudevices $first '{.spec.address}'
	patch vgpudevices $first '{"enabled": true, "vGPUTypeName": "NVIDIA L40S-8Q"}'
	it "one that is enabled is made" within 20 types "$(vf 1)=NVIDIA L40S-8Q"
	it "its object says so" within 10 object_is vgpudevices $first '{.status.vGPUStatus}' vGPUConfigured
	patch vgpudevices $second '{"enabled": true, "vGPUTypeName": "NVIDIA L40S-8Q"}'
	it "so is the next one" within 20 types "$(vf 1)=NVIDIA L40S-8Q" "$(vf 2)=NVIDIA L40S-8Q"
	patch vgpudevices $first '{"enabled": false}'
	it "disabled, it goes" within 20 types "$(vf 2)=NVIDIA L40S-8Q"
	patch vgpudevices $second '{"enabled": false}'
	it "so does the last one" within 20 types ''
	patch sriovgpudevices $sriov '{"enabled": false}'
	it "the card disabled, the virtual functions go" within 40 numvfs 0
	kill -TERM "$controller" && wait "$controller"
	controller=''
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - cards cut in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
VFS=16 MASK=$l40s=10de:26b9:030200,$t4=10de:1eb8:030200,$idle=10de:2321:030200 NVFAKE="vgpu=none ready_ms=1000 card=$l40s=vfio:equal,$t4=mdev" \
	bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
guest "echo $idle >/sys/bus/pci/devices/$idle/driver/unbind"
functions
[ -n "${QUICK:-}" ] || lying
vendor_vfio
in_use
killed
mediated
order "$(unit $l40s vgpu vfs=0)"
it "the virtual functions go when nobody has one" within 40 numvfs 0
kubectl delete gpunode gpu-node >/dev/null
by_objects
mediated_functions
echo "1..$n"
exit $failed
