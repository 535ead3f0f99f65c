#!/usr/bin/env python3
"""mutate.py [--count N] [--seed S] [--only PATTERN] [--minutes M]: makes N random one-token changes in plans, tables, scanner, watch, queue and what else is pure, each as
likely as every other, each in a copy of the tree (JOBS=2 at a time), and runs the tests that need no cluster. A change that no test notices survives and is listed: it is a hole in the tests, unless equivalent.txt
says why no test could notice it. The last line is "N mutants, N caught"; the exit code is 0 from 90 % on.

A change that does not compile, or from which gcc -O2 makes the very same object file, is no mutant; another is drawn. equivalent.txt holds lines
"FILE: LINE'S TEXT -> CHANGE # reason". What is listed there and survives is listed here too, with its reason, beside the N; what is listed and caught after
all is said to be stale."""
import argparse, filecmp, glob, os, random, re, resource, shutil, signal, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
FILES = ["controller/*.c", "lib/json/*.c", "lib/kube/watch*.c", "lib/kube/discovery.c", "lib/kube/queue.c", "lib/kube/lease.c", "lib/kube/cache.c", "lib/kube/index.c",
         "lib/kube/intent*.c", "lib/kube/plan.c", "lib/kube/act.c", "lib/base/slab.c", "lib/kube/event*.c", "lib/kube/condition.c", "api/*.c", "node-daemon/*.c"]
# the rim: what talks to kernel or cluster
SKIP = re.compile(r"_test\.c$|_fuzz\.c$|/main\.c$|cases_world\.c$|controller/beats_watch\.c$|node-daemon/(beat|daemon|eyes|grpc_io|hands_run|inuse|journal_file|obey|observe|plugin_io|podres|print|"
                  r"sysfs|tool|uevent|users|users_nodes|words|write|write_vgpu)\.c$")
SWAPS = [("==", "!="), ("!=", "=="), ("<=", "<"), (">=", ">"), (" < ", " <= "), (" > ", " >= "), ("&&", "||"), ("||", "&&"), (" + ", " - "), (" - ", " + "),
         ("++", "--"), ("true", "false"), ("false", "true"), ("TRI_TRUE", "TRI_FALSE"), ("TRI_FALSE", "TRI_TRUE"), ("return 0;", "return -1;"),
         ("return NULL;", "return (void *)1;"), ("continue;", "break;"), (".builtin = true", ".builtin = false"), ("TYPE_STR,", "TYPE_RAW,"),
         ("MIN(", "MAX("), ("MAX(", "MIN(")]
NUMBER = re.compile(r"(?<![\w.\"])(?<!return -)(\d+)(?![\w.\"])")  # any negative answer says: failed
STRING = re.compile(r"\"([A-Za-z][A-Za-z0-9._/-]{2,})\"")
WORKERS = int(os.environ.get("JOBS", "2"))
CASES = "build/quick/controller/cases_test"
QUICK = ["make", "-s", "V=quick"]
MEMORY = 4 << 30  # a mutant that allocates without end takes no machine down


def sources():
    out = subprocess.run(["git", "-C", TOP, "ls-files", *FILES], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    return [f for f in out if not SKIP.search(f)]


def changes(line):
    """Every one-token change of a line of code."""
    code = line.split("/*")[0]
    if line.lstrip().startswith(("*", "//", "#include", "/*")) or "assert(" in line:
        return
    for a, b in SWAPS:
        at = code.find(a)
        while at >= 0:
            yield line[:at] + b + line[at + len(a):], "%s -> %s" % (a.strip(), b.strip())
            at = code.find(a, at + 1)
    for m in re.finditer(r"!(?=[a-z(])", code):
        yield line[:m.start()] + line[m.end():], "! removed"
    for m in NUMBER.finditer(code):
        yield line[:m.start()] + str(int(m.group(1)) + 1) + line[m.end():], "%s -> +1" % m.group(1)
    for m in STRING.finditer(code):
        yield line[:m.start(1)] + m.group(1)[:-1] + "~" + line[m.end(1):], '"%s" changed' % m.group(1)


class Mutant:
    def __init__(self, number, file, n, new, what, old):
        self.number, self.file, self.n, self.new, self.what, self.old = number, file, n, new, what, old
        self.by = None  # the test that noticed it
        self.reason = None  # why none could
        self.valid = False

    def key(self):
        return "%s: %s -> %s" % (self.file, self.old.strip(), self.what)


class NoLink(Exception):
    """A mutant that compiles and does not link is none."""


class Draws:
    """The same mutants in the same order for the same seed, however the workers run."""
    def __init__(self, tree, seed, files, count, until):
        self.rng, self.files, self.count, self.until, self.lock = random.Random(seed), files, count, until, threading.Lock()
        self.text = {f: open(os.path.join(tree, f)).read().splitlines(True) for f in files}
        self.all = [(f, n, new, what) for f in files for n, line in enumerate(self.text[f]) for new, what in changes(line)]
        self.rng.shuffle(self.all)
        self.mutants, self.running = [], 0

    def valid(self):
        return [m for m in self.mutants if m.valid]

    def next(self):
        """None: enough are drawn, unless one that still runs turns out to be none: then wait."""
        while time.time() < self.until:
            with self.lock:
                if len(self.valid()) + self.running < self.count and self.all:
                    self.running += 1
                    m = self.draw()
                    self.mutants.append(m)
                    return m
                if not self.running or not self.count:
                    return None
            time.sleep(0.05)

    def draw(self):
        f, n, new, what = self.all.pop()
        return Mutant(len(self.mutants), f, n, new, what, self.text[f][n])

    def stop(self):
        with self.lock:
            self.count, self.running = 0, 0

    def done(self, m, valid):
        with self.lock:
            self.running -= 1
            m.valid = valid
            if valid:
                print("%3d %s %s:%d %s%s" % (len(self.valid()), "caught  " if m.by else "SURVIVED", m.file, m.n + 1, m.what,
                                             "  by " + os.path.basename(m.by) if m.by else ""), flush=True)


def wait(p, seconds):
    """The exit code. A second counts only while this program runs: one that is stopped for a while (SIGSTOP) must not find that all took too long."""
    for _ in range(int(seconds) + 1):
        try:
            return p.wait(1)
        except subprocess.TimeoutExpired:
            pass
    raise subprocess.TimeoutExpired(p.args, seconds)


def run(cmd, cwd, seconds, limit=True):
    """The exit code; 124 when it took too long."""
    def child():
        if limit:
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    p = subprocess.Popen(cmd, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=child)
    try:
        return wait(p, seconds)
    except subprocess.TimeoutExpired:
        os.killpg(p.pid, signal.SIGKILL)
        p.wait()
        return 124


class Base:
    """The unchanged tree, built: its tests' programs, of which sources each is (by their names), and how long it runs."""
    def __init__(self, path):
        self.path = path
        subprocess.run("git ls-files -z | xargs -0 cp -p --parents -t " + path, shell=True, check=True, cwd=TOP)
        built = [d for d in ("build/gen", "build/quick") if os.path.isdir(os.path.join(TOP, d))]  # make finds out what of it is old
        if built:
            subprocess.run(["cp", "-a", "--parents", *built, path], check=True, cwd=TOP)
        tests = subprocess.run([*QUICK, "list-tests"], cwd=path, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
        if not all(os.path.exists(os.path.join(path, t)) for t in tests) and run([*QUICK, "-j2", "tests"], path, 1200, limit=False) != 0:
            sys.exit("mutate.py: the tree does not build: make V=quick tests")
        self.sources = {t: set() for t in tests}
        for t, source in re.findall(r"^(.+):\S+ a (\S+\.c)$", subprocess.run(["nm", "-A", "-a", *tests], cwd=path, stdout=subprocess.PIPE, text=True, check=True).stdout, re.M):
            self.sources[t].add(source)
        self.tests, self.times, self.lock, self.fresh = tests, {}, threading.RLock(), set()

    def have(self, t):
        """Up to date, when it is asked for: of what was built before only what is needed is built again."""
        with self.lock:
            if t not in self.fresh and run([*QUICK, t], self.path, 1200, limit=False) != 0:
                raise RuntimeError("%s does not build" % t)
            self.fresh.add(t)

    def of(self, file):
        """The tests that contain it: a program's tests have no other program's files but kubectl-vmgpu's, which has the controller's."""
        folder, name = os.path.split(file)
        folders = {"controller": ("controller/", "cli/"), "node-daemon": ("node-daemon/",)}.get(folder, ("",))
        return [t for t in self.tests if name in self.sources[t] and any("/quick/" + f in t for f in folders)]

    def seconds(self, t, *arguments):
        """Without any change; asked for when it is about to be run with one."""
        with self.lock:
            key = " ".join([t, *arguments])
            if key not in self.times:
                self.have(t)
                start = time.time()
                if run(["./" + t, *arguments], self.path, 1200) != 0:
                    raise RuntimeError("%s fails without any change" % key)
                self.times[key] = time.time() - start
            return self.times[key]


class Worker(threading.Thread):
    def __init__(self, base, path, draws, why):
        super().__init__(daemon=True)
        self.base, self.path, self.draws, self.why, self.error = base, path, draws, why, None
        subprocess.run(["cp", "-a", base.path + "/.", path], check=True)

    def run(self):
        try:
            while (m := self.draws.next()):
                self.draws.done(m, self.judge(m))
        except Exception as e:  # said by main
            self.error = e
            self.draws.stop()

    def judge(self, m):
        """False: no mutant."""
        path = os.path.join(self.path, m.file)
        lines = list(self.draws.text[m.file])
        lines[m.n] = m.new
        self.write(path, lines)
        try:
            if run([*QUICK, "build/quick/" + m.file[:-2] + ".o"], self.path, 300, limit=False) != 0:
                return False
            m.by = self.caught(m.file)
            m.reason = None if m.by else self.why.get(m.key())
            return bool(m.by) or not (m.reason or self.same_code(m.file))
        except NoLink as e:
            print("# no mutant, %s does not link: %s:%d %s" % (e, m.file, m.n + 1, m.what), flush=True)
            return False
        finally:
            self.write(path, self.draws.text[m.file])

    @staticmethod
    def write(path, lines):
        with open(path, "w") as f:
            f.writelines(lines)

    def caught(self, file):
        """Its own cases and the tests beside the file first: most mutants die there. Then all others that contain it, the quickest first."""
        folder, stem = os.path.dirname(file) + "/", os.path.basename(file)[:-2]
        name = stem.split("_")[0]
        cases = re.search(r"vm|disk|cluster|permit|device|node|pool", os.path.basename(file)) if folder == "controller/" else None
        if cases and self.fails(CASES, cases.group() + "/"):
            return CASES
        tests = sorted(self.base.of(file), key=lambda t: self.base.times.get(t, 0))
        near = [t for t in tests if folder in t and (name in os.path.basename(t) or "cases_test" in t)]
        near.sort(key=lambda t: (os.path.basename(t) != stem + "_test", not os.path.basename(t).startswith(stem)))
        for t in self.linked(near + [t for t in tests if t not in near]):
            if run(["./" + t], self.path, 20 + 10 * self.base.seconds(t)) != 0 and self.surely(t):
                return t
        return None

    def linked(self, tests):
        """One at a time at first, where most mutants die; a program that did not change by it cannot notice the change."""
        while tests:
            some, tests = (tests[:1], tests[1:]) if len(tests) % 8 else (tests[:8], tests[8:])
            self.link(some)
            for t in some:
                self.base.have(t)
                if not filecmp.cmp(os.path.join(self.path, t), os.path.join(self.base.path, t), shallow=False):
                    yield t

    def link(self, tests):
        """Twice if need be: a linker that was killed leaves half a program behind, which make takes for a whole one."""
        if run([*QUICK, *tests], self.path, 600, limit=False) == 0:
            return
        for left in [os.path.join(self.path, t) for t in tests] + glob.glob(os.path.join(self.path, "build/quick/*.a")):
            if os.path.exists(left):
                os.unlink(left)
        if run([*QUICK, *tests], self.path, 1200, limit=False) != 0:
            raise NoLink(" ".join(tests))

    def fails(self, t, *arguments):
        """A part of a test's rows, by their names."""
        self.link([t])
        return run(["./" + t, *arguments], self.path, 20 + 10 * self.base.seconds(t, *arguments)) != 0

    def surely(self, t):
        """Tests of time and sockets could fail by a busy machine alone: they must fail twice."""
        return self.base.seconds(t) < 0.2 or "cases_test" in t or run(["./" + t], self.path, 60 + 20 * self.base.seconds(t)) != 0

    def same_code(self, file):
        """Does gcc -O2 see no difference?"""
        for path, out in (self.base.path, "a.o"), (self.path, "b.o"):
            if run(["make", "-s", "V=release", "CFLAGS_release=-O2 -g0", "build/release/" + file[:-2] + ".o"], path, 600, limit=False) != 0:
                return False
            shutil.copy(os.path.join(path, "build/release", file[:-2] + ".o"), os.path.join(self.path, out))
            os.unlink(os.path.join(path, "build/release", file[:-2] + ".o"))
        return filecmp.cmp(os.path.join(self.path, "a.o"), os.path.join(self.path, "b.o"), shallow=False)


def reasons():
    path = os.path.join(HERE, "equivalent.txt")
    lines = [l.strip().rpartition(" # ") for l in open(path) if " # " in l] if os.path.exists(path) else []
    return {key: why for key, _, why in lines}


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--count", type=int, default=100), a.add_argument("--seed", type=int, default=1)
    a.add_argument("--minutes", type=float, default=1e6, help="draw no more after so many, and count what was judged")
    a.add_argument("--only", metavar="PATTERN", help="only files whose names have this regular expression: /(plan_|scan)")
    o = a.parse_args()
    files, start, why = [f for f in sources() if not o.only or re.search(o.only, f)], time.time(), reasons()
    os.nice(5)
    work, memory = tempfile.mkdtemp(prefix="mutate-"), tempfile.mkdtemp(prefix="mutate-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    os.environ["TMPDIR"] = memory  # tests that are killed leave their files there
    try:
        os.makedirs(work + "/base")
        base = Base(work + "/base")
        print("# built unchanged: %d s" % (time.time() - start), flush=True)
        draws = Draws(base.path, o.seed, files, o.count, start + 60 * o.minutes)
        print("# %d changes are possible" % len(draws.all), flush=True)
        workers = [Worker(base, os.path.join(work, str(i)), draws, why) for i in range(WORKERS)]
        [w.start() for w in workers], [w.join() for w in workers]
        for w in workers:
            if w.error:
                sys.exit("mutate.py: %s" % w.error)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(memory, ignore_errors=True)
    mutants = draws.valid()
    for m in draws.mutants:
        if m.reason:
            print("cannot be noticed: %s:%d: %s   (%s)\n    %s" % (m.file, m.n + 1, m.old.strip(), m.what, m.reason))
    for m in mutants:
        if not m.by:
            print("survivor, a hole in the tests: %s:%d: %s   (%s)" % (m.file, m.n + 1, m.old.strip(), m.what))
        elif m.key() in why:
            print("stale in equivalent.txt, caught by %s: %s" % (m.by, m.key()))
    killed = sum(bool(m.by) for m in mutants)
    print("# seed %d, %d s" % (o.seed, time.time() - start))
    print("%d mutants, %d caught" % (len(mutants), killed))
    sys.exit(killed * 10 < len(mutants) * 9)


main()
