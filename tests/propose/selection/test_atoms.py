"""Sets of atoms: numbers for roles and needs agree with the algebra on their strings, in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.inputs import ScopeTree
from rightsize.analyze.tenant import read_tenant
from rightsize.model.nouns import PermissionBlock
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.role_catalog import Need, RoleBook, open_role_book
from rightsize.propose.core.role_patterns import PatternPart
from rightsize.propose.selection.candidates import Atoms, CandidateIndex
from rightsize.rbac.algebra import contains
from tests.examples import SOME
from tests.propose.small_tenant import SUB, SmallTenant, guid

DUAL = "Microsoft.KeyVault/vaults/keys/read"
CATALOGUE: dict[str, bool | None] = {
    "N/t/read": False,
    "N/t/write": False,
    "N/t/u/read": False,
    "N/t/u/write": False,
    "M/t/read": False,
    "M/t/data/read": True,
    "M/open/action": None,
    DUAL: False,
    "Microsoft.KeyVault/vaults/secrets/read": False,
}
PATTERNS = (
    "*",
    "*/read",
    "N/*",
    "N/*/read",
    "N/t/*",
    "N/t/u/*",
    "M/*",
    "M/*/read",
    "Microsoft.KeyVault/*",
    "Microsoft.KeyVault/vaults/*/read",
    *CATALOGUE,
)
NO_TREE = ScopeTree(pl.DataFrame(), pl.DataFrame(), pl.DataFrame())
ALL = [PermissionBlock(actions=("*",), data_actions=("*",))]
TEXTS = st.lists(st.sampled_from(PATTERNS), max_size=3).map(tuple)
BLOCKS = st.lists(st.builds(PermissionBlock, TEXTS, TEXTS, TEXTS, TEXTS), min_size=1, max_size=2)
PARTS = st.builds(
    lambda pattern, nots, plane: PatternPart((pattern,), tuple(sorted(set(nots))), plane),
    st.sampled_from([text for text in PATTERNS if "*" in text]),
    st.lists(st.sampled_from(PATTERNS), max_size=2),
    st.sampled_from(["control", "data"]),
)


def _book(roles: list[list[PermissionBlock]]) -> RoleBook:
    tenant = SmallTenant(
        operations=dict(CATALOGUE),
        roles={guid(number): (f"role {number}", blocks) for number, blocks in enumerate([*roles, ALL], start=1)},
    )
    user = tenant.principal(1_000)
    for number in range(1, len(roles) + 2):
        tenant.assign(2_000 + number, user, guid(number), SUB)
    inputs = tenant.inputs()
    return open_role_book(inputs, index_operations(read_tenant(inputs).operations, inputs.role_operations))


@pytest.mark.nightly
@SOME
@given(
    st.lists(BLOCKS, min_size=1, max_size=3), st.lists(PARTS, min_size=1, max_size=4), st.randoms(use_true_random=False)
)
def test_parts_within_are_those_that_the_algebra_finds(
    roles: list[list[PermissionBlock]], parts: list[PatternPart], random: Random
) -> None:
    """Asked of roles, of needs and of sets, in any order and again, the answer rests on the strings alone."""
    book = _book(roles)
    atoms = Atoms.of([Need(0, tuple(parts))], book)
    bit_of = {part: 1 << atoms.width + number for number, part in enumerate(atoms.parts)}

    def within(blocks: tuple[PermissionBlock, ...]) -> int:
        return sum(bit for part, bit in bit_of.items() if contains(blocks, [part.block]) is None)

    candidates = CandidateIndex(book, atoms, NO_TREE)
    questions: list[tuple[Callable[[], int], tuple[PermissionBlock, ...]]] = []
    for role in book.roles.values():
        # As the table says, and as one would that lacks all rows of it.
        bare = replace(role, role_definition_id=f"bare {role.role_definition_id}", granted=0)
        questions += [(partial(candidates.atoms_of, one), one.blocks) for one in (role, bare)]
    for part in parts:
        bare = replace(book.roles[guid(1)], role_definition_id=f"bare {part}", blocks=(part.block,), granted=0)
        questions.append((partial(candidates.atoms_of, bare), bare.blocks))
        # Of a need that has nothing else, and of one that has other operations too.
        for extra in (0, (1 << 5) - 1):
            questions.append((partial(atoms.granted, extra | bit_of[part]), (part.block,)))
    random.shuffle(questions)
    for ask, blocks in questions + questions:
        assert ask() >> atoms.width << atoms.width == within(blocks)


@pytest.mark.slow
@SOME
@given(st.lists(BLOCKS, min_size=1, max_size=3))
def test_what_a_role_grants_is_what_its_strings_say(roles: list[list[PermissionBlock]]) -> None:
    """On both planes, an operation on both and one whose plane nobody knows included."""
    book = _book(roles)
    for role in book.roles.values():
        assert role.granted == book.index.granted_by(role.blocks)


def test_a_dual_operation_is_granted_on_both_planes() -> None:
    """By a wildcard on the control plane, though roles spell it out as a data action only."""
    book = _book([[PermissionBlock(actions=("*/read",))], [PermissionBlock(data_actions=(DUAL,))]])
    reader, crypto = book.roles[guid(1)], book.roles[guid(2)]
    assert ("control", DUAL) in set(book.index.members(reader.granted))
    assert set(book.index.members(crypto.granted)) == {("data", DUAL)}
    part = PatternPart(("*/read",))
    atoms = Atoms.of([Need(0, (part,))], book)
    assert CandidateIndex(book, atoms, NO_TREE).atoms_of(reader) == reader.granted | atoms.of_need(Need(0, (part,)))
