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
        self.run = collections.Counter()  # package -> how often it has ended: each run stands for itself
        self.output = collections.defaultdict(list)  # (package, run, test or None) -> lines
        self.result = {}  # (package, run, test) -> pass | fail | skip
        self.broken = []  # packages that failed on their own: build, panic outside a test, timeout
        self.build = collections.defaultdict(list)  # import path -> lines of the compiler
        self.runner_failed = False

    def event(self, e):
        action, package, test = e["Action"], e.get("Package"), e.get("Test")
        if action == "build-output":
            self.build[e["ImportPath"]].append(e["Output"])
        elif action == "output":
            self.output[package, self.run[package], test].append(e["Output"])
        elif action in ("pass", "fail", "skip") and test:
            self.result[package, self.run[package], test] = action
        elif action in ("pass", "fail", "skip") and package:
            self.package(package, action, e.get("FailedBuild"))
        elif action == "runner-failed":
            self.runner_failed = True

    def package(self, package, action, failed_build):
        run = self.run[package]
        self.run[package] += 1
        own = self.output[package, run, None]
        for line in own:
            if line.startswith(("ok  ", "FAIL\t", "---")):
                print(line, end="", flush=True)
        if action == "fail" and not any((p, n, r) == (package, run, "fail") for (p, n, _), r in self.result.items()):
            self.broken.append((package, self.build.get(failed_build) or own))

    def leaves(self):
        """(package, run, test), result. A parent stands for its subtests, unless it failed by itself."""
        parents, failed = set(), set()
        for (p, n, t), r in self.result.items():
            while "/" in t:
                t = t.rpartition("/")[0]
                parents.add((p, n, t))
                if r == "fail":
                    failed.add((p, n, t))
        for key, r in sorted(self.result.items()):
            if key not in parents or (r == "fail" and key not in failed):
                yield key, r

    def report(self):
        leaves = list(self.leaves())
        failed = [key for key, r in leaves if r == "fail"]
        failed += sorted(key for key in self.output if key[2] and key not in self.result)  # never ended
        skipped = [key for key, r in leaves if r == "skip"]
        passed = sum(r == "pass" for _, r in leaves)
        for p, n, t in failed:
            print(f"\n=== FAILED {p} {t}")
            while t:
                print("".join(self.output[p, n, t]), end="")
                t = t.rpartition("/")[0]
        for p, lines in self.broken:
            print(f"\n=== FAILED {p} (the package itself)")
            print("".join(lines), end="")
        for p, n, t in skipped:
            why = [l.strip() for l in self.output[p, n, t] if not l.startswith(("=== ", "--- "))]
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
