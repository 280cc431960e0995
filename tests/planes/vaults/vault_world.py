"""One vault with access policies from tables: who holds what, what the log shows, and the roles that exist."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.model.options import WindowOptions
from rightsize.model.plan import PlanePart, Proposal
from rightsize.planes.vaults.judge import VaultAnalysis, analyse_vaults
from rightsize.planes.vaults.plan import plan_vaults
from rightsize.planes.vaults.tables import VaultTables, vault_window
from rightsize.propose.core.options import PlanOptions
from rightsize.rules.vaults import operations_by_permission, spellings

LAST = dt.date(2026, 3, 31)
DAYS = [LAST - dt.timedelta(days=number) for number in range(90)]
SUBSCRIPTION = "/subscriptions/60000000-0000-4000-8000-000000000000"
VAULT = f"{SUBSCRIPTION}/resourcegroups/rg/providers/microsoft.keyvault/vaults/kv"
_DATA = "Microsoft.KeyVault/vaults/"
ROLES = {
    "Key Vault Secrets User": ["secrets/getSecret/action", "secrets/readMetadata/action"],
    "Key Vault Secrets Officer": ["secrets/*"],
    "Key Vault Crypto User": [
        *(f"keys/{verb}/action" for verb in ("update", "backup", "encrypt", "decrypt", "wrap", "unwrap", "sign")),
        "keys/verify/action", "keys/read",
    ],
    "Key Vault Crypto Service Encryption User": ["keys/read", "keys/wrap/action", "keys/unwrap/action"],
    "Key Vault Crypto Officer": ["keys/*", "keyrotationpolicies/*"],
    "Key Vault Certificates Officer": ["certificatecas/*", "certificates/*", "certificatecontacts/write"],
    "Key Vault Reader": ["*/read", "secrets/readMetadata/action"],
    "Key Vault Administrator": ["*"],
}  # fmt: skip
GET, LIST, SET = (f"secrets/{end}" for end in ("getSecret/action", "readMetadata/action", "setSecret/action"))


class World:
    """A vault; its log covers every day unless `covered` says otherwise."""

    def __init__(self) -> None:
        self.policies: list[dict[str, Any]] = []
        self.use: list[dict[str, Any]] = []
        self.people: list[dict[str, Any]] = []
        self.members: list[dict[str, Any]] = []
        self.usage: list[dict[str, Any]] = []
        self.assignments: list[dict[str, Any]] = []
        self.covered = DAYS
        self.roles = ROLES
        self.listings = [{"listing": name, "of": "", "complete": True, "rejected": 0}
                         for name in ("users", "groups", "servicePrincipals")]  # fmt: skip

    def holds(self, who: str, kind: str = "ServicePrincipal", app: str = "", **permissions: list[str]) -> World:
        """Give a policy, as `secrets=["get"]`; the holder is listed unless its kind is empty."""
        allowed = operations_by_permission()
        for plural, words in permissions.items():
            of = plural.removesuffix("s")
            for word in words:
                self.policies += [
                    {"scope": VAULT, "principal_id": who, "app_id": app, "kind": of, "permission": word,
                     "is_foreign": False, "operation": spellings()[one]}
                    for one in sorted(allowed.get((of, word), ()))
                ] or [{"scope": VAULT, "principal_id": who, "app_id": app, "kind": of, "permission": word,
                       "is_foreign": False}]  # fmt: skip
        if kind and all(one["principal_id"] != who for one in self.people):
            self.people.append({"principal_id": who, "principal_type": kind, "display_name": who, "listed": True,
                                "created_on": dt.datetime(2024, 1, 1)})  # fmt: skip
        return self

    def uses(self, who: str | None, operation: str, item: str = "secrets/a", every: int = 1, **more: Any) -> World:
        """Let somebody use an operation at an item of the vault (at the vault itself for an empty one)."""
        scope = f"{VAULT}/{item}" if item else VAULT
        self.use += [
            {"principal_id": who, "operation": _DATA + operation, "scope": scope, "day": day, "events": 2, "suspect": 0,
             "first_seen": dt.datetime.combine(day, dt.time(8)), "last_seen": dt.datetime.combine(day, dt.time(9))}
            | more
            for day in DAYS[::every]
        ]  # fmt: skip
        return self

    def table(self, name: str) -> pl.DataFrame:
        """Return a table of the store."""
        vault = {"scope": VAULT, "model": "policies", "tenant_id": "t", "policies_known": True}
        rows: dict[str, list[dict[str, Any]]] = {
            "vaults": [vault],
            "vault_policies": self.policies,
            "vault_use_days": self.use,
            "principals": self.people,
            "group_members": [one | {"listing": "members"} for one in self.members],
            "group_closure": [one | {"depth": 1} for one in self.members],
            "listings": self.listings,
            "resources": [{"scope": VAULT, "resource_type": "Microsoft.KeyVault/vaults"}],
            "usage_days": self.usage,
            "role_assignments": self.assignments,
            "coverage": [
                {"source": "key_vault_log", "category": "AuditEvent", "scope": VAULT, "day": day, "events": 5,
                 "state": "observed"}
                for day in self.covered
            ],
            "role_definitions": [
                {"role_definition_id": f"0000000{number}-0000-4000-8000-000000000000", "role_name": role,
                 "role_type": "BuiltInRole", "description": "", "permissions": _blocks(actions)}
                for number, (role, actions) in enumerate(self.roles.items())
            ],
        }  # fmt: skip
        schema = schema_of(name)
        found = rows.get(name, [])
        return pl.DataFrame([dict.fromkeys(schema) | one for one in found], schema=schema)

    def analysis(self) -> VaultAnalysis:
        """Return the verdicts."""
        tables = VaultTables.read(self.table)
        return analyse_vaults(tables, vault_window(tables, WindowOptions(as_of=LAST + dt.timedelta(days=1))))

    def part(self, **options: Any) -> PlanePart:
        """Return the part of the plan."""
        return plan_vaults(self.analysis(), PlanOptions(**options))

    def proposal(self, who: str, **options: Any) -> Proposal:
        """Return the only proposal for a holder."""
        (found,) = [one for one in self.part(**options).proposals if one.principal_ids == (who,)]
        return found


def _blocks(actions: list[str]) -> str:
    return json.dumps([{"actions": [], "notActions": [], "dataActions": [_DATA + one for one in actions],
                        "notDataActions": []}])  # fmt: skip


def roles_of(proposal: Proposal) -> dict[str, list[str]]:
    """Return the names of the roles by place below the vault."""
    return {scope.removeprefix(VAULT): names for scope, names in proposal.evidence["vault"]["roles"].items()}
