"""How much pages weigh, compressed."""

from __future__ import annotations

import gzip
import random
from datetime import date, timedelta

from winnow_dagster.core.badge import DEFAULT_STYLE
from winnow_dagster.core.days import Package
from winnow_dagster.core.history import NUMBERS, Day, History
from winnow_dagster.core.window import PackageState, Window, WindowCounts, WindowState
from winnow_dagster.site.page import format_page
from winnow_dagster.site.site import SiteConfig

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)


def test_a_page_of_a_year_of_days_weighs_less_than_60_kb() -> None:
    chance = random.Random(1)
    days = [
        Day(DAY - timedelta(days=ago), provisional=False, numbers=tuple(chance.randint(0, 99_999) for _ in NUMBERS))
        for ago in reversed(range(365))
    ]
    counts = WindowCounts(Window(365, DAY), dict.fromkeys(NUMBERS, 12_345), {})
    state = PackageState("a", "bigquery", (WindowState(365, counts, 365),))
    site = SiteConfig(3, styles={"a": DEFAULT_STYLE})
    page = format_page(Package(state, History(tuple(days))), site.badges(state, TODAY), site, TODAY)
    assert len(gzip.compress(page)) < 60_000
