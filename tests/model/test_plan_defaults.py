"""What a proposal leaves out in `plan.json` is what readers fill in, and what the published JSON Schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.plan_defaults import filled, shortened
from rightsize.render.plan import PLAN_SCHEMA
from tests.examples import MANY

TODAY = "/subscriptions/a"
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


def test_a_plain_proposal_says_what_a_person_reviews() -> None:
    assert shortened(PLAIN) == {
        "id": "p",
        "principal_ids": ["u"],
        "kind": "builtin",
        "reason": "r",
        "replaces": ["a"],
        "assignments": [{"role": "r"}],
        "evidence": {"role": "o", "scope": TODAY},
    }


def test_a_proof_that_fails_is_said() -> None:
    proof = {"used_subset": True, "granted_superset": False, "witness": "x", "tomorrow": []}
    assert shortened(PLAIN | {"proof": proof})["proof"] == {"granted_superset": False, "witness": "x"}


def test_whole_numbers_are_written_as_such() -> None:
    assert json.dumps(shortened(PLAIN | {"excess_before": 12.0, "risk_before": 0.5})).endswith(
        '"excess_before": 12, "risk_before": 0.5}'
    )


def test_an_assignment_of_several_holders_names_its_own() -> None:
    """Nobody can know which of them is meant."""
    assert shortened(PLAIN | {"principal_ids": ["u", "v"]})["assignments"] == [{"role": "r", "principal_id": "u"}]
    assert "principal_id" not in filled(shortened(PLAIN) | {"principal_ids": ["u", "v"]})["assignments"][0]


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
        "plane": st.sampled_from(["control", "data", "graph"]),
        "principal_ids": st.lists(TEXTS, min_size=1, max_size=2),
        "assignments": st.lists(PLACES, max_size=2),
        "evidence": st.fixed_dictionaries({"scope": TEXTS, "state": st.sampled_from(["active", "eligible"])}),
        "proof": PROOFS,
        **dict.fromkeys(NUMBERS, st.sampled_from([0.0, -0.0, 1.0, 0.5, 1e300, -3.0])),
    }
)


@MANY
@given(CHANGES)
def test_a_proposal_is_read_as_it_was(changes: dict[str, Any]) -> None:
    whole = PLAIN | changes
    assert filled(json.loads(json.dumps(shortened(whole)))) == whole
    assert filled(whole) == whole
    assert all(type(filled(shortened(whole))[name]) is float for name in NUMBERS)


@pytest.mark.parametrize("key", ["plane", "principal_ids", "assignments", "evidence", "proof", *NUMBERS])
@pytest.mark.parametrize("value", [None, "text", 3, True, [7], [None], {"scope": 3}])
def test_a_value_of_another_type_is_left_to_the_check(key: str, value: object) -> None:
    """Whoever wrote the plan, filling in never fails."""
    found = filled(PLAIN | {key: value})
    assert key in found


def test_the_schema_has_the_same_defaults() -> None:
    defined = json.loads(PLAN_SCHEMA.read_bytes())["$defs"]
    proposal, place = defined["proposal"], defined["assignment"]
    nothing = filled({"assignments": [{}], "evidence": {}, "principal_ids": []})
    said = {name: one["default"] for name, one in proposal["properties"].items() if "default" in one}
    assert said == {name: value for name, value in nothing.items() if name in said}
    assert {*said} == {"plane", "proof", *NUMBERS}
    assert not {*said} & {*proposal["required"]}
    for fields, found in (
        (place, nothing["assignments"][0]),
        (defined["proposal_evidence"], nothing["evidence"]),
        (proposal["properties"]["proof"], nothing["proof"]),
    ):
        defaults = {name: one["default"] for name, one in fields["properties"].items() if "default" in one}
        assert defaults == found | {name: {} for name in ("kept_unseen", "removed") if name in defaults}
        assert not {*defaults} & {*fields.get("required", ())}
