"""Rollouts from strangers: whatever stands in the folder of a rollout, a command works or says what is wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.change.bundle import read_bundle
from tests.cli.foreign_texts import changed, odd_bytes, written
from tests.rollout.demo_rollout import Ask

INTERNAL = 1
ROUNDS = [pytest.param(seed, marks=() if seed < 1 else pytest.mark.nightly) for seed in range(12)]


def _journal(folder: Path, change: Callable[[list[dict[str, Any]]], object] = lambda _: None) -> None:
    """Write the journal of a rollout whose first swap is done, with hashes that fit whatever was changed."""
    bundle = read_bundle((folder / "rollout.json").read_bytes())
    swap = bundle.swaps[0]
    bound = {"bundle": bundle.hash, "plan": bundle.plan, "tenant": "t", "cloud": "c"}
    entries: list[dict[str, Any]] = [{"swap": "", "event": "begin", "key": bundle.plan, "data": bound}]
    entries += [
        {"swap": swap.id, "event": "create-begin", "key": one.id, "data": {"existed": False, "url": one.url}}
        for one in swap.creates
    ]
    entries += [
        {"swap": swap.id, "event": "remove-begin", "key": one.id, "data": {"url": one.url, "properties": {}}}
        for one in swap.removes
    ]
    entries += [{"swap": swap.id, "event": "done", "key": swap.id, "data": {}}]
    entries = [{"at": "2026-10-01T00:00:00+00:00", **one} for one in entries]
    change(entries)
    last, lines = "", []
    for one in entries:
        text = json.dumps({"prev": last, **one}, sort_keys=True, separators=(",", ":")) + "\n"
        lines.append(text)
        last = hashlib.sha256(text.encode()).hexdigest()
    (folder / "journal.jsonl").write_text("".join(lines))


def _holds(code: int, said: str) -> bool:
    return code != INTERNAL and "Traceback" not in said and "internal" not in said


@pytest.mark.slow
def test_the_journal_itself_is_read(ask: Ask, folder: Path) -> None:
    """Else the changes below would say nothing."""
    _journal(folder)
    code, out, err = ask("status", folder, "-o", "json")
    assert code in (0, 3), err
    assert {row["state"] for row in json.loads(out)} > {"open"}


@pytest.mark.nightly
@pytest.mark.parametrize("seed", ROUNDS)
@pytest.mark.parametrize("verb", ["status", "apply", "rollback"])
def test_no_value_of_a_bundle_breaks_a_command(ask: Ask, folder: Path, verb: str, seed: int) -> None:
    """Without leave to change anything: the steps or states are shown."""
    text = (folder / "rollout.json").read_bytes()
    drawn = random.Random(f"{verb} {seed}")  # noqa: S311  the same each time
    texts = [written(changed(json.loads(text), drawn)) for _ in range(12)]
    for foreign in texts if seed else [*texts, *odd_bytes(text)]:
        (folder / "rollout.json").write_bytes(foreign)
        code, _, said = ask(verb, folder)
        assert _holds(code, said), foreign[:2000]


@pytest.mark.nightly
@pytest.mark.parametrize("seed", ROUNDS)
@pytest.mark.parametrize("verb", ["status", "rollback"])
def test_no_value_of_a_journal_breaks_a_command(ask: Ask, folder: Path, verb: str, seed: int) -> None:
    """Though the hashes of its lines fit: whoever writes a line can compute them."""
    drawn = random.Random(f"{verb} {seed}")  # noqa: S311  the same each time
    for _ in range(12):

        def change(entries: list[dict[str, Any]]) -> None:
            at = drawn.randrange(len(entries))
            entries[at] = changed(entries[at], drawn)

        _journal(folder, change)
        code, _, said = ask(verb, folder)
        assert _holds(code, said), (folder / "journal.jsonl").read_text()


@pytest.mark.nightly
def test_no_other_text_in_place_of_a_journal_breaks_a_command(ask: Ask, folder: Path) -> None:
    _journal(folder)
    for text in odd_bytes((folder / "journal.jsonl").read_bytes()):
        (folder / "journal.jsonl").write_bytes(text)
        code, _, said = ask("status", folder)
        assert _holds(code, said), text[:200]


@pytest.mark.slow
@pytest.mark.many(7)
@pytest.mark.parametrize("verb", ["status", "apply", "rollback"])
@pytest.mark.parametrize("name", ["journal.jsonl", "rollout.json"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_only_regular_files_of_a_rollout_are_read(ask: Ask, folder: Path, verb: str, name: str, kind: str) -> None:
    """`journal.jsonl -> /dev/zero` would fill the memory, and a pipe would wait for ever."""
    _journal(folder)
    outside = folder.with_name("outside")
    (folder / name).rename(outside)
    if kind == "pipe":
        os.mkfifo(folder / name)
    else:
        (folder / name).symlink_to("/dev/zero" if kind == "device" else outside)
    code, _, said = ask(verb, folder)
    assert (code, "a link" in said or "not a regular file" in said) == (5, True), said


@pytest.mark.slow
def test_a_plan_of_a_rollout_behind_a_link_is_refused(ask: Ask, folder: Path, tmp_path: Path) -> None:
    (folder / "plan").rename(tmp_path / "elsewhere")
    (folder / "plan").symlink_to(tmp_path / "elsewhere")
    code, _, said = ask("apply", folder, "--yes", "--auth", "env", "--no-input")
    assert (code, "reached by a link" in said) == (5, True), said
