"""The algebra of roles against Z3: random roles, the real built-in ones, and hostile strings."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given

from rightsize.model.nouns import PermissionBlock
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.propose.verify.smt_prover import Claims, Contained, Granted, UndecidedError, certify, refute
from rightsize.rbac import algebra
from tests.examples import FEW
from tests.properties.test_algebra import roles
from tests.rbac import naive

SAMPLE = 40
"""How many pairs of built-in roles are drawn in CI: of all pairs, and of those where one contains the other."""


def _contained(big: Sequence[PermissionBlock], small: Sequence[PermissionBlock]) -> Contained:
    witness = algebra.contains(big, small)
    return Contained(big, small, witness and witness.operation, "")


@given(roles, roles)
@FEW
def test_the_solver_agrees_on_random_roles(big: list[PermissionBlock], small: list[PermissionBlock]) -> None:
    """Several stars, blocks, conditions and both meanings of a star between slashes."""
    claim = _contained(big, small)
    assert (refute(claim) is None) == (claim.witness is None)


@pytest.mark.nightly
def test_the_solver_agrees_on_built_in_roles(shared_data: Path) -> None:
    """In the nightly run, on each pair where one contains the other; `re` checks the witness of each other pair."""
    known = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    blocks = [role.permissions for role in known]
    drawn = random.Random(4)  # noqa: S311  a sample, the same in each run
    if os.environ.get("HYPOTHESIS_PROFILE") == "nightly":
        pairs = [_contained(big, small) for big in blocks for small in blocks if big is not small]
        for claim in pairs:
            if claim.witness is not None:
                assert _is_against(claim.witness, claim.big, claim.small)
        asked = [claim for claim in pairs if claim.witness is None]
    else:
        some = [_contained(*drawn.sample(blocks, 2)) for _ in range(20_000)]
        asked = some[:SAMPLE] + [claim for claim in some[SAMPLE:] if claim.witness is None][:SAMPLE]
    found = certify(asked)
    assert (found.disagreements, found.undecided) == ((), ())
    assert found.agreed == len(asked) >= 2 * SAMPLE


def _is_against(operation: str, big: Sequence[PermissionBlock], small: Sequence[PermissionBlock]) -> bool:
    return any(
        naive.grants([block], operation, plane)
        and not naive.grants(naive.usable(big, block.condition), operation, plane, most=False)
        for block in small
        for plane in ("control", "data")
    )


def test_a_wrong_answer_of_ours_is_a_disagreement_with_both() -> None:
    reader, writer = [PermissionBlock(actions=("*/read",))], [PermissionBlock(actions=("M.X/a/write",))]
    roles = {"reader": reader, "writer": writer}
    wrong = Claims({(("reader",), "writer"): None}, {("reader", "control"): {"m.x/a/write"}}, {}, roles)
    found = certify(wrong.listed({"writer": "Writer"}))
    assert (found.claims, found.agreed) == (2, 0)
    assert [(one.about, one.ours, one.theirs) for one in found.disagreements] == [
        ("Writer is inside reader", "it holds", "it does not hold for `m.x/a/write`"),
        ("reader grants what was used", "it holds", "it does not hold for `m.x/a/write`"),
    ]
    too_strict = certify([Contained(reader, [PermissionBlock(actions=("M.X/read",))], "m.x/read", "inside")])
    assert [(one.ours, one.theirs) for one in too_strict.disagreements] == [
        ("it does not hold for `m.x/read`", "it holds")
    ]


def test_use_that_rests_on_a_reading_is_granted_by_the_same_reading() -> None:
    doubtful = [PermissionBlock(actions=("M.X/ids/*/assign/action",))]
    other = [PermissionBlock(actions=("M.X/ids/*",))]
    operation = {"m.x/ids/assign/action"}
    assert refute(Granted(doubtful, "control", operation, "")) == "m.x/ids/assign/action"
    assert refute(Granted(doubtful, "control", operation, "", doubtful)) is None
    assert refute(Granted(other, "control", operation, "", doubtful)) is None
    nothing = [PermissionBlock(actions=("M.X/ids/b/*",))]
    assert refute(Granted(nothing, "control", operation, "", doubtful)) == "m.x/ids/assign/action"


@pytest.mark.parametrize(
    "text", ['m.x/"a"/read', "m.x/\\u{61}/read", "m.x/ä\u2603\U0001f600/read", "m.x/)(or/read", ""]
)
def test_hostile_strings_stand_for_themselves(text: str) -> None:
    """Quotes, escapes, brackets and other scripts; also the empty string."""
    only, star = [PermissionBlock(actions=(text,))], [PermissionBlock(actions=("*",))]
    assert refute(Contained(star, only, None, "")) is None
    assert refute(Contained([], only, None, "")) == text
    if text:
        assert refute(Contained([PermissionBlock(actions=("m.x/a/read",))], only, None, "")) == text


def test_a_character_that_smt_lib_lacks_is_undecided() -> None:
    claim = Contained([], [PermissionBlock(actions=("m.x/\U000e0041/read",))], None, "it is inside")
    with pytest.raises(UndecidedError):
        refute(claim)
    assert certify([claim]).undecided == ("it is inside",)
