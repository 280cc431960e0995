"""What the Python interface does beside its examples: it refuses, warns, cleans up, and copies byte by byte."""

from __future__ import annotations

import datetime as dt
import gc
import json
import shutil
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import polars as pl
import pytest

import rightsize
from rightsize.api.results import day_of, paths_of, texts_of, time_of
from tests.api.tiny_tenant import SCOPE

NOON = dt.datetime(2026, 4, 1, 1, 30, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def test_arguments_are_taken_in_the_forms_that_people_have() -> None:
    """A time has a day in UTC, a day begins at midnight, and one text is not a list of letters."""
    assert day_of(NOON) == dt.date(2026, 3, 31) == day_of("2026-03-31T23:30:00Z") == day_of(dt.date(2026, 3, 31))
    assert time_of(NOON) == dt.datetime(2026, 3, 31, 23, 30) == time_of("2026-03-31T23:30Z")
    assert time_of(dt.date(2026, 4, 1)) == dt.datetime(2026, 4, 1)
    assert texts_of("mei@example.com") == ("mei@example.com",) == texts_of(["mei@example.com"])
    assert paths_of("a") == paths_of(Path("a")) == paths_of(["a"]) == [Path("a")]


def test_a_side_of_containment_has_many_forms(tmp_path: Path) -> None:
    """A file, a parsed document, blocks and a definition say the same; two roles are not one."""
    document = {"Name": "Reader", "Actions": ["*/read"]}
    (tmp_path / "role.json").write_text(json.dumps(document), encoding="utf-8")
    block = rightsize.PermissionBlock(actions=("*/read",))
    for one in (
        document,
        [block],
        block,
        [{"actions": ["*/read"]}],
        tmp_path / "role.json",
        str(tmp_path / "role.json"),
    ):
        assert rightsize.contains(one, block)
        assert not rightsize.contains([], one)
    with pytest.raises(rightsize.InputError, match="holds 2 roles"):
        rightsize.contains([document, document], block)


@pytest.mark.nightly
def test_a_store_says_what_it_does_not_do(tiny: Path) -> None:
    """Read-only and closed stores refuse before anything is opened; no answer is cut."""
    with rightsize.open("tenant.duckdb", read_only=True) as store:
        for call in (store.analyze, store.propose, store.logs, lambda: store.load("exports")):
            with pytest.raises(rightsize.UsageError, match="read-only"):
                call()
        with pytest.raises(rightsize.UsageError, match="more than 1 rows"):
            store.sql("FROM principals", max_rows=1)
        for wrong in ({"max_rows": 0}, {"timeout": float("nan")}):
            with pytest.raises(rightsize.UsageError, match="is not a number from"):
                store.sql("SELECT 1", **wrong)
        empty = store.sql("SELECT principal_id, [1] AS many, uuid() AS guid FROM principals WHERE false")
        assert empty.columns == ["principal_id", "many", "guid"]
        asked = store.sql("SELECT $day AS day, $texts AS texts, uuid() AS guid", day=dt.date(2026, 1, 1), texts=["a"])
        assert asked.row(0)[:2] == (dt.date(2026, 1, 1), ["a"])
        assert asked["guid"].dtype == pl.String
    for closed in (store.next_steps, lambda: store.sql("SELECT 1")):
        with pytest.raises(rightsize.UsageError, match="was closed"):
            closed()
    with pytest.raises(rightsize.UsageError, match="cannot be made read-only"):
        rightsize.open("tenant.duckdb", create=True, read_only=True)
    with pytest.raises(rightsize.InputError, match="not a store"):
        rightsize.open("exports/users.json")


@pytest.mark.slow
def test_a_store_is_free_between_calls_and_says_who_has_it(tiny: Path) -> None:
    """An open `Store` keeps nobody out; a process that writes does, and the error says so."""
    store = rightsize.open("tenant.duckdb")
    holder = (
        "import sys; from rightsize.store.connection import open_store\n"
        "with open_store('tenant.duckdb', read_only=False): print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(rightsize.InputError, match="in use by another process"):
            store.can("mei@example.com", "Microsoft.Compute/virtualMachines/write", SCOPE)
        process.communicate("")
    assert store.can("mei@example.com", "Microsoft.Compute/virtualMachines/write", SCOPE).allowed == "yes"
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: answers.append(store.can("pat@example.com", "Microsoft.Compute/disks/read", SCOPE).allowed)
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == ["yes"] * 3


@pytest.mark.nightly
def test_what_is_missing_is_a_warning_or_an_error(tiny: Path) -> None:
    """Rows of files that are no export are counted; a store without a plan has no steps, and not none to take."""
    store = rightsize.open("bare.duckdb", create=True)
    (tiny / "notes").mkdir()
    (tiny / "notes" / "notes.txt").write_text("nothing", encoding="utf-8")
    with pytest.raises(rightsize.InputError, match="nothing here can be loaded"):
        store.load("notes")
    (tiny / "exports" / "broken.json").write_text(
        '{"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#users", "value": [{"id": 5}]}', encoding="utf-8"
    )
    loaded = store.load(["exports/assignments.json", Path("exports/broken.json")])
    assert loaded.files.select("source", "read", "new", "rejected").rows() == [
        ("role_assignments", 2, 2, 0),
        ("users", 1, 0, 1),
    ]
    assert loaded.rejects.select("path", "line").rows() == [("exports/broken.json", 1)]
    with pytest.raises(rightsize.EvidenceError, match="no plan was made"):
        store.next_steps()
    with pytest.warns(rightsize.EvidenceWarning, match="no catalogue of operations"):
        analysed = store.analyze(by="assignment")
    assert analysed["creep"].to_list() == [None, None]
    with pytest.warns(rightsize.EvidenceWarning, match="is not loaded") as told:
        holders = store.who_can("Microsoft.Compute/disks/read", SCOPE, plane="control")
    assert holders["allowed"].to_list() == ["unknown"]
    assert told[0].filename == __file__


@pytest.mark.nightly
def test_a_plan_goes_with_its_object_and_stays_where_it_was_written(tiny: Path) -> None:
    """A copy is the same byte by byte; nothing is left of an earlier plan there, and staleness is an answer."""
    store = rightsize.open("tenant.duckdb")
    plan = store.propose(format=["bicep", "markdown"], role_worth=0, previous="plan")
    private = plan.folder
    assert private.stat().st_mode & 0o077 == 0
    shutil.copytree("plan", "written")
    names = plan.write("written")
    assert {"comment.md", "manifest.json", "plan.json"} < set(names)
    assert {str(path.relative_to(private)) for path in private.rglob("*") if path.is_file()} == set(names)
    assert all((private / name).read_bytes() == (tiny / "written" / name).read_bytes() for name in names)
    with pytest.raises(rightsize.UsageError, match="stands in `written` already"):
        rightsize.read_plan("written").write("written")
    with pytest.raises(rightsize.UsageError, match="read without a store"):
        rightsize.read_plan("written").verify()
    del plan
    gc.collect()
    assert not private.exists()
    text = (tiny / "exports" / "activity.json").read_text(encoding="utf-8")
    later = text.replace("start/action", "delete").replace("33333333-", "55555555-").replace("44444444-", "66666666-")
    (tiny / "later.json").write_text(later, encoding="utf-8")
    store.load("later.json")
    stale = rightsize.read_plan("written", store).verify()
    assert (bool(stale), stale.is_stale) == (False, True)
    assert isinstance(stale.refusal, rightsize.EvidenceError)
    assert stale.faults["what"].unique().to_list() == ["use"]


def test_the_steps_of_a_plan_of_other_data_come_with_a_warning(tiny: Path) -> None:
    """Those of the last plan, and those of a folder; right after the plan neither warns."""
    store = rightsize.open("tenant.duckdb")
    plan = store.propose(role_worth=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", rightsize.EvidenceWarning)
        assert store.next_steps(plan).equals(store.next_steps())
    text = (tiny / "exports" / "activity.json").read_text(encoding="utf-8")
    later = text.replace("start/action", "delete").replace("33333333-", "55555555-").replace("44444444-", "66666666-")
    (tiny / "later.json").write_text(later, encoding="utf-8")
    store.load("later.json")
    for asked in (None, plan):
        with pytest.warns(rightsize.EvidenceWarning, match="changed since the plan was made"):
            store.next_steps(asked)
