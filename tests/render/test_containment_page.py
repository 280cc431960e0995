"""The page of a containment: what a request ends, what leads on without a sign-in, and no name that writes markup."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest

from rightsize.render.containment import write_page

HOSTILE = "x](http://evil.example)\n# <b>|a|</b>\u202e"
TIME = dt.datetime(2026, 3, 2, 1)
COUNTS = {"identities": 1, "resources": 0, "secrets": 2, "cells": 3, "takes_tenant": False}
SUB = "/subscriptions/00000000-0000-0000-0000-0000000000a1"


def page(calls: int = 1, **more: Any) -> str:
    stays = [
        {"role_assignment_id": "a", "state": state, "role": HOSTILE, "scope": f"{SUB}/resourceGroups/{HOSTILE}",
         "reason": "its activation settings are not loaded", "by_request": by_request}
        for state, by_request in (("eligible", True), ("active", False))
    ]  # fmt: skip
    reads = {"kept": False, "deploys": True, "operations": 5, "sensitive": 1, "scopes": 1, "resources": 2}
    after = {
        "blocked": True, "attached": [], "enables_itself": True,
        "leads_on": [{"id": "r", "kind": "resource", "name": HOSTILE, "why": f"runs {HOSTILE}"}] * 12,
        "enabled_by": [{"id": str(number), "name": HOSTILE} for number in range(12)],
    }  # fmt: skip
    document = {
        "name": HOSTILE, "suspect_calls": 2, "first_suspect": None, "changes": [], "stays": stays, "groups": [HOSTILE],
        "calls_not_kept": [{"operation": HOSTILE, "scope": HOSTILE, "last_seen": TIME}] * calls,
        "beyond_roles": [{"operation": HOSTILE, "ended_by": [HOSTILE], "times": 1}],
        "still_allowed": [{"operation": HOSTILE, "scope": HOSTILE, "role": HOSTILE, "at": HOSTILE, "holder": HOSTILE,
                           "why": why, "times": 3, "last": "2026-03-01"} for why in ("needed", "group")],
        "agents": None, "options": [], "reach": {"today": COUNTS, "while_tokens_last": COUNTS, "and_options": COUNTS},
        "left_behind": {"things": [], "contain_next": [], "others": [], "not_shown": []},
        "without_sign_in": after | more, "unlogged_reads": reads,
    }  # fmt: skip
    return write_page(document, SimpleNamespace(names={HOSTILE: HOSTILE}))


def test_no_name_writes_markup() -> None:
    """Every name is escaped, and stays on its line."""
    text = page()
    assert "evil.example" in text
    assert "](http" not in text.replace("\\]", "")
    assert "<b>" not in text.replace("\\<", "")
    assert "\u202e" not in text
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]


def test_what_a_request_ends_is_told_apart_from_what_people_decide() -> None:
    text = page()
    ends, decide = text.index("a request below ends"), text.index("What people have to decide")
    assert text.count("its activation settings are not loaded") == 2
    assert ends < text.index("(eligible)") < decide < text.index("(active)")


def test_ten_of_the_earlier_calls_that_are_not_kept_are_listed() -> None:
    text = page(calls=12)
    assert "## Earlier work that is not kept" in text
    assert text.count("last at 2026-03-02 01:00:00 UTC") == 10
    assert "- and 2 more, in `containment.json`" in text


@pytest.mark.parametrize("blocked", [True, False])
def test_the_page_says_what_leads_on_or_that_nothing_blocks_the_sign_in(blocked: bool) -> None:
    """At most ten things and names, with the number of the others."""
    text = page(blocked=blocked, attached=["vm (virtualMachines)"], enables_itself=blocked)
    assert ("By its suspect calls and by what it owns" in text) is blocked
    assert ("and 2 more, in `containment.json`" in text) is blocked
    assert ("leads back to its own account" in text) is blocked
    assert ("Remove it from its resources: vm (virtualMachines)." in text) is not blocked
    assert "reset its password or add a credential" in text
    assert "`rightsize contain --keep-reads` keeps 5 read operations at 1 scope, with which 2 listed" in text
