"""The algebra against independent oracles: automata, regular expressions, and every short string."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rightsize.model.nouns import PermissionBlock
from rightsize.model.text import intersection, loosened, parse_pattern
from rightsize.rbac import algebra
from rightsize.rbac.permissions import Reading
from rightsize.rbac.witness import Guard, shortest_string
from tests.examples import MANY, SOME
from tests.rbac import naive

LETTERS = "ab/"
ALPHABET = LETTERS + naive.OTHER
SHORT = tuple(naive.all_strings(ALPHABET, 5))

pattern = st.text(alphabet="aab/*", max_size=5)
simple_pattern = st.builds(
    lambda head, star, tail: head + star + tail,
    st.text(alphabet=LETTERS, max_size=3),
    st.sampled_from(["*", "*", ""]),
    st.text(alphabet=LETTERS, max_size=3),
)


def blocks_of(text: st.SearchStrategy[str]) -> st.SearchStrategy[list[PermissionBlock]]:
    """Return a strategy for the blocks of a role; most speak of the control plane."""

    def few(most: int) -> st.SearchStrategy[tuple[str, ...]]:
        return st.lists(text, max_size=most).map(tuple)

    block = st.builds(
        PermissionBlock,
        actions=st.lists(text, min_size=1, max_size=3).map(tuple),
        not_actions=few(3),
        data_actions=few(1),
        not_data_actions=few(1),
        condition=st.sampled_from([None, None, None, "c", "d"]),
    )
    return st.lists(block, max_size=3)


segmented = st.lists(st.sampled_from(["a", "b", "*", "*"]), min_size=2, max_size=4).map("/".join)
"""Strings in which most stars are whole segments, some between two others."""

repeated = st.sampled_from(["*", "a/*", "a/b", "a/*/b", "a/*/b", "a/a/*/b", "a/*/a/b", "a/*/*/b", "a/*/a/*/b", "*/b"])
"""Strings of which two roles often have the same, with stars between slashes."""

roles = st.one_of(
    blocks_of(pattern),
    blocks_of(simple_pattern),
    blocks_of(segmented).map(lambda role: role[:2]),
    blocks_of(repeated),
)


@given(pattern, st.text(alphabet="abAB/*\n" + naive.OTHER, max_size=7))
@MANY
def test_a_pattern_matches_what_re_matches(text: str, operation: str) -> None:
    """Wildcards are those of regular expressions, line ends included."""
    assert parse_pattern(text).matches(operation.lower()) == naive.matches(text, operation)


@given(st.one_of(pattern, segmented, st.text(alphabet="a/*", max_size=9)), st.text(alphabet="ab/", max_size=7))
@example("/*/*/a", "/a")
@example("a" + "/*" * 8 + "/b", "a/b")
@MANY
def test_a_star_between_slashes_may_stand_for_nothing(text: str, operation: str) -> None:
    """A pattern and its looser forms match what `/(?:.*/)?` in place of each `/*/` matches."""
    whole = parse_pattern(text)
    found = any(one.matches(operation) for one in (whole, *loosened(whole)))
    assert found == naive.matches(text, operation, generous=True)


def test_only_a_star_between_two_slashes_is_loosened() -> None:
    """Neither a first segment, nor a last one, nor a part of a segment; and each of several by itself."""
    for text in ("*/read", "Microsoft.X/*", "*", "Microsoft.X/a*/read", "Microsoft.X/*read", "Microsoft.X/read"):
        assert loosened(parse_pattern(text)) == ()
    assert [one.spelt for one in loosened(parse_pattern("Microsoft.X/*/Read"))] == ["Microsoft.X/Read"]
    assert {one.text for one in loosened(parse_pattern("x/*/y/*/z"))} == {"x/y/*/z", "x/*/y/z", "x/y/z"}


def test_a_string_with_many_stars_has_one_looser_form_that_matches_them_all() -> None:
    """A string that Azure would refuse cannot make the number of forms explode."""
    many = parse_pattern("x" + "/*/a" * 40 + "/y")
    (form,) = loosened(many)
    assert form.matches("x" + "/a" * 40 + "/y")
    assert form.matches("x" + "/b/a" * 20 + "/a" * 20 + "/y")
    assert not form.matches("x/b")


@pytest.mark.nightly
@given(roles, roles)
@MANY
def test_containment_is_that_of_automata(big: list[PermissionBlock], small: list[PermissionBlock]) -> None:
    """`contains` says what complement and product of textbook automata say, for every meaning of each `/*/`."""
    assume(len(naive.meanings([*big, *small])) <= 32)
    assert (algebra.contains(big, small) is None) == naive.contains(big, small, ALPHABET)


@pytest.mark.slow
@given(roles, roles)
@MANY
def test_a_witness_is_granted_by_small_only(big: list[PermissionBlock], small: list[PermissionBlock]) -> None:
    """Each witness is granted by a small block and by nothing of big that counts against that block."""
    for witness in algebra.witnesses(big, small):
        assert any(
            _only_small(big, block, witness.operation, witness.plane, meaning)
            for block in small
            for meaning in naive.meanings([*big, *small])
        )
        is_certain = any(
            naive.grants([block], witness.operation, witness.plane, most=False)
            and not naive.grants(naive.usable(big, block.condition), witness.operation, witness.plane, most=True)
            for block in small
        )
        assert is_certain or witness.depends_on_reading
        assert witness.operation == witness.operation.strip(" ")


def _only_small(
    big: list[PermissionBlock], block: PermissionBlock, operation: str, plane: str, meaning: naive.Meaning
) -> bool:
    """Return whether by one meaning of all strings a small block grants an operation, and big does not."""

    def granted(one: PermissionBlock) -> bool:
        return naive.grants_by(one, operation, plane, meaning)

    return granted(block) and not any(map(granted, naive.usable(big, block.condition)))


@pytest.mark.nightly
@given(roles, st.sampled_from(["control", "data"]))
@MANY
def test_the_readings_are_the_bounds_of_what_azure_may_mean(role: list[PermissionBlock], plane: str) -> None:
    """Each short string is granted by `MOST` and `LEAST` as the oracle has them, and by `MOST` where by `LEAST`."""
    assume(len(naive.meanings(role)) <= 8)
    for text in SHORT[:400]:
        most = algebra.grants(role, text, plane) != "no"
        least = algebra.grants(role, text, plane, Reading.LEAST) != "no"
        assert (most, least) == (naive.grants(role, text, plane), naive.grants(role, text, plane, most=False))
        assert most or not least


def test_a_witness_says_whether_it_depends_on_the_reading() -> None:
    """A string that both sides have speaks against nothing; one that a side spells out only does by one reading."""
    star, plain = "Microsoft.X/ids/*/assign/action", "Microsoft.X/ids/assign/action"
    by_star, by_name = [PermissionBlock(actions=(star,))], [PermissionBlock(actions=(plain,))]
    for big, small in (
        (by_star, by_name),
        ([PermissionBlock(actions=("Microsoft.X/ids/b/*", plain.upper()))], by_star),
    ):
        witness = algebra.contains(big, small)
        assert witness is not None
    witness = algebra.contains(by_star, by_name)
    assert witness is not None
    assert (witness.operation, witness.depends_on_reading) == (plain, True)
    assert algebra.contains([PermissionBlock(actions=(star.upper(), "a"))], by_star) is None
    certain = algebra.contains(by_name, by_star)
    assert certain is not None
    assert not certain.depends_on_reading


def test_one_string_means_the_same_among_actions_and_not_actions() -> None:
    """What it takes out of one block it gives by another, whatever it means; within a block it grants nothing."""
    whole, cut = PermissionBlock(actions=("X/*",)), PermissionBlock(actions=("x/*",), not_actions=("X/*/delete",))
    given_back = PermissionBlock(actions=("x/*/Delete",))
    assert algebra.contains([cut, given_back], [whole]) is None
    assert algebra.contains([cut], [whole]) is not None
    assert algebra.grants([cut, given_back], "x/delete", "control", Reading.LEAST) == "yes"
    assert algebra.grants([given_back], "x/delete", "control", Reading.LEAST) == "no"
    other = algebra.contains([cut, PermissionBlock(actions=("X/*/*/delete", "X/y/*"))], [whole])
    assert other is not None
    nothing = [PermissionBlock(actions=("X/*/delete",), not_actions=("x/*/DELETE",))]
    assert algebra.grants(nothing, "x/delete", "control") == "no"


def test_a_chain_of_forced_meanings_is_followed() -> None:
    """Each string that would grant is strict then, and what it had excluded is granted by the next block."""
    chain = [PermissionBlock(actions=("a/*",), not_actions=("a/*/b/c",))]
    for one, other in (("a/*/b/c", "a/b/*/c"), ("a/b/*/c", "a/*/*/b/c")):
        chain.append(PermissionBlock(actions=(one,), not_actions=(other,)))
    chain.append(PermissionBlock(actions=("a/*/*/b/c",)))
    whole = [PermissionBlock(actions=("a/*",))]
    assert algebra.contains(chain, whole) is None
    for gone in range(1, 4):
        assert algebra.contains(chain[:gone] + chain[gone + 1 :], whole) is not None


def test_one_not_action_on_both_sides_means_the_same() -> None:
    """What it may take out of big it takes out of small; another one in its place may take out more."""
    whole = PermissionBlock(actions=("m/*",), not_actions=("m/*/write",))
    narrow = PermissionBlock(actions=("m/*/write", "m/write"), not_actions=("M/*/write",))
    assert algebra.contains([whole], [narrow]) is None
    witness = algebra.contains([whole], [PermissionBlock(actions=("m/write",))])
    assert witness is not None
    assert witness.depends_on_reading


@pytest.mark.slow
@given(blocks_of(st.text(alphabet=" a*", max_size=4)), blocks_of(st.text(alphabet=" a*", max_size=4)))
@MANY
def test_spaces_inside_are_letters(big: list[PermissionBlock], small: list[PermissionBlock]) -> None:
    """Spaces at the ends of patterns are trimmed, those inside count, and no witness begins or ends with one."""
    witness = algebra.contains(big, small)
    assert (witness is None) == naive.contains(big, small, " a" + naive.OTHER)
    for found in algebra.witnesses(big, small):
        assert found.operation == found.operation.strip(" ")
        assert algebra.grants(small, found.operation, found.plane) != "no"


@given(roles, roles)
@SOME
def test_what_is_contained_holds_for_every_short_string(
    big: list[PermissionBlock], small: list[PermissionBlock]
) -> None:
    """Where containment holds, no string of up to five letters breaks it."""
    if algebra.contains(big, small) is None and len(naive.meanings([*big, *small])) <= 8:
        for block in small:
            against = naive.usable(big, block.condition)
            for plane in ("control", "data"):
                for most in (True, False):
                    granted = (text for text in SHORT if naive.grants([block], text, plane, most=most))
                    assert all(naive.grants(against, text, plane, most=most) for text in granted)


@pytest.mark.nightly
@given(roles, roles)
@MANY
def test_intersection_is_that_of_automata(left: list[PermissionBlock], right: list[PermissionBlock]) -> None:
    """`intersects` says what products of automata say."""
    meanings = naive.meanings([*left, *right])
    assume(len(meanings) <= 32)
    languages = [
        (naive.language(left, plane, ALPHABET, meaning), naive.language(right, plane, ALPHABET, meaning))
        for plane in ("control", "data")
        for meaning in meanings
    ]
    # Both ask what may be granted.
    assert algebra.intersects(left, right) == any(not one.meet(two).is_empty() for one, two in languages)


@given(roles)
@MANY
def test_every_role_contains_itself(role: list[PermissionBlock]) -> None:
    """Containment is reflexive, conditions included."""
    assert algebra.contains(role, role) is None


@pytest.mark.slow
@given(roles, roles, roles)
@MANY
def test_containment_is_transitive(
    one: list[PermissionBlock], two: list[PermissionBlock], three: list[PermissionBlock]
) -> None:
    """What holds from one to two and from two to three holds from one to three, on a chain that is made to hold."""
    plain = [[replace(block, condition=None) for block in role] for role in (one, two, three)]
    big, middle, small = plain[0] + plain[1] + plain[2], plain[1] + plain[2], plain[2]
    assert algebra.contains(big, middle) is None
    assert algebra.contains(middle, small) is None
    assert algebra.contains(big, small) is None
    if algebra.contains(one, two) is None and algebra.contains(two, three) is None:
        assert algebra.contains(one, three) is None


@pytest.mark.slow
@given(roles, roles, st.randoms(use_true_random=False))
@MANY
def test_order_and_case_change_nothing(
    big: list[PermissionBlock], small: list[PermissionBlock], random: object
) -> None:
    """Shuffled blocks and strings, in capitals, give the same answer, down to the witness but for its case."""

    def disguise(role: list[PermissionBlock]) -> list[PermissionBlock]:
        shuffled = random.sample(role, len(role))  # type: ignore[attr-defined]
        return [replace(block, actions=_shout(block.actions, random), not_actions=_shout(block.not_actions, random))
                for block in shuffled]  # fmt: skip

    plain, disguised = algebra.contains(big, small), algebra.contains(disguise(big), disguise(small))
    assert (plain is None) == (disguised is None)
    if plain and disguised:
        assert (plain.operation.lower(), plain.plane) == (disguised.operation.lower(), disguised.plane)


def _shout(texts: tuple[str, ...], random: object) -> tuple[str, ...]:
    return tuple(f" {text.upper()} " for text in random.sample(texts, len(texts)))  # type: ignore[attr-defined]


@given(st.lists(pattern, min_size=1, max_size=2), st.lists(st.tuples(pattern, pattern), max_size=2))
@MANY
def test_the_search_finds_a_shortest_string(required: list[str], guards: list[tuple[str, str]]) -> None:
    """What it finds fulfils all, nothing shorter does, and where it finds nothing no short string does."""
    found = shortest_string(
        [parse_pattern(text) for text in required],
        [Guard((parse_pattern(allowed),), (parse_pattern(excluded),)) for allowed, excluded in guards],
    )

    def fits(text: str) -> bool:
        return all(naive.matches(one, text) for one in required) and not any(
            naive.matches(allowed, text) and not naive.matches(excluded, text) for allowed, excluded in guards
        )

    shorter = [text for text in SHORT if found is None or len(text) < len(found)]
    assert found is None or fits(found.replace("*", naive.OTHER))
    assert not any(map(fits, shorter))


@pytest.mark.slow
@given(simple_pattern, simple_pattern)
@MANY
def test_the_intersection_of_two_patterns_is_the_union_of_its_parts(left: str, right: str) -> None:
    """Every short string is in both patterns exactly when it is in one of the parts."""
    parts = [part.text for part in intersection(parse_pattern(left), parse_pattern(right))]
    for text in SHORT:
        both = naive.matches(left, text) and naive.matches(right, text)
        assert both == any(naive.matches(part, text) for part in parts)


@pytest.mark.nightly
@given(roles, pattern, pattern)
@MANY
def test_adding_a_block_never_takes_away(role: list[PermissionBlock], allowed: str, excluded: str) -> None:
    """Not-actions subtract from their own block only: another block never takes anything away."""
    wider = [*role, PermissionBlock(actions=(allowed,), not_actions=(excluded,))]
    assert algebra.contains(wider, role) is None


@pytest.mark.slow
@given(roles, roles, st.sampled_from(["a/b", "a/a/b", "/", "a/", "b/a", "a"]))
@MANY
def test_one_operation_is_granted_alike_as_the_oracle_says(
    big: list[PermissionBlock], small: list[PermissionBlock], operation: str
) -> None:
    """By every meaning by which a small block grants it, something of big that counts against that block does."""
    assume(len(naive.meanings([*big, *small])) <= 32)
    wanted = not any(
        _only_small(big, block, operation, "control", meaning)
        for meaning in naive.meanings([*big, *small])
        for block in small
    )
    assert algebra.grants_alike(big, small, operation, "control") == wanted
