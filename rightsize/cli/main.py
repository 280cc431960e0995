"""The entry point: run the command of a command line, and turn its error into an exit code."""

from __future__ import annotations

import gc
import os
import re
import sys

import typer
from typer.exceptions import TyperException

from rightsize import __version__
from rightsize.cli.exit_codes import ExitCode, exit_code_of
from rightsize.cli.narration import begin_progress, complain, end_progress, is_watched
from rightsize.cli.registry import CommandGroup, entries_below, lazy_modules, with_new_name
from rightsize.model.errors import RightsizeError
from rightsize.model.machine import private_files

with lazy_modules():
    from rightsize.cli import answers

ANSWER = "__complete"
"""The word with which the completion script of a shell asks for the completions of a command line."""
SHARED = "--shared"
"""The option before a command that leaves the rights of new files to the umask."""

app = typer.Typer(
    name="rightsize",
    cls=CommandGroup,
    context_settings={"max_content_width": 120},
    help="Least privilege for Azure and Entra: the smallest roles for what was used.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"rightsize {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
    shared: bool = typer.Option(False, SHARED, help="Before a command: let others read what it writes, by the umask."),
) -> None:
    """Least privilege for Azure and Entra."""


_NEW_OBJECTS = 1_000_000
"""Number of new objects before the garbage collector looks for cycles: imports and reads make many objects and nearly
no cycles. With Python's own 700, the collector takes a twentieth of the time of a short answer."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of the contract."""
    words = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(_NEW_OBJECTS)
    if words[:1] == [ANSWER]:
        answers.answer(typer.main.get_command(app), words[1:])
    called = entries_below("").get(next((word for word in words if word != SHARED), ""))
    for name, value in called.environment.items() if called is not None else ():
        os.environ.setdefault(name, value)
    code = run(words)
    # Python looks for cycles among all objects once more at its end; frozen objects are skipped.
    gc.freeze()
    sys.exit(code)


def _plain(message: str) -> str:
    """Return a message of typer in the form of all errors: one line, lower case, names in backticks, no full stop."""
    text = re.sub(r"'([^'\s]+)'", r"`\1`", " ".join(message.split()))
    return text[:1].lower() + text[1:].removesuffix(".")


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    if arguments[:1] == [SHARED]:
        return run_command(arguments[1:])
    # What commands write has the names and rights of a tenant.
    with private_files():
        return run_command(arguments)


def run_command(arguments: list[str]) -> int:
    """Run one command line without the option before it, and return its exit code."""
    debug = bool(os.environ.get("RIGHTSIZE_DEBUG"))
    begin_progress(is_watched)
    words, old_name = with_new_name(arguments)
    try:
        result = app(words, standalone_mode=False, prog_name="rightsize", obj=old_name)
        sys.stdout.flush()
        return int(result) if isinstance(result, int) else ExitCode.OK
    except RightsizeError as error:
        complain(error.message, error.hint)
        if debug:
            raise
        return exit_code_of(error)
    except typer.Exit as stop:
        return int(stop.exit_code)
    except TyperException as error:
        message = error.format_message()
        # Without a command, typer's message is the help.
        if message.startswith("Usage: "):
            typer.echo(message, err=True)
        else:
            complain(_plain(message), "`rightsize COMMAND --help` lists arguments and options")
        return ExitCode.USAGE
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader closed the pipe; keep the interpreter from reporting that while it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.OK
    except Exception as error:
        if debug:
            raise
        complain(f"internal error: {type(error).__name__}: {error}", "set RIGHTSIZE_DEBUG=1 and report what it prints")
        return ExitCode.INTERNAL
    finally:
        end_progress()
