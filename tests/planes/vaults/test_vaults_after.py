"""What is reached in a vault when a plan has switched it: by the roles of the plan, and by roles that slept."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.measure import granted_holdings, own_of, reached_of, view_of
from rightsize.analyze.tenant import read_tenant
from rightsize.model.nouns import LAYERS
from rightsize.model.plan import Plan
from rightsize.planes.planned_state import holdings_after, tables_after
from rightsize.rules.vaults import spellings
from tests.analyze.tiny import Tiny
from tests.planes.vaults.vault_world import GET, ROLES, SET, SUBSCRIPTION, VAULT, World

pytestmark = pytest.mark.slow

_TYPE = "Microsoft.KeyVault/vaults"


def _views(world: World) -> list[dict[str, tuple[bool, int]]]:
    """Return today and after the plan, by principal: whether the secrets are reached, and the layers that fall."""
    plan = Plan({}, (), (), (), parts=(world.part(),))
    tiny = Tiny().catalogue(dict.fromkeys(spellings().values(), True))
    tiny.add("scopes", scope=SUBSCRIPTION, kind="subscription", parent_scope="/", listed=True)
    tiny.add("scopes", scope=VAULT, kind="resource", resource_type=_TYPE)
    for number, (name, actions) in enumerate(ROLES.items()):
        data = [f"{_TYPE}/{one}" for one in actions]
        tiny.role(f"0000000{number}-0000-4000-8000-000000000000", data=data)
        tiny.rows["role_definitions"][-1]["role_name"] = name
    tiny.assign("a", "sleeper", "00000001-0000-4000-8000-000000000000", SUBSCRIPTION)
    for one in world.people:
        tiny.add("principals", principal_id=one["principal_id"], principal_type="User")
    inputs = tiny.inputs()
    listed = [{"scope": VAULT, "resource_type": _TYPE, "settings": '{"enableSoftDelete":true}'}]

    def table_of(name: str) -> pl.DataFrame:
        rows: Any = listed if name == "resources" else None
        return world.table(name) if rows is None else pl.DataFrame(rows, schema=schema_of(name))

    tenant = read_tenant(inputs)
    today = granted_holdings(tenant)
    states = [(table_of, today), (tables_after(plan, table_of), holdings_after(plan, today, inputs, tenant))]
    found = []
    for tables, held in states:
        view = view_of(read_facts(inputs, tables), tenant, inputs, held, with_eligible=False)
        bit = view.frame.things.get(view.graph.numbers.get(f"s:{VAULT}", -1))
        whole = {who: reached_of(view, f"p:{who}") for who in ("reader", "writer", "idle", "sleeper")}
        found.append({
            who: (bit is not None and bool(bits >> bit & 1), own_of(view, f"p:{who}") >> 3 & (1 << len(LAYERS)) - 1)
            for who, bits in whole.items()
        })  # fmt: skip
    return found


def _world() -> World:
    world = World().holds("reader", "User", secrets=["all"]).holds("writer", "User", secrets=["get", "set"])
    return world.uses("reader", GET).uses("writer", SET).holds("idle", "User", secrets=["get"])


def test_roles_decide_in_a_vault_that_the_plan_switches() -> None:
    """Whoever keeps a role that reads reaches the secrets; a role that slept above the vault wakes up."""
    today, after = _views(_world())
    reached = {who: (today[who][0], after[who][0]) for who in today}
    assert reached == {
        "reader": (True, True), "writer": (True, False), "idle": (True, False), "sleeper": (False, True),
    }  # fmt: skip


def test_a_policy_defeats_the_layers_that_its_operations_do() -> None:
    """Whoever may purge every secret defeats the protection of data today, by a policy, and no longer afterwards."""
    today, after = _views(_world())
    assert today["reader"][1] and not after["reader"][1]


def test_in_a_vault_that_waits_the_policies_decide_afterwards_too() -> None:
    world = _world().holds("asked", "User", app="client", keys=["sign"])
    today, after = _views(world)
    assert after == today
    assert after["idle"][0]
