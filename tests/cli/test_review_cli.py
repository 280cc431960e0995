"""`rightsize review`: decisions by command and by key, their file, and the commands that respect it."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import open_store

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(demo_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs `review` on the demo's plan, from an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RIGHTSIZE_DB", str(demo_folder / "demo.duckdb"))

    def asked(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        plan = [] if words[0] in ("list", str(demo_folder)) else ["--plan", str(demo_folder)]
        code = run(["review", *words, *plan])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


@pytest.fixture
def changes(demo_folder: Path) -> list[dict[str, Any]]:
    """The demo's proposals of Azure RBAC that change something."""
    document = load_plan((demo_folder / "plan.json").read_bytes())
    return [one for one in document["proposals"] if one["kind"] == "custom"]


@pytest.mark.nightly
def test_decisions_are_written_shown_and_taken_back(ask: Ask, changes: list[dict[str, Any]], demo_folder: Path) -> None:
    one, two, three = (found["id"] for found in changes[:3])
    by = ("--by", "Mei", "--as-of", "2026-10-01")
    code, _, err = ask("accept", one[:8], *by)
    assert (code, "1 accepted" in err) == (0, True)
    assert ask("reject", two, three[:13], "--reason", "quarter end", "--expires", "2026-12-31", *by)[0] == 0
    lines = [json.loads(line) for line in Path("review.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["proposal"] for line in lines] == sorted((one, two, three))
    assert {line["decision"] for line in lines} == {"accept", "reject"}
    code, out, _ = ask("list", str(demo_folder), "--state", "rejected", "-o", "json", "--as-of", "2026-12-31")
    assert code == 0
    assert {row["proposal"] for row in json.loads(out)} == {two, three}
    code, out, _ = ask("list", str(demo_folder), "--state", "expired", "-o", "json", "--as-of", "2027-01-01")
    assert {row["reason"] for row in json.loads(out)} == {"quarter end"}
    assert ask("reopen", "--ended", "--as-of", "2027-01-01")[0] == 0
    assert ask("reopen", one)[0] == 0
    assert Path("review.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("accept", "ffffffff-ffff"), "is not a proposal of this plan"),
        (("accept", ""), "is not a proposal of this plan"),
        (("reject", "ID", "--reason", " "), "a proposal that is rejected needs a reason"),
        (("defer", "ID", "--reason", "later", "--expires", "2020-01-01"), "2020-01-01 is past"),
        (("defer", "ID", "--reason", "later", "--expires", "soon"), "`soon` is not a day"),
        (("reopen",), "takes either ids or"),
        (("reopen", "ID"), "nothing that was decided on"),
        (("KEEP",), "a proposal that changes nothing"),
    ],
)
def test_what_cannot_be_decided_is_said(
    ask: Ask, changes: list[dict[str, Any]], demo_folder: Path, words: tuple[str, ...], said: str
) -> None:
    """Nothing is written then."""
    kept = next(
        one["id"] for one in load_plan((demo_folder / "plan.json").read_bytes())["proposals"] if one["kind"] == "keep"
    )
    words = (
        ("accept", kept) if words == ("KEEP",) else tuple(changes[0]["id"] if word == "ID" else word for word in words)
    )
    code, _, err = ask(*words, *(() if words[0] == "reopen" else ("--by", "Mei")))
    assert code == 2
    assert said in err or (words[1] == "" and "several proposals" in err)
    assert not Path("review.jsonl").exists()


@pytest.mark.slow
def test_changes_beyond_azure_roles_are_counted_when_they_are_accepted(ask: Ask, demo_folder: Path) -> None:
    """They have no excess, and nothing else in the totals shows them."""
    document = load_plan((demo_folder / "plan.json").read_bytes())
    changing = [one for one in document["proposals"] if not one["kind"].startswith("keep")]
    two = [next(one["id"] for one in changing if one.get("plane") == plane) for plane in ("graph", "directory")]
    code, _, err = ask("accept", *two, "--by", "Mei")
    assert code == 0
    assert "0 new roles, 0 new assignments, 0 removed assignments, 2 changes beyond Azure roles" in err


@pytest.mark.nightly
def test_a_rollout_takes_only_what_is_accepted(
    ask: Ask, changes: list[dict[str, Any]], demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing accepted is no rollout, and neither is a decision that contradicts another or has ended."""
    with open_store(demo_folder / "demo.duckdb", read_only=True) as store:
        found = store.frame("SELECT subject FROM findings WHERE control = 'emergency_access_account' ORDER BY subject")
    emergency = [word for one in found["subject"] for word in ("--emergency-account", one)]
    plan = ["rollout", "plan", str(demo_folder), "--out", "out", *emergency, "--review", "review.jsonl", "-o", "json"]
    chosen = changes[0]["id"]
    ask("defer", chosen, "--reason", "later", "--by", "Mei")
    assert run(plan) == 6
    assert "no proposal of the plan is accepted" in capsys.readouterr().err
    ask("accept", chosen, "--by", "Mei")
    assert run(plan) == 0
    made = json.loads(capsys.readouterr().out)
    assert {id_ for swap in made["swaps"] for id_ in swap["proposals"]} == {chosen}
    assert run([*plan, "--proposal", changes[1]["id"]]) == 2
    line = Path("review.jsonl").read_text(encoding="utf-8")
    Path("review.jsonl").write_text(line.replace('"expires": null', '"expires": "2026-01-01"'), encoding="utf-8")
    assert run(plan) == 5
    assert "1 decision has ended" in capsys.readouterr().err
    Path("review.jsonl").write_text(line + line.replace('"accept"', '"reject"').replace('""', '"no"'), encoding="utf-8")
    assert run(plan) == 5
    assert "decides twice" in capsys.readouterr().err


@pytest.mark.nightly
def test_files_and_comments_know_the_decisions(
    ask: Ask, changes: list[dict[str, Any]], demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Only what is accepted is written to be deployed; the comment says how each proposal stands."""
    ask("accept", changes[0]["id"], "--by", "Mei")
    assert (
        run(["plan", "files", str(demo_folder), "--format", "az", "--out", "deploy", "--review", "review.jsonl"]) == 0
    )
    script = Path("deploy/az/deploy.sh").read_text(encoding="utf-8")
    assert script.count("/roleAssignments/") == len(changes[0]["assignments"])
    capsys.readouterr()
    assert run(["plan", "comment", str(demo_folder), "--review", "review.jsonl"]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| <code>")]
    assert [line for line in rows if line.endswith("| accepted |")] == [
        line for line in rows if changes[0]["id"][:8] in line
    ]


class Terminal:
    """A program in a terminal of its own: what it shows is waited for, and keys are pressed."""

    def __init__(self, words: list[str]) -> None:
        master, slave = pty.openpty()
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "50"}
        code = "import sys; from rightsize.cli.main import main; main(sys.argv[1:])"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            close_fds=True,
        )
        os.close(slave)
        self._master = master
        self.shown = ""

    def expect(self, text: str) -> str:
        """Return what is shown up to a text, which has to come before long."""
        while text not in self.shown:
            ready, _, _ = select.select([self._master], [], [], 600)
            assert ready, f"waited for {text!r} and saw {self.shown[-2000:]!r}"
            try:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                raise AssertionError(f"ended before {text!r}: {self.shown[-2000:]!r}") from None
        before, _, self.shown = self.shown.partition(text)
        return before

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def ends(self) -> int:
        return self._process.wait(timeout=600)

    def close(self) -> None:
        """End the program, if it has not ended by itself."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def terminal(ask: Ask, demo_folder: Path) -> Iterator[Terminal]:
    """The demo's plan, walked through."""
    opened = Terminal(["review", str(demo_folder), "--by", "Mei", "--as-of", "2026-10-01"])
    yield opened
    opened.close()


@pytest.mark.nightly
def test_somebody_walks_through_with_keys(terminal: Terminal) -> None:
    """Evidence on demand, search, reasons, the effect of each decision at once, and the file written at each key."""
    terminal.expect("q leave")
    terminal.press("/")
    terminal.expect("Search")
    terminal.press("patient portal team\n")
    terminal.expect("found by patient portal team")
    terminal.expect("Contributor at Patient Portal")
    terminal.expect("q leave")
    terminal.press("e")
    terminal.expect("evidence")
    terminal.expect("times on")
    terminal.expect("q leave")
    terminal.press("r")
    terminal.expect("Reason: ")
    terminal.press("\n")
    terminal.expect("a reason is needed")
    terminal.expect("q leave")
    assert not Path("review.jsonl").exists()
    terminal.press("a")
    terminal.expect("Reason (may be empty): ")
    terminal.press("agreed with the team\n")
    terminal.expect("Last day")
    terminal.press("2026-12-31\n")
    terminal.expect("1 accepted")
    terminal.expect("is accepted: excess -")
    terminal.expect("new assignments +")
    (line,) = Path("review.jsonl").read_text(encoding="utf-8").splitlines()
    said = json.loads(line)
    assert (said["decision"], said["by"], said["reason"]) == ("accept", "Mei", "agreed with the team")
    assert (said["decided"], said["expires"]) == ("2026-10-01", "2026-12-31")
    terminal.expect("q leave")
    terminal.press("o")
    terminal.expect("0 accepted")
    terminal.expect("q leave")
    terminal.press("q")
    assert terminal.ends() == 0
    assert Path("review.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.slow
def test_nobody_is_asked_where_nobody_is(ask: Ask, demo_folder: Path) -> None:
    """Without a terminal, or with `--no-input`, the commands that do not ask are named."""
    code, _, err = ask(str(demo_folder), "--no-input")
    assert code == 2
    assert "`rightsize review list`" in err
