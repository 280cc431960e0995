"""Kill commands at random moments, and look at what is left: `python -m tests.fuzz.kills --times N`.

Each command runs on copies of one prepared folder, in a process of its own, and is killed after a random part of the
time that it needs. What it leaves has to be the state before or the state after; run again to its end, it has to give
what a run gives that nobody killed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import duckdb

from rightsize.change.bundle import kept_properties
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import digest_content
from tests.loopback.server import Loopback, Options

ROLLOUT = """
import sys
import rightsize.workflow.plan.rollout_run as module
from rightsize.cli.main import main
from tests.azure.hurried import Hurried
module.Clock = Hurried
sys.argv = ["rightsize", *sys.argv[1:]]
main()
"""
ROOT = Path(__file__).parents[2]


@dataclass
class Killed:
    """A command that is killed.

    Attributes:
        name: Its name in the table.
        prepared: The folder that each run gets a copy of.
        command: The arguments of Python, for a folder.
        state: What a run has done to a folder, in a form that compares.
        between: Whether a state between the first and the last is whole; None where only those two are.
        renew: Begins a run anew, and returns the variables of its processes.
    """

    name: str
    prepared: Path
    command: Callable[[Path], list[str]]
    state: Callable[[Path], Any]
    between: Callable[[Path], bool] | None = None
    renew: Callable[[], Mapping[str, str]] = dict
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self, folder: Path) -> subprocess.Popen[bytes]:
        """Start the command on a folder."""
        return subprocess.Popen(
            [sys.executable, *self.command(folder)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def fresh(self, root: Path, name: str) -> Path:
        """Return a copy of the prepared folder."""
        self.environment = self.renew()
        return Path(shutil.copytree(self.prepared, root / name))


def kill(one: Killed, times: int, drawn: random.Random, root: Path) -> tuple[int, list[str]]:
    """Return how many runs were killed before their end, and what was wrong after them."""
    folder = one.fresh(root, "whole")
    before = one.state(folder)
    began = time.monotonic()
    assert one.start(folder).wait() == 0, f"{one.name} does not run"
    needs = time.monotonic() - began
    after = one.state(folder)
    assert after != before, f"{one.name} does nothing"
    killed, wrong = 0, []
    for number in range(times):
        folder = one.fresh(root, str(number))
        process = one.start(folder)
        moment = drawn.uniform(0.1, 1) * needs
        try:
            process.wait(timeout=moment)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        left = one.state(folder)
        if left not in (before, after) and not (one.between is not None and one.between(folder)):
            wrong.append(f"killed after {moment:.2f} of {needs:.2f} s, it left something torn")
        elif one.start(folder).wait() != 0:
            wrong.append(f"killed after {moment:.2f} of {needs:.2f} s, it does not run again")
        elif one.state(folder) != after:
            wrong.append(f"killed after {moment:.2f} of {needs:.2f} s and run again, it gives something else")
        shutil.rmtree(folder)
    return killed, wrong


def _code(words: list[str]) -> int:
    done = subprocess.run([sys.executable, "-m", "rightsize", *words], cwd=ROOT, capture_output=True, check=False)
    return done.returncode


def _quietly(words: list[str]) -> None:
    assert _code(words) == 0, f"{words[0]} does not run"


def _digest(db: Path) -> str:
    if not db.exists():
        return ""
    with open_store(db, read_only=True) as store:
        return digest_content(store)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def _events(db: Path) -> tuple[str, int]:
    """Return the digest, and the number of single events, which `prune` takes and the digest does not have."""
    digest = _digest(db)
    with duckdb.connect(str(db), read_only=True) as connection:
        return digest, connection.execute("SELECT count(*) FROM base.events").fetchall()[0][0]


@contextmanager
def commands(root: Path) -> Iterator[list[Killed]]:
    """Yield the commands, each with what it needs; the service of the rollout ends with the block."""
    demo = root / "demo"
    _quietly(["demo", str(demo)])
    listings = root / "listings"
    shutil.copytree(demo / "exports", listings / "exports")
    _quietly(["load", str(listings / "exports" / "directory"), "--db", str(listings / "s.duckdb")])
    stored = root / "stored"
    stored.mkdir()
    shutil.copy(demo / "demo.duckdb", stored / "s.duckdb")
    loading = ["-m", "rightsize", "load"]
    with Azure(root / "state") as azure:
        yield [
            Killed(
                "load",
                listings,
                lambda at: [*loading, str(at / "exports"), "--db", str(at / "s.duckdb")],
                lambda at: _digest(at / "s.duckdb"),
            ),
            Killed(
                "propose",
                stored,
                lambda at: ["-m", "rightsize", "propose", "--db", str(at / "s.duckdb"), "--out", str(at / "plan")],
                lambda at: (_digest(at / "s.duckdb"), _files(at / "plan") if (at / "plan").exists() else None),
                lambda at: _code(["plan", "verify", str(at / "plan"), "--db", str(at / "s.duckdb")]) in (0, 5),
            ),
            Killed(
                "prune",
                stored,
                lambda at: ["-m", "rightsize", "prune", "--keep-days", "30", "--yes", "--db", str(at / "s.duckdb")],
                lambda at: _events(at / "s.duckdb"),
            ),
            _watched(root, demo),
            _rolled_out(root, demo, azure),
        ]


def _watched(root: Path, demo: Path) -> Killed:
    """Return the second pass of a watch, over logs that the first did not have."""
    folder = root / "watched"
    folder.mkdir()
    shutil.copytree(demo / "exports", folder / "in", ignore=shutil.ignore_patterns("access"))
    _quietly(["watch", str(folder / "in"), "--db", str(folder / "s.duckdb"), "--out", str(folder / "changes")])
    shutil.copytree(demo / "exports" / "access", folder / "in" / "access")

    def told(at: Path) -> list[str]:
        found = at / "changes"
        return sorted(json.loads(line)["id"] for line in found.read_text().splitlines()) if found.exists() else []

    return Killed(
        "watch",
        folder,
        lambda at: [
            *("-m", "rightsize", "watch", str(at / "in"), "--db", str(at / "s.duckdb"), "--out", str(at / "changes"))
        ],
        lambda at: (told(at), _digest(at / "s.duckdb")),
        # What is committed and not told yet is told by the next pass; nothing is told twice.
        lambda at: len(told(at)) == len(set(told(at))),
    )


class Azure:
    """The service that a rollout writes to: a new one, with the tenant of the demo, for each run."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._stack = ExitStack()
        self.service: Loopback | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self) -> Mapping[str, str]:
        """Start anew, and return the variables of a client."""
        self._stack.close()
        shutil.rmtree(self._state, ignore_errors=True)
        self.service = self._stack.enter_context(Loopback(options=Options(writes=True)).start())
        return {**self.service.environment(), "XDG_STATE_HOME": str(self._state)}

    def held(self) -> dict[str, Any]:
        """Return the assignments that the service has."""
        assert self.service is not None
        return {one["name"]: kept_properties(one["properties"]) for one in self.service.content.role_assignments}


def _rolled_out(root: Path, demo: Path, azure: Azure) -> Killed:
    """Return the first wave of a rollout of the demo's plan: the four surest changes that make assignments."""
    folder = root / "rollout"
    folder.mkdir()
    shutil.copy(demo / "demo.duckdb", folder / "s.duckdb")
    with open_store(folder / "s.duckdb", read_only=True) as store:
        found = store.frame("SELECT subject FROM findings WHERE control = 'emergency_access_account' ORDER BY subject")
    made = (one for one in load_plan((demo / "plan.json").read_bytes())["proposals"] if one["kind"] == "custom")
    surest = sorted(made, key=lambda one: (one["break_probability_30d"], one["id"]))[:4]
    canaries = [word for one in surest for word in ("--canary", one["principal_ids"][0])]
    emergency = [word for one in found["subject"] for word in ("--emergency-account", one)]
    planned = ["rollout", "plan", str(demo), "--out", str(folder / "out"), *emergency, "--db", str(folder / "s.duckdb")]
    _quietly([*planned, *canaries])
    swaps = json.loads((folder / "out" / "rollout.json").read_text())["swaps"]

    def nobody_has_less(_: Path) -> bool:
        """Each swap has all its old assignments, or all its new ones; those that PIM manages are not listed here."""
        now = azure.held()

        def are_there(assignments: list[dict[str, Any]]) -> bool:
            listed = [one for one in assignments if one["state"] == "active" and not (one["until"] or one["lasts"])]
            return all(one["id"] in now for one in listed)

        return all(are_there(swap["removes"]) or are_there(swap["creates"]) for swap in swaps)

    def applied(at: Path) -> list[str]:
        assert azure.service is not None
        words = ["--wave", "1", "--auth", "env", "--cloud", str(azure.service.cloud), "--yes", "--no-input"]
        return ["-c", ROLLOUT, "rollout", "apply", str(at / "out"), "--db", str(at / "s.duckdb"), *words]

    return Killed(
        "rollout apply",
        folder,
        applied,
        lambda _: azure.held(),
        nobody_has_less,
        azure.renew,
    )


def main() -> int:
    """Kill each command, print a table; return the number of faults."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.kills", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="runs of each command")
    parser.add_argument("--only", help="one command")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    drawn = random.Random(given.seed)  # noqa: S311  the same moments in each run
    faults = 0
    print("| command | runs | killed before the end | result |\n|---|---:|---:|---|")
    with tempfile.TemporaryDirectory(prefix="rightsize-kills-") as folder, commands(Path(folder)) as found:
        for one in found:
            if given.only in (None, one.name):
                root = Path(folder, f"runs of {one.name}")
                root.mkdir()
                killed, wrong = kill(one, given.times, drawn, root)
                faults += len(wrong)
                print(f"| {one.name} | {given.times} | {killed} | {wrong[0] if wrong else 'held'} |", flush=True)
    return faults


if __name__ == "__main__":
    sys.exit(main())
