"""Check what pytest wrote about its tests: many ran, and only those of Azure's containers may be skipped, without npm.

.ci/run starts this with the path of pytest's XML.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from xml.etree import ElementTree as ET

AT_LEAST = 500
LACKS_AZURITE = "Azurite is not installed"


def main(path: str) -> None:
    """Exit with the reasons of tests that were skipped, if they were not to be."""
    cases = list(ET.parse(path).getroot().iter("testcase"))  # noqa: S314 - pytest wrote it
    reasons = Counter(found.get("message", "") for case in cases for found in case.iter("skipped"))
    ran = len(cases) - reasons.total()
    allowed = {reason for reason in reasons if reason.startswith(LACKS_AZURITE) and shutil.which("npm") is None}
    if ran < AT_LEAST or reasons.keys() - allowed:
        listed = "".join(f"\n  {times} x {reason}" for reason, times in reasons.items())
        sys.exit(f"only {ran} tests ran, {reasons.total()} were skipped:{listed}")
    print(f"{ran} tests ran")
    if allowed:
        print(f"{reasons.total()} of Azure's containers did not: Azurite needs npm, which is not installed")


if __name__ == "__main__":
    main(sys.argv[1])
