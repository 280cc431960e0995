"""All built-in roles against all operations, and against each other: exhaustively, on the real catalogue."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from rightsize.model.nouns import PLANES, PermissionBlock, RoleDefinition
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.rbac.algebra import contains, grants
from rightsize.rbac.expand import Catalogue, doubtful_positions, expand_roles, granted_positions
from rightsize.rbac.permissions import Reading, read_permissions
from tests.rbac import naive


@pytest.fixture(scope="module")
def roles(shared_data: Path) -> tuple[RoleDefinition, ...]:
    return read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))


@pytest.fixture(scope="module")
def operations(shared_data: Path) -> list[str]:
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as file:
        return [row["operation"] for row in csv.DictReader(file)]


class Expander:
    """Operations that patterns match, by `re`, each pattern once."""

    def __init__(self, operations: list[str]) -> None:
        # One operation of the catalogue ends in a space; operations fold as patterns do.
        self._folded = {name.strip(" ").lower() for name in operations}
        self._found: dict[str, frozenset[str]] = {}

    def __call__(self, patterns: tuple[str, ...], *, generous: bool = False) -> set[str]:
        texts = {pattern.strip(" ").lower() for pattern in patterns}
        texts |= {form for text in texts for form in naive.looser(text)} if generous else set()
        return set().union(*map(self._matching, texts))

    def _matching(self, pattern: str) -> set[str] | frozenset[str]:
        if "*" not in pattern:
            return self._folded & {pattern}
        if pattern not in self._found:
            expression = re.compile(".*".join(map(re.escape, pattern.split("*"))), re.DOTALL)
            self._found[pattern] = frozenset(filter(expression.fullmatch, self._folded))
        return self._found[pattern]


@pytest.mark.nightly
def test_expansion_agrees_with_re_everywhere(roles: tuple[RoleDefinition, ...], operations: list[str]) -> None:
    """On both planes, for 928 roles and all operations, the index finds the most that regular expressions find."""
    wanted = Expander(operations)
    found: dict[tuple[str, str], tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    blocks = {role.role_definition_id: role.permissions for role in roles}
    for row in expand_roles(blocks, [(operation, ()) for operation in operations]):
        found[(row.role, row.plane)][row.conditional].add(row.operation.strip(" ").lower())
    for role in roles:
        for plane in PLANES:
            sets: tuple[set[str], set[str]] = (set(), set())
            for block in role.permissions:
                allowed, nots = naive.strings(block, plane)
                sets[block.condition is not None].update(wanted(allowed, generous=True) - wanted(nots))
            always, under_condition = found[(role.role_definition_id, plane)]
            assert always == sets[0], role.role_name
            assert under_condition == sets[1] - sets[0], role.role_name


@pytest.mark.nightly
def test_single_answers_agree_with_expansion(roles: tuple[RoleDefinition, ...], operations: list[str]) -> None:
    """`grants` says of one operation what expansion says of all, here for every 97th pair."""
    catalogue = Catalogue(operations)
    for number, role in enumerate(roles):
        permissions = read_permissions(role.permissions)
        for plane in PLANES:
            always, under_condition = granted_positions(permissions, plane, catalogue)
            for position in range(number % 97, len(operations), 97):
                wanted = "yes" if position in always else "conditional" if position in under_condition else "no"
                assert grants(permissions, operations[position], plane) == wanted


Pattern = tuple[RoleDefinition, str, str, str]
"""A role, a plane, one of its strings with a `/*/`, and the operation of the catalogue that it names without it."""


@pytest.fixture(scope="module")
def loose(roles: tuple[RoleDefinition, ...], operations: list[str]) -> list[tuple[bool, Pattern]]:
    """The strings of built-in roles that name an operation only if `/*/` may stand for `/`; whether they exclude it."""
    folded = {name.strip(" ").lower(): name for name in operations}
    return [
        (excludes, (role, plane, text, folded[form]))
        for role in roles
        for block in role.permissions
        for plane in PLANES
        for excludes, texts in enumerate(naive.strings(block, plane))
        for text in texts
        for form in sorted((naive.looser(text) - {text.strip(" ").lower()}) & folded.keys())
    ]


@pytest.mark.slow
def test_151_strings_of_128_built_in_roles_rest_on_the_reading(loose: list[tuple[bool, Pattern]]) -> None:
    """As counted by hand; one of them is that of Managed Identity Operator."""
    assert len({text.lower() for _, (_, _, text, _) in loose}) == 151
    assert len({role.role_definition_id for _, (role, *_) in loose}) == 128
    assert ("Managed Identity Operator", "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action") in {
        (role.role_name, operation) for _, (role, _, _, operation) in loose
    }


@pytest.mark.nightly
def test_each_of_them_may_be_granted_and_its_own_role_contains_it(loose: list[tuple[bool, Pattern]]) -> None:
    """Both readings are the oracle's; a role contains itself and its string, which grants nothing for certain."""
    for excludes, (role, plane, text, operation) in loose:
        assert contains(role.permissions, role.permissions) is None
        by_oracle = [naive.grants(role.permissions, operation.lower(), plane, most=most) for most in (True, False)]
        answers = [grants(role.permissions, operation, plane, reading) != "no" for reading in Reading]
        assert answers == by_oracle
        if not excludes:
            own = next(b for b in role.permissions if text in naive.strings(b, plane)[0])
            kept = replace(
                own,
                actions=(text,) if plane == "control" else (),
                data_actions=(text,) if plane == "data" else (),
            )
            assert contains(role.permissions, [kept]) is None
            assert contains([kept], [_named(operation, plane)]) is not None


@pytest.mark.slow
def test_the_least_is_inside_the_most_of_every_role(roles: tuple[RoleDefinition, ...], operations: list[str]) -> None:
    """And they differ on the operations alone that `expand_roles` names."""
    catalogue = Catalogue(operations)
    differing = 0
    for role in roles:
        read = read_permissions(role.permissions)
        for plane in PLANES:
            (most, maybe), (least, at_least) = (
                granted_positions(read, plane, catalogue, reading) for reading in Reading
            )
            assert least <= most
            assert at_least <= most | maybe
            assert doubtful_positions(read, plane, catalogue) == (most - least) | (maybe - at_least - most)
            differing += len(most - least)
    assert differing == 209


def _named(operation: str, plane: str) -> PermissionBlock:
    return PermissionBlock(**{"actions" if plane == "control" else "data_actions": (operation,)})


@pytest.mark.nightly
def test_all_pairs_are_decided_and_1215_hold_over_the_catalogue_only(
    roles: tuple[RoleDefinition, ...], operations: list[str]
) -> None:
    """Conditions held to be true, 1,215 of the 860,256 ordered pairs hold over the operations of that day only."""
    catalogue = Catalogue(operations)
    plain = [read_permissions([replace(block, condition=None) for block in role.permissions]) for role in roles]
    masks = [[_mask(granted_positions(role, plane, catalogue)[0]) for plane in PLANES] for role in plain]
    over_catalogue_only = 0
    for big, big_masks in zip(plain, masks, strict=True):
        for small, small_masks in zip(plain, masks, strict=True):
            holds_there = all(not s & ~b for s, b in zip(small_masks, big_masks, strict=True))
            witness = contains(big, small)
            assert holds_there or witness is not None
            over_catalogue_only += holds_there and witness is not None
    assert over_catalogue_only == 1215


@pytest.mark.nightly
def test_each_witness_between_built_in_roles_holds(roles: tuple[RoleDefinition, ...]) -> None:
    """Witnesses of a sample of pairs are granted by small and not by big, by regular expressions."""
    for number, big in enumerate(roles[::9]):
        for small in roles[number % 7 :: 13]:
            witness = contains(big.permissions, small.permissions)
            if witness is None:
                continue
            most = not witness.depends_on_reading
            assert any(
                naive.grants([block], witness.operation, witness.plane, most=not most)
                and not naive.grants(
                    naive.usable(big.permissions, block.condition), witness.operation, witness.plane, most=most
                )
                for block in small.permissions
            )


@pytest.mark.slow
def test_reader_and_owner_beside_contributor(roles: tuple[RoleDefinition, ...]) -> None:
    """Contributor grants all of Reader; Owner may do what Contributor's not-actions exclude."""
    by_name = {role.role_name: role.permissions for role in roles}
    assert contains(by_name["Contributor"], by_name["Reader"]) is None
    witness = contains(by_name["Contributor"], by_name["Owner"])
    assert witness is not None
    assert witness.operation.startswith("Microsoft.")
    assert contains(by_name["Owner"], by_name["Contributor"]) is None


def _mask(positions: set[int]) -> int:
    buffer = bytearray(max(positions, default=0) // 8 + 1)
    for position in positions:
        buffer[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(buffer, "little")
