"""What spans packages: the list, its JSON and the health file say of each package what its record says."""

from __future__ import annotations

import gzip
import json
import random
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from winnow_dagster.core.badge import DEFAULT_STYLE, UNKNOWN
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.trend import sum_newest
from winnow_dagster.core.window import ALL, PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.all_packages import Summary
from winnow_dagster.site.index import Listing, describe_problem, list_packages
from winnow_dagster.site.site import SiteConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)
STARTED = datetime(2025, 7, 1, 4, tzinfo=UTC)
SITE = SiteConfig(3, styles={"*": DEFAULT_STYLE, "_group/both": DEFAULT_STYLE})


def window(days: int, honest: int | None = 1, *, ago: int = 0, length: int = 0, collected: int = 0) -> WindowState:
    numbers = dict.fromkeys(NUMBERS, 0) | {"raw": 2 * (honest or 0), "honest": honest, "pip": honest, "linux": honest}
    counts = WindowCounts(Window(length or days, DAY - timedelta(days=ago)), numbers)
    return WindowState(days, None if honest is None else counts, collected)


def state(package: str, *windows: WindowState, source: str = "bigquery") -> PackageState:
    return PackageState(package, source, windows)


GROUP = replace(state("_group/both", window(30, 9)), members=("a", "b"))


def listing(*states: PackageState, everything: Summary | None = None, source: str = "bigquery") -> Listing:
    rows = list_packages(states, {"a-a": "A_a", "_group/both": "_group/Both"}, SITE, through=DAY, today=TODAY)
    return Listing(rows, source, DAY, 3, everything)


def files(found: Listing) -> dict[str, bytes]:
    return found.files(lambda _: History.empty(), started=STARTED, finished=STARTED + timedelta(minutes=5))


def with_days(*states: PackageState, stored: History) -> str:
    """Return the page of packages that all have these days."""
    found = listing(*states).files(lambda _: stored, started=STARTED, finished=STARTED)
    return found["index.html"].decode()


def days_of(counts: Sequence[int]) -> History:
    """Return a history of so many honest downloads of twice as many raw ones, the newest last."""
    numbers = [dict.fromkeys(NUMBERS, 0) | {"honest": count, "raw": 2 * count, "ci": count} for count in counts]
    found = [Day(DAY - timedelta(days=ago), False, tuple(n.values())) for ago, n in enumerate(reversed(numbers))]  # noqa: FBT003 - not provisional
    return History(tuple(reversed(found)))


def cells(text: str) -> dict[str, list[str]]:
    """Return what the first row's cells show, in each window, by label."""
    first = text.partition("<tbody>")[2].partition("</tr>")[0]
    found = re.findall(r'data-label="([^"]+)">(.*?)</td>', first, re.DOTALL)
    each = {label: re.findall(r'<span class="in\d">(.*?)</span>', cell, re.DOTALL) or [cell] for label, cell in found}
    return {label: [re.sub(r"<[^>]+>", "", text) for text in texts] for label, texts in each.items()}


def index(*states: PackageState, everything: Summary | None = None, source: str = "bigquery") -> str:
    return files(listing(*states, everything=everything, source=source))["index.html"].decode()


def packages(*states: PackageState, everything: Summary | None = None) -> dict[str, object]:
    found: dict[str, object] = json.loads(files(listing(*states, everything=everything))["_packages.json"])
    return found


def health(*states: PackageState, source: str = "bigquery") -> dict[str, object]:
    found: dict[str, object] = json.loads(files(listing(*states, source=source))["_health.json"])
    return found


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ([window(30), window(7)], None),
        ([window(30), window(7, None, collected=3)], "3 of 7 days collected"),
        ([window(30, ago=1)], "the newest complete window of 30 days ends on 2025-06-29"),
        ([window(ALL, None)], "no day collected yet"),
        ([window(ALL, length=9, ago=1)], "the newest complete window of all days ends on 2025-06-29"),
    ],
)
def test_a_package_whose_windows_do_not_all_end_with_the_newest_day_says_why(
    windows: list[WindowState], problem: str | None
) -> None:
    assert describe_problem(state("a", *windows), DAY) == problem


def test_a_day_that_failed_is_the_reason_only_while_a_window_is_behind() -> None:
    failed = replace(state("a", window(30, ago=1)), problem="2025-06-30 could not be read")
    assert describe_problem(failed, DAY) == failed.problem
    assert describe_problem(replace(failed, windows=(window(30),)), DAY) is None


def test_packages_have_the_name_and_folder_that_the_config_gives_them() -> None:
    rows = listing(state("a-a", window(30)), GROUP).rows
    assert [(row.name, row.folder, row.is_group) for row in rows] == [
        ("A_a", "A_a", False),
        ("Both", "_group/Both", True),
    ]


def test_the_list_shows_the_window_that_all_have() -> None:
    rows = listing(state("a", window(7, 1), window(30, 5)), state("b", window(30, 6))).rows
    assert [row.window.days for row in rows] == [30, 30]
    assert [row.badge.days for row in rows] == [7, 30]


def test_the_page_lists_packages_by_their_downloads_and_those_without_a_number_last() -> None:
    text = index(state("a", window(30, 5)), state("b", window(30, None)), state("c", window(30, 70)), GROUP)
    assert re.findall(r'data-value="[^"]*"><a href="([^"]+)/"', text) == ["c", "_group/Both", "a", "b"]
    assert "<small>group</small>" in text
    assert 'data-key="honest" aria-sort="descending"' in text


def test_rows_of_different_windows_are_not_sorted_by_their_counts() -> None:
    text = index(state("a", window(30, 5)), state("b", window(7, 70)))
    assert "aria-sort" not in text
    assert re.findall(r'data-value="[^"]*"><a href="([^"]+)/"', text) == ["a", "b"]


def test_each_number_is_there_over_each_window_that_all_have() -> None:
    stored = days_of([100] * 7 + [1] * 7 + [2] * 7)
    text = with_days(state("a", window(14, 21), window(7, 14)), state("b", window(14, 21)), stored=stored)
    assert re.findall(r'for="window(\d)">([^<]+)<', text) == [("1", "14 days"), ("2", "7 days")]
    assert cells(text) == {
        "Honest": ["21", "14"],
        # The 14 days before are not all stored.
        "Trend": [UNKNOWN, "▲ 100%"],
        "Share": ["50%", "50%"],
        "Of raw": ["42", "28"],
        "By day": ["", ""],
    }
    labels = re.findall(r'aria-label="(\d+ to \d+ [^"]+)"', text)
    assert labels[:2] == ["1 to 2 honest downloads a day in 14 days", "2 to 2 honest downloads a day in 7 days"]


def test_without_a_window_before_there_is_no_column_of_trends() -> None:
    text = with_days(state("a", window(7, 14)), stored=days_of([2] * 13))
    assert list(cells(text)) == ["Honest", "Share", "Of raw", "By day"]
    assert "Over 7 days" in text


def test_a_number_of_an_older_day_says_so() -> None:
    older = cells(index(state("a", window(7, 5, ago=1)), state("b", window(7, 2))))
    assert older["Honest"] == ["5to 2025-06-29"]


def test_each_row_has_every_label_also_without_a_number() -> None:
    labels = ["Honest", "Share", "Of raw", "By day"]
    text = index(state("a", window(30, 5)), state("b", window(30, None)))
    assert re.findall(r'data-label="([^"]+)"', text) == 2 * labels
    # Without a window that all have, each row names its own.
    apart = index(state("a", window(ALL, 5, length=9)), state("b", window(30, 5)))
    assert re.findall(r'data-label="([^"]+)"', apart) == 2 * ["Window", *labels]


def test_an_index_of_300_packages_over_three_windows_is_under_80_kilobytes_compressed() -> None:
    chance = random.Random(22)
    histories = {
        f"{chance.choice(['acme', 'django', 'lib'])}-{chance.choice(['auth', 'core', 'tools'])}-{n}": days_of(
            [chance.randrange(10 ** (1 + n % 6)) for _ in range(180)]
        )
        for n in range(300)
    }
    states = [
        PackageState(name, "bigquery", tuple(WindowState(days, sum_newest(stored, days), days) for days in (30, 7, 90)))
        for name, stored in histories.items()
    ]
    found = listing(*states).files(histories.__getitem__, started=STARTED, finished=STARTED)
    assert found["index.html"].count(b"<tr ") == 300
    assert len(gzip.compress(found["index.html"])) < 80_000


def test_the_page_says_what_is_wrong_with_a_package_and_asks_about_a_name_without_downloads() -> None:
    text = index(state("a", window(30, None, collected=12)), state("b", window(30, 0)))
    assert "<small>12 of 30 days collected</small>" in text
    assert "<small>no download in 30 days: is the name right?</small>" in text


def test_the_page_is_as_of_the_newest_headline() -> None:
    states = state("a", window(30, ago=2)), state("b", window(30, ago=1), window(7))
    assert listing(*states).as_of == DAY - timedelta(days=1)
    assert 'data-as-of="2025-06-29" data-stale-days="3"' in index(*states)
    assert listing(state("a", window(30, None))).as_of is None
    assert "data-as-of" not in index(state("a", window(30, None)))


def test_sample_data_is_marked_in_every_file() -> None:
    made_up = state("a", window(30), source="sample")
    assert "<strong>Sample data.</strong>" in index(made_up, source="sample")
    assert health(made_up, source="sample")["sample"] is True
    assert "<strong>Sample data.</strong>" not in index(state("a", window(30)))
    assert health(state("a", window(30)))["sample"] is False


def test_json_lists_packages_and_groups_apart_in_the_order_of_the_config() -> None:
    found = packages(state("c", window(30, 1)), GROUP, state("a-a", window(7, 5, ago=1), window(30, None)))
    assert (found["format"], found["source"]) == (1, "bigquery")
    entries, groups = found["packages"], found["groups"]
    assert isinstance(entries, list)
    assert isinstance(groups, list)
    assert [(e["name"], e["folder"], e["headline"], list(e["windows"])) for e in entries] == [
        ("c", "c", "30", ["30"]),
        ("A_a", "a-a", "7", ["7"]),
    ]
    assert [e["error"] for e in entries] == [None, "the newest complete window of 7 days ends on 2025-06-29"]
    assert entries[1]["windows"]["7"]["honest"] == 5
    assert [(g["name"], g["folder"], g["members"]) for g in groups] == [("Both", "_group/both", ["a", "b"])]
    assert "everything" not in found


def test_health_has_the_count_of_each_headline_by_installer_and_system() -> None:
    found = health(state("b", window(30, 5), window(7, 2)), state("a", window(7, None, collected=1)), GROUP)
    assert list(found["packages"]) == ["a", "b"]  # type: ignore[call-overload]
    b = found["packages"]["b"]  # type: ignore[index]
    assert (b["window_days"], b["as_of"], b["count"], list(b["windows"])) == (30, "2025-06-30", 5, ["30", "7"])
    assert b["counts"] == {"pip": 5, "pipenv": 0, "pipx": 0, "uv": 0, "poetry": 0, "pdm": 0, "pip-family": 5}
    assert b["counts_by_system"] == {"Linux": 5, "Darwin": 0, "Windows": 0}
    assert "error" not in b
    assert found["packages"]["a"] == {"window_days": 7, "error": "1 of 7 days collected"}  # type: ignore[index]
    assert found["groups"]["Both"]["count"] == 9  # type: ignore[index]
    assert (found["started"], found["finished"]) == ("2025-07-01T04:00:00+00:00", "2025-07-01T04:05:00+00:00")
    assert found["through"] == "2025-06-30"
    assert "groups" not in health(state("a", window(30)))


def test_health_of_all_days_has_the_number_of_days_once_it_is_known() -> None:
    found = health(state("a", window(ALL, 5, length=9)), state("b", window(ALL, None)))["packages"]
    assert found["a"]["window_days"] == 9  # type: ignore[index]
    assert list(found["a"]["windows"]) == ["all"]  # type: ignore[index]
    assert found["b"] == {"window_days": 0, "error": "no day collected yet"}  # type: ignore[index]


def test_packages_of_everything_are_counted_and_not_listed() -> None:
    summary = Summary("bigquery", {30: DAY}, (30,), {"aa": 1200, "ab": 34}, short_days=("2025-06-01",))
    everything = packages(state("a", window(30)), everything=summary)["everything"]
    assert everything == {
        "packages": 1234,
        "as_of": {"30": "2025-06-30"},
        "list": "_packages/index.json",
        "short_days": ["2025-06-01"],
    }
    assert "1,234 more packages have a badge" in index(state("a", window(30)), everything=summary)
    assert "more packages" not in index(state("a", window(30)))


def test_a_page_comes_after_the_files_that_it_needs() -> None:
    names = list(files(listing(state("a", window(30)))))
    static = [name for name in names if name.startswith("_static/")]
    assert static
    assert names == [*static, "_packages.json", "compare.html", "index.html", "_health.json"]


def test_the_health_file_names_the_source_its_dataset_and_its_limits() -> None:
    told = json.loads(
        files(replace(listing(state("a", window(30))), dataset="a.b", remarks=("Late.",)))["_health.json"]
    )
    assert (told["source"], told["dataset"], told["source_limits"]) == ("bigquery", "a.b", ["Late."])
    assert "source_limits" not in health(state("a", window(30)))


def test_the_footer_of_the_index_tells_the_limits_of_the_source() -> None:
    found = files(replace(listing(state("a", window(30))), remarks=("Rows may be <late>.",)))["index.html"].decode()
    assert "Rows may be &lt;late&gt;." in found
