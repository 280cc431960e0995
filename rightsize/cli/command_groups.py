"""Find commands by the registry, import the one that is called, and list them in the help by group.

Load modules of rightsize when they are first used, so that the help of a command loads no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

from typer._click.shell_completion import CompletionItem
from typer.core import TyperGroup

from rightsize.cli.registry import FIRST_GUESSES, CommandEntry, entries_below
from rightsize.model.errors import UsageError


class _LazyFinder(MetaPathFinder):
    """Find the modules of rightsize, and leave their loading to their first use."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module stands; None for modules of others."""
        if not fullname.startswith("rightsize."):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None and spec.submodule_search_locations is None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def lazy_modules() -> Iterator[None]:
    """Let `from rightsize.PACKAGE import MODULE` within the block load the module when it is first used.

    `from rightsize.PACKAGE.MODULE import NAME` uses the module, so it loads it at once.

    Python before 3.11.9 does not guard a first use by two threads. A command first uses its workflow in its own thread.
    """
    finder = _LazyFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


_ITSELF = ""
"""The key of a word that is itself a command, among the commands below the word."""


class CommandGroup(TyperGroup):
    """The commands below a word, or below `rightsize` itself; the word may be a command, too.

    A subclass of typer's group, which wants all commands to be imported: their names, and their lines in the help, come
    from the registry.
    """

    def __init__(self, *, below: str = "", itself: CommandEntry | None = None, **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.below = below
        self.entries = entries_below(below)
        every = {_ITSELF: itself, **self.entries} if itself is not None else self.entries
        self.commands = _ImportedCommands(every)  # type: ignore[assignment]  # typer only reads them

    @property
    def itself(self) -> Any:
        """The command that the word is without one of those below it; None where it has to be followed by one."""
        return self.commands.get(_ITSELF)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return name, command and rest of a command line.

        Raises:
            UsageError: The word is no command but one that newcomers try first.
        """
        guess = None if self.below else FIRST_GUESSES.get(args[0])
        if guess is not None and not ctx.resilient_parsing:
            raise UsageError(f"no such command `{args[0]}`: {guess}", hint="`rightsize help` lists the commands")
        name, called, rest = super().resolve_command(ctx, args)
        if isinstance(called, CommandGroup) and called.itself is not None and not {*rest[:1]} & called.entries.keys():
            return name, called.itself, rest
        return name, called, rest

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  typer hands the context over
        """Return the names of the commands, in the order of the registry, without importing one."""
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """Return the command of a name, which is imported for it; None where there is none."""
        return self.commands[cmd_name] if cmd_name in self.entries else None

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options that begin with a text, without importing a command."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self.entries.items()
            if name.startswith(incomplete)
        ]
        # Past typer's method, which imports every command.
        found += super(TyperGroup, self).shell_complete(ctx, incomplete)
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the line of each command; of `rightsize` itself those that a team uses each week."""
        write_lines(formatter, [(name, one) for name, one in self.entries.items() if one.is_weekly])

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Say where the other commands stand."""
        super().format_epilog(ctx, formatter)
        if not self.below:
            formatter.write_paragraph()
            formatter.write_text(
                "`rightsize help COMMAND` explains a command. `rightsize help --all` lists all "
                f"{len(self.entries)} commands, with those below them."
            )


def write_lines(formatter: Any, entries: Iterable[tuple[str, CommandEntry]]) -> None:
    """Write the names of commands with their lines, in their groups; an entry without a group follows the last one."""
    sections: dict[str, list[tuple[str, str]]] = {}
    title = "Commands"
    for name, entry in entries:
        title = entry.group or title
        sections.setdefault(title, []).append((name, entry.summary))
    width = max(len(name) for lines in sections.values() for name, _ in lines)
    for section, lines in sections.items():
        with formatter.section(section):
            formatter.write_dl([(name.ljust(width), line) for name, line in lines])


class _ImportedCommands(Mapping[str, Any]):
    """The commands of a group by name; one is imported when it is asked for."""

    def __init__(self, entries: Mapping[str, CommandEntry]) -> None:
        self._entries = entries
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            made = self._imported[name] = _command_of(name, self._entries[name])
            made.beside = self
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _command_of(name: str, entry: CommandEntry) -> Any:
    if name and entries_below(entry.name):
        return CommandGroup(
            below=entry.name,
            itself=entry if entry.function else None,
            name=name,
            help=entry.summary,
            no_args_is_help=True,
            rich_markup_mode=None,
        )
    module, _, function = entry.function.partition(":")
    with lazy_modules():
        return getattr(import_module(f"rightsize.cli.commands.{module}"), function).build(entry.name)
