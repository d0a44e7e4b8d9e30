"""The table of the kinds of sources, for the config, the assets, the commands and the pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from winnow_dagster.fields import Section
from winnow_dagster.sources.bigquery.kind import BIGQUERY
from winnow_dagster.sources.clickhouse.kind import CLICKHOUSE
from winnow_dagster.sources.parquet.kind import PARQUET
from winnow_dagster.sources.sample import SAMPLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from winnow_dagster.sources.interface import Costs, Kind, Source, SourceContext, SourceSettings

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in (PARQUET, BIGQUERY, CLICKHOUSE, SAMPLE)}

KIND_WITHOUT_SOURCE = SAMPLE.name
"""The kind of a config without `source:`."""

KIND_OF_NEW_CONFIGS = CLICKHOUSE.name
"""The kind that `winnow init` writes by default, and that `winnow show` asks without a config."""

KIND_WITH_KEY_ONLY = BIGQUERY.name
"""The kind of a config without `source:` but with service.credential_file, as in pypi-winnow-downloads."""


def any_section(name: object) -> type[Section]:
    """Return a section with the keys of all kinds, so that one pass finds all wrong values of a file.

    A key that several kinds have is validated as the kind with this name has it.
    """
    fields: dict[str, Any] = {"kind": (Literal.__getitem__(tuple(sorted(KINDS))), ...)}
    for kind in sorted(KINDS.values(), key=lambda kind: kind.name != name):
        for key, field in kind.section.model_fields.items():
            fields.setdefault(key, (field.annotation, field))
    return create_model("SourceSection", __base__=Section, **fields)


def source_keys() -> dict[str, list[str]]:
    """Return the keys of `source:` and of each section in it, by the section's name."""
    fields = any_section(None).model_fields
    sections = {name: field.annotation for name, field in fields.items()}
    inner = {name: type_ for name, type_ in sections.items() if isinstance(type_, type) and issubclass(type_, Section)}
    return {"source": list(fields)} | {name: list(section.model_fields) for name, section in inner.items()}


def find_key_problems(given: Mapping[str, object]) -> Iterator[str]:
    """Find keys of `source:` that are missing, or that its kind does not have."""
    name = given.get("kind")
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        return
    for key, fix in kind.section.required.items():
        if key not in given:
            yield f"source.{key}: missing. {fix}"
    known = set(kind.section.model_fields)
    for other in KINDS.values():
        for key in sorted(given.keys() & other.section.model_fields.keys() - known):
            yield f"source.{key}: has no use with kind {kind.name}. Remove it, or set `kind: {other.name}`"
        known |= other.section.model_fields.keys()


def open_source(settings: SourceSettings, context: SourceContext) -> Source:
    """Return the configured source without opening a file or connection: the first request does that."""
    return KINDS[settings.kind].open(settings, context)


def costs_of(settings: SourceSettings, context: SourceContext) -> Costs | None:
    """Return the costs of a source; None if it is free."""
    costs = KINDS[settings.kind].costs
    return costs(settings, context) if costs else None


def costs_or_usual(settings: SourceSettings, context: SourceContext) -> tuple[str, Costs]:
    """Return the kind and the costs of a source. For a free source, return those of KIND_WITH_KEY_ONLY instead."""
    costs = costs_of(settings, context)
    if costs:
        return settings.kind, costs
    kind = KINDS[KIND_WITH_KEY_ONLY]
    usual = replace(kind.section().resolve(context.local_dir), settle_days=settings.settle_days)
    costs = costs_of(usual, context)
    if costs is None:
        raise ValueError(f"kind {kind.name} has no costs")
    return kind.name, costs
