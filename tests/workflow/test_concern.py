"""The analysis of one principal from its own rows equals the analysis of the whole tenant."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.existence_tables import states_of
from rightsize.analyze.reach import View, granted_holdings, view_of
from rightsize.analyze.reach_near import view_from
from rightsize.store.ahead import Ahead
from rightsize.store.connection import Store, open_store
from rightsize.workflow.concern import judge_principal
from rightsize.workflow.demo import STORE
from rightsize.workflow.explain_output import report_principal
from rightsize.workflow.principal_analysis import JudgedPrincipal, judge_from

TWELVE_OPERATIONS = tuple(f"microsoft.test/kind{number}/{verb}" for number in range(6) for verb in ("write", "delete"))
CHECKED_AND_WRITES = (
    "microsoft.compute/disks/begingetaccess/action",
    "microsoft.storage/storageaccounts/listkeys/action",
    "microsoft.compute/disks/write",
    "microsoft.compute/disks/delete",
    "microsoft.operationalinsights/workspaces/sharedkeys/action",
    "microsoft.authorization/policyassignments/exempt/action",
    "microsoft.compute/snapshots/write",
    "microsoft.insights/diagnosticsettings/write",
    "microsoft.compute/virtualmachines/write",
    "microsoft.authorization/policyexemptions/write",
    "microsoft.insights/components/write",
    "microsoft.compute/virtualmachines/delete",
)
"""Six that are checked inside writes, or look like it, and six that they are checked in, or look like it."""
SERVICES = (
    "storage/storageaccounts search/searchservices cache/redis web/sites sql/servers containerregistry/registries "
    "keyvault/vaults compute/virtualmachines network/virtualnetworks cdn/profiles batch/batchaccounts kusto/clusters"
)
ON_SERVICES = tuple(f"microsoft.{kind}/join/action" for kind in SERVICES.split())
"""Operations that no log shows, on types of which a listing can prove that there is none."""
SOME = 8
"""Of the demo's principals every eighth is asked."""
DAYS = 90


@pytest.fixture(scope="module")
def demo_store(demo_folder: Path) -> Store:
    """The demo's store."""
    return open_store(demo_folder / STORE, read_only=True)


def _whole(store: Store) -> JudgedPrincipal:
    return judge_from("", store.table, None, DAYS)


def _judged(store: Store, principal_id: str) -> JudgedPrincipal:
    with Ahead(store) as ahead:
        return judge_principal(ahead, principal_id, None, DAYS)


def _differs(store: Store, whole: JudgedPrincipal, principal_id: str) -> list[str]:
    """Return the parts of an answer that differ between what concerns a principal and the whole."""
    calls = store.table("token_calls", principal_id=principal_id)
    expected = report_principal(replace(whole, principal_id=principal_id, token_calls=calls), {})
    found = report_principal(_judged(store, principal_id), {})
    return [part for part in expected if found[part] != expected[part]]


def test_the_demo_is_told_alike_from_the_whole_and_from_what_concerns_each(demo_store: Store) -> None:
    """Azure RBAC, Graph, directory roles, sign-ins, findings, reach and tokens: every part of the answer is equal."""
    everybody = demo_store.frame("""
        SELECT DISTINCT principal_id FROM (
            SELECT principal_id FROM principals UNION SELECT principal_id FROM role_assignments
            UNION SELECT principal_id FROM usage_days UNION SELECT principal_id FROM sign_ins)
        WHERE principal_id IS NOT NULL ORDER BY principal_id""")["principal_id"]
    whole = _whole(demo_store)
    # Groups, and who holds something of Graph and of the directory, of whom more is judged than of others.
    holding = (("group_closure", "group_id"), ("app_role_assignments", "principal_id"),
               ("permission_grants", "client_id"), ("directory_role_assignments", "principal_id"))  # fmt: skip
    asked = [*everybody[::SOME], *(who for name, column in holding
                                   for who in demo_store.table(name)[column].unique().sort()[:3])]  # fmt: skip
    assert len(asked) > 10
    assert {who: found for who in asked if (found := _differs(demo_store, whole, who))} == {}


def test_what_a_principal_shares_with_others_is_credited_alike(tmp_path: Path) -> None:
    """Groups that overlap, roles that overlap: of several assignments the one that explains most is credited."""
    with open_store(tmp_path / "shared.duckdb", read_only=False) as store:
        _fill(store, random.Random(8))  # noqa: S311  drawn, and the same each time
        whole = _whole(store)
        used = whole.analysis.verdicts.filter(whole.analysis.verdicts["reason"] == "fewest")
        assert len(used) > 20
        reasons = {str(number): _differs(store, whole, f"user{number}") for number in range(0, 24, 3)}
        assert {who: found for who, found in reasons.items() if found} == {}
        judged = _judged(store, "user0")
        assert judged.inputs.usage_days["principal_id"].n_unique() < whole.inputs.usage_days["principal_id"].n_unique()
        # What is not used is judged where it reaches the principal, and nowhere else.
        assert 0 < len(judged.analysis.profiles) < len(judged.analysis.tenant.assignments)


def test_what_logs_name_beside_calls_is_credited_alike(tmp_path: Path) -> None:
    """Assignments of others, activations that ended, callers whom nobody knows, members whom no listing shows."""
    with open_store(tmp_path / "named.duckdb", read_only=False) as store:
        _fill(store, random.Random(5), named=True)  # noqa: S311
        whole = _whole(store)
        reasons = set(whole.analysis.verdicts["reason"])
        assert {"evidence", "past_activation", "principal_unresolved", "unexplained_use"} <= reasons
        found = {str(number): _differs(store, whole, f"user{number}") for number in range(0, 24, 2)}
        found |= {str(number): _differs(store, whole, f"group{number}") for number in range(8)}
        assert {who: differs for who, differs in found.items() if differs} == {}


def test_what_others_of_a_group_wrote_decides_its_linked_checks_alike(tmp_path: Path) -> None:
    """What Azure checked inside the write of a member, the group's assignment allowed, whichever allowed the write."""
    with open_store(tmp_path / "linked.duckdb", read_only=False) as store:
        _fill(store, random.Random(6), operations=CHECKED_AND_WRITES)  # noqa: S311
        _cover_window(store)
        whole = _whole(store)
        shown = whole.analysis.profile_operations.filter(pl.col("operation") == CHECKED_AND_WRITES[0])
        assert {"linked_check", "covered"} <= set(shown["reason"])
        found = {
            name: _differs(store, whole, name) for name in (*(f"user{n}" for n in range(0, 24, 2)), "group1", "group4")
        }
        assert {who: differs for who, differs in found.items() if differs} == {}


def test_what_others_called_decides_existence_alike(tmp_path: Path) -> None:
    """A type that only others called existed; one that was refused to all may have; one that nobody called did not."""
    with open_store(tmp_path / "existence.duckdb", read_only=False) as store:
        _fill(store, random.Random(7), operations=ON_SERVICES)  # noqa: S311
        _cover_window(store)
        _list_resources(store)
        whole = _whole(store)
        reasons = dict(whole.analysis.profile_operations.select("operation", "reason").unique().iter_rows())
        assert reasons["microsoft.web/sites/join/action"] != "no_such_resource"
        assert "no_such_resource" in set(whole.analysis.profile_operations["reason"])
        states = states_of(whole.analysis.existence)
        for name in ("user0", "user7", "group1", "group4"):
            judged = _judged(store, name)
            assert _differs(store, whole, name) == []
            found = states_of(judged.analysis.existence)
            wanted = ["node", "kind", "state", "reason"]
            assert found.select(wanted).equals(states.select(wanted))


def _list_resources(store: Store) -> None:
    """Add complete inventories whose reader may read, take use of two services away, and refuse that of a third."""
    run = store.connection.execute
    read_on = dt.datetime(2026, 3, 2, 6)
    run("INSERT INTO base.role_definitions (role_definition_id, role_name) VALUES ('reads', 'reads')")
    run("""INSERT INTO base.role_permissions (role_definition_id, block, kind, pattern)
        VALUES ('reads', 0, 'action', '*/read')""")
    run("""INSERT INTO base.role_assignments (role_assignment_id, state, principal_id, role_definition_id, scope)
        VALUES ('lists', 'active', 'lister', 'reads', '/subscriptions/s1')""")
    for kind in ("resource_list", "resource_graph"):
        values = {"kind": kind, "read_on": read_on}
        run("""INSERT INTO base.inventories (scope, kind, reader_id, read_on, complete)
            VALUES ('/subscriptions/s1', $kind, 'lister', $read_on, true)""", values)  # fmt: skip
    chosen = "SELECT operation_key FROM base.operation_names WHERE folded LIKE $like"
    for service in ("microsoft.storage/%", "microsoft.search/%"):
        run(f"DELETE FROM base.usage_days WHERE operation_key IN ({chosen})", {"like": service})
    run(f"UPDATE base.usage_days SET succeeded = 0, denied = 1 WHERE operation_key IN ({chosen})",
        {"like": "microsoft.cache/%"})  # fmt: skip


def test_a_name_means_whom_it_means_in_an_analysis_of_everybody(demo_store: Store) -> None:
    """A UPN means the principal that it means in an analysis of everything."""
    user, upn = demo_store.frame("""
        SELECT principal_id, user_principal_name FROM principals
        WHERE user_principal_name IS NOT NULL ORDER BY principal_id LIMIT 1""").row(0)
    assert _judged(demo_store, upn.upper()).principal_id == user


def test_a_view_from_a_node_holds_what_the_whole_view_says_of_it(demo_store: Store) -> None:
    """Machines too: what a machine reaches is built from what it comes to hold, and is the same set."""
    whole = _whole(demo_store)
    tenant, facts = whole.analysis.tenant, whole.facts
    held = granted_holdings(tenant)
    full = view_of(facts, tenant, whole.inputs, held, with_eligible=True)
    nodes = [f"r:{scope}" for scope in facts.attached["scope"].unique().sort()]
    for node in nodes[::3]:
        part = view_from([node], facts, tenant, whole.inputs, held, with_eligible=True)
        assert _things(part, node) == _things(full, node)


def _things(view: View, node: str) -> set[str]:
    graph, frame, reached = view.graph, view.frame, view.reached
    had = reached[graph.numbers[node]]
    return {graph.names[thing] for thing, bit in frame.things.items() if had >> bit & 1} - {node}


def _fill(
    store: Store, draw: random.Random, *, named: bool = False, operations: Sequence[str] = TWELVE_OPERATIONS
) -> None:
    """Write a small tenant into a store: 24 users share 8 groups in two halves of the tenant, and 3 roles overlap.

    With `named`, logs name assignments, whoever holds them, and activations of eligibilities of groups.
    """
    scopes = ["/subscriptions/s1", "/subscriptions/s1/resourcegroups/a", "/subscriptions/s1/resourcegroups/b"]
    some = sorted({f"{name.rpartition('/')[0]}/*" for name in operations[:6]})
    roles = {"all": ["microsoft.*"], "some": some, "one": list(operations[4:6])}
    patterns = pl.DataFrame({"role_definition_id": list(roles), "pattern": list(roles.values())}).explode("pattern")
    granted = [(role, one) for role, pattern in patterns.rows() for one in operations
               if one.startswith(pattern.removesuffix("*"))]  # fmt: skip
    holders = [f"group{number % 8}" if number < 16 else f"user{draw.randrange(24)}" for number in range(20)]
    members = {(f"group{group // 2 * 2 + user // 12}", f"user{user}")
               for user in range(24) for group in draw.sample(range(8), 1 + user % 2)}  # fmt: skip
    uses = {(user, draw.randrange(len(operations)), draw.randrange(1, 3)) for user in range(24) for _ in range(6)}
    day = {"day": dt.date(2026, 3, 1), "first_seen": dt.datetime(2026, 3, 1), "last_seen": dt.datetime(2026, 3, 1)}
    counts = {"succeeded": 1, "failed": 0, "started": 0, "denied": 0, "suspect": 0}
    users = [{"principal_id": f"user{user}", "principal_type": "User", "listed": True} for user in range(24)]
    tables = {
        "operation_names": _names("operation_key", operations),
        "scope_names": _names("scope_key", scopes),
        "operations": [{"operation": name, "is_data_action": False, "is_guess": False} for name in operations],
        "role_definitions": [{"role_definition_id": role, "role_name": role} for role in roles],
        "role_permissions": patterns.with_columns(block=0, kind=pl.lit("action")).to_dicts(),
        "role_operations": [{"role_definition_id": role, "operation": one, "plane": "control", "conditional": False}
                            for role, one in sorted(set(granted))],
        "listings": [{"listing": "members", "of": f"group{number}", "complete": not (named and number == 6)}
                     for number in range(8)],
        "role_assignments": [
            {"role_assignment_id": f"a{number}", "state": "eligible" if named and number % 5 == 0 else "active",
             "principal_id": holder,
             "principal_type": "Group" if holder.startswith("group") else "User",
             "role_definition_id": draw.choice(list(roles)), "scope": draw.choice(scopes)}
            for number, holder in enumerate(holders)
        ],
        "principals": users,
        "actors": [{"actor_key": key, "actor": f"i{key}"} | user for key, user in enumerate(users)],
        "group_closure": [{"group_id": group, "member_id": user, "depth": 1} for group, user in sorted(members)],
        "usage_days": [{"actor_key": user, "operation_key": one, "scope_key": scope, "plane": "control"} | day | counts
                       for user, one, scope in sorted(uses)],
    }  # fmt: skip
    if named:
        _name_assignments(tables, draw)
    for name, rows in tables.items():
        store.connection.register("filled", pl.DataFrame(rows))
        columns = [row[0] for row in store.connection.execute(f"DESCRIBE base.{name}").fetchall()]
        known = ", ".join(f'"{column}"' for column in rows[0] if column in columns)
        store.connection.execute(f"INSERT INTO base.{name} ({known}) SELECT {known} FROM filled")


def _cover_window(store: Store) -> None:
    """Say that the Activity Log of the subscription covers the days before and after all use."""
    days = [dt.date(2026, 3, 1) - dt.timedelta(days=back) for back in range(DAYS)]
    rows = [{"source": "activity_log", "category": "Administrative", "scope": "/subscriptions/s1", "day": day,
             "events": 1, "state": "observed"} for day in days]  # fmt: skip
    store.connection.register("covered", pl.DataFrame(rows))
    store.connection.execute("INSERT INTO base.coverage BY NAME SELECT * FROM covered")


def _name_assignments(tables: dict[str, list[dict[str, Any]]], draw: random.Random) -> None:
    """Let every third call name an assignment, be it the caller's or not, and others an activation or no caller."""
    ids = [row["role_assignment_id"] for row in tables["role_assignments"]] + ["gone"]
    eligible = [row for row in tables["role_assignments"] if row["state"] == "eligible"]
    began = dt.datetime(2026, 2, 28)
    tables["schedule_requests"] = [
        {"request_id": f"r{number}", "plane": "control", "asks_for": "assignment", "request_type": "selfactivate",
         "status": "provisioned", "principal_id": f"user{number}", "role_definition_id": row["role_definition_id"],
         "scope": row["scope"], "role_assignment_id": f"was{number}", "start_on": began,
         "end_on": began + dt.timedelta(days=3)}
        for number, row in enumerate(eligible * 4)
    ]  # fmt: skip
    ids += [str(row["role_assignment_id"]) for row in tables["schedule_requests"]]
    tables["assignment_names"] = [{"assignment_key": key, "role_assignment_id": one} for key, one in enumerate(ids)]
    tables["actors"].append({"actor_key": 99, "actor": "i99", "principal_id": None, "principal_name": "nobody"})
    for number, row in enumerate(tables["usage_days"]):
        row["assignment_key"] = draw.randrange(len(ids)) if number % 3 == 0 else None
        row["actor_key"] = 99 if number % 11 == 0 else row["actor_key"]


def _names(key: str, names: list[str]) -> list[dict[str, object]]:
    return [{key: number, "folded": name, "spelling": name} for number, name in enumerate(names)]
