"""Compare the algebra with textbook automata on pairs of random roles: `python -m tests.fuzz.pairs --pairs N`.

Both sides decide containment for every meaning of each `/*/`. Every tenth pair is made to contain, else few would.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Sequence

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac import algebra
from tests.rbac import naive

LETTERS = "ab/"
ALPHABET = LETTERS + naive.OTHER
MOST_MEANINGS = 8


def role(drawn: random.Random) -> list[PermissionBlock]:
    """Return one or two blocks of a few short strings; some on the data plane, some with a condition."""
    return [
        PermissionBlock(
            actions=_strings(drawn, 1, 3),
            not_actions=_strings(drawn, 0, 2),
            data_actions=_strings(drawn, 0, 1),
            condition=drawn.choice((None, None, None, "c", "d")),
        )
        for _ in range(drawn.randint(1, 2))
    ]


def _strings(drawn: random.Random, least: int, most: int) -> tuple[str, ...]:
    return tuple(_string(drawn) for _ in range(drawn.randint(least, most)))


def _string(drawn: random.Random) -> str:
    if drawn.random() < 0.4:
        return "/".join(drawn.choice(("a", "b", "*", "*")) for _ in range(drawn.randint(2, 4)))
    return "".join(drawn.choice("aab/*") for _ in range(drawn.randint(1, 5)))


def compare(pairs: int, drawn: random.Random) -> tuple[int, int, list[tuple[Sequence[PermissionBlock], ...]]]:
    """Return how many pairs were compared, how many of them contain, and those on which both differ."""
    compared = contained = 0
    wrong = []
    while compared < pairs:
        big, small = role(drawn), role(drawn)
        if compared % 10 == 0:
            big = [*big, *small]
        if len(naive.meanings([*big, *small])) > MOST_MEANINGS:
            continue
        ours = algebra.contains(big, small) is None
        compared += 1
        contained += ours
        if ours is not naive.contains(big, small, ALPHABET):
            wrong.append((big, small))
    return compared, contained, wrong


def main() -> int:
    """Compare, print a row; return the number of differences."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.pairs", description=__doc__)
    parser.add_argument("--pairs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    began = time.monotonic()
    compared, contained, wrong = compare(given.pairs, random.Random(given.seed))  # noqa: S311  the same in each run
    print("| compared with automata | pairs | contained | seconds | result |\n|---|---:|---:|---:|---|")
    said = f"DIFFERS: {wrong[0]}" if wrong else "held"
    print(f"| containment of roles | {compared:,} | {contained:,} | {time.monotonic() - began:.0f} | {said} |")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(main())
