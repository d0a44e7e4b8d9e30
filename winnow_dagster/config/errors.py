"""Errors of a config file, in sentences that name file, place, culprit and fix.

This module reads YAML strictly and turns pydantic's errors into sentences. Other modules define what a key means.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING, Any

import yaml

from winnow_dagster.config.style import FORMER_KEYS
from winnow_dagster.core.escaping import visible
from winnow_dagster.core.masking import ADDRESS, HIDDEN_ADDRESS, hide, shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Location = tuple[str | int, ...]


class ConfigError(Exception):
    """A config file cannot be used. The message has one line per problem."""

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        """Take the file's path, and its problems."""
        super().__init__("\n".join(f"{path}: {_on_one_line(problem)}" for problem in problems))


def _on_one_line(problem: str) -> str:
    """Return a problem on one line, without web addresses and control characters."""
    # The address may be a misplaced alerts.webhook, and anyone who knows it can post to it.
    hidden = ADDRESS.sub(HIDDEN_ADDRESS, problem)
    return visible(hidden)


_QUOTED = re.compile("'([^']+)'")


class _StrictLoader(yaml.SafeLoader):
    """A YAML loader that refuses duplicate keys, and reads only unambiguous numbers as numbers."""


def _mapping_without_duplicates(loader: _StrictLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: list[object] = []
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key = loader.construct_object(key_node)
        if key in seen:
            problem = f"the key {shown(key)} stands twice. Keep one"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        seen.append(key)
    return loader.construct_mapping(node, deep=True)


def _text(loader: _StrictLoader, node: yaml.ScalarNode) -> str:
    value = str(loader.construct_scalar(node))
    if any("\ud800" <= character <= "\udfff" for character in value):
        problem = f"{shown(value)} holds half of a character. Write the character itself"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
    return value


_INTEGER = "tag:yaml.org,2002:int"
# Only unambiguous numbers are numbers here. PyYAML takes 030 for 24 and 1:30 for 90. As text, 030 still becomes 30 in a
# numeric option, and 000777 stays a colour.
_StrictLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _INTEGER]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_StrictLoader.add_implicit_resolver(_INTEGER, re.compile(r"[-+]?(?:0|[1-9][0-9_]*)$"), list("-+0123456789"))
_StrictLoader.add_constructor("tag:yaml.org,2002:str", _text)
_StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_duplicates)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the content of a YAML file with keys at its top level. Raises ConfigError."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}. Check the path and its permissions"]) from None
    except UnicodeDecodeError:
        raise ConfigError(path, ["is not UTF-8 text. Save it as UTF-8"]) from None
    return parse_yaml(text, path)


def parse_yaml(text: str, path: Path) -> dict[str, Any]:
    """Return the content of the YAML file `path`, whose text is given. Raises ConfigError."""
    try:
        content = yaml.load(text, Loader=_StrictLoader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = error.problem or error.context or "is not YAML"
        raise ConfigError(path, [where + _QUOTED.sub(lambda quoted: f"'{hide(quoted[1])}'", problem)]) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # ValueError: the loader's own, for a value such as the date 2026-13-45.
        raise ConfigError(path, [f"is not YAML: {str(error).splitlines()[0]}"]) from None
    if content is None:
        raise ConfigError(path, ["is empty. List your packages: `packages: [{name: your-package}]`"])
    if not isinstance(content, dict):
        raise ConfigError(path, [f"is {type(content).__name__}, not keys and values. Start with `packages:`"])
    return content


def describe(error: ValidationError, content: Mapping[str, Any], keys: Mapping[str, list[str]]) -> list[str]:
    """Return a sentence per problem that pydantic found in `content`.

    `keys`: the keys of each section. `''` is the top level, and `packages` an entry of `packages:`.
    """
    return list(dict.fromkeys(_sentence(e, content, keys) for e in error.errors(include_url=False)))


def place(location: Location, content: object) -> str:
    """Return a location as `packages[2].name`, without steps that `content` does not have."""
    text = ""
    for step in location:
        if isinstance(step, int):
            if not isinstance(content, list):
                break
            text += f"[{step}]"
            content = content[step]
        elif step != "[key]":  # pydantic adds it after the name of a mapping's key
            text += f".{hide(step)}" if text else hide(step)
            content = content.get(step) if isinstance(content, dict) else None
    return text


_NOT_WHOLE = "{value} is not a whole number"
_NOT_A_NUMBER = "{value} is not a number. Write digits, such as 0.5"
_NOT_A_LIST = "{value} is not a list. Begin each entry with '- '"
_EMPTY = "is empty. Give at least one, or leave the key out where it has a default"
_NO_VALUE = "has no value. Write one, or leave the key out where it has a default"
_NOT_A_SECTION = "{value} is not a section. Indent its keys below it, as `key: value`"
_NOT_A_DAY = "{value} is not a day. Write it as 2026-01-31, without quotes"
_SENTENCES = {
    "int_type": _NOT_WHOLE,
    "int_from_float": _NOT_WHOLE,
    "float_type": _NOT_A_NUMBER,
    "float_parsing": _NOT_A_NUMBER,
    "finite_number": _NOT_A_NUMBER,
    "greater_than": "{value} is too small. Use more than {gt:g}",
    "greater_than_equal": "{value} is too small. Use {ge:g} or more",
    "less_than_equal": "{value} is too large. Use {le} or less",
    "string_type": "{value} is not text. Write text, in quotes where YAML takes it for something else",
    "string_too_short": _EMPTY,
    "too_short": _EMPTY,
    "bool_type": "{value} is not true or false",
    "list_type": _NOT_A_LIST,
    "tuple_type": _NOT_A_LIST,
    "model_type": _NOT_A_SECTION,
    "dict_type": _NOT_A_SECTION,
    "date_type": _NOT_A_DAY,
    "date_parsing": _NOT_A_DAY,
    "date_from_datetime_inexact": _NOT_A_DAY,
}


def _sentence(error: ErrorDetails, content: Mapping[str, Any], keys: Mapping[str, list[str]]) -> str:
    where = place(error["loc"], content)
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key. {_suggest_key(error['loc'], keys)}"
    if error["type"] == "invalid_key":
        return f"{shown(error['input'])} is not a key. Keys are words, such as `packages:`"
    if error["type"] == "missing":
        return f"{where}: missing. {_example(error['loc'])}"
    return f"{where}: {_wrong_value(error)}"


def _wrong_value(error: ErrorDetails) -> str:
    value, context = shown(error["input"]), error.get("ctx", {})
    if error["type"] == "literal_error":
        known = re.findall("'(.*?)'", context["expected"])
        return f"{value} is not one of {', '.join(known)}.{_nearest(str(error['input']), known)}"
    if error["input"] is None and error["type"].endswith("_type"):
        return _NO_VALUE
    if error["type"] == "model_type" and isinstance(error["input"], str):
        *parents, step = error["loc"]
        is_entry = parents == ["packages"] and isinstance(step, int)
        if is_entry:
            name = error["input"] if hide(error["input"]) == error["input"] else "your-package"
            return f"{value} is not a section. Write `name: {name}`"
        # Text in place of a whole section may be a secret, such as the token of a webhook.
        value = "text"
    # Errors of Winnow's own validators have another type, and already are sentences.
    sentence = _SENTENCES.get(error["type"])
    return error["msg"] if sentence is None else sentence.format(value=value, **context)


def _suggest_key(location: Location, keys: Mapping[str, list[str]]) -> str:
    *parents, key = location
    section = next((step for step in reversed(parents) if isinstance(step, str)), "")
    here = keys[section]
    if str(key) in FORMER_KEYS:
        return FORMER_KEYS[str(key)]
    if near := _nearest(str(key), here):
        return near.strip()
    for other, there in keys.items():
        if key in there and other != section:
            return f"It belongs {'at the top level' if other == '' else f'under {other}:'}"
    return f"Known here: {', '.join(here)}"


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1)
    return f" Did you mean {near[0]}?" if near else ""


def _example(location: Location) -> str:
    if location == ("packages",):
        return "List your packages: `packages: [{name: your-package}]`"
    return "Add it"
