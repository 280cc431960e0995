"""Controls: each fails on one tenant, passes on another, and says `unknown` where nothing is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsize.analyze.controls import SEVERITIES
from rightsize.model.errors import InternalError, UsageError
from rightsize.rules.tables import rows_of
from rightsize.store.connection import Store
from rightsize.store.controls import ControlResult, control_names, judge, parse_control, read_control, whole_statement
from rightsize.store.queries import queries_folder, query_text
from tests.store.control_cases import (
    AGENT,
    ANN,
    ANSWERABLE,
    BLUEPRINT,
    BOT,
    CASES,
    CONTRIBUTOR,
    CUSTOM,
    GONE,
    GUS,
    OPS,
    OWNER,
    RG,
    SUB,
    UNKNOWABLE,
    Rows,
    agents,
    assigned,
    base,
    custom,
    finding,
    guid,
    held,
    merged,
    policy,
    verdict,
)
from tests.store.plain import empty, fill, open_plain

ALONE = ("custom-role-room",)
"""Controls that need thousands of rows to fail are judged with a parameter."""
_FILLED: Rows = {}
"""The rows that the case before left, by table: to fill every table again takes longer than to judge."""


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with open_plain(tmp_path_factory.mktemp("controls") / "store.duckdb") as store:
        yield store


def _judge(store: Store, name: str, *parts: Rows, **parameters: str) -> ControlResult:
    rows = merged(*parts)
    other = {table for table in _FILLED.keys() | rows if _FILLED.get(table) != rows.get(table)}
    empty(store, other & _FILLED.keys())
    fill(store, {table: rows[table] for table in sorted(other & rows.keys())})
    _FILLED.clear()
    _FILLED.update(rows)
    (judged,) = judge(store, [read_control(name)], {name: parameters})
    return judged


def _statuses(judged: ControlResult) -> dict[str, str]:
    return {finding.resource: finding.status for finding in judged.findings}


def test_every_control_has_its_case() -> None:
    """No control is without a tenant that fails it and one that passes it; and there are enough of them."""
    assert set(control_names()) == {*CASES, *UNKNOWABLE, *ALONE}
    assert len(control_names()) >= 40


def test_no_row_of_the_table_has_the_name_of_a_file() -> None:
    """Each name is one control."""
    named = [row["control"] for row in rows_of("held_operations")]
    assert len(set(named)) == len(named) >= 8
    assert [name for name in named if (queries_folder() / "controls" / f"{name}.sql").exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_control_fails_where_it_should(opened: Store, name: str) -> None:
    """What is wrong, and nothing else, fails."""
    case = CASES[name]
    judged = _judge(opened, name, base(), case.fails)
    assert _statuses(judged) == {case.resource: "fail"}
    assert all(finding.reason and "None" not in finding.reason for finding in judged.findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(CASES))
def test_a_control_passes_where_it_should(opened: Store, name: str) -> None:
    """What is right passes, and is counted."""
    rows = merged(base(), CASES[name].passes)
    if name == "direct-user-assignments":
        rows["role_assignments"] = CASES[name].passes["role_assignments"]
    judged = _judge(opened, name, rows)
    assert _statuses(judged) == {}
    assert judged.passed > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(UNKNOWABLE))
def test_what_cannot_be_known_is_not_called_wrong(opened: Store, name: str) -> None:
    """A log or an account that was not seen may be there all the same."""
    doubtful, right = UNKNOWABLE[name]
    assert set(_statuses(_judge(opened, name, base(), doubtful)).values()) == {"unknown"}
    assert _statuses(_judge(opened, name, base(), right)) == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", control_names())
def test_nothing_loaded_is_nothing_known(opened: Store, name: str) -> None:
    """An empty store passes no control: a gate must not open because a load failed."""
    judged = _judge(opened, name)
    assert judged.passed == 0
    assert _statuses(judged) == {"/": "unknown"}
    assert "loaded" in judged.findings[0].reason or "known" in judged.findings[0].reason


@pytest.mark.slow
@pytest.mark.many(8)
@pytest.mark.parametrize("name", control_names())
def test_a_control_is_one_statement_too(opened: Store, name: str) -> None:
    """What `--sql` prints runs, and says the same as the check."""
    control = read_control(name)
    case = CASES.get(name)
    judged = _judge(opened, name, base(), *([case.fails] if case else []))
    values = {one.name: int(one.default or 0) for one in control.question.parameters}
    rows = opened.connection.execute(whole_statement(control), values or None).fetchall()
    assert {row[0] for row in rows if row[1] == "fail"} == {
        finding.resource for finding in judged.findings if finding.status == "fail"
    }


@pytest.mark.parametrize("name", control_names())
def test_a_control_says_what_it_is(name: str) -> None:
    """Title, description, and at least one requirement of a framework, with where that is written."""
    control = read_control(name)
    assert control.question.title[0].isupper() and not control.question.title.endswith(".")
    assert control.question.description.endswith(".")
    assert control.tags and all(tag.title and tag.source for tag in control.tags)
    assert control.severity in SEVERITIES and control.needs


def test_every_requirement_is_checked_by_something() -> None:
    """The file of frameworks holds what controls name, and no more."""
    named = {(tag.framework, tag.id) for name in control_names() for tag in read_control(name).tags}
    assert named == {(row["framework"], row["id"]) for row in rows_of("frameworks")}


def test_every_need_is_one_that_can_be_met() -> None:
    """A control rests on nothing that the list of needs does not have."""
    text = query_text("controls/needs")
    assert all(f"'{need}'" in text for name in control_names() for need in read_control(name).needs)


@pytest.mark.slow
def test_there_is_room_for_custom_roles_up_to_the_parameter(opened: Store) -> None:
    rows = merged(base(), custom("x"))
    assert _statuses(_judge(opened, "custom-role-room", rows)) == {}
    assert _statuses(_judge(opened, "custom-role-room", rows, most="0")) == {"/": "fail"}


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    "name",
    [
        "standing-privilege",
        "standing-contributor",
        "management-group-privilege",
        "monitoring-and-more",
        "log-tampering",
    ],
)
def test_a_role_without_a_definition_is_not_known(opened: Store, name: str) -> None:
    """Of a role that is not loaded nobody says that it is harmless."""
    scope = "/providers/Microsoft.Management/managementGroups/platform" if name.startswith("management") else SUB
    assert _statuses(_judge(opened, name, base(), assigned(held("a", ANN, guid("7"), scope)))) == {"a": "unknown"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["guest-privilege", "guest-standing", "layer-independence", "subscription-owners-few"])
def test_a_group_whose_members_are_not_loaded_may_hold_anybody(opened: Store, name: str) -> None:
    rows = base()
    rows["listings"] = [row for row in rows["listings"] if row["listing"] != "members"]
    found = _statuses(_judge(opened, name, rows, assigned(held("a", OPS, OWNER))))
    assert set(found.values()) == {"unknown"}


@pytest.mark.slow
def test_an_activated_role_does_not_stand(opened: Store) -> None:
    """PIM shows an activation as an assignment too; it is the activation that counts."""
    rows = assigned(held("a", ANN, OWNER), held("a", ANN, OWNER, state="activated"))
    assert _statuses(_judge(opened, "standing-owner", base(), rows)) == {}


@pytest.mark.slow
def test_a_conditional_grant_gives_no_rights_by_itself(opened: Store) -> None:
    """A role whose own blocks carry a condition is not unlimited."""
    rows = custom("Microsoft.Authorization/roleAssignments/write", "Microsoft.Authorization/roleAssignments/write")
    rows["role_operations"][0]["conditional"] = True
    assert _statuses(_judge(opened, "custom-role-gives-rights", base(), rows)) == {}


@pytest.mark.slow
def test_days_without_a_log_make_silence_unknown(opened: Store) -> None:
    """Without a covered log nobody is called silent."""
    rows = base()
    rows["coverage"] = [row for row in rows["coverage"] if row["category"] != "service_principal"]
    found = _statuses(_judge(opened, "silent-privilege", rows, assigned(held("a", BOT, CONTRIBUTOR))))
    assert found == {BOT: "unknown"}


@pytest.mark.slow
def test_use_that_no_log_covers_is_not_called_unused(opened: Store) -> None:
    rows = {"verdicts": [verdict("a", "active", "unused", 5), verdict("a", "active", "out_of_coverage", 1)]}
    found = _statuses(_judge(opened, "unused-privilege", base(), assigned(held("a", ANN, OWNER)), rows))
    assert found == {"a": "unknown"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lacks", "unknown"),
    [
        (("owners", "serviceprincipals"), {BLUEPRINT}),
        (("sponsors", "serviceprincipals/microsoft.graph.agentidentity"), {AGENT}),
        (("owners", "applications/microsoft.graph.agentidentityblueprint"), {BLUEPRINT}),
    ],
)
def test_nobody_answers_for_an_agent_only_where_owners_and_sponsors_are_listed(
    opened: Store, lacks: tuple[str, str], unknown: set[str]
) -> None:
    rows = agents()
    rows["object_sponsors"] = [{"object_id": "other", "sponsor_id": ANN}]
    listings = ANSWERABLE["listings"]
    found = _statuses(_judge(opened, "agent-answerable", merged(base(), rows, {"listings": listings})))
    assert found == {AGENT: "fail", BLUEPRINT: "fail"}
    left = [row for row in listings if (row["listing"], row["of"]) != lacks]
    found = _statuses(_judge(opened, "agent-answerable", merged(base(), rows, {"listings": left})))
    assert found == {AGENT: "fail", BLUEPRINT: "fail"} | dict.fromkeys(unknown, "unknown")


@pytest.mark.slow
def test_an_orphan_needs_proof(opened: Store) -> None:
    """The analysis decides; whom it cannot resolve, as one who may come back, is unknown."""
    lost = assigned(held("a", GONE, CONTRIBUTOR, principal_type="User"))
    for control, status in (("unresolved_principal", "unknown"), ("orphaned_assignment", "fail")):
        rows = {"findings": [finding(control, "a")]}
        assert _statuses(_judge(opened, "orphaned-assignments", base(), lost, rows)) == {"a": status}


@pytest.mark.slow
def test_a_policy_without_rules_is_not_known(opened: Store) -> None:
    rows = merged(
        policy(), {"role_management_policies": [{"policy_id": "p2", "role_definition_id": OWNER, "scope": SUB}]}
    )
    assert _statuses(_judge(opened, "activation-mfa", base(), rows)) == {"p2": "unknown"}


@pytest.mark.slow
def test_ids_and_scopes_compare_in_any_case(opened: Store) -> None:
    """A subscription is the same in capitals."""
    rows = assigned(*(held(f"a{number}", who, OWNER, SUB.upper()) for number, who in enumerate((ANN, BOT, GUS, GONE))))
    assert _statuses(_judge(opened, "subscription-owners-few", base(), rows)) == {SUB: "fail"}


@pytest.mark.slow
def test_a_wider_custom_role_is_assignable_somewhere(opened: Store) -> None:
    assert _statuses(_judge(opened, "custom-role-owner", base(), custom("*", scopes=[RG, SUB]))) == {CUSTOM: "fail"}


@pytest.mark.slow
def test_a_parameter_moves_the_limit(opened: Store) -> None:
    rows = merged(base(), CASES["subscription-owners-few"].fails)
    assert _statuses(_judge(opened, "subscription-owners-few", rows, most="4")) == {}


def test_a_name_that_is_none_has_near_names() -> None:
    with pytest.raises(UsageError) as caught:
        read_control("standing-owners")
    assert "`standing-owner`" in (caught.value.hint or "")
    with pytest.raises(UsageError):
        read_control("needs")


@pytest.mark.parametrize(
    "header",
    [
        "-- severity: awful\n-- subject: scope",
        "-- severity: low\n-- subject: galaxy",
        "-- severity: low\n-- subject: scope\n-- tags: CIS 99.99",
    ],
)
def test_a_header_that_is_wrong_is_our_mistake(header: str) -> None:
    text = f"-- title: A\n-- description: B.\n{header}\n-- columns: resource, status, reason\nSELECT 1"
    with pytest.raises(InternalError):
        parse_control("x", text)


def test_the_path_of_a_control_leads_nowhere_else(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_control("../standing-owners")
