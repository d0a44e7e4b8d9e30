"""The estimates of unsaid CI in `breakdowns.json`: one for each window whose kernels are known on every day."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from winnow_dagster.core.dimensions import KERNEL
from winnow_dagster.core.unsaid_ci import CONFIDENCE, UnsaidCi
from winnow_dagster.core.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.core.breakdowns import Breakdown, PackageBreakdowns

KEY = "unsaid_ci"


def estimate_windows(
    windows: Mapping[int, Mapping[str, Breakdown]], computed: PackageBreakdowns, published: Mapping[int, UnsaidCi]
) -> Iterator[tuple[int, UnsaidCi]]:
    """Yield the estimate of each window by kernel: a new one if its kernels were counted, or else the published one."""
    for length, by in windows.items():
        kernels = by.get(KERNEL.name)
        if kernels is None:
            continue
        window = Window((kernels.last_day - kernels.first_day).days + 1, kernels.last_day)
        is_counted = computed.over(window, KERNEL.name) == kernels
        found = computed.unsaid_ci(window) if is_counted else published.get(length)
        if found:
            yield length, found


def format_unsaid_ci(by: Mapping[str, Breakdown], found: UnsaidCi | None) -> dict[str, object]:
    """Return the estimate of a window. It is null if there are too few data for one, and absent without kernels."""
    if KERNEL.name not in by:
        return {}
    return {KEY: {"confidence": CONFIDENCE, **asdict(found)} if found else None}


def parse_unsaid_ci(window: Mapping[str, Any]) -> UnsaidCi | None:
    """Return the estimate in a published window; None without one. Raises like `int` and `dict` if it is damaged."""
    found = window.get(KEY)
    return UnsaidCi(*(int(found[each.name]) for each in fields(UnsaidCi))) if found else None
