#!/bin/bash
# faults.sh: faults in a real kernel. vmgpu-node in a guest brings a card to vfio-pci and back, and makes the vGPUs of another and removes
# them; it is killed before and behind each of its writes to /sys and to its journal, and at some of them the guest loses its power,
# with the journal on a disk. Whoever starts then must come to the same end. Prints TAP.
#
# Variables:
#   V=dev|asan  build of vmgpu-node
#   EVERY=N     power is lost at each N-th write (3)
#   ONLY=TEXT   only faults whose words have this part, e.g. "power-after bound"
#   TAIL=N      lines of the daemon's log after a failure (5)
set -uo pipefail
prog=node/faults.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
V=${V:-dev}
make -s V="$V" "build/$V/vmgpu-node" && make -s build/cutoff.so || exit 1
node=$top/build/$V/vmgpu-node
socket=/run/vmgpu/tool.sock
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
	get '{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	guest 'tail -${TAIL:-5} /tmp/node.log' | sed 's/^/# log: /'
}

l40s=0000:02:00.0 h100=0000:81:00.0

# boot: with the same disk each time, on which the journal is
boot() {
	[ ! -d "$g" ] || bash e2e/node/stop.sh "$g"
	VFS=4 CARD=nvme,serial=card MASK=$l40s=10de:26b9:030200,$h100=10de:2321:030200 NVFAKE="vgpu=none ready_ms=0 card=$l40s=vfio:equal" \
		QEMU_ARGS="-drive file=$work/disk,if=none,id=journal,format=raw -device virtio-blk-pci,bus=pcie.0,addr=14.0,drive=journal" \
		bash e2e/node/run.sh "$g" "$KUBECONFIG" || return 1
	guest "modprobe -d $cache/node/kernel -a virtio_blk ext4 && mkdir -p /run/journal && mount -t ext4 /dev/vda /run/journal" || return 1
	guest "echo $h100 >/sys/bus/pci/devices/$h100/driver/unbind" # whether anybody uses it on the fake driver nobody can say
	guest "(exec python3 $here/tool.py $socket >>/tmp/tool.log 2>&1) & while [ ! -S $socket ]; do sleep 0.1; done"
}
is_off() { ! alive "$(cat "$g/qemu.pid")" "$g"; }

# The four ends that are ordered, in turn; each has an order and what is then true in the guest.
order() { # UNIT...
	local IFS=,
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"term\": 1, \"permittedTypes\": [], \"units\": [$*]}}" >/dev/null
}
unit() { echo "{\"id\": \"$1\", \"device\": \"$2\", \"want\": \"$3\"${4:-}}"; }
slots=', "vfs": 4, "slots": [{"vf": "0000:02:00.1", "type": "NVIDIA L40S-12Q"}, {"vf": "0000:02:00.2", "type": "NVIDIA L40S-12Q"}]'
order_bound() { order "$(unit $h100 10de:2321 vfio)"; }
order_loose() { order "$(unit $h100 10de:2321 host)"; }
order_made() { order "$(unit $l40s 10de:26b9 vgpu "$slots")"; }
order_whole() { order "$(unit $l40s 10de:26b9 vgpu ', "vfs": 0')"; }
reached_bound() { driver $h100 vfio-pci; }
reached_loose() { driver $h100 - && [ "$(guest "cat /sys/bus/pci/devices/$h100/driver_override")" = '(null)' ]; }
reached_made() { [ "$(guest "cat /sys/bus/pci/devices/$l40s/virtfn*/nvidia/current_vgpu_type" 2>/dev/null | xargs)" = '1153 1153 0 0' ]; }
reached_whole() { [ "$(guest "cat /sys/bus/pci/devices/$l40s/sriov_numvfs")" = 0 ]; }
before() { case $1 in bound) echo loose ;; loose) echo bound ;; made) echo whole ;; whole) echo made ;; esac }

daemon="$node --node-name gpu-node --lease-namespace default --device-plugins= --tool-socket $socket --state-dir /run/journal/state --kubeconfig $g/kubeconfig"
start_daemon() { guest "($daemon >>/tmp/node.log 2>&1) & echo \$! >/tmp/node"; }
stop_daemon() { guest 'kill -TERM $(pidof vmgpu-node); while pidof vmgpu-node >/dev/null; do sleep 0.1; done' >/dev/null; }
# end_at KIND N: a daemon that comes to its end at its N-th write, or after half a minute
end_at() {
	guest "rm -f /tmp/cutoff; CUTOFF=/tmp/cutoff:/run/journal/state:$1:$2 LD_PRELOAD=$top/build/cutoff.so timeout ${3:-30} $daemon >>/tmp/node.log 2>&1; true" >/dev/null 2>&1
}
not_quarantined() { ! get '{.status.units[*].conditions[?(@.type=="Quarantined")].status}' | grep -q True; }

# reach END: by a daemon without a fault, which goes then
reach() {
	start_daemon
	within 120 "reached_$1" && within 10 not_quarantined || return 1
	stop_daemon
}

# writes END: so many it makes on the way there, from where the other end is
writes() {
	"order_$1"
	guest "rm -f /tmp/cutoff; (CUTOFF=/tmp/cutoff:/run/journal/state:count:0 LD_PRELOAD=$top/build/cutoff.so $daemon >>/tmp/node.log 2>&1) &"
	within 120 "reached_$1" >&2
	nap 3
	stop_daemon
	guest 'od -An -td4 -N4 /tmp/cutoff' | xargs
}

killed_at() { # END KIND N
	"order_$1"
	end_at "$2" "$3"
	reach "$1"
}

without_power_at() { # END KIND N
	"order_$1"
	end_at "$2" "$3" &
	within 90 is_off
	kill $! 2>/dev/null
	boot && reach "$1"
}

# fault END KIND N: one on the way there, from where the other end is
fault() {
	local text="$2 $1 $3" how=killed_at
	[[ $text == *"${ONLY:-}"* ]] || return 0
	[[ $2 == kill* ]] || how=without_power_at
	"reached_$(before "$1")" || { "order_$(before "$1")" && reach "$(before "$1")"; } >/dev/null
	it "$text" $how "$@"
}

# faults_between END OTHER: each of the writes on the way to either
faults_between() {
	local there back i kind end
	there=$(writes "$1")
	back=$(writes "$2")
	say "$there writes until $1, $back until $2"
	for ((i = 1; i <= (there > back ? there : back); i++)); do
		for kind in kill-before kill-after "power-$([ $((i % 2)) = 0 ] && echo after || echo before)"; do
			[[ $kind == kill* ]] || [ $((i % ${EVERY:-3})) = 0 ] || continue
			[ $i -gt "$there" ] || fault "$1" "$kind" $i
			[ $i -gt "$back" ] || fault "$2" "$kind" $i
		done
	done
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - faults in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
truncate -s 64M "$work/disk" && mke2fs -q -t ext4 "$work/disk" || exit 1
WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster" || exit 1
# shellcheck source=/dev/null
. "$work/cluster/env"
kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
boot || exit 1
start_daemon
within 20 get '{.status.units[0].id}' >/dev/null
order_loose
stop_daemon
faults_between bound loose
faults_between made whole
echo "1..$n"
exit $failed
