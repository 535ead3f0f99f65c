#!/bin/bash
# vgpus.sh: seed 003 (e2e/data/seeds) in a real kernel, as an admin of Harvester goes through it: an A2 gets its virtual functions, four of them
# vGPUs, a virtual machine two of these; then the power fails and comes back. First with mediated devices, then, with another version of the
# driver on the same node, with NVIDIA's own VFIO interface. vmgpu-node is a pod of a guest that is a node of a cluster, with a container that
# has the vendor's tool. What kubectl shows is held against the seed's pages, with this machine's addresses in the place of theirs. Prints TAP,
# and the story as comments.
#
# Variables:
#   V=release   build of vmgpu-node
#   PATIENCE=N  seconds that each thing may take (240; 30 where nobody else needs the cores)
#   TAIL=N      lines of the daemon's log after a failure (6)
set -uo pipefail
prog=node/vgpus.sh
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
# shellcheck source-path=SCRIPTDIR source=test-lib.sh
. "$here/test-lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
cd "$top" || exit 1
V=${V:-dev} PATIENCE=${PATIENCE:-240}
make -s V=dev build/dev/vmgpu-controller && make -s V="$V" "build/$V/vmgpu-node" || exit 1
work=$(mktemp -d)
state=$work/cluster g=$work/guest ns=tenant n=0 failed=0
card=0000:02:00.0 sriov=gpu-node-000002000 device=gpu-node-00000200

clean() {
	[ -z "$controller" ] || kill -KILL "$controller" 2>/dev/null
	bash e2e/node/stop.sh "$g"
	bash e2e/cluster/down.sh "$state"
	rm -rf "$work"
}
trap clean EXIT

tell() { printf '# %3d s: %s\n' "$SECONDS" "$*"; }
show() { sed 's/^/#        /' | cut -c1-190; }
after_failure() {
	get '{range .status.units[*]}{.id} {.driver} {.sriov}: {.conditions[*].message}{"\n"}{range .slots[?(@.type)]}{.vf}={.type}={.holder} {end}{"\n"}{end}{.status.conditions[*].message}{"\n"}' | show
	kubectl get vgpudevices,sriovgpudevices -o 'jsonpath={range .items[?(@.status.conditions)]}{.metadata.name}: {.status.conditions[*].message}{"\n"}{end}' | show
	kubectl get pods -A -o wide --no-headers | show
	hands 2>&1 | show
}

# --- the seed's pages ----------------------------------------------------------------------------------------------------------

# ours: its node and addresses as they are here. There the first virtual function is .4, here .1: QEMU's card has them right behind itself
ours() {
	local i script='s/harvester-kgd9c/gpu-node/g; s/08:00\.0/02:00.0/g; s/000008000/000002000/g'
	for i in {0..15}; do
		script+="; s/08:0$(((i + 4) / 8))\\.$(((i + 4) % 8))/02:0$(((i + 1) / 8)).$(((i + 1) % 8))/g"
		script+="; s/0000080$(((i + 4) / 8))$(((i + 4) % 8))/0000020$(((i + 1) / 8))$(((i + 1) % 8))/g"
	done
	sed "$script"
}

# plain UUID: an object in YAML or JSON without what the server sets and what is ours alone, and with the word UUID where it is one
plain() {
	kubectl create --dry-run=client -o json -f - | python3 -c '
import json, sys
o = json.load(sys.stdin)
for key in "creationTimestamp", "generation", "resourceVersion", "uid", "managedFields", "annotations", "finalizers", "ownerReferences":
    o["metadata"].pop(key, None)
if "uuid" in o.get("status", {}):
    o["status"]["uuid"] = sys.argv[1]
print(json.dumps(o, indent=1, sort_keys=True))' "$1"
}
# like_the_page KIND NAME PAGE
like_the_page() { diff <(ours <"e2e/data/seeds/$3" | plain uuid) <(kubectl get "$1" "$2" -o json | plain uuid); }

# What the seed's "kubectl get vgpudevices" shows; what stands for the UUID is a face's
listing() {
	ours <<'T' | sed "s/UUID-A/$1/; s/UUID-Q/$2/" | tr -s ' '
NAME ADDRESS NODE NAME ENABLED UUID VGPUTYPE PARENTGPUDEVICE
harvester-kgd9c-000008004 0000:08:00.4 harvester-kgd9c true UUID-A NVIDIA A2-4A 0000:08:00.0
harvester-kgd9c-000008005 0000:08:00.5 harvester-kgd9c true UUID-Q NVIDIA A2-4Q 0000:08:00.0
harvester-kgd9c-000008006 0000:08:00.6 harvester-kgd9c true UUID-A NVIDIA A2-4A 0000:08:00.0
harvester-kgd9c-000008007 0000:08:00.7 harvester-kgd9c true UUID-Q NVIDIA A2-4Q 0000:08:00.0
harvester-kgd9c-000008010 0000:08:01.0 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008011 0000:08:01.1 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008012 0000:08:01.2 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008013 0000:08:01.3 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008014 0000:08:01.4 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008015 0000:08:01.5 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008016 0000:08:01.6 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008017 0000:08:01.7 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008020 0000:08:02.0 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008021 0000:08:02.1 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008022 0000:08:02.2 harvester-kgd9c false 0000:08:00.0
harvester-kgd9c-000008023 0000:08:02.3 harvester-kgd9c false 0000:08:00.0
T
}
uuid='[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
listed() { # FACE
	if [ "$1" = mdev ]; then
		diff <(listing UUID UUID) <(kubectl get vgpudevices | sed -E "s/$uuid/UUID/" | tr -s ' ')
	else
		diff <(listing 751 746) <(kubectl get vgpudevices | tr -s ' ')
	fi
}

# The seed's three lines, and of no other type of the card there is one
allocatable() { kubectl get node gpu-node -o json | python3 -c 'import json, sys; print(*sorted("%s: \"%s\"" % i for i in json.load(sys.stdin)["status"]["allocatable"].items() if "A2-" in i[0]), sep="\n")'; }
allocatable_is() { diff <(printf 'nvidia.com/NVIDIA_A2-%s\n' "$@") <(allocatable | grep -e ': "[1-9]' -e 'A2-4'); }

# --- what is asked -------------------------------------------------------------------------------------------------------------

patch() { kubectl patch "$1" "$2" --type=merge -p "{\"spec\": $3}" >/dev/null; }
enable() { patch vgpudevices "$device$1" "{\"enabled\": true, \"vGPUTypeName\": \"NVIDIA A2-$2\"}"; } # FUNCTION TYPE
field() { kubectl get "$1" "$2" -o "jsonpath=$3"; }                                                      # KIND NAME PATH
is() { # EXPECTED COMMAND...
	local got
	got=$("${@:2}")
	[ "$got" = "$1" ] || { echo "$got" && return 1; }
}
available_types() { # FUNCTION EXPECTED: with the numbers of their ids, which are nvidia-751 where they are mediated devices
	is "$2" eval "field vgpudevice $device$1 '{.status.availableTypes}' | tr -d '{}\"' | sed 's/nvidia-//g; s/NVIDIA A2-//g'"
}
refused() { field "$1" "$2" '{.status.conditions[*].message}' | grep -E "$3"; } # KIND NAME EXPRESSION
functions() { is "$1 $1 " eval "guest 'cd /sys/bus/pci/devices/$card && cat sriov_numvfs && ls | grep -c ^virtfn' | tr '\n' ' '"; }
no_functions() { functions 0 && [ -z "$(kubectl get vgpudevices -o name)" ]; }
kernel_has() { # FACE: how many vGPUs
	if [ "$1" = mdev ]; then guest 'ls /sys/bus/mdev/devices | wc -l'; else guest "cat /sys/bus/pci/devices/$card/virtfn*/nvidia/current_vgpu_type | grep -vc '^0$'"; fi
}
uuids() { kubectl get vgpudevices -o 'jsonpath={range .items[?(@.status.uuid)]}{.metadata.name} {.spec.vGPUTypeName} {.status.uuid}{"\n"}{end}'; }
devices_of() { says '^[^ ]* is [^ ]*, in group [0-9]+; memory mapped' "$1" | cut -d' ' -f1 | sort -u; } # VM: what its launcher has opened
has_both_of() { [ "$(devices_of "$2" | tr '\n' ' ')" = "$(q_devices "$1" | tr '\n' ' ')" ]; }             # FACE VM
q_devices() { # FACE: what a launcher is told of the two 4Q
	if [ "$1" = mdev ]; then uuids | awk '/4Q/ {print $4}' | sort; else printf '%s\n' 0000:02:00.2 0000:02:00.4; fi
}
held() { [ "$(get '{range .status.units[*].slots[?(@.type=="NVIDIA A2-4Q")]}{.holder}{"\n"}{end}' | sed 's/-[^-]*$//' | sort -u)" = "$1" ]; } # HOLDER, without the pod's suffix

# --- the story -----------------------------------------------------------------------------------------------------------------

made() { # FACE
	it "$1: the card is there as an SRIOVGPUDevice, which is not enabled" soon is false field sriovgpudevice $sriov '{.spec.enabled}'
	it "$1: there is no virtual function of it, and no VGPUDevice" no_functions
	patch sriovgpudevice $sriov '{"enabled": true}'
	it "$1: enabled, it gets 16 virtual functions in the kernel" soon functions 16
	tell "SRIOVGPUDevice $sriov is enabled: $(guest "cat /sys/bus/pci/devices/$card/sriov_numvfs") virtual functions"
	it "$1: its object is the seed's page, with them in the seed's order" soon like_the_page sriovgpudevice $sriov 003-sriovgpudevice.yaml
	field sriovgpudevice $sriov '{.status.vfAddresses}' | show
	it "$1: each is there as a VGPUDevice, and may become any type of the card" soon available_types 1 "$all_types"
	enable 1 2X
	it "$1: a type that the card has not is refused, with those that it has" soon refused vgpudevice ${device}1 'NVIDIA A2-2X is not a valid profile .* has NVIDIA A2-1B, NVIDIA A2-2B'
}
all_types=16A:753,16C:756,16Q:748,1A:749,1B:742,1Q:744,2A:750,2B:743,2Q:745,4A:751,4C:754,4Q:746,8A:752,8C:755,8Q:747

configured() { # FACE
	enable 1 4A
	it "$1: one that is enabled with a profile is made; its object is the seed's page" soon like_the_page vgpudevice ${device}1 003-vgpudevice.yaml
	it "$1: it restricts the others to its size" soon available_types 2 4A:751,4C:754,4Q:746
	tell "VGPUDevice ${device}1 is enabled with $(field vgpudevice ${device}1 '{.status.configureVGPUTypeName}, uuid {.status.uuid}'); the others can be: $(field vgpudevice ${device}2 '{.status.availableTypes}')"
	enable 2 2Q
	it "$1: another size is refused, with what can be made" soon refused vgpudevice ${device}2 'NVIDIA A2-2Q cannot be made .*; what can be made: NVIDIA A2-4[QAC], NVIDIA A2-4[QAC], NVIDIA A2-4[QAC]$'
	enable 2 4Q
	enable 3 4A
	enable 4 4Q
	it "$1: with four, the listing is the seed's" soon listed "$1"
	kubectl get vgpudevices | head -7 | show
	it "$1: the kernel has four" is 4 kernel_has "$1"
	it "$1: the Node's allocatable has the seed's three lines" soon allocatable_is '4A: "2"' '4C: "0"' '4Q: "2"'
	tell "allocatable:"
	allocatable | show
	enable 5 4C
	it "$1: the card is full: a fifth is refused" soon refused vgpudevice ${device}5 'cannot be made .*what can be made: none: the card is full'
	it "$1: and nothing is offered on any other" available_types 6 ''
	tell "a fifth: $(refused vgpudevice ${device}5 .)"
	patch vgpudevice ${device}5 '{"enabled": false, "vGPUTypeName": ""}'
}

used() { # FACE
	local vm=$1-q
	vm "$1-a" NVIDIA_A2-4A NVIDIA_A2-4A
	it "$1: two of a series that a machine takes one of are refused, with the reason" soon eval "kubectl -n $ns get vminstances.apps.cozystack.io $1-a -o 'jsonpath={.status.conditions[?(@.type==\"Accepted\")].message}' | grep -E 'Q'"
	tell "two A2-4A in one machine: $(kubectl -n $ns get vminstances.apps.cozystack.io "$1-a" -o 'jsonpath={.status.conditions[?(@.type=="Accepted")].message}')"
	delete_vm "$1-a"
	vm "$vm" NVIDIA_A2-4Q NVIDIA_A2-4Q
	it "$1: a machine that asks for two of the Q series gets both: its launcher has opened them" soon has_both_of "$1" "$vm"
	says 'is .*, in group|from ' "$vm" | show
	it "$1: ramFB is on for the first only" is '[{"deviceName":"nvidia.com/NVIDIA_A2-4Q","name":"gpu1","virtualGPUOptions":{"display":{"enabled":true,"ramFB":{"enabled":true}}}},{"deviceName":"nvidia.com/NVIDIA_A2-4Q","name":"gpu2","virtualGPUOptions":{"display":{"enabled":false,"ramFB":{"enabled":false}}}}]' \
		kubectl -n $ns get vm "vm-instance-$vm" -o 'jsonpath={.spec.template.spec.domain.devices.gpus}'
	it "$1: the report says who has them" soon held "$ns/virt-launcher-vm-instance-$vm"
	patch vgpudevice ${device}2 '{"enabled": false}'
	it "$1: one in use is not disabled: it is refused, and says who has it" soon refused vgpudevice ${device}2 "^device ${device}2 is in use with vm vm-instance-$vm in namespace $ns"
	tell "disabled while in use: $(refused vgpudevice ${device}2 .)"
	patch sriovgpudevice $sriov '{"enabled": false}'
	it "$1: nor are the virtual functions" soon refused sriovgpudevice $sriov "in use|VGPUDevice|vGPU"
	tell "the card disabled: $(refused sriovgpudevice $sriov .)"
	it "$1: all is still there" eval "functions 16 && is 4 kernel_has $1 && has_both_of $1 $vm"
	patch sriovgpudevice $sriov '{"enabled": true}'
	enable 2 4Q
}

# again FACE VM WHAT: after the machine has come back; nobody does anything
again() {
	it "$3: 16 virtual functions by themselves" soon functions 16
	it "$3: the card's object is the seed's page" soon like_the_page sriovgpudevice $sriov 003-sriovgpudevice.yaml
	it "$3: the listing is the seed's" soon listed "$1"
	it "$3: the kernel has four" is 4 kernel_has "$1"
	it "$3: one of them is the seed's page" like_the_page vgpudevice ${device}1 003-vgpudevice.yaml
	it "$3: allocatable as before" soon allocatable_is '4A: "2"' '4C: "0"' '4Q: "2"'
	it "$3: the machine has started anew and has its two" soon has_both_of "$1" "$2"
	it "$3: the report says so" soon held "$ns/virt-launcher-vm-instance-$2"
	tell "$3:"
	kubectl get vgpudevices | head -5 | show
	allocatable | show
	says 'in group' "$2" | show
}

power_fails() { # TEXT [NVFAKE]
	tell "the power fails: $1"
	it "$1: the guest boots, and its kubelet comes back" env NVFAKE="${2:-}" bash e2e/node/run.sh --again "$g"
}

ended() { # FACE VM
	local i
	delete_vm "$2"
	it "$1: the machine is deleted: its vGPUs are free, and made anew" soon eval "held '' && is 4 kernel_has $1 && allocatable_is '4A: \"2\"' '4C: \"0\"' '4Q: \"2\"'"
	for i in 1 2 3 4; do patch vgpudevice $device$i '{"enabled": false, "vGPUTypeName": ""}'; done
	it "$1: disabled, all four go" soon is 0 kernel_has "$1"
	patch sriovgpudevice $sriov '{"enabled": false}'
	it "$1: the card disabled, the virtual functions go, and their objects" soon no_functions
}

# The vendor's tool beside vmgpu-node, in a container that has the machine's files and rights, as those of a driver have.
command='"/bin/busybox", "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "/bin/busybox", "chroot", "/host", "/usr/bin/python3"'
chart_values=(--set-json "node.driver={\"image\": \"busybox:local\", \"command\": [$command], \"args\": [\"$here/tool.py\", \"/run/vmgpu/tool.sock\"]}")

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - seed 003 in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
faces() { echo "vgpu=none ready_ms=1000 card=$card=$1:only=A2-"; }
VFS=16 MASK=$card=10de:25b6:030200 NVFAKE=$(faces mdev) a_node || { echo "not ok 1 - a node with an A2" && exit 1; }
start_controller --leader-elect=false
it "the pod of the chart runs, with the vendor's tool beside it" soon available
made mdev
configured mdev
used mdev
before=$(uuids)
power_fails "mediated devices, rebooted"
again mdev mdev-q "mediated devices, rebooted"
tell "UUIDs before and after: $(diff <(echo "$before") <(uuids) | grep -c '^>') of 4 are others, as Harvester's are after each boot"
power_fails "another version of the driver, with its own VFIO interface" "$(faces vfio)"
again vfio mdev-q "another version of the driver, with its own VFIO interface"
ended vfio mdev-q
made vfio
configured vfio
used vfio
power_fails "vendor VFIO, rebooted"
again vfio vfio-q "vendor VFIO, rebooted"
ended vfio vfio-q
tell "done"
echo "1..$n"
exit $failed
