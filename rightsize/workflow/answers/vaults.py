"""Say who may do what with the data of a key vault: roles decide, or the access policies of the vault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rightsize.analyze.lacks import Lack
from rightsize.analyze.vaults import Vault, VaultPolicy, read_vaults, vault_of
from rightsize.model.text import fold
from rightsize.rbac.access import STRENGTH, Chain
from rightsize.rbac.scopes import Scope
from rightsize.store.connection import Store
from rightsize.workflow.tenant_access import TenantAccess

_ROW = "SELECT * FROM vaults WHERE scope = $scope"
_POLICIES = "SELECT * FROM vault_policies WHERE scope = $scope"
_ORDER = {"active": 0, "eligible": 1}


class VaultAnswers:
    """The vaults that questions are about; each is read once."""

    def __init__(self, store: Store, tenant: TenantAccess) -> None:
        """Read nothing yet."""
        self._store, self._tenant = store, tenant
        self._vaults: dict[str, Vault] = {}

    def beside_roles(self, scope: Scope) -> Vault | None:
        """Return the vault that a scope is or lies in, unless roles are known to decide there; None elsewhere."""
        place = vault_of(scope.key)
        if place is None:
            return None
        if place not in self._vaults:
            asked = {"scope": place}
            found = read_vaults(self._store.frame(_ROW, asked), self._store.frame(_POLICIES, asked))
            self._vaults[place] = found.get(place) or Vault(place, None, policies_known=False)
        vault = self._vaults[place]
        return None if vault.by_roles else vault

    def decide(self, vault: Vault, operation: str, principal_id: str) -> dict[str, Any]:
        """Return what the policies of a vault say of an operation and a principal, in the form of a row's answer."""
        active = self._tenant.access.chains(principal_id)
        asleep = self._tenant.access.sleeping_chains(principal_id)
        found: list[tuple[str, dict[str, Any]]] = []
        for policy in _allowing(vault, operation):
            for state, chains in (("active", active), ("eligible", asleep)):
                if policy.principal_id in chains:
                    because = _because(policy, operation, chains[policy.principal_id], state)
                    answer = "eligible" if state == "eligible" else "conditional" if because["condition"] else "yes"
                    found.append((answer, because))
        allowed = max((answer for answer, _ in found), key=STRENGTH.__getitem__, default="no")
        reasons = sorted((one for _, one in found), key=lambda one: (_ORDER[one["state"]], one["role_assignment_id"]))
        return {"allowed": allowed, "because": reasons, "denied_by": [], "depends_on_reading": False}

    def holders(self, vault: Vault, operation: str) -> list[str]:
        """Return everybody whom a policy of a vault allows an operation, with the members of groups, sorted."""
        found: set[str] = set()
        for policy in _allowing(vault, operation):
            found |= {policy.principal_id} | self._tenant.access.below(policy.principal_id)
        return sorted(found)

    def lacks(self, vault: Vault, operation: str, principal_id: str | None = None) -> list[Lack]:
        """Return the groups with such a policy whose members are not all loaded, unless a principal is in them."""
        own = self._tenant.access.chains(principal_id) if principal_id else {}
        return [
            self._tenant.listings.of_group(policy.principal_id)
            for policy in _allowing(vault, operation)
            if policy.principal_id in self._tenant.open_groups and policy.principal_id not in own
        ]


def woken(vault: Vault, rows: Sequence[Mapping[str, Any]], operation: str) -> list[str]:
    """Return the note that data roles allow nothing in a vault today, and whom the switch to roles would let in."""
    names = sorted({str(row["name"] or row["principal_id"]) for row in rows if row["principal_id"]})
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5:,} more" if len(names) > 5 else "")
    return [
        f"roles allow nothing in `{vault.name}`, which uses access policies; "
        f"after a switch to roles these could {operation.rpartition('/vaults/')[2]}: {shown}"
    ]


def _allowing(vault: Vault, operation: str) -> Iterator[VaultPolicy]:
    name = fold(operation)
    return (policy for policy in vault.policies if name in policy.operations)


def _because(policy: VaultPolicy, operation: str, via: Chain, state: str) -> dict[str, Any]:
    hedges = [f"the request comes through application {policy.app_id}"] if policy.app_id else []
    if fold(operation) in policy.partial:
        hedges.append(f"the policy allows a part of it: {policy.words}")
    return {
        "role_assignment_id": policy.grant,
        "role_name": f"access policy: {policy.words}",
        "scope": policy.vault,
        "via": list(via),
        "condition": "; ".join(hedges) or None,
        "state": state,
    }
