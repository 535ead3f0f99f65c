#!/usr/bin/env python3
"""What races.sh lets pods do to the GPUs of a node, and the proof that no two ever had the same one.

  races.py watch STATE TREE EVENTS     until it is told to end: writes down each reset, what the kubelet says who has what, each GPUNode
  races.py crowd STATE PODS            so many pods at once, every other one with nodeName; ends when all have
  races.py cycles STATE CYCLES AT_ONCE pods that are created, run, and are deleted, until so many have run
  races.py exact STATE MOVES AT_ONCE   cards that get a name of their own and lose it again, so often, while pods ask for it and for their model's
  races.py check STATE TREE EVENTS     the proof, from what the played runtime wrote down and what watch did
  races.py socket RESOURCE             the name of our socket for it
  races.py relay FOLDER                stands for kubelet.sock there, until it is told to end
  races.py journal FILE                whether it remembers a use that has not ended

A pod has its devices from CreateContainer until its container has ended, by the runtime's records. The proof: of no device two pods'
times overlap; between two of them, and before the first, it was reset; no list of the kubelet names a device twice; and no GPUNode
names a holder while another pod has the device, but for a moment.
"""
import collections, ctypes, glob, http.client, json, os, random, re, select, signal, ssl, struct, subprocess, sys, threading, time

L40S, A100 = "nvidia.com/AD102GL_L40S", "nvidia.com/GA100_A100_PCIE_80GB"
NODE, PODS = "n1", "/api/v1/namespaces/default/pods"
PATIENCE = 180         # s, for any one pod: the scheduler looks seldom at one that did not fit
TICK = 10 * 10**6      # ns: a file's times are those of the last tick of the kernel's clock
MOMENT = 5 * 10**9     # ns: so old may a GPUNode's holder be: a beat, a list, a write
REFUSALS = ("UnexpectedAdmissionError", "OutOfnvidia.com/")


class Server:
    def __init__(self, state):
        self.host = "127.0.0.1:" + open(state + "/port").read().strip()
        name, value = open(state + "/pki/authorization").read().strip().split(": ", 1)
        self.headers = {name: value}
        self.tls = ssl.create_default_context(cafile=state + "/pki/ca.crt")
        self.local = threading.local()

    def connection(self, timeout=60):
        return http.client.HTTPSConnection(self.host, context=self.tls, timeout=timeout)

    def call(self, method, path, body=None, may=()):
        c = self.local.c = getattr(self.local, "c", None) or self.connection()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        c.request(method, path, json.dumps(body) if body is not None else None, dict(self.headers, **{"Content-Type": kind}))
        answer = c.getresponse()
        data = answer.read()
        if answer.status >= 300 and answer.status not in may:
            raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, data[:300].decode(errors="replace")))
        return json.loads(data)

    def pods(self):
        return {p["metadata"]["name"]: p for p in self.call("GET", PODS + "?labelSelector=app%3Draces&resourceVersion=0")["items"]}


def pod(name, asks, straight, ends=None):
    return {"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"app": "races"}, "annotations": {"play.vmgpu.io/ends": ends} if ends else {}},
            "spec": dict({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "automountServiceAccountToken": False,
                          "containers": [{"name": "main", "image": "none", "resources": {"limits": asks}}]},
                         **({"nodeName": NODE} if straight else {}))}


def refused(p):
    """Why a pod did not run, and whether somebody said so: "" is nobody."""
    s = p["status"]
    why = s.get("message", "")
    return why if why and s.get("reason", "").startswith(REFUSALS) else ""


def until_scheduled(p):
    def seconds(t):
        return time.mktime(time.strptime(t, "%Y-%m-%dT%H:%M:%SZ"))
    at = [c["lastTransitionTime"] for c in p["status"]["conditions"] if c["type"] == "PodScheduled"]
    return seconds(at[0]) - seconds(p["metadata"]["creationTimestamp"]) if at else 0


def short(why):
    return re.sub(r"\b(0000:\w\w:00\.0|\d+)\b", "*", why)[:200]


def figures(counter):
    for what, n in counter.most_common():
        print("%4d x %s" % (n, what))


# --- pods --------------------------------------------------------------------------------------------------------------------

def crowd_asks(i):
    return {L40S: "2"} if i % 10 == 4 else {L40S: "1", A100: "1"} if i % 10 == 7 else {A100: "1"} if i % 5 == 0 else {L40S: "1"}


def crowd(state, n):
    server, dice, n = Server(state), random.Random(1), int(n)
    work = [pod("crowd-%02d" % i, crowd_asks(i), i % 2, "main=0@%.1fs" % dice.uniform(0.3, 1.5)) for i in range(n)]
    threads = [threading.Thread(target=lambda mine: [server.call("POST", PODS, p) for p in mine], args=(work[i::8],)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    end = time.time() + PATIENCE
    waiting = n
    while waiting and time.time() < end:
        time.sleep(0.2)
        now = server.pods()
        waiting = sum(p["status"]["phase"] not in ("Succeeded", "Failed") for p in now.values()) + n - len(now)
    result, silent, lost = collections.Counter(), [], collections.Counter()
    for name, p in now.items():
        way = "with nodeName" if int(name[6:]) % 2 else "by the scheduler"
        phase = p["status"]["phase"]
        result["%s: %s" % (way, phase)] += 1
        if phase == "Failed":
            lost[short(refused(p))] += 1
            if not refused(p):
                silent.append("%s: %s" % (name, p["status"]))
        elif phase != "Succeeded":
            silent.append("%s is %s still: %s" % (name, phase, [c.get("message") for c in p["status"].get("conditions", [])]))
    figures(result)
    figures(lost)
    for name in now:
        server.call("DELETE", "%s/%s?gracePeriodSeconds=0" % (PODS, name), may=(404,))
    if silent:
        sys.exit("without a reason:\n" + "\n".join(silent))
    if result["by the scheduler: Succeeded"] < n // 4:
        sys.exit("of those that could wait, few got their turn")


class Cycles:
    def __init__(self, state, cycles, at_once):
        self.server, self.left, self.lock = Server(state), int(cycles), threading.Lock()
        self.seen, self.counts, self.broken, self.started, self.tries = {}, collections.Counter(), [], [], 0
        self.workers = [threading.Thread(target=self.work, args=(i,)) for i in range(int(at_once))]

    def run(self):
        for t in self.workers:
            t.start()
        while any(t.is_alive() for t in self.workers):
            self.seen = self.server.pods()
            time.sleep(0.1)
        figures(self.counts)
        late = sorted(self.started)
        print("created to running: %.1f s in the middle, %.1f s at most, of which %d s until it had a node" % (
            late[len(late) // 2][0], *late[-1]) if late else "none ran")
        if self.broken:
            sys.exit("\n".join(self.broken))

    def work(self, worker):
        dice, i = random.Random(worker), 0
        try:
            while self.left > 0 and not self.broken:
                i += 1
                self.cycle("cycle-%d-%d" % (worker, i), dice)
        except Exception as e:  # else its thread ends without a word
            self.broken.append("worker %d: %r" % (worker, e))

    def until(self, name, what):
        end = time.time() + PATIENCE
        while not what(self.seen.get(name)):
            if time.time() > end:
                raise RuntimeError("%s for %d s: %s" % (name, PATIENCE, json.dumps((self.seen.get(name) or {}).get("status"))))
            time.sleep(0.05)
        return self.seen.get(name)

    def asks(self, dice):
        """And whether it goes straight to the node."""
        return ({L40S: "2"} if dice.random() < 0.15 else {L40S: "1", A100: "1"} if dice.random() < 0.15 else
                {dice.choice((L40S, L40S, A100)): "1"}), dice.random() < 0.5

    def ran(self, asks):
        self.left -= 1
        self.counts["ran"] += 1

    def cycle(self, name, dice):
        asks, straight = self.asks(dice)
        begun = time.time()
        self.server.call("POST", PODS, pod(name, asks, straight))
        if dice.random() > 0.1:  # else it is deleted wherever it stands by then
            p = self.until(name, lambda p: p and p["status"]["phase"] in ("Running", "Failed", "Succeeded"))
            if p["status"]["phase"] == "Running":
                with self.lock:
                    self.ran(asks)
                    self.started.append((time.time() - begun, until_scheduled(p)))
            else:
                with self.lock:
                    self.counts["did not: " + short(refused(p))] += 1
                if not refused(p):
                    self.broken.append("%s without a reason: %s" % (name, json.dumps(p["status"])))
        else:
            with self.lock:
                self.counts["deleted at once"] += 1
        time.sleep(dice.uniform(0, 0.5))
        self.server.call("DELETE", PODS + "/" + name, may=(404,))
        self.until(name, lambda p: not p)


class Exact(Cycles):
    """Both A100 get a name of their own and lose it again and again, each by a claim; pods ask for these names and for their model's."""
    CLAIMS, CARDS = "/apis/devices.harvesterhci.io/v1beta1/pcideviceclaims", ("0000:04:00.0", "0000:08:00.0")

    def __init__(self, state, moves, at_once):
        super().__init__(state, moves, at_once)
        self.own = {"%s-%s" % (NODE, card.replace(":", "").replace(".", "")): card for card in self.CARDS}  # claim -> card
        self.log, self.late = open("%s/log/kubelet@%s" % (state, NODE)), []
        self.log.seek(0, os.SEEK_END)
        self.workers += [threading.Thread(target=self.move, args=(claim, card)) for claim, card in self.own.items()]

    def asks(self, dice):
        return {dice.choice((A100,) + tuple("nvidia.com/" + claim for claim in self.own)): "1"}, True

    def ran(self, asks):
        self.counts["ran, by the name of %s" % ("their model" if A100 in asks else "one card")] += 1

    def listed(self, card):
        units = self.server.call("GET", "/apis/vmgpu.io/v1alpha1/gpunodes/" + NODE)["status"]["units"]
        return next(u for u in units if u["id"] == card).get("resource")

    def order(self, claim, card, own):
        begun = time.time()
        self.server.call("PATCH", self.CLAIMS + "/" + claim, {"spec": {"disableResourcePooling": own}})
        while self.listed(card) != ("nvidia.com/" + claim if own else None):
            if time.time() - begun > PATIENCE:
                raise RuntimeError("%s is still listed as %s" % (card, self.listed(card)))
            time.sleep(0.1)
        return time.time() - begun

    def move(self, claim, card):
        dice, own = random.Random(card), False
        try:
            self.server.call("POST", self.CLAIMS, {"apiVersion": "devices.harvesterhci.io/v1beta1", "kind": "PCIDeviceClaim",
                                                   "metadata": {"name": claim}, "spec": {"address": card, "nodeName": NODE}})
            while (self.left > 0 or own) and not self.broken:
                own = not own
                self.late.append(self.order(claim, card, own))
                self.left -= 1
                time.sleep(dice.uniform(0, 2))
            self.server.call("DELETE", self.CLAIMS + "/" + claim)
            while self.server.call("GET", self.CLAIMS + "/" + claim, may=(404,)).get("code") != 404:
                time.sleep(0.1)
        except Exception as e:
            self.broken.append("%s: %r" % (claim, e))

    def listed_once(self):
        """By what the kubelet says of each list that it has read, in their order: both cards are never more than two."""
        has, n = {A100: len(self.own)}, 0
        for name, count in re.findall(r'Processed device updates for resource" resourceName="(\S+)" totalCount=(\d+)', self.log.read()):
            if name == A100 or name.split("/")[-1] in self.own:
                has[name], n = int(count), n + 1
                if sum(has.values()) > len(self.own):
                    sys.exit("the kubelet has %d devices in %s" % (len(self.own), has))
        return n

    def run(self):
        super().run()
        print("%d moves, %.1f s in the middle, %.1f s at most; %d lists that the kubelet read" % (
            len(self.late), sorted(self.late)[len(self.late) // 2], max(self.late), self.listed_once()))
        if sum(what.startswith("ran") for what in self.counts) < 2:
            sys.exit("under one of the names none ran")


# --- what is watched ---------------------------------------------------------------------------------------------------------

class Watch:
    def __init__(self, state, tree, out):
        self.state, self.tree, self.out, self.lock = state, tree, open(out, "w"), threading.Lock()
        self.socket = "%s/nodes/%s/kubelet/pod-resources/kubelet.sock" % (state, NODE)
        self.nodekit = next(p for p in open("%s/nodes/%s/path" % (state, NODE)).read().split(":") if os.path.exists(p + "/nodekit")) + "/nodekit"

    def note(self, **event):
        with self.lock:
            self.out.write(json.dumps(dict({"t": time.time_ns()}, **event)) + "\n")
            self.out.flush()

    def run(self):
        for f in (self.lists, self.nodes):
            threading.Thread(target=f, daemon=True).start()
        self.resets()

    def resets(self):
        """Of files, not of their names: a card that is unplugged takes its links away, not itself. Their own times count, not ours."""
        libc, names = ctypes.CDLL(None), {}
        fd = libc.inotify_init1(os.O_CLOEXEC)
        for path in glob.glob(self.tree + "/sys/bus/pci/devices/*/reset"):
            real = os.path.realpath(path)
            names[libc.inotify_add_watch(fd, real.encode(), 0x8)] = path.split("/")[-2], real  # IN_CLOSE_WRITE
            if os.path.getsize(real):
                self.note(reset=path.split("/")[-2], t=os.stat(real).st_mtime_ns)
        self.note(ready=True)
        while True:
            data = os.read(fd, 65536)
            while data:
                wd, _, _, n = struct.unpack_from("iIII", data)
                data = data[16 + n:]
                self.note(reset=names[wd][0], t=os.stat(names[wd][1]).st_mtime_ns)

    def lists(self):
        while True:
            p = subprocess.run([self.nodekit, "resources", "--socket", self.socket], capture_output=True, text=True)
            if p.returncode == 0:
                held = [(i, q["name"]) for q in json.loads(p.stdout).get("podResources", []) for c in q.get("containers", [])
                        for d in c.get("devices", []) for i in d["deviceIds"]]
                self.note(held=held)
            time.sleep(0.5)

    def nodes(self):
        server = Server(self.state)
        while True:
            try:
                c = server.connection(None)
                c.request("GET", "/apis/vmgpu.io/v1alpha1/gpunodes?watch=1", None, server.headers)
                for line in c.getresponse():
                    o = json.loads(line)["object"]
                    units = (o.get("status") or {}).get("units", [])
                    self.note(holders=[(u["id"], u["holder"]["pod"]) for u in units if u.get("holder")], version=o["metadata"].get("resourceVersion"))
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.2)


# --- the proof ---------------------------------------------------------------------------------------------------------------

def lives(state):
    """Of each device the pods that had it: [begin, end, name, uid], in order."""
    had = collections.defaultdict(dict)
    for path in glob.glob("%s/nodes/%s/runtime/containers/*.json" % (state, NODE)):
        c = json.load(open(path))
        end = c.get("finished") or (time.time_ns() if c["state"] in ("running", "created") else c["created"])
        for name, value in {tuple(e.split("=", 1)) for e in c["env"] if e.startswith("PCI_RESOURCE_NVIDIA_COM_")}:
            for id_ in value.split(","):
                life = had[id_].setdefault(c["uid"], [c["created"], end, c["pod"]])
                life[:2] = min(life[0], c["created"]), max(life[1], end)
    return {id_: sorted(of.values()) for id_, of in had.items()}


def check(state, tree, events):
    log = [json.loads(line) for line in open(events) if line.endswith("\n")]
    had, wrong = lives(state), []
    resets = collections.defaultdict(list)
    for e in log:
        if "reset" in e:
            resets[e["reset"]].append(e["t"])
    for id_, of in sorted(had.items()):
        before, whose = 0, "the beginning"
        for begin, end, name in of:
            if begin < before:
                wrong.append("%s: %s got it %.3f s before the end of %s" % (id_, name, (before - begin) / 1e9, whose))
            elif not any(before - TICK <= r <= begin for r in resets[id_]):
                wrong.append("%s: %s got it as it was since %s" % (id_, name, whose))
            if end >= before:
                before, whose = end, name
        wrong += ["%s: reset while %s had it" % (id_, name) for begin, end, name in of for r in resets[id_] if begin < r < end - TICK]
    for e in log:
        ids = collections.Counter(i for i, _ in e.get("held", []))
        wrong += ["%s is in the kubelet's list with %d pods" % (i, n) for i, n in ids.items() if n > 1]
        for id_, name in e.get("holders", []):
            wrong += ["%s: its report names %s, and %s has it" % (id_, name, other) for begin, end, other in had.get(id_, [])
                      if other != name and begin + MOMENT < e["t"] < end]
    pods = {n for of in had.values() for _, _, n in of}
    print("%d pods had %d devices, %d times; %d resets; %d lists of the kubelet; %d versions of the GPUNode" % (
        len(pods), len(had), sum(map(len, had.values())), sum(map(len, resets.values())),
        sum("held" in e for e in log), sum("holders" in e for e in log)))
    if wrong or not pods:
        sys.exit("\n".join(wrong[:20]) or "no pod had a device")


def socket(resource):
    """Its name in the kubelet's folder (plugin.c)."""
    h = 14695981039346656037
    for byte in resource.encode():
        h = (h ^ byte) * 1099511628211 % 2**64
    print("vmgpu-%016x.sock" % h)


def relay(folder):
    """A kubelet.sock that leads to .real."""
    import socket as sockets

    def pump(a, b):
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(sockets.SHUT_WR)

    os.chdir(folder)
    s = sockets.socket(sockets.AF_UNIX)
    s.bind("kubelet.sock")
    s.listen()
    while True:
        a, b = s.accept()[0], sockets.socket(sockets.AF_UNIX)
        b.connect(".real")
        for pair in (a, b), (b, a):
            threading.Thread(target=pump, args=pair, daemon=True).start()


def journal(path):
    last = {}
    for line in open(path, "rb").read().split(b"\0", 1)[0].decode().splitlines():
        record = json.loads(line.split(" ", 3)[3])
        if "use" in record:
            last[record["use"]["place"]] = record["use"]
    wrong = ["%s is %s of %s" % (u.get("id"), u["state"], u.get("pod") or "nobody") for u in last.values() if u["state"] != "free"]
    print("%d uses" % len(last))
    if wrong or not last:
        sys.exit("\n".join(wrong) or "it remembers none")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    verbs = {"watch": lambda *a: Watch(*a).run(), "crowd": crowd, "cycles": lambda *a: Cycles(*a).run(),
             "exact": lambda *a: Exact(*a).run(), "check": check,
             "journal": journal, "socket": socket, "relay": relay}
    if len(sys.argv) < 3 or sys.argv[1] not in verbs:
        sys.exit(__doc__)
    verbs[sys.argv[1]](*sys.argv[2:])
