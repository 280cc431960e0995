"""How long layers and reach take on a tenant of many principals, made up as frames.

Users in teams, applications, machines and sites whose identities hold roles, owners of subscriptions and of the root.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import polars as pl

from rightsize.analyze.facts import read_facts
from rightsize.analyze.inputs import Inputs, empty
from rightsize.analyze.layers import measure_layers
from rightsize.analyze.reach import measure_reach, read_holdings, view_of, ways_from
from rightsize.analyze.verdicts import Analysis
from tests.analyze.tiny import Tiny

SLOW = True
SUBSCRIPTIONS, GROUPS_EACH, PRINCIPALS = 100, 20, 20_000
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


def make_tenant(principals: int = PRINCIPALS) -> tuple[Inputs, Analysis, Callable[[str], pl.DataFrame]]:
    """Return a tenant: users, a third of them in groups, applications, and machines whose identities hold roles."""
    chance = random.Random(7)  # noqa: S311  made-up data
    tiny = Tiny().catalogue(OPERATIONS)
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
        tiny.add("principals", principal_id=who, principal_type="User" if number % 5 else "ServicePrincipal")
        tiny.member(chance.choice(teams), who)
        if number % 2:
            tiny.assign(f"a-{who}", who, chance.choice(list(ROLES)[1:]), chance.choice(groups))
    for number in range(40):
        tiny.assign(f"a-owner-{number}", f"u{number}", "owner", f"/subscriptions/s{number}")
    tiny.assign("a-root", "u1", "owner", "/")
    inputs = tiny.inputs()
    return inputs, tiny.analyse(), lambda name: getattr(inputs, name, empty(name))


def run() -> Iterator[tuple[str, str, str]]:
    """Yield the seconds of each part."""
    inputs, analysis, table_of = make_tenant()
    size = f"{PRINCIPALS:,} principals, {inputs.role_assignments.height:,} assignments, {inputs.scopes.height:,} scopes"
    began = time.perf_counter()
    answer = measure_layers(analysis)
    yield "layers", f"{time.perf_counter() - began:.1f} s", f"{size}; {answer.violations.height:,} violations"
    began = time.perf_counter()
    facts = read_facts(inputs, table_of)
    holdings = {"granted": read_holdings(analysis)["granted"]}
    rows, cells = measure_reach(analysis, inputs, {"granted": (facts, holdings["granted"])})
    yield "reach of everybody", f"{time.perf_counter() - began:.1f} s", f"{rows.height:,} rows, {cells.height:,} cells"
    began = time.perf_counter()
    view = view_of(facts, analysis.tenant, inputs, holdings["granted"], with_eligible=False)
    edges = sum(len(ends) for ends in view.graph.out)
    told = f"{len(view.graph.names):,} nodes, {edges:,} edges"
    yield "the graph of it, closed", f"{time.perf_counter() - began:.1f} s", told
    began = time.perf_counter()
    ways = ways_from(view, "p:u1", [name for name in view.graph.names if name[0] in "prs"])
    yield "shortest ways of the widest principal", f"{time.perf_counter() - began:.1f} s", f"{len(ways):,} ways"
