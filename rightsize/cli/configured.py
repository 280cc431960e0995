"""A command whose options may also be set by the environment and by a configuration file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from rightsize.cli.exit_codes import exit_rows
from rightsize.cli.lazy_modules import lazy_modules
from rightsize.cli.option_rules import CONFIG, FILE, WITHOUT_FILE, options_of, variable, variables_of
from rightsize.model.errors import RightsizeError, UsageError

with lazy_modules():
    # It reads TOML; a command without a file never loads it.
    from rightsize.cli import configuration


class ConfiguredCommand(TyperCommand):
    """A command whose options have, in this order, the value of the command line, of the environment, of a file.

    Attributes:
        path: The words after `rightsize`.
        reads_file: Whether the command takes options from a configuration file.
        file: The configuration file, or None; known once the command line is read.
        from_file: The settings that the file has for this command, by the names of parameters.
    """

    path: str = ""
    reads_file: bool = True
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
            beside = getattr(ctx.parent.command, "commands", {}) if ctx.parent is not None else {}
            self.from_file = configuration.settings_of(read, self, beside)
            ctx.default_map = {name: one.value for name, one in self.from_file.items()}

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the exit codes of the command, and how else its options are set."""
        super().format_epilog(ctx, formatter)
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
