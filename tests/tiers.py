"""Sort tests into tiers by the fixtures and functions that each of them asks for.

The default tier needs nothing but the environment, and stays under three minutes on two cores. It has every test of
pure functions, every analysis of a small tenant, and the first case of each module that plans, loads or runs a command.
`slow` has the rest: further cases of that kind, loopback services, whole tenants, the whole catalogue, long random
runs. `external` tests start a program beside the environment: az, node, Chromium, Java. `everyday` keeps a test in the
default tier in spite of what it asks for, and `slow`, written at a test that takes many times as long as others of its
module, leaves the place in the default tier to the next one. `nightly` tests are those of them that take longest and
repeat, with every order, kill or file, what others show with a few: `.ci/nightly` runs them. `many(N)` at a test with
many cases leaves N of them, spread evenly over all, and makes the others such.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType

import pytest

EXTERNAL = frozenset(
    {
        *(
            "CHECKOV",
            "az",
            "az_folder",
            "azurite",
            "build_release",
            "cluster",
            "diagnose",
            "interactive",
            "run_azurite",
        ),
        *("spark_cluster", "visit"),
    }
)
"""Fixtures and functions that start a program beside the environment."""

SLOW = frozenset(
    {
        *("demo_exports", "demo_folder", "demo_made", "generate", "make_demo"),
        *(
            "broken_lines",
            "respelled",
            "hostile_exports",
            "hostile_planned",
            "shared_data",
            "Loopback",
            "loopback_service",
        ),
        *("FaultyDisk", "Random", "SIGKILL", "collector", "reduced_by_kql", "undo_each", "write_served"),
    }
)
"""Fixtures and functions that take seconds: services, whole tenants, the whole catalogue, many random runs."""

WORK = frozenset(
    {
        *("SmallTenant", "bounds_of", "context_of", "inventoried", "plan", "simulate", "try_plan"),
        *("contents", "digest", "execute", "fresh", "lines_of", "load", "load_paths", "loaded", "open_store", "passes"),
        *("planned", "store"),
        *("events_of", "events_of_records", "merged", "normalised_events", "stage_document", "staged", "write_lines"),
        *("RolloutEngine", "engine", "invoke", "run"),
    }
)
"""Fixtures and functions that plan, load or run a command: a third of a second each, in thousands of tests."""

CASES = 1
"""The number of cases of `WORK` that each module keeps in the default tier."""


def mark_tiers(items: Iterable[pytest.Item]) -> None:
    """Add the markers `external`, `slow`, `random` and `nightly` to the tests that they are for."""
    items = list(items)
    _mark_many(items)
    kept: Counter[str] = Counter()
    for item in items:
        asked = {*getattr(item, "fixturenames", ()), *_names(item)}
        is_random = hasattr(getattr(item, "function", None), "hypothesis")
        if is_random:
            item.add_marker(pytest.mark.random)
        if asked & EXTERNAL:
            item.add_marker(pytest.mark.external)
        elif item.get_closest_marker("everyday") or item.get_closest_marker("slow"):
            continue
        elif asked & SLOW or (asked & WORK and (is_random or kept[str(item.path)] >= CASES)):
            item.add_marker(pytest.mark.slow)
        elif asked & WORK:
            kept[str(item.path)] += 1


def _mark_many(items: Iterable[pytest.Item]) -> None:
    """Add the marker `nightly` to all cases of a test but as many as its marker `many` says, spread evenly."""
    cases: dict[tuple[str, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("many"):
            cases.setdefault((str(item.path), item.name.partition("[")[0]), []).append(item)
    for of_test in cases.values():
        for place, item in enumerate(of_test):
            (left,) = next(item.iter_markers("many")).args
            if place * left % len(of_test) >= left:
                item.add_marker(pytest.mark.nightly)


def _names(item: pytest.Item) -> Iterator[str]:
    """Yield the global names that a test uses, itself or through functions of its module."""
    function = getattr(item, "function", None)
    if function is None:
        return
    function = getattr(getattr(function, "hypothesis", None), "inner_test", function)
    scope = function.__globals__
    waiting, seen = [function.__code__], set[str]()
    while waiting:
        code = waiting.pop()
        for name in {*code.co_names, *code.co_freevars} - seen:
            seen.add(name)
            yield name
            found = scope.get(name)
            if isinstance(found, FunctionType) and found.__module__ == function.__module__:
                waiting.append(found.__code__)
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
