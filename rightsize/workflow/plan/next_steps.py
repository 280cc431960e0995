"""Say what to do first in a written plan: its steps in order, with names, and the listings that they lack.

`propose` keeps them in the store. They hold as long as the store has the same content and the plan folder the chain of
hashes that it was written with; then nothing of the plan has to be read and checked again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.analyze.lacks import Lack
from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.plan_totals import Danger, LeftOut, NextStep, NextSteps, Reached
from rightsize.render.next_steps import NextResult, look_closer
from rightsize.store.connection import Store, open_if_there
from rightsize.store.stored_analysis import digest_content, keep_steps, kept_digests, kept_steps
from rightsize.workflow.plan_folder import check_plan_folder, read_checked
from rightsize.workflow.signatures import ANYBODY, Signers

if TYPE_CHECKING:
    from rightsize.model.plan import Plan

_STEP = tuple(one.name for one in fields(NextStep))
_OPTIONS = ("min_window", "min_days")


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
    checked = check_plan_folder(plan, signers)
    named = db if names_db else None
    with open_if_there(db) as store:
        # A signature is of the plan, and not of what a store keeps of it.
        if store is not None and checked.chain is not None and checked.signature is None:
            kept = kept_steps(store, checked.chain.head)
            if kept is not None:
                return _read(kept, named)
        # It imports what reads plans and frames.
        from rightsize.workflow.plan.review import read_steps  # noqa: PLC0415

        folder = read_checked(checked, with_pages=False)
        made_from = folder.read.document["generated_from"]["content_hash"]
        is_stale = store is not None and made_from != digest_content(store, known=kept_digests(store))
        return replace(read_steps(store, folder, named), is_stale=is_stale)


def keep_next(store: Store, head: str, plan: Plan, found: NextResult) -> None:
    """Keep the steps of a plan that was just written, for `next_of`.

    Args:
        store: The store that the plan was made from.
        head: The last link of the chain of the plan folder.
        plan: The plan.
        found: What `next_of` has to return; its command is made anew.
    """
    steps = found.steps
    ids = {step.proposal for step in steps.steps}
    named = {name for step in steps.steps for name in (step.principal_id, step.role, *step.becomes, *step.new_roles)}
    named |= {owner for step in steps.steps if step.danger is not None for owner in step.danger.owners}
    named |= {name for one in steps.left_out for name in (one.principal_id, one.role)}
    options = plan.generated_from.get("options") or {}
    document = {
        "removable": dict(steps.removable),
        "steps": [_row_of(step) for step in steps.steps],
        "left_out": [[*asdict(one).values()] for one in steps.left_out],
        "names": {id_: name for id_, name in found.names.items() if id_ in named or id_.startswith("/")},
        "options": {name: options[name] for name in _OPTIONS if name in options},
        "short": {id_: short for id_, short in found.short.items() if id_ in ids},
        "lacks": [one.row() for one in found.lacks],
    }
    keep_steps(store, head, json.dumps(document, ensure_ascii=False, separators=(",", ":")))


def _row_of(step: NextStep) -> list[Any]:
    row = {name: getattr(step, name) for name in _STEP}
    row["reached"] = [step.reached.people, step.reached.workloads]
    row["danger"] = step.danger and asdict(step.danger)
    return [*row.values()]


def _read(text: str, named: Path | None) -> NextResult:
    """Return what `keep_next` kept."""
    document = json.loads(text)
    steps = tuple(map(_step_of, document["steps"]))
    left_out = tuple(LeftOut(*row) for row in document["left_out"])
    return NextResult(
        NextSteps(steps, left_out, document["removable"]),
        document["names"],
        look_closer(named, document["options"]),
        document["short"],
        [Lack(**one) for one in document["lacks"]],
    )


def _step_of(values: list[Any]) -> NextStep:
    row: dict[str, Any] = dict(zip(_STEP, values, strict=True))
    row |= {name: tuple(value) for name, value in row.items() if type(value) is list}
    row["kind"] = PROPOSAL_KINDS[row["kind"]]
    row["reached"] = Reached(*row["reached"])
    if row["danger"] is not None:
        row["danger"] = Danger(**row["danger"] | {"owners": tuple(row["danger"]["owners"])})
    return NextStep(**row)
