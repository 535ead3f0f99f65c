"""The guest's rows of make bench: how soon an order, and a card's leaving its bus and coming back, stand in the kubelet's list. In a real
kernel (e2e/node), in turns with floor.c, which does the same writes in /sys, reads back the same links and looks at nothing else.

An order's time begins when its bytes reach the daemon; what comes before is the API's row. An event's begins when the kernel tells of it.
"""
import json, os, statistics, subprocess, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
NAME, CARD, DEVICE = "bench-guest", "0000:81:00.0", "10de:2321"
STEPS = (("order at the daemon until it is listed", "order_to_list_ms"), ("kernel's event, card gone, until it is not listed", "remove_to_list_ms"),
         ("kernel's event, card back, until it is listed", "add_to_list_ms"))


def run(*command, **more):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout


def turn(guest, nodekit, who):
    """One life of it."""
    ours = ["--kubeconfig", guest + "/kubeconfig", "--node", NAME], [TOP + "/build/release/vmgpu-node", "--node-name", NAME, "--kubeconfig", "KUBECONFIG",
            "--lease-namespace", "default", "--beat-period", "1h", "--state-dir", "/tmp/vmgpu", "--log-level=warn"]
    more, plugin = ours if who == "ours" else ([], [TOP + "/build/bench/floor", "order", CARD])
    return json.loads(run("bash", TOP + "/e2e/node/guest.sh", guest, nodekit, "order", "--card", CARD, "--device", DEVICE, "--log", "/tmp/%s.log" % who, *more, "--", *plugin))


def rows(cluster, n, row):
    nodekit = run("bash", TOP + "/e2e/cluster/build.sh", "nodekit").strip() + "/nodekit"
    for kind in ({"apiVersion": "v1", "kind": "Node"}, {"apiVersion": "vmgpu.io/v1alpha1", "kind": "GPUNode", "spec": {"term": 1, "units": []}}):
        run("kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(dict(kind, metadata={"name": NAME})))
    guest = tempfile.mkdtemp(prefix="vmgpu-bench-guest-")
    try:
        run("bash", TOP + "/e2e/node/run.sh", guest, cluster.state + "/kubeconfig", env=dict(os.environ, NODE=NAME, NVFAKE="driver=0"))
        figures = {"ours": [], "floor": []}
        for i in range(n):
            for who in ("floor", "ours") if i % 2 == 0 else ("ours", "floor"):
                figures[who].append(turn(guest, nodekit, who))
    finally:
        run("bash", TOP + "/e2e/node/stop.sh", guest)
    middle = lambda who, key: statistics.median(f[key] for f in figures[who])
    for text, key in STEPS:
        row("in the guest: " + text, middle("ours", key), None, middle("floor", key), "ms", ("<= 1.5 floor", 1.5))
    row("in the guest: before that, an order's way through the API", middle("ours", "api_ms"), None, None, "ms", None)
