"""Ask each source once whether a collection could read it, and list the roles to ask for."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.azure.clients import Clients
from rightsize.azure.credentials import SignIn, open_credential, sign_in
from rightsize.azure.exchange import Clock, Exchange, Throttle
from rightsize.azure.hosts import read_cloud
from rightsize.azure.wire import NotSignedInError
from rightsize.collect.known import Probed, ProbeKnown, probe
from rightsize.collect.listing import CollectionRequest, Source
from rightsize.collect.sources import chosen_sources
from rightsize.model.errors import AccessError, EvidenceError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import to_arm
from rightsize.model.text import Folded

ROLE_NAME = "rightsize collector"
ROLLOUT_ROLE_NAME = "rightsize rollout"
_ROLLOUT_ACTIONS = (
    "Microsoft.Authorization/locks/read",
    "Microsoft.Authorization/roleAssignmentScheduleInstances/read",
    "Microsoft.Authorization/roleAssignments/delete",
    "Microsoft.Authorization/roleAssignments/read",
    "Microsoft.Authorization/roleAssignments/write",
    "Microsoft.Authorization/roleDefinitions/delete",
    "Microsoft.Authorization/roleDefinitions/read",
    "Microsoft.Authorization/roleDefinitions/write",
    "Microsoft.Management/managementGroups/read",
    "Microsoft.Resources/subscriptions/read",
    "Microsoft.Resources/subscriptions/resourceGroups/read",
)
_MANAGED_ACTIONS = (
    "Microsoft.Authorization/roleAssignmentScheduleRequests/write",
    "Microsoft.Authorization/roleEligibilityScheduleInstances/read",
    "Microsoft.Authorization/roleEligibilityScheduleRequests/write",
    "Microsoft.Authorization/roleManagementPolicies/read",
    "Microsoft.Authorization/roleManagementPolicies/write",
)
_VAULT_ACTIONS = ("Microsoft.KeyVault/vaults/read", "Microsoft.KeyVault/vaults/write")
_NAMESPACE = uuid.UUID("6c1d5c1e-8a0c-5b0e-9f57-3d2b8f0e7a11")
_MOST_SCOPES = 2000


@dataclass(frozen=True, slots=True)
class Examined:
    """The result of asking one source.

    Attributes:
        source: Its name; `title` describes it.
        reach: readable, refused, not there or unreachable: the worst of its scopes.
        scopes: The scopes where it was asked for; `readable` those that answered.
        permission: The missing action or Graph permission, where it was refused.
        role: The smallest built-in role that has the permission.
        at: The scopes where it was refused.
        reason: The error that Azure returned.
    """

    source: str
    title: str
    reach: str
    scopes: int
    readable: int
    permission: str = ""
    role: str = ""
    at: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The result of `status sources`.

    Attributes:
        rows: The result of each source.
        roles: Azure roles to ask for, each with a scope; `permissions` those of Graph.
        role: A custom role with the permissions that the sources need and no others, in ARM's form.
        rollout_role: A custom role with the permissions that `rollout` needs and no others.
    """

    who: SignIn
    rows: tuple[Examined, ...]
    roles: tuple[str, ...]
    permissions: tuple[str, ...]
    role: dict[str, Any]
    rollout_role: dict[str, Any]


def examine(
    *,
    cloud: str = "public",
    auth: str = "default",
    sources: Sequence[str] = (),
    subscriptions: Sequence[str] = (),
    workspaces: Sequence[str] = (),
    containers: Sequence[str] = (),
    until: dt.datetime | None = None,
    with_pim: bool = False,
    with_vaults: bool = False,
    may_ask: bool = True,
    clock: Clock | None = None,
) -> Diagnosis:
    """Sign in and ask the first question of each source; see `collect_tenant` for the arguments.

    `with_pim` adds to the role for a rollout the permissions to change PIM assignments and rules, `with_vaults` those
    to switch key vaults to roles.

    Raises:
        UsageError: The question makes no sense.
        AccessError: Nobody is signed in.
    """
    clock = clock or Clock()
    place = read_cloud(cloud)
    chosen = chosen_sources(sources, with_workspaces=bool(workspaces), with_containers=bool(containers))
    credential = open_credential(auth, place, clock, may_ask=may_ask)
    who = sign_in(credential, place)
    end = (until or clock.utc()).astimezone(dt.UTC).replace(microsecond=0)
    # One day is enough to see whether logs can be read.
    known = ProbeKnown(
        CollectionRequest(end, 1, tuple(sources), tuple(subscriptions), tuple(workspaces), tuple(containers))
    )
    with Clients(place, credential) as clients:
        exchange = Exchange(clients, Throttle(clock, place.budgets), clock)
        try:
            found = probe(chosen, known, exchange)
        except NotSignedInError as error:
            raise AccessError(f"Azure rejects the token: {error.reason}", hint="sign in again") from error
    rows = tuple(_examined(source, [one for one in found if one.source is source]) for source in chosen)
    refused = [one for one in found if one.reach == "refused"]
    return Diagnosis(
        who,
        rows,
        tuple(sorted({f"{one.source.right.role} at {one.scope or '/'}" for one in refused if _is_azure(one.source)})),
        tuple(sorted({one.source.right.permission for one in refused if not _is_azure(one.source)})),
        collector_role(chosen, known.subscriptions()),
        rollout_role(known.subscriptions(), with_pim=with_pim, with_vaults=with_vaults),
    )


def _is_azure(source: Source) -> bool:
    return source.service != "graph"


def _examined(source: Source, found: Sequence[Probed]) -> Examined:
    reach = next(
        (word for word in ("refused", "unreachable", "not there") if any(one.reach == word for one in found)),
        "readable",
    )
    refused = [one for one in found if one.reach == "refused"]
    return Examined(
        source.name,
        source.title,
        reach,
        len(found),
        sum(one.reach == "readable" for one in found),
        source.right.permission if refused else "",
        source.right.role if refused else "",
        tuple(one.scope or "/" for one in refused),
        next((one.reason for one in found if one.reach == reach), ""),
    )


def collector_role(sources: Sequence[Source], subscriptions: Sequence[str]) -> dict[str, Any]:
    """Return a custom role in ARM's form that can read the sources in these subscriptions, and do nothing else.

    Management groups are left out: a role with data actions may not name one, and `Management Group Reader` exists.
    """
    rights = [source.right for source in sources if _is_azure(source)]
    actions = {action for right in rights if not right.is_data_action for action in (right.permission, *right.also)}
    data_actions = {right.permission for right in rights if right.is_data_action}
    text = "Reads what rightsize collects: access, resources and logs. Changes nothing."
    return _custom_role(ROLE_NAME, text, actions, data_actions, subscriptions)


def rollout_role(subscriptions: Sequence[str], *, with_pim: bool = False, with_vaults: bool = False) -> dict[str, Any]:
    """Return a custom role in ARM's form that can carry out a rollout in these subscriptions, and do nothing else.

    `with_pim` is for a rollout that changes eligible or time-bound assignments, which needs requests and rules;
    `with_vaults` for one that switches key vaults to roles. Who may write role assignments may give themselves any
    role, so assign this one to an identity of its own.
    """
    text = "Makes and removes role assignments and definitions for a rollout of rightsize."
    actions = {*_ROLLOUT_ACTIONS, *(_MANAGED_ACTIONS if with_pim else ()), *(_VAULT_ACTIONS if with_vaults else ())}
    return _custom_role(ROLLOUT_ROLE_NAME, text, actions, set(), subscriptions)


def _custom_role(
    name: str, description: str, actions: set[str], data_actions: set[str], subscriptions: Sequence[str]
) -> dict[str, Any]:
    scopes = [f"/subscriptions/{identifier}" for identifier in subscriptions[:_MOST_SCOPES]]
    id_ = Folded(str(uuid.uuid5(_NAMESPACE, "|".join([*sorted(actions | data_actions), *scopes]))))
    block = PermissionBlock(actions=tuple(sorted(actions)), data_actions=tuple(sorted(data_actions)))
    role = RoleDefinition(id_, name, (block,), description=description, assignable_scopes=tuple(scopes))
    return {"name": id_, "type": "Microsoft.Authorization/roleDefinitions", **to_arm(role)}


def write_role(role: dict[str, Any], path: Path) -> None:
    """Write a custom role to a file.

    Raises:
        EvidenceError: No subscription is visible in which it could be assigned.
    """
    if not role["properties"]["assignableScopes"]:
        raise EvidenceError(
            "no subscription is visible, so the role has no scope to be assigned at",
            hint="ask for `Reader` at the root management group, then run this again",
        )
    path.write_text(json.dumps(role, indent=2) + "\n", encoding="utf-8")
