"""`rightsize verify`: prove a plan again on the store of today, and refuse it where it is stale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.output import first_rows, write
from rightsize.cli.plan_options import PlanSigners
from rightsize.render.escape import for_shell, for_terminal
from rightsize.workflow import verify as workflow

COLUMNS = ("what", "id", "name", "change", "operation", "plane", "scope", "role_assignment_ids", "detail")


class Prover(StrEnum):
    """The solvers that can be asked."""

    SMT = "smt"


@command(rows=True)
def verify(
    plan: Annotated[Path, typer.Argument(metavar="PLAN", help="The plan folder, or its plan.json.")],
    prover: Annotated[
        Prover | None,
        typer.Option(
            "--prover",
            help="Also ask this solver, which knows nothing of rightsize, what each proof rests on. smt is Z3, of the "
            "extra rightsize-azure[prover].",
        ),
    ] = None,
    *,
    trusted: PlanSigners,
    common: Common,
) -> None:
    """Prove a plan again on today's store, and refuse it if it is stale.

    A plan is stale if an assignment, role definition, membership or deny assignment that it read has changed, or if the
    logs show use that it does not cover. Exit code 6 comes with all changes. Exit code 3 means that nothing has changed
    and the plan still does not hold, or that it lacks a signature of --signers. Exit code 5 means that the folder
    differs from the chain of hashes beside the plan. With --prover, exit code 3 also means that the solver found one of
    our answers about roles wrong, and exit code 6 that it could not decide one.
    """
    result = workflow.verify_plan(common.db, plan, signers=trusted.asked, with_solver=prover is Prover.SMT)
    if common.is_table:
        write("".join(_lines(result.rows, every=common.every)))
    else:
        common.show(result.rows, COLUMNS, document=result.document)
    for note in result.notes:
        say(note)
    if result.refusal is not None:
        raise result.refusal
    say(f"verified: {result.summary}")
    common.say_next(common.with_db(f"rightsize rollout plan {for_shell(str(plan))} --out rollout"))


def _lines(rows: Sequence[Mapping[str, Any]], *, every: bool) -> Iterator[str]:
    """Yield the faults of the plan as lines for people; every line is escaped."""
    shown, rest = first_rows(rows, every=every)
    for row in shown:
        for line in _text(row):
            yield for_terminal(line) + "\n"
    if rest:
        yield f"{rest}\n"


def _text(row: Mapping[str, Any]) -> Iterator[str]:
    called = f"{row['name']} ({row['id']})" if row["name"] else row["id"]
    yield f"{row['what'].replace('_', ' ')} {row['change'].replace('_', ' ')}: {called}"
    if row["what"] == "use":
        yield f"  {row['operation']} ({row['plane']}) at {row['scope']}"
        yield f"  allowed by assignments that the plan removes: {', '.join(row['role_assignment_ids'])}"
    else:
        yield f"  {row['detail']}"
