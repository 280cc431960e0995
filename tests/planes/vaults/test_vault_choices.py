"""Access policies and the roles that replace them: nothing that was used is lost, and nothing but metadata is new."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rightsize.model.plan import KEEP, MIGRATE_VAULT, REMOVE, REMOVE_ORPHAN
from rightsize.model.text import fold
from rightsize.planes.vaults.choose import RoleChooser, RoleNeed
from rightsize.render.vault_requests import vault_files, vault_steps
from rightsize.rules.vaults import in_part, is_metadata_read, operations_by_permission, spellings
from tests.planes.vaults.vault_world import DAYS, GET, LIST, SET, VAULT, World, roles_of

ALL = ["all"]


def test_a_holder_gets_the_smallest_built_in_role_of_its_use() -> None:
    """Of every permission for secrets only reading was used."""
    found = World().holds("u", "User", secrets=ALL).uses("u", GET).uses("u", LIST, "").proposal("u")
    assert (found.kind, roles_of(found)) == (MIGRATE_VAULT, {"": ["Key Vault Secrets User"]})
    assert found.proof.holds
    assert found.excess_after < found.excess_before


def test_a_workload_that_reads_single_secrets_gets_a_role_at_these() -> None:
    world = World().holds("app", secrets=["get", "list"]).uses("app", GET, "secrets/a").uses("app", GET, "secrets/b")
    assert roles_of(world.proposal("app")) == {f"/secrets/{one}": ["Key Vault Secrets User"] for one in "ab"}
    world.uses("app", GET, "secrets/c").uses("app", GET, "secrets/d")
    assert roles_of(world.proposal("app")) == {"": ["Key Vault Secrets User"]}


def test_a_name_that_is_seldom_used_is_no_narrow_use() -> None:
    world = World().holds("app", secrets=["get"]).uses("app", GET, "secrets/a").uses("app", GET, "secrets/new", 60)
    assert roles_of(world.proposal("app")) == {"": ["Key Vault Secrets User"]}


def test_no_role_adds_a_key_operation_or_a_secret_value() -> None:
    """`Crypto User` would let a signer decrypt, so it gets a role of its own."""
    world = World().holds("signer", "User", keys=["sign", "get"]).uses("signer", "keys/sign/action", "keys/k")
    found = world.proposal("signer")
    (role,) = found.evidence["vault"]["new_roles"]
    (block,) = role["properties"]["permissions"]
    assert block["dataActions"] == ["Microsoft.KeyVault/vaults/keys/sign/action"]
    assert found.evidence["vault"]["adds"] == []
    user = World().holds("u", "User", secrets=["get"]).uses("u", GET)
    user.policies = [one for one in user.policies if "readMetadata" not in one["operation"]]
    assert roles_of(user.proposal("u")) == {"": ["Key Vault Secrets User"]}


def test_without_a_log_the_roles_equal_the_policy() -> None:
    world = World().holds("g", "User", secrets=ALL, keys=["get", "wrapkey", "unwrapkey"])
    world.covered = []
    found = world.proposal("g")
    (names,) = roles_of(found).values()
    assert sorted(names) == ["Key Vault Crypto Service Encryption User", "Key Vault Secrets Officer"]
    assert found.reason.startswith("no_log")
    assert any("AuditEvent" in one.text for one in world.part().advice)


def test_a_policy_on_behalf_of_an_application_is_a_question_and_its_vault_waits() -> None:
    world = World().holds("u", "User", app="client", keys=["sign"]).holds("app", secrets=["get"]).uses("app", GET)
    found = world.proposal("u")
    assert (found.kind, found.assignments) == (KEEP, ())
    part = world.part()
    assert {one.evidence["vault"]["waits"][0] for one in part.proposals} == {"on_behalf"}
    assert [name for name in vault_files(part) if not name.endswith(".md")] == []


def test_holders_that_used_nothing_and_deleted_ones_get_nothing() -> None:
    world = World().holds("idle", secrets=["get"]).holds("gone", kind="", secrets=["get"])
    assert world.proposal("idle").kind == REMOVE
    assert world.proposal("gone").kind == REMOVE_ORPHAN
    assert {one["control"] for one in world.analysis().findings.to_dicts()} == {
        "vault_policy_orphan", "vault_policy_unused",
    }  # fmt: skip


def test_an_idle_holder_stays_where_policies_were_written_in_the_window() -> None:
    """Nobody says whose policy is new."""
    world = World().holds("idle", secrets=["get"])
    world.usage = [
        {"principal_id": "pipe", "operation": "Microsoft.KeyVault/vaults/accessPolicies/write", "plane": "control",
         "scope": f"{VAULT}/accessPolicies/add", "day": DAYS[3], "succeeded": 1, "failed": 0, "started": 0, "denied": 0,
         "suspect": 0}
    ]  # fmt: skip
    assert roles_of(world.proposal("idle")) == {"": ["Key Vault Secrets User"]}
    assert any(one.text.startswith("pipe wrote the vault kv") for one in world.part().advice)


def test_groups_stay_groups_and_a_member_s_own_policy_comes_first() -> None:
    world = World().holds("g", "Group", secrets=ALL).holds("u", "User", secrets=["get"])
    world.members = [{"group_id": "g", "member_id": one} for one in ("u", "v")]
    world.people.append({"principal_id": "v", "principal_type": "User", "display_name": "v", "listed": True})
    world.listings.append({"listing": "members", "of": "g", "complete": True, "rejected": 0})
    world.uses("u", GET).uses("v", SET)
    part = world.part()
    assert {
        one.principal_ids[0]: [use["operation"] for use in one.evidence["vault"]["use"]] for one in part.proposals
    } == {
        "g": ["Microsoft.KeyVault/vaults/secrets/setSecret/action"],
        "u": ["Microsoft.KeyVault/vaults/secrets/getSecret/action"],
    }
    assert part.replay == {"allowed": 2, "needs_activation": 0, "denied": 0, "unknown": 0}


def test_what_only_quarantined_requests_used_waits_for_a_decision() -> None:
    found = World().holds("u", "User", secrets=["get"]).uses("u", GET, suspect=2).proposal("u")
    assert (found.kind, found.evidence["vault"]["word"]) == (KEEP, "quarantined")


def test_what_an_unknown_caller_used_stays_with_every_holder_of_it() -> None:
    world = World().holds("u", "User", secrets=["get", "set"]).uses("u", GET).uses(None, SET)
    needed = {one["reason"] for one in world.analysis().verdicts.to_dicts() if "setSecret" in one["operation"]}
    assert needed == {"unexplained_use"}
    (role,) = world.proposal("u").evidence["vault"]["new_roles"]
    assert len(role["properties"]["permissions"][0]["dataActions"]) == 2


def test_use_that_no_policy_of_today_allows_is_unexplained() -> None:
    world = World().holds("u", "User", secrets=["get"]).uses("u", GET).uses("other", SET)
    assert world.part().replay["unknown"] == 1
    assert "unexplained" in set(world.analysis().verdicts["verdict"])


def test_excluded_and_emergency_holders() -> None:
    world = World().holds("u", "User", secrets=ALL).uses("u", GET)
    assert world.proposal("u", exclude=("u",)).kind == KEEP
    assert roles_of(world.proposal("u", emergency_access=("u",))) == {"": ["Key Vault Secrets Officer"]}


def test_the_switch_comes_after_the_roles_and_names_the_model_alone() -> None:
    """The way back switches first, and deletes only what was made."""
    world = World().holds("app", secrets=["get"]).holds("signer", "User", keys=["sign"])
    world.uses("app", GET).uses("signer", "keys/sign/action", "keys/k")
    there, back = vault_steps(VAULT, world.part().proposals)
    assert _words(there) == ["same", "PUT", "PUT", "PUT", "wait", "GET", "GET", "same", "PATCH", "GET"]
    assert there[-2]["body"] == {"properties": {"enableRbacAuthorization": True}}
    assert _words(back) == ["same", "PATCH", "GET", "wait", "DELETE", "DELETE"]
    assert {one["url"] for one in back[4:]} <= {one["url"] for one in there if one.get("method") == "PUT"}


def _words(steps: list[dict[str, Any]]) -> list[str]:
    return ["same" if "policies" in one else one.get("method", "wait") for one in steps]


def test_assignments_above_are_named_as_what_the_switch_wakes() -> None:
    world = World().holds("u", "User", secrets=["get"]).uses("u", GET)
    world.assignments = [
        {"role_assignment_id": "a", "principal_id": "p", "scope": VAULT.partition("/resourcegroups")[0],
         "state": "active", "role_definition_id": "00000001-0000-4000-8000-000000000000"},
        {"role_assignment_id": "b", "principal_id": "p", "scope": "/subscriptions/other", "state": "active",
         "role_definition_id": "00000001-0000-4000-8000-000000000000"},
    ]  # fmt: skip
    (woken,) = world.proposal("u").evidence["vault"]["wakes"]
    assert (woken["role_assignment_id"], woken["role"]) == ("a", "Key Vault Secrets Officer")


_PERMISSIONS = st.sets(st.sampled_from(sorted(key for key in operations_by_permission() if key[0] != "storage")))


@pytest.mark.random
@settings(deadline=None)
@given(_PERMISSIONS, st.data())
def test_chosen_roles_have_the_need_and_only_metadata_beyond_the_policy(
    held: set[tuple[str, str]], data: st.DataObject
) -> None:
    granted = frozenset().union(*(operations_by_permission()[key] for key in held))
    needed = frozenset(data.draw(st.sets(st.sampled_from(sorted(granted))))) if granted else frozenset()
    roles = RoleChooser(World().table("role_definitions")).choose(RoleNeed(needed, granted), "/subscriptions/s")
    has = frozenset().union(*(one.operations for one in roles))
    assert needed <= has
    assert all(is_metadata_read(one) for one in has - granted)
    assert has <= spellings().keys()


def test_the_window_ends_with_the_log_of_the_vaults() -> None:
    assert World().holds("u", secrets=["get"]).analysis().window.last_day == dt.date(2026, 3, 31)


def test_a_permission_may_allow_a_part_of_a_data_action() -> None:
    """`get` shows a deleted secret and lists none: a role that lists adds that, and the page says so."""
    assert in_part([("secret", "get")]) == {fold(f"Microsoft.KeyVault/vaults/{LIST}")}
    assert in_part([("secret", "get"), ("secret", "list")]) == in_part([("secret", "all")]) == frozenset()
    assert in_part([("certificate", "manageissuers")]) == frozenset()
    found = World().holds("u", "User", secrets=["get"]).uses("u", GET).proposal("u")
    assert found.evidence["vault"]["adds"] == [f"Microsoft.KeyVault/vaults/{LIST}"]
    both = World().holds("u", "User", secrets=["get", "list"]).uses("u", GET).proposal("u")
    assert both.evidence["vault"]["adds"] == []
