"""The JSON Schemas of published files, from the tables of categories, dimensions and badges.

They describe what readers may rely on, and allow new keys. `closed` returns a stricter schema for tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from winnow_dagster.core.categories import CATEGORIES
from winnow_dagster.core.definition import Definition
from winnow_dagster.core.dimensions import DIMENSIONS, OPEN_DIMENSIONS
from winnow_dagster.core.history import NUMBERS
from winnow_dagster.core.shard import ALL_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
DATE: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
TIME: Schema = {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}T.*[+]00:00$"}
COUNT: Schema = {"type": "integer", "minimum": 0}
UNKNOWN_COUNT: Schema = {"type": ["integer", "null"], "minimum": 0, "description": "null: not known"}
TEXT: Schema = {"type": "string"}
SOURCE: Schema = {"type": "string", "description": "the kind of source; `sample`: made-up numbers"}
PACKAGE: Schema = {"type": "string", "description": "the normalised name, or `_group/` and the name of a group"}
WINDOW = r"^([1-9]\d*|all)$"
DIMENSION_NAMES = f"^({'|'.join(OPEN_DIMENSIONS)})$"
DEFINITION: Schema = {
    "enum": [definition.value for definition in Definition],
    "description": "`files`: requests for files of releases. `requests`: every request, counted by an older Winnow",
}
DATES: Schema = {"type": "array", "items": DATE}
RANGE: Schema = {
    "type": "array",
    "items": DATE,
    "minItems": 2,
    "maxItems": 2,
    "description": "the first and the last day",
}


def all_schemas() -> dict[str, Schema]:
    """Return the schemas by file name."""
    found = {
        "badge": ("A badge for shields.io's endpoint", _badge()),
        "counts": ("counts.json: the exact numbers of a package or group", _counts()),
        "history": ("history.json: a package or group by day", {"oneOf": [_history(), _short_history()]}),
        "history-csv": ("A line of history.csv, keyed by the header; every value is text", _history_line()),
        "breakdowns": ("breakdowns.json: the downloads of each window by the values of a dimension", _breakdowns()),
        "breakdown-csv": ("A line of <dimension>.csv, keyed by the header; every value is text", _breakdown_line()),
        "packages": ("_packages.json: all packages and groups", _packages()),
        "health": ("_health.json: the last collect", _health()),
        "site": ("_site.json: which config publishes here", _site()),
        "everything": ("_packages/index.json: a summary of the packages that only `*` selects", _everything()),
        "everything-part": ("_packages/<letters>.json: packages that only `*` selects", _everything_part()),
    }
    return {
        f"{name}.schema.json": {"$schema": DRAFT, "title": title, **schema} for name, (title, schema) in found.items()
    }


def closed(schema: Any) -> Any:
    """Return a schema that allows no key without a description."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def _object(required: Mapping[str, Any], optional: Mapping[str, Any] | None = None) -> Schema:
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


def _mapping(pattern: str, values: Schema) -> Schema:
    """Return the schema of an object with any keys of this pattern."""
    return {"type": "object", "patternProperties": {pattern: values}, "additionalProperties": False}


def _counted(names: Iterable[str], count: Schema = UNKNOWN_COUNT) -> Schema:
    return _object(dict.fromkeys(names, count))


def _values(names: Iterable[str]) -> Schema:
    return {"enum": list(names)}


def _badge() -> Schema:
    text_or_number = {"type": ["string", "integer"]}
    extras = ("labelColor", "style", "namedLogo", "logoSvg", "logoColor", "logoSize", "cacheSeconds")
    required = {"schemaVersion": {"const": 1}, "label": TEXT, "message": TEXT, "color": TEXT}
    return _object(required, dict.fromkeys(extras, text_or_number)) | {"additionalProperties": False}


def _numbers() -> dict[str, Schema]:
    return {
        "first_day": DATE,
        "as_of": DATE,
        "raw": COUNT,
        "honest": COUNT,
        "categories": _counted(CATEGORIES),
        **{dimension.part: _counted(dimension.values.values()) for dimension in DIMENSIONS},
        "unlisted_installers": {"type": ["object", "null"], "additionalProperties": COUNT},
    }


SHORT_DAYS: Schema = DATES | {"description": "days of which PyPI's log lost rows"}
OF_WINDOW: dict[str, Schema] = {
    "short_days": SHORT_DAYS,
    "source": SOURCE | {"description": "the kind of source, if it is not the package's present one"},
}


def _window() -> Schema:
    return _object(_numbers(), OF_WINDOW)


def _counts() -> Schema:
    collecting = _object({"collected_days": COUNT}) | {"additionalProperties": False}
    window = {"oneOf": [collecting, _object({"collected_days": COUNT, **_numbers()}, OF_WINDOW)]}
    windows = _mapping(WINDOW, window)
    return _object(
        {
            "format": {"const": 1},
            "package": PACKAGE,
            "source": SOURCE,
            "problem": {"type": ["string", "null"]},
            "windows": windows,
        },
        {"members": {"type": "array", "items": TEXT}, "former_windows": windows},
    )


def _history() -> Schema:
    span = _object({"first_day": DATE, "last_day": DATE})
    day = _object(
        {
            "date": DATE,
            "reading": {"enum": ["provisional", "settled", None]},
            "raw": UNKNOWN_COUNT,
            "categories": _counted(CATEGORIES),
            **{dimension.part: _counted(dimension.keys) for dimension in DIMENSIONS},
            "definition": DEFINITION,
        },
        {"source": OF_WINDOW["source"]},
    )
    return _object(
        {
            "format": {"const": 1},
            "package": PACKAGE,
            "source": SOURCE,
            "first_day": DATE | {"type": ["string", "null"]},
            "last_day": DATE | {"type": ["string", "null"]},
            "missing": {"type": "array", "items": span},
            "short_days": SHORT_DAYS,
            "days": {"type": "array", "items": day},
        }
    )


def _short_history() -> Schema:
    counts = {
        "type": "array",
        "items": UNKNOWN_COUNT,
        "minItems": 2,
        "maxItems": 2,
        "description": "honest and raw downloads",
    }
    return _object(
        {
            "format": {"const": 2},
            "package": PACKAGE,
            "source": SOURCE,
            "definition": DEFINITION,
            "days": _mapping(DATE["pattern"], counts),
        },
        {"definitions": _mapping(DATE["pattern"], DEFINITION)},
    )


def _history_line() -> Schema:
    number = {"type": "string", "pattern": r"^\d*$", "description": "empty: not known"}
    return _object(
        {
            "date": DATE,
            "reading": {"enum": ["provisional", "settled", ""]},
            **dict.fromkeys(NUMBERS, number),
            "definition": DEFINITION,
            "source": SOURCE,
        }
    )


def _breakdowns() -> Schema:
    values = {
        "type": "object",
        "additionalProperties": COUNT,
        "description": "downloads by value; the value `` is not said",
    }
    by = _object({"honest": values, "ci": values})
    days = _mapping(DIMENSION_NAMES, {"type": "array", "items": RANGE})
    numbers = dict.fromkeys(("low", "high", "unsaid", "told", "packages"), COUNT)
    estimate = _object({"confidence": {"type": "number"}, **numbers}) | {"type": ["object", "null"]}
    window = _object({"first_day": DATE, "as_of": DATE}, {**dict.fromkeys(OPEN_DIMENSIONS, by), "unsaid_ci": estimate})
    badge = _object({"message": TEXT, "downloads": COUNT, "as_of": DATE})
    return _object(
        {
            "format": {"const": 1},
            "package": PACKAGE,
            "source": SOURCE,
            "read_until": TIME | {"type": ["string", "null"]},
            "days": days | {"description": "the days that each dimension is known of"},
            "windows": _mapping(WINDOW, window),
            "badges": {"type": "object", "additionalProperties": badge},
        },
        {"other_sources": {"type": "object", "additionalProperties": days}},
    )


def _breakdown_line() -> Schema:
    number = {"type": "string", "pattern": r"^\d+$"}
    lines = [_object({"date": DATE, name: TEXT, "honest": number, "ci": number}) for name in OPEN_DIMENSIONS]
    return {"oneOf": lines}


def _summary() -> Schema:
    return _object(
        {"packages": COUNT, "as_of": _mapping(WINDOW, DATE), "list": TEXT},
        {"short_days": SHORT_DAYS},
    )


def _packages() -> Schema:
    entry = {
        "name": TEXT | {"description": "as the config spells it"},
        "folder": PACKAGE,
        "headline": {"type": "string", "pattern": WINDOW},
        "windows": _mapping(WINDOW, _window()),
        "error": {"type": ["string", "null"]},
    }
    return _object(
        {
            "format": {"const": 1},
            "source": SOURCE,
            "packages": {"type": "array", "items": _object(entry)},
            "groups": {"type": "array", "items": _object({**entry, "members": {"type": "array", "items": TEXT}})},
        },
        {"everything": _summary()},
    )


def _health() -> Schema:
    counted = {
        dimension.health_key: _counted([*dimension.values.values(), *dimension.families]) for dimension in DIMENSIONS
    }
    entry = _object(
        {"window_days": COUNT},
        {"as_of": DATE, "count": COUNT, **counted, "windows": _mapping(WINDOW, _window()), "error": TEXT},
    )
    entries = {"type": "object", "additionalProperties": entry}
    return _object(
        {
            "finished": TIME,
            "packages": entries,
            "sample": {"type": "boolean"},
            "source": SOURCE,
            "started": TIME,
            "through": DATE | {"description": "the newest day that may be included"},
        },
        {
            "groups": entries,
            "everything": _summary(),
            "dataset": TEXT,
            "source_limits": {"type": "array", "items": TEXT},
        },
    )


def _site() -> Schema:
    return _object({"site": {"type": "string", "pattern": "^[0-9a-f]{32}$"}})


def _everything() -> Schema:
    windows = _mapping(WINDOW, DATE)
    return _object(
        {
            "format": {"const": 1},
            "source": SOURCE,
            "packages": COUNT,
            "as_of": windows,
            "former": windows,
            "stale": {"type": "array", "items": TEXT},
            "look": {"type": "object", "description": "the style of the badges, for Winnow itself"},
            "shards": {"type": "object", "additionalProperties": COUNT},
        },
        {"short_days": SHORT_DAYS},
    )


def _everything_part() -> Schema:
    numbers = {
        "type": "array",
        "items": UNKNOWN_COUNT,
        "description": "the numbers of each window, in the order of `columns`",
    }
    return _object(
        {
            "format": {"const": 1},
            "source": SOURCE,
            "columns": {"type": "array", "items": _values(ALL_COLUMNS)},
            "windows": {
                "type": "array",
                "items": _object({"days": COUNT, "first_day": DATE, "as_of": DATE}),
            },
            "packages": {"type": "object", "additionalProperties": numbers},
        }
    )
