"""Day files of older releases: what their metadata and checksums mean.

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
"""The RULES by which honest counts were made before files named theirs."""

NO_CHECKSUM = None


def upgrade(about: Mapping[str, Any], schema: pl.Schema) -> Mapping[str, Any]:
    """Return the metadata of a day file of format 1 as format 2 words it; that of later formats as it is.

    Format 1 is `1`, or `1/` and the rules by which the honest counts were made.
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
    """Return whether a day file with such a checksum is what was written; without one, whether it can be read."""
    if checksum is NO_CHECKSUM:
        # Raises what polars raises.
        pl.read_parquet(io.BytesIO(content))
        return True
    (footer,) = struct.unpack("<I", content[-8:-4])
    return zlib.crc32(content[: -8 - footer]) == checksum
