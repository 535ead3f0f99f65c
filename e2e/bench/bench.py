#!/usr/bin/env python3
"""make bench: ours against the Go peer and against floors, side by side in one run.

usage: [QUICK=1] [FORMAT=json] [N=5] [STATE=FOLDER] bench.py

QUICK=1    1,000 objects only, 3 repeats
N          repeats; each figure is the median of them. Ours and the peer take turns, the one that begins alternates
STATE      a cluster of ../cluster/up.sh that runs already; else one is started, and taken away afterwards
ONLY       words; rows (and the measuring for them) are left out that have none of them in "load decode node guest size"
FIRST=1    and IDLE=60: for the node's rows (node.py; guest.py has those in a real kernel, which need QEMU)
FORMAT     json: one line a row {"name","ours","peer","floor","unit","ratio"}; ratio: to the peer, else to the floor

The load is load.py's (its head says what each figure is), with the Services that our mode writes; Events off in the
peer. Ours runs as it ships, but without election, and logs warnings only. The floors: null (only the reads that ours
does at start, in Go), idle (libcurl and one TLS connection), floor.c (only reads what a scan needs), jansson.
A bar that is missed says so in its row, and a missed bar of CPU where that goes: one more run, under perf (Debian's
linux-perf, where it is installed). The exit code is 0 all the same: what is measured beside other work decides nothing.
All figures of all runs are left in build/bench/runs.json, the two profiles in build/bench/perf.*.data.
"""
import glob, json, os, re, shutil, statistics, subprocess, sys, tempfile, time
import guest, node

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
OUT = TOP + "/build/bench"
RELEASE = TOP + "/build/release/"
QUICK = bool(os.environ.get("QUICK"))
N = int(os.environ.get("N") or (3 if QUICK else 5))
SIZES = [1000] if QUICK else [1000, 5000]
ONLY = (os.environ.get("ONLY") or "load decode node guest size").split()
JSON = os.environ.get("FORMAT") == "json"
GROUPS = {"/apis/apps.cozystack.io/v1alpha1/": "virtualmachines vminstances vmdisks kuberneteses",
          "/apis/kubevirt.io/v1/": "virtualmachines virtualmachineinstances kubevirts",
          "/apis/instancetype.kubevirt.io/v1beta1/": "virtualmachineclusterinstancetypes virtualmachineclusterpreferences",
          "/apis/vmgpu.io/v1alpha1/": "gpunodes gpupools", "/api/v1/": "services",
          "/apis/apiextensions.k8s.io/v1/": "customresourcedefinitions", "/": "apis"}


def say(text):
    print("bench:", text, file=sys.stderr, flush=True)


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def build():
    os.makedirs(OUT, exist_ok=True)
    run("make", "-s", "-C", TOP, "V=release", "all", "build/release/bench/decode")
    env = dict(os.environ, CGO_ENABLED="0")
    for name in ("peer", "null"):
        run("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", "%s/%s" % (OUT, name), ".", cwd="%s/%s" % (HERE, name), env=env)
    run("cc", "-O2", "-o", OUT + "/floor", HERE + "/floor.c")
    run("cc", "-O2", "-o", OUT + "/idle", HERE + "/idle.c", "-lcurl")


# --- the cluster -------------------------------------------------------------------------------------------

class Cluster:
    def __init__(self):
        self.mine = not os.environ.get("STATE")
        self.state = os.environ.get("STATE") or tempfile.mkdtemp(prefix="vmgpu-bench-")
        if self.mine:
            run("bash", TOP + "/e2e/cluster/up.sh", self.state, env=dict(os.environ, WITHOUT_KUBEVIRT="1"))
        text = open(self.state + "/env").read()
        os.environ["KUBECONFIG"] = re.search(r"KUBECONFIG=(\S+)", text).group(1)
        os.environ["PATH"] = re.search(r"PATH=(\S+?):\$PATH", text).group(1) + ":" + os.environ["PATH"]
        os.environ["APISERVER_PID"] = open(self.state + "/pid/kube-apiserver").read().strip()
        self.url = re.search(r"https://[^\s\"'}]+", open(os.environ["KUBECONFIG"]).read()).group(0)

    def prepare(self):
        """What the controller needs to find: KubeVirt's kinds, its CR, the instance types."""
        programs = run("bash", TOP + "/e2e/cluster/build.sh", "kubevirt").strip()
        self.apply(run(programs + "/objects", "crds"))
        run("kubectl", "wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        self.apply('{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kubevirt"}}')
        self.apply(json.dumps({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
                               "spec": {"configuration": {"developerConfiguration": {"featureGates": ["HostDevices"]}}}}))  # the peer's list too
        run("kubectl", "-n", "kubevirt", "patch", "kubevirt", "kubevirt", "--subresource=status", "--type=merge", "-p", '{"status":{"phase":"Deployed"}}')
        run("kubectl", "apply", "--server-side", "-f", TOP + "/e2e/data/instancetypes")

    def apply(self, text):
        run("kubectl", "apply", "--server-side", "-f", "-", input=text)

    def end(self):
        if self.mine:
            run("bash", TOP + "/e2e/cluster/down.sh", self.state)


# --- measuring ---------------------------------------------------------------------------------------------

def one_load(work, who, n, turn, under=()):
    null = work + "/null-ours" if who == "ours" else OUT + "/null"
    command = {"ours": [RELEASE + "vmgpu-controller", "--leader-elect=false", "--log-level=warn", "--metrics-bind-address=0", "--health-probe-bind-address=0"], "peer": [OUT + "/peer", "-service"]}[who]
    env = dict(os.environ, VM_PREFIX="vm-instance-" if who == "ours" else "")
    name = "bench-%s-%d-%d" % (who, n, turn)
    p = subprocess.run([HERE + "/load.py", name, str(n), "--services", "--null", null, "--", *under, *command], cwd=work, env=env, stdout=subprocess.PIPE, text=True)
    if p.returncode:
        log = "%s/load-%s.log" % (work, name)
        raise SystemExit("bench: %s failed; the end of its log:\n%s" % (name, open(log).read()[-2000:] if os.path.exists(log) else ""))
    return json.loads(p.stdout)


def loads(work):
    """figures[who][n]: a list of load.py's answers."""
    figures = {"ours": {n: [] for n in SIZES}, "peer": {n: [] for n in SIZES}}
    paths = [prefix + name for prefix, names in GROUPS.items() for name in names.split()]
    with open(work + "/null-ours", "w") as f:
        f.write("#!/bin/sh\nexec %s/null %s\n" % (OUT, " ".join(paths)))
    os.chmod(work + "/null-ours", 0o755)
    for n in SIZES:
        for turn in range(N):
            for who in ("ours", "peer") if turn % 2 == 0 else ("peer", "ours"):
                begun = time.time()
                figures[who][n].append(one_load(work, who, n, turn))
                say("%s, %d VMInstances, run %d of %d: %.0f s" % (who, n, turn + 1, N, time.time() - begun))
    return figures


def profile(work):
    """What one more run of ours did in which library: "to convergence: ...", "restart: ...". perf record is what
    load.py starts, so each of its two starts leaves a file."""
    for old in glob.glob(OUT + "/perf.*.data"):
        os.remove(old)
    with open(work + "/under-perf", "w") as f:
        f.write('#!/bin/sh\nexec perf record -q -F 2000 -o %s/perf.$(date +%%s).data "$@"\n' % OUT)
    os.chmod(work + "/under-perf", 0o755)
    one_load(work, "ours", SIZES[0], N, [work + "/under-perf"])
    lines = []
    for what, data in zip(("to convergence and rest", "restart"), sorted(glob.glob(OUT + "/perf.*.data"))):
        report = run("perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "dso", stderr=subprocess.DEVNULL)
        shares = re.findall(r"^ *([\d.]+)% +(\S+)", report, re.M)
        lines.append("%s: %s" % (what, ", ".join("%s %.0f %%" % (re.sub(r"\.so.*|^\[|\.kallsyms\]$", "", name), float(share)) for share, name in shares if float(share) >= 1)))
    return lines


def say_where(work):
    missed = [r["name"] for r in ROWS if r["missed"] and r["name"].startswith("cpu") and "API server" not in r["name"]]
    if not missed:
        return
    if not shutil.which("perf"):
        say("no perf (Debian: linux-perf), so nothing tells where the CPU of the missed rows goes")
        return
    for line in profile(work):
        print("where the cpu goes, %d VMInstances, %s" % (SIZES[0], line), file=sys.stderr if JSON else sys.stdout)


def scan(work):
    run(HERE + "/mktree.py", work + "/tree", "--gpus", "16", "--vfs", "32", "--driver", "nvidia", "--vgpu", "vendor")
    ours, floor = [], []
    for turn in range(N):
        for who in (ours, floor) if turn % 2 == 0 else (floor, ours):
            command = ["vmgpu-node", "--bench", "30"] if who is ours else ["floor", "scan", "30"]
            command[0] = (RELEASE if who is ours else OUT + "/") + command[0]
            who.append(json.loads(run(work + "/tree/enter", *command))["median_ms"])
    return statistics.median(ours), statistics.median(floor)


# --- rows --------------------------------------------------------------------------------------------------

ROWS = []


def row(name, ours, peer, floor, unit, bar, good=None):
    """bar: the highest ratio, and its text; good: for bars that are no ratio."""
    base = peer if peer is not None else floor
    ratio = ours / base if ours is not None and base and base != node.NEVER else None
    if isinstance(bar, tuple):
        bar, most = bar
        good = ratio is not None and ratio <= most
    verdict = "absent" if ours is None else "" if bar is None else "met" if good else "MISSED"
    figures = {"name": name, "ours": ours, "peer": peer, "floor": floor, "unit": unit, "ratio": ratio}
    ROWS.append(dict(figures, missed=verdict == "MISSED"))
    if JSON:
        print(json.dumps({k: None if v == node.NEVER else round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}))
    else:
        cell = lambda v: "%10s" % ("-" if v is None else "never" if v == node.NEVER else "%.2f" % v if abs(v) < 100 else "%.0f" % v)
        print("%-64s%s%s%s %-5s%8s  %-15s %s" % (name, cell(ours), cell(peer), cell(floor), unit,
                                                  "-" if ratio is None else "%.3f" % ratio, bar or "", verdict))


def load_rows(figures, idle):
    def mid(who, n, key):
        return statistics.median(f[key] for f in figures[who][n])

    def null(n, key):
        return statistics.median(f["null"][key] for f in figures["ours"][n])

    def pair(name, n, key, unit, bar, scale=1.0, floor=None):
        row(name, mid("ours", n, key) * scale, mid("peer", n, key) * scale, floor, unit, bar)

    few, many = SIZES[0], SIZES[-1]
    for n in SIZES:
        pair("cpu, %d VMInstances to convergence" % n, n, "cpu_s", "s", ("<= 1/8 peer", 0.125))
    pair("mem, RssAnon at rest, %d VMInstances" % many, many, "rss_anon_kib", "MiB", ("<= 1/5 peer", 0.2), 1 / 1024, idle["rss_anon_kib"] / 1024)
    if many > few:
        grown = {who: (mid(who, many, "rss_anon_kib") - mid(who, few, "rss_anon_kib")) / 1024 for who in figures}
        row("mem, growth of RssAnon from %d to %d" % (few, many), grown["ours"], grown["peer"], None, "MiB", ("<= 1/5 peer", 0.2))
    pair("mem, whole RSS, highest, %d VMInstances" % many, many, "rss_peak_kib", "MiB", ("<= 1/3 peer", 1 / 3), 1 / 1024, idle["rss_kib"] / 1024)
    for n in SIZES:
        pair("time to convergence, %d VMInstances" % n, n, "converged_s", "s", ("<= 1.1 peer", 1.1))
        pair("cpu of the API server meanwhile, %d" % n, n, "apiserver_cpu_s", "s", ("<= 1.0 peer", 1.0))
    pair("time of a single create, p50, %d present" % few, few, "create_p50_ms", "ms", ("<= 1.0 peer", 1.0))
    pair("time of a single create, p99, %d present" % few, few, "create_p99_ms", "ms", ("<= 1.25 peer", 1.25))
    row("time, restart until ready, %d (floor: null)" % many, mid("ours", many, "restart_ready_s"), None, null(many, "ready_s"), "s", ("<= 1.3 floor", 1.3))
    row("time, restart until ready, %d, beside the peer" % many, mid("ours", many, "restart_ready_s"), mid("peer", many, "restart_ready_s"), None, "s", None)
    pair("cpu of a restart, %d VMInstances" % many, many, "restart_cpu_s", "s", ("<= 1/8 peer", 0.125), floor=null(many, "cpu_s"))
    pair("mem, RssAnon of a restart, highest, %d" % many, many, "restart_anon_peak_kib", "MiB", None, 1 / 1024)
    pair("cpu at rest, %d VMInstances" % many, many, "idle_cpu_ms_per_s", "ms/s", None)


def decode_rows():
    """Seconds a gigabyte: >= 500 MB/s is <= 2 s/GB, ten times as fast is a ratio <= 0.1."""
    lines = [json.loads(l) for l in run(RELEASE + "bench/decode", "-r", str(N), env=dict(os.environ, FORMAT="json")).splitlines()]
    for l in lines:
        assert l["unit"] == "s/GB", "decode.c counts in another unit"
        row(l["name"] + " (jansson)", l["ours"], None, l["peer"], l["unit"], "<= 1/10, 2 s/GB", l["ratio"] <= 0.1 and l["ours"] <= 2)


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return
    build()
    work, cluster, figures = tempfile.mkdtemp(prefix="vmgpu-bench-work-"), None, None
    try:
        if {"load", "node", "guest"} & set(ONLY):
            cluster = Cluster()
        if "load" in ONLY:
            cluster.prepare()
            figures = loads(work)
            json.dump(figures, open(OUT + "/runs.json", "w"), indent=1)
            idle = json.loads(run(OUT + "/idle", cluster.url + "/version", cluster.state + "/pki/ca.crt"))
        if not JSON:
            print("%-64s%10s%10s%10s %-5s%8s  %-15s" % ("median of %d" % N, "ours", "peer", "floor", "", "ratio", "bar"))
        if figures:
            load_rows(figures, idle)
            say_where(work)
        if "decode" in ONLY:
            decode_rows()
        if "node" in ONLY:
            ours, floor = scan(work)
            row("time, one scan, 528 functions (floor: floor.c)", ours, None, floor, "ms", ("<= 2 floor", 2.0))
            node.rows(work, cluster, N, row, lambda text: print(text, file=sys.stderr if JSON else sys.stdout))
        if "guest" in ONLY:
            guest.rows(cluster, N, row)
        if "size" in ONLY:
            for name in ("vmgpu-controller", "vmgpu-node"):
                size = os.path.getsize(RELEASE + name) / 1e6
                row("mem, stripped size, " + name, size, os.path.getsize(OUT + "/peer") / 1e6 if name == "vmgpu-controller" else None, None, "MB", "<= 1.5 MB", size <= 1.5)
    finally:
        if cluster:
            cluster.end()
        shutil.rmtree(work, ignore_errors=True)


main()
