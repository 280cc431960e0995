"""Find commands by the registry, import the one that is called, and list them in the help by group.

Load modules of rightsize when they are first used, so that the help of a command loads no engine.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any

from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup

from rightsize.cli.registry import CommandEntry, entries_below


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


_WHOLE = 200
"""Longer than the line of any command."""


class CommandGroup(TyperGroup):
    """The commands below a word, or below `rightsize` itself.

    A subclass of typer's group, which wants all commands to be imported: their names, and their lines in the help, come
    from the registry.
    """

    def __init__(self, *, below: str = "", default: str = "", **settings: Any) -> None:
        super().__init__(**{**settings, "commands": None})
        self.below = below
        self.default = default
        self.entries = entries_below(below)
        self.commands = _ImportedCommands(self.entries)  # type: ignore[assignment]  # typer only reads them

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command before a first word that is no command."""
        if self.default and args and args[0] not in self.commands and args[0] != "--help":
            args = [self.default, *args]
        return super().parse_args(ctx, args)

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
        return found or ([CompletionItem(incomplete, type="file")] if self.default else [])

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write the line of each command: whole in the groups of `rightsize`, else what fits beside the name."""
        width = max(map(len, self.entries))
        limit = formatter.width - 6 - width if self.below else _WHOLE
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self.entries.items():
            line = TyperCommand(name, help=entry.summary).get_short_help_str(limit)
            sections.setdefault(entry.group or "Commands", []).append((name.ljust(width), line))
        for title, lines in sections.items():
            with formatter.section(title):
                formatter.write_dl(lines)


class _ImportedCommands(Mapping[str, Any]):
    """The commands of a group by name; one is imported when it is asked for."""

    def __init__(self, entries: Mapping[str, CommandEntry]) -> None:
        self._entries = entries
        self._imported: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._imported:
            self._imported[name] = _command_of(name, self._entries[name])
        return self._imported[name]

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _command_of(name: str, entry: CommandEntry) -> Any:
    if not entry.function:
        return CommandGroup(
            below=entry.name,
            default=entry.default,
            name=name,
            help=entry.summary,
            no_args_is_help=True,
            rich_markup_mode=None,
        )
    module, _, function = entry.function.partition(":")
    with lazy_modules():
        return getattr(import_module(f"rightsize.cli.commands.{module}"), function).build(entry.name)
