"""Mark tests that draw random examples, and the cases that `many` leaves to the nightly run.

The tier of a test stands at it, or at its module: without a mark it is in the default tier, which needs nothing but the
environment. A test is `slow` if it takes more than a seventh of a second of CPU, `external` if it starts a program
beside the environment, such as az, node, Chromium or Java, and `nightly` if it takes so long that CI would take over a
quarter of an hour; each module keeps a test of each kind that it has before that. `many(N)` at a test with many cases
leaves N of them, spread evenly over all, and makes the others nightly.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest


def mark_tiers(items: Iterable[pytest.Item]) -> None:
    """Add the markers `random` and `nightly` to the tests that they are for."""
    cases: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        if hasattr(getattr(item, "function", None), "hypothesis"):
            item.add_marker(pytest.mark.random)
        if item.get_closest_marker("many"):
            cases.setdefault((str(item.path), item.name.partition("[")[0]), []).append(item)
    for of_test in cases.values():
        for place, item in enumerate(of_test):
            (left,) = next(item.iter_markers("many")).args
            if place * left % len(of_test) >= left:
                item.add_marker(pytest.mark.nightly)
