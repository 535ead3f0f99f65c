#!/bin/bash
# given.sh: GPUs of a real kernel given to virtual machines, and taken back. vmgpu-node runs as the pod of the chart on a guest that is
# a node of a cluster (join.sh), the controller beside it; virt-controller's launchers get the GPUs, and vfioprobe in them opens them. Prints TAP.
#
# Variables:
#   CYCLES=N   how often a machine is made, stopped, started and deleted (2)
#   V=release  build of vmgpu-node
#   PATIENCE=N seconds that each thing may take (90)
set -uo pipefail
prog=node/given.sh
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$top/e2e/node/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
V=${V:-dev}
make -s V=dev build/dev/vmgpu-controller && make -s V="$V" "build/$V/vmgpu-node" || exit 1
work=$(mktemp -d)
state=$work/cluster g=$work/guest ns=tenant n=0 failed=0

clean() {
	[ -z "$controller" ] || kill -KILL "$controller" 2>/dev/null
	bash e2e/node/stop.sh "$g"
	bash e2e/cluster/down.sh "$state"
	rm -rf "$work"
}
trap clean EXIT

unit() { get "{.status.units[?(@.id==\"$1\")]$2}"; } # ADDRESS PATH
after_failure() {
	get '{range .status.units[*]}{.id} {.driver} {.holder}: {.conditions[*].message}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | sed 's/^/# /'
	kubectl get pods -A -o wide --no-headers | cut -c1-150 | sed 's/^/# /'
	hands 2>&1 | cut -c1-300 | sed 's/^/# hands: /'
}

counts() { [ "$(kubectl get node gpu-node -o "jsonpath={.status.allocatable.nvidia\\.com/$1}")" = "$2" ]; } # NAME NUMBER
status_of() { guest "grep -hE '^($2):' /proc/\$(pgrep -f '$1' | head -1)/status | tr -s '\\t' ' ' | tr '\\n' ' '"; } # COMMAND FIELDS
# roots: how the containers' own files are mounted, one a line
roots() { guest "for c in '/usr/bin/vmgpu-node --sys' 'vmgpu-node observe'; do awk '\$5 == \"/\" { print \$6 }' /proc/\$(pgrep -f \"\$c\" | head -1)/mountinfo; done"; }
held() { [ "$(unit "$1" .holder.vm)" = "$2" ]; } # ADDRESS VM
order() { # WANT ADDRESS DEVICE: in the place of a controller
	kubectl patch gpunode gpu-node --type=merge -p "{\"spec\": {\"units\": [{\"id\": \"$2\", \"device\": \"$3\", \"want\": \"$1\"}]}}" >/dev/null
}
waits_for() { unit "$1" '.conditions[?(@.type=="Available")].message' | grep -q "$2"; }

as_a_pod() {
	it "the pod of the chart runs" soon available
	start_controller --leader-elect=false
	it "its hands have no capability, no way to get one, and the runtime's filter of system calls" \
		eval 'soon [ -n "$(status_of "/usr/bin/vmgpu-node --sys" CapEff)" ] && [ "$(status_of "/usr/bin/vmgpu-node --sys" "CapEff|NoNewPrivs|Seccomp")" = "CapEff: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 " ]'
	it "its eyes have the two that they need" eval '[ "$(status_of "vmgpu-node observe" "CapEff|NoNewPrivs|Seccomp")" = "CapEff: 0000000000080004 NoNewPrivs: 1 Seccomp: 2 " ]'
	it "neither can write outside its folders" eval '[ "$(roots | grep -c "^ro\(,\|\$\)")" = 2 ]'
	it "what no driver has is brought to vfio-pci, and the kubelet counts it" soon counts GA100_A100_PCIE_80GB 1
	it "two cards of a group are one device" soon counts TU104GL_TESLA_T4 1
}

given() {
	local card=0000:02:00.0
	vm one GA100_A100_PCIE_80GB
	it "a virtual machine that asks for a GPU gets it: its launcher opens it, maps memory for it and resets it" \
		soon says "^$card is 10de:20b5, in group [0-9]+; memory mapped, reset$" one
	it "the report says which machine has it" soon held $card vm-instance-one
	stop_controller
	order host $card 10de:20b5
	it "ordered back to the host while a machine has it, it stays, and the report says who has it" soon waits_for $card "pod $ns/virt-launcher-vm-instance-one-[a-z0-9]* has it"
	it "its driver too" driver $card vfio-pci
	order vfio $card 10de:20b5
	start_controller --leader-elect=false
	kubectl -n vmgpu-system delete pod -l app.kubernetes.io/name=vmgpu-node >/dev/null
	it "vmgpu-node's pod is deleted, and another one takes its place" soon available
	it "which knows who has it" soon held $card vm-instance-one
	delete_vm one
	it "the machine is deleted: its GPU is free" soon held $card ''
	it "and was reset" eval '[ "$(unit '$card' .lastReset.method | grep -o flr)" = flr ]'
}

power() { kubectl -n $ns patch vminstances.apps.cozystack.io "$1" --type=merge -p "{\"spec\": {\"runStrategy\": \"$2\"}}" >/dev/null; } # VM STRATEGY
given_back() { held "$1" '' && [ "$(unit "$1" .lastReset.at)" != "$2" ]; } # ADDRESS and when it was last reset before
nothing_left() {
	[ -z "$(kubectl -n $ns get pods,virtualmachineinstances.kubevirt.io,virtualmachines.kubevirt.io,vminstances.apps.cozystack.io -o name)" ] &&
		! guest "$g/kubelet/bin/nodekit resources" | grep -q nvidia.com && counts GA100_A100_PCIE_80GB 1
}
cycles() {
	local i card=0000:02:00.0 at
	for i in $(seq "${CYCLES:-2}"); do
		at=$(unit $card .lastReset.at)
		vm "turn$i" GA100_A100_PCIE_80GB
		it "turn $i: the next machine gets it" soon says "^$card is 10de:20b5" "turn$i"
		power "turn$i" Halted
		it "turn $i: stopped, it has it no more: it is reset, and free" soon given_back $card "$at"
		at=$(unit $card .lastReset.at)
		power "turn$i" Always
		it "turn $i: started, it gets it again" soon says "^$card is 10de:20b5" "turn$i"
		delete_vm "turn$i"
		it "turn $i: deleted, it is reset again, and free" soon given_back $card "$at"
	done
	it "nothing is left of them: no pod, no machine, and the kubelet has given nothing" soon nothing_left
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - GPUs given to virtual machines # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
NVFAKE=driver=0 CARD=nvme,serial=card a_node || { echo "not ok 1 - a node with GPUs" && exit 1; }
as_a_pod
[ $failed = 0 ] || { echo "1..$n" && exit 1; } # nothing is given without it
given
cycles
echo "1..$n"
exit $failed
