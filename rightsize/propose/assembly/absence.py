"""Write what rests on existence: the proofs behind removed operations, and the questions to owners."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl

from rightsize.analyze.existence import PROBLEMS
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.reasons import BY_EXISTENCE, Unused, Verdict, sentence
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.model.plan import Advice
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.drafts import Draft
from rightsize.rules.inventory import decided_type, inventory_types

_NAMED = 5
"""How many subscriptions with the same problem get advice of their own."""

_KEPT = "nothing of {} is removed for want of a resource"
_QUESTIONS = {
    "empty": f"no listing shows a resource there and no log a call on one, so {_KEPT}: is it for something to come?",
    "recovery": f"its name, a tag or the role says that it is for recovery, so {_KEPT}: is all of it needed then?",
    "eligible": f"{_KEPT}, since it may be for days that have not come yet: do its holders still need it?",
}


class AbsenceProofs:
    """The proofs of absence behind the operations that proposals remove, read once by scope."""

    def __init__(self, analysis: Analysis) -> None:
        self._days = analysis.existence.window.days
        self._listings = _rows_by(
            analysis.existence.subscriptions.select("node", "kind", "reader_id", "read_on", "days")
        )
        self._providers = _rows_by(analysis.existence.unregistered.select("node", "namespace", "reader_id", "read_on"))
        areas = analysis.absences.areas.drop_nulls("node").unique(["place", "node"]).sort("place", "node")
        self._nodes: dict[str, list[str]] = {}
        for place, node in areas.select("place", "node").iter_rows():
            self._nodes.setdefault(place, []).append(node)

    def of(self, draft: Draft, gone: int, index: OperationIndex) -> list[dict[str, Any]]:
        """Return one entry a reason: the types with the number of their operations, and what proves it.

        Args:
            draft: The draft.
            gone: The operations that it takes away.
            index: The operations.
        """
        found = []
        for reason in BY_EXISTENCE:
            mask = draft.profile.reasons.get((Verdict.UNUSED, reason), 0) & gone if draft.profile else 0
            if not mask:
                continue
            spelling = inventory_types()
            kinds = Counter("/".join(name.split("/")[:2]) for _, name in index.folded_members(mask))
            entry = {
                "reason": reason.value,
                "meaning": sentence(reason),
                "operations": mask.bit_count(),
                "resource_types": dict(sorted((spelling[kind], number) for kind, number in kinds.items())),
            }
            providers = {kind.split("/", 1)[0] for kind in kinds}
            found.append(entry | self._proof(draft.subject.place, reason, providers))
        return found

    def _proof(self, place: str, reason: Unused, providers: set[str]) -> dict[str, Any]:
        nodes = self._nodes.get(place, [])
        if not nodes:
            return {"proof": "the assignment is at a resource of another type"}
        listings = [row for node in nodes for row in self._listings.get(node, [])]
        if reason is Unused.PROVIDER_NOT_REGISTERED:
            rows = [row for node in nodes for row in self._providers.get(node, []) if row["namespace"] in providers]
            read = _read_by([row | {"kind": "providers"} for row in rows])
        else:
            read = _read_by(listings)
        return {
            "subscriptions": len(nodes),
            "listings": read,
            "log_days": min(row["days"] for row in listings),
            "window_days": self._days,
        }


def _rows_by(frame: pl.DataFrame) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in frame.iter_rows(named=True):
        found.setdefault(row["node"], []).append(row)
    return found


def _read_by(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return one entry a kind of listing and reader: in how many subscriptions it was read, and when."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["kind"], row["reader_id"] or ""), []).append(row)
    return [
        {
            "kind": kind,
            "reader_id": reader,
            "subscriptions": len({row["node"] for row in those}),
            "read_from": min(row["read_on"] for row in those),
            "read_to": max(row["read_on"] for row in those),
        }
        for (kind, reader), those in sorted(found.items())
    ]


def advise_existence(inputs: Inputs, analysis: Analysis) -> list[Advice]:
    """Return the questions to owners of what may be kept for later, and what a missing listing would decide."""
    return [*_questions(inputs, analysis), *_missing(inputs, analysis)]


def _questions(inputs: Inputs, analysis: Analysis) -> list[Advice]:
    if inputs.inventories.is_empty() and inputs.provider_registrations.is_empty():
        return []
    spelt = dict(inputs.role_assignments.select(place_of(pl.col("scope")), text="scope").iter_rows())
    rows = (
        analysis.absences.waiting.join(analysis.tenant.assignments.select("a", "place", "state"), on="a")
        .group_by("place", "why")
        .agg(number=pl.len())
        .sort("place", "why")
    )
    found = []
    for place, why, number in rows.iter_rows():
        what = f"{number} {'eligible ' if why == 'eligible' else ''}assignment{'' if number == 1 else 's'}"
        found.append(Advice(spelt[place], _QUESTIONS[why].format(what)))
    return found


def _missing(inputs: Inputs, analysis: Analysis) -> list[Advice]:
    """Return for subscriptions without a proof what stands in its way, and how much it could decide at most."""
    known = analysis.existence.problems.drop_nulls("problem").sort("problem", "node")
    open_ones = _open_operations(analysis)
    names = dict(inputs.scopes.select(place_of(pl.col("scope")), text="scope").iter_rows())
    there = analysis.existence.present.select("node", "kind").unique()
    found = []
    for (problem,), rows in known.group_by("problem", maintain_order=True):
        nodes = rows["node"].to_list()
        what = "a whole log" if problem == "days_missing" else "an inventory"
        for node in nodes[:_NAMED]:
            places = analysis.absences.areas.filter(pl.col("node") == node)["place"].unique()
            here = open_ones.filter(pl.col("place").is_in(places.implode())).join(
                there.filter(pl.col("node") == node), on="kind", how="anti"
            )
            number, kinds = here["operation"].n_unique(), here["kind"].n_unique()
            if number:
                text = f"would decide up to {number} operations of {kinds} types, which no log decides"
                found.append(Advice(names.get(node, node), f"{what} of it {text}: {PROBLEMS[str(problem)]}"))
        if len(nodes) > _NAMED:
            text = f"{what} of {len(nodes) - _NAMED} more subscriptions would decide operations, too"
            found.append(Advice("inventory", f"{text}: {PROBLEMS[str(problem)]}"))
    return found


def _open_operations(analysis: Analysis) -> pl.DataFrame:
    """Return `(place, operation, kind)` of what assignments above resources grant, undecided by logs and listings."""
    judged = analysis.profile_operations.filter(
        pl.col("verdict").is_in([Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value])
    )
    names = pl.DataFrame({"operation": judged["operation"].unique()})
    folded_names = folded(names["operation"])
    typed = names.with_columns(kind=decided_type(folded_names), name=folded_names).drop_nulls("kind")
    reads = (pl.col("plane") == "control") & pl.col("name").str.ends_with("/read")
    decided = judged.join(typed, on="operation").filter(~reads).select("profile_id", "operation", "kind")
    held = analysis.tenant.assignments.filter((pl.col("state") == "active") & (pl.col("level") != "resource")).select(
        "role_assignment_id", "state", "place"
    )
    of = analysis.profiles.join(held, on=["role_assignment_id", "state"]).select("place", "profile_id").unique()
    return of.join(decided, on="profile_id").select("place", "operation", "kind").unique()
