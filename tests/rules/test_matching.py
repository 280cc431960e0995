"""Patterns match columns of operation names as they match one name at a time."""

from __future__ import annotations

import polars as pl

from rightsize.rules.operations import matching_pairs


def test_each_of_many_patterns_finds_its_names() -> None:
    """Patterns beyond several batches are all matched, each against every name."""
    names = [f"n{number}/read" for number in range(600)]
    patterns = [f"N{number}/*" for number in range(600)]
    found = matching_pairs(pl.Series(names), patterns)
    assert set(found.rows()) == set(zip(names, patterns, strict=True))
    assert len(found) == 600


def test_a_pattern_without_a_star_matches_its_own_name_alone() -> None:
    """Its letters may be of any case; a name that only begins with it is another one."""
    found = matching_pairs(pl.Series(["a/read", "a/readers"]), ["A/Read", "a/r*s"])
    assert sorted(found.rows()) == [("a/read", "A/Read"), ("a/readers", "a/r*s")]
