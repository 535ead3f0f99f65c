#!/usr/bin/env python3
"""catalogue.py [--check]: what the systems that we answer for promise or test of nodes, and which of our tests shows it.

The rows are those of catalogue.tsv: number, scenario, file, a text in it. Without an argument: the table, with what
`make test` last said of each (its logs in build/test). With --check: TAP, a line a number: the test it names is there.
A file of "-" means that the scenario does not apply; the text says why.
"""
import glob, os, re, sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)


def rows():
    with open(HERE + "/catalogue.tsv") as f:
        return [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]


def missing(file, text):
    try:
        with open(os.path.join(TOP, file), errors="replace") as f:
            return None if text in f.read() else "%s has no test %s" % (file, text)
    except OSError as e:
        return "%s: %s" % (file, e.strerror)


def check():
    bad = {}
    for row in rows():
        if len(row) != 4 or not all(row):
            bad.setdefault(row[0], []).append("a row has number, scenario, file and text")
        else:
            why = None if row[2] == "-" else missing(row[2], row[3])
            bad.setdefault(row[0], []).extend([why] if why else [])
    for n, (number, whys) in enumerate(bad.items()):
        print("".join("# %s\n" % w for w in whys) + "%s %d - catalogue %s" % ("not ok" if whys else "ok", n + 1, number))
    return any(bad.values())


def said():
    """Each line of TAP that make test left, with the program that said it, of which the unit tests' log has a line."""
    found = []
    for log in glob.glob(TOP + "/build/test/*.log"):
        program = ""
        with open(log, errors="replace") as f:
            for line in f:
                name = re.match(r"# (build/\S+)$", line)
                program = name.group(1) if name else program
                if re.match(r"(not )?ok ", line):
                    found.append((line.startswith("ok "), line, program))
    return found


def result(file, text, lines):
    """Of the test with that text; else, of a row of a table in a test, of the whole program."""
    of = [good for good, line, _ in lines if text in line]
    if not of and file.endswith("_test.c"):
        of = [good for good, _, program in lines if program.endswith("/" + file[:-2])]
    return "not run" if not of else "passed" if all(of) else "FAILED"


def table():
    lines, last = said(), None
    print("| | scenario | test | result |\n| --- | --- | --- | --- |")
    for number, scenario, file, text in rows():
        test = "does not apply: " + text if file == "-" else "%s: %s" % (file, text)
        same = number == last
        print("| %s | %s | %s | %s |" % ("" if same else number, "" if same else scenario, test.replace("|", "\\|"),
                                          "" if file == "-" else result(file, text, lines)))
        last = number


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__.strip())
    elif sys.argv[1:] == ["--check"]:
        sys.exit(check())
    else:
        table()
