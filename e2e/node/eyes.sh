#!/bin/bash
# eyes.sh: who uses cards, in a real kernel. vmgpu-node without any capability asks `vmgpu-node observe`, which has two; a card on a
# driver of the host (bochs-drm, a DRM driver) is taken when nobody has it open, and nothing is done while the eyes are shut. In a second
# guest the cards are on "nvidia", with nodes that count who has them open, and the eyes read them by a library that says what it is told.
# Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/eyes.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V="$V" "build/$V/vmgpu-node" "build/$V/e2e/node/fakenvml.so" || exit 1
node=$top/build/$V/vmgpu-node
socket=/run/vmgpu/eyes.sock
work=$(mktemp -d)
g=$work/guest
n=0 failed=0

clean() {
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

after_failure() {
	get '{range .status.units[*]}{.id} {.driver}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest 'tail -n ${TAIL:-5} /tmp/node.log /tmp/eyes.log' | sed 's/^/# log: /'
}

says() { get "{.status.units[?(@.id==\"$1\")].conditions[?(@.type==\"Available\")].message}" | grep -q "$2"; }
# order WANT ADDRESS=DEVICE...
order() {
	local want=$1 units='' pair
	shift
	for pair; do units+="${units:+, }{\"id\": \"${pair%%=*}\", \"device\": \"${pair#*=}\", \"want\": \"$want\"}"; done
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"term\": 1, \"units\": [$units]}}" >/dev/null
}
# hold NODE: a process in the guest that has it open; the guest's shell expands the name. let_go ends it
hold() { guest "node=$1; python3 -c \"import time; f = open('\$node', 'rb'); time.sleep(600)\" >/dev/null 2>&1 & echo \$! >/tmp/holder; sleep 1; kill -0 \$(cat /tmp/holder)"; }

start_daemon() { # ARGUMENT...
	guest "(setpriv --bounding-set=-all --inh-caps=-all --no-new-privs $node --node-name gpu-node --kubeconfig $g/kubeconfig --lease-namespace default \
		--eyes-socket $socket $* >>/tmp/node.log 2>&1) & echo \$! >/tmp/node"
}
start_eyes() { # ARGUMENT...
	guest "(FAKENVML=/tmp/nvml exec setpriv --bounding-set=-all,+sys_ptrace,+dac_read_search --inh-caps=-all --no-new-privs $node observe --eyes-socket $socket $* >>/tmp/eyes.log 2>&1) & echo \$! >/tmp/eyes; sleep 1"
}
eyes() { guest "kill -$1 \$(cat /tmp/eyes)"; } # SIGNAL
capabilities() { [ "$(guest "for p in \$(pidof vmgpu-node); do sed -n 's/^CapEff:\t0*//p' /proc/\$p/status; done | sort | tr '\n' ' '")" = "$1" ]; }

a10=0000:03:00.0
taken() { driver $a10 vfio-pci; }
left() { driver $a10 bochs-drm; }

shut() {
	guest "modprobe bochs; echo bochs-drm >/sys/bus/pci/devices/$a10/driver_override; echo $a10 >/sys/bus/pci/drivers_probe; sleep 1"
	it "a card is on a driver of the host" left
	start_daemon
	it "its daemon reports it" within 15 says $a10 "is on the host's driver bochs-drm"
	order vfio $a10=10de:2236 0000:81:00.0=10de:2321
	it "a card that no driver has needs no eyes" within 15 driver 0000:81:00.0 vfio-pci
	it "while nobody sees who uses the other one, the report says so" within 10 says $a10 'whether anybody uses it is not known (/run/vmgpu/eyes.sock: .*does vmgpu-node observe run'
	it "and it is left" left
}

opened() {
	hold "/dev/dri/\$(ls /sys/bus/pci/devices/$a10/drm | grep card)"
	start_eyes
	it "a card that a process has open is left, and the report names it" within 15 says $a10 'is used by process [0-9]* (python3); it is taken when'
	it "the hands have no capability, the eyes have two" capabilities ' 80004 '
	it "it is still left" left
	let_go
	it "once nobody has it open it is taken" within 15 taken
	hold "/dev/vfio/\$(basename \$(readlink /sys/bus/pci/devices/$a10/iommu_group))"
	order host $a10=10de:2236
	it "a card that a process has open is not given back" within 15 says $a10 'is used by process [0-9]* (python3); it is given back when'
	let_go
	it "once nobody has it open it is, to the driver that it had" within 15 left
}

hanging() {
	eyes STOP
	order vfio $a10=10de:2236
	it "eyes that hang see nothing, and the report says so" within 20 says $a10 'not known.*/run/vmgpu/eyes.sock: no answer within'
	it "so nothing is taken" left
	eyes CONT
	it "when they go on it is" within 30 taken
	eyes KILL
	order host $a10=10de:2236
	it "nor is anything given back without them" within 15 says $a10 'is used by somebody whom this daemon cannot see (/run/vmgpu/eyes.sock: Connection refused'
	it "and it stays where it is" taken
	start_eyes
	it "new ones take the place of those that were killed" within 15 left
}

h100=0000:81:00.0
# library [LINE...]: what it says of all cards, from its next reading on; it has the A10 open while it is in use
library() {
	guest "cat >/tmp/nvml.new <<S
library 13.580.65.06
driver 580.65.06
open /dev/nvidia-$a10
$(printf '%s\n' "$@")
card $a10
uuid GPU-10
temperature 41
link $h100
link $h100
card $h100
uuid GPU-100
link $a10
link $a10
$(printf 'card %s\n' 0000:01:00.0 0000:02:00.0 0000:84:00.0 0000:85:00.0)
S
mv /tmp/nvml.new /tmp/nvml"
}
links() { get "{.status.units[?(@.id==\"$a10\")].links[*].kind} {.status.units[?(@.id==\"$a10\")].links[*].unit} {.status.units[?(@.id==\"$a10\")].links[*].lanes}"; }
reported() {
	local all
	all="$(links)|$(get '{.status.nodeInfo.versions.libnvidia-ml}|{.status.conditions[?(@.type=="CardsRead")].status}')"
	echo "$all"
	[ "$all" = "nvlink $h100 2|580.65.06|True" ]
}
metrics() { guest "python3 -c \"import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:9401/metrics').read().decode())\""; }
measured() { metrics | grep -F "DCGM_FI_DEV_GPU_TEMP{gpu=\"$a10\",UUID=\"GPU-10\",modelName=\"A10\",Hostname=\"gpu-node\"} 41" >/dev/null; }
reading() { guest "cat /proc/[0-9]*/comm" | grep -x vmgpu-nvml >/dev/null; }
no_wait() { ! guest dmesg | grep 'non-zero usage count'; }
is_off() { [ "$(links)" = "nvlink $h100 2" ] && ! metrics | grep "gpu=\"$a10\""; }

read_by_nvml() {
	kubectl delete gpunode gpu-node >/dev/null
	bash e2e/node/stop.sh "$g"
	NVFAKE='driver=1 nodes=1' bash e2e/node/run.sh "$g" "$KUBECONFIG" || return 1
	guest "for c in /proc/driver/nvidia/gpus/*; do mknod /dev/nvidia-\${c##*/} c 195 \$(sed -n 's/^Device Minor:[^0-9]*//p' \$c/information); done"
	library
	start_eyes --nvml "$top/build/$V/e2e/node/fakenvml.so"
	start_daemon --beat-period 1s --metrics-bind-address 127.0.0.1:9401
	it "NVLinks and versions that NVIDIA's library tells are reported" within 20 reported
	it "temperatures are measured" within 5 measured
	library 'hang DeviceGetUUID'
	it "a reading hangs, and has the card open" within 60 reading
	order vfio $a10=10de:2236
	it "its card is taken all the same" within 20 taken
	it "without waiting for the reading" no_wait
	it "what the library said of its links stays, and what changes does not" within 20 is_off
	hold /dev/nvidia-$h100
	order vfio $a10=10de:2236 $h100=10de:2321
	it "a card that a process has open is left on NVIDIA's driver" within 15 says $h100 'is used by process [0-9]* (python3); it is taken when'
	let_go
	it "once nobody has it open it is taken from it" within 15 driver $h100 vfio-pci
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - who uses cards, in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
NVFAKE=driver=0 bash e2e/node/run.sh "$g" "$KUBECONFIG" || exit 1
shut
opened
hanging
read_by_nvml || it "a second guest" false
echo "1..$n"
exit $failed
