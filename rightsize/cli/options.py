"""The options that several commands take, each declared once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rightsize.model.times import read_day


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
AsOf = Annotated[
    dt.date | None,
    typer.Option(
        "--as-of",
        parser=read_day,
        metavar="DAY",
        help="End the window before this day, or the day of this time, in UTC. Default: with the newest day that a log "
        "covers.",
    ),
]
Today = Annotated[
    dt.date | None,
    typer.Option("--as-of", parser=read_day, metavar="DAY", help="The day to judge by. Default: today, in UTC."),
]
Expires = Annotated[
    dt.date | None,
    typer.Option("--expires", parser=read_day, metavar="DAY", help="The last day on which the decision holds."),
]
MinWindow = Annotated[
    int | None,
    typer.Option(
        "--min-window",
        min=1,
        help="Length of the observation window in days. Default: 90, or the longest that the logs cover, at least 30.",
    ),
]
WholeWindow = Annotated[
    int,
    typer.Option(
        "--min-window", min=1, help="Length of the observation window in days, also where the logs cover fewer."
    ),
]
MinDays = Annotated[
    int | None,
    typer.Option(
        "--min-days",
        min=1,
        help="Days of the window that a log has to cover to be evidence. Default: two thirds of it, at most 60.",
    ),
]
ForgetDays = Annotated[
    int,
    typer.Option(
        "--forget-days",
        min=0,
        help="Keep operations that were last used before the window but within this many days, if that use is loaded; "
        "0 keeps none.",
    ),
]
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

EmergencyAccess = Annotated[
    list[str] | None,
    typer.Option(
        "--emergency-access",
        "--emergency-account",
        help="An emergency access account: an id, a UPN, or the beginning of a name. Name all of them. Repeatable.",
    ),
]

DEFAULT_FORGET_DAYS = 400
DEFAULT_ROLE_WORTH = 5_000
DEFAULT_DB = Path("rightsize.duckdb")
DEFAULT_PLAN = Path("reports/plan")


@dataclass(frozen=True, slots=True)
class WindowOptions:
    """The options of the observation window."""

    as_of: AsOf = None
    min_window: MinWindow = None
    min_days: MinDays = None
    forget_days: ForgetDays = DEFAULT_FORGET_DAYS


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
