"""Switch the model of a key vault inside a swap, and back: from its access policies to roles.

The roles that replace the policies are the assignments that the swap creates; the switch comes when they were read back
twice. It is a PATCH of the model alone, so that policies, network rules and the `enabledFor…` switches stay. A vault
whose policies are no longer the plan's is not switched: somebody may hold one that no role replaces. The way back
switches first, waits, and reads the vault again before any role is deleted.
Source: Microsoft Learn, REST reference of Microsoft.KeyVault, Vaults - Update, 2026-02-01; "Migrate from vault access
policy to an Azure RBAC permission model".
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rightsize.analyze.reasons import SHOWN
from rightsize.change.bundle import Held, LeftOut, PolicyHeld, Swap, VaultSwitch
from rightsize.change.rest import RefusalError, SettlingError
from rightsize.change.steps import Steps
from rightsize.model.text import fold
from rightsize.rbac.assignments import assignment_id
from rightsize.rules.vaults import PLURALS

_NAMESPACE = uuid.UUID("8d1f7b52-6c1e-4f0b-a0f6-2b8a51c5f4d7")
_WAIT_BACK = 600


class VaultModels:
    """The switches of the vaults of one bundle; every step may be done twice. Every method raises RefusalError."""

    def __init__(self, steps: Steps) -> None:
        self._steps, self._arm = steps, steps.arm

    def switch(self, swap: Swap) -> None:
        """Switch the vaults of a swap to roles, and read each back."""
        steps = self._steps
        for one in swap.switches:
            if steps.has(swap, "switched", one.vault):
                continue
            live = self._live(one)
            if not steps.has(swap, "switch-begin", one.vault):
                steps.write(swap, "switch-begin", one.vault, {"existed": _by_roles(live), "url": one.vault})
            if not _by_roles(live):
                steps.patiently(lambda: self._set(one, by_roles=True))  # noqa: B023
            steps.write(swap, "switched", one.vault)

    def switch_back(self, swap: Swap) -> None:
        """Switch the vaults that a swap switched back to their policies, and read each back."""
        steps = self._steps
        for one in self._switched(swap):
            if steps.has(swap, "switched-back", one.vault):
                continue
            if _by_roles(self._live(one)):
                steps.patiently(lambda: self._set(one, by_roles=False))  # noqa: B023
            steps.write(swap, "switched-back", one.vault)

    def check_back(self, swap: Swap) -> None:
        """Raise RefusalError where a vault that was switched back does not show its policies in force."""
        for one in self._switched(swap):
            if _by_roles(self._live(one)):
                raise RefusalError(f"{one.vault} was switched to roles again by somebody else", "ModelChanged")

    def _switched(self, swap: Swap) -> list[VaultSwitch]:
        begun = {one.key for one in self._steps.latest(swap, "switch-begin") if not one.data["existed"]}
        return [one for one in swap.switches if one.vault in begun]

    def _live(self, one: VaultSwitch) -> Mapping[str, Any]:
        """Return the properties of a vault in Azure; raise RefusalError where its policies are not the plan's."""
        live = self._steps.patiently(lambda: self._arm.vault(one.vault))
        if live is None:
            raise RefusalError(f"{one.vault} no longer exists", "VaultGone")
        if policies_of(live) != frozenset(one.policies):
            raise RefusalError(f"the access policies of {one.vault} changed since the plan", "PoliciesChanged")
        return live

    def _set(self, one: VaultSwitch, *, by_roles: bool) -> None:
        before = self._live(one)
        if _by_roles(before) != by_roles:
            self._arm.set_model(one.vault, by_roles=by_roles)
        live = self._live(one)
        if _by_roles(live) != by_roles:
            raise SettlingError(f"Azure does not show the model of {one.vault} as it was set")
        changed = [name for name in _FLAGS if bool(before.get(name)) != bool(live.get(name))]
        if changed:
            raise RefusalError(f"`{changed[0]}` of {one.vault} changed with its model", "FlagsChanged")


_FLAGS = ("enabledForDeployment", "enabledForDiskEncryption", "enabledForTemplateDeployment", "enablePurgeProtection")


def _by_roles(live: Mapping[str, Any]) -> bool:
    return live.get("enableRbacAuthorization") is True


def policies_of(live: Mapping[str, Any]) -> frozenset[PolicyHeld]:
    """Return the policies of a vault in Azure that give something, without those of other tenants."""
    own, found = fold(str(live.get("tenantId") or "")), set()
    for one in live.get("accessPolicies") or ():
        theirs = fold(str(one.get("tenantId") or ""))
        given = one.get("permissions") or {}
        words = {f"{kind} {fold(str(word))}" for kind, name in PLURALS.items() for word in given.get(name) or ()}
        if words and not (own and theirs and own != theirs):
            principal, app = (fold(str(one.get(name) or "")) for name in ("objectId", "applicationId"))
            found.add(PolicyHeld(principal, app, tuple(sorted(words))))
    return frozenset(found)


def vault_swaps(
    plan: Mapping[str, Any],
    first_wave: int,
    only: set[str],
    emergency: Callable[[str], bool],
    wait_of: Callable[[Held], int],
) -> tuple[list[Swap], list[LeftOut], dict[str, Mapping[str, Any]]]:
    """Return a swap for each vault that can be switched, a wave each; the policies left out; and the new roles by GUID.

    Args:
        plan: The `plan.json`.
        first_wave: The number of their first wave.
        only: Folded ids of the proposals that are brought in; all of them where it is empty.
        emergency: Returns whether a principal is an emergency access account, or has one as a member.
        wait_of: Returns the seconds that Azure needs to spread an assignment.
    """
    by_vault: dict[str, list[Mapping[str, Any]]] = {}
    for one in plan["proposals"]:
        if one.get("plane") == "vault":
            by_vault.setdefault(one["evidence"]["vault"]["scope"], []).append(one)
    swaps: list[Swap] = []
    left: list[LeftOut] = []
    roles: dict[str, Mapping[str, Any]] = {}
    for vault, proposals in sorted(by_vault.items()):
        waits = proposals[0]["evidence"]["vault"]["waits"]
        why = f"its vault waits for a decision: {', '.join(waits)}" if waits else ""
        if only and any(fold(one["id"]) not in only for one in proposals):
            why = why or "its vault was not chosen whole"
        if any(_narrows(one) and emergency(fold(one["principal_ids"][0])) for one in proposals):
            why = why or "an emergency access account has a policy of its vault: name it when the plan is made, too"
        if why:
            left += [LeftOut(fold(one["replaces"][0]), why) for one in proposals]
            continue
        made = {role["name"]: role for one in proposals for role in one["evidence"]["vault"]["new_roles"]}
        roles |= made
        swaps.append(_swap(vault, proposals, made, wait_of))
    swaps.sort(key=lambda one: (one.risk, one.id))
    return [replace(one, wave=first_wave + number) for number, one in enumerate(swaps)], left, roles


def _narrows(proposal: Mapping[str, Any]) -> bool:
    return proposal["evidence"]["vault"]["word"] in ("", "unused", "orphan")


def _swap(
    vault: str,
    proposals: Sequence[Mapping[str, Any]],
    roles: Mapping[str, Mapping[str, Any]],
    wait_of: Callable[[Held], int],
) -> Swap:
    creates: dict[str, Held] = {}
    for one in proposals:
        for given in one["assignments"]:
            scope, role, principal = given["scope"], fold(given["role"]), fold(given["principal_id"])
            id_ = assignment_id(scope, role, principal, None)
            kind = one["evidence"]["vault"]["holder_type"] or "User"
            creates[id_] = Held(id_, scope, role, principal, kind, description=f"rightsize {one['id']}")
    removed = [item for one in proposals for item in (one["evidence"].get("removed") or {}).items()]
    policies = [
        PolicyHeld(fold(one["principal_ids"][0]), said["app_id"] or "", tuple(sorted(said["permissions"])))
        for one in proposals
        for said in [one["evidence"]["vault"]]
    ]
    return Swap(
        id=str(uuid.uuid5(_NAMESPACE, vault)),
        wave=0,
        proposals=tuple(sorted(one["id"] for one in proposals)),
        creates=tuple(creates[key] for key in sorted(creates)),
        removes=(),
        roles=tuple(sorted({one.role for one in creates.values()} & roles.keys())),
        wait=max((wait_of(one) for one in creates.values()), default=0),
        wait_back=_WAIT_BACK,
        risk=max(float(one["break_probability_30d"]) for one in proposals),
        covered=sum(int(number) for reason, number in removed if reason in SHOWN),
        blind=sum(int(number) for reason, number in removed if reason not in SHOWN),
        switches=(VaultSwitch(vault, tuple(sorted(policies))),),
    )
