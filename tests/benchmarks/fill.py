"""A first fill, sample source, whole process: seconds, and a share of those of one that grows with its counts.

Without breakdowns, and with the two that the sample source reads on its own.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.benchmarks.daily import collect

CASES = ((25, 30), (50, 30), (100, 30), (200, 30), (400, 30), (50, 365))
"""Packages, and the days of each."""

KINDS: Mapping[str, Mapping[str, object]] = {"without breakdowns": {"breakdowns": []}, "with Python and version": {}}
"""The defaults of each config."""


def run() -> Iterator[str]:
    for kind, defaults in KINDS.items():
        idle = seconds_of(1, 1, defaults)
        yield f"{kind}, 1 package of 1 day: {idle:.1f} s, which is what any collect takes"
        yardstick = 0.0
        for packages, days in CASES:
            seconds, counts = seconds_of(packages, days, defaults), packages * days
            each = (seconds - idle) / counts
            yardstick = yardstick or each
            yield (
                f"{kind}, {packages} packages of {days} days: {seconds:.1f} s; {1000 * each:.2f} ms for each of "
                f"{counts} days of packages beyond that, {each / yardstick:.2f} of the first line's"
            )


def seconds_of(packages: int, days: int, defaults: Mapping[str, object]) -> float:
    config = {
        "source": {"kind": "sample"},
        "defaults": defaults,
        "packages": [{"name": f"package-{n:03}", "window_days": days} for n in range(packages)],
    }
    with tempfile.TemporaryDirectory() as parent:
        (Path(parent) / "winnow.yaml").write_text(json.dumps(config))
        seconds, _ = collect(Path(parent), datetime.now(UTC).date() - timedelta(days=1))
    return seconds
