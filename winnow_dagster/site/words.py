"""How pages write the values of open dimensions and their shares. Values without a word here are shown as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from winnow_dagster.core.badge import UNKNOWN, format_share
from winnow_dagster.core.categories import printable_name
from winnow_dagster.core.values import NOT_SAID

if TYPE_CHECKING:
    from collections.abc import Mapping

NOT_SAID_NAME = "not said"

_COUNTRIES = (
    "AE United Arab Emirates|AR Argentina|AT Austria|AU Australia|BD Bangladesh|BE Belgium|BG Bulgaria|BR Brazil|"
    "BY Belarus|CA Canada|CH Switzerland|CL Chile|CN China|CO Colombia|CY Cyprus|CZ Czechia|DE Germany|DK Denmark|"
    "DZ Algeria|EC Ecuador|EE Estonia|EG Egypt|ES Spain|FI Finland|FR France|GB United Kingdom|GE Georgia|GR Greece|"
    "HK Hong Kong|HR Croatia|HU Hungary|ID Indonesia|IE Ireland|IL Israel|IN India|IR Iran|IS Iceland|IT Italy|"
    "JP Japan|KE Kenya|KR South Korea|KZ Kazakhstan|LK Sri Lanka|LT Lithuania|LU Luxembourg|LV Latvia|MA Morocco|"
    "MX Mexico|MY Malaysia|NG Nigeria|NL Netherlands|NO Norway|NP Nepal|NZ New Zealand|PE Peru|PH Philippines|"
    "PK Pakistan|PL Poland|PT Portugal|RO Romania|RS Serbia|RU Russia|SA Saudi Arabia|SE Sweden|SG Singapore|"
    "SI Slovenia|SK Slovakia|TH Thailand|TN Tunisia|TR Turkey|TW Taiwan|UA Ukraine|US United States|UY Uruguay|"
    "VE Venezuela|VN Vietnam|ZA South Africa"
)
WORDS: Mapping[str, Mapping[str, str]] = {
    "country": {code: name for code, _, name in (each.partition(" ") for each in _COUNTRIES.split("|"))},
    "system": {"Darwin": "macOS"},
    "libc": {"musl": "musl (Alpine)"},
    "cpu": {
        "x86_64": "x86_64 (Intel, AMD)",
        "AMD64": "AMD64 (Windows)",
        "ARM64": "ARM64 (Windows)",
        "arm64": "arm64 (macOS)",
        "aarch64": "aarch64 (ARM)",
    },
    "file_type": {"bdist_wheel": "wheel", "sdist": "source (sdist)"},
}


def name_value(dimension: str, value: str) -> str:
    """Return the name of a value on pages."""
    if value == NOT_SAID:
        return NOT_SAID_NAME
    return WORDS.get(dimension, {}).get(value) or printable_name(value)


def format_interval(low: int, high: int) -> str:
    """Return whole numbers with two digits that count, rounded away from each other: `4,100 to 6,300`."""
    step = 10 ** max(0, len(str(high)) - 2)
    return f"{low // step * step:,} to {-(-high // step) * step:,}"


def format_aligned_share(part: int, whole: int) -> str:
    """Return a share with one decimal, so that the numbers of a column are aligned: `0%`, `4.0%`, `38.2%`."""
    if not whole:
        return UNKNOWN
    text = format_share(part, whole).removesuffix("%")
    return f"{text if '.' in text or not part else f'{text}.0'}%"
