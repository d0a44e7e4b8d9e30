"""Configuration: `winnow.yaml` and the environment to validated settings.

What a key means and may be is said here and nowhere else. Every problem of a file is reported at once; nothing is
fetched or written before the file is sound.
"""

from __future__ import annotations

import glob
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from winnow_dagster.config.errors import ConfigError, describe, read_yaml
from winnow_dagster.config.packages import (
    GroupSection,
    LookSection,
    PackageSection,
    find_problems,
    settle_group,
    settle_package,
)
from winnow_dagster.config.private import find_exposed
from winnow_dagster.config.settings import CONFIG_NAME, PUBLIC_TABLE, BigQuerySettings, Settings, SourceSettings
from winnow_dagster.config.values import (
    CI_KNOWN_SINCE,
    Directory,
    LocalPath,
    LocalPaths,
    Project,
    Section,
    StartDate,
    Table,
    Text,
    Url,
    Webhook,
    Whole,
)
from winnow_dagster.core.billing import GB, MB, TIB, Figures
from winnow_dagster.files.opening import open_path
from winnow_dagster.files.paths import is_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.files.paths import StorePath

__all__ = ["CONFIG_NAME", "ConfigError", "load_settings"]

CONFIG_VARIABLE = "WINNOW_CONFIG"
SAMPLE_PACKAGES = ("sample-barley", "sample-oat", "sample-rye", "sample-wheat")


class ServiceSection(Section):
    """`service:`: where things are, and when a number is stale."""

    output_dir: Directory = "public"
    data_dir: Directory = ""
    base_url: Url = ""
    stale_threshold_days: Annotated[Whole, Field(ge=1)] = 3
    credential_file: LocalPath = ""


class FiguresSection(Section):
    """`source.figures:`: the source's sizes and prices. Figures says where they come from.

    Sizes are those of days since PyPI's change of its log.
    """

    package_day_mb: Annotated[float, Field(gt=0)] = Figures.package_day_bytes / MB
    scan_day_gb: Annotated[float, Field(gt=0)] = Figures.scan_day_bytes / GB
    usd_per_tib: Annotated[float, Field(ge=0)] = Figures.usd_per_tib
    free_tib_per_month: Annotated[float, Field(ge=0)] = Figures.free_tib_per_month


class SourceSection(Section):
    """`source:`: where raw counts come from."""

    kind: Literal["bigquery", "parquet", "sample"]
    path: LocalPaths = ()
    settle_days: Annotated[Whole, Field(ge=0, le=30)] = 3
    credential_file: LocalPath = ""
    project: Project = ""
    location: Text = ""
    table: Table = PUBLIC_TABLE
    strategy: Literal["auto", "per_package", "batched", "scan"] = "auto"
    parallel: Annotated[Whole, Field(ge=1, le=50)] = 12
    deadline_seconds: Annotated[Whole, Field(ge=1, le=21_600)] = 600
    # None: Winnow derives it from the columns that a query reads. A cap that the user sets holds for every day.
    maximum_bytes_billed_per_day: Annotated[Whole, Field(ge=1)] | None = None
    figures: FiguresSection = FiguresSection()


class BudgetSection(Section):
    """`budget:`: how much BigQuery may bill in a month (UTC). The default is what it gives away."""

    tib_per_month: Annotated[float, Field(ge=0)] = Figures.free_tib_per_month


class ScheduleSection(Section):
    """`schedule:`: when Dagster reads the day that is over, in UTC."""

    enabled: Annotated[bool, Field(strict=True)] = True
    hour: Annotated[Whole, Field(ge=0, le=23)] = 3
    minute: Annotated[Whole, Field(ge=0, le=59)] = 30
    keep_runs_days: Annotated[Whole, Field(ge=30, le=3660)] = 90


class AlertsSection(Section):
    """`alerts:`: who is told of failed runs and red checks."""

    webhook: Webhook


class ConfigFile(Section):
    """The whole file."""

    service: ServiceSection = ServiceSection()
    source: SourceSection | None = None
    budget: BudgetSection = BudgetSection()
    schedule: ScheduleSection = ScheduleSection()
    alerts: AlertsSection | None = None
    defaults: LookSection = LookSection()
    packages: Annotated[list[PackageSection], Field(min_length=1)]
    groups: tuple[GroupSection, ...] = ()
    start_date: StartDate = CI_KNOWN_SINCE


KEYS = {
    "": list(ConfigFile.model_fields),
    "service": list(ServiceSection.model_fields),
    "source": list(SourceSection.model_fields),
    "defaults": list(LookSection.model_fields),
    "packages": ["name", *LookSection.model_fields],
    "groups": ["name", "packages", *LookSection.model_fields],
    "figures": list(FiguresSection.model_fields),
    "budget": list(BudgetSection.model_fields),
    "schedule": list(ScheduleSection.model_fields),
    "alerts": list(AlertsSection.model_fields),
}

BIGQUERY_KEYS = set(SourceSection.model_fields) - {"kind", "path", "settle_days"}


def load_settings(path: Path | None = None) -> Settings:
    """Read the config at `path`, else at $WINNOW_CONFIG, else ./winnow.yaml, else take the sample packages.

    Raises ConfigError, which says everything that is wrong with the file.
    """
    if path is None and os.environ.get(CONFIG_VARIABLE):
        path = Path(os.environ[CONFIG_VARIABLE])
    if path is None and Path(CONFIG_NAME).exists():
        path = Path(CONFIG_NAME)
    if path is None:
        packages = [PackageSection(name=name) for name in SAMPLE_PACKAGES]
        settings = _settle(ConfigFile(packages=packages), None, Path.cwd())
        if problems := list(find_exposed(settings)):
            raise ConfigError(settings.folder, problems)
        return settings
    content = read_yaml(path)
    path = path.absolute()
    problems = [*_cross_problems(content), *_exposed(content, path)]
    try:
        file = ConfigFile.model_validate(content)
    except ValidationError as error:
        raise ConfigError(path, [*describe(error, content, KEYS), *problems]) from None
    if problems:
        raise ConfigError(path, problems)
    return _settle(file, path, path.parent)


def _exposed(content: Mapping[str, Any], path: Path) -> list[str]:
    """Find paths that would be served to the world, in a config whose other keys may have wrong values."""
    service, source = (found if isinstance(found := content.get(k), dict) else {} for k in ("service", "source"))
    kind = source.get("kind")
    paths = {key: service[key] for key in ("output_dir", "data_dir", "credential_file") if key in service}
    reads = {key: source[key] for key in ("path", "credential_file", "table") if key in source}
    reads["kind"] = kind if kind in ("bigquery", "parquet") else "sample"
    if is_address(str(paths.get("output_dir"))) and "data_dir" not in paths:
        return ["service.data_dir: missing. Say where: beside output_dir, in a bucket, it would be served to the world"]
    named = {"service": paths, "packages": [{"name": "a"}], **({"source": reads} if source else {})}
    try:
        return list(find_exposed(_settle(ConfigFile.model_validate(named), path, path.parent)))
    except ValidationError:
        return []


def _settle(file: ConfigFile, path: Path | None, folder: Path) -> Settings:
    service = file.service
    source = file.source or SourceSection(kind="bigquery" if service.credential_file else "sample")
    named_key = source.credential_file or service.credential_file
    credential_file = _resolve(folder, named_key) if named_key else None
    output_dir = _place(folder, service.output_dir, credential_file)
    # Beside output_dir: pypi-winnow-downloads' config has no data_dir, and may lie where nothing can be written.
    data_dir = _place(folder, service.data_dir, credential_file) if service.data_dir else output_dir.parent / "data"
    return Settings(
        config_file=path,
        folder=folder,
        output_dir=output_dir,
        data_dir=data_dir,
        base_url=service.base_url,
        stale_threshold_days=service.stale_threshold_days,
        source=SourceSettings(
            kind=source.kind,
            paths=tuple(_resolve_glob(folder, path) for path in source.path),
            table_or_files="\n".join(sorted(source.path)) or ("" if source.table == PUBLIC_TABLE else source.table),
            credential_file=credential_file,
            settle_days=source.settle_days,
            bigquery=_settle_bigquery(source, file.budget),
        ),
        packages=tuple(settle_package(package, file.defaults) for package in file.packages),
        groups=tuple(settle_group(group, file.defaults) for group in file.groups),
        start_date=file.start_date,
        schedule_enabled=file.schedule.enabled,
        schedule_hour=file.schedule.hour,
        schedule_minute=file.schedule.minute,
        keep_runs_days=file.schedule.keep_runs_days,
        alerts_webhook=file.alerts.webhook if file.alerts else "",
    )


def _settle_bigquery(source: SourceSection, budget: BudgetSection) -> BigQuerySettings:
    figures = source.figures
    return BigQuerySettings(
        project=source.project,
        location=source.location,
        table=source.table,
        strategy=source.strategy,
        parallel=source.parallel,
        deadline_seconds=source.deadline_seconds,
        maximum_bytes_billed_per_day=source.maximum_bytes_billed_per_day,
        figures=Figures(
            package_day_bytes=figures.package_day_mb * MB,
            scan_day_bytes=figures.scan_day_gb * GB,
            usd_per_tib=figures.usd_per_tib,
            free_tib_per_month=figures.free_tib_per_month,
        ),
        budget_bytes=budget.tib_per_month * TIB,
    )


def _place(folder: Path, text: str, key_file: Path | None) -> StorePath:
    return open_path(text, key_file) if is_address(text) else _resolve(folder, text)


def _resolve(folder: Path, path: str) -> Path:
    # normpath, not resolve: a symlink is how many a web root is switched, and must stay one.
    return Path(os.path.normpath(folder / Path(path).expanduser()))


def _resolve_glob(folder: Path, path: str) -> str:
    """Return an absolute glob; what is magic in the folder's own name is not meant as such."""
    expanded = str(Path(path).expanduser())
    return os.path.normpath(os.path.join(glob.escape(str(folder)), expanded))  # noqa: PTH118 - a glob is no Path


def _cross_problems(content: Mapping[str, Any]) -> Iterator[str]:
    """Find what is wrong between keys, in a file that may have wrong values too."""
    yield from find_problems(content)
    source, service = content.get("source"), content.get("service")
    if isinstance(source, dict):
        kind = source.get("kind")  # It may be of any type, and not hashable.
        if kind == "parquet" and "path" not in source:
            yield "source.path: missing. Say where the Parquet files are: `path: exports/*.parquet`"
        if kind in ("bigquery", "sample") and "path" in source:
            yield f"source.path: has no use with kind {kind}. Remove it, or set `kind: parquet`"
        for key in sorted(BIGQUERY_KEYS & set(source)) if kind in ("parquet", "sample") else ():
            yield f"source.{key}: has no use with kind {kind}. Remove it, or set `kind: bigquery`"
        if "credential_file" in source and isinstance(service, dict) and "credential_file" in service:
            yield "service.credential_file: source.credential_file is set too. Keep one"
