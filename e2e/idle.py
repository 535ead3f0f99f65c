#!/usr/bin/env python3
"""make idle: what controller and daemon ask for, and what CPU they use, while nothing happens.

usage: [VMS=1000] [RUNNING=50] [MINUTES=10] [V=release] [STATE=FOLDER] idle.py

On a cluster with KubeVirt's controllers and one node: the daemon reports 8 GPUs of a fake tree (bench/mktree.py), VMS
VMInstances are there, RUNNING of them run (8 with a GPU each) and the others are Halted; the played kubelet goes on with
its heartbeats. Controller and daemon run as they ship, each through a listener of its own of the fault proxy. When
nothing was asked but Leases for half a minute, MINUTES are watched.

The request log may then hold only renewals of two Leases (every 5 s the leader's, every 10 s the daemon's) and watches
that the server ended, or that were silent for 90 s, and that were opened again; CPU may be 0.05 s a minute for the controller, 0.01 s for the daemon.
Prints TAP; the log is left in build/idle/requests.
"""
import base64, collections, http.client, json, os, re, shutil, signal, ssl, subprocess, sys, tempfile, threading, time
from concurrent.futures import ThreadPoolExecutor

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = TOP + "/build/idle"
V = os.environ.get("V") or "release"
VMS = int(os.environ.get("VMS") or 1000)
RUNNING = int(os.environ.get("RUNNING") or 50)
MINUTES = float(os.environ.get("MINUTES") or 10)
GPUS, GPU, NODE, NAMESPACE = 8, "nvidia.com/AD102GL_L40S", "gpu-node", "idle"
INSTANCES = "/apis/apps.cozystack.io/v1alpha1/namespaces/%s/vminstances" % NAMESPACE
CPU = {"controller": 0.05, "daemon": 0.01}  # s a minute
RENEWS = {"controller": ("/leases/vmgpu-controller", 5), "daemon": ("/leases/node-" + NODE, 10)}
QUIET = 30
failed, count, children = 0, 0, []


def say(text):
    print("idle:", text, file=sys.stderr, flush=True)


def it(ok, text, why=""):
    global failed, count
    count, failed = count + 1, failed + (not ok)
    print("%s %d - %s" % ("ok" if ok else "not ok", count, text))
    for line in why.splitlines():
        print("#", line)
    sys.stdout.flush()


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def start(name, *command):
    log = open("%s/%s.log" % (OUT, name), "w")
    p = subprocess.Popen(command, stdout=log, stderr=log)
    children.append(p)
    return p


# --- the cluster -------------------------------------------------------------------------------------------

class Server:
    def __init__(self, state):
        text = open(state + "/kubeconfig").read()
        self.host = re.search(r"https://([^\s\"'}]+)", text).group(1)
        self.auth = {"Authorization": "Bearer " + re.search(r"token: ([^\s\"'},]+)", text).group(1)}
        ca = base64.b64decode(re.search(r"certificate-authority-data: (\S+?)}", text).group(1)).decode()
        self.tls = ssl.create_default_context(cadata=ca)
        self.local = threading.local()

    def call(self, method, path, body=None, kind="application/json"):
        c = self.local.c = getattr(self.local, "c", None) or http.client.HTTPSConnection(self.host, context=self.tls, timeout=60)
        c.request(method, path, json.dumps(body) if body is not None else None, dict(self.auth, **{"Content-Type": kind}))
        answer = c.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise SystemExit("idle: %s %s: %d %s" % (method, path, answer.status, data[:300].decode(errors="replace")))
        return json.loads(data)


def create(server, i):
    spec = {"running": i < RUNNING, "instanceType": "u1.medium", "instanceProfile": "ubuntu"}
    if i < GPUS:
        spec["gpus"] = [{"name": GPU}]
    server.call("POST", INSTANCES, {"apiVersion": "apps.cozystack.io/v1alpha1", "kind": "VMInstance",
                                    "metadata": {"name": "vm-%04d" % i, "namespace": NAMESPACE}, "spec": spec})


def reasons(server):
    all_ = collections.Counter()
    for o in server.call("GET", INSTANCES)["items"]:
        ready = [c for c in (o.get("status") or {}).get("conditions", []) if c["type"] == "Ready"]
        all_[ready[0]["reason"] if ready else "none"] += 1
    return all_


def populate(server, state):
    env = dict(os.environ, KUBECONFIG=state + "/kubeconfig",
               PATH=re.search(r"PATH=(\S+?):?\$PATH", open(state + "/env").read()).group(1) + ":" + os.environ["PATH"])
    run("kubectl", "apply", "--server-side", "-f", TOP + "/e2e/data/instancetypes", env=env)
    server.call("PATCH", "/apis/kubevirt.io/v1/namespaces/kubevirt/kubevirts/kubevirt",
                {"spec": {"configuration": {"permittedHostDevices": {}}}}, "application/merge-patch+json")
    server.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: create(server, i), range(VMS)))
    want = {"Running": min(RUNNING, VMS), "Stopped": max(0, VMS - RUNNING)}
    end = time.time() + 600
    while time.time() < end:
        now = reasons(server)
        if all(now[k] == v for k, v in want.items()):
            return
        time.sleep(2)
    raise SystemExit("idle: the VMs do not come to rest, Ready is: %s" % dict(now))


# --- what is watched ---------------------------------------------------------------------------------------

def log_lines():
    return [json.loads(line) for line in open(OUT + "/requests") if line.endswith("\n")]


def seconds(stamp):
    import datetime
    return datetime.datetime.fromisoformat(re.sub(r"(\.\d{6})\d*Z$|Z$", lambda m: (m.group(1) or "") + "+00:00", stamp)).timestamp()


def is_renewal(line):
    return line["method"] in ("PUT", "PATCH") and line.get("path", "").endswith(RENEWS[line["via"]][0])


def is_watch(line):
    return line["method"] == "GET" and re.search(r"\bwatch=(1|true)\b", line.get("query", "")) is not None


def had_to_end(line):
    """kube-apiserver ends a watch after the time that was asked for (5 to 10 minutes). Where nothing of a kind changes, it may send not even a
    bookmark for long; after 90 s of silence a client cannot know whether anybody is there, and asks again."""
    ms = line.get("ms", 0)
    return is_watch(line) and line["phase"] == "done" and (ms > 240e3 or 90e3 <= ms < 100e3 and not line.get("events"))


def rest():
    """Waits until nothing was asked but renewals for QUIET seconds."""
    end = time.time() + 600
    while time.time() < end:
        last = max((seconds(l["t"]) for l in log_lines() if l.get("via") and not is_renewal(l)), default=0)
        if time.time() - last > QUIET:
            return
        time.sleep(1)
    raise SystemExit("idle: no rest in ten minutes; the end of the request log:\n" + "".join(open(OUT + "/requests").readlines()[-10:]))


def cpu(p):
    """Seconds that all threads of a process used."""
    return sum(int(open("/proc/%d/task/%s/schedstat" % (p.pid, t)).read().split()[0]) for t in os.listdir("/proc/%d/task" % p.pid)) / 1e9


def judge(who, lines, closed, used, long):
    lines = [l for l in lines if l["via"] == who and not (is_watch(l) and l["phase"] == "done")]
    renewals = [l for l in lines if is_renewal(l)]
    watches = collections.Counter(l["path"] for l in lines if is_watch(l))
    other = [l for l in lines if not is_renewal(l) and not is_watch(l)]
    every = RENEWS[who][1]
    it(not other, "%s: nothing but renewals of its Lease and watches is asked for" % who,
       "\n".join("%s %s %s?%s %s" % (l["t"], l["method"], l["path"], l.get("query", ""), l.get("status")) for l in other[:20]))
    it(abs(len(renewals) - long / every) <= 1.5 and all(l.get("status") == 200 for l in renewals),
       "%s: its Lease is renewed every %d s" % (who, every), "%d renewals in %.0f s" % (len(renewals), long))
    it(all(n <= closed[who][path] for path, n in watches.items()), "%s: a watch is opened again only when the server has ended it or was silent" % who,
       "%d watches opened again: %s" % (sum(watches.values()), dict(watches)))
    allowed = CPU[who] * long / 60
    it(used <= allowed, "%s: %.2f s of CPU at most" % (who, allowed), "%.3f s of CPU in %.0f s" % (used, long))


def watch(programs):
    from_, before = time.time(), {who: cpu(p) for who, p in programs.items()}
    while time.time() - from_ < MINUTES * 60 and all(p.poll() is None for p in programs.values()):
        time.sleep(0.5)
    until = time.time()
    for who, p in programs.items():
        it(p.poll() is None, "%s: it runs on" % who)
    after = {who: cpu(p) for who, p in programs.items()}
    lines = [l for l in log_lines() if l.get("via")]
    closed = {who: collections.Counter(l["path"] for l in lines if l["via"] == who and had_to_end(l)) for who in programs}
    inside = [l for l in lines if from_ < seconds(l["t"]) < until]
    for who in programs:
        judge(who, inside, closed, after[who] - before[who], until - from_)


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return
    os.makedirs(OUT, exist_ok=True)
    run("make", "-s", "-C", TOP, "V=" + V, "all", "build/vmgpu-e2e")
    work, mine = tempfile.mkdtemp(prefix="vmgpu-idle-"), not os.environ.get("STATE")
    state = os.environ.get("STATE") or work + "/cluster"
    tool, build = TOP + "/build/vmgpu-e2e", TOP + "/build/" + V
    try:
        if mine:
            run("bash", TOP + "/e2e/cluster/up.sh", state)
        if os.path.exists(OUT + "/requests"):
            os.remove(OUT + "/requests")
        start("play", tool, "play", "--cdi", state, NODE, "%s=%d" % (GPU, GPUS))
        start("proxy", tool, "proxy", "--state", state, "--log", OUT + "/requests", "--kubeconfig", work + "/kubeconfig",
              "--listen", "controller=127.0.0.1:0", "--listen", "daemon=127.0.0.1:0")
        run(TOP + "/e2e/bench/mktree.py", work + "/tree", "--gpus", str(GPUS))
        while not os.path.exists(work + "/kubeconfig.daemon"):
            time.sleep(0.1)
        time.sleep(1)
        programs = {
            "controller": start("controller", build + "/vmgpu-controller", "--kubeconfig", work + "/kubeconfig.controller", "--metrics-bind-address=0",
                                "--health-probe-bind-address=0"),
            "daemon": start("daemon", build + "/vmgpu-node", "--kubeconfig", work + "/kubeconfig.daemon", "--node-name", NODE,
                            "--sys-root", work + "/tree/sys", "--state-dir", work + "/state", "--lease-namespace", "kubevirt")}
        server, begun = Server(state), time.time()
        populate(server, state)
        say("%d VMs, %d of them running, after %.0f s" % (VMS, RUNNING, time.time() - begun))
        rest()
        say("at rest after %.0f s; now %g minutes" % (time.time() - begun, MINUTES))
        watch(programs)
    finally:
        for p in reversed(children):
            p.send_signal(signal.SIGTERM)
        for p in children:
            p.wait(10)
        if mine and os.path.isdir(state):
            subprocess.run(["bash", TOP + "/e2e/cluster/down.sh", state])
        shutil.rmtree(work, ignore_errors=True)
    print("1..%d" % count)
    sys.exit(1 if failed else 0)


main()
