"""Day files of older releases: their metadata and checksums.

Format 1 has no checksum. Early files of format 2 have a checksum of all but the footer, as a number; later ones have a
checksum of the whole file, as text.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_RULES = "c4cde8aa"
"""The RULES that made the honest counts in files without `rules`."""

NO_CHECKSUM = None


def upgrade(about: Mapping[str, Any], schema: pl.Schema) -> Mapping[str, Any]:
    """Return the metadata of a day file of format 1 in the form of format 2; that of later formats unchanged.

    Format 1 is `1`, or `1/` and the rules of the honest counts.
    """
    number, _, rules = str(about["format"]).partition("/")
    if number != "1":
        return about
    return {
        **about,
        "format": 2,
        "rules": rules or (FIRST_RULES if "category" in schema else ""),
        "crc32": NO_CHECKSUM,
    }


def is_whole(content: bytes, checksum: int | None) -> bool:
    """Return whether a day file matches its checksum. Without a checksum, raise polars' error if it is unreadable."""
    if checksum is NO_CHECKSUM:
        pl.read_parquet(io.BytesIO(content))
        return True
    (footer,) = struct.unpack("<I", content[-8:-4])
    return zlib.crc32(content[: -8 - footer]) == checksum
