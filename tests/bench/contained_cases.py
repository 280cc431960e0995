"""Contain the culprits of a planted case, and count by a reading of its own what is cut, kept, and left behind."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import polars as pl

from rightsize.guard.contain import ContainResult, Suspicion, contain_principal
from rightsize.model.errors import EvidenceError, InternalError
from rightsize.model.plan import Plan
from rightsize.model.text import fold
from rightsize.store.connection import open_store

Patterns = Sequence[tuple[tuple[str, ...], tuple[str, ...]]]
"""For each block of a role its actions and what is taken off them, in lower case."""
Grant = tuple[str, str]
"""A role and a scope."""


@dataclass(slots=True)
class Contained:
    """Counts over the culprits of a case.

    Attributes:
        allowed: Distinct malicious calls that a role of Azure allows today, without those of `own`.
        left: Those of them that a role still allows after the plan.
        own: Malicious calls of an operation that the culprit had used in that resource group before: a need that stays.
        needs: Distinct calls of the months before that a role allowed then and today.
        lost: Those of them that no role allows after the plan.
        older: Calls of the months before that only roles allow today which were given after the call.
        listed: Entries of what the culprits left behind; None where the containment does not list any.
        changes: Assignments that the plans change.
        stay: Malicious calls, those of `own` among them, that a role still allows after the plan.
        unsaid: Those of them for which the containment gives no reason, or one that the calls of the bench contradict.
        failed: Containments that ended in an error of rightsize; they cut nothing.
    """

    allowed: int = 0
    left: int = 0
    own: int = 0
    needs: int = 0
    lost: int = 0
    older: int = 0
    listed: int | None = None
    changes: int = 0
    stay: int = 0
    unsaid: int = 0
    failed: int = 0

    def __str__(self) -> str:
        behind = "" if self.listed is None else f", {self.listed} left behind listed"
        behind += f", {self.failed} failed" if self.failed else ""
        behind += f", {self.stay - self.unsaid} of {self.stay} that stay have a true reason"
        own = f" and {self.own} used before" if self.own else ""
        older = f" and {self.older} from before the role" if self.older else ""
        return (
            f"cut {self.allowed - self.left} of {self.allowed}{own}, "
            f"kept {self.needs - self.lost} of {self.needs}{older}{behind}"
        )


def contain_case(db: Path, out: Path, malicious: pl.DataFrame, before: pl.DataFrame) -> Contained:
    """Contain each listed culprit from its first malicious call on, as a person who was told of it does.

    Args:
        db: The store, which is changed.
        out: A folder for the plans.
        malicious: `principal_id, time, operation, scope` of the case.
        before: The same of the 80 days before it.
    """
    found = Contained()
    with open_store(db, read_only=True) as store:
        known = [row["principal_id"] for row in store.rows("SELECT principal_id FROM principals")]
        roles = {row["role"]: _patterns(json.loads(row["permissions"])) for row in store.rows(
            "SELECT lower(role_definition_id) AS role, permissions FROM role_definitions")}  # fmt: skip
    for number, (culprit, since) in enumerate(
        malicious.filter(pl.col("principal_id").is_in(known))
        .group_by("principal_id")
        .agg(pl.col("time").min())
        .sort("time")
        .iter_rows()
    ):
        with open_store(db, read_only=True) as store:
            held = store.rows(
                "SELECT role_assignment_id AS id, lower(role_definition_id) AS role, lower(scope) AS scope, "
                "created_on FROM role_assignments WHERE principal_id = $who AND state = 'active'", {"who": culprit},
            )  # fmt: skip
        today = [(row["role"], row["scope"]) for row in held]
        try:
            result = contain_principal(
                db, culprit, out / str(number), suspicion=Suspicion(since, None, "told by the bench", "soc")
            )
        except EvidenceError:
            result = None
        except InternalError:
            result, found.failed = None, found.failed + 1
        after, known = _after(held, result), roles | _new_roles(result)
        bad, good = (_last_of(calls, culprit) for calls in (malicious, before))
        used = [call for call, last in good.items() if _allows(known, _given(held, last), call)]
        own = {(operation, _group(scope)) for operation, scope in used}
        possible = [call for call in bad if _allows(known, today, call)]
        allowed = [(operation, scope) for operation, scope in possible if (operation, _group(scope)) not in own]
        needs = [call for call in used if call not in bad]
        stay = [call for call in possible if _allows(known, after, call)]
        found.stay += len(stay)
        found.unsaid += sum(not _is_said(result, call, good) for call in stay)
        found.allowed += len(allowed)
        found.own += len(possible) - len(allowed)
        found.left += sum(_allows(known, after, call) for call in allowed)
        found.older += sum(_allows(known, today, call) for call in good.keys() - used)
        found.needs += len(needs)
        found.lost += sum(not _allows(known, after, call) for call in needs)
        found.changes += len(result.containment.plan.proposals) if result else 0
        if (listed := _left_behind(out / str(number))) is not None:
            found.listed = (found.listed or 0) + listed
    return found


def _is_said(result: ContainResult | None, call: tuple[str, str], good: Iterable[tuple[str, str]]) -> bool:
    """Return whether a containment says of a call that stays why it does, and the calls from before bear it out."""
    given = result.containment.allowed if result else ()
    reasons = [one for one in given if (fold(one.operation), fold(one.scope)) == call]
    clean = any(
        operation == call[0] and f"{scope}/".startswith(f"{fold(one.at).rstrip('/')}/")
        for one in reasons
        for operation, scope in good
    )
    return any((one.why == "needed") == clean and bool(one.times) == clean for one in reasons)


def _last_of(calls: pl.DataFrame, who: str) -> dict[tuple[str, str], dt.datetime]:
    """Return the distinct calls of a principal, each with the time of the last one."""
    mine = calls.filter(pl.col("principal_id") == who)
    last = mine.group_by(pl.col("operation", "scope").str.to_lowercase()).agg(pl.col("time").max())
    return {(operation, scope): time for operation, scope, time in last.iter_rows()}


def _given(held: Iterable[Mapping[str, Any]], time: dt.datetime) -> list[Grant]:
    """Return the grants that existed at a time."""
    return [(row["role"], row["scope"]) for row in held if row["created_on"] is None or row["created_on"] <= time]


def _group(scope: str) -> str:
    """Return the resource group of a scope."""
    return scope.split("/providers/", maxsplit=1)[0]


def _after(held: Iterable[Mapping[str, str]], result: ContainResult | None) -> list[Grant]:
    """Return the grants after the plan: those that it does not replace, and those that it makes."""
    if result is None:
        return [(row["role"], row["scope"]) for row in held]
    gone = {key for key, _ in result.containment.contained}
    made = [(str(one.role).lower(), one.scope.lower()) for proposal in result.containment.plan.proposals
            for one in proposal.assignments if one.state == "active"]  # fmt: skip
    return [(row["role"], row["scope"]) for row in held if row["id"] not in gone] + made


def _new_roles(result: ContainResult | None) -> dict[str, Patterns]:
    plan: Plan | None = result.containment.plan if result else None
    return {
        str(role.definition.role_definition_id).lower(): [
            (_lowered(block.actions), _lowered(block.not_actions)) for block in role.definition.permissions
        ]
        for role in (plan.roles if plan else ())
    }


def _patterns(blocks: Sequence[Mapping[str, Any]]) -> Patterns:
    return [(_lowered(block["actions"]), _lowered(block["notActions"])) for block in blocks]


def _lowered(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(one.lower() for one in names)


def _allows(roles: Mapping[str, Patterns], grants: Iterable[Grant], call: tuple[str, str]) -> bool:
    operation, scope = call
    return any(
        f"{scope}/".startswith(f"{place.rstrip('/')}/")
        and any(
            any(fnmatchcase(operation, one) for one in actions) and not any(fnmatchcase(operation, one) for one in off)
            for actions, off in roles.get(role, ())
        )
        for role, place in grants
    )


def _left_behind(folder: Path) -> int | None:
    """Return the number of things under `left_behind` of the written containment; None where it has no such key."""
    path = folder / "containment.json"
    if not path.exists():
        return None
    listed = json.loads(path.read_text(encoding="utf-8")).get("left_behind")
    return None if listed is None else len(listed["things"])


def days_before(calls: pl.DataFrame, first: dt.datetime, days: int = 80) -> pl.DataFrame:
    """Return the calls of the days before a moment."""
    return calls.filter(pl.col("time").is_between(first - dt.timedelta(days=days), first, closed="left"))
