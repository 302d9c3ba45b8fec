#!/usr/bin/env python3
"""Sum up `go test -json`: print go's own line for each package as it ends, then the failures with their output, the
skipped tests with their reasons, and as last line "N passed, N failed, N skipped".

    { go test -json ./...; ...; } | testsum.py [LOG]

Counted are tests without subtests and the subtests themselves. Exit code 1 when anything failed, also a package that
did not build or died, or when nothing ran at all. LOG receives the raw events.
"""
import collections
import json
import sys


class Summary:
    def __init__(self):
        self.output = collections.defaultdict(list)  # (package, test or None) -> lines
        self.result = {}  # (package, test) -> pass | fail | skip
        self.broken = []  # packages that failed on their own: build, panic outside a test, timeout
        self.build = collections.defaultdict(list)  # import path -> lines of the compiler

    def event(self, e):
        action, package, test = e["Action"], e.get("Package"), e.get("Test")
        if action == "build-output":
            self.build[e["ImportPath"]].append(e["Output"])
        elif action == "output":
            self.output[package, test].append(e["Output"])
        elif action in ("pass", "fail", "skip") and test:
            self.result[package, test] = action
        elif action in ("pass", "fail", "skip") and package:
            self.package(package, action, e.get("FailedBuild"))
        elif action == "runner-failed":
            self.runner_failed = True

    runner_failed = False

    def package(self, package, action, failed_build):
        own = self.output[package, None]
        for line in own:
            if line.startswith(("ok  ", "FAIL\t", "---")):
                print(line, end="", flush=True)
        if action == "fail" and not any(p == package and r == "fail" for (p, _), r in self.result.items()):
            self.broken.append((package, self.build.get(failed_build) or own))

    def leaves(self):
        parents = {(p, t.rsplit("/", 1)[0]) for p, t in self.result if "/" in t}
        # A parent counts when it failed or was skipped although no subtest did.
        for (p, t), r in sorted(self.result.items()):
            inner = [s for (q, u), s in self.result.items() if q == p and u.startswith(t + "/")]
            if (p, t) not in parents or (r == "fail" and "fail" not in inner):
                yield p, t, r

    def report(self):
        unfinished = [k for k in self.output if k[1] and k not in self.result]
        leaves = list(self.leaves())
        failed = [(p, t) for p, t, r in leaves if r == "fail"] + sorted(unfinished)
        skipped = [(p, t) for p, t, r in leaves if r == "skip"]
        passed = sum(r == "pass" for _, _, r in leaves)
        for p, t in failed:
            print(f"\n=== FAILED {p} {t}")
            while t:
                print("".join(self.output[p, t]), end="")
                t = t.rpartition("/")[0]
        for p, lines in self.broken:
            print(f"\n=== FAILED {p} (the package itself)")
            print("".join(lines), end="")
        for p, t in skipped:
            why = [l.strip() for l in self.output[p, t] if not l.startswith(("=== ", "--- "))]
            print(f"=== SKIPPED {p} {t}: {' '.join(why)}")
        failures = len(failed) + len(self.broken)
        if self.runner_failed and not failures:
            print("\n=== FAILED go test itself: see above")
            failures = 1
        print(f"\n{passed} passed, {failures} failed, {len(skipped)} skipped")
        return 1 if failures or passed == 0 else 0


def main():
    log = open(sys.argv[1], "w") if len(sys.argv) > 1 else None
    summary = Summary()
    for line in sys.stdin:
        if log:
            log.write(line)
        try:
            event = json.loads(line)
        except ValueError:
            print(line, end="", flush=True)  # go test talks plainly when it cannot start
            continue
        summary.event(event)
    return summary.report()


if __name__ == "__main__":
    sys.exit(main())
