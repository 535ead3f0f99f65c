"""The node's rows of make bench: vmgpu-node as it ships, in trees of files (mktree.py), with a played kubelet (nodekit measure) and
a real API server, in turns with floor.c and with a device plugin in Go whose answers are canned (nodekit echo; the column peer).

What NVIDIA's kubevirt-gpu-device-plugin (d26f237) does in the same trees was measured once, elsewhere: PEER. A row that it fails
in has it in the column peer. A node has been started once before it is measured: so its journal knows the orders, and its cards
are clean, and the folder lies in memory: what a disk takes is another matter (the row of fdatasync).

IDLE=60    seconds of rest that are watched
FIRST=1    what is measured goes before all else on this machine (SCHED_RR), so that figures hold beside other work
"""
import glob, json, os, shutil, signal, statistics, subprocess, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
NODE, FLOOR = TOP + "/build/release/vmgpu-node", TOP + "/build/bench/floor"
FIRST = ["chrt", "-r", "10"] if os.environ.get("FIRST") else []
IDLE = int(os.environ.get("IDLE") or 60)
NEVER = float("inf")
PEER = {"socket": NEVER, "late": NEVER, "replug": NEVER, "two ids": 4, "audio": 2, "vgpus": 0}
# A uevent of a device of this machine: a tree has no kernel behind it.
EVENT = "/sys/bus/pci/devices/%s/uevent" % sorted(os.listdir("/sys/bus/pci/devices"))[0] if os.path.isdir("/sys/bus/pci/devices") else None


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def middle(runs, key):
    """The median; a step that did not come about in one run did not come about."""
    values = [r.get(key) for r in runs]
    return None if None in values else statistics.median(values)


class Proxy:
    """Between the daemons and the API server: it counts."""
    def __init__(self, work, state):
        tool = TOP + "/build/vmgpu-e2e"
        run("make", "-s", "-C", TOP, "build/vmgpu-e2e")
        self.log, self.kubeconfig = work + "/requests", work + "/kubeconfig.daemon"
        self.process = subprocess.Popen([tool, "proxy", "--state", state, "--log", self.log, "--kubeconfig", work + "/kubeconfig", "--listen", "daemon=127.0.0.1:0"])
        while not os.path.exists(self.kubeconfig):
            time.sleep(0.1)
        time.sleep(1)

    def requests(self, name, since):
        """Of one node's daemon: what it asked for since then but its Lease and its watch."""
        for text in open(self.log):
            line = json.loads(text)
            at = line.get("t", "")
            if line.get("phase") != "open" and name in line.get("path", "") + line.get("query", "") and at > since \
                    and "/leases/" not in line["path"] and "watch=" not in line.get("query", ""):
                yield "%s %s%s" % (line["method"], line["path"], " (%d bytes)" % line["sent"] if line.get("sent") else "")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(10)


def order(tree, want):
    """What is ordered of the cards of a tree: all of them the same."""
    for address in sorted(os.listdir(tree + "/sys/bus/pci/devices")):
        read = lambda name: open("%s/sys/bus/pci/devices/%s/%s" % (tree, address, name)).read().strip()
        if read("class").startswith("0x03") and not os.path.exists("%s/sys/bus/pci/devices/%s/physfn" % (tree, address)):
            yield dict({"id": address, "device": "%s:%s" % (read("vendor")[2:], read("device")[2:])}, **want(tree, address))


class Machine:
    """A tree, a GPUNode with its orders, and the daemon's folder as its first life left it."""
    def __init__(self, bench, name, devices, *args, want=lambda tree, address: {"want": "vfio"}, **more):
        self.name, self.devices, self.bench, self.tree = "bench-" + name, devices, bench, bench.work + "/" + name
        run(HERE + "/mktree.py", self.tree, *args)
        units = list(order(self.tree, want))
        for kind in ({"apiVersion": "v1", "kind": "Node"}, {"apiVersion": "vmgpu.io/v1alpha1", "kind": "GPUNode", "spec": {"term": 1, "units": units}}):
            run("kubectl", "apply", "--server-side", "-f", "-", input=json.dumps(dict(kind, metadata={"name": self.name})))
        self.kept, self.state = ("%s/%s.%s" % (bench.memory, name, n) for n in ("kept", "state"))
        self.first = self.measure("ours", "--settle", more.get("settle", "5s"))

    def command(self, who, beat):
        ours = [NODE, "--node-name", self.name, "--kubeconfig", self.bench.proxy.kubeconfig, "--lease-namespace", "default", "--beat-period", beat,
                "--proc-root", self.bench.processes, "--state-dir", self.state, "--log-level=warn"]
        return {"ours": ours, "floor": [FLOOR, "plugin"], "echo": [self.bench.nodekit, "echo", str(self.devices)]}[who]

    def measure(self, who, *args, beat="200ms"):
        if who == "ours" and os.path.exists(self.kept):
            shutil.rmtree(self.state)
            shutil.copytree(self.kept, self.state)
        out = run(self.tree + "/enter", *FIRST, self.bench.nodekit, "measure", "--devices", str(self.devices), "--timeout", "60s", "--log", self.tree + ".log", *args, "--",
                  *self.command(who, beat), pass_fds=self.bench.events)
        if who == "ours" and not os.path.exists(self.kept):
            shutil.copytree(self.state, self.kept)
        return json.loads(out)

    def turns(self, whos, *args):
        """figures[who]: a list, one a turn."""
        figures = {who: [] for who in whos}
        for turn in range(self.bench.n):
            for who in whos if turn % 2 == 0 else reversed(whos):
                figures[who].append(self.measure(who, *args, *(["--return"] if who == "ours" and "--calls" in args else [])))
        return figures


class Bench:
    def __init__(self, work, cluster, n, row, say):
        self.work, self.n, self.row, self.say = work, n, row, say
        self.nodekit = run("bash", TOP + "/e2e/cluster/build.sh", "nodekit").strip() + "/nodekit"
        self.proxy = Proxy(work, cluster.state)
        self.processes, self.memory = work + "/proc", work + "/memory"
        os.mkdir(self.memory)
        run("mount", "-t", "tmpfs", "tmpfs", self.memory)
        os.makedirs(self.processes + "/1/fd")
        os.makedirs(self.processes + "/self/ns")
        for name in ("1/maps", "devices"):
            open(self.processes + "/" + name, "w").close()
        os.symlink("/dev/null", self.processes + "/1/fd/0")
        os.symlink("pid:[4026531836]", self.processes + "/self/ns/pid")
        self.events = [os.open(EVENT, os.O_WRONLY)] if EVENT else []

    def end(self):
        run("umount", "-l", self.memory)
        self.proxy.end()

    # --- rows ----------------------------------------------------------------------------------------------

    def allocate(self, m):
        """Each call waits for a moment after the one before, as a kubelet's do."""
        f = m.turns(["floor", "echo", "ours"], "--calls", "200", "--pause", "2ms")
        for q in ("p50", "p99"):
            key = "allocate_%s_us" % q
            ours, echo, floor = (middle(f[who], key) for who in ("ours", "echo", "floor"))
            self.row("Allocate of a card, %s, %d cards" % (q, m.devices), ours, None, floor, "us", ("<= 2 floor", 2.0))
            self.row("Allocate of a card, %s, %d cards, beside Go" % (q, m.devices), ours, echo, None, "us", ("<= 1/2 peer", 0.5))
            self.row("Allocate of a card, %s, %d cards: the floor beside Go" % (q, m.devices), floor, echo, None, "us", None)

    def lists(self, m):
        replug = ["--replug", "0000:02:00.0", "--event", "/proc/self/fd/%d" % self.events[0]] if self.events else []
        f = m.turns(["floor", "ours"], "--settle", "3s", *replug, "--restart", "kubelet")
        g = m.turns(["floor", "ours"], "--settle", "3s", "--restart", "socket")
        for text, runs, key in (("start until all are listed", f, "start_to_lists_ms"), ("kubelet restarted until all are listed", f, "restart_to_lists_ms"),
                                ("kubelet.sock alone replaced until all are listed", g, "restart_to_lists_ms"),
                                ("card pulled out until it is not healthy", f, "unplug_ms"), ("card put back until it is healthy", f, "replug_ms")):
            if key != "replug_ms" or replug:
                self.row("%s, %d cards" % (text, m.devices), middle(runs["ours"], key), None, middle(runs["floor"], key), "ms", ("<= 2 floor", 2.0))
        return f, g

    def failures(self, f, g):
        """What the peer does not do at all."""
        late = Machine(self, "late", 8).measure("ours", "--restart", "kubelet", "--gap", "6s")
        self.row("peer's: kubelet.sock alone replaced", middle(g["ours"], "restart_to_lists_ms"), PEER["socket"], None, "ms", "told", middle(g["ours"], "restart_to_lists_ms") is not None)
        self.row("peer's: kubelet.sock 6 s late", late["restart_to_lists_ms"], PEER["late"], None, "ms", "told", late["restart_to_lists_ms"] is not None)
        self.row("peer's: a card put back is healthy", middle(f["ours"], "replug_ms"), PEER["replug"], None, "ms", "healthy", middle(f["ours"], "replug_ms") is not None)
        two = Machine(self, "two-ids", 8, "--ids", "10de:20b1,10de:20f1").measure("ours", "--show")
        self.row("peer's: 8 cards, two PCI ids of one name: listed", two["devices"], PEER["two ids"], None, "", "8 in one", two["devices"] == 8 and two["resources"] == 1)
        audio = Machine(self, "audio", 8, "--audio").measure("ours", "--show")
        giving = [got for got in audio["got"].values() if any(path != "/dev/vfio/vfio" for path in got["devices"] or [])]  # a token gives nothing (tokens.h)
        self.row("peer's: GPU and audio in a group: resources that give it", len(giving), PEER["audio"], None, "", "1", len(giving) == 1)

    def on_demand(self):
        """The tree's driver is a file: the kernel's create is a write to it, by a child, as floor.c does it."""
        m = Machine(self, "vgpu", 1, "--gpus", "8", "--vfs", "16", "--driver", "nvidia", "--vgpu", "vendor", want=lambda tree, address: {"want": "vgpu"})
        ours = []
        for _ in range(self.n):
            ours.append(m.measure("ours", "--resource", "L40S-4Q", "--calls", "16", "--once", "--pause", "50ms"))
            for path in glob.glob(m.tree + "/sys/bus/pci/devices/*/nvidia/current_vgpu_type"):  # a file does not become shorter
                open(path, "w").write("0\n")
        floor = json.loads(run(*FIRST, FLOOR, "make", self.work + "/vgpu-file", "200"))["median_us"] / 1e3
        value = middle(ours, "allocate_p50_us") / 1e3
        self.row("Allocate of a vGPU that is made for it (a file is the driver)", value, None, floor, "ms", "<= floor + 2 ms", value <= floor + 2)
        listed = m.measure("ours", "--show")
        n = listed["listed"].get("nvidia.com/NVIDIA_L40S-4Q", [0])[0]
        self.row("peer's: 8 L40S cut by NVIDIA's driver: L40S-4Q listed", n, PEER["vgpus"], None, "", "8 x 12", n == 96)

    def rest(self, m):
        since = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 60))
        r = m.measure("ours", "--settle", "60s", "--idle", "%ds" % IDLE, beat="10s")
        self.row("RssAnon of the daemon, %d cards" % m.devices, r["anon_kib_start"] / 1024, None, None, "MiB", "<= 5 MB", r["anon_kib_start"] * 1024 <= 5e6)
        beats = IDLE / 10
        self.row("CPU of the daemon, %d s of rest" % IDLE, r["idle_cpu_ms"], None, None, "ms", None)
        self.row("wake-ups, %d s of rest: of %d beats, and the watch" % (IDLE, beats), r["idle_wakeups"], None, None, "", "<= 4 a beat", r["idle_wakeups"] <= 4 * beats + 4)
        asked = list(self.proxy.requests(m.name, since))
        self.row("requests but Leases and watch, %d s of rest" % IDLE, len(asked), None, None, "", "none", not asked)

    def life(self, m):
        """One VM's, at the node: created, listed with its card, deleted, its card reset."""
        r = m.measure("ours", "--calls", "1", "--round", "1", "--return")
        asked = list(self.proxy.requests(m.name, r["last_round"]))
        self.row("requests of a VM's life at its node, the Leases aside", len(asked), None, None, "", "one a change: 3", len(asked) <= 3)
        for i, text in enumerate(asked):
            self.say("request %d of a VM's life: %s" % (i + 1, text))

    def all(self):
        few = Machine(self, "8", 8)
        many = Machine(self, "512", 512, "--gpus", "512", settle="20s")
        self.allocate(few)
        self.allocate(many)
        self.on_demand()
        f, g = self.lists(few)
        self.lists(many)
        self.failures(f, g)
        self.rest(many)
        self.life(few)


def rows(work, cluster, n, row, say):
    bench = Bench(work, cluster, n, row, say)
    try:
        bench.all()
    finally:
        bench.end()
