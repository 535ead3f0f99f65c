#!/usr/bin/env python3
"""mutate.py --count N --seed S [--list]: makes N random one-token changes in the product's code, one at a time, in a copy of the tree, and runs the tests
that need no cluster. A change that no test notices survives: it is printed, for somebody to explain or to write a test for.

The last line is "N mutants, N caught". A change that does not compile is no mutant; another is drawn. Survivors that cannot be told apart by any test are
listed with their reason in equivalent.txt (FILE: LINE'S TEXT -> CHANGE) and are not drawn."""
import argparse, os, random, re, shutil, subprocess, sys, tempfile, time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FILES = ["controller/*.c", "lib/json/*.c", "lib/kube/watch*.c", "lib/kube/queue.c", "lib/kube/lease.c", "lib/kube/cache.c", "lib/kube/index.c",
         "lib/kube/intent*.c", "lib/kube/plan.c", "lib/kube/event*.c", "lib/kube/condition.c", "api/*.c", "node-daemon/*.c"]
SKIP = re.compile(r"_test\.c$|_fuzz\.c$|/main\.c$|cases_world\.c$|/daemon\.c$|/beat\.c$")
SWAPS = [("==", "!="), ("!=", "=="), ("<=", "<"), (">=", ">"), (" < ", " <= "), (" > ", " >= "), ("&&", "||"), ("||", "&&"), (" + ", " - "), (" - ", " + "),
         ("++", "--"), ("true", "false"), ("false", "true"), ("TRI_TRUE", "TRI_FALSE"), ("TRI_FALSE", "TRI_TRUE"), ("return 0;", "return -1;"),
         ("return NULL;", "return (void *)1;"), ("continue;", "break;"), (".builtin = true", ".builtin = false"), ("TYPE_STR,", "TYPE_RAW,"),
         ("MIN(", "MAX("), ("MAX(", "MIN(")]
NUMBER = re.compile(r"(?<![\w.\"])(\d+)(?![\w.\"])")
STRING = re.compile(r"\"([A-Za-z][A-Za-z0-9._/-]{2,})\"")


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


def draw(rng, files, text, equivalent):
    while True:
        f = rng.choice(files)
        lines = text[f]
        n = rng.randrange(len(lines))
        options = list(changes(lines[n]))
        if options:
            new, what = rng.choice(options)
            if "%s: %s -> %s" % (f, lines[n].strip(), what) not in equivalent:
                return f, n, new, what


def run(cmd, cwd, seconds):
    try:
        return subprocess.run(cmd, cwd=cwd, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=seconds, stdin=subprocess.DEVNULL).returncode
    except subprocess.TimeoutExpired:
        return 124


def tests(copy, f):
    """The tests beside the file first: most mutants die there."""
    all_ = subprocess.run(["make", "-s", "list-tests"], cwd=copy, stdout=subprocess.PIPE, text=True).stdout.split()
    slow = ("http_test", "process_test", "loop_test", "config_test")
    all_ = [t for t in all_ if not t.endswith(slow)]
    name = os.path.basename(f)[:-2].split("_")[0]
    return sorted(all_, key=lambda t: (os.path.dirname(f) not in t, name not in os.path.basename(t), "cases_test" not in t, t))


def caught(copy, f, seconds):
    for t in tests(copy, f):
        if run(["make", "-s", t], copy, 300) != 0:
            return None
        if run(["./" + t], copy, seconds) != 0:
            return t
    return False


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--count", type=int, default=100), a.add_argument("--seed", type=int, default=1)
    a.add_argument("--only", help="a part of the files' names")
    o = a.parse_args()
    rng, files = random.Random(o.seed), [f for f in sources() if not o.only or o.only in f]
    text = {f: open(os.path.join(TOP, f)).read().splitlines(True) for f in files}
    known = os.path.join(os.path.dirname(os.path.abspath(__file__)), "equivalent.txt")
    equivalent = {l.split(" # ")[0].strip() for l in open(known)} if os.path.exists(known) else set()
    copy = tempfile.mkdtemp(prefix="mutate-")
    done = killed = 0
    survivors, start = [], time.time()
    try:
        subprocess.run("git -C %s ls-files -z | (cd %s && xargs -0 cp --parents -t %s)" % (TOP, TOP, copy), shell=True, check=True)
        if run(["make", "-s", "-j2", "tests"], copy, 900) != 0:
            sys.exit("mutate.py: the tree does not build")
        while done < o.count:
            f, n, new, what = draw(rng, files, text, equivalent)
            lines = list(text[f])
            lines[n] = new
            path = os.path.join(copy, f)
            open(path, "w").writelines(lines)
            by = caught(copy, f, 60)
            open(path, "w").writelines(text[f])
            if by is None:
                continue
            done += 1
            killed += bool(by)
            if not by:
                survivors.append("%s:%d: %s   (%s)" % (f, n + 1, text[f][n].strip(), what))
            print("%3d %s %s:%d %s%s" % (done, "caught  " if by else "SURVIVED", f, n + 1, what, "  by " + os.path.basename(by) if by else ""), flush=True)
    finally:
        shutil.rmtree(copy, ignore_errors=True)
    for s in survivors:
        print("survivor: " + s)
    print("%d mutants, %d caught (%d s)" % (done, killed, time.time() - start))


main()
