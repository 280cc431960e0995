"""The options of commands: those that several take, and how files and the environment set them.

The options that several commands take, each declared once.

The options that say whose signature a plan must have, for every command that reads one.

Name each option in files and in the environment, and say which options are set by neither.

In the tables a name stands for the option of every command, `COMMAND OPTION` for that of one command or of all below a
word.
"""

from __future__ import annotations

import datetime as dt
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import typer

from rightsize.cli.registry import old_names_of
from rightsize.model.options import PlanChoices, WholeWindowOptions, WindowOptions, declared
from rightsize.model.times import read_day
from rightsize.workflow import signatures


class OutputFormat(StrEnum):
    """The output format of a result on stdout."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"


class ColorChoice(StrEnum):
    """Whether output for people has colour."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def option_of(kind: type[WindowOptions], name: str) -> Any:
    """Return an option that `model.options` declares, as typer takes it."""
    one, flag = declared(kind)[name], f"--{name.replace('_', '-')}"
    parsed: dict[str, Any] = {"parser": read_day, "metavar": "DAY"} if name == "as_of" else {"metavar": one.metavar}
    return typer.Option(flag, *one.names, min=one.least, max=one.most, help=one.help, **parsed)


def taken_options(kind: type[Any]) -> dict[str, inspect.Parameter]:
    """Return the fields of a group of options as parameters by name; the fields that no option sets are left out.

    Those of `model.options` come without typer's types: what a class inherits comes last, and lists are tuples there.
    """
    every = dict(inspect.signature(kind, eval_str=True).parameters)
    if not issubclass(kind, WindowOptions):
        return every
    given = declared(kind)
    inherited = declared(WindowOptions) if kind is not WindowOptions else {}
    found = {}
    for name in sorted(given, key=lambda one: one in inherited):
        type_, default = get_args(every[name].annotation)[0], every[name].default
        if get_origin(type_) is tuple:
            type_, default = list[str] | None, None
        elif type_ == str | int:
            type_ = str
        found[name] = every[name].replace(annotation=Annotated[type_, option_of(kind, name)], default=default)
    return found


Db = Annotated[
    Path,
    typer.Option("--db", envvar="RIGHTSIZE_DB", help="The store, one DuckDB file.", show_default=True),
]
MOST_ROWS = 200
"""The most rows of a table that people see without `--all`."""
AllRows = Annotated[
    bool, typer.Option("--all", help=f"Show all rows of a table, not only the first {MOST_ROWS}; other formats do.")
]
Output = Annotated[OutputFormat, typer.Option("-o", "--output", help="How to write the result.")]
VarFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--var-file",
        help="File of variables of Terraform, as `terraform plan` takes it. Repeatable; the last one wins.",
    ),
]
AsOf = Annotated[dt.date | None, option_of(WindowOptions, "as_of")]
Today = Annotated[
    dt.date | None,
    typer.Option("--as-of", parser=read_day, metavar="DAY", help="The day to judge by. Default: today, in UTC."),
]
Expires = Annotated[
    dt.date | None,
    typer.Option("--expires", parser=read_day, metavar="DAY", help="The last day on which the decision holds."),
]
WholeWindow = Annotated[int, option_of(WholeWindowOptions, "min_window")]
MinDays = Annotated[int | None, option_of(WindowOptions, "min_days")]
ForgetDays = Annotated[int, option_of(WindowOptions, "forget_days")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more on stderr.", show_default=False)]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say nothing on stderr but errors.")]
NoInput = Annotated[bool, typer.Option("--no-input", help="Never ask; fail where an answer would be needed.")]
Color = Annotated[
    ColorChoice,
    typer.Option("--color", help="Colour in output for people; auto is on a terminal, unless NO_COLOR is set."),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="File with options. Default: rightsize.toml beside the store, else in the working folder.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory-limit", envvar="RIGHTSIZE_MEMORY_LIMIT", help="Memory limit of tables and queries, for example 2GiB."
    ),
]
Spill = Annotated[
    Path | None,
    typer.Option(
        "--spill-folder", envvar="RIGHTSIZE_SPILL_FOLDER", help="Folder for data that does not fit in memory."
    ),
]

EmergencyAccess = Annotated[list[str] | None, option_of(PlanChoices, "emergency_access")]

DEFAULT_DB = Path("rightsize.duckdb")
DEFAULT_PLAN = Path("reports/plan")


def day_or_today(day: dt.date | None) -> dt.date:
    """Return the given day, else today in UTC."""
    return day or dt.datetime.now(dt.UTC).date()


TrustCollections = Annotated[
    bool,
    typer.Option(
        "--trust-collections",
        help="Believe collections that this machine did not make: which logs and listings they have completely.",
    ),
]


_FILE = "Accepted signers of the plan: a file of OpenSSH's allowed signers, or a public key of minisign."
_NAME = "Name of the signer of the plan among OpenSSH's allowed signers."
SignersFile = Annotated[Path | None, typer.Option("--signers", envvar="RIGHTSIZE_SIGNERS", help=_FILE)]
SignerName = Annotated[str | None, typer.Option("--signer", envvar="RIGHTSIZE_SIGNER", metavar="NAME", help=_NAME)]
PlanSignersFile = Annotated[Path | None, typer.Option("--plan-signers", envvar="RIGHTSIZE_SIGNERS", help=_FILE)]
PlanSignerName = Annotated[
    str | None, typer.Option("--plan-signer", envvar="RIGHTSIZE_SIGNER", metavar="NAME", help=_NAME)
]


@dataclass(frozen=True, slots=True)
class PlanSigners:
    """Whose signature the plan must have."""

    signers: SignersFile = None
    signer: SignerName = None

    @property
    def asked(self) -> signatures.Signers:
        """Return the signers as workflows take them."""
        return signatures.Signers(self.signers, self.signer)


@dataclass(frozen=True, slots=True)
class SignersOfPlan:
    """Whose signature the plan must have, beside the signers of something else."""

    plan_signers: PlanSignersFile = None
    plan_signer: PlanSignerName = None

    @property
    def asked(self) -> signatures.Signers:
        """Return the signers as workflows take them."""
        return signatures.Signers(self.plan_signers, self.plan_signer)


FILE = "rightsize.toml"
"""The name of the configuration file."""
CONFIG = "RIGHTSIZE_CONFIG"
"""The variable that names the configuration file."""

SHARED_OPTIONS = ("db", "output", "color", "all", "quiet", "verbose", "no-input")
"""Options that all commands take, where they make sense: keys at the top of a file, and `RIGHTSIZE_DB` and the like."""

WITHOUT_FILE = frozenset({"completion", "config show", "help", "schema"})
"""Commands that read no configuration file: a mistake in it does not keep them from working."""

TYPED = frozenset(
    {
        # Who confirms that Azure or the store changes.
        *("yes", "ask", "rollout status confirm", "rollout status by", "rollout status auto-rollback"),
        "rollout plan accept-short-window",
        # What a change of Azure does stands on its command line alone.
        *("rollout apply *", "rollout rollback *", "rollout auth", "rollout cloud"),
        # What is declared of the files of this one call.
        *("load covers", "load source", "load scope", "load inventory-by", "load inventory-on"),
        # Which file is read.
        "config",
    }
)
"""Options that are typed each time."""

_WRITE_STORE = (
    "analyze", "catalog import", "catalog refresh", "collect", "contain", "demo", "load", "propose", "prune", "signals",
    "status logs", "watch",
)  # fmt: skip
"""The commands that write into their store."""

NOT_IN_FOUND_FILE = frozenset(
    {
        # Where anything is written: results, decisions, temporary files, stores.
        *("out", "role-out", "picture", "review review", "spill-folder", *(f"{one} db" for one in _WRITE_STORE)),
        # What keeps a change of Azure safe, and the store that it is measured by.
        *("rollout *", "rollout db", "contain emergency-access"),
        # Places outside of this machine, and files that are named within a text.
        *("webhook", "spark", "spark-conf", "spark-results", "cloud", "graph-map"),
        # Whom to believe.
        *("trust-collections", "signers", "signer", "plan-signers", "plan-signer", "key", "contain-rules", "review by"),
        # What decides a gate, which a pull request could loosen, and what is deleted.
        *("check *", "plan verify *", "roles check *", "roles no-new-access *", "roles not-granted *", "var-file"),
        "prune keep-days",
    }
)
"""Options that a file sets only if the user names that file: a file that was found may be another person's."""


GUARDS = frozenset({"plan-signers", "plan-signer"})
"""Options that only forbid, and change nothing: the environment and a named file may set them for every command."""


def is_typed(command: str, option: str) -> bool:
    """Return whether an option of a command is set on the command line alone."""
    return option not in GUARDS and _is_among(TYPED, command, option)


def needs_named_file(command: str, option: str) -> bool:
    """Return whether a file may set an option of a command only if the user named the file."""
    return _is_among(NOT_IN_FOUND_FILE, command, option)


def _is_among(names: frozenset[str], command: str, option: str) -> bool:
    words = command.split()
    above = [" ".join(words[:length]) for length in range(1, len(words) + 1)]
    if any(f"{one} {option}" in names for one in above):
        return True
    # What all commands take is meant only where it is named with a command.
    return option not in SHARED_OPTIONS and (option in names or any(f"{one} *" in names for one in above))


def options_of(command: Any) -> list[Any]:
    """Return the options of a command without `--help`."""
    return [one for one in command.params if one.param_type_name == "option" and one.name != "help"]


def option_name(option: Any) -> str:
    """Return the name of an option in files and in help: its first long form without the dashes."""
    return str(next(text for text in option.opts if text.startswith("--"))).removeprefix("--")


def variables_of(command: str, option: Any) -> Iterator[str]:
    """Yield the variables of the environment that set an option of a command, the most specific one first."""
    name = option_name(option)
    if name == "config":
        yield CONFIG
    elif not is_typed(command, name):
        declared = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        shared = [variable(name)] if is_shared(option) else []
        earlier = [variable(old, name) for old in old_names_of(command)]
        yield from dict.fromkeys((variable(command, name), *earlier, *declared, *shared))


def is_shared(option: Any) -> bool:
    """Return whether an option of a command also takes what is set for all commands.

    A command with output formats of its own takes them only if it has the usual ones, too.
    """
    name = option_name(option)
    return name in SHARED_OPTIONS and (name != "output" or {*OutputFormat} <= {*map(str, option.type.choices)})


def variable(*words: str) -> str:
    """Return the name of the variable that words make, such as those of a command and its option."""
    return "_".join(("RIGHTSIZE", *words)).upper().replace(" ", "_").replace("-", "_")
