"""The page that compares packages and groups. Its script reads their published days."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.site.template import render

if TYPE_CHECKING:
    from winnow_dagster.site.index import Listing

COMPARE_NAME = "compare.html"


def format_compare(listing: Listing) -> bytes:
    """Return `compare.html`. Which packages it compares is in its address: `compare.html#a,b`."""
    return render(
        COMPARE_NAME,
        "",
        base_url=listing.base_url,
        sample=listing.source == "sample",
        dataset=listing.dataset,
        remarks=listing.remarks,
    )
