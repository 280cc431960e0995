"""Role mining gives everybody exactly what they have, with no more roles than it proves or reports."""

from __future__ import annotations

import itertools
import random
import time
from functools import reduce
from operator import or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.mining import role_mining
from rightsize.mining.bitsets import bits_of
from rightsize.mining.role_mining import Cover, minimum_cover
from tests.bench.bench_mining import planted_table
from tests.examples import MANY, SOME

MATRICES = st.integers(1, 6).flatmap(
    lambda width: st.tuples(st.lists(st.integers(0, 2**width - 1), min_size=1, max_size=7), st.just(width))
)


def _gives_exactly(cover: Cover, rows: list[int]) -> bool:
    given_to = [0] * len(rows)
    for role in cover.roles:
        for row in bits_of(role.rows):
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


@pytest.mark.slow
@SOME
@given(st.lists(st.integers(0, 2**14 - 1), min_size=8, max_size=16))
def test_the_bound_never_passes_the_cover(rows: list[int]) -> None:
    """On denser tables the cover stays exact and the bound stays below it."""
    cover = minimum_cover(rows, 14, solver_seconds=0.2)
    assert _gives_exactly(cover, rows)
    assert cover.lower_bound <= len(cover.roles) <= len({row for row in rows if row})


@pytest.mark.slow
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


def _planted(users: int, permissions: int, roles: int, seed: int = 7) -> list[int]:
    """Users with two to nine of the planted roles each, so that no user and no permission shows a role alone."""
    lot = random.Random(seed)  # noqa: S311  tables, not secrets
    planted = [sum(1 << c for c in lot.sample(range(permissions), lot.randint(5, 15))) for _ in range(roles)]
    return [reduce(or_, lot.sample(planted, lot.randint(2, 9))) for _ in range(users)]


@pytest.mark.slow
@pytest.mark.parametrize("kernel_edges", [0, 30_000])
def test_planted_roles_are_found_with_and_without_a_search(kernel_edges: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The known constructions find 60 roles of 400 users where each row and each column has several of them."""
    monkeypatch.setattr(role_mining, "KERNEL_EDGES", kernel_edges)
    rows = _planted(400, 200, 60)
    assert len(set(rows)) == 400
    cover = minimum_cover(rows, 200)
    assert _gives_exactly(cover, rows)
    assert (len(cover.roles), cover.lower_bound) == (60, 60)


@pytest.mark.parametrize("seed", range(3))
def test_no_more_roles_than_planted_are_found(seed: int) -> None:
    """Whatever is planted, a cover of the whole table finds it without a search of its kernel."""
    rows = _planted(200, 150, 30, seed)
    cover = minimum_cover(rows, 150)
    assert _gives_exactly(cover, rows)
    assert cover.lower_bound <= len(cover.roles) <= 30


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("users", "permissions", "of_role", "of_user"),
    [
        (5_000, 5_000, (20, 200), (1, 15)),
        (3_000, 2_000, (2, 80), (5, 30)),
        (2_000, 3_000, (10, 40), (2, 30)),
        (2_000, 2_000, (2, 150), (2, 14)),
    ],
)
def test_250_planted_roles_of_thousands_are_found(
    users: int, permissions: int, of_role: tuple[int, int], of_user: tuple[int, int]
) -> None:
    """Also where a user has a third of all permissions, and each permission is in many roles."""
    rows = planted_table(users, permissions, 250, of_role, of_user)
    begun = time.process_time()
    cover = minimum_cover(rows, permissions, solver_seconds=600)
    assert time.process_time() - begun < 60
    assert _gives_exactly(cover, rows)
    assert len(cover.roles) <= 250


@SOME
@given(MATRICES, st.sampled_from([0, 30, 10**6]))
def test_known_constructions_are_exact_and_bounded(case: tuple[list[int], int], visits: int) -> None:
    """However little work they may do, they have at most a role for each distinct row or column, and a sound bound."""
    rows, width = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(role_mining, "KERNEL_EDGES", 0)
        patch.setattr(role_mining, "VISITS", visits)
        cover = minimum_cover(rows, width)
    assert _gives_exactly(cover, rows)
    columns = {sum((row >> column & 1) << place for place, row in enumerate(rows)) for column in range(width)}
    assert len(cover.roles) <= min(len(set(rows) - {0}), len(columns - {0}))
    assert cover.lower_bound <= _fewest_by_brute_force(rows, width) <= len(cover.roles)


@pytest.mark.slow
@pytest.mark.parametrize("looks", [1, 20, 300])
@pytest.mark.parametrize("kernel_edges", [0, 30_000])
def test_every_step_ends_soon_after_the_time_limit(
    looks: int, kernel_edges: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock goes on by a second with each look at it: after the limit, each loop looks once more at most."""
    clock = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(role_mining, "KERNEL_EDGES", kernel_edges)
    lot = random.Random(5)  # noqa: S311  tables, not secrets
    rows = [lot.getrandbits(40) for _ in range(60)]
    cover = minimum_cover(rows, 40, solver_seconds=looks)
    assert next(clock) < looks + 30
    assert _gives_exactly(cover, rows)
    assert 0 < cover.lower_bound <= len(cover.roles) <= 40


def test_what_was_taken_out_of_the_search_comes_back_into_the_cover() -> None:
    """A permission that may go wherever another one goes is still granted, whatever else joins that other one."""
    rows = [0, 0, 0, 1, 25, 124, 136, 244]
    cover = minimum_cover(rows, 8)
    assert _gives_exactly(cover, rows)
    assert (len(cover.roles), cover.lower_bound) == (5, 5)


@pytest.mark.slow
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


@pytest.mark.slow
def test_roles_are_written_with_their_users(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--out` has one role a line."""
    from rightsize.cli.main import run  # noqa: PLC0415

    pairs, out = tmp_path / "pairs.txt", tmp_path / "roles.jsonl"
    pairs.write_text("anna read\nanna write\nbert read\nbert write\n")
    assert run(["mine", str(pairs), "--out", str(out), "-q"]) == 0
    assert out.read_text() == '{"permissions": ["read", "write"], "users": ["anna", "bert"]}\n'
