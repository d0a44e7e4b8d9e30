"""Types for values of the config. Each validates a value, and describes a wrong one in a sentence."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WrapValidator
from pydantic_core import PydanticCustomError

from winnow_dagster.core.colors import COLORS
from winnow_dagster.core.masking import hide, shown
from winnow_dagster.core.names import Selector, normalise
from winnow_dagster.core.window import ALL
from winnow_dagster.files.paths import EXAMPLES, is_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

CI_KNOWN_SINCE = date(2024, 2, 23)
"""PyPI's log has `details.ci` since this day; days before it cannot be winnowed."""

MAX_WINDOW_DAYS = 3660


def invalid(why: str) -> PydanticCustomError:
    """Return the error for a wrong value. `why` is the whole message."""
    return PydanticCustomError("winnow", "{why}", {"why": why})


def number_in_quotes(value: object) -> object:
    """Return 30 for `"30"`, as pypi-winnow-downloads does."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else value


def _refuse_flag(value: object) -> object:
    """Refuse true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise invalid(f"{value} is not a number")
    return value


def one_or_list(value: object) -> object:
    """Return a value that is not a list as a list of one."""
    return value if isinstance(value, list) else [value]


def _check_selector(value: str) -> str:
    try:
        Selector.parse(value)
    except ValueError as error:
        raise invalid(_quoting(error, value)) from None
    return value


def _check_package(value: str) -> str:
    try:
        return normalise(value)
    except ValueError as error:
        raise invalid(_quoting(error, value)) from None


def _check_name(value: str) -> str:
    try:
        return normalise(value)
    except ValueError as error:
        raise invalid(_quoting(error, value).replace("a PyPI name", "a group's name")) from None


def _quoting(error: ValueError, value: str) -> str:
    """Return the message of an error about a name. If the name may be a secret, mask it."""
    return str(error) if hide(value) == value else f"{shown(value)} is not a PyPI name"


def _check_start(value: date) -> date:
    if value < CI_KNOWN_SINCE:
        raise invalid(f"{value} is too early: PyPI tells CI apart since {CI_KNOWN_SINCE}. Use that day or later")
    # Refused, not only warned of: a mistyped year would leave every badge without a number. East of UTC, the user's
    # today may be tomorrow in UTC.
    today = datetime.now(UTC).date()
    if value > today + timedelta(days=1):
        raise invalid(f"{value} is in the future. Use today, {today} (UTC), or an earlier day")
    return value


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"'<>\\^`{|}]+", value):
        raise invalid(f"{shown(value)} is not a web address. Start it with https://")
    return value.rstrip("/")


def _refuse_user(value: str) -> None:
    if re.match(r"[^/?#]*//[^/?#]*@", value):
        # The message does not quote the address, which may contain a password.
        raise invalid("has a user name in it, which would be published. Write the address without it")


def _check_base_url(value: str) -> str:
    _refuse_user(value)
    if "?" in value or "#" in value:
        raise invalid("has a '?' or a '#' in it, but paths of files are added to it. Write the address of a folder")
    return _check_url(value)


def _check_https(value: str) -> str:
    if not value.startswith("https://"):
        raise invalid("is not the address of a web page with HTTPS. Write all of it")
    _refuse_user(value)
    return _check_url(value)


def _check_webhook(value: str) -> str:
    # The message does not quote the address: it allows anyone to post.
    if not value.startswith(("https://", "http://")):
        raise invalid("is not a web address. Start it with https://")
    return value


def _check_variable(value: str) -> str:
    # The message does not quote the value, which may be the secret itself.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise invalid("is not the name of an environment variable. Write the name of the variable with the secret")
    return value


def _check_path(value: str) -> str:
    if "://" in value:
        raise invalid(f"{shown(value)} is not a local path. Use a directory or file of this machine")
    if "\0" in value:
        raise invalid(f"{shown(value)} is not a path. Remove the null character")
    if "PRIVATE KEY" in value or value.lstrip().startswith("{"):
        raise invalid("is the content of a file. Write the path of the file that holds it")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise invalid(
            f"{shown(value)} is in the home of a user that this machine does not know. Write the whole path"
        ) from None
    return value


def _check_directory(value: str) -> str:
    if "://" not in value:
        return _check_path(value)
    if not is_address(value):
        raise invalid(f"{shown(value)} is not a place that Winnow can use. Write a local path, {EXAMPLES}")
    try:
        parse_address(value)
    except ValueError as error:
        raise invalid(str(error)) from None
    return value


def _check_color(value: str) -> str:
    if value not in COLORS and not re.fullmatch(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", value):
        raise invalid(
            f"{shown(value)} is not a colour. Use {', '.join(COLORS)}, or six hexadecimal digits such as '4c1d95'"
        )
    return value


def _all_or_days(value: object, check: Callable[[object], int]) -> int:
    return ALL if value == "all" else check(value)


Whole = Annotated[int, Field(strict=True), BeforeValidator(number_in_quotes)]
Number = Annotated[float, BeforeValidator(_refuse_flag), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
SelectorText = Annotated[Text, AfterValidator(_check_selector)]
PackageName = Annotated[Text, AfterValidator(_check_package)]
GroupName = Annotated[Text, AfterValidator(_check_name)]
SettleDays = Annotated[Whole, Field(ge=0, le=30)]
StartDate = Annotated[date, Field(strict=True), AfterValidator(_check_start)]
BaseUrl = Annotated[Text, AfterValidator(_check_base_url)]
Https = Annotated[Text, AfterValidator(_check_https)]
Webhook = Annotated[Text, AfterValidator(_check_webhook)]
Variable = Annotated[Text, AfterValidator(_check_variable)]
"""The name of an environment variable with a secret."""

Directory = Annotated[Text, AfterValidator(_check_directory)]
LocalPath = Annotated[Text, AfterValidator(_check_path)]
LocalPaths = Annotated[tuple[LocalPath, ...], BeforeValidator(one_or_list), Field(min_length=1)]
"""One path, or a list of paths."""

# YAML reads a colour such as 444444 as a number.
Color = Annotated[
    str, BeforeValidator(lambda v: str(v) if isinstance(v, int) and not isinstance(v, bool) else v), Field(strict=True),
    AfterValidator(_check_color),
]  # fmt: skip
WindowDays = Annotated[
    list[Annotated[Annotated[Whole, Field(ge=1, le=MAX_WINDOW_DAYS)], WrapValidator(_all_or_days)]],
    BeforeValidator(one_or_list),
    Field(min_length=1),
]
"""The lengths of windows in days, or ALL. The headline's window is first. One length need not be a list."""


class Section(BaseModel):
    """A section of the config. It refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
