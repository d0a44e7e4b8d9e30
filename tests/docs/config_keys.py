"""The tables of configuration keys in docs/, from the pydantic models and the docstrings under their fields."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, TypeAdapter

from winnow_dagster.config.component import PlacementSection
from winnow_dagster.config.loading import (
    AlertsSection,
    BudgetSection,
    ConfigFile,
    ScheduleSection,
    ServiceSection,
)
from winnow_dagster.config.packages import DefaultsSection, GroupSection, PackageSection
from winnow_dagster.config.style import StyleSection, one_label
from winnow_dagster.core.dimensions import BREAKDOWNS, OPEN_DIMENSIONS
from winnow_dagster.fields import Section, one_or_list
from winnow_dagster.sources.bigquery.settings import FiguresSection
from winnow_dagster.sources.kinds import KINDS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from pydantic.fields import FieldInfo

SECTIONS = frozenset({"service", "source", "budget", "schedule", "alerts", "defaults", "packages", "groups"})
WHOLE: Mapping[str, type[Section]] = {
    "service": ServiceSection,
    "budget": BudgetSection,
    "schedule": ScheduleSection,
    "alerts": AlertsSection,
    "style": StyleSection,
    "source-figures": FiguresSection,
    "placement": PlacementSection,
}
STYLED: Mapping[str, type[StyleSection]] = {
    "defaults": DefaultsSection,
    "packages": PackageSection,
    "groups": GroupSection,
}
"""The sections of which the keys of StyleSection have a table of their own."""

HEAD = "| key | value | default | meaning |\n|---|---|---|---|"


def tables() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each table. Required keys of a source come first."""
    for name, model in WHOLE.items():
        yield name, _table(model, model.model_fields)
    top = {key: field for key, field in ConfigFile.model_fields.items() if key not in SECTIONS}
    yield "top", _table(ConfigFile, top)
    for name, model in STYLED.items():
        own = {key: f for key, f in model.model_fields.items() if key not in StyleSection.model_fields}
        yield name, _table(model, dict(sorted(own.items(), key=lambda item: item[0] != "name")))
    for kind in KINDS.values():
        keys = dict(sorted(kind.section.model_fields.items(), key=lambda item: item[0] not in kind.section.required))
        yield f"source-{kind.name}", _table(kind.section, keys, kind.section.required)
    yield "breakdowns", "\n".join(_breakdowns())


def _breakdowns() -> Iterator[str]:
    yield "| breakdown | by | column of PyPI's log |\n|---|---|---|"
    for name in BREAKDOWNS:
        dimension = OPEN_DIMENSIONS[name]
        yield f"| `{name}` | {dimension.title} | `{dimension.column}` |"


def _table(model: type[BaseModel], fields: Mapping[str, FieldInfo], required: Collection[str] = ()) -> str:
    meanings = describe_fields(model)
    lines = [HEAD]
    for key, field in fields.items():
        meaning = meanings.get(key) or field.description
        if meaning is None:
            raise LookupError(f"{model.__name__}.{key} has no docstring. Write one under the field: it is printed here")
        default = "required" if key in required else _default(field)
        cells = (f"`{key}`", _values(field), default, meaning)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe_fields(model: type[BaseModel]) -> dict[str, str]:
    """Return the docstring under each field of a model and of its bases, by the field's name."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base is BaseModel:
            continue
        body = _class_body(base)
        for field, text in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
                found[field.target.id] = " ".join(ast.literal_eval(text.value).split())  # type: ignore[attr-defined]
    return found


def _class_body(model: type[BaseModel]) -> list[ast.stmt]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    return definition.body


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _values(field: FieldInfo) -> str:
    """Return what a key accepts, in words."""
    marks = list(_marks(field.annotation, field.metadata))
    annotation: Any = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return _words(TypeAdapter(annotation).json_schema(), marks)


def _marks(annotation: Any, metadata: Iterable[Any] = ()) -> Iterator[Any]:
    """Yield the constraints and validators of a type. Those after a validator are not in its JSON schema."""
    yield from metadata
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for part in get_args(annotation):
        yield from _marks(part)


def _words(schema: Mapping[str, Any], marks: list[Any]) -> str:
    if "anyOf" in schema:
        (schema,) = (option for option in schema["anyOf"] if option.get("type") != "null")
    if "$ref" in schema:
        return "a section"
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        may_be_one = any(isinstance(mark, BeforeValidator) and mark.func is one_or_list for mark in marks)
        item = _words(schema["items"], marks)
        return f"{item}, or a list" if may_be_one else f"a list of {item}"
    bounds = _bounds(marks)
    words = {
        "integer": f"a whole number{bounds}",
        "number": f"a number{bounds}",
        "boolean": "`true` or `false`",
        "object": "a section" if "properties" in schema else f"{'text, or ' * _takes_text(marks)}a mapping",
        "string": "a date" if schema.get("format") == "date" else "text",
    }
    return words[schema["type"]]


def _takes_text(marks: list[Any]) -> bool:
    return any(isinstance(mark, BeforeValidator) and mark.func is one_label for mark in marks)


def _bounds(marks: list[Any]) -> str:
    bounds: dict[str, object] = {}
    for mark in marks:
        bounds |= {name: getattr(mark, name) for name in ("gt", "ge", "le") if hasattr(mark, name)}
        for inner in getattr(mark, "metadata", ()):  # those of a Field()
            bounds |= {name: getattr(inner, name) for name in ("gt", "ge", "le") if hasattr(inner, name)}
    if "gt" in bounds:
        return f" above {bounds['gt']}"
    low, high = bounds.get("ge"), bounds.get("le")
    return f", {low} to {high}" if high is not None else f", {low} or more" if low is not None else ""


def _default(field: FieldInfo) -> str:
    """Return the default as the config would write it. An empty cell: the meaning says what Winnow does without it."""
    value = field.default
    if field.is_required():
        return "required"
    if value is None or value in ("", (), [], {}) or isinstance(value, BaseModel):
        return ""
    text = yaml.safe_dump(round(value, 2) if isinstance(value, float) else value).removesuffix("...\n").strip()
    return f"`{text}`"
