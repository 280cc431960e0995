"""The proven bound on excess holds for every possible choice of roles."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.core.role_catalog import Need
from rightsize.propose.optimize.biclique_kernel import bits
from rightsize.propose.optimize.rows import smallest_cover
from rightsize.propose.selection.bounds import bound_excess
from rightsize.propose.selection.equivalence import ClassCase, NeedClass
from tests.examples import MANY

WIDTH = 4
WEIGHTS = (1, 2, 3, 7)


@dataclass(frozen=True)
class _Operations:
    """Atoms that are operations, all of them."""

    width: int = WIDTH


@dataclass(frozen=True)
class _Prices:
    """What a class pays without a new role: the existing role with all that it may be granted."""

    def bound(self, case: ClassCase, _atoms: int) -> int:
        return _weigh(case.within & ~case.needed)


def _weigh(operations: int) -> int:
    return sum(WEIGHTS[atom] for atom in bits(operations))


@st.composite
def cases(draw: st.DrawFn) -> list[ClassCase]:
    found = []
    for _ in range(draw(st.integers(1, 5))):
        need = draw(st.integers(1, 2**WIDTH - 1))
        within = need | draw(st.integers(0, 2**WIDTH - 1))
        condition = draw(st.sampled_from([None, "one role only"]))
        domain = draw(st.sampled_from(["", "", "one", "another"]))
        whole = NeedClass(domain, Need(need), (), (), (), condition, None, exposure=draw(st.integers(1, 3)))
        found.append(ClassCase(whole, need, need, need, within, (), ""))
    return found


def _least_excess(found: list[ClassCase], most: int) -> int:
    """Try every set of so many roles; each class takes those that cost it least, or pays for the existing role."""
    best = sum(case.whole.exposure * _weigh(case.within & ~case.needed) for case in found)
    domains = sorted({case.whole.domain for case in found} - {""}) or [""]
    for roles in itertools.combinations(itertools.product(domains, range(1, 2**WIDTH)), most):
        best = min(best, sum(case.whole.exposure * _cheapest(case, roles) for case in found))
    return best


def _cheapest(case: ClassCase, roles: tuple[tuple[str, int], ...]) -> int:
    """Azure accepts a role for one management group and any subscriptions."""
    inside = [role for domain, role in roles if not role & ~case.within and case.whole.domain in ("", domain)]
    least = _weigh(case.within & ~case.needed)
    for count in range(1, min(case.whole.most_roles, len(inside)) + 1):
        for taken in itertools.combinations(inside, count):
            granted = 0
            for role in taken:
                granted |= role
            if not case.needed & ~granted:
                least = min(least, _weigh(granted & ~case.needed))
    return least


@MANY
@given(cases())
def test_no_choice_of_so_many_roles_has_less_excess_than_is_proved(found: list[ClassCase]) -> None:
    bound = bound_excess(found, _Operations(), _weigh, _Prices())  # type: ignore[arg-type]  # as much as is asked of them
    many = len({case.whole.domain for case in found} - {""}) > 1
    for most in range(3 if many else 4):
        least = _least_excess(found, most)
        assert bound.with_roles(most) <= bound.proved(most) <= least


def test_the_bound_meets_what_is_best_where_two_needs_share_one_role() -> None:
    """Two needs that may be granted each other's: joined they pay for what is not theirs, and that is proved."""
    found = [
        ClassCase(
            NeedClass("", Need(0b0001), (), (), (), None, None, exposure=1), 0b0001, 0b0001, 0b0001, 0b1111, (), ""
        ),
        ClassCase(
            NeedClass("", Need(0b0010), (), (), (), None, None, exposure=1), 0b0010, 0b0010, 0b0010, 0b1111, (), ""
        ),
    ]
    bound = bound_excess(found, _Operations(), _weigh, _Prices())  # type: ignore[arg-type]  # as much as is asked of them
    assert [bound.proved(most) for most in range(3)] == [_least_excess(found, most) for most in range(3)]
    assert bound.proved(1) == 3


def test_a_cover_is_the_cheapest_of_the_smallest() -> None:
    """Of covers with equally few columns the cheapest is taken, and of these the first."""
    assert smallest_cover(0b11, [0b01, 0b10, 0b11, 0b11], [0, 0, 5, 4], 3) == (3,)
    assert smallest_cover(0b11, [0b01, 0b10, 0b10], [0, 3, 3], 3) == (0, 1)
    assert smallest_cover(0b11, [0b01, 0b10], [0, 0], 1) is None
    assert smallest_cover(0, [], [], 1) == ()
