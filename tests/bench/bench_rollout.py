"""A rollout under faults: what was tried, what was refused, and how often somebody was without access (never)."""

from __future__ import annotations

import errno
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.change.bundle import Bundle, ScheduleRules, Swap, room_for
from rightsize.change.engine import RolloutEngine
from rightsize.change.journal import Journal, read_journal
from rightsize.change.preflight import PreflightFacts
from rightsize.change.rest import RefusalError
from rightsize.model.errors import RightsizeError
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
SWAPS, WAVE = 100, 25
FAULTS = ("throttle", "server", "conflict", "drop", "drop after", "html")
END = "2027-03-01T22:00:00Z"
REREAD = 25
"""After so many kills the journal is read from its file again, as a new process does; each time would be quadratic."""
FEW = (1, 3, 7)
"""Numbers of the swaps that a fault strikes at every line: one plain, one eligible, and one that ends by itself."""


class Dying(Journal):
    """A journal whose process ends after each line."""

    def write(self, *arguments: Any, **more: Any) -> None:
        super().write(*arguments, **more)
        raise Killed


@dataclass
class Tally:
    """What came of a kind of harm: tried, refused or ended early, and moments at which somebody lost access."""

    tried: int = 0
    refused: int = 0
    lost: int = 0
    unfinished: int = 0


def run() -> Iterator[tuple[str, str, str]]:
    """Bring all of it in and take it back, killed at every line; then each kind of harm at every line of a few."""
    yield from _at_size()
    kinds: dict[str, Callable[[], Tally]] = {
        "short write": lambda: _disks("short"),
        "full disk (ENOSPC)": lambda: _disks("enospc"),
        "half a line, then full": lambda: _disks("half"),
        "broken disk (EIO)": lambda: _disks("eio"),
        "failed fsync": lambda: _disks("fsync"),
        "kill at a line": _kills,
        "journal cut": lambda: _journals(lambda lines: lines[:-1]),
        "journal written anew": lambda: _journals(_forged),
        "journal of another rollout": lambda: _journals(_swapped),
        "bundle changed after it began": _bundles,
        "another tenant": _tenants,
        "scope gone": _scopes,
    }
    for name, harm in kinds.items():
        found = harm()
        detail = f"refused or ended early {found.refused:,}, access lost {found.lost}, unfinished {found.unfinished}"
        yield name, f"{found.tried:,} tried", detail


def _at_size() -> Iterator[tuple[str, str, str]]:
    room, bundle = mixed_tenant(SWAPS)
    original = room.state()
    room.is_strict = False
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        ways: dict[str, Callable[[RolloutEngine], None]] = {
            "bring in": lambda engine: [engine.apply(wave) for wave in bundle.waves] and None,
            "take back": lambda engine: engine.roll_back(list(reversed(bundle.swaps))),
        }
        wanted = {"bring in": planned_state(SWAPS), "take back": original}
        for name, way in ways.items():
            asked, begin = room.requests, time.process_time()
            kills = carry_out(room, bundle, path, way, reread=REREAD)
            took = time.process_time() - begin
            reached = room.state() == wanted[name]
            detail = f"{kills:,} kills, {room.requests - asked:,} requests, the state that it should end in: {reached}"
            yield name, f"{took:,.0f} s CPU", detail
        yield "lines of the journal", f"{len(read_journal(path)):,}", f"set aside {room_for(bundle):,} bytes"


def mixed_tenant(number: int) -> tuple[Room, Bundle]:
    """Swaps of which every tenth is of an eligible assignment, and every tenth of one that ends."""
    return _tenant_of(range(1, number + 1))


def _tenant_of(numbers: Iterable[int]) -> tuple[Room, Bundle]:
    swaps = [_swap(one) for one in numbers]
    room = Room().hold(*(gone for one in swaps for gone in one.removes))
    rules_of(room, SUB, BROAD)["properties"]["rules"] = default_rules(approval=True, eligible="P365D")  # type: ignore[arg-type]
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
    rules = (ScheduleRules(RG, NARROW, SUB, BROAD),)
    return swap(number, wave, removes=gone, creates=(narrow(number, **more),), rules=rules, id=guid(number, "9"))


def _fault(at: int, line: str) -> str | None:
    if at % 10:
        return None
    kind = FAULTS[at // 10 % len(FAULTS)]
    return "server" if kind == "html" and not line.startswith("GET") else kind


def carry_out(room: Room, bundle: Bundle, path: Path, way: Callable[[RolloutEngine], None], *, reread: int) -> int:
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


def _few() -> tuple[Room, Bundle]:
    room, bundle = _tenant_of(FEW)
    room.strike, room.is_strict = lambda *_: None, False
    return room.watch(bundle), bundle


def _forth_and_back(room: Room, bundle: Bundle, path: Path) -> None:
    with journal_at(path, room=room_for(bundle)) as journal:
        engine_of(room, bundle, journal).apply(1)
        engine_of(room, bundle, journal).roll_back(list(reversed(bundle.swaps)))


def _back(room: Room, bundle: Bundle, path: Path) -> None:
    with journal_at(path, room=room_for(bundle)) as journal:
        engine_of(room, bundle, journal).roll_back(list(reversed(bundle.swaps)))


def _lines_of() -> int:
    room, bundle = _few()
    with tempfile.TemporaryDirectory() as folder:
        _forth_and_back(room, bundle, Path(folder) / "j")
        return len(read_journal(Path(folder) / "j"))


def _disks(kind: str) -> Tally:
    """Let the disk fail at each line, there and back; then take it back with a good one."""
    found = Tally()
    for number in range(1, _lines_of() + 1):
        room, bundle = _few()
        original = room.state()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "j"
            found.tried += 1
            try:
                with failing_disk(kind, number):
                    _forth_and_back(room, bundle, path)
            except RightsizeError:
                found.refused += 1
            _back(room, bundle, path)
        found.lost += len(room.lost)
        found.unfinished += room.state() != original
    return found


@contextmanager
def failing_disk(kind: str, number: int) -> Iterator[None]:
    """Let the disk fail at a line of a journal, and afterwards; a short write is one that takes half of a line."""
    put, sync, left = os.pwrite, os.fsync, [number]

    def pwrite(file: int, content: bytes, offset: int) -> int:
        if content.strip(b"\n"):
            left[0] -= 1
        if left[0] > 0 or not content.strip(b"\n") or kind == "fsync":
            return put(file, content, offset)
        if kind == "short" or (kind == "half" and left[0] == 0):
            return put(file, content[: max(len(content) // 2, 1)], offset)
        raise OSError(errno.EIO if kind == "eio" else errno.ENOSPC, "the disk fails")

    def fsync(_: int) -> None:
        if kind == "fsync" and left[0] == 0:
            left[0] = -1
            raise OSError(errno.EIO, "the disk fails")

    os.pwrite, os.fsync = pwrite, fsync
    try:
        yield
    finally:
        os.pwrite, os.fsync = put, sync


def _kills() -> Tally:
    found = Tally()
    room, bundle = _few()
    original = room.state()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        found.refused = carry_out(room, bundle, path, lambda engine: engine.apply(1), reread=1)
        found.refused += carry_out(room, bundle, path, lambda engine: engine.roll_back(bundle.swaps), reread=1)
    found.tried, found.lost, found.unfinished = found.refused, len(room.lost), int(room.state() != original)
    return found


def _journals(change: Callable[[list[bytes]], list[bytes]]) -> Tally:
    """Change the journal after each line of a rollout that is killed there; then try to go on and back."""
    found = Tally()
    for number in range(2, _lines_of() + 1):
        room, bundle = _few()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "j"
            _until(room, bundle, path, number)
            before = room.state()
            lines = path.read_bytes().rstrip(b"\n").split(b"\n")
            path.write_bytes(b"".join(line + b"\n" for line in change(lines)))
            for way in (_back, _forth_and_back):
                found.tried += 1
                try:
                    way(room, bundle, path)
                except RightsizeError:
                    found.refused += 1
            found.unfinished += room.state() != before
        found.lost += len(room.lost)
    return found


def _until(room: Room, bundle: Bundle, path: Path, number: int) -> None:
    """Let a rollout go there and back, and end it after a line of its journal."""
    left = [number]

    class Ending(Journal):
        def write(self, *arguments: Any, **more: Any) -> None:
            super().write(*arguments, **more)
            left[0] -= 1
            if left[0] <= 0:
                raise Killed

    try:
        with Ending(path, BOUND, heads_beside(path)) as journal:
            engine_of(room, bundle, journal).apply(1)
            engine_of(room, bundle, journal).roll_back(list(reversed(bundle.swaps)))
    except Killed:
        return


def _forged(lines: list[bytes]) -> list[bytes]:
    """The same journal with another principal wherever one is brought back, and with hashes that fit."""
    import hashlib  # noqa: PLC0415

    made, previous = [], ""
    for number, line in enumerate(lines):
        document = json.loads(line)
        document["prev"] = previous
        if document["event"] == "remove-begin":
            document["data"]["properties"]["principalId"] = guid(66, "d")
        if number == len(lines) - 1:
            document["at"] = "2026-10-01T00:00:01+00:00"
        made.append(json.dumps(document, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode())
        previous = hashlib.sha256(made[-1] + b"\n").hexdigest()
    return made


def _swapped(lines: list[bytes]) -> list[bytes]:
    """The journal of a rollout of other swaps, up to the same line."""
    room, bundle = _tenant_of((11, 13, 17))
    room.strike = lambda *_: None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j"
        _until(room, bundle, path, len(lines))
        return path.read_bytes().rstrip(b"\n").split(b"\n")


def _bundles() -> Tally:
    """Open the journal of each moment with the hash of another bundle, and without what is known of it here."""
    found = Tally()
    for number in range(2, _lines_of() + 1):
        room, bundle = _few()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "j"
            _until(room, bundle, path, number)
            before = room.state()
            for bound in (replace(BOUND, bundle="0" * 64), replace(BOUND, plan="0" * 64)):
                found.tried += 1
                try:
                    with Journal(path, bound, heads_beside(path)) as journal:
                        engine_of(room, bundle, journal).roll_back(bundle.swaps)
                except RightsizeError:
                    found.refused += 1
            found.unfinished += room.state() != before
        found.lost += len(room.lost)
    return found


def _tenants() -> Tally:
    """Take back from another tenant, where nothing is seen: by the journal's first line, and by Azure's answers."""
    found = Tally()
    for number in range(2, _lines_of()):
        room, bundle = _few()
        original = room.state()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "j"
            _until(room, bundle, path, number)
            before, room.unseen = room.state(), True
            for tenant in ("another", BOUND.tenant):
                found.tried += 1
                try:
                    with Journal(path, replace(BOUND, tenant=tenant), heads_beside(path)) as journal:
                        engine_of(room, bundle, journal).roll_back(bundle.swaps)
                        engine_of(room, bundle, journal).apply(1, PreflightFacts(tenant=tenant))
                except (RightsizeError, RefusalError):
                    found.refused += 1
            found.unfinished += room.state() != before
            room.unseen = False
            _back(room, bundle, path)
        found.lost += len(room.lost)
        found.unfinished += room.state() != original
    return found


def _scopes() -> Tally:
    """Delete the resource group of what comes, after each line: the old access is there in the end."""
    found = Tally()
    for number in range(2, _lines_of() + 1):
        room, bundle = _few()
        original = room.state()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "j"
            _until(room, bundle, path, number)
            found.tried += 1
            room.gone = {RG.lower()}
            try:
                _back(room, bundle, path)
            except RefusalError:
                found.refused += 1
        there = room.state()
        found.lost += sum(key not in there["assignments"] for key in original["assignments"])
    return found
