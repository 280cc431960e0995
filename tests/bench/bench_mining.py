"""Role mining on tables with planted roles, and on tables without any structure, under a time limit.

BENCH_SECONDS is the limit of each table.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from functools import reduce
from operator import or_

from rightsize.mining.role_mining import minimum_cover

SLOW = True
SECONDS = float(os.environ.get("BENCH_SECONDS", "60"))
HEADS = ("table", "roles", "bound", "seconds")
Row = tuple[str, str, str, str]
PLANTED = (
    (2_000, 1_000, 250, (3, 12), (1, 6)),
    (2_000, 800, 250, (5, 25), (2, 12)),
    (3_000, 3_000, 250, (10, 60), (1, 10)),
    (5_000, 1_000, 250, (5, 20), (1, 8)),
    (10_000, 2_000, 250, (5, 40), (1, 5)),
    (5_000, 5_000, 250, (20, 200), (1, 15)),
    (3_000, 2_000, 250, (2, 80), (5, 30)),
)
"""Users, permissions, planted roles, permissions of a role, and roles of a user."""
RANDOM = ((1_000, 1_000, 0.02), (500, 500, 0.1), (2_000, 2_000, 0.5))
"""Users, permissions, and the share of pairs that are held."""


def planted_table(
    users: int, permissions: int, roles: int, of_role: tuple[int, int], of_user: tuple[int, int], seed: int = 7
) -> list[int]:
    """Return the permissions of each user as bits: the union of some of the planted roles."""
    lot = random.Random(seed)  # noqa: S311  tables, not secrets
    planted = [sum(1 << one for one in lot.sample(range(permissions), lot.randint(*of_role))) for _ in range(roles)]
    return [reduce(or_, lot.sample(planted, lot.randint(*of_user))) for _ in range(users)]


def run() -> Iterator[Row]:
    """Mine each table once."""
    for users, permissions, roles, of_role, of_user in PLANTED:
        said = f"{users:,} users, {permissions:,} permissions, {roles} planted roles, up to {of_user[1]} a user"
        yield _row(said, planted_table(users, permissions, roles, of_role, of_user), permissions)
    for users, permissions, share in RANDOM:
        lot = random.Random(1)  # noqa: S311  tables, not secrets
        rows = [sum((lot.random() < share) << one for one in range(permissions)) for _ in range(users)]
        yield _row(f"random, {users:,} by {permissions:,}, {share:.0%} full", rows, permissions)


def _row(said: str, rows: list[int], permissions: int) -> Row:
    began = time.monotonic()
    cover = minimum_cover(rows, permissions, solver_seconds=SECONDS)
    return said, f"{len(cover.roles):,}", f"{cover.lower_bound:,}", f"{time.monotonic() - began:.1f}"
