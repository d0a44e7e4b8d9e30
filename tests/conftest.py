"""What tests share: a source that answers from rows and can fail, and an installation in a temporary folder."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
import polars as pl
import pytest
from hypothesis import settings

from tests.browsing import launched, served
from tests.clickhouse_service import Engine, engine
from tests.rows import to_frame
from tests.workers import (  # pytest finds the hooks here.
    deal_slow_tests,
    pytest_collection_finish,  # noqa: F401
    pytest_configure,  # noqa: F401
    pytest_xdist_auto_num_workers,  # noqa: F401
)
from winnow_dagster.config.settings import PackageSettings, Settings
from winnow_dagster.core import categories
from winnow_dagster.core.coverage import ONE_DAY, Failure, Reading, Request, days_between
from winnow_dagster.core.names import Selector, matches_any
from winnow_dagster.definitions import build
from winnow_dagster.defs.clock import Clock
from winnow_dagster.defs.partitions import RANGE_END, RANGE_START
from winnow_dagster.defs.resources import Installation
from winnow_dagster.defs.writing import open_web, publish_packages, store_answer
from winnow_dagster.files.operations import Failures
from winnow_dagster.files.paths import local_path
from winnow_dagster.sources.interface import SourceError
from winnow_dagster.sources.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from playwright.sync_api import Browser

    from tests.rows import Row
    from winnow_dagster.files.paths import StorePath

# How long an example takes says more of the machine than of the code.
settings.register_profile("winnow", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None)
settings.load_profile("winnow")

DAY = date(2025, 6, 30)
"""Yesterday, by the clock that tests use."""

NOW = datetime.combine(DAY + ONE_DAY, time(4), tzinfo=UTC)


@dataclass
class RowSource:
    """A source that answers from rows, fails for some selectors, and remembers what it was asked."""

    rows: Sequence[Row] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)
    asked: list[Request] = field(default_factory=list)
    rows_of_day: dict[date, int] = field(default_factory=dict)
    """How many rows the source has of a day, over all packages; nothing where it cannot tell."""

    is_away: bool = False
    """Whether it answers nothing at all."""

    paid: list[Request] = field(default_factory=list)
    """What an interrupted run has paid for."""

    calls: list[str] = field(default_factory=list)
    """The methods that were called, in order."""

    def read(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        self.calls.append("read")
        if self.is_away:
            raise SourceError("the source is away")
        for request in requests:
            self.asked.append(request)
            if str(request.selector) in self.failing:
                yield Failure(request, "the source is on fire. Put it out")
                continue
            yield self._answer(request)

    def recover(self, requests: Sequence[Request]) -> Iterator[Reading | Failure]:
        self.calls.append("recover")
        for request in self.paid:
            if any(r.selector == request.selector and r.first <= request.first <= r.last for r in requests):
                yield self._answer(request)

    def _answer(self, request: Request) -> Reading:
        frame = to_frame(self.rows)
        wanted = matches_any([request.selector], "package"), pl.col("date").is_between(request.first, request.last)
        return Reading([request], frame.filter(*wanted))

    def day_rows(self, first: date, last: date) -> Mapping[date, int]:
        self.calls.append("day_rows")
        return {day: rows for day, rows in self.rows_of_day.items() if first <= day <= last}

    def newest_day(self, today: date) -> date | None:
        return max((row["date"] for row in self.rows if row["date"] < today), default=None)


@dataclass(frozen=True)
class FixedClock(Clock):
    """A clock that stands still, early on the day after DAY."""

    moment: datetime = NOW

    def now(self) -> datetime:
        return self.moment

    @classmethod
    def after(cls, day: date) -> FixedClock:
        return cls(moment=datetime.combine(day, time(4), tzinfo=UTC) + timedelta(days=1))


def on_disk(place: StorePath) -> Path:
    """Return a place that is known to be no bucket."""
    found = local_path(place)
    assert found
    return found


@dataclass
class House:
    """An installation with a Dagster instance of its own."""

    winnow: Installation
    opened: Callable[[], dg.DagsterInstance]
    definitions: dg.Definitions | None = None
    """The definitions of the project that it is a part of; by default it is alone."""

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance, which takes a tenth of a second to make."""
        return self.opened()

    @property
    def output_dir(self) -> Path:
        return on_disk(self.winnow.settings.output_dir)

    @property
    def data_dir(self) -> Path:
        return on_disk(self.winnow.settings.data_dir)

    def run(
        self, *assets: str, days: tuple[date, date] | None = None, refetch: bool = False, packages: Sequence[str] = ()
    ) -> dg.ExecuteInProcessResult:
        """Materialise assets, over a range of days or over all selectors and groups."""
        keys = [str(which) for which in self.winnow.settings.published_windows]
        first, last = days or (keys[0], keys[-1])
        names = self.winnow.names
        config = {names.op("raw_downloads"): {"config": {"refetch": refetch, "packages": list(packages)}}}
        return (
            (self.definitions or build(self.winnow))
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=self.instance,
                asset_selection=names.assets(*assets),
                tags={} if assets == ("index",) else {RANGE_START: str(first), RANGE_END: str(last)},
                run_config={"ops": config if "raw_downloads" in assets else {}},
                raise_on_error=False,
            )
        )

    def count(self, first: date, last: date, *, refetch: bool = False) -> dg.ExecuteInProcessResult:
        return self.run("raw_downloads", "honest_downloads", days=(first, last), refetch=refetch)

    def publish(self) -> None:
        assert self.run("badges").success
        assert self.run("index").success

    def store(self, first: date, last: date, *, refetch: bool = False) -> None:
        """Read and count days as a run does, but without Dagster: for tests of what is stored and published."""
        winnow, days = self.winnow, days_between(first, last)
        for answer in winnow.fetch(days, [], refetch=refetch):
            store_answer(winnow, answer)
        honest = winnow.raw.load(days).derive(categories.winnow)
        for day, coverage in honest.coverage.items():
            winnow.write_honest(day, honest.of(day).collect(), coverage)

    def show(self) -> None:
        """Publish as a run does, but without Dagster."""
        self.show_badges()
        files = self.winnow.site_files(self.winnow.published())
        with open_web(self.winnow) as web:
            web.publish_files(files)

    def show_badges(self) -> None:
        """Publish packages and groups, and not the files that list them. Raises StorageError."""
        winnow, failures = self.winnow, Failures()
        packages = winnow.packages([str(which) for which in winnow.settings.published_windows])
        with open_web(winnow) as web:
            publish_packages(winnow, web, packages, failures)
        failures.raise_any()


def make_settings(folder: Path, packages: dict[str, tuple[int, ...]], kind: str = "parquet") -> Settings:
    """Return settings for these entries of `packages:`, as spelled, with their windows."""
    return Settings(
        config_file=None,
        folder=folder,
        output_dir=folder / "public",
        data_dir=folder / "data",
        base_url="",
        stale_threshold_days=3,
        source=replace(KINDS[kind].section().resolve(folder), settle_days=0),
        packages=tuple(PackageSettings(Selector.parse(name), name, days) for name, days in packages.items()),
        start_date=date(2024, 2, 23),
    )


OF_THE_USER = (
    "BIGQUERY_EMULATOR_HOST", "COLUMNS", "DAGSTER_HOME", "FORCE_COLOR", "GCP_CREDENTIALS",
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "STORAGE_EMULATOR_HOST", "WINNOW_CONFIG",
)  # fmt: skip
"""Variables that change what Winnow reads or how it prints."""


@pytest.fixture(autouse=True, scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give the tests a home folder of their own, so that none reads the user's credentials or writes Dagster's logs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        for name in OF_THE_USER:
            patch.delenv(name, raising=False)
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Mark the tests that need ClickHouse's engine or a browser. Deal slow tests once `-m` has chosen which run."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "chdb_engine" in fixtures:
            item.add_marker(pytest.mark.chdb)
        if "browser" in fixtures:
            item.add_marker(pytest.mark.browser)
    yield
    deal_slow_tests(items)


@pytest.fixture(scope="session")
def chdb_engine() -> Iterator[Engine]:
    """ClickHouse's engine, of which a process has one session only."""
    pytest.importorskip("chdb", reason="the extra test-clickhouse is not installed")
    with engine() as found:
        yield found


@pytest.fixture(scope="module")
def site(public: Path) -> Iterator[str]:
    """The address of what a module has published into its `public`."""
    with served(public.parent) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def source() -> RowSource:
    return RowSource()


@pytest.fixture
def make_house(tmp_path: Path, source: RowSource) -> Iterator[MakeHouse]:
    with ExitStack() as stack:
        yield MakeHouse(tmp_path, source, cache(lambda: stack.enter_context(dg.DagsterInstance.ephemeral())))


@dataclass
class MakeHouse:
    """Makes houses that share a folder, a source and an instance, as runs at different times and configs do."""

    folder: Path
    source: RowSource
    opened: Callable[[], dg.DagsterInstance]

    @property
    def instance(self) -> dg.DagsterInstance:
        """The instance of all its houses."""
        return self.opened()

    def __call__(
        self, packages: dict[str, tuple[int, ...]], clock: Clock | None = None, kind: str = "parquet"
    ) -> House:
        settings = make_settings(self.folder, packages, kind)
        return House(Installation(settings, clock or FixedClock(), given_source=self.source), self.opened)
