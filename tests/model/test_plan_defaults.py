"""What a proposal leaves out in `plan.json` is what readers fill in, and what the published JSON Schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.plan_file import SaidOnce, clause_of_tells, filled, shortened
from rightsize.render.schemas import schema_text
from tests.examples import MANY

TODAY = "/subscriptions/a"
ONCE = SaidOnce({"v": "patterns"})
NUMBERS = ("break_probability_30d", "excess_before", "excess_after", "risk_before", "risk_after")
PLAIN: dict[str, Any] = {
    "id": "p",
    "plane": "control",
    "principal_ids": ["u"],
    "kind": "builtin",
    "reason": "r",
    "replaces": ["a"],
    "assignments": [{"role": "r", "scope": TODAY, "principal_id": "u", "condition": None, "state": "active"}],
    "evidence": {"role": "o", "scope": TODAY, "state": "active"},
    "proof": {"used_subset": True, "granted_superset": True, "witness": None, "tomorrow": []},
    **dict.fromkeys(NUMBERS, 0.0),
}


def test_a_plain_proposal_says_what_programs_read_of_it() -> None:
    """Programs read plane, assignments, proof and numbers of each proposal, so these are never left out."""
    proof = {"used_subset": True, "granted_superset": True, "witness": None}
    assert shortened(PLAIN, ONCE) == PLAIN | {"proof": proof, "evidence": {}}


def test_today_s_grant_is_said_where_access_goes_and_nothing_takes_its_place() -> None:
    """A kept assignment stays as it is, and new assignments say where they are; tables have the rest."""
    counts = {"granted": 8, "used": 0, "removed": {"covered": 8}, "break_probability": {"bound": 0.1}}
    said = {"evidence": PLAIN["evidence"] | counts | {"rests_on": ["b"]}, "assignments": []}
    gone = shortened(PLAIN | said | {"kind": "remove"}, ONCE)["evidence"]
    assert gone == {"role": "o", "scope": TODAY, "rests_on": ["b"]}
    assert shortened(PLAIN | said | {"kind": "keep"}, ONCE)["evidence"] == {"rests_on": ["b"]}
    eligible = {"evidence": PLAIN["evidence"] | {"state": "eligible"}}
    assert shortened(PLAIN | eligible, ONCE)["evidence"] == {"state": "eligible"}


def test_a_proposal_for_another_plane_says_everything() -> None:
    whole = PLAIN | {"plane": "graph", "reason": "no_api_log: none", "evidence": {"role": "o", "granted": 3}}
    found = shortened(whole, ONCE)
    assert (found["reason"], found["evidence"]) == (whole["reason"], whole["evidence"])


@pytest.mark.parametrize(
    ("kind", "reason", "short"),
    [
        ("keep", "cannot narrow: 0 of 5 operations were used; no log can show 3 (3 reads)", "cannot narrow"),
        ("keep", "data at management group: Azure would not accept", "data at management group"),
        ("custom", "keeps 4 of 28 operations at 1,002 scopes", "keeps 4 of 28"),
        ("remove", "none of it was used, and the logs would have shown it", "none of it was used"),
    ],
)  # fmt: skip
def test_a_reason_is_cut_where_details_begin(kind: str, reason: str, short: str) -> None:
    assert shortened(PLAIN | {"kind": kind, "reason": reason}, ONCE)["reason"] == short


@pytest.mark.parametrize(
    "reason",
    [
        "keeps 4 of 28 operations at 2 scopes; assignment a grants all of it today, and it is replaced as well",
        "no log shows a use of it: 0 operations would have been logged, and no log can show 11",
        "its holder no longer exists",
    ],
)
def test_what_is_unusual_about_a_change_stays_in_its_line(reason: str) -> None:
    assert shortened(PLAIN | {"kind": "remove", "reason": reason}, ONCE)["reason"] == reason


def test_a_role_that_may_grow_is_said_once() -> None:
    place = PLAIN["assignments"][0] | {"role": "v"}
    proof = PLAIN["proof"] | {"tomorrow": [{"role": "v", "because": "patterns"}]}
    assert "tomorrow" not in shortened(PLAIN | {"assignments": [place], "proof": proof}, ONCE)["proof"]
    assert shortened(PLAIN | {"assignments": [place]}, ONCE)["proof"]["tomorrow"] == []


def test_a_plan_of_somebody_else_says_what_it_says() -> None:
    assert SaidOnce.of({"grows": [1]}) == SaidOnce({})
    assert SaidOnce.of({"grows": {"a": 1, "b": "c"}}) == SaidOnce({"b": "c"})
    assert filled(PLAIN | {"assignments": [3, {"role": []}]}, ONCE)["proof"]["tomorrow"] == []


def test_whole_numbers_are_written_as_such() -> None:
    found = shortened(PLAIN | {"excess_before": 12.0, "risk_before": 0.5}, ONCE)
    assert json.dumps([found["excess_before"], found["risk_before"], found["risk_after"]]) == "[12, 0.5, 0]"


TEXTS = st.sampled_from([TODAY, "u", "v", "", "/subscriptions/A", "active", "control"])
PLACES = st.fixed_dictionaries(
    {
        "role": TEXTS,
        "scope": TEXTS,
        "principal_id": TEXTS,
        "condition": st.none() | TEXTS,
        "state": st.sampled_from(["active", "eligible"]),
    },
    optional={"end_on": TEXTS},
)
PROOFS = st.fixed_dictionaries(
    {
        "used_subset": st.booleans(),
        "granted_superset": st.booleans(),
        "witness": st.none() | TEXTS,
        "tomorrow": st.lists(st.fixed_dictionaries({"role": TEXTS, "because": TEXTS}), max_size=1),
    }
)
CHANGES = st.fixed_dictionaries(
    {
        "reason": TEXTS | st.sampled_from(["r", "r" + clause_of_tells(["sign-in logs"])]),
        "plane": st.sampled_from(["directory", "trust", "graph"]),
        "kind": st.sampled_from(["keep", "builtin"]),
        "principal_ids": st.lists(TEXTS, min_size=1, max_size=2),
        "assignments": st.lists(PLACES, max_size=2),
        "evidence": st.fixed_dictionaries(
            {"scope": TEXTS, "state": st.sampled_from(["active", "eligible"])},
            optional={"kept_unseen": st.just({"arm_read": 1})},
        ),
        "proof": PROOFS,
        **dict.fromkeys(NUMBERS, st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, -3.0])),
    }
)


@pytest.mark.slow
@MANY
@given(CHANGES)
def test_a_proposal_for_another_plane_is_read_as_it_was(changes: dict[str, Any]) -> None:
    whole = PLAIN | changes
    assert filled(json.loads(json.dumps(shortened(whole, ONCE))), ONCE) == whole
    assert filled(whole, ONCE) == whole
    assert all(type(filled(shortened(whole, ONCE), ONCE)[name]) is float for name in NUMBERS)


@pytest.mark.parametrize("key", ["plane", "principal_ids", "assignments", "evidence", "proof", *NUMBERS])
@pytest.mark.parametrize("value", [None, "text", 3, True, [7], [None], {"scope": 3}])
def test_a_value_of_another_type_is_left_to_the_check(key: str, value: object) -> None:
    """Whoever wrote the plan, filling in never fails."""
    found = filled(PLAIN | {key: value}, ONCE)
    assert key in found


def test_the_schema_has_the_same_defaults_and_requires_the_rest() -> None:
    defined = json.loads(schema_text("plan"))["$defs"]
    proposal = defined["proposal"]
    assert {*shortened(PLAIN, ONCE)} == {*proposal["required"]}
    assert {*PLAIN["assignments"][0]} == {*defined["assignment"]["required"]}
    assert {*shortened(PLAIN, ONCE)["proof"]} == {*proposal["properties"]["proof"]["required"]}
    evidence = defined["proposal_evidence"]["properties"]
    assert {name: one["default"] for name, one in evidence.items() if "default" in one} == {"state": "active"}
