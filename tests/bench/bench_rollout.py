"""A rollout of 1,000 assignments: a fault in every tenth call, and a kill after each line of its journal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rightsize.rollout.bundle import Swap
from rightsize.rollout.journal import Journal, read_journal
from tests.azure.hurried import Hurried
from tests.rollout.room import Killed, Room, broad, bundle_of, engine_of, swap

SLOW = True
SWAPS, WAVE = 1_000, 25
FAULTS = ("throttle", "server", "conflict", "drop", "drop after", "html")


class _Dying(Journal):
    """A journal whose process ends after each line."""

    def write(self, *arguments: Any, **more: Any) -> None:
        super().write(*arguments, **more)
        raise Killed


def run() -> Iterator[tuple[str, str, str]]:
    """Bring all of it in, and take all of it back, each killed at every line."""
    swaps = [swap(number, 1 + (number - 1) // WAVE) for number in range(1, SWAPS + 1)]
    room = Room().hold(*(broad(number) for number in range(1, SWAPS + 1)))
    original = room.state()
    room.strike = _fault
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        kills, seconds = _bring_in(room, swaps, path)
        planned = {one.creates[0].id for one in swaps}
        reached = set(room.state()["assignments"]) == planned
        yield "bring in", f"{seconds:,.0f} s", f"{kills:,} kills, {room.requests:,} requests, plan reached: {reached}"
        asked = room.requests
        kills, seconds = _take_back(room, swaps, path)
        reached = room.state() == original
        detail = f"{kills:,} kills, {room.requests - asked:,} requests, original reached: {reached}"
        yield "take back", f"{seconds:,.0f} s", detail
        yield "lines of the journal", f"{len(read_journal(path)):,}", ""


def _fault(at: int, line: str) -> str | None:
    if at % 10:
        return None
    kind = FAULTS[at // 10 % len(FAULTS)]
    return "server" if kind == "html" and not line.startswith("GET") else kind


def _bring_in(room: Room, swaps: list[Swap], path: Path) -> tuple[int, float]:
    begin, kills = time.perf_counter(), 0
    bundle = bundle_of(*swaps)
    for wave in bundle.waves:
        with _Dying(path, plan="plan-hash") as journal:
            while True:
                try:
                    engine_of(room, bundle, journal, Hurried()).apply(wave)
                except Killed:
                    kills += 1
                else:
                    break
    return kills, time.perf_counter() - begin


def _take_back(room: Room, swaps: list[Swap], path: Path) -> tuple[int, float]:
    begin, kills = time.perf_counter(), 0
    bundle = bundle_of(*swaps)
    with _Dying(path, plan="plan-hash") as journal:
        for one in reversed(swaps):
            while True:
                try:
                    engine_of(room, bundle, journal, Hurried()).roll_back(one)
                except Killed:
                    kills += 1
                else:
                    break
    return kills, time.perf_counter() - begin
