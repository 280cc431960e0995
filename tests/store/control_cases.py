"""One tenant that fails each control, and one that passes it: rows added to the same small base."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

Rows = dict[str, list[dict[str, Any]]]


def guid(digit: str) -> str:
    return f"{digit * 8}-0000-0000-0000-000000000000"


ANN, BOB, GUS, OPS, NIGHT, BOT, GONE = (guid(digit) for digit in "abcdef9")
ROOT, GROUP = "/", "/providers/Microsoft.Management/managementGroups/platform"
SUB = f"/subscriptions/{guid('1')}"
RG = f"{SUB}/resourceGroups/rg"
ACCOUNT = f"{RG}/providers/Microsoft.Storage/storageAccounts/st"
VAULT = f"{RG}/providers/Microsoft.KeyVault/vaults/kv"
OWNER = "8e3af657-a8ff-443c-a75c-2fe8c4bcb635"
ACCESS = "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"
RBAC = "f58310d9-a9f6-439a-9e8d-f62e7b41a168"
GLOBAL = "62e90394-69f5-4237-9190-012177145e10"
CONTRIBUTOR, READER, DATA, CUSTOM = (guid(digit) for digit in "3456")

_OPERATIONS = {
    "Microsoft.Authorization/roleAssignments/write": ("privilege", "identity_control", "write"),
    "Microsoft.Authorization/policyAssignments/write": ("privilege", "identity_control", "write"),
    "Microsoft.Authorization/locks/delete": ("evasion", "data_protection", "delete"),
    "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action": ("privilege", "identity_control", "action"),
    "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write": (
        "privilege",
        "identity_control",
        "write",
    ),
    "Microsoft.KeyVault/vaults/accessPolicies/write": ("privilege", "data_protection", "write"),
    "Microsoft.Compute/virtualMachines/runCommand/action": ("code_execution", "host_integrity", "action"),
    "Microsoft.Storage/storageAccounts/listKeys/action": ("secret", "data_protection", "action"),
    "Microsoft.Insights/diagnosticSettings/delete": ("evasion", "monitoring", "delete"),
    "Microsoft.RecoveryServices/vaults/delete": ("destruction", "data_protection", "delete"),
    "Microsoft.Compute/virtualMachines/read": (None, "host_integrity", "read"),
}
_DATA = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
_GIVING = [name for name in _OPERATIONS if "Authorization/" in name]
_ROLES = {
    OWNER: ("Owner", "BuiltInRole", list(_OPERATIONS)),
    ACCESS: ("User Access Administrator", "BuiltInRole", _GIVING),
    RBAC: ("Role Based Access Control Administrator", "BuiltInRole", _GIVING[:1]),
    CONTRIBUTOR: ("Contributor", "BuiltInRole", [name for name in _OPERATIONS if name not in _GIVING]),
    READER: ("Reader", "BuiltInRole", ["Microsoft.Compute/virtualMachines/read"]),
    DATA: ("Storage Blob Data Reader", "BuiltInRole", [_DATA]),
}


def day(number: int) -> dt.date:
    return dt.date(2026, 1, 1) + dt.timedelta(days=number)


def base() -> Rows:
    """A tenant whose listings are whole and in which nobody holds anything."""
    people = [(ANN, "User", "Ann"), (BOB, "User", "Bob"), (GUS, "User", "Gus"), (BOT, "ServicePrincipal", "bot")]
    groups = [(OPS, "Group", "Operators"), (NIGHT, "Group", "Night")]
    return {
        "principals": [
            {"principal_id": id_, "principal_type": kind, "display_name": name, "listed": True}
            | {"account_enabled": True, "user_type": "Guest" if id_ == GUS else "Member", "is_synced": False}
            | {"is_role_assignable": True, "group_types": []}
            for id_, kind, name in (*people, *groups)
        ],
        "listings": [{"listing": name, "of": "", "complete": True} for name in ("users", "groups", "servicePrincipals")]
        + [{"listing": "members", "of": group, "complete": True} for group in (OPS, NIGHT)],
        "scopes": [
            {"scope": ROOT, "kind": "root"},
            {"scope": GROUP, "kind": "management_group", "parent_scope": ROOT},
            {"scope": SUB, "kind": "subscription", "parent_scope": GROUP},
        ],
        "role_definitions": [
            {"role_definition_id": id_, "role_name": name, "role_type": kind, "assignable_scopes": ["/"]}
            for id_, (name, kind, _) in _ROLES.items()
        ],
        "operations": [
            {"operation": name, "is_data_action": False, "risk": risk, "layer": layer, "verb": verb}
            for name, (risk, layer, verb) in _OPERATIONS.items()
        ]
        + [{"operation": _DATA, "is_data_action": True, "risk": "data_access", "verb": "read"}],
        "role_operations": [
            {"role_definition_id": id_, "operation": name, "plane": "data" if name == _DATA else "control"}
            | {"conditional": False}
            for id_, (_, _, names) in _ROLES.items()
            for name in names
        ],
        "loads": [
            {"sha256": name, "source": name} for name in ("role_definitions", "role_eligibility_instances", "users")
        ],
        # Somebody holds something harmless, so that assignments count as loaded.
        "role_assignments": [held("zz", BOB, READER, f"{RG}/providers/Microsoft.Compute/virtualMachines/vm")],
        "coverage": [
            {"source": source, "category": category, "scope": scope, "day": day(number), "state": "observed"}
            for number in range(100)
            for source, category, scope in (
                ("activity_log", "Administrative", SUB),
                *(("sign_in_log", kind, "/") for kind in ("interactive", "non_interactive")),
                *(("sign_in_log", kind, "/") for kind in ("service_principal", "managed_identity")),
            )
        ],
        "usage_days": [used(BOB, "Microsoft.Compute/virtualMachines/read")],
        "verdicts": [verdict("zz", "active", "used", 1)],
        "directory_roles": [
            {"directory_role_id": GLOBAL, "role_name": "Global Administrator", "is_privileged": True},
            {"directory_role_id": guid("7"), "role_name": "License Administrator", "is_privileged": False},
        ],
        "directory_role_assignments": [in_directory("dz", BOB, guid("7"))],
        "graph_permissions": [
            {"permission": name, "access": "delegated", "privilege_level": level}
            for name, level in (("User.Read", 1), ("Files.ReadWrite.All", 5))
        ],
    }


def held(name: str, principal: str, role: str, scope: str = SUB, state: str = "active", **more: Any) -> dict[str, Any]:
    kind = {OPS: "Group", NIGHT: "Group", BOT: "ServicePrincipal", GONE: "Unknown"}.get(principal, "User")
    row = {"role_assignment_id": name, "principal_id": principal, "role_definition_id": role, "scope": scope}
    return row | {"state": state, "principal_type": kind, "created_by": guid("8")} | more


def in_directory(name: str, principal: str, role: str, state: str = "active", **more: Any) -> dict[str, Any]:
    row = {"role_assignment_id": name, "principal_id": principal, "directory_role_id": role, "scope": "/"}
    return row | {"state": state} | more


def directory(*rows: dict[str, Any]) -> Rows:
    return {"directory_role_assignments": list(rows)}


def permitted(*words: str, gains: str | None = None) -> Rows:
    """An application permission of Graph that the bot holds, with its verdicts and what it escalates to."""
    rows: Rows = {
        "app_role_assignments": [{"app_role_assignment_id": "g", "principal_id": BOT, "app_role_id": guid("1")}]
    }
    rows["verdicts"] = [
        verdict("g", "active", word, 1) | {"plane": "graph", "principal_id": BOT, "operation": word} for word in words
    ]
    if gains:
        rows["escalations"] = [
            {"principal_id": BOT, "rule": "r", "plane": "graph", "permission": "x.readwrite.all", "gains": gains}
            | {"certain": True, "what": "becomes somebody else", "state": "active", "scope": "/"}
        ]
    return rows


def consented(kind: str, *permissions: str) -> Rows:
    row = {"permission_grant_id": "c", "client_id": BOT, "consent_type": kind, "permissions": list(permissions)}
    return {"permission_grants": [row]}


def member(group: str, of: str, depth: int = 1) -> dict[str, Any]:
    return {"group_id": group, "member_id": of, "depth": depth}


AGENT, BLUEPRINT, MADE_FROM = (guid(digit) for digit in ("a0", "b0", "c0"))


def agents(*parts: Rows) -> Rows:
    """An agent identity that was seen, the principal of its blueprint, and Bob, who answers for both."""
    made = {"principal_type": "ServicePrincipal", "account_enabled": True}
    rows: Rows = {
        "principals": [
            {
                "principal_id": AGENT,
                "display_name": "helper",
                "object_type": "agentIdentity",
                "blueprint_app_id": MADE_FROM,
            }
            | made,
            {"principal_id": BLUEPRINT, "display_name": "Helpers", "app_id": MADE_FROM}
            | {"object_type": "agentIdentityBlueprintPrincipal"}
            | made,
        ],
        "object_sponsors": [{"object_id": AGENT, "sponsor_id": BOB}, sponsored("blueprint", BOB)],
        "agent_blueprints": [{"blueprint_app_id": MADE_FROM, "object_id": "blueprint"}],
        "app_role_assignments": [{"app_role_assignment_id": "g", "principal_id": AGENT, "app_role_id": guid("1")}],
        "inheritable_permissions": [inheritable("delegated", "enumerated")],
    }
    return merged(rows, *parts)


_OF_AGENTS = "serviceprincipals/microsoft.graph.agentidentity"
_OF_BLUEPRINTS = "applications/microsoft.graph.agentidentityblueprint"
ANSWERABLE: Rows = {
    "listings": [
        {"listing": relation, "of": of, "complete": True, "rejected": 0}
        for of, relations in (
            (_OF_AGENTS, ("owners", "sponsors")),
            (_OF_BLUEPRINTS, ("owners", "sponsors")),
            ("serviceprincipals", ("owners",)),
        )
        for relation in relations
    ]
}
"""Complete listings of owners and sponsors of agents and blueprints."""


def sponsored(what: str, by: str) -> dict[str, Any]:
    return {"object_id": what, "sponsor_id": by, "app_id": MADE_FROM}


def inheritable(access: str, mode: str) -> dict[str, Any]:
    return {"blueprint_id": "blueprint", "resource_app_id": "api", "access": access, "mode": mode}


def reaching(who: str, basis: str) -> Rows:
    return {"reach": [{"subject": who, "basis": basis, "state": "active", "takes_tenant": True, "tenant_steps": 2}]}


def seen(principal: str) -> Rows:
    return {"sign_ins": [{"principal_id": principal, "succeeded": 1, "last_seen": dt.datetime(2026, 4, 1)}]}


def used(principal: str, operation: str, **more: Any) -> dict[str, Any]:
    row = {"principal_id": principal, "operation": operation, "scope": SUB, "plane": "control", "day": day(50)}
    return row | {"succeeded": 1, "failed": 0, "started": 0, "denied": 0, "suspect": 0} | more


def verdict(assignment: str, state: str, word: str, operations: int) -> dict[str, Any]:
    return {"role_assignment_id": assignment, "state": state, "verdict": word, "operations": operations}


def finding(control: str, subject: str) -> dict[str, Any]:
    return {"control": control, "subject": subject, "severity": "low", "reason": "it is so"}


def custom(pattern: str, *operations: str, scopes: list[str] | None = None) -> Rows:
    """A custom role with one action, assigned nowhere."""
    return {
        "role_definitions": [
            {"role_definition_id": CUSTOM, "role_name": "Ours", "role_type": "CustomRole"}
            | {"assignable_scopes": scopes or [RG]}
        ],
        "role_permissions": [{"role_definition_id": CUSTOM, "block": 0, "kind": "action", "pattern": pattern}],
        "role_operations": [
            {"role_definition_id": CUSTOM, "operation": name, "plane": "control", "conditional": False}
            for name in operations
        ],
    }


def assigned(*rows: dict[str, Any]) -> Rows:
    return {"role_assignments": list(rows)}


def principal(id_: str, **changes: Any) -> Rows:
    """A principal of the base with other properties: the row replaces that of the base."""
    return {"principals": [{"principal_id": id_, **changes}]}


def policy(**more: Any) -> Rows:
    row = {"policy_id": "p1", "role_definition_id": OWNER, "scope": SUB, "rules": "[]", "requires_mfa": True}
    row |= {"requires_approval": True, "requires_justification": True, "maximum_activation": "PT8H"}
    return {"role_management_policies": [row | more]}


@dataclass(frozen=True)
class Case:
    """Rows that fail a control for exactly one resource, and rows that pass it."""

    fails: Rows
    resource: str
    passes: Rows


def merged(*parts: Rows) -> Rows:
    """Put rows together; a principal that comes again changes the one before."""
    tables: Rows = {}
    for part in parts:
        for table, rows in part.items():
            tables.setdefault(table, []).extend(rows)
    people: dict[str, dict[str, Any]] = {}
    for row in tables.get("principals", []):
        people[row["principal_id"]] = people.get(row["principal_id"], {}) | row
    if people:
        tables["principals"] = list(people.values())
    return tables


def trusted(*words: str) -> Rows:
    """One workload that trusts as many outside subjects, with their verdicts."""
    return {
        "federated_credentials": [
            {"object_id": "app", "name": str(number), "issuer": "https://i", "subject": str(number)}
            for number in range(len(words))
        ],
        "verdicts": [
            verdict(f"trust-{number}", "active", word, 1) | {"plane": "trust", "principal_id": BOT}
            for number, word in enumerate(words)
        ],
    }


_WIDE = Case(assigned(held("a", ANN, CONTRIBUTOR)), "a", assigned(held("a", ANN, READER)))
_OWNING = Case(assigned(held("a", ANN, OWNER)), "a", assigned(held("a", ANN, OWNER, state="eligible")))
_STORAGE: Rows = {
    "scopes": [{"scope": ACCOUNT, "kind": "resource", "resource_type": "Microsoft.Storage/storageAccounts"}]
}
_FOUR = [ANN, BOB, GUS, BOT]


def _vault(model: str) -> Rows:
    """One vault with a policy, which counts where roles do not decide."""
    policy = {"scope": VAULT, "principal_id": ANN, "kind": "secret", "permission": "get", "is_foreign": False}
    return {"vaults": [{"scope": VAULT, "model": model}], "vault_policies": [policy]}


_GLOBAL = directory(in_directory("d", ANN, GLOBAL))

# A request to Azure AD Graph, by an application that no listing names.
_ASKED = {
    "loads": [{"sha256": "older", "source": "azure_ad_graph_log"}],
    "events": [
        {"source": "azure_ad_graph_log", "app_id": BOT, "operation": "GET /users", "time": dt.datetime(2026, 1, 5)}
    ],
}

CASES: dict[str, Case] = {
    "azure-ad-graph-used": Case(
        _ASKED, BOT, _ASKED | {"first_party_apps": [{"app_id": BOT, "display_name": "Portal"}]}
    ),
    "directory-global-administrators": Case(
        directory(*(in_directory(f"d{who[0]}", who, GLOBAL) for who in (ANN, BOB, GUS, BOT, guid("7")))),
        "/",
        directory(*(in_directory(f"d{who[0]}", who, GLOBAL) for who in (ANN, BOB, GUS, BOT))),
    ),
    "directory-standing-privilege": Case(_GLOBAL, ANN, directory(in_directory("d", ANN, GLOBAL, state="eligible"))),
    "directory-unused-privilege": Case(
        _GLOBAL | {"verdicts": [verdict("d", "active", "unused", 80), verdict("d", "active", "unobservable", 7)]},
        ANN,
        _GLOBAL | {"verdicts": [verdict("d", "active", "unused", 80), verdict("d", "active", "used", 1)]},
    ),
    "directory-guest-privilege": Case(directory(in_directory("d", GUS, GLOBAL)), GUS, _GLOBAL),
    "directory-synced-privilege": Case(merged(_GLOBAL, principal(ANN, is_synced=True)), ANN, _GLOBAL),
    "directory-workload-privilege": Case(
        directory(in_directory("d", BOT, GLOBAL)), BOT, directory(in_directory("d", BOT, guid("7")))
    ),
    "graph-takes-tenant": Case(permitted("used", gains="tenant"), BOT, permitted("used", gains="groups")),
    "graph-takes-others": Case(permitted("used", gains="applications"), BOT, permitted("used", gains="tenant")),
    "graph-unused-permissions": Case(permitted("used", "unused"), BOT, permitted("used")),
    "federation-unused": Case(trusted("used", "unused"), BOT, trusted("used", "used")),
    "federation-wide": Case(
        merged(trusted("used", "used"), {"findings": [finding("federated_wide", "trust-1")]}), BOT, trusted("used")
    ),
    "graph-tenant-consent": Case(
        consented("AllPrincipals", "User.Read", "Files.ReadWrite.All"),
        BOT,
        consented("Principal", "Files.ReadWrite.All"),
    ),
    "agent-answerable": Case(
        merged(
            agents(ANSWERABLE),
            principal(BOB, account_enabled=False),
            {"object_sponsors": [sponsored("blueprint", ANN)]},
        ),
        AGENT,
        agents(),
    ),
    "agent-blocked-permissions": Case(
        agents({"findings": [finding("agent_blocked_permission", BLUEPRINT)]}), BLUEPRINT, agents()
    ),
    "agent-inherits-all": Case(
        agents({"inheritable_permissions": [inheritable("application", "allAllowed")]}), BLUEPRINT, agents()
    ),
    "agent-takes-tenant": Case(agents(reaching(AGENT, "granted")), AGENT, agents(reaching(AGENT, "used"))),
    "agent-unused": Case(agents(), AGENT, agents(seen(AGENT))),
    "access-administrator-unlimited": Case(
        assigned(held("a", ANN, RBAC)), "a", assigned(held("a", ANN, RBAC, condition="(!(ActionMatches{'x'}))"))
    ),
    "activation-approval": Case(policy(requires_approval=False), "p1", policy()),
    "activation-justification": Case(policy(requires_justification=False, requires_ticket=False), "p1", policy()),
    "activation-length": Case(policy(maximum_activation="P1D"), "p1", policy(maximum_activation="PT30M")),
    "activation-mfa": Case(policy(requires_mfa=False), "p1", policy(requires_mfa=False, authentication_context="c1")),
    "activity-log-gaps": Case(
        {"coverage": [{"source": "activity_log", "scope": SUB, "day": day(101), "state": "missing"}]}, SUB, {}
    ),
    "assignment-room": Case(
        assigned(*(held(f"n{number}", ANN, READER) for number in range(3601))), SUB, assigned(held("a", ANN, READER))
    ),
    "backup-destruction": _WIDE,
    "custom-role-gives-rights": Case(
        custom("Microsoft.Authorization/*", _GIVING[0]), CUSTOM, custom("Microsoft.Compute/virtualMachines/read")
    ),
    "custom-role-owner": Case(custom("*", scopes=[SUB]), CUSTOM, custom("*", scopes=[RG])),
    "custom-role-unassigned": Case(
        custom("x"), CUSTOM, merged(custom("x"), assigned(held("a", ANN, CUSTOM, RG, "eligible")))
    ),
    "custom-role-unknown-operations": Case(
        custom("Microsoft.Compute/nothing/write"), CUSTOM, custom("microsoft.compute/virtualMachines/READ")
    ),
    "custom-role-wildcards": Case(custom("Microsoft.Compute/*"), CUSTOM, custom("*/read")),
    "data-roles-wide": Case(
        assigned(held("a", ANN, DATA)), "a", assigned(held("a", ANN, DATA, ACCOUNT), held("b", ANN, READER))
    ),
    "direct-user-assignments": Case({}, "zz", {"role_assignments": [held("a", OPS, READER)]}),
    "disabled-access": Case(
        merged(
            assigned(held("a", OPS, READER)),
            {"group_closure": [member(OPS, ANN)]},
            principal(ANN, account_enabled=False),
        ),
        ANN,
        assigned(held("a", ANN, READER)),
    ),
    "duplicate-assignments": Case({"findings": [finding("duplicate_assignment", "a")]}, "a", {}),
    "dynamic-group-privilege": Case(
        merged(assigned(held("a", OPS, CONTRIBUTOR)), principal(OPS, group_types=["DynamicMembership"])),
        OPS,
        merged(assigned(held("a", OPS, READER)), principal(OPS, group_types=["DynamicMembership"])),
    ),
    "eligibility-without-end": Case(
        assigned(held("a", ANN, OWNER, state="eligible")),
        "a",
        assigned(held("a", ANN, OWNER, state="eligible", end_on=dt.datetime(2027, 1, 1))),
    ),
    "escalation-federation": _WIDE,
    "escalation-identity": _WIDE,
    "escalation-policy": _OWNING,
    "escalation-run-command": _WIDE,
    "escalation-vault": _WIDE,
    "foreign-privilege": Case(
        assigned(held("a", GONE, CONTRIBUTOR, principal_tenant_id=guid("7"))),
        "a",
        assigned(held("a", GONE, READER, principal_tenant_id=guid("7"))),
    ),
    "guest-privilege": Case(
        merged(assigned(held("a", OPS, CONTRIBUTOR, RG)), {"group_closure": [member(OPS, GUS)]}),
        GUS,
        assigned(held("a", GUS, READER)),
    ),
    "guest-standing": Case(
        assigned(held("a", GUS, READER)), GUS, assigned(held("a", GUS, READER, end_on=dt.datetime(2027, 1, 1)))
    ),
    "inert-assignments": Case({"findings": [finding("inert_assignment", "a")]}, "a", {}),
    "layer-independence": Case(
        assigned(held("a", ANN, CONTRIBUTOR)), ANN, assigned(held("a", ANN, CONTRIBUTOR, state="eligible"))
    ),
    "lock-removal": _OWNING,
    "log-tampering": _WIDE,
    "management-group-privilege": Case(
        assigned(held("a", OPS, CONTRIBUTOR, GROUP)), "a", assigned(held("a", OPS, READER, GROUP))
    ),
    "monitoring-and-more": _WIDE,
    "nested-group-privilege": Case(
        merged(assigned(held("a", OPS, OWNER)), {"group_closure": [member(OPS, NIGHT), member(OPS, ANN, 3)]}),
        OPS,
        merged(assigned(held("a", OPS, OWNER)), {"group_closure": [member(OPS, ANN)]}),
    ),
    "orphaned-assignments": Case(
        merged(assigned(held("a", GONE, READER)), {"findings": [finding("orphaned_assignment", "a")]}),
        "a",
        assigned(held("a", ANN, READER)),
    ),
    "refused-calls": Case(
        {"usage_days": [used(ANN, f"x/{number}", denied=1, succeeded=0) for number in range(5)]},
        ANN,
        {"usage_days": [used(ANN, "x/1", denied=1, succeeded=0)]},
    ),
    "root-assignments": Case(assigned(held("a", ANN, READER, ROOT)), "a", assigned(held("a", ANN, READER, GROUP))),
    "self-assigned": Case(assigned(held("a", ANN, READER, created_by=ANN)), "a", assigned(held("a", ANN, READER))),
    "shared-key-readers": _WIDE,
    "shared-key-used": Case(
        {"usage_days": [used(ANN, "Microsoft.Storage/storageAccounts/listKeys/action", scope=ACCOUNT)]},
        ACCOUNT,
        {"usage_days": [used(ANN, "Microsoft.Storage/storageAccounts/listKeys/action", succeeded=0, denied=1)]},
    ),
    "sign-in-log-gaps": Case(
        {"coverage": [{"source": "sign_in_log", "category": "interactive", "day": day(101), "state": "missing"}]},
        "/interactive",
        {},
    ),
    "silent-privilege": Case(
        assigned(held("a", ANN, CONTRIBUTOR)),
        ANN,
        merged(
            assigned(held("a", ANN, CONTRIBUTOR)),
            {"sign_ins": [{"principal_id": ANN, "succeeded": 1, "last_seen": dt.datetime(2026, 4, 1)}]},
        ),
    ),
    "standing-contributor": Case(
        assigned(held("a", OPS, CONTRIBUTOR)), "a", assigned(held("a", OPS, CONTRIBUTOR, state="eligible"))
    ),
    "standing-owner": _OWNING,
    "standing-privilege": Case(
        assigned(held("a", BOT, ACCESS, RG)),
        "a",
        assigned(held("a", ANN, ACCESS), held("a", ANN, ACCESS, state="activated", end_on=dt.datetime(2026, 5, 1))),
    ),
    "subscription-owners-few": Case(
        assigned(*(held(f"a{number}", who, OWNER) for number, who in enumerate(_FOUR))),
        SUB,
        merged(assigned(held("a", OPS, OWNER)), {"group_closure": [member(OPS, ANN), member(OPS, BOB)]}),
    ),
    "subscription-owners-spare": Case(
        assigned(held("a", ANN, OWNER)), SUB, assigned(held("a", ANN, OWNER), held("b", BOB, OWNER, GROUP))
    ),
    "suspect-privilege": Case(
        merged(assigned(held("a", ANN, CONTRIBUTOR)), {"usage_days": [used(ANN, "x/1", suspect=1)]}),
        ANN,
        merged(assigned(held("a", ANN, CONTRIBUTOR)), {"usage_days": [used(BOB, "x/1", suspect=1)]}),
    ),
    "synced-privilege": Case(
        merged(assigned(held("a", ANN, OWNER)), principal(ANN, is_synced=True)), ANN, assigned(held("a", ANN, OWNER))
    ),
    "unexplained-use": Case({"findings": [finding("unexplained_use", ANN)]}, ANN, {}),
    "unprotected-group-privilege": Case(
        merged(assigned(held("a", OPS, OWNER)), principal(OPS, is_role_assignable=False)),
        OPS,
        assigned(held("a", OPS, OWNER)),
    ),
    "unused-assignments": Case(
        merged(assigned(held("a", ANN, CONTRIBUTOR)), {"verdicts": [verdict("a", "active", "unused", 5)]}),
        "a",
        merged(assigned(held("a", ANN, CONTRIBUTOR)), {"verdicts": [verdict("a", "active", "used", 1)]}),
    ),
    "unused-eligibility": Case(
        merged(
            assigned(held("a", ANN, OWNER, state="eligible")), {"verdicts": [verdict("a", "eligible", "unused", 5)]}
        ),
        "a",
        merged(
            assigned(
                held("a", ANN, OWNER, state="eligible"), held("x", ANN, OWNER, state="activated", eligibility_id="a")
            ),
            {"verdicts": [verdict("a", "eligible", "unused", 5), verdict("x", "activated", "used", 1)]},
        ),
    ),
    "unused-privilege": Case(
        merged(assigned(held("a", ANN, OWNER)), {"verdicts": [verdict("a", "active", "unused", 5)]}),
        "a",
        merged(
            assigned(held("a", ANN, OWNER)),
            {"verdicts": [verdict("a", "active", "unused", 5), verdict("a", "active", "used", 1)]},
        ),
    ),
    "user-access-administrator": Case(
        assigned(held("a", ANN, ACCESS)), "a", assigned(held("a", ANN, ACCESS, state="eligible"))
    ),
    "workload-gives-rights": Case(
        assigned(held("a", BOT, ACCESS)), BOT, assigned(held("a", BOT, ACCESS, condition="(!(ActionMatches{'x'}))"))
    ),
    "vault-access-policies": Case(_vault("policies"), VAULT, _vault("roles")),
    "workload-subscription-wide": Case(
        assigned(held("a", BOT, CONTRIBUTOR)), "a", assigned(held("a", BOT, CONTRIBUTOR, RG))
    ),
}
"""Controls that no case can fail are judged in tests of their own."""

UNKNOWABLE: dict[str, tuple[Rows, Rows]] = {
    "storage-unlogged": (
        _STORAGE,
        merged(
            _STORAGE, {"coverage": [{"source": "storage_log", "scope": ACCOUNT, "day": day(1), "state": "observed"}]}
        ),
    ),
    "emergency-accounts": (
        {"findings": [finding("emergency_access_account", ANN)]},
        {"findings": [finding("emergency_access_account", who) for who in (ANN, BOB)]},
    ),
}
"""Controls whose worst answer is `unknown`: rows that give it, and rows that pass."""
