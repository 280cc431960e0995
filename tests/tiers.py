"""Sort tests into tiers by the fixtures and helper functions that each of them asks for.

The default tier needs nothing but the environment and stays under three minutes on two cores. `slow` tests start
loopback services, use a whole generated tenant, or plan on Azure's whole catalogue. `external` tests need a program
beside the environment: az, node, Chromium, Java. `everyday` keeps a test in the default tier in spite of what it asks
for: each stage has one such case from end to end.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType, FunctionType

import pytest

EXTERNAL = frozenset(
    {"CHECKOV", "az", "az_folder", "azurite", "cluster", "diagnose", "run_azurite", "spark_cluster", "visit"}
)
"""Fixtures and functions that start a program beside the environment."""
SLOW = frozenset(
    {
        "demo_exports",
        "demo_folder",
        "demo_made",
        "generate",
        "hostile_exports",
        "hostile_planned",
        "loopback_service",
        "make_demo",
        "shared_data",
    }
)
"""Fixtures and functions that take seconds: services, whole tenants, the whole catalogue."""


def mark_tier(item: pytest.Item) -> None:
    """Add `external` or `slow` to a test that asks for something of theirs."""
    asked = set(getattr(item, "fixturenames", ())) | set(_names(item))
    if asked & EXTERNAL:
        item.add_marker(pytest.mark.external)
    if hasattr(getattr(item, "function", None), "hypothesis"):
        item.add_marker(pytest.mark.random)
    if asked & SLOW and item.get_closest_marker("everyday") is None:
        item.add_marker(pytest.mark.slow)


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
        for name in (*code.co_names, *code.co_freevars):
            if name in seen:
                continue
            seen.add(name)
            yield name
            found = scope.get(name)
            if isinstance(found, FunctionType) and found.__module__ == function.__module__:
                waiting.append(found.__code__)
        waiting += [one for one in code.co_consts if isinstance(one, CodeType)]
