"""Read a configuration file, and check each of its settings against the options of the commands."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import typer
from typer.models import TyperPath

from rightsize.analyze.name_resolution import hint_of, nearest
from rightsize.cli.options import (
    SHARED_OPTIONS,
    WITHOUT_FILE,
    is_shared,
    is_typed,
    needs_named_file,
    option_name,
    options_of,
)
from rightsize.cli.registry import OLD_NAMES, entries_below, old_names_of
from rightsize.model.errors import InputError, RightsizeError, UsageError
from rightsize.model.file_reading import SMALL, read_found, read_given


@dataclass(frozen=True, slots=True)
class ConfigurationFile:
    """A file as it was read.

    Attributes:
        is_named: Whether the user named it; a file that was found may be another person's.
    """

    path: Path
    is_named: bool
    tables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Setting:
    """An option that a file sets.

    Attributes:
        key: Its dotted key in the file, as `propose.reads`.
        value: The value as the parser of the option takes it.
    """

    key: str
    value: Any


Settings: TypeAlias = Mapping[str, Setting]
"""Settings by the name of the parameter that takes the value."""


def read_file(path: Path, *, is_named: bool) -> ConfigurationFile:
    """Return a configuration file, whose tables and top keys are known.

    Raises:
        UsageError: The file cannot be read, is no TOML, or has an unknown table or key at its top.
    """
    try:
        text = read_given(path, most=SMALL) if is_named else read_found(path.parent, path.name)
        tables = tomllib.loads(text.decode("utf-8"))
    except (InputError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the configuration file `{path}`: {error}") from error
    file = ConfigurationFile(path, is_named, tables)
    for key, value in tables.items():
        if isinstance(value, dict):
            known = {*entries_below(""), *OLD_NAMES} - {name.split()[0] for name in WITHOUT_FILE}
            _check_name(file, key, known, "table")
        else:
            _check_name(file, key, SHARED_OPTIONS, "key")
    return file


def settings_of(file: ConfigurationFile, command: Any, beside: Mapping[str, Any]) -> Settings:
    """Return what a file sets for a command; its own table goes before those of its earlier names and the word above.

    Args:
        file: The file.
        command: The command, a `ConfiguredCommand`.
        beside: The commands of the group that the command is in, by their last word.

    Raises:
        UsageError: A table or key is unknown, a value has the wrong type, or the option is not for files.
    """
    options = {option_name(one): one for one in options_of(command)}
    shared = {name for name, one in options.items() if is_shared(one)}
    found: dict[str, Any] = {key: (key, value) for key, value in file.tables.items() if key in shared}
    is_word = bool(entries_below(command.path))
    words = command.path.split()
    table = file.tables
    for word in words if is_word else words[:-1]:
        table = _table(table, word)
        # Asking the other commands for their options imports them all; tables below the word do not need it.
        others = [] if all(isinstance(value, dict) for value in table.values()) else beside.values()
        known = {option_name(one) for other in others for one in options_of(other)}
        for key, value in table.items():
            if isinstance(value, dict):
                _check_name(file, key, _words_below(word), "table", f"{word}.")
                continue
            _check_name(file, key, known, "key", f"{word}.")
            if key in options:
                found[key] = (f"{word}.{key}", value)
    for name in (*old_names_of(command.path), *([] if is_word else [command.path])):
        table, where = file.tables, ".".join(name.split())
        for word in name.split():
            table = _table(table, word)
        for key, value in table.items():
            _check_name(file, key, options, "key", f"{where}.")
            found[key] = (f"{where}.{key}", value)
    return {
        options[name].name: Setting(key, _checked(file, key, value, command.path, options[name]))
        for name, (key, value) in found.items()
    }


def _words_below(name: str) -> set[str]:
    """Return the last words of the commands below a word, with those that they had earlier."""
    above = name.split()
    return {*entries_below(name), *(old.split()[-1] for old in OLD_NAMES if old.split()[:-1] == above)}


def _table(table: Mapping[str, Any], word: str) -> Mapping[str, Any]:
    found = table.get(word, {})
    # Whoever writes `propose = 1` is told that there is no such key.
    return found if isinstance(found, dict) else {}


def _check_name(file: ConfigurationFile, key: str, known: Iterable[str], what: str, above: str = "") -> None:
    names = list(known)
    if key not in names:
        raise UsageError(
            f"`{file.path}` has an unknown {what} `{above}{key}`",
            hint=hint_of(nearest(key, names, 1), "`rightsize config show COMMAND` lists the options of a command"),
        )


def _checked(file: ConfigurationFile, key: str, value: Any, command: str, option: Any) -> Any:
    """Return a value as the parser of the option takes it, if the option may be set by this file."""
    name = option_name(option)
    if is_typed(command, name):
        raise UsageError(f"`{file.path}` sets `{key}`, which no file sets", hint=f"type `--{name}` where you mean it")
    if needs_named_file(command, name) and not file.is_named:
        raise UsageError(
            f"`{file.path}` sets `{key}`, which only a file sets that you name",
            hint=f"type `--{name}`, or name the file: `--config {file.path}`",
        )
    taken = _taken(file, key, value, option)
    try:
        option.type_cast_value(None, taken)
    except typer.BadParameter as error:
        raise UsageError(f"`{file.path}`: `{key}`: {error.message.removesuffix('.')}") from error
    except RightsizeError as error:
        raise UsageError(f"`{file.path}`: `{key}`: {error.message}", hint=error.hint) from error
    return taken


def _taken(file: ConfigurationFile, key: str, value: Any, option: Any) -> Any:
    if option.is_flag:
        return _of_type(file, key, value, bool, "true or false")
    if option.count:
        return _of_type(file, key, value, int, "a whole number")
    if not option.multiple:
        return _single(file, key, value, option)
    return [_single(file, key, one, option) for one in _of_type(file, key, value, list, "a list")]


def _single(file: ConfigurationFile, key: str, value: Any, option: Any) -> Any:
    kind = option.type.name
    if kind.startswith("int"):
        return _of_type(file, key, value, int, "a whole number")
    if kind.startswith("float"):
        return _of_type(file, key, value, (int, float), "a number")
    if isinstance(option.type, TyperPath):
        return _place(file, key, _of_type(file, key, value, str, "a text"))
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return _of_type(file, key, value, str, "a text")


def _of_type(file: ConfigurationFile, key: str, value: Any, kind: Any, what: str) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"`{file.path}`: `{key}` needs {what}, not `{json.dumps(value, default=str)}`")
    return value


def _place(file: ConfigurationFile, key: str, text: str) -> str:
    """Return a path of a file, which is relative to the folder of that file; a found file names nothing outside."""
    folder = file.path.parent
    place = folder / text
    if not file.is_named and not place.resolve().is_relative_to(folder.resolve()):
        raise UsageError(
            f"`{file.path}`: `{key}` leads out of the folder of the file: `{text}`",
            hint=f"only a file that you name does that: `--config {file.path}`",
        )
    return str(place)
