"""Check what pytest wrote about its tests: enough of them ran, and none was skipped.

.ci/run starts this with the path of pytest's XML and the number of tests that have to run at least.
"""

from __future__ import annotations

import sys
from collections import Counter
from xml.etree import ElementTree as ET


def main(path: str, at_least: int) -> None:
    """Exit with the reasons of tests that were skipped, or with how few ran."""
    cases = list(ET.parse(path).getroot().iter("testcase"))  # noqa: S314 - pytest wrote it
    reasons = Counter(found.get("message", "") for case in cases for found in case.iter("skipped"))
    ran = len(cases) - reasons.total()
    if ran < at_least or reasons:
        listed = "".join(f"\n  {times} x {reason}" for reason, times in reasons.items())
        sys.exit(f"only {ran} tests ran, {reasons.total()} were skipped:{listed}")
    print(f"{ran} tests ran")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
