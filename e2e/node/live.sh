#!/bin/bash
# live.sh: what test.sh does not hold still for. In a guest with a real kernel: what becomes of a card when its driver changes; on a
# cluster, what hotplug does to the report of the running daemon, and how soon; both vGPU interfaces. Prints TAP.
set -uo pipefail
prog=node/live.sh
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

# report NAME: what the program says in that guest, as JSON in $work/report.json
report() { guest "$1" "$node --once -o json" >"$work/report.json"; }

# says NAME EXPRESSION: true of the report `s` (the status) and `u` (units by id), in Python
says() {
	report "$1" && python3 - "$work/report.json" "$2" <<'PY'
import json, sys
s = json.load(open(sys.argv[1]))["status"]
u = {x["id"]: x for x in s["units"]}
for x in s["units"]:
    x["why"] = x["conditions"][0]["reason"]
s["why"] = s["conditions"][0]["reason"]
if not eval(sys.argv[2]):
    print(json.dumps(s, indent=1))
    sys.exit(1)
PY
}

# bind ADDRESS DRIVER: in guest a
bind() {
	guest a "d=/sys/bus/pci/devices/$1; modprobe $2; echo $2 >\$d/driver_override; [ ! -e \$d/driver ] || echo $1 >\$d/driver/unbind; echo $1 >/sys/bus/pci/drivers_probe"
}

# --- a: as a machine is delivered ------------------------------------------------------------------------------------
machine() {
	bash e2e/node/run.sh "$work/guest-a" ${KUBECONFIG:+"$KUBECONFIG"} || return 1
	bind 0000:81:00.0 vfio-pci
	it "a card that is bound to vfio-pci is available" says a 'u["0000:81:00.0"]["why"] == "Idle" and u["0000:81:00.0"]["mode"] == "vfio"'
	bind 0000:01:00.0 vfio-pci
	it "a card whose audio function is still on the host is not available" \
		says a 'u["0000:01:00.0"]["why"] == "CompanionOnHost" and "snd_hda_intel" in u["0000:01:00.0"]["conditions"][0]["message"]'
	bind 0000:01:00.1 vfio-pci
	it "once both are bound it is available" says a 'u["0000:01:00.0"]["why"] == "Idle" and len(u["0000:01:00.0"]["functions"]) == 2'
	it "of two cards in one group, one of them bound, neither is available" \
		eval "bind 0000:84:00.0 vfio-pci; says a 'u[\"0000:84:00.0\"][\"why\"] == \"HostDriver\" and \"0000:85:00.0\" in u[\"0000:84:00.0\"][\"conditions\"][0][\"message\"]'"
	if [ -n "${KUBECONFIG:-}" ]; then
		on_cluster
	fi
	bash e2e/node/stop.sh "$work/guest-a"
	rm -rf "$work/guest-a"
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
	guest a 'echo change >/sys/bus/pci/devices/0000:81:00.0/uevent; echo change >/sys/bus/pci/devices/0000:02:00.0/uevent'
	sleep 2
	[ "$before" = "$(column '{.metadata.resourceVersion}')" ]
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
	bash e2e/node/slot.sh "$work/guest-a" in
	it "another model that is plugged in appears" within 15 names GV100GL_TESLA_V100
	kubectl delete gpunode gpu-node >/dev/null
	it "a GPUNode that somebody deletes comes back" within 15 names AD102GL_L40S
	kubectl get gpunodes -o wide | sed 's/^/# /'
	guest a 'kill -TERM $(pidof vmgpu-node)'
	it "told to end it ends well" within 10 ended_well
}

# --- b, c: vGPUs ------------------------------------------------------------------------------------------------------
vendor() {
	NVFAKE='vgpu=vfio types=588:NVIDIA-A100D-4C:4,589:NVIDIA-A100D-8C:8' bash e2e/node/run.sh "$work/guest-b" || return 1
	guest b 'echo 4 >/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs; echo 588 >/sys/bus/pci/devices/0000:02:00.0/virtfn1/nvidia/current_vgpu_type'
	it "vendor VFIO: a vGPU stands in its slot, the others are free" says b \
		'(lambda x: x["vgpuFramework"] == "vendor-vfio" and x["mode"] == "vgpu" and x["sriov"]["numVFs"] == 4 and [bool(t.get("type")) for t in x["slots"]] == [False, True, False, False])(u["0000:02:00.0"])'
	it "vendor VFIO: virtual functions are no units of their own" says b 's["summary"]["gpus"] == 6'
	guest b 'echo 0 >/sys/bus/pci/devices/0000:02:00.0/virtfn1/nvidia/current_vgpu_type; echo 0 >/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs'
	it "vendor VFIO: without virtual functions the card is the host's again" says b 'u["0000:02:00.0"]["mode"] == "host" and "slots" not in u["0000:02:00.0"]'
	bash e2e/node/stop.sh "$work/guest-b"
	rm -rf "$work/guest-b"
}

mediated() {
	local uuid=11111111-2222-4333-8444-555555555555
	NVFAKE='vgpu=mdev types=588:NVIDIA-A100D-4C:4' KERNEL_ARGS=intel_iommu=off bash e2e/node/run.sh "$work/guest-c" || return 1
	it "without IOMMU the node says what is missing" says c \
		's["nodeInfo"]["iommu"].startswith("none: the firmware offers an Intel IOMMU")'
	guest c 'echo 4 >/sys/bus/pci/devices/0000:02:00.0/sriov_numvfs'
	guest c "for t in /sys/bus/pci/devices/0000:02:00.0/virtfn2/mdev_supported_types/*; do echo $uuid >\$t/create; break; done"
	it "mdev: the device stands in its slot with type and uuid" says c \
		"(lambda x: x['vgpuFramework'] == 'mdev' and [t.get('uuid') for t in x['slots']] == [None, None, '$uuid', None] and x['slots'][2]['type'])(u['0000:02:00.0'])"
	bash e2e/node/stop.sh "$work/guest-c"
	rm -rf "$work/guest-c"
}

if ! command -v qemu-system-x86_64 >/dev/null; then
	echo "ok 1 - the daemon in a real kernel # SKIP no QEMU (e2e/deps.sh --test)"
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
