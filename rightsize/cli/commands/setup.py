"""Commands that fit rightsize to a user, an editor, a shell and an agent: help, config, schema, completion, mcp.

`rightsize help`: list the commands that a team uses each week, or all of them, or explain one.

`rightsize config`: show the options of commands, and whether command line, environment or file set them.

Write the JSON Schema of the configuration file from the options of the commands.

`rightsize schema config` prints it; `docs/config.schema.json` is its output, and a test compares the two.

`rightsize schema`: print the JSON Schemas of files that people write or programs read.

`rightsize completion`: print the script that makes a shell complete the command line.

`rightsize mcp`: answer the questions of AI agents about the store, read-only, over the Model Context Protocol.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.change import bundle
from rightsize.cli import options
from rightsize.cli.command import Common, ConfiguredCommand, command, first_set
from rightsize.cli.narration import say
from rightsize.cli.output import copy_file, write
from rightsize.cli.registry import COMMANDS, CommandGroup, with_new_name, write_lines
from rightsize.mcp import serve as server
from rightsize.model.errors import UsageError
from rightsize.render import schemas
from rightsize.store import limits

_CONFIG_COLUMNS = ("command", "option", "value", "source", "set_by", "variable", "key")
_CONFIG_BRIEF = ("option", "value", "set_by")
_CONFIG_BRIEF_OF_ALL = ("command", "option", "value", "set_by")
_DEBUG = "RIGHTSIZE_DEBUG"


@command(output=False)
def help_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="[COMMAND]...", help="Words of a command.", show_default=False)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List all commands, also those below other commands.")] = False,
    *,
    ctx: typer.Context,
) -> None:
    """List the usual commands, or explain one."""
    root = ctx.find_root()
    if every and words:
        raise UsageError("`--all` lists all commands", hint="leave out the name of the command, or `--all`")
    if every:
        formatter = ctx.make_formatter()
        write_lines(formatter, [(_indented(one.name), one) for one in COMMANDS])
        write(formatter.getvalue())
        return
    group, shown = root.command, root
    rest, _ = with_new_name(words or [])
    while rest and isinstance(group, CommandGroup):
        word, found, rest = group.resolve_command(shown, rest)
        group, shown = found, typer.Context(found, info_name=word, parent=shown)
    if rest:
        raise UsageError(f"`{' '.join(words or [])}` is no command", hint="`rightsize help --all` lists all commands")
    write(group.get_help(shown) + "\n")


def _indented(name: str) -> str:
    *above, last = name.split()
    return "  " * len(above) + last


@command(rows=True)
def show_config(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[COMMAND]...", help="Words of one command; after `--` also its options. Default: what is set."
        ),
    ] = None,
    *,
    common: Common,
) -> None:
    """Show options with their values, and where each comes from.

    `set_by` is the command line, a variable of the environment, a key of the configuration file, or the default.
    `variable` and `key` would set the option; both are empty where an option is typed each time. Without COMMAND, each
    table and key of the file is checked, and only what is set is shown.
    """
    if not words:
        every = list(_commands(CommandGroup()))
        common.show(_what_is_set(every, common), _CONFIG_COLUMNS, table_columns=_CONFIG_BRIEF_OF_ALL)
        _say_unknown_variables(every)
        return
    group, (rest, _) = CommandGroup(), with_new_name(words)
    while rest and isinstance(found := group.commands.get(rest.pop(0)), CommandGroup):
        group = found
    if isinstance(found, CommandGroup):
        found = found.itself
    if not isinstance(found, ConfiguredCommand):
        raise UsageError(f"`{' '.join(words)}` is no command", hint=f"one of {', '.join(group.commands)}")
    common.show(list(_rows((found, group), rest, common)), _CONFIG_COLUMNS, table_columns=_CONFIG_BRIEF)
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
    for option in options.options_of(one):
        name = options.option_name(option)
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
            "variable": next(options.variables_of(one.path, option), ""),
            "key": "" if options.is_typed(one.path, name) else ".".join((*one.path.split(), name)),
        }


_SOURCES = {"COMMANDLINE": "command line", "ENVIRONMENT": "environment", "DEFAULT_MAP": "file", "DEFAULT": "default"}


def _own(common: Common) -> Iterator[str]:
    """Yield the options of this call that decide which file is read."""
    if common.config is not None and os.environ.get(options.CONFIG) != str(common.config):
        yield from ("--config", str(common.config))
    if common.db != options.DEFAULT_DB and os.environ.get("RIGHTSIZE_DB") != str(common.db):
        yield from ("--db", str(common.db))


def _plain(value: Any) -> Any:
    """Return a value of an option as JSON and tables have it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    value = getattr(value, "value", value)
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def _say_unknown_variables(every: Iterable[tuple[ConfiguredCommand, CommandGroup]]) -> None:
    known = {
        name
        for one, _ in every
        for option in options.options_of(one)
        for name in options.variables_of(one.path, option)
    }
    for name in sorted(set(os.environ) - known - {options.CONFIG, limits.MEMORY, limits.SPILL, limits.TIME, _DEBUG}):
        if name.startswith("RIGHTSIZE_"):
            say(f"the variable `{name}` sets no option")


_NAMED_FILE = "Only in a file that you name with --config."


def config_schema() -> str:
    """Return the JSON Schema of `rightsize.toml` as text: a table for each command, with a key for each option."""
    shared: dict[str, Any] = {}
    tables = _tables(CommandGroup(), shared)
    top = {name: {"$ref": f"#/$defs/{name}"} for name in options.SHARED_OPTIONS}
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
    for word, called in group.commands.items():
        if isinstance(called, CommandGroup):
            below = _tables(called, shared)
            found[word] = _table(_common_keys(below.values()) | {one: table for one, table in below.items() if one})
        elif isinstance(called, ConfiguredCommand) and called.reads_file:
            found[word] = _table(_keys(called, shared))
    return {word: table for word, table in found.items() if table["properties"]}


def _keys(command: Any, shared: dict[str, Any]) -> dict[str, Any]:
    keys = {}
    for option in options.options_of(command):
        name = options.option_name(option)
        if options.is_typed(command.path, name):
            continue
        described = _option(option)
        if options.needs_named_file(command.path, name):
            described["description"] += f" {_NAMED_FILE}"
        is_same = options.is_shared(option) and shared.setdefault(name, described) == described
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


_CONFIG, _ROLLOUT = "config", "rollout"


@command(rows=True)
def schema(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of a schema. Default: list them.", show_default=False)
    ] = None,
    *,
    common: Common,
) -> None:
    """Print the JSON Schema of a file, for editors and checks.

    The files are those that people write or programs read. The schemas are plan, review, exemptions, exclusions,
    prices, rollout, and config, which is rightsize.toml.
    """
    described = {
        **schemas.DESCRIBED,
        _ROLLOUT: "rollout.json, which `rightsize rollout plan` writes",
        _CONFIG: f"{options.FILE}, which sets options",
    }
    if name is None:
        common.show([{"name": one, "describes": what} for one, what in described.items()], ("name", "describes"))
    elif name == _CONFIG:
        write(config_schema())
    elif name == _ROLLOUT:
        write(bundle.bundle_schema())
    elif name in described:
        write(schemas.schema_text(name))
    else:
        raise UsageError(f"there is no schema `{name}`", hint=f"one of {', '.join(described)}")


_COMPLETION_SCRIPTS = Path(__file__).parents[1] / "shells"


class Shell(StrEnum):
    """The shells that complete a command line."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"
    POWERSHELL = "powershell"


@command(output=False)
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh, fish or powershell.")],
) -> None:
    """Print the script that completes commands and names.

    bash: `eval "$(rightsize completion bash)"` in ~/.bashrc. zsh: `eval "$(rightsize completion zsh)"` in ~/.zshrc,
    after compinit. fish: `rightsize completion fish | source` in config.fish. PowerShell: `rightsize completion
    powershell | Out-String | Invoke-Expression` in $PROFILE. Names of principals, roles, scopes and operations come
    from the store that the command line, RIGHTSIZE_DB or rightsize.toml names; it is only read.
    """
    copy_file(_COMPLETION_SCRIPTS / f"rightsize.{shell.value}")


@command(output=False)
def mcp(
    plan: Annotated[
        Path, typer.Option("--plan", help="The plan folder that the tools show. They read no other.")
    ] = options.DEFAULT_PLAN,
    rows: Annotated[int, typer.Option("--rows", min=1, max=1000, help="The most rows of a list in an answer.")] = 50,
    timeout: Annotated[float, typer.Option("--timeout", min=1, help="The most seconds for an answer.")] = 120.0,
    skill: Annotated[
        bool, typer.Option("--skill", help="Print the page that tells an agent how to use the tools, and end.")
    ] = False,
    *,
    trusted: options.PlanSigners,
    common: Common,
) -> None:
    """Answer the questions of AI agents (MCP); it only reads.

    It speaks the Model Context Protocol over stdin and stdout. A client starts this command; docs/mcp.md shows its
    settings. It needs the extra `mcp`.
    """
    if skill:
        write(server.read_skill())
        return
    if sys.stdin.isatty():
        say("waiting for a client's messages on stdin; Ctrl-D ends")
    server.serve(common.db, plan, trusted.asked, rows=rows, seconds=timeout)
