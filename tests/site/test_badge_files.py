"""Badge files of many packages: drawn once for all that show the same, and never for one that shows another."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core import badge
from winnow_dagster.core.badge import BADGE_KINDS, SLUGS, BadgeStyle
from winnow_dagster.core.shard import ALL_COLUMNS, HEADLINE_COLUMNS, Shard
from winnow_dagster.core.window import Window
from winnow_dagster.site import badges as drawing
from winnow_dagster.site.badges import ShardRenderer, badge_files, badges_of_shard

DAY = date(2025, 6, 30)
TODAY = DAY + timedelta(days=1)
SHARD = Shard("bigquery", HEADLINE_COLUMNS, (Window(30, DAY),), (30,), {})
HEADLINE = BadgeStyle(slugs=("downloads",))

counts = st.one_of(st.none(), st.integers(0, 12))
shards = st.builds(
    lambda source, columns, ago, length: Shard(
        source, columns, (Window(30, DAY - timedelta(days=ago)),), (length,), {}
    ),
    st.sampled_from(("bigquery", "sample")),
    st.sampled_from((HEADLINE_COLUMNS, ALL_COLUMNS)),
    st.integers(0, 5),
    st.sampled_from((30, 7)),
)
packages = shards.flatmap(
    lambda shard: st.tuples(st.just(shard), st.tuples(*[st.integers(0, 12)] * 2, *[counts] * (len(shard.columns) - 2)))
)


def drawn_alone(shard: Shard, numbers: tuple[int | None, ...], style: BadgeStyle) -> dict[str, bytes]:
    found = badges_of_shard(shard, numbers, style, today=TODAY, stale_threshold_days=3)
    return {name: content for each in found for name, content in badge_files(each).items()}


@given(st.lists(packages, max_size=20), st.sampled_from((HEADLINE, BadgeStyle(slugs=SLUGS))), st.sampled_from((1, 50)))
def test_badges_drawn_one_package_after_another_are_those_drawn_alone(
    found: list[tuple[Shard, tuple[int | None, ...]]], style: BadgeStyle, room: int
) -> None:
    renderer = ShardRenderer(style, 3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "MAX_CACHED", room)
        for shard, numbers in found:
            renderer.start(shard, TODAY)
            assert renderer.files(numbers) == drawn_alone(shard, numbers, style)


def test_a_real_badge_is_not_drawn_from_the_cache_of_a_sample_one() -> None:
    renderer = ShardRenderer(HEADLINE, 3)
    renderer.start(replace(SHARD, source="sample"), TODAY)
    sample = renderer.files((5, 9))["downloads-30d-non-ci.json"]
    renderer.start(SHARD, TODAY)
    assert b"sample: " in sample
    assert b"sample: " not in renderer.files((5, 9))["downloads-30d-non-ci.json"]


def test_a_headline_that_shows_more_than_its_honest_count_is_drawn_from_all_that_it_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (share,) = (replace(kind, slug="downloads") for kind in BADGE_KINDS if kind.slug == "honest-share")
    monkeypatch.setattr(badge, "BADGE_KINDS", (share,))
    renderer = ShardRenderer(HEADLINE, 3)
    renderer.start(SHARD, TODAY)
    half, all_of_it = (renderer.files((20, raw))["downloads-30d-non-ci.json"] for raw in (40, 20))
    assert b'"50%"' in half
    assert b'"100%"' in all_of_it


def test_packages_of_the_same_payload_share_one_drawing() -> None:
    renderer = ShardRenderer(HEADLINE, 3)
    renderer.start(SHARD, TODAY)
    one, other = renderer.files((5, 9)), renderer.files((5, 700))
    name = "downloads-30d-non-ci.svg"
    assert one[name] is other[name]
