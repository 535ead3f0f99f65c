#!/bin/bash
# test.sh: vmgpu-node in guests with a real kernel. What it reports once is held against what that kernel's own tools say; then what
# becomes of a card when its driver changes, what hotplug does to the report of the running daemon on a cluster, and how soon; a
# machine without IOMMU; both vGPU interfaces. Prints TAP.
set -uo pipefail
prog=node/test.sh
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$here/../lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
top=$(cd "$here/../.." && pwd)
cd "$top" || exit 1
make -s build/dev/vmgpu-node || exit 1
node=$top/build/dev/vmgpu-node
work=$(mktemp -d)
n=0 failed=0

clean() {
	for g in "$work"/guest-*; do [ ! -d "$g" ] || bash e2e/node/stop.sh "$g"; done
	[ ! -d "$work/cluster" ] || bash e2e/cluster/down.sh "$work/cluster"
	rm -rf "$work"
}
trap clean EXIT

# guest NAME COMMAND...: a shell command in that guest
guest() {
	local name=$1
	shift
	bash e2e/node/guest.sh "$work/guest-$name" sh -c "$*"
}

stop() { # NAME
	bash e2e/node/stop.sh "$work/guest-$1"
	rm -rf "$work/guest-$1"
}

# report NAME: what the program says in that guest, as JSON in $work/report.json
report() { guest "$1" "$node --once --node-name gpu-node -o json" >"$work/report.json"; }

# look NAME: that, and what the guest's own tools say
look() {
	report "$1" && guest "$1" 'lspci -Dnnk' >"$work/lspci" && guest "$1" 'cd /sys/bus/pci/devices && ls -l */iommu_group && grep . */numa_node' >"$work/sysfs"
}

# seen EXPRESSION: true, in Python, of what look saw: the report's status s, its units u by id with the reason why each is or is not
# available, their functions f by address; the kernel's gpus {address: id}, drivers, groups and NUMA nodes by address
seen() {
	python3 - "$work" "$1" <<'PY'
import json, re, sys
work, expression = sys.argv[1:]
s = json.load(open(work + "/report.json"))["status"]
l = open(work + "/lspci").read()
sysfs = open(work + "/sysfs").read()
groups = dict(re.findall(r"(\S+)/iommu_group -> \S+/(\d+)$", sysfs, re.M))
numa = {a: int(x) for a, x in re.findall(r"^(\S+)/numa_node:(-?\d+)$", sysfs, re.M)}
u = {x["address"]: x for x in s.get("units", [])}
gpus = {a: i for a, i in re.findall(r"^(\S+) (?:3D|VGA)[^\n]*\[(10de:[0-9a-f]{4})\]", l, re.M)}
drivers = dict(re.findall(r"^(\S+) [^\n]*\n(?:\t(?!Kernel driver)[^\n]*\n)*\tKernel driver in use: (\S+)", l, re.M))
f = {x["address"]: x for unit in u.values() for x in unit["functions"]}
for x in u.values():
    x["why"], x["says"] = x["conditions"][0]["reason"], x["conditions"][0]["message"]
    x["available"] = x["conditions"][0]["status"] == "True"
if not eval(expression):
    print(expression, "GPUs by lspci: %s" % gpus, json.dumps(s, indent=1), sep="\n")
    sys.exit(1)
PY
}

# says NAME EXPRESSION: reports, and that is true of it
says() { report "$1" && seen "$2"; }

# bind ADDRESS DRIVER: in guest a
bind() {
	guest a "d=/sys/bus/pci/devices/$1; modprobe $2; echo $2 >\$d/driver_override; [ ! -e \$d/driver ] || echo $1 >\$d/driver/unbind; echo $1 >/sys/bus/pci/drivers_probe"
}
unbind() { guest "$1" "d=/sys/bus/pci/devices/$2; [ ! -e \$d/driver ] || echo $2 >\$d/driver/unbind"; } # NAME ADDRESS

# --- a: as a machine is delivered -------------------------------------------------------------------------------------
scanned() {
	look a
	it "every GPU that lspci shows is reported with its id, and nothing else" \
		seen '{a: x["vendorID"] + ":" + x["deviceID"] for a, x in f.items() if x["role"] == "gpu"} == gpus and len(gpus) == 6'
	it "each function's driver is the one that lspci shows" seen 'all(x.get("driver") == drivers.get(a) for a, x in f.items())'
	it "names are those of the table: L40S, A100, H100" \
		seen '[u["0000:" + a]["name"] for a in ("01:00.0", "02:00.0", "81:00.0")] == ["nvidia.com/AD102GL_L40S", "nvidia.com/GA100_A100_PCIE_80GB", "nvidia.com/GH100_H100L_94GB"]'
	it "the audio function of the L40S is its companion, not a card" seen 'f["0000:01:00.1"]["role"] == "audio" and "0000:01:00.1" not in u'
	it "two cards in one IOMMU group are one unit" seen 'sorted(x["address"] for x in u["0000:84:00.0"]["functions"]) == ["0000:84:00.0", "0000:85:00.0"]'
	it "IOMMU groups and their members are the kernel's" \
		seen 'len(groups) > len(u) and all(str(x["iommuGroup"]["id"]) == groups[a] and set(x["iommuGroup"]["members"]) == {b for b, g in groups.items() if g == groups[a]} for a, x in u.items())'
	it "NUMA nodes are the kernel's, and unsaid where it knows none" seen 'all(x.get("numaNode", -1) == numa[a] for a, x in u.items())'
	it "the A100 says that it can be cut into virtual functions" seen 'u["0000:02:00.0"]["sriov"]["totalVFs"] == 4'
	it "a card on the host's driver is not available, with the remedy" seen 'all(x["why"] == "HostDriver" and "vfio-pci" in x["says"] for x in u.values())'
}

drivers_change() {
	bind 0000:81:00.0 vfio-pci
	bind 0000:01:00.0 vfio-pci
	unbind a 0000:02:00.0
	bind 0000:84:00.0 vfio-pci
	report a
	it "a card that is bound to vfio-pci is available" seen 'u["0000:81:00.0"]["why"] == "Idle" and u["0000:81:00.0"]["mode"] == "vfio"'
	it "a card without a driver is available" seen 'u["0000:02:00.0"]["available"] and f["0000:02:00.0"]["driver"] == ""'
	it "a card whose audio function is still on the host is not available" \
		seen 'u["0000:01:00.0"]["why"] == "CompanionOnHost" and "snd_hda_intel" in u["0000:01:00.0"]["says"]'
	it "of two cards in one group, one of them bound, neither is available" \
		seen 'u["0000:84:00.0"]["why"] == "HostDriver" and "0000:85:00.0" in u["0000:84:00.0"]["says"]'
	bind 0000:01:00.1 vfio-pci
	unbind a 0000:85:00.0
	report a
	it "once both are bound it is available" seen 'u["0000:01:00.0"]["why"] == "Idle" and len(u["0000:01:00.0"]["functions"]) == 2'
	it "once the other of the group has no driver, both are available" seen 'u["0000:84:00.0"]["available"]'
}

machine() {
	bash e2e/node/run.sh "$work/guest-a" ${KUBECONFIG:+"$KUBECONFIG"} || return 1
	scanned
	drivers_change
	if [ -n "${KUBECONFIG:-}" ]; then on_cluster; else it "a cluster comes up for the daemon" false; fi
	stop a
}

# --- a, on a cluster --------------------------------------------------------------------------------------------------
column() { kubectl get gpunode gpu-node -o "jsonpath=$1" 2>/dev/null; }
names() { column '{.status.summary.names}' | grep -q "$1"; }
no_names() { column '{.status.summary.names}' | grep -qv "$1"; }
owned() { [ "$(column '{.metadata.ownerReferences[0].uid}')" = "$(kubectl get node gpu-node -o 'jsonpath={.metadata.uid}')" ]; }
beaten() { [ "$(kubectl get lease node-gpu-node -n default -o 'jsonpath={.spec.holderIdentity}')" = gpu-node ]; }

# soon EVENT: the kernel's event is at most half a second older than the API server's answer to the report that it caused
soon() {
	guest a 'cat /tmp/events /tmp/node.log' >"$work/times"
	python3 - "$work/times" "$1" <<'PY'
import datetime, json, sys
events, writes = [], []
for line in open(sys.argv[1]):
    if line.startswith("{"):
        e = json.loads(line)
        if e["msg"] == "the machine has changed":
            writes.append(datetime.datetime.fromisoformat(e["ts"].replace("Z", "+00:00")).timestamp())
    elif sys.argv[2] in line:
        events.append(float(line.split()[0]))
after = [w for w in writes if events and w >= events[-1]]
print("# event %s, written after %s s" % (events[-1:], [round(w - events[-1], 3) for w in after]))
sys.exit(not after or after[0] - events[-1] > 0.5)
PY
}

quiet() {
	local before
	before=$(column '{.metadata.resourceVersion}')
	guest a 'echo change >/sys/bus/pci/devices/0000:81:00.0/uevent && echo change >/sys/bus/pci/devices/0000:02:00.0/uevent' || return 1
	sleep 2
	[ -n "$before" ] && [ "$before" = "$(column '{.metadata.resourceVersion}')" ]
}

# For people: the report, and what the guest's own tools say.
beside_each_other() {
	{
		kubectl get gpunodes -o wide
		kubectl get gpunode gpu-node -o yaml
		guest a 'lspci -Dnnk -d 10de:; for d in /sys/kernel/iommu_groups/*/devices; do g=${d%/devices}; echo "group ${g##*/}: $(ls $d | tr "\n" " ")"; done'
	} | sed 's/^/# /'
}

ended_well() { guest a 'grep -qx "ended 0" /tmp/node.log'; }

on_cluster() {
	kubectl create -f - >/dev/null <<'Y'
{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-node"}}
Y
	cat >"$work/listen.py" <<'PY'
import socket, time
s = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15)
s.bind((0, 1))
while True:
    print("%.3f" % time.time(), s.recv(65536).split(b"\0")[0].decode(), flush=True)
PY
	guest a "python3 $work/listen.py >/tmp/events 2>&1 & ($node --node-name gpu-node --kubeconfig $work/guest-a/kubeconfig --lease-namespace default >/tmp/node.log 2>&1; echo ended \$? >>/tmp/node.log) &"
	it "on a cluster the daemon makes the GPUNode and reports" within 20 names AD102GL_L40S
	beside_each_other
	it "it is owned by the Node" owned
	it "the daemon beats" within 5 beaten
	it "events that change nothing write nothing" quiet
	bash e2e/node/slot.sh "$work/guest-a" out
	it "a card that is pulled leaves the report" within 15 no_names GA102GL_A10
	it "a card that is pulled leaves the report within half a second of the kernel's event" soon remove@/devices/pci0000:00/0000:00:02.2/0000:03:00.0
	it "a card that is pulled is gone from what a new look reports" says a '"0000:03:00.0" not in u and len(u) == 4'
	bash e2e/node/slot.sh "$work/guest-a" in
	it "another model that is plugged in appears" within 15 names GV100GL_TESLA_V100
	it "another model that is plugged in is reported by its own id" says a 'u["0000:03:00.0"]["deviceID"] == "1db6"'
	kubectl delete gpunode gpu-node >/dev/null
	it "a GPUNode that somebody deletes comes back" within 15 names AD102GL_L40S
	kubectl get gpunodes -o wide | sed 's/^/# /'
	guest a 'kill -TERM $(pidof vmgpu-node)'
	it "told to end it ends well" within 10 ended_well
}

# --- b, c: vGPUs, and a machine without IOMMU -------------------------------------------------------------------------
vendor() {
	NVFAKE='vgpu=vfio ready_ms=0 types=588:NVIDIA-A100D-4C:4,589:NVIDIA-A100D-8C:8' bash e2e/node/run.sh "$work/guest-b" || return 1
	guest b '/usr/lib/nvidia/sriov-manage -e 0000:02:00.0; echo 588 >/sys/bus/pci/devices/0000:02:00.0/virtfn1/nvidia/current_vgpu_type'
	report b
	it "vendor VFIO: a vGPU stands in its slot, the others are free" \
		seen '(lambda x: x["vgpuFramework"] == "vendor-vfio" and x["mode"] == "vgpu" and x["sriov"]["numVFs"] == 4 and [bool(t.get("type")) for t in x["slots"]] == [False, True, False, False])(u["0000:02:00.0"])'
	it "vendor VFIO: virtual functions are no units of their own" seen 's["summary"]["gpus"] == 6'
	guest b 'echo 0 >/sys/bus/pci/devices/0000:02:00.0/virtfn1/nvidia/current_vgpu_type; /usr/lib/nvidia/sriov-manage -d 0000:02:00.0'
	it "vendor VFIO: without virtual functions the card is the host's again" says b 'u["0000:02:00.0"]["mode"] == "host" and "slots" not in u["0000:02:00.0"]'
	stop b
}

mediated() {
	local uuid=11111111-2222-4333-8444-555555555555
	NVFAKE='vgpu=mdev ready_ms=0 types=588:NVIDIA-A100D-4C:4' KERNEL_ARGS=intel_iommu=off bash e2e/node/run.sh "$work/guest-c" || return 1
	unbind c 0000:81:00.0
	report c
	it "without an IOMMU a card is available for mediated devices only, and the reason says so" \
		seen '{a for a, x in u.items() if not x["available"] and "IOMMU" in x["says"]} == {"0000:02:00.0", "0000:81:00.0"} and {x["why"] for x in u.values()} == {"NoIOMMU", "VGPUs"}'
	it "without an IOMMU the node says what is missing" seen 's["nodeInfo"]["iommu"].startswith("none: the firmware offers an Intel IOMMU")'
	guest c '/usr/lib/nvidia/sriov-manage -e 0000:02:00.0'
	guest c "for t in /sys/bus/pci/devices/0000:02:00.0/virtfn2/mdev_supported_types/*; do echo $uuid >\$t/create; break; done"
	it "mdev: the device stands in its slot with type and uuid" says c \
		"(lambda x: x['vgpuFramework'] == 'mdev' and [t.get('uuid') for t in x['slots']] == [None, None, '$uuid', None] and x['slots'][2]['type'])(u['0000:02:00.0'])"
	stop c
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - the scan in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
	exit 0
fi
if [ -z "${KUBECONFIG:-}" ] && WITHOUT_KUBEVIRT=1 bash e2e/cluster/up.sh "$work/cluster"; then
	# shellcheck source=/dev/null
	. "$work/cluster/env"
fi
machine || it "guest a boots" false
vendor || it "guest b boots" false
mediated || it "guest c boots" false
echo "1..$n"
exit $failed
