"""Declare a command: its own options, and those that all commands take.

A command whose options may also be set by the environment and by a configuration file.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import typer
import typer.main
from typer.core import TyperCommand

from rightsize.cli import narration
from rightsize.cli import output as colors
from rightsize.cli.exit_codes import exit_rows
from rightsize.cli.options import (
    CONFIG,
    DEFAULT_DB,
    DEFAULT_PLAN,
    FILE,
    WITHOUT_FILE,
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
    options_of,
    taken_options,
    variable,
    variables_of,
)
from rightsize.cli.output import show
from rightsize.cli.registry import entries_below, lazy_modules, old_names_of, write_lines
from rightsize.model.errors import RightsizeError, UsageError
from rightsize.render.escape import for_shell
from rightsize.workflow.data import next_command

with lazy_modules():
    # It reads TOML; a command without a file never loads it.
    from rightsize.cli import configuration


class ConfiguredCommand(TyperCommand):
    """A command whose options have, in this order, the value of the command line, of the environment, of a file.

    Attributes:
        path: The words after `rightsize`.
        reads_file: Whether the command takes options from a configuration file.
        beside: The commands of its group, itself among them, by their last word.
        file: The configuration file, or None; known once the command line is read.
        from_file: The settings that the file has for this command, by the names of parameters.
    """

    path: str = ""
    reads_file: bool = True
    beside: Mapping[str, Any] = MappingProxyType({})
    file: Path | None = None
    from_file: configuration.Settings

    def named(self, path: str) -> ConfiguredCommand:
        """Say the words that call the command, which give each option its variable of the environment."""
        self.path = path
        self.reads_file = path not in WITHOUT_FILE
        self.from_file = {}
        for option in options_of(self):
            if option.envvar:
                option.help = f"{option.help} [variable: {option.envvar}]"
            option.show_envvar = False
            option.envvar = list(variables_of(path, option)) or None
        return self

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the command line, and take the options that it leaves open from the environment and the file."""
        try:
            if self.reads_file:
                self.read_file(ctx, args)
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            raise _with_source(error, ctx) from error
        except RightsizeError:
            if not ctx.resilient_parsing:
                raise
            return []

    def read_file(self, ctx: Any, args: list[str]) -> None:
        """Find the configuration file of a command line, and make its settings the defaults of the context."""
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        if given.get("help"):
            return
        named = given.get("config") or os.environ.get(CONFIG) or None
        store = given.get("db") or _store_of_environment(self.path)
        self.file = find_file(named, store)
        if self.file is not None:
            read = configuration.read_file(self.file, is_named=named is not None)
            self.from_file = configuration.settings_of(read, self, self.beside)
            ctx.default_map = {name: one.value for name, one in self.from_file.items()}

    def invoke(self, ctx: Any) -> Any:
        """Set how much is said and in which colours, say what has a new name, and run the command."""
        narration.set_verbosity(ctx.params["verbose"], ctx.params["quiet"])
        colors.set_color(ColorChoice(ctx.params["color"]))
        if ctx.obj:
            narration.say(
                f"`rightsize {ctx.obj}` is now `rightsize {self.path}`; the next version has the new name only"
            )
        tables = {".".join(old.split()) for old in old_names_of(self.path)}
        for table in sorted(tables & {one.key.rpartition(".")[0] for one in self.from_file.values()}):
            narration.say(f"`[{table}]` in {self.file} is now `[{'.'.join(self.path.split())}]`")
        return super().invoke(ctx)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the commands below the word, the exit codes of the command, and how else its options are set."""
        super().format_epilog(ctx, formatter)
        if below := entries_below(self.path):
            write_lines(formatter, below.items())
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code.value), meaning) for code, meaning in exit_rows(self.path)])
        if self.reads_file:
            formatter.write_paragraph()
            formatter.write_text(
                f"Options also come from {FILE} and from variables such as {example_variable(self)}; "
                f"`rightsize config show {self.path}` lists them."
            )


def find_file(named: str | None, store: str | None) -> Path | None:
    """Return the configuration file: the named one, else that beside the store, else that of the working folder.

    The store is the one of the command line or the environment. A store that a file names moves no file.

    Raises:
        UsageError: The named file does not exist.
    """
    if named is not None:
        if not Path(named).is_file():
            raise UsageError(f"there is no configuration file `{named}`", hint=f"--config and {CONFIG} name a file")
        return Path(named)
    places = [Path(store).parent] if store is not None else []
    return next((file for place in (*places, Path()) if (file := place / FILE).is_file()), None)


def _store_of_environment(command: str) -> str | None:
    name = first_set((variable(command, "db"), variable("db")))
    return None if name is None else os.environ[name]


def example_variable(command: ConfiguredCommand) -> str:
    """Return the variable of the first option of a command that a variable can set."""
    return next(name for option in options_of(command) for name in variables_of(command.path, option))


def _with_source(error: typer.BadParameter, ctx: Any) -> typer.BadParameter:
    """Return an error of a value that says which variable of the environment has the value."""
    param = error.param
    name = first_set(param.envvar) if param is not None else None
    if name is None or param is None or ctx.get_parameter_source(param.name).name != "ENVIRONMENT":
        return error
    return typer.BadParameter(error.message, ctx=error.ctx, param=param, param_hint=f"`{name}`")


def first_set(names: str | Iterable[str] | None) -> str | None:
    """Return the first of some variables of the environment that has a value."""
    listed = (names,) if isinstance(names, str) else names or ()
    return next((name for name in listed if os.environ.get(name)), None)


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
                own |= taken_options(group)
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
        handed = {name: given[name] for name in single}
        for name, group in groups.items():
            fields = [field for field in _options(group) if field in given and field not in single]
            handed[name] = group(**{field: given[field] for field in fields})
        function(**handed)

    taken = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in options.values()]
    run.__annotations__ = {one.name: one.annotation for one in taken}
    setattr(run, "__signature__", inspect.Signature(taken))  # noqa: B010  mypy knows no such attribute
    return run
