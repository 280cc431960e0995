"""Say which command comes next for a store: what has to be loaded first, or what its data are ready for.

Say what a load costs: which assignments stay undecided by what was refused, rejected or never loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.render.sentences import short_scope
from rightsize.store.connection import Store, open_store

EXPORTS = "rightsize fetch-script > get.sh; bash get.sh exports; rightsize load exports"
ROLES = "az role definition list -o json > roles.json; rightsize load roles.json"
CATALOGUE = "az provider operation list -o json > operations.json; rightsize catalog import operations.json"
LOGS = "rightsize fetch-script --source activity_log > get.sh; bash get.sh exports; rightsize load exports"

_STATE = """
    WITH held AS MATERIALIZED (SELECT DISTINCT lower(role_definition_id) AS role FROM role_assignments)
    SELECT
        EXISTS (FROM held) AS has_rbac,
        EXISTS (FROM held) OR EXISTS (FROM directory_role_assignments) OR EXISTS (FROM app_role_assignments)
            AS has_grants,
        EXISTS (FROM role_definitions WHERE lower(role_definition_id) IN (FROM held)) AS has_roles,
        EXISTS (FROM operations) AS has_catalogue,
        EXISTS (FROM base.coverage WHERE state <> 'missing' AND source <> 'sign_in_log') AS has_logs,
        EXISTS (FROM base.proposals) AS is_planned"""


def command_after(db: Path, plan: Path, *, is_changed: bool = False) -> str:
    """Return the command that comes next for a store.

    What an analysis needs comes first, in the order in which it stops one: access, role definitions, the catalogue of
    operations, and a log. Then come `propose` and `next`.

    Args:
        db: The store.
        plan: The usual folder of a plan, which `next` reads.
        is_changed: Whether something was loaded just now, so that earlier answers are those of other data.
    """
    if not db.exists():
        return EXPORTS
    with open_store(db, read_only=True) as store:
        return command_for(store, plan, is_changed=is_changed)


def command_for(store: Store, plan: Path, *, is_changed: bool) -> str:
    """Return the command that comes next for an open store, as `command_after` does."""
    state = state_of(store)
    if not state["has_grants"]:
        return EXPORTS
    if state["has_rbac"] and not state["has_roles"]:
        return ROLES
    if state["has_rbac"] and not state["has_catalogue"]:
        return CATALOGUE
    if not state["has_logs"]:
        return LOGS
    return "rightsize next" if state["is_planned"] and plan.exists() and not is_changed else "rightsize propose"


def state_of(store: Store) -> dict[str, bool]:
    """Return what a store has, by the names of the columns of `_STATE`."""
    return store.rows(_STATE)[0]


def command_after_review(states: Mapping[str, int], plan: Path, review: Path, usual: Path) -> str:
    """Return the command that comes next in a review: to decide on what is left, else to roll out what is accepted.

    Args:
        states: The number of proposals in each state of a review.
        plan: The plan.
        review: The file of decisions.
        usual: The file that commands take where none is named.
    """
    folder, file = for_shell(str(plan)), for_shell(str(review))
    if any(states.get(state) for state in ("open", "outdated", "expired")):
        return f"rightsize review {folder}" + ("" if review == usual else f" --review {file}")
    if states.get("accepted"):
        return f"rightsize rollout plan {folder} --out rollout --review {file}"
    return f"rightsize propose --review {file}"


_REJECTED = """
    SELECT source, lower(regexp_extract(raw, '(?i)/subscriptions/([0-9a-f-]{36})', 1)) AS subscription,
        contains(lower(raw), 'microsoft.insights/eventtypes') AS is_log, count(*) AS records
    FROM rejects WHERE path IN (SELECT unnest($paths::VARCHAR[])) GROUP BY ALL"""
_HELD = """
    SELECT lower(regexp_extract(scope, '(?i)^/subscriptions/([0-9a-f-]{36})', 1)) AS subscription, count(*) AS number
    FROM role_assignments GROUP BY ALL HAVING subscription <> ''"""
_NAMES = "SELECT scope, display_name FROM scopes WHERE kind = 'subscription' AND display_name IS NOT NULL"
_LOG = "activity_log"


@dataclass(frozen=True, slots=True)
class AfterLoad:
    """What is said after a load: what the store cannot decide for want of what it refused, and the next command."""

    costs: Sequence[str]
    command: str


def look_after(db: Path, paths: Sequence[str], plan: Path) -> AfterLoad:
    """Return what to say after a load, the costliest first.

    Args:
        db: The store, after the load.
        paths: The files of the load that have rejected records.
        plan: The usual folder of a plan.
    """
    with open_store(db, read_only=True) as store:
        return AfterLoad(_costs_of(store, paths), command_for(store, plan, is_changed=True))


def _costs_of(store: Store, paths: Sequence[str]) -> list[str]:
    held = {row["subscription"]: row["number"] for row in store.rows(_HELD)}
    rejected = store.rows(_REJECTED, {"paths": sorted(set(paths))})
    if not held and not rejected:
        return []
    names = {row["scope"]: row["display_name"] for row in store.rows(_NAMES)}
    found = [*_of_logs(held, rejected, _covered(store), names), *_of_others(rejected)]
    return [text for _, text in sorted(found, key=lambda one: (-one[0], one[1]))]


def _covered(store: Store) -> set[str]:
    """Return the folded scopes of which an Activity Log covers a day, by itself or by a declaration above."""
    from rightsize.analyze.inputs import place_of, read_tree  # noqa: PLC0415  frames, which a new store does not need
    from rightsize.analyze.window import administrative, days_of_scopes  # noqa: PLC0415

    rows = administrative(store.table("coverage"))
    tree = read_tree(store.table("scopes"), place_of(rows["scope"].unique()))
    return set(days_of_scopes(rows, tree)["place"])


def _of_logs(
    held: Mapping[str, int], rejected: Sequence[Mapping[str, Any]], covered: Set[str], names: Mapping[str, str]
) -> Iterator[tuple[int, str]]:
    """Yield for each subscription why its Activity Log does not decide its assignments, and their number."""
    refused = {row["subscription"] for row in rejected if _is_refused_log(row)}
    records = Counter[str]()
    for row in rejected:
        if row["source"] == _LOG:
            records[row["subscription"]] += row["records"]
    # Without any log the next step says it; a tenant may be loaded one subscription at a time.
    has_log = bool(covered or refused or records)
    for subscription in sorted({*held, *refused, *records} - {""} if has_log else ()):
        number, scope = held.get(subscription, 0), f"/subscriptions/{subscription}"
        of = f"the Activity Log of `{short_scope(scope, names)}`"
        cost = f"use of {counted(number, 'assignment')}"
        if scope not in covered:
            why = f"Azure refused {of}" if subscription in refused else f"{of} covers no day"
            yield number, f"{why}: the {cost} stays undecided"
        elif subscription in records:
            yield number, f"{counted(records[subscription], 'record')} of {of} rejected: {cost} may be missing"


def _is_refused_log(row: Mapping[str, Any]) -> bool:
    return bool(row["is_log"]) and row["source"] == "refusal"


def _of_others(rejected: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield for each other source how many of its records were rejected; of a refusal nothing more is known."""
    others = Counter[str]()
    for row in rejected:
        if row["source"] != _LOG and not _is_refused_log(row):
            others[row["source"]] += row["records"]
    for source, number in sorted(others.items()):
        if source == "role_assignments":
            said = counted(number, "role assignment was", "role assignments were")
            yield number, f"{said} rejected: no command judges them"
        elif source != "refusal":
            yield 0, f"{counted(number, 'record')} of {source} rejected: answers that need them are incomplete"
        else:
            yield 0, f"Azure refused {counted(number, 'file')}: `rightsize status` says what is missing"
