"""Declare a command: its own options, and those that all commands take."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any

import typer
import typer.main

from rightsize.cli import colors, narration
from rightsize.cli.configured import ConfiguredCommand
from rightsize.cli.options import (
    DEFAULT_DB,
    DEFAULT_PLAN,
    AllRows,
    Color,
    ColorChoice,
    Config,
    Db,
    NoInput,
    Output,
    OutputFormat,
    Quiet,
    Verbose,
)
from rightsize.cli.output import show
from rightsize.render.escape import for_shell
from rightsize.workflow import next_command


@dataclass(frozen=True, slots=True)
class Common:
    """The options that all commands take, in the order of their help.

    Attributes:
        db: The store.
        every: Whether a table shows all rows; only commands with many rows take the option.
        output: The format of the result; only commands that show rows take the option.
        verbose: How often `-v` was given.
        quiet: Whether only errors are said.
        no_input: Whether nobody can be asked.
        color: Whether output for people has colour.
        config: The configuration file, or None for the one that is found.
    """

    db: Db = DEFAULT_DB
    every: AllRows = False
    output: Output = OutputFormat.TABLE
    verbose: Verbose = 0
    quiet: Quiet = False
    no_input: NoInput = False
    color: Color = ColorChoice.AUTO
    config: Config = None

    @property
    def is_table(self) -> bool:
        """Whether the output is for people to read, and not data for a program."""
        return self.output is OutputFormat.TABLE

    def show(
        self,
        rows: Iterable[Mapping[str, Any]],
        columns: Sequence[str],
        *,
        document: Mapping[str, Any] | None = None,
        table_columns: Sequence[str] | None = None,
        below: str | None = None,
        wraps: bool = True,
    ) -> None:
        """Write a result to stdout in the format and the number of rows that were asked for, as `output.show` does."""
        show(
            rows,
            columns,
            self.output,
            document=document,
            table_columns=table_columns,
            below=below,
            every=self.every,
            wraps=wraps,
        )

    def with_db(self, command: str) -> str:
        """Return a command for a shell, with the store where it is not the usual one."""
        return command if self.db == DEFAULT_DB else f"{command} --db {for_shell(str(self.db))}"

    def say_next(self, step: str) -> None:
        """Write the next step to stderr, as `narration.say_next` does; nothing where a program reads the output."""
        if self.is_table:
            narration.say_next(step)

    def say_next_of_store(self, *, is_changed: bool = False) -> None:
        """Write the next step that the content of the store asks for.

        Args:
            is_changed: Whether something was loaded just now.
        """
        if self.is_table and not self.quiet:
            self.say_next(self.with_db(next_command.command_after(self.db, DEFAULT_PLAN, is_changed=is_changed)))


@dataclass(frozen=True, slots=True)
class Command:
    """A command as it is declared: typer reads its options when it is built.

    Attributes:
        run: The function, whose parameters are all options and arguments.
        older_names: Older names of options, for those who have them in scripts.
    """

    run: Callable[..., None]
    older_names: Mapping[str, str]

    def build(self, path: str) -> ConfiguredCommand:
        """Return the command that the words of `path` call after `rightsize`."""
        alone = typer.Typer(add_completion=False, rich_markup_mode=None)
        older = self.older_names
        settings = {"token_normalize_func": lambda word: older.get(word, word)} if older else None
        alone.command(path.rsplit(maxsplit=1)[-1], cls=ConfiguredCommand, context_settings=settings)(self.run)
        built = typer.main.get_command(alone)
        assert isinstance(built, ConfiguredCommand)  # noqa: S101  typer builds no group of a single command
        return built.named(path)


def command(
    *,
    rows: bool = False,
    output: bool = True,
    older_names: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Command]:
    """Declare a function as a command that also takes the options of `Common`.

    A parameter `common: Common` receives these options as one object. Each other parameter whose type is a dataclass is
    a group of options: the command takes an option for each field, and the function receives the object. A command with
    output formats of its own declares a parameter `output`, which takes the place of the shared one.

    Args:
        rows: Whether the command shows many rows, so that it takes `--all`.
        output: Whether the command shows rows, so that it takes `-o`.
        older_names: Older names of options.
    """
    left_out = {name for name, taken in (("every", rows), ("output", output)) if not taken}

    def declare(function: Callable[..., None]) -> Command:
        declared = _options(function)
        groups: dict[str, type[Any]] = {
            name: one.annotation
            for name, one in declared.items()
            if isinstance(one.annotation, type) and is_dataclass(one.annotation)
        }
        shared = {name: declared.get(name, one) for name, one in _options(Common).items() if name not in left_out}
        own: dict[str, inspect.Parameter] = {}
        for name, one in declared.items():
            group = groups.get(name)
            if group is None and name not in shared:
                own[name] = one
            elif group is not None and group is not Common:
                own |= _options(group)
        return Command(_with_options(function, own | shared, groups), older_names or {})

    return declare


def _options(declared: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the parameters of a function, or the fields of a group of options, by name."""
    return dict(inspect.signature(declared, eval_str=True).parameters)


def _with_options(
    function: Callable[..., None], options: Mapping[str, inspect.Parameter], groups: Mapping[str, type[Any]]
) -> Callable[..., None]:
    """Return a function that takes each option by its name, and hands the groups as objects to the given function."""
    single = [name for name in _options(function) if name not in groups]

    @functools.wraps(function)
    def run(**given: Any) -> None:
        narration.set_verbosity(given["verbose"], given["quiet"])
        colors.set_color(given["color"])
        handed = {name: given[name] for name in single}
        for name, group in groups.items():
            fields = [field for field in _options(group) if field in given and field not in single]
            handed[name] = group(**{field: given[field] for field in fields})
        function(**handed)

    taken = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options.values()]
    run.__annotations__ = {one.name: one.annotation for one in taken}
    setattr(run, "__signature__", inspect.Signature(taken))  # noqa: B010  mypy knows no such attribute
    return run
