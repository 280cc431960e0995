"""Describe each command for its pages: how it is called, its arguments and options, and its exit codes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.cli.command_groups import CommandGroup
from rightsize.cli.option_rules import options_of


@dataclass(frozen=True, slots=True)
class Named:
    """An argument or option.

    Attributes:
        name: An argument as it stands in the usage, or the forms of an option.
        meaning: Its help, in one line.
        default: Its default as text; empty where the page shows none.
        takes: What an option takes, such as `<path>`; empty for switches and arguments.
    """

    name: str
    meaning: str
    default: str = ""
    takes: str = ""


@dataclass(frozen=True, slots=True)
class CommandPage:
    """The content of the page of one command.

    Attributes:
        path: The words after `rightsize`.
        usage: How it is called, in one line.
        help: The lines of its help.
        arguments: Its arguments.
        options: Its options, without `--help`.
    """

    path: str
    usage: str
    help: Sequence[str]
    arguments: Sequence[Named]
    options: Sequence[Named]


def command_pages(group: CommandGroup | None = None) -> Iterator[CommandPage]:
    """Yield the page of each command below a group, by name; those of `rightsize` without a group."""
    commands = (group or CommandGroup()).commands
    for name in sorted(commands):
        if isinstance(found := commands[name], CommandGroup):
            yield from command_pages(found)
        else:
            yield _page(found)


def _page(command: Any) -> CommandPage:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = options_of(command)
    words = [f"rightsize {command.path}", *("[OPTIONS]" for _ in options[:1]), *map(_usage, arguments)]
    return CommandPage(
        command.path,
        " ".join(words),
        (command.help or "").strip().splitlines(),
        [Named(_usage(one), _line(one.help)) for one in arguments],
        [
            Named(
                ", ".join([*one.opts, *one.secondary_opts]),
                _line(one.help),
                _default(one),
                "" if one.is_flag or one.count else one.make_metavar(None),
            )
            for one in options
        ],
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[]").removesuffix("...")
    many = "..." if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _default(option: Any) -> str:
    value = option.default
    if value in (None, False, 0, (), [], "") or callable(value):
        return ""
    value = getattr(value, "value", value)
    if isinstance(value, list | tuple):
        value = ", ".join(str(getattr(item, "value", item)) for item in value)
    return str(value)
