"""`rightsize demo`: from nothing to a plan that fits the planted truth."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.commands.demo import write_page
from rightsize.cli.main import run
from rightsize.demo.tenant import TenantSpec
from rightsize.model.errors import UsageError
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import open_store
from rightsize.workflow.suite.demo import MARKER, STORE, DemoResult, write_demo


@pytest.fixture
def made(demo_made: DemoResult) -> DemoResult:
    """A demo that was made once."""
    return demo_made


@pytest.fixture
def folder(made: DemoResult) -> Path:
    """Where it stands."""
    return made.folder


def _plan_files(folder: Path) -> dict[str, str]:
    """Digests of everything but the store, whose bytes DuckDB does not promise."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != STORE)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


@pytest.mark.slow
def test_it_makes_everything_in_one_folder(folder: Path) -> None:
    """Exports, truth, store, plan, roles, page."""
    assert {path.name for path in folder.iterdir()} >= {
        "exports",
        "truth.json",
        STORE,
        "plan.json",
        "roles",
        "summary.html",
        "report.html",
        "comment.md",
        "chain.json",
        MARKER,
    }


@pytest.mark.nightly
def test_a_second_run_replaces_it_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    """Plan, roles and page too, in another process that hashes text differently and has more threads.

    stdout is one JSON document, stderr says what is being done.
    """
    before = _plan_files(folder)
    shutil.copytree(folder, tmp_path / "demo")
    program = "from rightsize.cli.main import main; main()"
    words = [sys.executable, "-c", program, "demo", str(tmp_path / "demo"), "-o", "json"]
    environment = os.environ | {"PYTHONHASHSEED": "4711", "POLARS_MAX_THREADS": "4"}
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    document: dict[str, Any] = json.loads(done.stdout)
    assert document["principals"] == 68
    assert sum(document["proposals"].values()) == document["assignments"]
    assert len(done.stderr.splitlines()) >= 4
    assert _plan_files(tmp_path / "demo") == before


@pytest.mark.slow
def test_the_store_holds_what_the_truth_counts(made: DemoResult) -> None:
    """Calls by outcome, records and rejects a file, days without a log: counted by two that share no code."""
    truth = json.loads((made.folder / "truth.json").read_text(encoding="utf-8"))
    with open_store(made.store, read_only=True) as store:
        outcomes = dict(
            store.frame("SELECT outcome, count(*) FROM events WHERE source = 'activity_log' GROUP BY 1").iter_rows()
        )
        loads = store.frame("SELECT path, sum(read), sum(rejected) FROM loads GROUP BY 1").rows()
        missing = store.frame(
            "SELECT scope, min(day), max(day) FROM coverage WHERE state = 'missing' GROUP BY 1"
        ).rows()
    assert {name: count for name, count in outcomes.items() if name != "other"} == truth["events"]["activity_log"]
    files = {str(made.folder / "exports" / name): counts for name, counts in truth["files"].items()}
    whole = {path: (read, rejected) for path, read, rejected in loads if path in files and "operations" not in path}
    assert len(whole) > 200
    skipped = ("provider-operations", "management-groups.json")
    assert all(
        (counts["records"], counts["rejected"]) == whole[path]
        for path, counts in files.items()
        if path in whole and not path.endswith(skipped) and not any(word in path for word in skipped)
    )
    days = {scope: (first.isoformat(), last.isoformat()) for scope, first, last in missing}
    assert days == {scope: (gap["first_day"], gap["last_day"]) for scope, gap in truth["missing_days"].items()}


@pytest.mark.slow
def test_replay_denies_no_call(made: DemoResult) -> None:
    """What the logs show stays allowed, and so do all other needs that they show in the window."""
    assert made.plan.replay["denied"] == 0
    assert [need for need in made.truth.denied if need["kind"] == "used"] == []


@pytest.mark.slow
def test_the_plan_takes_nothing_that_is_needed(made: DemoResult) -> None:
    """The planted reads, linked checks and unlogged data actions stay allowed as well."""
    assert made.truth.denied == []


@pytest.mark.slow
def test_what_no_rule_knows_is_counted_apart(made: DemoResult) -> None:
    """Such needs are in no other figure, and the plan denies some: what it cannot know, it cannot keep."""
    assert "unruled_check" not in made.truth.needs
    assert sum(made.truth.unruled.values()) == 5
    assert made.truth.unruled["no"] == len(made.truth.unruled_denied) > 0
    told = {row["measure"]: row["value"] for row in made.rows() if row["section"] == "needs that no rule knows"}
    assert told == made.truth.unruled


@pytest.mark.slow
def test_orphans_go_and_emergency_access_stays(folder: Path) -> None:
    """What the truth says of whole assignments, the plan says too."""
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    plan = load_plan((folder / "plan.json").read_bytes())
    of_rbac = [one for one in plan["proposals"] if one["plane"] not in plan["planes"]]
    kinds = {name: one["kind"] for one in of_rbac for name in one["replaces"]}
    assert set(kinds) == {a["role_assignment_id"] for a in truth["assignments"]}
    for assignment in truth["assignments"]:
        kind = kinds[assignment["role_assignment_id"]]
        assert (kind == "remove_orphan") == assignment["orphan"]
        assert kind == "keep" or assignment["excluded"] is None
        if kind == "remove_duplicate":
            assert assignment["duplicate_of"]
        if kind == "remove":
            assert assignment["never_used"]


@pytest.mark.slow
def test_the_story_has_a_proposal_of_every_telling_kind(made: DemoResult) -> None:
    """Something goes, something is a duplicate, somebody is gone, something is narrowed, something stays."""
    assert {"remove", "remove_duplicate", "remove_orphan", "custom", "keep"} <= set(made.kinds)


@pytest.mark.slow
def test_every_proposal_is_proved(folder: Path) -> None:
    """Used within proposed, proposed within granted."""
    plan = load_plan((folder / "plan.json").read_bytes())
    assert all(one["proof"]["used_subset"] and one["proof"]["granted_superset"] for one in plan["proposals"])


@pytest.mark.slow
def test_the_page_on_the_terminal_says_what_was_found(made: DemoResult) -> None:
    """The verdicts, the proposals, three examples, and what to do next."""
    page = "\n".join(write_page(made))
    for word in (
        "granted",
        "unobservable",
        "custom",
        made.examples[0].principal,
        "report.html",
        "rightsize explain",
        "rightsize fetch-script",
    ):
        assert word in page
    assert max(map(len, page.splitlines())) < 250


@pytest.mark.slow
def test_rows_hold_every_number(made: DemoResult) -> None:
    """As the other formats write them."""
    rows = {(row["section"], row["measure"]): row["value"] for row in made.rows()}
    assert rows["tenant", "principals"] == 68
    assert rows["replay", "denied"] == 0
    assert sum(value for (section, _), value in rows.items() if section == "needs") == sum(made.truth.needs.values())


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    """Nobody's files are overwritten, and the hint says what to do."""
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UsageError, match="holds files and is not an earlier demo"):
        write_demo(tmp_path, TenantSpec())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.nightly
def test_an_interrupted_demo_can_be_made_again(tmp_path: Path) -> None:
    """The marker is written first."""
    (tmp_path / "exports").mkdir()
    (tmp_path / "exports/stale.json").write_text("{}", encoding="utf-8")
    (tmp_path / MARKER).write_text("{}", encoding="utf-8")
    write_demo(tmp_path, TenantSpec())
    assert not (tmp_path / "exports/stale.json").exists()
    assert (tmp_path / "truth.json").is_file()


def test_a_size_that_does_not_fit_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing is made."""
    assert run(["demo", str(tmp_path / "new"), "--principals", "3"]) == 2
    assert "--principals" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
