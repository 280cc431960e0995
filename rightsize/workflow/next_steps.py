"""Answer what to do first: rank the changes of a plan, with the people that each touches and the command for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.columns import folded
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.lacks import Lack
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.plan import Plan
from rightsize.model.plan_totals import WAVES, NextSteps, Reached
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.verify.review import plan_of
from rightsize.rbac.text import fold
from rightsize.render.comment import short_ids
from rightsize.render.escape import for_shell
from rightsize.render.next_steps import left_row, step_row, wave_rows
from rightsize.store.connection import open_store
from rightsize.workflow.lacks import lacks_of
from rightsize.workflow.plan_folder import read_plan_folder
from rightsize.workflow.plan_names import names_in
from rightsize.workflow.signatures import ANYBODY, Signers

_AT_ONCE = 5_000
_WORKLOADS = ("serviceprincipal", "managedidentity")


@dataclass(frozen=True, slots=True)
class NextResult:
    """The steps of a plan, with display names.

    Attributes:
        steps: The steps.
        names: Display names of principals, roles and high scopes.
        look: Returns the command that shows a principal.
        short: A short id for each proposal.
        lacks: The listings that are not complete: no step is about what they lack.
    """

    steps: NextSteps
    names: Mapping[str, str]
    look: Callable[[str], str]
    short: Mapping[str, str]
    lacks: Sequence[Lack]

    def rows(self, wave: int | None = None) -> list[dict[str, Any]]:
        """Return a row for each step, or for those of one wave."""
        chosen = self.steps.steps if wave is None else self.steps.of_wave(wave)
        return [step_row(step, self.names, self.look) for step in chosen]

    def document(self, wave: int | None = None) -> dict[str, Any]:
        """Return the steps, the waves, and what is not worth a role, as plain values."""
        return {
            "removable": dict(self.steps.removable),
            "waves": [row for row in wave_rows(self.steps) if wave in (None, row["wave"])],
            "steps": self.rows(wave),
            "not_worth_a_role": [left_row(one, self.names) for one in self.steps.left_out],
            "complete": not self.lacks,
            "lacks": [one.row() for one in self.lacks],
        }


def next_of(db: Path, plan: Path, *, names_db: bool, signers: Signers = ANYBODY) -> NextResult:
    """Return the steps of a written plan; without a store no names are known, and each principal counts as one person.

    Args:
        db: The store.
        plan: The plan folder, or its `plan.json`.
        names_db: Whether commands have to name the store.
        signers: Whose signature the plan must have.

    Raises:
        InputError: The plan cannot be read.
    """
    read = plan_of(read_plan_folder(plan, signers))
    short = short_ids([one.id for one in read.all_proposals])
    look = look_closer(db if names_db else None, read)
    return NextResult(steps_in(db, read), names_in(db, read), look, short, lacks_of(db))


def steps_in(db: Path | None, plan: Plan) -> NextSteps:
    """Return the steps of a plan, with the members of groups as a store has them, if there is one."""
    if db is None or not db.exists():
        return rank_steps(plan)
    with open_store(db, read_only=True) as store:
        return rank_steps(plan, reached_by(plan, store.table("principals"), store.table("group_closure")))


def proposals_of_wave(db: Path, plan: Plan, wave: int) -> list[str]:
    """Return the ids of the proposals for Azure roles in a wave, sorted.

    Raises:
        UsageError: The wave has none.
    """
    steps = steps_in(db, plan)
    of_rbac = {one.id for one in plan.proposals if one.is_of_rbac}
    found = sorted({id_ for one in steps.of_wave(wave) for id_ in (one.proposal, *one.also)} & of_rbac)
    if not found:
        waves = sorted({one.wave for one in steps.steps if one.proposal in of_rbac})
        said = f"waves with changes of Azure roles: {', '.join(map(str, waves))}" if waves else "the plan changes none"
        raise UsageError(
            f"wave {wave} ({WAVES.get(wave, 'no such wave')}) has no change of an Azure role",
            hint=f"{said}; `rightsize next` shows all",
        )
    return found


def last_steps(db: Path) -> pl.DataFrame:
    """Return the table `next_steps`, in order: the steps of the last plan that `propose` made from the store.

    Raises:
        EvidenceError: It made none.
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        if not store.has_rows("proposals"):
            raise EvidenceError("no plan was made from this store", hint="`rightsize propose` makes one")
        return store.table("next_steps").sort("rank")


def step_frame(found: NextResult) -> pl.DataFrame:
    """Return the steps with the columns of the table `next_steps`."""
    return pl.concat([pl.DataFrame(schema=schema_of("next_steps")), *answer_rows(found.steps, found.names)])


def reached_by(plan: Plan, principals: pl.DataFrame, closure: pl.DataFrame) -> dict[str, Reached]:
    """Return how many people and workloads are behind each principal that a plan changes something for.

    A group counts its members, also through other groups; a group without known members counts as one person, since
    somebody may be in it. So does a principal of an unknown type.

    Args:
        plan: The plan.
        principals: The table `principals`.
        closure: The table `group_closure`.
    """
    wanted = {fold(id_) for one in plan.all_proposals if one.kind.changes for id_ in one.principal_ids}
    asked = pl.DataFrame({"asked": sorted(wanted)}, schema={"asked": pl.String})
    types = principals.select(id=folded(pl.col("principal_id")), type=folded(pl.col("principal_type").fill_null("")))
    members = closure.select(asked=folded(pl.col("group_id")), id=folded(pl.col("member_id"))).join(
        asked, on="asked", how="semi"
    )
    alone = asked.select("asked", id="asked").join(types.filter(pl.col("type") == "group"), on="id", how="anti")
    found = (
        pl.concat([members, alone])
        .unique()
        .join(types.unique("id", keep="any", maintain_order=False), on="id", how="left")
        .filter(pl.col("type").fill_null("") != "group")
        .with_columns(works=pl.col("type").is_in(_WORKLOADS).fill_null(value=False))
        .group_by("asked")
        .agg(workloads=pl.col("works").sum(), people=(~pl.col("works")).sum())
    )
    return {asked: Reached(people, works) for asked, works, people in found.iter_rows()}


def look_closer(db: Path | None, plan: Plan) -> Callable[[str], str]:
    """Return a function from a principal to the command that shows it by the window of a plan.

    Args:
        db: The store that the command names; None for none.
        plan: The plan.
    """
    options = plan.generated_from.get("options") or {}
    more = "" if db is None else f" --db {for_shell(str(db))}"
    window = options.get("min_window", 90)
    more += f" --min-window {window}" if type(window) is int and window > 0 and window != 90 else ""
    days = options.get("min_days")
    more += f" --min-days {days}" if type(days) is int and days > 0 else ""
    return lambda principal: f"rightsize explain {for_shell(principal)}{more}"


def answer_rows(steps: NextSteps, names: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of the table `next_steps`, some thousands at a time."""
    schema = schema_of("next_steps")
    for first in range(0, len(steps.steps), _AT_ONCE):
        rows = (step_row(step, names, lambda _: "") for step in steps.steps[first : first + _AT_ONCE])
        written = ({**row, "proposal_id": row["proposal"]} for row in rows)
        yield pl.DataFrame([{name: row[name] for name in schema} for row in written], schema=schema)
