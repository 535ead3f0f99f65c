#!/usr/bin/env python3
"""demo.py: the parts of the demo that are easier here than in a shell.

  prepare FROM TO NAMESPACE   the seeds' manifests made fit to apply (a name added, what a server set taken off); prints each difference
  await NAMESPACE SECONDS     until every object of ours has a Ready condition that settled
  table NAMESPACE FROM        manifest -> KubeVirt object -> devices -> launcher pod -> condition
"""
import difflib, json, os, subprocess, sys, time


def kubectl(*args):
    r = subprocess.run(["kubectl", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return r.stdout if r.returncode == 0 else ""


def objects(namespace, kind, selector=None):
    text = kubectl("-n", namespace, "get", kind, "-o", "json", *(["-l", selector] if selector else []))
    return json.loads(text)["items"] if text else []


def prepare(source, target, namespace):
    os.makedirs(target, exist_ok=True)
    for name in sorted(f for f in os.listdir(source) if f.endswith(".yaml")):
        old = open(os.path.join(source, name)).read()
        lines, out, skip = old.splitlines(), [], None
        for line in lines:
            key, indent = line.strip().split(":")[0], len(line) - len(line.lstrip())
            if skip is not None and (indent > skip or line.strip().startswith("- ") and indent >= skip):
                continue
            skip = None
            if name.startswith("003") and (key == "status" and indent == 0 or key in ("creationTimestamp", "generation", "resourceVersion", "uid") and indent == 2):
                skip = indent
                continue
            out.append(line)
        new = "\n".join(out) + "\n"
        if "\nmetadata:" not in new:
            at = new.index("\nspec:")
            new = new[:at] + "\nmetadata:\n  name: %s" % name[4:-5].removeprefix("kubernetes-") + new[at:]
        with open(os.path.join(target, name), "w") as f:
            f.write(new if name.startswith("003") else namespaced(new, namespace))
        changed = [l for l in difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=0) if l[0] in "+-" and l[:3] not in ("+++", "---")]
        print("  %-34s %s" % (name, "as it is" if not changed else "%d lines off: %s" % (len(changed), ", ".join(sorted({l[1:].strip().split(":")[0] for l in changed if l[1:].strip()[:1] != "-"}))) if changed[0][0] == "-" else "added: " + " ".join(l[1:].strip() for l in changed)))


def namespaced(text, namespace):
    docs = []
    for doc in text.split("\n---"):
        docs.append(doc.replace("\nmetadata:\n", "\nmetadata:\n  namespace: %s\n" % namespace, 1) if "\nmetadata:\n" in doc and "namespace:" not in doc else doc.replace("metadata: {name:", "metadata: {namespace: %s, name:" % namespace, 1))
    return "\n---".join(docs)


def condition(o, kind):
    return next((c for c in (o.get("status") or {}).get("conditions", []) if c["type"] == kind), {})


KINDS = ("virtualmachines.apps.cozystack.io", "vminstances.apps.cozystack.io", "kuberneteses.apps.cozystack.io")


def await_(namespace, seconds):
    end, last = time.time() + int(seconds), None
    while time.time() < end:
        state = [(o["kind"], o["metadata"]["name"], condition(o, "Ready").get("reason")) for k in KINDS for o in objects(namespace, k)]
        # A tenant cluster goes on being made: nobody plays Cluster API here.
        settled = state and all(r and (kind == "Kubernetes" or r not in ("Starting", "Provisioning", "Creating", "WaitingForPermit", "Updating")) for kind, _, r in state)
        if settled and state == last:
            return
        last = state
        time.sleep(1.5)


def devices(vm_spec):
    d = vm_spec["template"]["spec"]["domain"]["devices"]
    return ["%s %s=%s" % (field, e["name"], e["deviceName"]) for field in ("hostDevices", "gpus") for e in d.get(field, [])]


PREFIXES = {"VirtualMachine": "virtual-machine-", "VMInstance": "vm-instance-", "Kubernetes": "kubernetes-"}


def machine(name, vms, pods):
    """A VirtualMachine or VMInstance: what it became, its devices, and what its launcher pod asks for."""
    vm = next((v for v in vms if v["metadata"]["name"] == name), None)
    asked = []
    for p in pods:
        if p["metadata"]["labels"].get("vm.kubevirt.io/name") == name:
            limits = p["spec"]["containers"][0]["resources"].get("limits", {})
            asked = ["%s: %s" % (k, v) for k, v in limits.items() if "/" in k and "kubevirt" not in k] + [p["status"]["phase"]]
    return ["KubeVirt VM " + name] if vm else ["nothing yet"], devices(vm["spec"]) if vm else ["-"], asked or ["-"]


def cluster(name, namespace):
    """A Kubernetes: its machine templates, their devices, and what the autoscaler knows of the workers that it may start."""
    label = "cluster.x-k8s.io/cluster-name=" + name
    templates = objects(namespace, "kubevirtmachinetemplates.infrastructure.cluster.x-k8s.io", label)
    made = ["%s %s" % (o["kind"], o["metadata"]["name"]) for o in objects(namespace, "clusters.cluster.x-k8s.io", label) + templates]
    has = [d for t in templates for d in devices(t["spec"]["template"]["spec"]["virtualMachineTemplate"]["spec"])]
    workers = []
    for o in objects(namespace, "machinedeployments.cluster.x-k8s.io", label):
        notes = {k.split("/")[1].replace("cluster-api-autoscaler-node-group-", ""): v for k, v in o["metadata"]["annotations"].items()}
        made.append("MachineDeployment " + o["metadata"]["name"])
        workers += ["%s to %s workers" % (notes["min-size"], notes["max-size"]), "each %s: %s" % (notes.get("gpu-type", "no GPU"), notes.get("gpu-count", 0)), "none started here"]
    return made or ["nothing yet"], has or ["-"], workers or ["-"]


def rows(namespace):
    pods, vms = objects(namespace, "pods"), objects(namespace, "virtualmachines.kubevirt.io")
    for kind in KINDS:
        for o in objects(namespace, kind):
            name = PREFIXES[o["kind"]] + o["metadata"]["name"]
            made, has, asked = cluster(name, namespace) if o["kind"] == "Kubernetes" else machine(name, vms, pods)
            ready = condition(o, "Ready")
            yield ["%s %s" % (o["kind"], o["metadata"]["name"])], made, has, asked, ["Ready=%s %s" % (ready.get("status"), ready.get("reason"))] + wrap(ready.get("message", ""), 40)
    for kind in ("sriovgpudevices.devices.harvesterhci.io", "vgpudevices.devices.harvesterhci.io"):
        for o in objects(namespace, kind):
            yield ["%s %s" % (o["kind"], o["metadata"]["name"])], ["stored"], ["-"], ["-"], ["acted on by the node's half", "that writes (not in this version)"]


def wrap(text, width):
    out = [""]
    for word in text.split():
        if len(out[-1]) + len(word) > width:
            out.append("")
        out[-1] = (out[-1] + " " + word).strip()
    return out[:3]


def table(namespace, _):
    head = [["MANIFEST"], ["BECAME"], ["DEVICES"], ["LAUNCHER POD"], ["CONDITION"]]
    all_ = [head] + list(rows(namespace))
    widths = [max(len(line) for r in all_ for line in r[i]) for i in range(5)]
    for r in all_:
        for n in range(max(len(c) for c in r)):
            print("  " + "  ".join((c[n] if n < len(c) else "").ljust(w) for c, w in zip(r, widths)).rstrip())


{"prepare": prepare, "await": await_, "table": table}[sys.argv[1]](*sys.argv[2:])
