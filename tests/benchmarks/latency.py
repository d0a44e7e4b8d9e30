"""12 packages of one day from a BigQuery that takes 2 seconds for each query, whole process."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from tests.benchmarks.daily import collect
from tests.fake_bigquery import fake
from tests.rows import Row, row

SECONDS, PACKAGES = 2.0, 12
DAY = date(2025, 6, 30)


def run() -> Iterator[str]:
    with fake() as service:
        service.rows_for = _rows
        instant, _ = _collect(service.url, None)
        service.seconds = SECONDS
        (one_by_one, _), (side_by_side, megabytes) = _collect(service.url, 1), _collect(service.url, None)
    yield f"{PACKAGES} queries one by one: {one_by_one:.1f} s, of which {PACKAGES * SECONDS:.0f} s are BigQuery's"
    yield f"side by side: {side_by_side:.1f} s, {one_by_one / side_by_side:.1f} times faster; {megabytes:.0f} MB"
    yield f"with an instant BigQuery: {instant:.1f} s"


def _rows(parameters: dict[str, str]) -> Sequence[Row]:
    return [row(DAY, parameters["package"], downloads=7)]


def _collect(url: str, parallel: int | None) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = {
            "source": {"kind": "bigquery", "strategy": "per_package"} | ({"parallel": parallel} if parallel else {}),
            "packages": [{"name": f"p{n}", "window_days": 1} for n in range(PACKAGES)],
        }
        (Path(folder) / "winnow.yaml").write_text(json.dumps(config))
        return collect(Path(folder), DAY, given={"BIGQUERY_EMULATOR_HOST": url})
