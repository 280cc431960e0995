"""Exclusions from a file: the assignments they keep, their expiry, and invalid files."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from rightsize.model.decisions import Form
from rightsize.model.errors import InputError, UsageError
from rightsize.propose.core.options import Exclusion, PlanOptions, read_exclusions
from tests.propose.small_tenant import (
    APP,
    CONTRIBUTOR,
    DATA,
    DAY0,
    DAYS,
    MG,
    NET,
    READER,
    SUB,
    SUB2,
    VM,
    SmallTenant,
    as_text,
    guid,
    proposal_for,
)

AS_OF = DAY0 + dt.timedelta(days=DAYS)
LATER = AS_OF + dt.timedelta(days=30)


def _exclusion(kind: str, name: str, expires: dt.date = LATER) -> Exclusion:
    return Exclusion(kind, name, "being moved", "team a", expires)  # type: ignore[arg-type]


def _tenant() -> SmallTenant:
    """A contributor each of a management group, a subscription, and three resource groups, of which one is tagged."""
    tenant = SmallTenant()
    for number, scope in enumerate((MG, SUB, APP, DATA, SUB2), 1):
        tenant.assign(100 + number, tenant.principal(number), CONTRIBUTOR, scope)
    tenant.add("scope_tags", scope=APP, name="criticality", value="High")
    return tenant


def _excluded(tenant: SmallTenant, *exclusions: Exclusion) -> set[int]:
    plan = tenant.plan(exclusions=exclusions)
    numbers = {int(row["role_assignment_id"][-3:]) for row in tenant.rows["role_assignments"]}
    return {n for n in numbers if proposal_for(plan, guid(n)).reason.startswith("excluded: ")}


@pytest.mark.slow
def test_a_principal_is_left_alone_with_its_groups() -> None:
    tenant = _tenant()
    tenant.assign(110, tenant.group(10, [guid(2)]), CONTRIBUTOR, NET, principal_type="Group")
    assert _excluded(tenant, _exclusion("principal", guid(2).upper())) == {102, 110}


@pytest.mark.slow
def test_a_principal_may_be_named_by_its_upn() -> None:
    tenant = _tenant()
    tenant.assign(120, tenant.principal(20, user_principal_name="Mei@example.com"), CONTRIBUTOR, NET)
    assert _excluded(tenant, _exclusion("principal", "mei@EXAMPLE.com")) == {120}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contributor", CONTRIBUTOR.upper()])
def test_a_role_is_left_alone_wherever_it_is_assigned(name: str) -> None:
    assert _excluded(_tenant(), _exclusion("role", name)) == {101, 102, 103, 104, 105}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope", "left"),
    [(APP.upper(), {103}), (SUB, {102, 103, 104}), (MG, {101, 102, 103, 104, 105}), ("/", {101, 102, 103, 104, 105})],
)
def test_a_scope_is_left_alone_with_all_below_it(scope: str, left: set[int]) -> None:
    assert _excluded(_tenant(), _exclusion("scope", scope)) == left


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tag", "left"),
    [
        ("criticality", {101, 102, 103}),
        ("Criticality=High", {101, 102, 103}),
        ("criticality=high", set()),
        ("critical", set()),
    ],
)
def test_a_tag_leaves_alone_what_reaches_the_tagged_scope(tag: str, left: set[int]) -> None:
    """At it, below it, and above it too: a narrower assignment would take away what is needed there."""
    assert _excluded(_tenant(), _exclusion("tag", tag)) == left


@pytest.mark.nightly
def test_a_tag_holds_for_what_is_in_the_tagged_scope() -> None:
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, VM)
    tenant.assign(102, tenant.principal(2), CONTRIBUTOR, f"{APP}lication")
    tenant.add("scope_tags", scope=APP.upper(), name="criticality", value="High")
    assert _excluded(tenant, _exclusion("tag", "criticality")) == {101}


@pytest.mark.slow
def test_the_plan_says_why_who_and_until_when() -> None:
    plan = _tenant().plan(exclusions=(_exclusion("tag", "criticality"),))
    assert proposal_for(plan, guid(103)).reason == (
        "excluded: tag `criticality` until 2026-05-01: being moved (team a); "
        "enough would be what a plan without the exclusion proposes"
    )
    assert plan.generated_from["options"]["exclude_from"] == [
        {"tag": "criticality", "reason": "being moved", "owner": "team a", "expires": "2026-05-01"}
    ]


@pytest.mark.nightly
def test_an_exclusion_ends_by_the_days_of_the_plan() -> None:
    """Its last day is one on which it holds; after that the plan speaks again, and says so."""
    tenant = _tenant()
    assert _excluded(tenant, _exclusion("principal", guid(2), AS_OF)) == {102}
    ended = _exclusion("principal", guid(2), AS_OF - dt.timedelta(days=1))
    assert _excluded(tenant, ended) == set()
    (advice,) = [one for one in tenant.plan(exclusions=(ended,)).advice if one.subject == "--exclude-from"]
    assert advice.text.startswith(f"the exclusion of principal `{guid(2)}` ended on 2026-03-31, ")
    assert advice.text.endswith("(team a)")


@pytest.mark.slow
def test_names_that_nobody_has_are_advice() -> None:
    """A mistyped name must not pass in silence."""
    names = [("principal", "nobody@example.com"), ("role", "No such role"), ("tag", "nothing=here"), ("scope", NET)]
    plan = _tenant().plan(exclusions=tuple(_exclusion(kind, name) for kind, name in names))
    assert sorted(one.text for one in plan.advice if one.subject == "--exclude-from") == [
        "`No such role` is not a loaded role",
        "`nobody@example.com` is not a loaded principal",
        "no loaded scope has the tag `nothing=here`",
    ]


@pytest.mark.nightly
def test_the_order_of_entries_changes_nothing() -> None:
    one, two = _exclusion("principal", guid(2)), _exclusion("tag", "criticality")
    plans = {as_text(_tenant().plan(exclusions=entries)) for entries in ((one, two), (two, one), (one, two, one))}
    assert len(plans) == 1


ENTRY = {"tag": "env=prod", "reason": "audit", "owner": "team b", "expires": "2026-12-31"}
READ = Exclusion("tag", "env=prod", "audit", "team b", dt.date(2026, 12, 31))
FORMS: dict[str, tuple[Form, str]] = {
    "toml": (
        "toml",
        '[[exclude]]\ntag = "env=prod"\nreason = "audit"\nowner = "team b"\nexpires = 2026-12-31\n',
    ),
    "toml with a text": (
        "toml",
        '[[exclude]]\ntag = " env=prod"\nreason = "audit "\nowner = "team b"\nexpires = "2026-12-31"\n',
    ),
    "json": ("json", json.dumps({"exclude": [ENTRY, ENTRY]})),
    "json list": ("json", json.dumps([ENTRY])),
    "csv": ("csv", "\ufeffprincipal,role,tag,reason,owner,expires\r\n,,env=prod,audit,team b,2026-12-31\r\n"),
}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_says_the_same(form: str) -> None:
    kind, text = FORMS[form]
    assert read_exclusions(text.encode(), kind, "x") == (READ,)


@pytest.mark.parametrize("form", ["toml", "json", "csv"])
def test_an_empty_file_excludes_nothing(form: Form) -> None:
    text = "{}" if form == "json" else ""
    assert read_exclusions(text.encode(), form, "x") == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reason": None}, "has no `reason`"),
        ({"owner": " "}, "has no `owner`"),
        ({"expires": None}, "is not a day"),
        ({"expires": "soon"}, "is not a day"),
        ({"expires": 20261231}, "is not a day"),
        ({"tag": None}, "names none"),
        ({"role": "Reader"}, "names role and tag"),
        ({"tag": 5}, "has no `tag`"),
        ({"tag": "=prod"}, "has no name"),
        ({"tag": None, "scope": "rg"}, "`scope` of entry 2"),
        ({"until": "2026-12-31"}, "unknown key `until`"),
        ({"reason": "x" * 1001}, "longer than"),
        ({"owner": "\ud800"}, "an unpaired surrogate"),
    ],
)
def test_an_entry_that_lacks_something_is_refused_by_its_number(change: dict[str, object], message: str) -> None:
    entry = {key: value for key, value in (ENTRY | change).items() if value is not None}
    with pytest.raises(InputError, match=message) as caught:
        read_exclusions(json.dumps([ENTRY, entry]).encode(), "json", "keep.json")
    assert "entry 2 of `keep.json`" in caught.value.message


@pytest.mark.parametrize(
    ("form", "content"),
    [
        ("toml", b"exclude = 5"),
        ("toml", b"[[exclude]"),
        ("toml", b"[[exclude]]\ntag = 'a'\nreason = 'b'\nowner = 'c'\nexpires = 2026-12-31T00:00:00"),
        ("toml", b"[[exclusion]]\ntag = 'a'"),
        ("toml", b"\xff\xfe"),
        ("toml", b"exclude = " + b"[" * 10_000),
        ("json", b""),
        ("json", b"[" * 100_000),
        ("json", b"[5]"),
        ("json", b'{"excluded": []}'),
        ("csv", b"tag,reason,owner,expires\na,b,c,2026-12-31,d"),
        ("csv", b'tag,reason\n"a'),
        ("csv", b"name,reason,owner,expires\na,b,c,2026-12-31"),
    ],
)
def test_what_is_no_file_of_exclusions_is_refused(form: Form, content: bytes) -> None:
    with pytest.raises(InputError):
        read_exclusions(content, form, "x")


@pytest.mark.slow
def test_a_scope_at_which_nothing_stands_is_told() -> None:
    """A slip of the pen would leave nothing alone, without a word."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), READER, SUB)
    nowhere, lapsed = "/subscriptions/nope", f"{SUB}/resourceGroups/gone"
    entry = _exclusion("scope", lapsed)
    plan = tenant.plan(exclude=(nowhere, SUB.upper() + "/", "/"), exclusions=(entry,))
    said = {(one.subject, one.text) for one in plan.advice if one.subject.startswith("--exclude")}
    assert said == {
        ("--exclude-from", f"no loaded scope or assignment is at or below `{lapsed}`"),
        ("--exclude", f"no loaded scope or assignment is at or below `{nowhere}`"),
    }


@pytest.mark.nightly
def test_a_slash_at_the_end_of_a_scope_means_the_same() -> None:
    tenant = SmallTenant()
    assignment = tenant.assign(101, tenant.principal(1), READER, APP)
    for options in ({"exclude": (f"{SUB}/",)}, {"exclusions": (_exclusion("scope", f"{SUB}//"),)}):
        assert proposal_for(tenant.plan(**options), assignment).reason.startswith("excluded")


@pytest.mark.parametrize("option", ["exclude", "emergency_access"])
@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name_is_refused(option: str, name: str) -> None:
    with pytest.raises(UsageError, match="an empty name"):
        PlanOptions(**{option: (name,)})  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_grace_of_any_length_leaves_everything_alone() -> None:
    tenant = SmallTenant()
    assignment = tenant.assign(101, tenant.principal(1), READER, SUB)
    reason = proposal_for(tenant.plan(grace_days=99_999_999), assignment).reason
    assert reason.startswith("young")
