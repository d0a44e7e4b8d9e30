"""Winnow in another Dagster project: a component for `defs.yaml`, and a function for Python."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import dagster as dg
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, InstanceOf

from winnow_dagster.config.component import DEFS_NAMES, PART
from winnow_dagster.config.loading import component_schema, load_component, load_settings
from winnow_dagster.config.settings import Settings  # noqa: TC001 - pydantic reads the annotation
from winnow_dagster.config.starter import Starter
from winnow_dagster.core.names import Selector
from winnow_dagster.defs.building import build
from winnow_dagster.defs.resources import Installation
from winnow_dagster.sources.kinds import KIND_OF_NEW_CONFIGS, KINDS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["WinnowComponent", "build_defs", "load_settings"]

TEXT = {"type": ["string", "integer"]}


def build_defs(
    settings: Settings, *, key_prefix: str | Sequence[str] | None = None, group_prefix: str | None = None
) -> dg.Definitions:
    """Return Winnow's definitions, which merge with any others.

    `key_prefix`: what the keys of assets and all other names begin with; by default that of the settings. Names of
    groups begin with it too, or else with `group_prefix`.
    """
    placement = settings.placement
    if key_prefix is not None:
        parts = tuple(key_prefix.split("/")) if isinstance(key_prefix, str) else tuple(key_prefix)
        if wrong := [part for part in parts if not PART.fullmatch(part)]:
            raise ValueError(f"key_prefix: {wrong[0]!r} is not part of an asset key. Use letters, digits, _, - and .")
        placement = replace(placement, key_prefix=parts)
    if group_prefix is not None:
        placement = replace(placement, group_prefix=group_prefix)
    return build(Installation(replace(settings, placement=placement), is_merged=True))


class _Attributes(BaseModel):
    """The attributes as `defs.yaml` has them. Winnow fills in their templates, then validates them."""

    model_config = ConfigDict(extra="allow")

    @classmethod
    def model_json_schema(cls, *_: object, **__: object) -> dict[str, Any]:
        """Return the schema with which editors and `dg check yaml` validate the file."""
        schema: dict[str, Any] = _as_written(component_schema())
        return schema


def _split(packages: str) -> list[str]:
    return [name.strip() for name in packages.split(",")]


def _check_packages(packages: str) -> str:
    for name in _split(packages):
        Selector.parse(name)
    return packages


def _check_kind(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not a kind of source. Use {', '.join(sorted(KINDS))}")
    return kind


class ScaffoldParams(BaseModel):
    """The options of `dg scaffold defs` for a new component. Dagster writes nothing if one of them is wrong."""

    packages: Annotated[
        str,
        AfterValidator(_check_packages),
        Field(description="Packages whose downloads to count, with commas between them."),
    ] = "sampleproject"
    kind: Annotated[str, AfterValidator(_check_kind), Field(description="The kind of source to read from.")] = (
        KIND_OF_NEW_CONFIGS
    )


class WinnowScaffolder(dg.Scaffolder[ScaffoldParams]):
    """Writes a `defs.yaml` with comments, as `winnow init` writes a winnow.yaml."""

    @classmethod
    def get_scaffold_params(cls) -> type[ScaffoldParams]:
        """Return the options of `dg scaffold defs`."""
        return ScaffoldParams

    def scaffold(self, request: dg.ScaffoldRequest[ScaffoldParams]) -> None:
        """Write the file, or append to it."""
        comment, *lines = Starter(_split(request.params.packages), request.params.kind).format().splitlines()
        attributes = [f"  {line}".rstrip() for line in lines]
        text = "\n".join([comment, f"type: {request.type_name}", "attributes:", *attributes, ""])
        if request.append:
            with request.target_path.open("a", encoding="utf-8") as file:
                file.write(f"---\n{text}")
        else:
            (request.target_path / DEFS_NAMES[0]).write_text(text, encoding="utf-8")


@dg.scaffold_with(WinnowScaffolder)
class WinnowComponent(dg.Component, dg.Model, dg.Resolvable):
    """Honest download counts of Python packages, published as badges. The attributes are the keys of winnow.yaml."""

    settings: InstanceOf[Settings]

    @classmethod
    def model(cls) -> type[BaseModel]:
        """Return the model of the attributes."""
        return _Attributes

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """Return what `dg list components` shows."""
        return dg.ComponentTypeSpec(description=cls.__doc__, tags=["pypi", "downloads", "badges"])

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> WinnowComponent:
        """Return the component of a `defs.yaml`. Raises ConfigError, which names every problem of the file."""
        given = attributes.model_extra if attributes else None
        return cls(settings=load_component(given, _file_of(context), context.resolution_context.resolve_value))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:  # noqa: ARG002 - Dagster gives it
        """Return the definitions of the component."""
        return build_defs(self.settings)


def _file_of(context: dg.ComponentLoadContext) -> Path:
    path = context.path
    if not path.is_dir():
        return path
    return next((path / name for name in DEFS_NAMES if (path / name).exists()), path / DEFS_NAMES[0])


def _as_written(schema: Any) -> Any:  # noqa: ANN401 - as JSON has it
    """Return a schema that also allows a template, a number in quotes, or one item instead of a list."""
    if isinstance(schema, list):
        return [_as_written(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    changed = {key: _as_written(value) for key, value in schema.items()}
    is_section = schema.get("type") == "object" and "properties" in schema
    if not isinstance(schema.get("type"), str) or is_section:
        return changed
    return {"anyOf": [changed, TEXT]} | {key: schema[key] for key in ("description", "default") if key in schema}
