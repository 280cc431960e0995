"""`rightsize verify`: prove a plan again on the store of today, and refuse it where it is stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.narration import say, set_verbosity
from rightsize.cli.options import DEFAULT_DB, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show, write

COLUMNS = ("what", "id", "name", "change", "operation", "plane", "scope", "role_assignment_ids", "detail")
SHOWN = 20
"""The most rows that people see; programs get all."""


def verify(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")],
    signers: Annotated[
        Path | None,
        typer.Option(
            "--signers", help="Whose signature it has to bear: OpenSSH's allowed signers, or a public key of minisign."
        ),
    ] = None,
    signer: Annotated[
        str | None, typer.Option("--signer", metavar="NAME", help="Which one of OpenSSH's allowed signers.")
    ] = None,
    db: Db = DEFAULT_DB,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Prove a plan again, against the store of today, and refuse it where it is stale.

    Stale is a plan when an assignment, a role definition, a membership or a deny that it read has changed, or when
    there is a use that it does not cover: exit code 6, with everything that changed. Exit code 3 means that nothing
    has changed, and the plan still does not hold, or that it is not signed as --signers asks. The folder has to be what
    the chain of hashes beside the plan says, else it is exit code 5.
    """
    from rightsize.workflow.verify import verify_plan  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    result = verify_plan(db, plan, signers=signers, signer=signer)
    if output is OutputFormat.TABLE:
        write("".join(_lines(result.rows)))
    else:
        show(result.rows, COLUMNS, output, document=result.document)
    for note in result.notes:
        say(note)
    if result.refusal is not None:
        raise result.refusal
    say(f"verified: {result.summary}")


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the faults of the plan as lines for people; every line is escaped."""
    from rightsize.render.escape import for_terminal  # noqa: PLC0415  kept out of `--help`

    for row in rows[:SHOWN]:
        for line in _text(row):
            yield for_terminal(line) + "\n"
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN} more: `-o json` has all\n"


def _text(row: Mapping[str, Any]) -> Iterator[str]:
    called = f"{row['name']} ({row['id']})" if row["name"] else row["id"]
    yield f"{row['what'].replace('_', ' ')} {row['change'].replace('_', ' ')}: {called}"
    if row["what"] == "use":
        yield f"  {row['operation']} ({row['plane']}) at {row['scope']}"
        yield f"  by what the plan takes away: {', '.join(row['role_assignment_ids'])}"
    else:
        yield f"  {row['detail']}"
