"""Reads a JUnit file as PyPI's junitparser does and prints what it counts; a flaky or repeated case with its attempts."""

import sys
from collections import Counter

from junitparser import xunit2

counts = Counter()
for suite in xunit2.JUnitXml.fromfile(sys.argv[1]):
    for case in suite:
        counts["cases"] += 1
        kinds = {type(r).__name__ for r in case.result}
        if "Failure" in kinds:
            counts["failed"] += 1
        elif "Error" in kinds:
            counts["error"] += 1
        elif "Skipped" in kinds:
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
        counts["flaky"] += case.is_flaky
        counts["rerun"] += case.is_rerun
        counts["earlier"] += len(case.interim_result)
words = ["cases", "passed", "failed", "error", "skipped", "flaky", "rerun", "earlier"]
print(" ".join(f"{word}={int(counts[word])}" for word in words))
