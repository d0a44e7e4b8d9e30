"""A later release with one more dimension, as a process: it reads what this release stored and published.

`python -m tests.core.later_release FOLDER` prints what it finds as JSON. test_dimensions starts it.
"""

# ruff: noqa: E402 - the entry comes before the modules that derive from the table

from __future__ import annotations

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from winnow_dagster.core import dimensions

PYTHON = dimensions.Dimension(
    name="python",
    column="details.python",
    values={minor: minor for minor in ("3.12", "3.13")},
    slug="python",
    health_key="counts_by_python",
    bytes_per_row=7.5,
    rest="other",
    label="Python {}",
    prefix="python_",
    pattern=r"^\d+\.\d+",
    is_later=True,
)
dimensions.DIMENSIONS = (*dimensions.DIMENSIONS, PYTHON)

from winnow_dagster.config.style import StyleSection
from winnow_dagster.core.badge import BadgeStyle, badges_of, parse_file_name
from winnow_dagster.core.categories import RAW_SCHEMA, winnow
from winnow_dagster.core.coverage import Coverage, Reading, Request
from winnow_dagster.core.days import CountOptions, Days
from winnow_dagster.core.everything import describe_everything
from winnow_dagster.core.names import EVERYTHING, Group, Selector, normalise
from winnow_dagster.core.packages import describe_packages
from winnow_dagster.site.chart import Series, plot
from winnow_dagster.site.history import format_csv, format_json, parse_json
from winnow_dagster.site.page import format_page
from winnow_dagster.site.record import format_record, parse_record
from winnow_dagster.site.site import SiteConfig
from winnow_dagster.sources.bigquery.billing import Figures
from winnow_dagster.sources.bigquery.query import PER_PACKAGE, CountQuery
from winnow_dagster.sources.parquet.counts import count_rows
from winnow_dagster.sources.parquet.survey import survey_file
from winnow_dagster.store.raw import RawStore

OLD, NEW = date(2025, 6, 29), date(2025, 6, 30)
AT = datetime(2025, 7, 2, tzinfo=UTC)
A, B = Selector("a"), Selector("b")
BOTH = Group(normalise("both"), (A, B))
NUMBERS = ("honest", "linux", "python_3.12", "python_3.13", "python_other")


def main(folder: Path) -> dict[str, object]:
    """Return what this release makes of a folder in which an earlier one read `a` on OLD and NEW."""
    store = RawStore(folder)
    before = {str(day): sorted(map(str, coverage.read)) for day, coverage in store.coverages([OLD, NEW]).items()}
    damaged = dict(store.damaged())
    for number, file in enumerate(("with.parquet", "without.parquet")):
        counted = count_rows(survey_file(str(folder / file)), [Request(B, NEW, NEW)], {NEW}).counts
        if number == 0:
            store.add_reading(Reading([Request(B, NEW, NEW)], counted), AT)
    stored = store.load([OLD, NEW])
    honest = stored.derive(winnow)
    question = CountOptions(NEW, "parquet")
    described = describe_packages(honest, {A: (2, 1), B: (1,), BOTH: (1,)}, stored.coverage, question)
    package = described["b"][0]
    every = Days(honest.counts, {NEW: Coverage({EVERYTHING: AT})})
    shards = describe_everything(every, {EVERYTHING: (1,)}, BadgeStyle(), question, []).shards()
    published = parse_json((folder / "history.json").read_bytes())
    record = parse_record((folder / "counts.json").read_bytes())
    assert record
    site = SiteConfig(3, styles={"b": BadgeStyle()})
    badges = badges_of(package.state, today=date(2025, 7, 1), stale_threshold_days=3)
    known = {badge.file_name: badge.payload["message"] for badge in badges}
    old = badges_of(record, today=date(2025, 7, 1), stale_threshold_days=3)
    series = Series("Honest downloads by day and Python", {"python_3.12": "c-ci", "python_3.13": "c-script"}, "honest")
    return {
        "covered": before,
        "damaged": damaged,
        "stored": [list(row[1:]) for row in stored.counts.sort(RAW_SCHEMA.names()).collect().iter_rows()],
        "without the column": [row[4] for row in counted.iter_rows()],
        "windows": {
            f"{name} {window.days}": {number: window.counts.numbers[number] for number in NUMBERS}
            for name, packages in described.items()
            for window in packages[0].state.windows
            if window.counts
        },
        "shards": {
            name: {key: count for key, count in counted.shard.counted(numbers, 1).items() if key in NUMBERS}
            for found in shards
            for counted in found.values()
            for name, numbers in counted.shard.packages.items()
        },
        "history": json.loads(format_json(described["a"][0].state, published))["days"],
        "csv": format_csv("parquet", published).decode().splitlines(),
        "record": json.loads(format_record(record))["windows"],
        "badges": {name: message for name, message in known.items() if name.startswith("python")},
        "labels": [badge.payload["label"] for badge in badges if badge.slug == "python-3.12"],
        "old badges": {badge.file_name: badge.payload["message"] for badge in old if badge.slug.startswith("python")},
        "parsed": parse_file_name("python-3.12-30d-non-ci.json"),
        "config": StyleSection.model_validate({"badges": ["python-3.12"]}).badges,
        "page": format_page(package, badges, site, date(2025, 7, 1)).decode(),
        "chart": plot(described["b"][0].history, 30, "x", series).svg,
        "unknown chart": plot(published, 2, "x", series).svg,
        "query": CountQuery([Request(A, NEW, NEW)], PER_PACKAGE).text("t"),
        "size": Figures().package_day(CountQuery([Request(A, date(2026, 9, 1), date(2026, 9, 1))], PER_PACKAGE).columns)
        / Figures().package_day_bytes,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
