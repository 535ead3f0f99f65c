#!/usr/bin/env python3
"""demo.py: the parts of the demo that are easier here than in a shell.

  prepare FROM TO        the seeds' manifests made fit to apply (a name added, what a server set taken off); prints each difference
  cards NODE < TEXT      what lspci and sysfs of the guest say (ADDRESS GROUP DRIVER WORDS), and beside it what the GPUNode says
  await NAMESPACE TIME   until every object of ours has a Ready condition that stays as it is, TIME seconds at most
  table NAMESPACE FROM   manifest -> KubeVirt object -> devices -> launcher pod -> condition
  permitted              the KubeVirt CR's list
  uses NODE              who has which GPU, and when it was made clean last, by the GPUNode
"""
import difflib, json, os, re, subprocess, sys, textwrap, time

KINDS = {"VirtualMachine": ("virtualmachines.apps.cozystack.io", "virtual-machine-"), "VMInstance": ("vminstances.apps.cozystack.io", "vm-instance-"),
         "Kubernetes": ("kuberneteses.apps.cozystack.io", "kubernetes-"), "SRIOVGPUDevice": ("sriovgpudevices.devices.harvesterhci.io", ""),
         "VGPUDevice": ("vgpudevices.devices.harvesterhci.io", "")}
HARVESTERS = ("SRIOVGPUDevice", "VGPUDevice")
MADE = "virtualmachines.kubevirt.io,pods,kubevirtmachinetemplates.infrastructure.cluster.x-k8s.io,machinedeployments.cluster.x-k8s.io"
SERVERS = ("creationTimestamp", "generation", "resourceVersion", "uid")


def get(namespace, what):
    r = subprocess.run(["kubectl", "-n", namespace, "get", what, "-o", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return json.loads(r.stdout).get("items", []) if r.returncode == 0 else []


def print_table(rows, widths):
    """rows of cells, each a list of lines; a line that is too long goes on below."""
    for row in rows:
        cells = [[part for line in cell for part in textwrap.wrap(line, w, subsequent_indent="  ", break_on_hyphens=False) or [""]] for cell, w in zip(row, widths)]
        for n in range(max(map(len, cells))):
            print(("  " + "  ".join((c[n] if n < len(c) else "").ljust(w) for c, w in zip(cells, widths))).rstrip())


# --- manifests ---

def without_servers(text):
    """without what a server sets, and status; these are whole lines of block YAML"""
    out, below = [], None
    for line in text.splitlines(keepends=True):
        key, indent = line.strip().split(":")[0], len(line) - len(line.lstrip())
        if below is not None and (indent > below or indent == below and line.lstrip().startswith("- ")):
            continue
        below = indent if (key == "status" and indent == 0) or (key in SERVERS and indent == 2) else None
        if below is None:
            out.append(line)
    return "".join(out)


def prepare(source, target):
    os.makedirs(target)
    for name in sorted(f for f in os.listdir(source) if f.endswith(".yaml")):
        old = open(os.path.join(source, name)).read()
        new = without_servers(old)
        if "\nmetadata:" not in new:
            new = new.replace("\nspec:", "\nmetadata:\n  name: %s\nspec:" % name[4:-5].removeprefix("kubernetes-"), 1)
        open(os.path.join(target, name), "w").write(new)
        lines = [l.rstrip() for l in difflib.ndiff(old.splitlines(), new.splitlines()) if l[0] in "+-"]
        rest = [l for l in lines if l[2:].startswith((" " * 4, "  -"))]
        if not lines:
            print("  %-32s as it is" % name)
            continue
        shown = [l for l in lines if not re.match(r"- +(- |v|uuid|configure)", l)]
        for i, line in enumerate(shown):
            more = " (with its %d lines)" % (len(lines) - len(shown)) if line == "- status:" else ""
            print("  %-32s %s%s" % (name if i == 0 else "", line, more))


# --- cards ---

def cards(node):
    report = json.loads(subprocess.run(["kubectl", "get", "gpunode", node, "-o", "json"], stdout=subprocess.PIPE, text=True).stdout)["status"]
    said = {}
    for unit in report["units"]:
        for f in unit["functions"]:
            own = f["address"] == unit["address"]
            condition = next(c for c in unit["conditions"] if c["type"] == "Available")
            said[f["address"]] = [unit["name"] if own else "  %s of %s" % (f["role"], unit["address"]), unit["iommuGroup"]["id"], f["driver"] or "none",
                                  ("yes: " if condition["status"] == "True" else "no: ") + condition["reason"] if own else ""]
    rows = [[["address"], ["lspci -nnk"], ["driver"], ["group"], ["| GPUNode: name"], ["driver"], ["group"], ["available"]]]
    for line in sys.stdin:
        address, group, driver, words = line.rstrip("\n").split(" ", 3)
        name, in_group, bound, free = said.get(address, ["(not reported)", "", "", ""])
        words = re.sub(r" \[\w{4}\]: NVIDIA Corporation", ":", words)
        rows.append([[address], [words], [driver], [group], ["| " + name], [bound], [str(in_group)], [free]])
    print_table(rows, [max(len(r[i][0]) for r in rows) for i in range(8)])


# --- what became of it ---

def condition(o, kind="Ready"):
    return next((c for c in (o.get("status") or {}).get("conditions", []) if c["type"] == kind), {})


def await_(namespace, seconds):
    end, last = time.time() + int(seconds), None
    ours = ",".join(KINDS[k][0] for k in ("VirtualMachine", "VMInstance", "Kubernetes"))
    passing = ("Starting", "Provisioning", "Creating", "WaitingForPermit", "Updating")
    while time.time() < end:
        # Nobody carries out what a Kubernetes becomes: it stays Creating.
        state = [(o["kind"], o["metadata"]["uid"], condition(o).get("reason")) for o in get(namespace, ours)]
        if state and state == last and all(r and (k == "Kubernetes" or r not in passing) for k, _, r in state):
            return
        last = state
        time.sleep(0.7)


def short(name):
    return name.replace("nvidia.com/", "")


def devices(domain):
    return ["%s %s=%s" % (field, e["name"], short(e["deviceName"])) for field in ("hostDevices", "gpus") for e in domain["devices"].get(field, [])]


def asks(pod):
    limits = pod["spec"]["containers"][0]["resources"].get("limits", {})
    where = " on " + pod["spec"]["nodeName"] if pod["spec"].get("nodeName") else ""
    return ["%s x %s" % (v, short(k)) for k, v in limits.items() if "/" in k and "kubevirt" not in k] + [pod["status"]["phase"] + where]


def workers(name, made):
    """of a Kubernetes: its machine templates, their devices, and what the autoscaler knows of the workers that it may start"""
    what, has, told = [], [], []
    for m in made:
        if m["metadata"].get("labels", {}).get("cluster.x-k8s.io/cluster-name") != name:
            continue
        if m["kind"] == "KubevirtMachineTemplate":
            what += ["KubevirtMachineTemplate", m["metadata"]["name"]]
            has += devices(m["spec"]["template"]["spec"]["virtualMachineTemplate"]["spec"]["template"]["spec"]["domain"])
        elif m["kind"] == "MachineDeployment":
            notes = {k.rpartition("/")[2].replace("cluster-api-autoscaler-node-group-", ""): v for k, v in m["metadata"]["annotations"].items()}
            told += ["%s to %s workers, each" % (notes["min-size"], notes["max-size"]), "%s x %s" % (notes.get("gpu-count", 0), short(notes.get("gpu-type", "GPU"))),
                     "none is started here"]
    return what or ["nothing yet"], has or ["-"], told or ["-"]


def became(o, made):
    """(objects, devices, launcher pod)"""
    name = KINDS[o["kind"]][1] + o["metadata"]["name"]
    vm = next((m for m in made if m["kind"] == "VirtualMachine" and m["metadata"]["name"] == name), None)
    pod = next((m for m in made if m["kind"] == "Pod" and m["metadata"]["labels"].get("vm.kubevirt.io/name") == name), None)
    if o["kind"] == "Kubernetes":
        return workers(name, made)
    if o["kind"] in HARVESTERS:
        return ["(orders for node %s)" % o["spec"]["nodeName"]], ["-"], ["-"]
    if not vm:
        return ["nothing yet"], ["-"], ["-"]
    return ["VirtualMachine", name], devices(vm["spec"]["template"]["spec"]["domain"]), asks(pod) if pod else ["-"]


def why(o):
    said = condition(o)
    if o["kind"] in HARVESTERS:  # they have conditions only while something is missing
        said = condition(o, "Accepted") or said
        if not said:
            reports = any(n["metadata"]["name"] == o["spec"]["nodeName"] for n in get("default", "gpunodes.vmgpu.io"))
            return ["none: nothing is missing" if reports else "none: kept until a vmgpu-node reports for that node"]
    if not said:
        return ["none: not acted on by this version"]
    return ["%s=%s %s" % (said["type"], said["status"], said["reason"]), textwrap.shorten(said.get("message", ""), 110, placeholder=" ...")]


def table(namespace, source):
    all_ = {(o["kind"], o["metadata"]["name"]): o for o in get(namespace, ",".join(k[0] for k in KINDS.values()))}
    made = get(namespace, MADE)
    rows = [[["MANIFEST"], ["KUBEVIRT OBJECT"], ["DEVICES (nvidia.com/...)"], ["LAUNCHER POD ASKS FOR"], ["CONDITION"]]]
    for file in sorted(os.listdir(source)):
        text = open(os.path.join(source, file)).read()
        kind, name = re.search(r"^kind: (\S+)", text, re.M).group(1), re.search(r"^  name: (\S+)", text, re.M).group(1)
        o = all_.get((kind, name))
        rows.append([[file, "  " + kind]] + ([*became(o, made), why(o)] if o else [["-"]] * 3 + [["was not accepted"]]))
    print_table(rows, [31, 26, 31, 25, 27])


def permitted():
    cr = get("kubevirt", "kubevirts.kubevirt.io")[0]
    p = cr["spec"]["configuration"].get("permittedHostDevices")
    if not p:
        print("  permittedHostDevices: " + ("absent (everything is permitted)" if p is None else "{} (nothing is permitted)"))
    for key, entries in (p or {}).items():
        for e in entries:
            print("  %s: %s  %s%s" % (key, e.get("pciVendorSelector") or e.get("mdevNameSelector"), e["resourceName"],
                                     ", served from outside" if e.get("externalResourceProvider") else ""))


def uses(node):
    report = json.loads(subprocess.run(["kubectl", "get", "gpunode", node, "-o", "json"], stdout=subprocess.PIPE, text=True).stdout)["status"]
    rows = [[["GPU"], ["NAME"], ["WHO HAS IT"], ["LAST RESET"]]]
    for unit in report["units"]:
        holder, reset = unit.get("holder", {}), unit.get("lastReset", {})
        rows.append([[unit["id"]], [unit["name"]], [holder.get("vm") or holder.get("pod") or "-"],
                     ["%s, %d ms (%s)" % (reset["at"], reset.get("milliseconds", 0), reset["method"]) if reset else "-"]])
    print_table(rows, [max(len(r[i][0]) for r in rows) for i in range(4)])


{"prepare": prepare, "cards": cards, "await": await_, "table": table, "permitted": permitted, "uses": uses}[sys.argv[1]](*sys.argv[2:])
