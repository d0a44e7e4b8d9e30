"""Load the config: `winnow.yaml` and the environment become validated settings.

Winnow reports every problem of a file at once, and fetches or writes nothing before the file is valid. The keys of
`source:` belong to the kinds of sources.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, GetPydanticSchema, ValidationError, create_model

from winnow_dagster.config.component import PlacementSection, Templates, is_component, with_days
from winnow_dagster.config.cross import find_cross_problems
from winnow_dagster.config.errors import ConfigError, describe, parse_yaml, read_yaml
from winnow_dagster.config.packages import (
    DefaultsSection,
    GroupSection,
    LinksSection,
    PackageSection,
    resolve_group,
    resolve_package,
)
from winnow_dagster.config.private import find_exposed
from winnow_dagster.config.settings import CONFIG_NAME, Settings
from winnow_dagster.core.billing import TIB
from winnow_dagster.fields import (
    CI_KNOWN_SINCE,
    BaseUrl,
    Directory,
    Flag,
    LocalPath,
    Number,
    Section,
    StartDate,
    Variable,
    Webhook,
    Whole,
)
from winnow_dagster.files.opening import open_path
from winnow_dagster.files.paths import is_address
from winnow_dagster.sources.kinds import (
    KIND_WITH_KEY_ONLY,
    KIND_WITHOUT_SOURCE,
    KINDS,
    any_section,
    source_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from winnow_dagster.files.paths import StorePath
    from winnow_dagster.sources.interface import SourceSection

__all__ = ["CONFIG_NAME", "ConfigError", "find_config", "load_settings", "parse_settings"]

CONFIG_VARIABLE = "WINNOW_CONFIG"
SAMPLE_PACKAGES = ("sample-barley", "sample-oat", "sample-rye", "sample-wheat")


class ServiceSection(Section):
    """`service:`: paths, the site's address, and when a number is stale."""

    output_dir: Directory = "public"
    """The directory that a web server serves: a path, or a bucket: gs://, s3:// or az://."""

    data_dir: Directory = ""
    """Where Winnow stores the days that it has read: a path or a bucket. By default `data` beside output_dir."""

    base_url: BaseUrl = ""
    """The web address of output_dir: for snippets, the sitemap, previews of links, and the links of 404.html."""

    stale_threshold_days: Annotated[Whole, Field(ge=1)] = 3
    """After this many days without a new number a badge turns grey and names its day."""

    credential_file: LocalPath = ""
    """As source.credential_file. Without `source`, Winnow then reads Google's table, as pypi-winnow-downloads does."""


class BudgetSection(Section):
    """`budget:`: how much the source may bill in a month (UTC). A source with costs has at least this much free."""

    tib_per_month: Annotated[Number, Field(ge=0)] = 1.0
    """How many TiB the source may bill in a month (UTC). The default is Google's free tier."""


class ScheduleSection(Section):
    """`schedule:`: when Dagster reads yesterday, in UTC."""

    enabled: Flag = True
    """Whether Dagster's schedule is on. `winnow collect` ignores it."""

    hour: Annotated[Whole, Field(ge=0, le=23)] = 3
    """The hour (UTC) at which Dagster reads yesterday."""

    minute: Annotated[Whole, Field(ge=0, le=59)] = 30
    """The minute of that hour."""

    keep_runs_days: Annotated[Whole, Field(ge=30, le=3660)] = 90
    """After this many days Winnow deletes its own finished runs, except those that read days."""


class AlertsSection(Section):
    """`alerts:`: where Winnow reports failed runs and checks. One of the two keys says the address."""

    webhook: Webhook = ""
    """A web address that takes `{"text": ...}`, as Slack's webhooks do.

    It gets failed runs, and checks that fail or recover.
    """

    webhook_env: Variable = ""
    """The name of the environment variable with that address, if it should not stand in the config."""


class ConfigFile(Section):
    """The whole file."""

    service: ServiceSection = ServiceSection()
    source: Section | None = None
    """Replaced by `_model_for` with the keys of the config's kind."""

    budget: BudgetSection = BudgetSection()
    schedule: ScheduleSection = ScheduleSection()
    alerts: AlertsSection | None = None
    defaults: DefaultsSection = DefaultsSection()
    packages: Annotated[list[PackageSection], Field(min_length=1)]
    groups: tuple[GroupSection, ...] = ()
    start_date: StartDate = CI_KNOWN_SINCE
    """The first day that Winnow may read, today at the latest. With `kind: clickhouse` it is 2026-08-25 or later."""


class ComponentFile(ConfigFile, PlacementSection):
    """The attributes of a component."""


KEYS = {
    "": list(ConfigFile.model_fields),
    "service": list(ServiceSection.model_fields),
    "defaults": list(DefaultsSection.model_fields),
    "packages": ["name", *(key for key in PackageSection.model_fields if key != "name")],
    "groups": ["name", "packages", *(k for k in GroupSection.model_fields if k not in {"name", "packages"})],
    "links": list(LinksSection.model_fields),
    "budget": list(BudgetSection.model_fields),
    "schedule": list(ScheduleSection.model_fields),
    "alerts": list(AlertsSection.model_fields),
    **source_keys(),
}
"""The keys of each section, by the section's name; the top level has no name."""


def find_config(folders: Sequence[Path] = (Path(),)) -> Path | None:
    """Return the path in $WINNOW_CONFIG, else winnow.yaml if it exists; None without a config.

    The first of these folders that has the file counts. Without a match, a relative path stays as it is.
    """
    given = os.environ.get(CONFIG_VARIABLE)
    found = (folder / (given or CONFIG_NAME) for folder in folders)
    return next((path for path in found if path.exists()), Path(given) if given else None)


def load_settings(path: Path | str | None = None) -> Settings:
    """Read the config at `path`, else at $WINNOW_CONFIG, else ./winnow.yaml, else take the sample packages.

    Raises ConfigError, which names every problem of the file.
    """
    path = Path(path) if path else find_config()
    if path is None:
        packages = [PackageSection(name=name) for name in SAMPLE_PACKAGES]
        settings = _resolve(ConfigFile(packages=packages), {}, None, Path.cwd())
        if problems := list(find_exposed(settings)):
            raise ConfigError(settings.folder, problems)
        return settings
    content, path = read_yaml(path), path.absolute()
    return load_component(content.get("attributes"), path) if is_component(content) else _validate(content, path)


def load_component(attributes: object, path: Path, others: Callable[[str], object] | None = None) -> Settings:
    """Return the settings of the component in the file at `path`. Raises ConfigError.

    `others` fills in the templates that are not environment variables.
    """
    templates = Templates(others)
    content = templates.fill(attributes)
    if templates.problems:
        raise ConfigError(path, templates.problems)
    if not isinstance(content, dict):
        raise ConfigError(path, ["attributes: missing. List your packages: `packages: [{name: your-package}]`"])
    return _validate(with_days(content), path, ComponentFile)


def component_schema() -> dict[str, Any]:
    """Return the JSON schema of a component's attributes."""
    return _model_for({}, ComponentFile).model_json_schema()


def parse_settings(text: str, path: Path) -> Settings:
    """Return the settings of a config with this text, which need not be at `path` yet. Raises ConfigError."""
    return _validate(parse_yaml(text, path), path.absolute())


def _validate(content: Mapping[str, Any], path: Path, base: type[ConfigFile] = ConfigFile) -> Settings:
    problems = [*find_cross_problems(content), *_exposed(content, path)]
    try:
        file = _model_for(content, base).model_validate(content)
    except ValidationError as error:
        keys = KEYS | {"": list(base.model_fields)}
        raise ConfigError(path, [*describe(error, content, keys), *problems]) from None
    if problems:
        raise ConfigError(path, problems)
    settings = _resolve(file, content, path, path.parent)
    return replace(settings, placement=file.resolve(path)) if isinstance(file, ComponentFile) else settings


def _model_for(content: Mapping[str, Any], base: type[ConfigFile] = ConfigFile) -> type[ConfigFile]:
    """Return the model of a file, with the keys of `source:` that the file's kind of source has."""
    given = content.get("source")
    section = any_section(given.get("kind") if isinstance(given, dict) else None)
    source = Annotated[Section, GetPydanticSchema(lambda _, handler: handler(section))] | None
    return create_model(base.__name__, __base__=base, source=(source, None))


def _exposed(content: Mapping[str, Any], path: Path) -> list[str]:
    """Find private paths that the web server would publish, even if other keys have wrong values."""
    service, source = (found if isinstance(found := content.get(k), dict) else {} for k in ("service", "source"))
    paths = {key: service[key] for key in ("output_dir", "data_dir", "credential_file") if key in service}
    if "credential_file" in source:
        paths["credential_file"] = source["credential_file"]
    if is_address(str(paths.get("output_dir"))) and "data_dir" not in paths:
        return ["service.data_dir: missing. Say where: beside output_dir, in a bucket, it would be served to the world"]
    named: dict[str, Any] = {"service": paths, "packages": [{"name": "a"}]}
    if source:
        name = source.get("kind")
        kind = KINDS[name] if isinstance(name, str) and name in KINDS else KINDS[KIND_WITHOUT_SOURCE]
        named["source"] = {"kind": kind.name} | {key: source[key] for key in kind.section.location_keys & source.keys()}
    try:
        return list(find_exposed(_resolve(_model_for(named).model_validate(named), named, path, path.parent)))
    except ValidationError:
        return []


def _resolve(file: ConfigFile, content: Mapping[str, Any], path: Path | None, folder: Path) -> Settings:
    service = file.service
    source = _source_section(content.get("source"), service)
    named_key = source.key_file or service.credential_file
    credential_file = _absolute(folder, named_key) if named_key else None
    output_dir = _place(folder, service.output_dir, credential_file)
    # Beside output_dir: pypi-winnow-downloads' config has no data_dir, and its folder may be read-only.
    data_dir = _place(folder, service.data_dir, credential_file) if service.data_dir else output_dir.parent / "data"
    resolved = source.resolve(folder)
    kind = KINDS[resolved.kind]
    return Settings(
        config_file=path,
        folder=folder,
        output_dir=output_dir,
        data_dir=data_dir,
        base_url=service.base_url,
        stale_threshold_days=service.stale_threshold_days,
        source=resolved,
        packages=tuple(resolve_package(p, file.defaults, kind) for p in file.packages),
        start_date=max(file.start_date, kind.first_day or file.start_date),
        groups=tuple(resolve_group(group, file.defaults) for group in file.groups),
        credential_file=credential_file,
        budget_bytes=file.budget.tib_per_month * TIB,
        schedule_enabled=file.schedule.enabled,
        schedule_hour=file.schedule.hour,
        schedule_minute=file.schedule.minute,
        keep_runs_days=file.schedule.keep_runs_days,
        alerts_webhook=file.alerts.webhook if file.alerts else "",
        alerts_webhook_env=file.alerts.webhook_env if file.alerts else "",
    )


def _source_section(given: Mapping[str, Any] | None, service: ServiceSection) -> SourceSection:
    """Return the section of the config's kind, from the validated keys of `source:`."""
    if given is None:
        return KINDS[KIND_WITH_KEY_ONLY if service.credential_file else KIND_WITHOUT_SOURCE].section()
    return KINDS[given["kind"]].section.model_validate({key: given[key] for key in given if key != "kind"})


def _place(folder: Path, text: str, key_file: Path | None) -> StorePath:
    return open_path(text, key_file) if is_address(text) else _absolute(folder, text)


def _absolute(folder: Path, path: str) -> Path:
    # normpath, not resolve: operators switch a web root by changing a symlink, so the link has to stay.
    return Path(os.path.normpath(folder / Path(path).expanduser()))
