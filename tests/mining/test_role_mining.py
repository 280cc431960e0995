"""Role mining gives everybody exactly what they have, with no more roles than it proves or reports."""

from __future__ import annotations

import itertools
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.mining.role_mining import Cover, minimum_cover
from rightsize.propose.optimize.biclique_kernel import bits
from tests.examples import MANY, SOME

MATRICES = st.integers(1, 6).flatmap(
    lambda width: st.tuples(st.lists(st.integers(0, 2**width - 1), min_size=1, max_size=7), st.just(width))
)


def _gives_exactly(cover: Cover, rows: list[int]) -> bool:
    given_to = [0] * len(rows)
    for role in cover.roles:
        for row in bits(role.rows):
            given_to[row] |= role.columns
    return given_to == rows


def _fewest_by_brute_force(rows: list[int], width: int) -> int:
    """Try covers of growing size out of all bicliques that are closed on the permission side."""
    closed = set()
    for size in range(1, len(rows) + 1):
        for chosen in itertools.combinations(range(len(rows)), size):
            columns = (1 << width) - 1
            for row in chosen:
                columns &= rows[row]
            closed.add(columns)
    closed.discard(0)
    for count in range(len(rows) + 1):
        for roles in itertools.combinations(sorted(closed), count):
            reached = [0] * len(rows)
            for index, row in enumerate(rows):
                for columns in roles:
                    if columns & ~row == 0:
                        reached[index] |= columns
            if reached == rows:
                return count
    raise AssertionError("each row alone is a role")


@MANY
@given(MATRICES)
def test_the_cover_is_exact_and_as_small_as_brute_force_finds(case: tuple[list[int], int]) -> None:
    """On small tables the number of roles is the least there is, and is proved to be."""
    rows, width = case
    cover = minimum_cover(rows, width)
    assert _gives_exactly(cover, rows)
    assert len(cover.roles) == _fewest_by_brute_force(rows, width)
    assert cover.optimal


@SOME
@given(st.lists(st.integers(0, 2**14 - 1), min_size=8, max_size=16))
def test_the_bound_never_passes_the_cover(rows: list[int]) -> None:
    """On denser tables the cover stays exact and the bound stays below it."""
    cover = minimum_cover(rows, 14, solver_seconds=0.2)
    assert _gives_exactly(cover, rows)
    assert cover.lower_bound <= len(cover.roles) <= len({row for row in rows if row})


@pytest.mark.parametrize("flipped", [0.01, 0.05])
def test_noisy_tables_are_covered_in_the_time_given(flipped: float) -> None:
    """Planted roles with some bits flipped, which leaves no structure to reduce: exact, sound, and soon at an end."""
    lot = random.Random(5)  # noqa: S311  tables, not secrets
    planted = [sum(1 << column for column in lot.sample(range(40), lot.randint(2, 10))) for _ in range(12)]
    noise = [sum((lot.random() < flipped) << column for column in range(40)) for _ in range(110)]
    rows = [lot.choice(planted) | lot.choice(planted) | lot.choice(planted) for _ in noise]
    rows = [row ^ bits_flipped for row, bits_flipped in zip(rows, noise, strict=True)]
    begun = time.process_time()
    cover = minimum_cover(rows, 40, solver_seconds=0.1)
    assert time.process_time() - begun < 30
    assert _gives_exactly(cover, rows)
    assert 0 < cover.lower_bound <= len(cover.roles) <= 40


def test_what_was_taken_out_of_the_search_comes_back_into_the_cover() -> None:
    """A permission that may go wherever another one goes is still granted, whatever else joins that other one."""
    rows = [0, 0, 0, 1, 25, 124, 136, 244]
    cover = minimum_cover(rows, 8)
    assert _gives_exactly(cover, rows)
    assert (len(cover.roles), cover.lower_bound) == (5, 5)


@pytest.mark.parametrize(("name", "roles"), [("healthcare", 14), ("domino", 20), ("firewall2", 10), ("apj", 453)])
def test_known_minimum(name: str, roles: int, shared_data, capfd: pytest.CaptureFixture[str]) -> None:
    """The published sets are solved to their known minimum, and the solver says nothing on stdout."""
    import json  # noqa: PLC0415

    from rightsize.cli.main import run  # noqa: PLC0415

    assert run(["mine", str(shared_data / "role-mining" / f"{name}.txt"), "--time-limit", "600", "-o", "json"]) == 0
    answer = json.loads(capfd.readouterr().out)
    assert (answer["roles"], answer["lower_bound"], answer["optimal"]) == (roles, roles, True)


def test_a_line_that_is_no_pair_is_named(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong line ends in an input error that names it."""
    from rightsize.cli.main import run  # noqa: PLC0415

    path = tmp_path / "pairs.txt"
    path.write_text("anna read\nbert\n")
    assert run(["mine", str(path)]) == 5
    assert "line 2" in capsys.readouterr().err


def test_roles_are_written_with_their_users(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--out` has one role a line."""
    from rightsize.cli.main import run  # noqa: PLC0415

    pairs, out = tmp_path / "pairs.txt", tmp_path / "roles.jsonl"
    pairs.write_text("anna read\nanna write\nbert read\nbert write\n")
    assert run(["mine", str(pairs), "--out", str(out), "-q"]) == 0
    assert out.read_text() == '{"permissions": ["read", "write"], "users": ["anna", "bert"]}\n'
