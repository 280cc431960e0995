"""Say which command comes next for a store: what has to be loaded first, or what its data are ready for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rightsize.render.escape import for_shell
from rightsize.store.connection import Store, open_store

EXPORTS = "rightsize fetch-script > get.sh; bash get.sh exports; rightsize load exports"
ROLES = "az role definition list -o json > roles.json; rightsize load roles.json"
CATALOGUE = "az provider operation list -o json > operations.json; rightsize catalog import operations.json"
LOGS = "rightsize fetch-script --source activity_log > get.sh; bash get.sh exports; rightsize load exports"

_STATE = """
    SELECT
        EXISTS (FROM role_assignments) AS has_rbac,
        EXISTS (FROM role_assignments) OR EXISTS (FROM directory_role_assignments) OR EXISTS (FROM app_role_assignments)
            AS has_grants,
        EXISTS (FROM role_assignments AS a SEMI JOIN role_definitions AS r
            ON lower(a.role_definition_id) = lower(r.role_definition_id)) AS has_roles,
        EXISTS (FROM operations) AS has_catalogue,
        EXISTS (FROM coverage WHERE state <> 'missing' AND source <> 'sign_in_log') AS has_logs,
        EXISTS (FROM proposals) AS is_planned"""


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
