#!/bin/bash
# test.sh: vmgpu-node --once in a guest with a real kernel, held against what that kernel's own tools say. Prints TAP.
set -uo pipefail
prog=node/test.sh
top=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$top/e2e/lib.sh"
case ${1:-} in -h | --help) usage && exit 0 ;; esac
state=$(mktemp -d) guest=''
trap '[ -z "$guest" ] || bash "$top/e2e/node/stop.sh" "$guest"; rm -rf "$state"' EXIT
rc=0 n=0

boot() { # NAME VARIABLES...
	[ -z "$guest" ] || bash "$top/e2e/node/stop.sh" "$guest"
	guest=$state/$1
	shift
	env "$@" bash "$top/e2e/node/run.sh" "$guest" >&2 || { echo "not ok - the guest boots"; exit 1; }
}
inside() { bash "$top/e2e/node/guest.sh" "$guest" "$@"; }
report() { inside "$top/build/dev/vmgpu-node" --once --node-name gpu-node -o json >"$state/report" && inside lspci -Dnnk >"$state/lspci" && inside sh -c 'for d in /sys/bus/pci/devices/*; do echo "${d##*/} $(readlink "$d/iommu_group") $(cat "$d/numa_node")"; done' >"$state/sysfs"; }

# check NAME EXPRESSION: Python over report r, lspci text l, sysfs {address: (group, numa)}, units u by address
check() {
	n=$((n + 1))
	if python3 - "$state" "$2" <<'P'; then echo "ok $n - $1"; else echo "not ok $n - $1"; rc=1; fi
import json, re, sys
state, expression = sys.argv[1:]
r = json.load(open(state + "/report"))["status"]
l = open(state + "/lspci").read()
sysfs = {a: (g.rsplit("/", 1)[-1], int(x)) for a, g, x in (line.split(" ") for line in open(state + "/sysfs"))}
u = {x["address"]: x for x in r.get("units", [])}
gpus = {a: i for a, i in re.findall(r"^(\S+) (?:3D|VGA)[^\n]*\[(10de:[0-9a-f]{4})\]", l, re.M)}
drivers = dict(re.findall(r"^(\S+) [^\n]*\n(?:\t(?!Kernel driver)[^\n]*\n)*\tKernel driver in use: (\S+)", l, re.M))
functions = {f["address"]: f for x in u.values() for f in x["functions"]}
condition = lambda x: next(c for c in x["conditions"] if c["type"] == "Available")
ok = eval(expression)
if not ok:
    print("# " + expression, "# gpus by lspci: %s" % gpus, "# report: %s" % {a: (x["vendorID"] + ":" + x["deviceID"], x.get("driver"), condition(x)) for a, x in u.items()}, sep="\n")
sys.exit(0 if ok else 1)
P
}

boot cards NODE=gpu-node
report
check "every GPU that lspci shows is reported with its id, and nothing else" '{a: f["vendorID"] + ":" + f["deviceID"] for a, f in functions.items() if f["role"] == "gpu"} == gpus and len(gpus) == 6'
check "each function's driver is the one that lspci shows" 'all(f.get("driver") == drivers.get(a) for a, f in functions.items())'
check "names are those of the table: L40S, A100, H100" '[u[a]["name"] for a in ("0000:01:00.0", "0000:02:00.0", "0000:81:00.0")] == ["nvidia.com/AD102GL_L40S", "nvidia.com/GA100_A100_PCIE_80GB", "nvidia.com/GH100_H100L_94GB"]'
check "the audio function of the L40S is its companion, not a card" 'functions["0000:01:00.1"]["role"] == "audio" and "0000:01:00.1" not in u'
check "two cards in one IOMMU group are one unit" 'sorted(f["address"] for f in u["0000:84:00.0"]["functions"]) == ["0000:84:00.0", "0000:85:00.0"]'
check "IOMMU groups and their members are the kernel's" 'all(str(x["iommuGroup"]["id"]) == sysfs[a][0] and set(x["iommuGroup"]["members"]) == {b for b, (g, _) in sysfs.items() if g == sysfs[a][0]} for a, x in u.items())'
check "NUMA nodes are the kernel's, and unsaid where it knows none" 'all(x.get("numaNode", -1) == sysfs[a][1] for a, x in u.items())'
check "the A100 says that it can be cut into virtual functions" 'u["0000:02:00.0"]["sriov"]["totalVFs"] == 4'
check "a card on the host's driver is not available, with the remedy" 'all(condition(x)["reason"] == "HostDriver" and "vfio-pci" in condition(x)["message"] for x in u.values())'
bash "$top/e2e/node/slot.sh" "$guest" out >&2
sleep 1
report
check "a card pulled from its slot is gone from the report" '"0000:03:00.0" not in u and len(u) == 4'
bash "$top/e2e/node/slot.sh" "$guest" in >&2
sleep 1
report
check "another model in that slot is reported by its own name" 'u["0000:03:00.0"]["deviceID"] == "1db6"'

boot idle NODE=gpu-node NVFAKE=driver=0
report
check "a card without a driver is available" 'all(condition(x)["status"] == "True" for a, x in u.items() if a != "0000:84:00.0" and "audio" not in [f["role"] for f in x["functions"]])'

boot noiommu NODE=gpu-node KERNEL_ARGS=intel_iommu=off
report
check "without an IOMMU no card is available, and the reason says so" 'u and all(condition(x)["status"] == "False" and "IOMMU" in condition(x)["message"] for x in u.values())'
echo "1..$n"
exit $rc
