"""Write the JSON Schema of the configuration file from the options of the commands.

`python -m rightsize.cli.config_schema` prints it; `docs/config.schema.json` is its output, and a test compares the two.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rightsize.cli.command_groups import CommandGroup
from rightsize.cli.configured import ConfiguredCommand
from rightsize.cli.option_rules import SHARED_OPTIONS, is_shared, is_typed, needs_named_file, option_name, options_of

_NAMED_FILE = "Only in a file that you name with --config."


def config_schema() -> str:
    """Return the JSON Schema of `rightsize.toml` as text: a table for each command, with a key for each option."""
    shared: dict[str, Any] = {}
    tables = _tables(CommandGroup(), shared)
    top = {name: {"$ref": f"#/$defs/{name}"} for name in SHARED_OPTIONS}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:rightsize:config",
        "title": "Options of rightsize, in rightsize.toml",
        **_table(top | tables),
        "$defs": shared,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _tables(group: CommandGroup, shared: dict[str, Any]) -> dict[str, Any]:
    """Return the table of each command of a group; the options that all commands take are added to `shared`."""
    found: dict[str, Any] = {}
    for word, command in group.commands.items():
        if isinstance(command, CommandGroup):
            below = _tables(command, shared)
            found[word] = _table(_common_keys(below.values()) | below)
        elif isinstance(command, ConfiguredCommand) and command.reads_file:
            found[word] = _table(_keys(command, shared))
    return {word: table for word, table in found.items() if table["properties"]}


def _keys(command: Any, shared: dict[str, Any]) -> dict[str, Any]:
    keys = {}
    for option in options_of(command):
        name = option_name(option)
        if is_typed(command.path, name):
            continue
        described = _option(option)
        if needs_named_file(command.path, name):
            described["description"] += f" {_NAMED_FILE}"
        is_same = is_shared(option) and shared.setdefault(name, described) == described
        keys[name] = {"$ref": f"#/$defs/{name}"} if is_same else described
    return keys


def _common_keys(tables: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the keys of the table of a word: an option of any command below it."""
    forms: dict[str, list[Any]] = {}
    for table in tables:
        for name, form in table["properties"].items():
            if form not in forms.setdefault(name, []):
                forms[name].append(form)
    return {name: found[0] if len(found) == 1 else {"anyOf": found} for name, found in forms.items()}


def _table(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _option(option: Any) -> dict[str, Any]:
    form = _value(option)
    if option.multiple:
        form = {"type": "array", "items": form}
    return {"description": " ".join((option.help or "").split()), **form}


def _value(option: Any) -> dict[str, Any]:
    kind = option.type
    if option.is_flag:
        return {"type": "boolean"}
    if hasattr(kind, "choices"):
        return {"enum": [str(getattr(one, "value", one)) for one in kind.choices]}
    if option.count or kind.name.startswith(("int", "float")):
        bounds = {"minimum": getattr(kind, "min", None), "maximum": getattr(kind, "max", None)}
        whole = "integer" if option.count or kind.name.startswith("int") else "number"
        return {"type": whole} | {name: bound for name, bound in bounds.items() if bound is not None}
    return {"type": "string" if kind.name == "path" else ["string", "number"]}


if __name__ == "__main__":
    sys.stdout.write(config_schema())
