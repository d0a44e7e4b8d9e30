"""The breakdowns of sample data: the Pythons, versions, countries and platforms that made-up downloads name.

The same package and day always have the same values. They sum exactly to the raw counts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import date
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from winnow_dagster.core.dimensions import KERNEL, SEPARATOR, SUBCOMMAND

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

Shares = tuple[tuple[str, float], ...]
"""The values of a dimension with their weights."""

Counts = dict[tuple[str, str | None, bool | None], int]
"""Downloads by value, installer and CI."""

NOT_SAID: Shares = (("", 1.0),)

TELLING = frozenset({"pip", "uv", "pipenv", "pipx"})
"""The installers that name their Python and platform. The user agents of others lack them."""

MIRRORS = frozenset({"bandersnatch", "Nexus", "Artifactory"})

PYTHONS: Shares = (
    ("3.14", 0.12),
    ("3.13", 0.23),
    ("3.12", 0.26),
    ("3.11", 0.18),
    ("3.10", 0.11),
    ("3.9", 0.055),
    ("3.8", 0.025),
    ("3.7", 0.012),
    ("3.6", 0.005),
    ("2.7", 0.003),
)
# A job matrix installs every supported Python equally often.
CI_PYTHONS: Shares = (*((f"3.{minor}", 0.163) for minor in range(9, 15)), ("3.8", 0.022))

COUNTRIES: Shares = (
    ("US", 0.38),
    ("DE", 0.07),
    ("CN", 0.06),
    ("IN", 0.055),
    ("GB", 0.045),
    ("FR", 0.04),
    ("IE", 0.03),
    ("JP", 0.03),
    ("SG", 0.03),
    ("BR", 0.028),
    ("CA", 0.028),
    ("NL", 0.025),
    ("KR", 0.02),
    ("AU", 0.018),
    ("RU", 0.016),
    ("ES", 0.015),
    ("IT", 0.014),
    ("PL", 0.013),
    ("SE", 0.011),
    ("CH", 0.01),
    ("HK", 0.009),
    ("TW", 0.009),
    ("IL", 0.008),
    ("FI", 0.007),
    ("MX", 0.006),
    ("TR", 0.005),
    ("ZA", 0.004),
    ("NG", 0.003),
    ("", 0.01),
)
CI_COUNTRIES: Shares = (("US", 0.83), ("NL", 0.05), ("IE", 0.04), ("DE", 0.04), ("SG", 0.02), ("JP", 0.01), ("", 0.01))

BySystem = Mapping[str | None, Shares]
"""The shares by operating system. On others, clients do not say."""

LIBCS: BySystem = {"Linux": (("glibc", 0.93), ("musl", 0.05), ("", 0.02))}
CI_LIBCS: BySystem = {"Linux": (("glibc", 0.9), ("musl", 0.09), ("", 0.01))}

CPUS: BySystem = {
    "Linux": (("x86_64", 0.83), ("aarch64", 0.16), ("", 0.01)),
    "Darwin": (("arm64", 0.86), ("x86_64", 0.14)),
    "Windows": (("AMD64", 0.97), ("ARM64", 0.03)),
    "FreeBSD": (("amd64", 1.0),),
}

KERNELS: BySystem = {
    "Linux": (
        ("ubuntu", 0.25),
        ("aws", 0.19),
        ("wsl", 0.14),
        ("debian", 0.1),
        ("google", 0.1),
        ("docker desktop", 0.08),
        ("red hat", 0.06),
        ("azure", 0.05),
        ("other", 0.03),
    ),
    "Darwin": (("macos", 1.0),),
    "Windows": (("windows", 0.91), ("windows server", 0.09)),
    "FreeBSD": (("other", 1.0),),
}
CI_KERNELS: BySystem = {"Linux": (("azure", 0.68), ("aws", 0.15), ("google", 0.09), ("ubuntu", 0.06), ("debian", 0.02))}
# A third of poetry's downloads on Linux are CI jobs that do not say so.
POETRY_KERNELS: Shares = (
    ("azure", 0.26),
    ("ubuntu", 0.19),
    ("aws", 0.18),
    ("google", 0.1),
    ("wsl", 0.1),
    ("debian", 0.07),
    ("docker desktop", 0.05),
    ("red hat", 0.04),
    ("other", 0.01),
)

FILE_TYPES: Shares = (("bdist_wheel", 0.95), ("sdist", 0.05))
FILE_TYPES_OF_MIRRORS: Shares = (("bdist_wheel", 0.55), ("sdist", 0.45))

UV_COMMANDS: Shares = (
    ("sync", 0.34),
    ("pip install", 0.26),
    ("run", 0.14),
    ("tool run", 0.1),
    ("lock", 0.06),
    ("add", 0.05),
    ("tool install", 0.03),
    ("", 0.02),
)
CI_UV_COMMANDS: Shares = (("sync", 0.55), ("pip install", 0.3), ("run", 0.1), ("tool run", 0.04), ("", 0.01))

FIRST_RELEASE = date(2020, 1, 1)
MAX_RELEASES = 12
"""Older releases count as the oldest of so many."""

UPGRADES = ((0.8, 16.0), (0.2, 160.0))
"""How people move to a release: the shares of quick and slow ones, and their mean number of days."""

CI_UPGRADES = ((0.6, 2.0), (0.4, 120.0))
"""Most CI jobs take the newest release at once. The others pin one."""

NOISE = 0.1


class Client(NamedTuple):
    """What a raw count says of its downloads."""

    installer: str | None
    system: str | None
    ci: bool | None


class SampleValues:
    """The values that the downloads of one package name."""

    def __init__(self, package: str) -> None:
        """Take a package's name. It decides when the package has releases."""
        chance = random.Random(f"{package} releases")  # noqa: S311 - sample data, no secret
        self._package = package
        self._days_between_releases = chance.uniform(18, 45)
        self._first_release = chance.uniform(0, self._days_between_releases)

    def break_down(self, dimension: str, day: date, clients: Iterable[tuple[Client, int]]) -> Counts:
        """Return the downloads of each client on a day by the values of an open dimension."""
        chance = random.Random(f"{self._package} {day} {dimension}")  # noqa: S311 - as above
        cumulated: dict[Shares, tuple[list[str], list[float]]] = {}
        counts: Counts = {}
        is_version = dimension == "version"
        versions = {is_ci: self._versions(day, is_ci=is_ci) for is_ci in (True, False) if is_version}
        for client, downloads in clients:
            shares = versions[bool(client.ci)] if is_version else _shares(dimension, client)
            if shares not in cumulated:
                cumulated[shares] = _cumulate(shares, chance)
            values, bounds = cumulated[shares]
            for value, count in zip(values, _spread(downloads, bounds, chance.random()), strict=True):
                if count:
                    key = value, client.installer, client.ci
                    counts[key] = counts.get(key, 0) + count
        return counts

    def _versions(self, day: date, *, is_ci: bool) -> Shares:
        """Return the share of each release on a day. A release gains users, and loses them to the next one."""
        age = (day - FIRST_RELEASE).days - self._first_release
        newest = max(0, math.floor(age / self._days_between_releases))
        found, taken = [], 0.0
        for number in range(newest, max(-1, newest - MAX_RELEASES), -1):
            days = max(0.0, age - number * self._days_between_releases) + 0.5
            reached = sum(part * (1 - math.exp(-days / mean)) for part, mean in (CI_UPGRADES if is_ci else UPGRADES))
            found.append((_version(number), reached - taken))
            taken = reached
        *newer, (oldest, share) = found
        return (*newer, (oldest, share + 1 - taken))


def _version(number: int) -> str:
    return f"{1 + number // 24}.{number // 3 % 8}.{number % 3}"


def _shares(dimension: str, client: Client) -> Shares:
    """Return the shares of a dimension other than the version."""
    if dimension == "country":
        return CI_COUNTRIES if client.ci else COUNTRIES
    if dimension == "file_type":
        return FILE_TYPES_OF_MIRRORS if client.installer in MIRRORS else FILE_TYPES
    if dimension == KERNEL.name:
        return _with_pythons(_kernels(client), CI_PYTHONS if client.ci else PYTHONS)
    if client.installer not in (TELLING if dimension != SUBCOMMAND.name else {"uv"}):
        return NOT_SAID
    if dimension in {"python", SUBCOMMAND.name}:
        of_people, of_ci = (PYTHONS, CI_PYTHONS) if dimension == "python" else (UV_COMMANDS, CI_UV_COMMANDS)
        return of_ci if client.ci else of_people
    by_system: Mapping[str, BySystem] = {"cpu": CPUS, "libc": CI_LIBCS if client.ci else LIBCS}
    return by_system.get(dimension, {}).get(client.system, NOT_SAID)


def _kernels(client: Client) -> Shares:
    if client.installer not in TELLING | {"poetry"}:
        return NOT_SAID
    shares = CI_KERNELS if client.ci else KERNELS
    if client.installer == "poetry" and client.system == "Linux":
        return POETRY_KERNELS
    return shares.get(client.system, NOT_SAID)


@cache
def _with_pythons(kernels: Shares, pythons: Shares) -> Shares:
    """Return the shares of kernels with a Python each. Poetry too names its Python where it names its kernel."""
    if kernels == NOT_SAID:
        return NOT_SAID
    return tuple((f"{kernel}{SEPARATOR}{python}", n * m) for kernel, n in kernels for python, m in pythons)


def _cumulate(shares: Shares, chance: random.Random) -> tuple[list[str], list[float]]:
    """Return the values, and the cumulated share of each, with the noise of a day. The last one is 1."""
    weights = [weight * chance.uniform(1 - NOISE, 1 + NOISE) for _, weight in shares]
    whole = sum(weights)
    return [value for value, _ in shares], [*(upto / whole for upto in accumulate(weights[:-1])), 1.0]


def _spread(downloads: int, bounds: Sequence[float], start: float) -> Iterator[int]:
    """Yield whole numbers in proportion to the shares below cumulated bounds. They sum to `downloads`.

    `start`: a random number from 0 to 1, so that the fractions of many small counts add up to their shares.
    """
    before = 0
    for bound in bounds:
        upto = int(downloads * bound + start)
        yield upto - before
        before = upto
