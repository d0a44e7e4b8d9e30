"""Remarks: hints for the user although nothing failed, such as a name that may be misspelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.names import GROUP_FOLDER, Selector
from winnow_dagster.core.verdicts import Verdict

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from winnow_dagster.core.window import PackageState


def remark_on(state: PackageState) -> str | None:
    """Return the remark on a package or group without a download in its longest whole window; None otherwise."""
    counted = [window.counts for window in state.windows if window.counts]
    longest = max(counted, key=lambda counts: counts.window.days, default=None)
    if longest is None or longest.raw:
        return None
    days = longest.window.days
    question = "are the names right?" if state.package.startswith(GROUP_FOLDER) else "is the name right?"
    return f"no download in {'1 day' if days == 1 else f'{days} days'}: {question}"


def remark_on_prefixes(
    published: Mapping[str, Sequence[PackageState]], selectors: Collection[Selector], missing: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield each prefix that selects no package although all its days were read, with a remark.

    `missing` has the selectors, as text, that lack days.
    """
    for selector in selectors:
        key = str(selector)
        if selector.is_prefix and not selector.is_all and not published.get(key) and key not in missing:
            yield key, "no package with such a name was downloaded: is the prefix right?"


def judge_downloads(
    published: Mapping[str, Sequence[PackageState]], selectors: Collection[Selector], missing: Collection[str]
) -> Verdict:
    """Judge whether each package, group and prefix has a download. A name without one may be misspelled."""
    states = [state for found in published.values() for state in found]
    remarks = {state.package: remark for state in states if (remark := remark_on(state))}
    return Verdict(remarks | dict(remark_on_prefixes(published, selectors, missing)), len(states))
