"""Read key vaults with what decides about their data, and their access policies as grants.

A policy is a grant at one scope, without inheritance. Data roles grant nothing in a vault whose model is policies, and
policies nothing in one whose model is roles. A policy of another tenant than the vault's allows nothing. A policy with
an application counts only for its principal through that application: no role of Azure says that.
Source: Microsoft Learn, "Azure RBAC vs. access policies (legacy)" and "Assign a Key Vault access policy".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.lacks import Lack
from rightsize.model.access_answers import PLAIN
from rightsize.rules.vaults import PLURALS, POLICIES, ROLES, VAULT, in_part, operations_by_permission

_RESOURCE = re.compile(rf"/subscriptions/([^/]+)/resourcegroups/[^/]+/providers/{VAULT}/([^/]+)")
SETTINGS = "key vault settings"
"""The listing that says what decides about the data of a vault."""
FLAGS = ("enabled_for_deployment", "enabled_for_disk_encryption", "enabled_for_template_deployment")


@dataclass(frozen=True, slots=True)
class VaultPolicy:
    """An access policy of a vault.

    Attributes:
        vault: The folded vault.
        principal_id: Its holder.
        app_id: The application through which alone it holds; empty where it holds by itself.
        permissions: `(kind, permission)`, sorted.
        operations: The folded data actions that it allows, whole or in part.
        unknown: The permissions that no rule knows.
        partial: Those of the data actions that it allows in part: `get` alone lists no secret.
    """

    vault: str
    principal_id: str
    app_id: str
    permissions: tuple[tuple[str, str], ...]
    operations: frozenset[str]
    unknown: tuple[tuple[str, str], ...] = ()
    partial: frozenset[str] = frozenset()

    @property
    def grant(self) -> str:
        """Return its id in plans and answers."""
        through = f"/applications/{self.app_id}" if self.app_id else ""
        return f"{self.vault}/accesspolicies/{self.principal_id}{through}"

    @property
    def words(self) -> str:
        """Return what it gives, for people: `secrets get, list; keys sign`."""
        parts = []
        for kind, plural in PLURALS.items():
            words = [word for of, word in self.permissions if of == kind]
            parts += [f"{plural} {', '.join(words)}"] if words else []
        return "; ".join(parts) or "nothing"


@dataclass(frozen=True, slots=True)
class Vault:
    """A key vault.

    Attributes:
        scope: Its folded resource id.
        model: `roles` or `policies`; None where no loaded listing says it.
        policies_known: Whether a listing with its policies is loaded.
        policies: Its policies that count, in the order of their grants.
        foreign: Number of holders of policies of other tenants, which allow nothing.
        flags: The switches of `FLAGS` that are on.
    """

    scope: str
    model: str | None
    policies_known: bool
    policies: tuple[VaultPolicy, ...] = ()
    foreign: int = 0
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return its folded name."""
        return self.scope.rpartition("/")[2]

    @property
    def by_policies(self) -> bool:
        """Return whether its policies decide."""
        return self.model == POLICIES

    @property
    def by_roles(self) -> bool:
        """Return whether roles decide."""
        return self.model == ROLES

    @property
    def lack(self) -> Lack | None:
        """Return the listing that is missing to know what decides, or None where it is known."""
        if self.by_roles or (self.by_policies and self.policies_known):
            return None
        why = "no loaded listing says " + (
            "whether roles or access policies decide there" if self.model is None else "which access policies it has"
        )
        return Lack(SETTINGS, self.scope, why, show_command(self.scope))


def show_command(scope: str) -> str | None:
    """Return the command that prints a vault with its model and policies; None for a name that needs quotes."""
    found = _RESOURCE.fullmatch(scope)
    if not found or not all(re.fullmatch(PLAIN, part, re.ASCII) for part in found.groups()):
        return None
    return f"az keyvault show --subscription {found[1]} --name {found[2]} -o json"


def vault_of(scope: str) -> str | None:
    """Return the vault that a folded scope is or lies in; None elsewhere."""
    found = _RESOURCE.match(scope)
    return found[0] if found and scope[found.end() : found.end() + 1] in ("", "/") else None


def read_vaults(vaults: pl.DataFrame, policies: pl.DataFrame) -> dict[str, Vault]:
    """Return the vaults of the tables `vaults` and `vault_policies`, by scope."""
    by_vault: dict[str, list[VaultPolicy]] = {}
    for policy in _policies(policies.filter(~pl.col("is_foreign"))):
        by_vault.setdefault(policy.vault, []).append(policy)
    foreign = policies.filter("is_foreign").select("scope", "principal_id").unique()
    counted = dict(foreign.group_by("scope").len().iter_rows())
    return {
        row["scope"]: Vault(
            row["scope"],
            row["model"],
            bool(row["policies_known"]),
            tuple(by_vault.get(row["scope"], ())),
            counted.get(row["scope"], 0),
            tuple(flag for flag in FLAGS if row[flag]),
        )
        for row in vaults.sort("scope").iter_rows(named=True)
    }


def _policies(rows: pl.DataFrame) -> Iterable[VaultPolicy]:
    allowed: Mapping[tuple[str, str], frozenset[str]] = operations_by_permission()
    key = ("scope", "principal_id", "app_id")
    given = rows.select(*key, permission=pl.struct("kind", "permission")).unique()
    grouped = given.group_by(key).agg(pl.col("permission").sort()).sort(key)
    for scope, principal, app, words in grouped.iter_rows():
        permissions = tuple((word["kind"], word["permission"]) for word in words)
        operations = frozenset().union(*(allowed.get(one, frozenset()) for one in permissions))
        unknown = tuple(one for one in permissions if one not in allowed)
        yield VaultPolicy(scope, principal, app, permissions, operations, unknown, in_part(permissions))
