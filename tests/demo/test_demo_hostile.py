"""Malicious names are written unchanged as text, and change nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tenants.hostile import NAMES, SLOTS, hostile_tenant
from tests.tenants.oracle import Oracle
from tests.tenants.records import activity, members, records


@pytest.mark.nightly
def test_every_file_is_still_what_it_was(hostile_exports: Path, hostile_truth: dict[str, Any]) -> None:
    """Names break no JSON, no CSV and no line, and reach no file name."""
    for name, counts in hostile_truth["files"].items():
        readable = len(list(records(hostile_exports / name)))
        assert readable == counts["records"] or name == "activity/damaged.jsonl", name
    for path in hostile_exports.rglob("*"):
        assert all(letter.isascii() and letter.isprintable() for letter in path.name)


@pytest.mark.slow
def test_names_arrive_letter_by_letter(hostile_exports: Path) -> None:
    """In the directory as in the claims of the log."""
    listed = {user["displayName"] for user in records(hostile_exports / "directory/users.json")}
    assert listed <= set(NAMES)
    assert len(listed) > 15
    told = {
        json.loads(content)[0]["claims"].get("name")
        for _, content in members(hostile_exports / "activity/subscription-01-cli.json")
    }
    assert told <= {*NAMES, None}


@pytest.mark.slow
def test_the_scope_of_a_refused_call_is_what_was_asked_for(
    hostile_exports: Path, hostile_truth: dict[str, Any]
) -> None:
    """The same text in every shape, so that it is one call."""
    asked = {demand["scope"] for demand in hostile_truth["demand"] if "<script" in demand["scope"]}
    seen = {row.scope for row in activity(hostile_exports) if "<script" in row.scope}
    assert asked
    assert seen == asked


@pytest.mark.slow
def test_slots_of_templates_in_names_are_text(hostile_exports: Path) -> None:
    """A name that looks like a slot of the generator is not filled."""
    listed = [app["displayName"] for app in records(hostile_exports / "directory/servicePrincipals.json")]
    listed += [user["displayName"] for user in records(hostile_exports / "directory/users.json")]
    assert SLOTS in listed


@pytest.mark.slow
def test_the_story_stays_true(hostile_exports: Path, hostile_truth: dict[str, Any]) -> None:
    """Names decide nothing: replaying the truth denies nothing."""
    oracle = Oracle(hostile_exports)
    assert hostile_truth["needs"]
    for need in hostile_truth["needs"]:
        keys = (need["principal_id"], need["operation"], need["scope"], need["plane"])
        assert oracle.grants(need["role_assignment_id"], *keys)


@pytest.mark.parametrize("part", ["principals", "scopes"])
def test_the_hostile_tenant_is_hostile(part: str) -> None:
    """Most names of a person's choice are from the list."""
    names = [noun.name for noun in getattr(hostile_tenant(), part)]
    assert sum(name in NAMES for name in names) > len(names) // 2
