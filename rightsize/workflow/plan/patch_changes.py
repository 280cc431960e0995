"""Read what a plan asks of code: its changes of assignments, and of the access policies of vaults that it switches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.analyze.inputs import Inputs
from rightsize.iac.patch.bicep_assignments import Loaded
from rightsize.iac.patch.grants import Change, Grant, Roles, Wanted
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, Plan, Proposal
from rightsize.model.role_forms import read_role_definitions
from rightsize.model.text import fold
from rightsize.rbac.assignments import role_path
from rightsize.render.deploy.code_names import snake
from rightsize.render.deploy.contents import spelled
from rightsize.render.sentences import full_path
from rightsize.store.connection import open_store
from rightsize.workflow.names import names_in, spellings_in


@dataclass(frozen=True, slots=True)
class Asked:
    """What a plan asks of code.

    Attributes:
        changes: The changes of assignments of Azure roles.
        vaults: Those of access policies, by the folded vault that the plan switches.
        definitions: The new roles of both, by their GUID.
        roles: The roles that code may name.
        loaded: Every active assignment of the tenant.
    """

    changes: list[Change]
    vaults: dict[str, list[Change]]
    definitions: dict[str, RoleDefinition]
    roles: Roles
    loaded: list[Loaded]


def changes_of(db: Path, plan: Plan, only: Collection[str] | None) -> Asked:
    """Return what a plan changes about assignments of Azure roles, and about the policies of vaults that it switches.

    Args:
        db: The store.
        plan: The plan.
        only: The ids of the accepted proposals; None for all. A vault is switched only if all of its own are.
    """
    definitions = _new_roles(plan)
    with open_store(db, read_only=True) as store:
        names: dict[str, str] = {fold(id_): name for id_, name in names_in(store, plan).items()}
        inputs = Inputs.of(**{name: store.table(name) for name in ("role_definitions", "role_assignments")})
        spellings = spellings_in(store, [place.scope for one in plan.all_proposals for place in one.assignments])
    stored: dict[str, str | None] = {
        fold(row["role_definition_id"]): row["role_name"] for row in inputs.role_definitions.iter_rows(named=True)
    }
    new: dict[str, str] = {id_: role.role_name for id_, role in definitions.items()}
    titles: dict[str, str] = {id_: title for id_, title in {**stored, **new}.items() if title}
    called: dict[str, set[str]] = defaultdict(set)
    for id_, title in titles.items():
        called[fold(title)].add(id_)
    rows = list(inputs.role_assignments.iter_rows(named=True))
    today = {(fold(row["role_assignment_id"]), row["state"]): _grant(row) for row in rows}
    fresh, existing = new.keys() - stored.keys(), set(today.values())
    changes = []
    for proposal in plan.proposals:
        is_wanted = only is None or proposal.id in only
        if is_wanted and proposal.is_of_rbac and PROPOSAL_KINDS[proposal.kind].changes:
            old = today.get(proposal.assignment)
            if old is not None:
                wanted = tuple(_wanted(proposal, spellings, titles, fresh, existing, old))
                said = _said(proposal, old, wanted, titles, names)
                changes.append(Change(proposal.id, proposal.assignment[0], old, wanted, said))
    roles = Roles({title: next(iter(ids)) for title, ids in called.items() if len(ids) == 1})
    loaded = [
        Loaded(fold(row["role_assignment_id"]), _grant(row), row["scope"])
        for row in rows
        if row["state"] == "active" and row["scope"]
    ]
    vaults: dict[str, list[Change]] = defaultdict(list)
    for proposal in _switching(plan, only):
        vault = proposal.evidence["vault"]["scope"]
        old = Grant(vault, "", fold(proposal.principal_ids[0]))
        wanted = tuple(_wanted(proposal, spellings, titles, fresh, existing, old))
        said = _said_of_policy(proposal, wanted, names)
        vaults[vault].append(Change(proposal.id, proposal.replaces[0], old, wanted, said, vault))
    return Asked(changes, dict(vaults), definitions, roles, loaded)


def _new_roles(plan: Plan) -> dict[str, RoleDefinition]:
    in_vaults = {
        role["name"]: role
        for one in plan.all_proposals
        if one.plane == "vault"
        for role in one.evidence["vault"]["new_roles"]
    }
    made = [*(one.definition for one in plan.roles), *read_role_definitions(list(in_vaults.values()))]
    return {fold(role.role_definition_id): role for role in made}


def _switching(plan: Plan, only: Collection[str] | None) -> list[Proposal]:
    """Return the proposals of the vaults that are switched: they wait for nothing, and all of a vault are accepted."""
    own = [one for one in plan.all_proposals if one.plane == "vault"]
    stay = {
        one.evidence["vault"]["scope"]
        for one in own
        if one.evidence["vault"]["waits"] or (only is not None and one.id not in only)
    }
    return [one for one in own if one.evidence["vault"]["scope"] not in stay]


def _said_of_policy(proposal: Proposal, wanted: Sequence[Wanted], names: Mapping[str, str]) -> str:
    vault = proposal.evidence["vault"]["scope"]
    who = names.get(fold(proposal.principal_ids[0]), proposal.principal_ids[0])
    now = f"{who}: {proposal.evidence['role']} at {vault.rpartition('/')[2]}"
    places = [one.grant.scope.removeprefix(vault).strip("/") for one in wanted]
    comes = [
        f"{one.role_name} at {place}" if place else one.role_name for one, place in zip(wanted, places, strict=True)
    ]
    return f"{now} becomes {' and '.join(comes)}" if proposal.assignments else f"{now} goes"


def _grant(row: Mapping[str, Any]) -> Grant:
    scope = fold((row["scope"] or "").rstrip("/") or "/")
    return Grant(
        scope, fold(row["role_definition_id"]), fold(row["principal_id"]), row["condition"] or "", row["state"]
    )


def _wanted(
    proposal: Proposal,
    spellings: Mapping[str, str],
    titles: Mapping[str, str],
    new: Collection[str],
    existing: set[Grant],
    today: Grant,
) -> Iterator[Wanted]:
    """Yield the assignments that a proposal makes and the tenant does not have yet."""
    for one in proposal.assignments:
        scope, role = spelled(one.scope, spellings), fold(one.role)
        place = fold(scope.rstrip("/") or "/")
        grant = Grant(place, role, fold(one.principal_id), one.condition or "", one.state, one.end_on or "")
        if grant not in existing:
            title = titles.get(role, role)
            word = snake(title) or f"role_{role[:8]}"
            word = word if word[0].isalpha() else f"role_{word}"
            several = sum(fold(other.role) == role for other in proposal.assignments) > 1
            there = f"at_{snake(scope.rpartition('/')[2])[:24]}"
            label = there if role == today.role else f"{word}_{there}" if several else word
            yield Wanted(grant, scope, title, role_path(scope, role), role in new, word, label)


def _said(
    proposal: Proposal, today: Grant, wanted: Sequence[Wanted], titles: Mapping[str, str], names: Mapping[str, str]
) -> str:
    who = names.get(today.principal_id, today.principal_id)
    now = f"{titles.get(today.role, today.role)} at {full_path(today.scope, names)}"
    comes = [f"{one.role_name} at {full_path(one.scope, names)}" for one in wanted]
    comes = [
        f"eligible {text}" if one.grant.state == "eligible" else text for text, one in zip(comes, wanted, strict=True)
    ]
    if not proposal.assignments:
        return f"{who}: {now} goes"
    return f"{who}: {now} becomes {' and '.join(comes) or 'what is there already'}"
