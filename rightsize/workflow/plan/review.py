"""Say what to do first in a plan, and record who decided what on which proposal.

Changes are ranked, with the people that each touches and the command for each. The decisions live in a file beside the
code.
"""

from __future__ import annotations

import datetime as dt
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded, schema_of
from rightsize.model.decisions import PARTICIPLE, DecisionKind, ReviewDecision, read_decisions, write_decisions
from rightsize.model.errors import EvidenceError, UsageError
from rightsize.model.file_reading import read_given, write_text
from rightsize.model.plan import Plan
from rightsize.model.plan_file import WINDOW
from rightsize.model.plan_totals import WAVES, NextSteps, Reached
from rightsize.model.text import OLD_PLAN, fold
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.verify import review
from rightsize.render.comment import short_ids
from rightsize.render.next_steps import NextResult, look_closer, step_row
from rightsize.store.connection import Store, open_if_there, open_store
from rightsize.store.stored_analysis import has_current_answers
from rightsize.workflow.data.status import listings_of
from rightsize.workflow.names import names_in
from rightsize.workflow.plan_folder import PlanFolder, read_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers

_AT_ONCE = 5_000
_WORKLOADS = ("serviceprincipal", "managedidentity")


def read_steps(store: Store | None, folder: PlanFolder, named: Path | None) -> NextResult:
    """Return the steps of a plan folder, as `next_steps.next_of` does.

    Args:
        store: The store, if there is one.
        folder: The plan folder.
        named: The store that commands have to name, if they do.
    """
    read = review.plan_of(folder.read)
    return found_steps(store, read, steps_in(store, read), named)


def found_steps(store: Store | None, plan: Plan, steps: NextSteps, named: Path | None = None) -> NextResult:
    """Return the steps of a plan with the names, ids and listings that a store has, if there is one."""
    short = short_ids([one.id for one in plan.all_proposals])
    look = look_closer(named, plan.generated_from.get("options") or {})
    lacks = [] if store is None else listings_of(store).every()
    return NextResult(steps, names_in(store, plan), look, short, lacks)


def steps_in(store: Store | None, plan: Plan) -> NextSteps:
    """Return the steps of a plan, with the members of groups as a store has them, if there is one."""
    if store is None:
        return rank_steps(plan)
    return rank_steps(plan, reached_by(plan, store.table("principals"), store.table("group_closure")))


def proposals_of_wave(db: Path, plan: Plan, wave: int) -> list[str]:
    """Return the ids of the proposals for Azure roles in a wave, sorted.

    Raises:
        UsageError: The wave has none.
    """
    with open_if_there(db) as store:
        steps = steps_in(store, plan)
    of_rbac = {one.id for one in plan.proposals if one.is_of_rbac}
    changed = {id_: step.wave for id_, step in steps.by_proposal().items() if id_ in of_rbac}
    found = sorted(id_ for id_, one in changed.items() if one == wave)
    if not found:
        waves = sorted(set(changed.values()))
        said = f"waves with changes of Azure roles: {', '.join(map(str, waves))}" if waves else "the plan changes none"
        raise UsageError(
            f"wave {wave} ({WAVES.get(wave, 'no such wave')}) has no change of an Azure role",
            hint=f"{said}; `rightsize next` shows all",
        )
    return found


def last_steps(db: Path, note: Callable[[str], None]) -> pl.DataFrame:
    """Return the table `next_steps`, in order: the steps of the last plan that `propose` made from the store.

    `note` is called with a sentence where the store has other content than the plan was made from.

    Raises:
        EvidenceError: It made none.
        InputError: There is no store.
    """
    with open_store(db, read_only=True) as store:
        if not store.has_rows("proposals"):
            raise EvidenceError("no plan was made from this store", hint="`rightsize propose` makes one")
        if not has_current_answers(store):
            note(OLD_PLAN)
        return store.table("next_steps").sort("rank")


def step_frame(found: NextResult) -> pl.DataFrame:
    """Return the steps with the columns of the table `next_steps`."""
    return pl.concat([pl.DataFrame(schema=schema_of("next_steps")), *answer_rows(found.steps, found.names)])


def reached_by(plan: Plan, principals: pl.DataFrame, closure: pl.DataFrame) -> dict[str, Reached]:
    """Return how many people and workloads are behind each principal of a step.

    A group counts its members, also through other groups; a group without known members counts as one person, since
    somebody may be in it. So does a principal of an unknown type.

    Args:
        plan: The plan.
        principals: The table `principals`.
        closure: The table `group_closure`.
    """
    of_steps = (one for one in plan.all_proposals if one.kind.changes or "gives_away" in one.evidence)
    wanted = {fold(id_) for one in of_steps for id_ in one.principal_ids}
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


def answer_rows(steps: NextSteps, names: Mapping[str, str]) -> Iterator[pl.DataFrame]:
    """Yield the rows of the table `next_steps`, some thousands at a time."""
    schema = schema_of("next_steps")
    for first in range(0, len(steps.steps), _AT_ONCE):
        rows = (step_row(step, names, lambda _: "") for step in steps.steps[first : first + _AT_ONCE])
        written = ({**row, "proposal_id": row["proposal"]} for row in rows)
        yield pl.DataFrame([{name: row[name] for name in schema} for row in written], schema=schema)


@dataclass(slots=True)
class Review:
    """A plan with the decisions on its proposals.

    Attributes:
        names: Display names of the things in it.
        file: The file of decisions.
        day: The day of the review: decisions are made on it, and expire by it.
        decisions: Decisions by proposal.
        steps: The order in which changes are best made.
        found: The status of each proposal, in the order in which changes are best made.
        short: A short id for each proposal.
    """

    plan: Plan
    names: Mapping[str, str]
    file: Path
    day: dt.date
    decisions: dict[str, ReviewDecision]
    steps: NextSteps
    found: list[review.ReviewStatus] = field(init=False)
    short: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        """Compute the status of every proposal."""
        self.short = short_ids([one.id for one in self.plan.all_proposals])
        self.refresh()

    def refresh(self) -> None:
        """Compute the status of every proposal again."""
        ranks = self.steps.ranks()
        self.found = review.standings(self.plan, self.decisions, self.day)
        # A change that a review took out of the plan has no rank.
        self.found.sort(key=lambda one: ranks.get(one.proposal.id, len(ranks) + 1))

    def totals(self) -> review.Totals:
        """Return the totals of the review."""
        return review.totals(self.found, self.plan)

    def unmatched(self) -> list[ReviewDecision]:
        """Return decisions on proposals that the plan does not have."""
        return review.unmatched(self.plan, self.decisions)

    def find(self, name: str) -> review.ReviewStatus:
        """Return the proposal of an id, or of the beginning of one, or raise UsageError."""
        fitting = [one for one in self.found if one.proposal.id.startswith(name.lower())]
        if len(fitting) == 1 and name:
            return fitting[0]
        known = any(one.id.startswith(name.lower()) for one in self.plan.all_proposals)
        why = (
            "several proposals"
            if fitting
            else "a proposal that changes nothing"
            if known
            else "not a proposal of this plan"
        )
        raise UsageError(f"`{name}` is {why}", hint="`rightsize review list` shows the ids")

    def decide(
        self, ids: Collection[str], kind: DecisionKind, by: str, reason: str, expires: dt.date | None = None
    ) -> list[review.ReviewStatus]:
        """Decide on proposals, write the file, and return their new status.

        Raises:
            UsageError: An id is unknown, the reason is missing, or the expiry is past.
            InputError: The file cannot be written.
        """
        chosen = [self.find(name) for name in ids]
        if kind != "accept" and not reason.strip():
            raise UsageError(f"a proposal that is {PARTICIPLE[kind]} needs a reason", hint="add --reason TEXT")
        if not by.strip():
            raise UsageError("the name of the person who decides is missing", hint="add --by NAME")
        if expires is not None and expires < self.day:
            raise UsageError(f"{expires} is past", hint="name a later day")
        for one in chosen:
            kept = one.proposal.evidence.get("review", {})
            proposed = str(kept.get("proposed", one.proposal.kind))
            self.decisions[one.proposal.id] = ReviewDecision(
                one.proposal.id, kind, one.content, proposed, by.strip(), reason.strip(), self.day, expires
            )
        return self._written({one.proposal.id for one in chosen})

    def reopen(self, ids: Collection[str]) -> list[review.ReviewStatus]:
        """Remove decisions from the file, also those on proposals that no longer exist.

        Raises:
            UsageError: There is no decision on one of them.
            InputError: The file cannot be written.
        """
        chosen = set()
        for name in ids:
            fitting = [id_ for id_ in self.decisions if id_.startswith(name.lower())]
            if len(fitting) != 1 or not name:
                raise UsageError(f"`{name}` is {'several decisions' if fitting else 'nothing that was decided on'}")
            chosen.add(fitting[0])
        for id_ in chosen:
            del self.decisions[id_]
        return self._written(chosen)

    def ended(self) -> list[str]:
        """Return the ids of proposals whose decision has expired, and of decisions without a proposal."""
        expired = [one.proposal.id for one in self.found if one.state == "expired"]
        return sorted({*expired, *(one.proposal for one in self.unmatched())})

    def _written(self, ids: Collection[str]) -> list[review.ReviewStatus]:
        write_text(self.file, write_decisions(self.decisions.values()))
        self.refresh()
        return [one for one in self.found if one.proposal.id in ids]

    def rows(self, states: Collection[str] = ()) -> list[dict[str, Any]]:
        """Return a row for each proposal in the given states, or for all; open ones first."""
        chosen = [one for one in self.found if not states or one.state in states]
        chosen.sort(key=lambda one: review.STATES.index(one.state))
        return [self.row(one) for one in chosen]

    def uses(self, one: review.ReviewStatus) -> list[dict[str, Any]]:
        """Return the use in the window behind a proposal, as rows of the table `operations` of the plan's evidence."""
        if self.plan.uses is None:
            return []
        mine = (pl.col("proposal_id") == one.proposal.id) & (pl.col("period") == WINDOW)
        return pl.DataFrame(self.plan.uses).filter(mine).to_dicts()

    def row(self, one: review.ReviewStatus) -> dict[str, Any]:
        """Return a proposal and its status as a row, for people and programs."""
        proposal, decision = one.proposal, one.decision
        return {
            "proposal": proposal.id,
            "short": self.short[proposal.id],
            "state": one.state,
            "kind": proposal.evidence.get("review", {}).get("proposed", proposal.kind),
            "plane": proposal.plane,
            "principal_id": proposal.principal_ids[0],
            "principal": self.names.get(proposal.principal_ids[0], proposal.principal_ids[0]),
            "role": self.names.get(proposal.evidence["role"], proposal.evidence["role"]),
            "scope": proposal.evidence["scope"],
            "excess_before": proposal.excess_before,
            "excess_after": proposal.excess_after,
            "break_probability_30d": proposal.break_probability_30d,
            "by": decision.by if decision else None,
            "reason": decision.reason if decision else None,
            "decided": decision.decided if decision else None,
            "expires": decision.expires if decision else None,
        }


def open_review(db: Path, plan: Path, file: Path, day: dt.date, signers: Signers = ANYBODY) -> Review:
    """Return a plan with the decisions of a file, which need not exist yet.

    Raises:
        InputError: The plan or the file cannot be read, or two decisions contradict each other.
    """
    read = review.plan_of(read_plan_folder(plan, signers))
    decisions = read_decisions(read_given(file), str(file)) if file.exists() else {}
    with open_if_there(db) as store:
        return Review(read, names_in(store, read), file, day, decisions, steps_in(store, read))


def read_review(file: Path) -> dict[str, ReviewDecision]:
    """Return the decisions of a file, or raise InputError where it does not exist or cannot be read."""
    return read_decisions(read_given(file), str(file))


def accepted_of(plan: Plan, file: Path, day: dt.date) -> list[str]:
    """Return the ids of the proposals that are accepted in their present form.

    Raises:
        InputError: The file cannot be read, two decisions contradict each other, or one has ended.
        EvidenceError: No proposal is accepted, or one is that was rejected when the plan was made.
    """
    found = review.standings(plan, read_review(file), day)
    review.require_current(found)
    accepted = [one.proposal.id for one in found if one.state == "accepted"]
    kept = [one.proposal.id for one in found if one.state == "accepted" and one.proposal.kind.keeps]
    if kept:
        raise EvidenceError(
            f"the plan was made while proposal `{kept[0]}` was rejected, so it has no change for it",
            hint="make a new plan: `rightsize propose --review FILE`",
        )
    if not accepted:
        counts = review.totals(found, plan).states
        said = ", ".join(f"{counts[state]} {state}" for state in review.STATES if counts.get(state)) or "no changes"
        raise EvidenceError(
            f"no proposal of the plan is accepted: {said}", hint="`rightsize review PLAN` decides on them"
        )
    return accepted


def who_am_i() -> str:
    """Return the name that git signs commits with, or raise UsageError."""
    try:
        done = subprocess.run(
            ["git", "-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT"],  # noqa: S607
            capture_output=True,
            check=False,
        )
    except OSError:
        done = None
    said = done.stdout.decode(errors="replace").rpartition(">")[0] if done and done.returncode == 0 else ""
    if not said:
        raise UsageError("the name of the person who decides is missing", hint="add --by NAME")
    return f"{said}>".strip()
