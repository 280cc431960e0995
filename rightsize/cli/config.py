"""`rightsize config`: show the options of commands, and whether command line, environment or file set them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.command_groups import CommandGroup
from rightsize.cli.configured import ConfiguredCommand, first_set
from rightsize.cli.narration import say
from rightsize.cli.option_rules import CONFIG, is_typed, option_name, options_of, variables_of
from rightsize.cli.options import DEFAULT_DB
from rightsize.model.errors import UsageError
from rightsize.store import limits

_COLUMNS = ("command", "option", "value", "source", "set_by", "variable", "key")
_TABLE = ("option", "value", "set_by")
_TABLE_OF_ALL = ("command", "option", "value", "set_by")
_DEBUG = "RIGHTSIZE_DEBUG"


@command(rows=True)
def show_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]...", help="Words of one command; after `--` also its options. Default: what is set."
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Show the options of a command with their values, and where each value comes from.

    `set_by` is the command line, a variable of the environment, a key of the configuration file, or the default.
    `variable` and `key` would set the option; both are empty where an option is typed each time. Without COMMAND, each
    table and key of the file is checked, and only what is set is shown.
    """
    if not words:
        every = list(_commands(CommandGroup()))
        common.show(_what_is_set(every, common), _COLUMNS, table_columns=_TABLE_OF_ALL)
        _say_unknown_variables(every)
        return
    group, rest = CommandGroup(), list(words)
    while rest and isinstance(found := group.commands.get(rest.pop(0)), CommandGroup):
        group = found
    if not isinstance(found, ConfiguredCommand):
        raise UsageError(f"`{' '.join(words)}` is no command", hint=f"one of {', '.join(group.commands)}")
    common.show(list(_rows((found, group), rest, common)), _COLUMNS, table_columns=_TABLE)
    if found.file is not None:
        say(f"configuration file: {found.file}")


def _commands(group: CommandGroup) -> Iterator[tuple[ConfiguredCommand, CommandGroup]]:
    for one in group.commands.values():
        if isinstance(one, CommandGroup):
            yield from _commands(one)
        elif isinstance(one, ConfiguredCommand):
            yield one, group


def _what_is_set(every: Iterable[tuple[ConfiguredCommand, CommandGroup]], common: Common) -> list[dict[str, Any]]:
    """Return the options that are set; what is set for several commands has one row."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for one, group in every:
        for row in _rows((one, group), [], common):
            if row["source"] not in ("default", "command line"):
                words = _set_for(row)
                found.setdefault((words, row["option"], row["set_by"]), {**row, "command": words})
    return list(found.values())


def _set_for(row: Mapping[str, Any]) -> str:
    """Return the command, or the word above commands, whose option is set; empty where it is that of all commands."""
    if row["source"] == "file":
        _, _, key = row["set_by"].rpartition(": ")
        return " ".join(key.split(".")[:-1])
    return row["command"] if row["set_by"] == row["variable"] else ""


def _rows(called: tuple[ConfiguredCommand, CommandGroup], given: list[str], common: Common) -> Iterator[dict[str, Any]]:
    """Yield the options of a command with the values that a command line would give them."""
    one, group = called
    if not one.reads_file:
        return
    args = [*_own(common), *given]
    ctx = typer.Context(one, parent=typer.Context(group), info_name=one.path)
    one.read_file(ctx, args)
    typed, _, _ = one.make_parser(ctx).parse_args(list(args))
    for option in options_of(one):
        name = option_name(option)
        value, source = option.consume_value(ctx, typed)
        from_file = one.from_file.get(option.name)
        set_by = {
            "COMMANDLINE": "command line",
            "ENVIRONMENT": first_set(option.envvar),
            "DEFAULT_MAP": f"{one.file}: {from_file.key}" if from_file else "",
        }.get(source.name, "default")
        try:
            read = option.type_cast_value(ctx, value)
        except typer.BadParameter as error:
            raise UsageError(f"`{set_by}`: {error.message.removesuffix('.')}") from error
        yield {
            "command": one.path,
            "option": name,
            "value": _plain(read),
            "source": _SOURCES[source.name],
            "set_by": set_by,
            "variable": next(variables_of(one.path, option), ""),
            "key": "" if is_typed(one.path, name) else ".".join((*one.path.split(), name)),
        }


_SOURCES = {"COMMANDLINE": "command line", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file", "DEFAULT": "default"}


def _own(common: Common) -> Iterator[str]:
    """Yield the options of this call that decide which file is read."""
    if common.config is not None and os.environ.get(CONFIG) != str(common.config):
        yield from ("--config", str(common.config))
    if common.db != DEFAULT_DB and os.environ.get("RIGHTSIZE_DB") != str(common.db):
        yield from ("--db", str(common.db))


def _plain(value: Any) -> Any:
    """Return a value of an option as JSON and tables have it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = getattr(value, "value", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _say_unknown_variables(every: Iterable[tuple[ConfiguredCommand, CommandGroup]]) -> None:
    known = {name for one, _ in every for option in options_of(one) for name in variables_of(one.path, option)}
    for name in sorted(set(os.environ) - known - {CONFIG, limits.MEMORY, limits.SPILL, limits.TIME, _DEBUG}):
        if name.startswith("RIGHTSIZE_"):
            say(f"the variable `{name}` sets no option")
