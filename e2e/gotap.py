#!/usr/bin/env python3
"""gotap.py: `go test -json` on standard input becomes one TAP line for each test (a package that does not build is a failed test)."""
import json, sys

failed, output = False, {}
for line in sys.stdin:
    try:
        event = json.loads(line)
    except ValueError:
        print("# " + line.rstrip())
        continue
    name = event.get("Package", "").rsplit("/", 1)[-1] + (" " + event["Test"] if "Test" in event else "")
    if event["Action"] == "output":
        output.setdefault(name, []).append(event["Output"].rstrip())
    elif event["Action"] == "fail" or event["Action"] == "build-fail":
        failed = True
        print("\n".join("# " + o for o in output.get(name, [])))
        print("not ok - " + (name or event.get("ImportPath", "build")))
    elif event["Action"] in ("pass", "skip") and "Test" in event:
        print("ok - " + name + (" # SKIP" if event["Action"] == "skip" else ""))
sys.exit(1 if failed else 0)
