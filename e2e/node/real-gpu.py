"""real-gpu.py FAKENVML COMMAND...: the checks of real-gpu.sh, which see. COMMAND is vmgpu-node."""
import ctypes, glob, json, os, signal, socket, subprocess, sys, tempfile, threading, time

FAKE, NODE = sys.argv[1], sys.argv[2:]
OUT = os.environ.get("OUT")
LOOK_S = 7  # a look has four seconds, and one more where a reading hangs before it
work = tempfile.mkdtemp()
tests = [0, 0]
children = []


def check(name, good, *notes):
    tests[0] += 1
    tests[1] += not good
    print("%s %d - %s" % ("ok" if good else "not ok", tests[0], name))
    for n in notes:
        for line in str(n).splitlines() or [""]:
            print("# " + line[:300])
    sys.stdout.flush()
    return good


def note(*lines):
    for n in lines:
        for line in str(n).splitlines():
            print("# " + line[:300])


def read(path, most=65536):
    try:
        with open(path, "rb") as f:
            return f.read(most)
    except OSError as e:
        return ("(%s)" % e.strerror).encode()


def run(*argv, timeout=40):
    try:
        p = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
        return p.stdout.decode(errors="replace")
    except (OSError, subprocess.TimeoutExpired) as e:
        return "(%s)\n" % e


# --- what the machine shows -------------------------------------------------------------------------------------------------------------

def gpus():
    return sorted(os.path.basename(d) for d in glob.glob("/sys/bus/pci/devices/*")
                  if read(d + "/vendor").strip() == b"0x10de" and read(d + "/class").startswith((b"0x03", b"0x12")))


def show(d):
    """All of a device in /sys, a line each: its links, and its files as text or hex."""
    lines = []
    for name in sorted(os.listdir(d)):
        path = os.path.join(d, name)
        if os.path.islink(path):
            lines.append("  %s -> %s" % (name, os.readlink(path)))
        elif os.path.isdir(path):
            lines.append("  %s/ %s" % (name, " ".join(sorted(os.listdir(path))[:40])))
        elif name.startswith(("resource0", "resource1", "resource2", "resource3", "resource4", "resource5", "rom", "remove", "rescan", "reset")) and name != "reset_method":
            lines.append("  %s (not read)" % name)
        else:
            b = read(path, 4096)
            lines.append("  %s = %s" % (name, b.decode().strip().replace("\n", "\\n") if b.isascii() and b"\0" not in b else "hex " + b.hex()))
    return "%s -> %s\n%s\n" % (d, os.path.realpath(d), "\n".join(lines))


def dump():
    parts = {"pci.txt": "", "nvidia.txt": "", "machine.txt": ""}
    for d in sorted(glob.glob("/sys/bus/pci/devices/*")):
        parts["pci.txt"] += show(d)
    parts["pci.txt"] += run("lspci", "-vvnn") + run("lspci", "-t") + run("sh", "-c", "ls -l /sys/class/iommu /sys/kernel/iommu_groups /sys/bus/pci/drivers 2>&1")
    for root, _, files in os.walk("/proc/driver/nvidia"):
        for f in sorted(files):
            parts["nvidia.txt"] += "== %s %s\n%s\n" % (os.path.join(root, f), oct(os.stat(os.path.join(root, f)).st_mode), read(os.path.join(root, f)).decode(errors="replace"))
    for argv in (["nvidia-smi"], ["nvidia-smi", "-q"], ["nvidia-smi", "topo", "-m"], ["nvidia-smi", "nvlink", "-s"], ["nvidia-smi", "nvlink", "-R"]):
        parts["nvidia.txt"] += "== %s\n%s\n" % (" ".join(argv), run(*argv))
    parts["machine.txt"] = "".join("== %s\n%s\n" % (c, run("sh", "-c", c)) for c in (
        "uname -a", "cat /etc/os-release", "cat /proc/cmdline", "cat /proc/devices", "ls -lL /dev/nvidia* /dev/dri /dev/vfio /dev/iommu", "cat /proc/modules", "ps -ef",
        "cat /proc/self/status | grep -i cap", "readlink /proc/self/ns/pid /proc/1/ns/pid", "find / -xdev -name 'libnvidia-ml*' 2>/dev/null; ls -lL /usr/local/nvidia* 2>/dev/null",
        "ldd --version | head -1", "grep -r . /sys/module/nvidia/version /sys/module/nvidia/parameters 2>/dev/null", "mount | head -40", "cat /proc/mounts | grep -i nvidia"))
    for name, text in parts.items():
        if OUT:
            with open(os.path.join(OUT, name), "w") as f:
                f.write(text)


# --- the eyes ---------------------------------------------------------------------------------------------------------------------------

class Eyes:
    """vmgpu-node observe; ended at the end of a with."""
    def __init__(self, name, *flags, script=None):
        self.socket, self.log = os.path.join(work, name), os.path.join(work, name + ".log")
        env = dict(os.environ)
        if script is not None:
            env["FAKENVML"] = os.path.join(work, name + ".script")
            with open(env["FAKENVML"], "w") as f:
                f.write(script)
        self.process = subprocess.Popen(NODE + ["observe", "--eyes-socket", self.socket, *flags], stderr=open(self.log, "wb"), env=env)

    def __enter__(self):
        for _ in range(100):
            if os.path.exists(self.socket):
                break
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def ask(self, question, timeout=60):
        """The answer and how long it took; {} where there is none."""
        start = time.monotonic()
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.settimeout(timeout)
        try:
            s.connect(self.socket)
            s.send((json.dumps(question) + "\n").encode())
            answer = json.loads(s.recv(1 << 17) or b"{}")
        except (OSError, ValueError) as e:
            answer = {"error": str(e)}
        s.close()
        return answer, time.monotonic() - start

    def who(self):
        answer, took = self.ask({"v": 1, "units": [question]}, LOOK_S)
        unit = (answer.get("units") or [{}])[0]
        return unit.get("users"), unit.get("who", "") or answer.get("error", ""), took, answer

    def cards(self):
        return self.ask({"v": 1, "cards": [card]})

    def later(self, fn):
        """fn in a thread; a list that has its result when that is there."""
        got = []
        t = threading.Thread(target=lambda: got.append(fn()), daemon=True)
        t.start()
        return got, t


def maps_nvidia(pid):
    return b"libnvidia" in read("/proc/%d/maps" % pid, 1 << 22)


# --- somebody who has the card ------------------------------------------------------------------------------------------------------------

CUDA = """
import ctypes, sys, time
cuda = ctypes.CDLL("libcuda.so.1")
ctx = ctypes.c_void_p(); mem = ctypes.c_uint64()
rc = cuda.cuInit(0) or cuda.cuDevicePrimaryCtxRetain(ctypes.byref(ctx), 0) or cuda.cuCtxSetCurrent(ctx) or cuda.cuMemAlloc_v2(ctypes.byref(mem), ctypes.c_size_t(1 << 30))
print("rc", rc, flush=True)
time.sleep(100)
"""


def begin_cuda():
    p = subprocess.Popen([sys.executable, "-c", CUDA], stdout=subprocess.PIPE)
    children.append(p)
    return p, p.stdout.readline().decode().strip()


# --- the checks -----------------------------------------------------------------------------------------------------------------------------

def check_scan():
    global question
    text = run(*NODE, "--once", "-o", "json")
    try:
        status = json.loads(text)
    except ValueError:
        check("the scan prints JSON", False, text[:500])
        return False
    status = status.get("status", status)
    note("vmgpu-node --once:", run(*NODE, "--once", "-o", "table"), run(*NODE, "--once", "-o", "yaml"))
    if OUT:
        with open(os.path.join(OUT, "gpunode.json"), "w") as f:
            json.dump(status, f, indent=1)
    units = {u["id"]: u for u in status["units"]}
    check("the scan finds the GPUs that the kernel has", sorted(units) == gpus(), "units %s, kernel %s" % (sorted(units), gpus()))
    u = units[card]
    check("a model's name, and NVIDIA's driver", u["name"].startswith("nvidia.com/") and u["driver"] == "nvidia" and u["mode"] in ("host", "vgpu"),
          "%s %s %s" % (u["name"], u.get("model"), u["driver"]))
    smi = run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader").split("\n")[0].strip()
    said = status["nodeInfo"]["versions"].get("nvidia")
    check("the driver's version is nvidia-smi's", said == smi or not os.path.exists("/sys/module/nvidia/version"),
          "%s, nvidia-smi %s, /sys/module/nvidia/version %s" % (said, smi, read("/sys/module/nvidia/version").decode().strip()))
    question = {"id": card, "group": u.get("iommuGroup", {}).get("id", -1),
                "functions": [{"at": f["address"], "driver": f["driver"]} for f in u["functions"] if f.get("driver")]}
    note("question: " + json.dumps(question))
    return True


def compare(got):
    keys = ("uuid", "memory.total", "memory.used", "temperature.gpu", "power.draw", "enforced.power.limit", "clocks.sm", "clocks.mem", "utilization.gpu", "ecc.mode.current", "mig.mode.current",
            "ecc.errors.uncorrected.volatile.total", "driver_version")
    text = run("nvidia-smi", "-i", card, "--query-gpu=" + ",".join(keys), "--format=csv,noheader,nounits").strip()
    smi = dict(zip(keys, [v.strip() for v in text.split(",")]))
    c = (got.get("cards") or [{}])[0]
    note("nvidia-smi: " + json.dumps(smi), "ours: " + json.dumps(c))

    def number(key):
        try:
            return float(smi[key])
        except (KeyError, ValueError):
            return None

    def near(name, ours, key, apart):
        theirs = number(key)
        check("%s is nvidia-smi's" % name, (theirs is None and ours is None) or (theirs is not None and ours is not None and abs(ours - theirs) <= apart),
              "ours %s, nvidia-smi %s" % (ours, smi.get(key)))

    def mib(v):
        return None if v is None else v / 1048576

    def watts(v):
        return None if v is None else v / 1000

    check("library and driver are of nvidia-smi's version", got.get("library") == got.get("driver") == smi.get("driver_version"), "%s %s" % (got.get("library"), got.get("driver")))
    check("the UUID is nvidia-smi's", c.get("uuid") == smi.get("uuid"))
    near("memory", mib(c.get("memoryTotal")), "memory.total", 1)
    near("memory in use", mib(c.get("memoryUsed")), "memory.used", 16)
    near("temperature", c.get("temperature"), "temperature.gpu", 5)
    near("power", watts(c.get("power")), "power.draw", 60)
    near("the limit of power", watts(c.get("powerLimit")), "enforced.power.limit", 1)
    near("the memory's clock", c.get("memoryClock"), "clocks.mem", 1200)
    on = {"Enabled": 1, "Disabled": 0}
    check("ECC and MIG are nvidia-smi's", c.get("ecc") == on.get(smi.get("ecc.mode.current")) and c.get("mig") == on.get(smi.get("mig.mode.current")),
          "ours %s %s, nvidia-smi %s %s" % (c.get("ecc"), c.get("mig"), smi.get("ecc.mode.current"), smi.get("mig.mode.current")))


def check_readings():
    with Eyes("read") as eyes:
        got, took = eyes.cards()
        note("asked for the first time: %.2f s" % took, json.dumps(got))
        if not check("the card is read by the machine's own library", got.get("state") == "done", json.dumps(got), read(eyes.log).decode()):
            return
        compare(got)
        check("what reads is gone, and has left nothing in the eyes", not maps_nvidia(eyes.process.pid))
        got, took = eyes.cards()
        note("asked again: %.2f s" % took)
        # While it is read somebody wants to know who has it: that is never the reading.
        reading, thread = eyes.later(eyes.cards)
        time.sleep(min(0.1, took / 2))
        users, by, look, _ = eyes.who()
        thread.join(70)
        check("who asks while the card is read is not told of the reading", "vmgpu" not in by and users == before[0], "%s %s, after %.2f s; the reading: %s" % (users, by, look, json.dumps(reading)[:200]))
        if users == "none":
            got, _ = eyes.cards()
            check("right after nobody had it, it is not read", got.get("state") == "none" and "about to leave" in got.get("why", ""), json.dumps(got))


def check_users():
    global before
    with Eyes("users") as eyes:
        users, by, took, answer = eyes.who()
        before = (users, by)
        note("before: %s %s, %.3f s; versions %s" % (users, by, took, answer.get("versions")))
        check("before CUDA, the eyes say who has the card", users in ("none", "some"), by)
        p, rc = begin_cuda()
        if rc != "rc 0":
            check("CUDA begins", False, rc)
        users, by, took, _ = eyes.who()
        check("while a CUDA process has it, it is in use", users == "some", "%s %s, %.3f s" % (users, by, took))
        if before[0] == "none":
            check("and the process is named", "process %d " % p.pid in by, "%s; its number is %d" % (by, p.pid))
        p.send_signal(signal.SIGKILL)
        p.wait()
        time.sleep(1)
        users, by, took, _ = eyes.who()
        check("after it, it is as before", (users, by) == before, "%s %s, %.3f s" % (users, by, took))


def check_cuda_reading():
    """With another's memory in it, and the card awake."""
    with Eyes("awake") as eyes:
        p, _ = begin_cuda()
        got, took = eyes.cards()
        c = (got.get("cards") or [{}])[0]
        note("awake: %.2f s, %s" % (took, json.dumps(c)))
        check("a reading sees what a process has of it", c.get("memoryUsed", 0) >= 1 << 30 and c.get("processes", 0) >= 1)
        p.kill()
        p.wait()


def check_bad_libraries():
    driver = "library 13.580.1.1\ndriver 580.1.1\nopen /dev/nvidiactl\n"
    with Eyes("missing", "--nvml", "/nowhere/libnvidia-ml.so.1") as eyes:
        got, _ = eyes.cards()
        check("without a library the card is not read", got.get("state") == "absent", json.dumps(got))
        check("and the eyes see", eyes.who()[:2] == before)
    with Eyes("mismatch", "--nvml", FAKE, script=driver + "fail Init_v2 18\n") as eyes:
        got, _ = eyes.cards()
        check("a library of another version is told apart", got.get("state") == "mismatch" and got.get("library") == "580.1.1", json.dumps(got))
    device = sorted(glob.glob("/dev/nvidia[0-9]*") or ["/dev/nvidiactl"])[0]
    with Eyes("hangs", "--nvml", FAKE, script="open %s\nhang Init_v2\n" % device) as eyes:
        reading, thread = eyes.later(eyes.cards)
        time.sleep(1)
        users, by, took, _ = eyes.who()
        check("while a reading hangs with %s open, the eyes see as before" % device, (users, by) == before and took < LOOK_S, "%s %s, %.3f s" % (users, by, took))
        thread.join(5)
        check("and the reading gave way", bool(reading) and reading[0][0].get("state") == "none", json.dumps(reading))
    with Eyes("late", "--nvml", FAKE, script="hang Init_v2\n") as eyes:
        got, took = eyes.cards()
        check("one that hangs with nobody waiting is late", got.get("state") == "late" and took < 40, "%.1f s, %s" % (took, json.dumps(got)))
        got, took = eyes.cards()
        check("and is not tried again at once", got.get("state") == "late" and took < 1, "%.1f s" % took)
        check("and the eyes see", eyes.who()[:2] == before, read(eyes.log).decode())


card, question, before = (gpus() or [None])[0], None, (None, "")
try:
    dump()
    locks = glob.glob("/proc/driver/nvidia/gpus/*/unbindLock")
    note("GPUs %s, unbindLock: %s" % (gpus(), ["%s %s" % (l, read(l).decode().strip()) for l in locks] or "none"), "kernel " + os.uname().release, read("/proc/driver/nvidia/version").decode())
    if check_scan():
        check_users()
        check_readings()
        check_cuda_reading()
        check_bad_libraries()
finally:
    for p in children:
        p.kill()
    print("1..%d" % tests[0])
sys.exit(tests[1] != 0)
