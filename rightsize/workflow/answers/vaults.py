"""Say who may do what with the data of a key vault, by roles or its access policies, and what code does to that.

An access policy in code is judged as an assignment is: by what its holder gets beyond today. A switch to roles is told
with the data roles that it wakes up, and with those who used something by a policy and hold no role that allows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rightsize.analyze.lacks import Lack
from rightsize.analyze.vaults import Vault, VaultPolicy, read_vaults, vault_of
from rightsize.iac.deployed.deployments import WRITES, Change
from rightsize.model.options import USUAL
from rightsize.model.text import fold
from rightsize.planes.vaults.judge import analyse_vaults
from rightsize.planes.vaults.tables import VaultTables, at_vault, data_assignments, is_allowed, vault_window
from rightsize.rbac.access import STRENGTH, Chain
from rightsize.rbac.scopes import Scope
from rightsize.rules.vaults import ALL, MODEL, PLURALS, VAULT, is_metadata_read, operations_by_permission
from rightsize.store.connection import Store
from rightsize.workflow.names import read_names
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


_NAME = re.compile(r"/vaults/([a-z0-9-]+)(?:/|$)")
_MODELS = (fold(MODEL), "rbac_authorization_enabled", "enable_rbac_authorization")
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class _Written:
    """What code says of a vault.

    Attributes:
        name: The folded name of the vault.
        model: Whether roles decide; None where the code does not say it.
        policies: Its policies by holder and application; None where the code has none.
        is_whole: Whether policies that the code leaves out go.
    """

    name: str
    model: bool | None
    policies: Mapping[tuple[str, str], frozenset[tuple[str, str]]] | None
    is_whole: bool


def is_about_vaults(change: Change) -> bool:
    """Return whether a change writes a key vault or access policies of one."""
    return bool(change.does & WRITES) and fold(change.kind) in (VAULT, f"{VAULT}/accesspolicies")


def vault_notes(store: Store, changes: Sequence[Change]) -> list[str]:
    """Return what changes of code do to the access to vaults, one sentence each."""
    by_name = {one.name: one for one in read_vaults(store.table("vaults"), store.table("vault_policies")).values()}
    names, _ = read_names(store)
    found: list[str] = []
    for change in changes:
        written = _written(change)
        vault = by_name.get(written.name) if written is not None else None
        if written is None:
            found.append(f"`{change.address}` does not say which vault it is about")
            continue
        if written.model and vault is not None and vault.by_policies:
            found += _switched(store, vault, names)
        elif written.model is False and vault is not None and vault.by_roles:
            found.append(f"{vault.name}: the code switches it back to access policies, and no data role decides there")
        by_roles = written.model or (written.model is None and vault is not None and vault.by_roles)
        if written.policies and by_roles:
            found.append(f"{written.name}: roles decide there, so the access policies of the code give nothing")
        elif written.policies is not None and not by_roles:
            found += _policies(written, vault, names)
    return list(dict.fromkeys(found))


def _policies(written: _Written, vault: Vault | None, names: Mapping[str, str]) -> Iterator[str]:
    today = {(one.principal_id, one.app_id): one for one in vault.policies} if vault is not None else {}
    for (who, app), words in sorted((written.policies or {}).items()):
        known = today.get((who, app))
        held = frozenset(known.permissions) if known is not None else frozenset()
        new = sorted(one for one in words if not held & {one, (one[0], ALL)})
        if new:
            called = "a holder that the code does not name" if "{" in who or not who else names.get(who, who)
            through = f" through application {app}" if app else ""
            more = "more by its access policy" if known is not None else "by an access policy"
            gains = _grave(frozenset().union(*(operations_by_permission().get(word, frozenset()) for word in new)))
            yield f"{written.name}: the code gives {called}{through} {more}: {_words(new)}{gains}"
    gone = sorted(names.get(who, who) for who, app in today.keys() - (written.policies or {}).keys())
    if written.is_whole and gone:
        yield f"{written.name}: the code takes the access policies of {_some(gone)} away, which it does not list"


def _grave(operations: frozenset[str]) -> str:
    found = [
        said
        for said, is_it in (
            (
                "it reads secret values",
                any(one.endswith(("getsecret/action", "secrets/backup/action")) for one in operations),
            ),
            ("it uses or changes keys", any("/keys/" in one and not is_metadata_read(one) for one in operations)),
        )
        if is_it
    ]
    return f" ({' and '.join(found)})" if found else ""


def _switched(store: Store, vault: Vault, names: Mapping[str, str]) -> Iterator[str]:
    """Yield what the switch of a vault to roles wakes up, and whom it locks out."""
    tables = VaultTables.read(store.table)
    held = at_vault(vault, data_assignments(tables), tables)
    if held:
        woken = sorted({f"{names.get(fold(row['principal_id']), row['principal_id'])} ({row['role']})" for row in held})
        yield f"{vault.name}: the switch to roles wakes up data roles that grant nothing there today: {_some(woken)}"
    groups: dict[str, set[str]] = {}
    for member, group in tables.members.iter_rows():
        groups.setdefault(member, set()).add(group)
    lost: dict[str, set[str]] = {}
    unknown = False
    for case in analyse_vaults(tables, vault_window(tables, USUAL)).cases:
        if case.policy.vault == vault.scope:
            unknown = unknown or not case.is_covered
            for operation, use in {**case.earlier, **case.used}.items():
                for who in use.principals:
                    if not all(is_allowed(held, {who, *groups.get(who, ())}, operation, at) for at in use.days_at):
                        lost.setdefault(names.get(who, who), set()).add(operation.partition("/vaults/")[2])
    if lost:
        shown = [f"{who} ({', '.join(sorted(used))})" for who, used in sorted(lost.items())]
        yield f"{vault.name}: the switch to roles locks out who used a policy and holds no role for it: {_some(shown)}"
    if unknown:
        holders = len({one.principal_id for one in vault.policies})
        yield f"{vault.name}: no log covers it, so any of its {holders:,} holders of policies may be locked out"


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:_SHOWN]) + (f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else "")


def _words(pairs: Sequence[tuple[str, str]]) -> str:
    return "; ".join(
        f"{plural} {', '.join(word for of, word in pairs if of == kind)}"
        for kind, plural in PLURALS.items()
        if any(of == kind for of, _ in pairs)
    )


def _written(change: Change) -> _Written | None:
    """Return what a change says of a vault; None where it does not say which vault."""
    body = _lower(change.body)
    inner = _lower(body.get("properties"))
    place = body.get("key_vault_id") or body.get("parent_id") if change.terraform else ""
    own = change.id if not place or _NAME.search(fold(change.id)) else place
    found = _NAME.search(fold(str(own)))
    if found is None:
        return None
    said = {**body, **inner}
    model = next((said[name] for name in _MODELS if said.get(name) is not None), None)
    policies: list[Any] | None = None
    if fold(change.terraform) == "azurerm_key_vault_access_policy":
        policies = [body]
    elif isinstance(said.get("accesspolicies"), list):
        policies = said["accesspolicies"]
    elif isinstance(said.get("access_policy"), list):
        policies = said["access_policy"]
    is_whole = fold(change.kind) == VAULT and "accesspolicies" in said
    read = None if policies is None else dict(map(_policy, map(_lower, policies)))
    return _Written(found[1], None if model is None else fold(str(model)) == "true", read, is_whole)


def _policy(entry: Mapping[str, Any]) -> tuple[tuple[str, str], frozenset[tuple[str, str]]]:
    """Return holder and application of a policy, and what it gives, of ARM or of azurerm."""
    who, app = (fold(str(entry.get(f"{one}id") or entry.get(f"{one}_id") or "")) for one in ("object", "application"))
    given = _lower(entry.get("permissions"))
    words = {
        (kind, fold(str(word)))
        for kind, plural in PLURALS.items()
        for word in given.get(plural) or entry.get(f"{kind}_permissions") or ()
    }
    return (who, app), frozenset(words)


def _lower(value: object) -> dict[str, Any]:
    return {fold(str(key)): inner for key, inner in value.items()} if isinstance(value, Mapping) else {}
