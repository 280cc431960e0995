"""How long layers and reach take on a tenant of many principals, made up as frames.

Users in teams, applications, machines and sites whose identities hold roles, owners of subscriptions and of the root;
owners of groups and applications, memberships to be activated, administrative units, consent, and trusted branches.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, empty, schema_of
from rightsize.analyze.reach.facts import read_facts, without_grants
from rightsize.analyze.reach.layers import measure_layers
from rightsize.analyze.reach.measure import measure_reach, read_holdings, view_of, ways_from
from rightsize.analyze.verdicts.judge import Analysis
from tests.analyze.tiny import Tiny

SLOW = True
SUBSCRIPTIONS, GROUPS_EACH, SIZES = 100, 20, (20_000, 50_000, 100_000)
ARM = "797f4846-ba00-4fd7-ba43-dac1f8f63013"
HELPDESK = "729827e3-9c14-49f7-bb1b-9608f156bbb8"
VM, SITE, VAULT, STORE = (
    "Microsoft.Compute/virtualMachines",
    "Microsoft.Web/sites",
    "Microsoft.KeyVault/vaults",
    "Microsoft.Storage/storageAccounts",
)
OPERATIONS = {
    f"{VM}/write": False,
    f"{VM}/runCommand/action": False,
    f"{SITE}/write": False,
    f"{SITE}/config/write": False,
    f"{STORE}/write": False,
    f"{STORE}/listKeys/action": False,
    "Microsoft.Network/networkSecurityGroups/write": False,
    "Microsoft.Insights/diagnosticSettings/delete": False,
    "Microsoft.Authorization/roleAssignments/write": False,
    f"{VAULT}/secrets/getSecret/action": True,
    f"{VM}/read": False,
}
ROLES: dict[str, dict[str, Any]] = {
    "owner": {"actions": ["*"]},
    "contributor": {"actions": ["*"], "minus": ["Microsoft.Authorization/*"]},
    "machines": {"actions": [f"{VM}/*"]},
    "web": {"actions": [f"{SITE}/*"]},
    "network": {"actions": ["Microsoft.Network/*"]},
    "secrets": {"actions": [], "data": [f"{VAULT}/secrets/*"]},
    "reader": {"actions": ["*/read"]},
}


def make_tenant(principals: int) -> tuple[Inputs, Analysis, Callable[[str], pl.DataFrame]]:
    """Return a tenant: users, a third of them in groups, applications, and machines whose identities hold roles."""
    chance = random.Random(7)  # noqa: S311  made-up data
    tiny = Tiny().catalogue(OPERATIONS)
    tiny.add("principals", principal_id=ARM, principal_type="ServicePrincipal", app_id=ARM)
    for name, parts in ROLES.items():
        tiny.role(name, *parts["actions"], data=parts.get("data", ()), minus=parts.get("minus", ()))
    groups = [
        f"/subscriptions/s{number}/resourcegroups/g{part}"
        for number in range(SUBSCRIPTIONS)
        for part in range(GROUPS_EACH)
    ]
    for number in range(SUBSCRIPTIONS):
        tiny.add("scopes", scope=f"/subscriptions/s{number}", kind="subscription", parent_scope="/", listed=True)
    for group in groups:
        for kind in (VM, SITE, VAULT, STORE):
            scope = f"{group}/providers/{kind}/{kind[-3:]}{chance.randrange(9)}"
            tiny.add("scopes", scope=scope, kind="resource", resource_type=kind)
            if kind in (VM, SITE):
                identity = f"mi-{len(tiny.rows['scopes'])}"
                tiny.add("principals", principal_id=identity, principal_type="ManagedIdentity",
                         alternative_names=["isExplicit=False", scope])  # fmt: skip
                role = chance.choice(["contributor", "secrets", "web", "reader"])
                tiny.assign(f"a-{identity}", identity, role, chance.choice([group, group, chance.choice(groups)]))
    teams = [f"team{number}" for number in range(principals // 20)]
    for team in teams:
        tiny.add("principals", principal_id=team, principal_type="Group")
        for part in range(3):
            tiny.assign(f"a-{team}-{part}", team, chance.choice(list(ROLES)[1:]), chance.choice(groups))
    for number in range(principals):
        who = f"u{number}"
        kind = "User" if number % 5 else "ServicePrincipal"
        tiny.add("principals", principal_id=who, principal_type=kind, app_id=None if number % 5 else f"app-{who}")
        tiny.member(chance.choice(teams), who)
        if number % 2:
            tiny.assign(f"a-{who}", who, chance.choice(list(ROLES)[1:]), chance.choice(groups))
    for number in range(principals // 4):
        tiny.use(f"u{2 * number + 1}", chance.choice(list(OPERATIONS)), chance.choice(groups))
    for number in range(40):
        tiny.assign(f"a-owner-{number}", f"u{number}", "owner", f"/subscriptions/s{number}")
    tiny.assign("a-root", "u1", "owner", "/")
    for number in range(principals // 100):
        tiny.add("group_schedule_instances", instance_id=f"i{number}", state="eligible", principal_id=f"u{number}",
                 group_id=chance.choice(teams), access=chance.choice(["member", "owner"]))  # fmt: skip
    inputs = tiny.inputs()
    more = _beyond(principals, teams, chance)
    return inputs, tiny.analyse(), lambda name: more.get(name, getattr(inputs, name, empty(name)))


def _beyond(principals: int, teams: list[str], chance: random.Random) -> dict[str, pl.DataFrame]:
    """Return who owns, administers a unit, has consented and is trusted, each of about one in a hundred."""
    few = range(principals // 100)
    apps = [f"u{number}" for number in range(0, principals, 5)]
    rows: dict[str, list[dict[str, Any]]] = {
        "object_owners": [
            {"object_id": chance.choice(teams if number % 2 else apps), "owner_id": f"u{5 * number + 1}"}
            for number in few
        ],
        "administrative_unit_members": [
            {"unit_id": f"unit{number % 200}", "member_id": f"u{number}"} for number in range(0, principals, 2)
        ],
        "directory_role_assignments": [
            {"role_assignment_id": f"d{number}", "state": "active", "principal_id": f"u{5 * number + 2}",
             "directory_role_id": HELPDESK, "scope": f"/administrativeUnits/unit{number % 200}"}
            for number in few
        ],
        "directory_roles": [
            {"directory_role_id": HELPDESK, "actions": ["microsoft.directory/users/password/update"]}
        ],
        "permission_grants": [
            {"permission_grant_id": f"g{number}", "client_id": chance.choice(apps), "resource_id": ARM,
             "consent_type": "Principal" if number else "AllPrincipals", "permissions": ["user_impersonation"],
             "principal_id": f"u{5 * number + 3}" if number else None}
            for number in few
        ],
        "federated_credentials": [
            {"object_id": f"o{number}", "name": "main", "app_id": f"app-{app}", "issuer": "https://issuer.example",
             "subject": f"repo:org/{number}", "is_expression": False}
            for number, app in enumerate(chance.sample(apps, len(few)))
        ],
    }  # fmt: skip
    return {
        name: pl.DataFrame([{column: row.get(column) for column in schema_of(name)} for row in found],
                           schema=schema_of(name))
        for name, found in rows.items()
    }  # fmt: skip


def run() -> Iterator[tuple[str, str, str]]:
    """Yield the seconds of processor of each part, and the memory of the process at its most until then."""
    for principals in SIZES:
        yield from _measure(principals)


def _measure(principals: int) -> Iterator[tuple[str, str, str]]:
    inputs, analysis, table_of = make_tenant(principals)
    size = f"{principals:,} principals"
    told = f"{inputs.role_assignments.height:,} assignments, {inputs.scopes.height:,} scopes"
    seconds, answer = _timed(lambda: measure_layers(analysis))
    yield f"layers, {size}", seconds, f"{told}; {answer.violations.height:,} violations"
    facts = read_facts(inputs, table_of)
    holdings = read_holdings(analysis)
    for basis, these in (
        ("granted", facts),
        ("used", without_grants(facts)),
        ("proposed", facts),
    ):
        # What a plan leaves is at most what is granted, and costs as much to close.
        held = [(basis, these, holdings["used" if basis == "used" else "granted"])]
        seconds, found = _timed(lambda held=held: measure_reach(analysis, inputs, held))
        rows, cells = found
        yield f"reach of everybody, {size}, {basis}", seconds, f"{rows.height:,} rows, {cells.height:,} cells"
    seconds, view = _timed(lambda: view_of(facts, analysis.tenant, inputs, holdings["granted"], with_eligible=True))
    edges = sum(len(ends) for ends in view.graph.out)
    yield f"the graph of it, {size}", seconds, f"{len(view.graph.names):,} nodes, {edges:,} edges"
    ends = [name for name in view.graph.names if name[0] in "prs"]
    seconds, ways = _timed(lambda: ways_from(view, "p:u1", ends))
    yield f"shortest ways of the widest, {size}", seconds, f"{len(ways):,} ways"


def _timed(work: Callable[[], Any]) -> tuple[str, Any]:
    began = time.process_time()
    found = work()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return f"{time.process_time() - began:.1f} s, {most:,.0f} MB", found
