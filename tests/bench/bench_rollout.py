"""A rollout of 1,000 assignments: a fault in every tenth call, and a kill after each line of its journal."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rightsize.rollout.bundle import Bundle, Rules, Swap
from rightsize.rollout.engine import Engine
from rightsize.rollout.journal import Journal, read_journal
from tests.azure.hurried import Hurried
from tests.loopback.pim_writes import default_rules, rules_of
from tests.rollout.room import (
    BOUND,
    BROAD,
    NARROW,
    RG,
    SUB,
    Killed,
    Room,
    broad,
    bundle_of,
    engine_of,
    guid,
    heads_beside,
    journal_at,
    narrow,
    swap,
)

SLOW = True
SWAPS, WAVE = 1_000, 25
FAULTS = ("throttle", "server", "conflict", "drop", "drop after", "html")
END = "2027-03-01T22:00:00Z"
REREAD = 25
"""After so many kills the journal is read from its file again, as a new process does; each time would be quadratic."""


class Dying(Journal):
    """A journal whose process ends after each line."""

    def write(self, *arguments: Any, **more: Any) -> None:
        super().write(*arguments, **more)
        raise Killed


def run() -> Iterator[tuple[str, str, str]]:
    """Bring all of it in, and take all of it back, each killed at every line."""
    room, bundle = mixed_tenant(SWAPS)
    original = room.state()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        ways: dict[str, Callable[[Engine], None]] = {
            "bring in": lambda engine: [engine.apply(wave) for wave in bundle.waves] and None,
            "take back": lambda engine: [engine.roll_back([one]) for one in reversed(bundle.swaps)] and None,
        }
        wanted = {"bring in": planned_state(SWAPS), "take back": original}
        for name, way in ways.items():
            asked, begin = room.requests, time.process_time()
            kills = carry_out(room, bundle, path, way, reread=REREAD)
            took = time.process_time() - begin
            reached = room.state() == wanted[name]
            detail = f"{kills:,} kills, {room.requests - asked:,} requests, the state that it should end in: {reached}"
            yield name, f"{took:,.0f} s CPU", detail
        yield "lines of the journal", f"{len(read_journal(path)):,}", ""


def mixed_tenant(number: int) -> tuple[Room, Bundle]:
    """Swaps of which every tenth is of an eligible assignment, and every tenth of one that ends."""
    swaps = [_swap(one) for one in range(1, number + 1)]
    room = Room().hold(*(gone for one in swaps for gone in one.removes))
    rules_of(room, SUB, BROAD)["properties"]["rules"] = default_rules(approval=True, eligible="P90D")  # type: ignore[arg-type]
    room.strike = _fault
    return room, bundle_of(*swaps)


def planned_state(number: int) -> dict[str, Any]:
    """The state that the plan wants, from a run that nothing disturbs."""
    room, bundle = mixed_tenant(number)
    room.strike = lambda *_: None
    with tempfile.TemporaryDirectory() as folder, journal_at(Path(folder) / "journal") as journal:
        for wave in bundle.waves:
            engine_of(room, bundle, journal, Hurried()).apply(wave)
    return room.state()


def _swap(number: int) -> Swap:
    kind: dict[int, dict[str, Any]] = {3: {"state": "eligible", "until": END}, 7: {"until": END}}
    more = kind.get(number % 10)
    wave = 1 + (number - 1) // WAVE
    if more is None:
        return swap(number, wave)
    gone = (broad(number, description=None, **more),)
    rules = (Rules(RG, NARROW, SUB, BROAD),)
    return swap(number, wave, removes=gone, creates=(narrow(number, **more),), rules=rules, id=guid(number, "9"))


def _fault(at: int, line: str) -> str | None:
    if at % 10:
        return None
    kind = FAULTS[at // 10 % len(FAULTS)]
    return "server" if kind == "html" and not line.startswith("GET") else kind


def carry_out(room: Room, bundle: Bundle, path: Path, way: Callable[[Engine], None], *, reread: int) -> int:
    """Do something whole, through as many lives of the process as it takes; return how many ended early."""
    kills = 0
    while True:
        with Dying(path, BOUND, heads_beside(path)) as journal:
            for _ in range(reread):
                try:
                    way(engine_of(room, bundle, journal, Hurried()))
                except Killed:
                    kills += 1
                else:
                    return kills
