"""The entry point: register the commands, run one, and turn its error into an exit code.

A command module imports only typer and `rightsize.cli`; the body of a command imports its workflow. So `--help` does
not load duckdb, polars, azure or msgraph.
"""

from __future__ import annotations

import copy
import gc
import os
import re
import sys

import typer
from typer.exceptions import TyperException

from rightsize import __version__
from rightsize.cli.analyze import analyze
from rightsize.cli.backtest import backtest
from rightsize.cli.can import can, who_can
from rightsize.cli.catalog import app as catalog
from rightsize.cli.check import check
from rightsize.cli.collect import collect
from rightsize.cli.command_groups import CommandGroups
from rightsize.cli.contain import contain
from rightsize.cli.demo import demo
from rightsize.cli.doctor import doctor
from rightsize.cli.events import events
from rightsize.cli.exit_codes import ExitCode, exit_code_of
from rightsize.cli.explain import explain
from rightsize.cli.export import export
from rightsize.cli.exports import exports
from rightsize.cli.layers import layers
from rightsize.cli.load import load
from rightsize.cli.logs import logs
from rightsize.cli.mine import mine
from rightsize.cli.narration import complain, is_watched
from rightsize.cli.next_steps import next_
from rightsize.cli.plan import app as plan
from rightsize.cli.progress import begin_progress, end_progress
from rightsize.cli.propose import propose
from rightsize.cli.prune import prune
from rightsize.cli.queries import queries
from rightsize.cli.reach import reach
from rightsize.cli.report import report
from rightsize.cli.review import app as review
from rightsize.cli.role_gates import no_new_access, not_granted
from rightsize.cli.roles import app as roles
from rightsize.cli.rollout import app as rollout
from rightsize.cli.signals import signals
from rightsize.cli.sql import sql
from rightsize.cli.status import status
from rightsize.cli.verify import verify
from rightsize.cli.watch import watch
from rightsize.model.errors import RightsizeError
from rightsize.model.private_files import private_files

SHARED = "--shared"
"""The option before a command that leaves the rights of new files to the umask."""

app = typer.Typer(
    name="rightsize",
    cls=CommandGroups,
    context_settings={"max_content_width": 120},
    help="Least privilege for Azure and Entra: what is granted, what was used, and the smallest roles that cover it.",
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
    shared: bool = typer.Option(
        False, SHARED, help="Before a command: let others read what it writes, as far as the umask of the shell allows."
    ),
) -> None:
    """Least privilege for Azure and Entra."""


app.command()(analyze)
# `--dials` is the older name of `--options`, for those who have it in scripts.
app.command(context_settings={"token_normalize_func": lambda word: "options" if word == "dials" else word})(backtest)
app.command()(can)
app.command("who-can")(who_can)
app.add_typer(catalog, name="catalog")
app.command()(check)
app.command()(collect)
app.command()(contain)
app.command()(demo)
app.command()(doctor)
app.command()(events)
app.command()(explain)
app.command()(export)
app.command()(exports)
app.command()(layers)
app.command()(load)
app.command()(logs)
app.command()(mine)
app.command("next")(next_)
app.add_typer(plan, name="plan")
app.command()(propose)
app.command()(prune)
app.command()(report)
roles.command("no-new-access")(no_new_access)
roles.command("not-granted")(not_granted)
app.command()(reach)
app.add_typer(roles, name="roles")
app.add_typer(queries, name="queries")
app.add_typer(review, name="review")
app.add_typer(rollout, name="rollout")
app.command()(signals)
app.command()(sql)
app.command()(status)
app.command()(verify)
app.command()(watch)


_NEW_OBJECTS = 100_000
"""Number of new objects before the garbage collector looks for cycles: imports and reads make many objects and nearly
no cycles. With Python's own 700, the collector takes a twentieth of the time of a short answer."""
_PLANS = frozenset({"backtest", "propose"})
_FREED = "dirty_decay_ms:0,muzzy_decay_ms:0"
"""Commands that plan a whole tenant return memory that polars no longer needs at once: kept, it is a quarter of what
the process holds after an analysis. Returning it takes a fifth of the time of a short answer, so others keep it.
Read by jemalloc when polars is loaded (its documentation, TUNING.md)."""


_ONE = frozenset({"can", "who-can"})
"""Commands about one principal take thousands of small steps, and handing a step to another thread takes longer than
the step. Read by polars when it is loaded."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and end the process with the exit code of the contract."""
    words = sys.argv[1:] if arguments is None else arguments
    gc.set_threshold(_NEW_OBJECTS)
    name = next((word for word in words if word != SHARED), "")
    if name in _PLANS:
        os.environ.setdefault("_RJEM_MALLOC_CONF", _FREED)
    if name in _ONE:
        os.environ.setdefault("POLARS_MAX_THREADS", "1")
    code = run(words)
    # Python looks for cycles among all objects once more at its end; frozen objects are skipped.
    gc.freeze()
    sys.exit(code)


def _only(arguments: list[str]) -> typer.Typer:
    """Return the app with only the called command, since reading the options of all commands takes long.

    Where the first word is not a command, return the whole app, which can suggest similar commands.
    """
    name = arguments[0] if arguments else ""
    one = copy.copy(app)
    one.registered_commands = [
        command
        for command in app.registered_commands
        if name == (command.name or getattr(command.callback, "__name__", None))
    ]
    one.registered_groups = [group for group in app.registered_groups if name == group.name]
    return one if one.registered_commands or one.registered_groups else app


def _plain(message: str) -> str:
    """Return a message of typer in the form of all errors: lower case, names in backticks, no full stop."""
    text = re.sub(r"'([^'\s]+)'", r"`\1`", message)
    return text[:1].lower() + text[1:].removesuffix(".")


def _damage(error: Exception) -> RightsizeError | None:
    """Return the error to tell if the store is damaged; only a command that loaded DuckDB has a store."""
    if "duckdb" not in sys.modules:
        return None
    from rightsize.store.limits import explain_damage  # noqa: PLC0415

    return explain_damage(error)


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit code."""
    if arguments[:1] == [SHARED]:
        return _run(arguments[1:])
    # What commands write has the names and rights of a tenant.
    with private_files():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    debug = bool(os.environ.get("RIGHTSIZE_DEBUG"))
    begin_progress(is_watched)
    try:
        result = _only(arguments)(arguments, standalone_mode=False, prog_name="rightsize")
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
        damage = _damage(error)
        if damage is not None:
            complain(damage.message, damage.hint)
            return exit_code_of(damage)
        complain(f"internal error: {type(error).__name__}: {error}", "set RIGHTSIZE_DEBUG=1 and report what it prints")
        return ExitCode.INTERNAL
    finally:
        end_progress()
