"""`rightsize jobs` on the demo: holders, what they share, what one does alone, and the role of the last plan."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import rightsize
from rightsize.cli.main import run
from rightsize.mcp.questions import Questions

pytestmark = pytest.mark.slow

PUBLISH = "Microsoft.Web/sites/publishxml/Action"


@pytest.fixture(scope="module")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("jobs") / "demo"))


@pytest.fixture(scope="module")
def store(demo: Path) -> Path:
    return demo / "demo.duckdb"


def said(capsys: pytest.CaptureFixture[str], store: Path, *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run([*words, "--db", str(store)]) == code
    found = capsys.readouterr()
    return found.err if code else found.out


def answer(capsys: pytest.CaptureFixture[str], store: Path, *words: str) -> Any:
    return json.loads(said(capsys, store, *words, "-o", "json"))


@pytest.mark.nightly
def test_every_job_has_holders_who_used_its_operations(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At least two share each job; who did what is what the days of use have."""
    rows = answer(capsys, store, "jobs")
    assert rows and len({row["name"] for row in rows}) == len({row["job"] for row in rows}) == len(rows)
    used = {
        (row["id"], row["op"])
        for row in answer(
            capsys, store, "sql", "SELECT DISTINCT lower(principal_id) AS id, lower(operation) AS op FROM usage_days"
        )
    }
    for row in rows:
        assert len(row["holders"]) >= 2 and row["operations"]
        assert row["all"] + row["most"] + row["few"] >= len(row["operations"])
        for operation in row["operations"]:
            assert [who for who in row["holders"] if (who, operation.lower()) in used], (row["name"], operation)


def test_one_job_shows_who_does_what_alone(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a part of its name; shares add up, and what is alone is used by exactly one of its holders."""
    job = answer(capsys, store, "jobs", "web app ed")
    assert job["name"] == "Web App Editor"
    shares = {one["operation"]: one for one in job["uses"]}
    assert (shares[PUBLISH]["share"], shares[PUBLISH]["done_by"], shares[PUBLISH]["is_in_role"]) == (0.4, "few", False)
    assert [one["used_by"] for one in job["uses"]] == sorted((one["used_by"] for one in job["uses"]), reverse=True)
    did = {one["name"].partition("@")[0]: one for one in job["members"]}
    alone = Counter(operation for one in did.values() for operation in one["alone_operations"])
    assert set(alone.values()) == {1} and not did["github-portal-deploy"]["alone_operations"]
    chloe = did["chloe.martin"]
    assert chloe["own_operations"] == chloe["alone_operations"] == ["Microsoft.Insights/components/Write"]
    assert len(chloe["groups"]) == 1


@pytest.mark.nightly
def test_a_job_is_found_by_one_meaning_only(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "one of Role Assignment Editor, " in said(capsys, store, "jobs", "editor", code=2)
    assert "no job has the name `juggler`" in said(capsys, store, "jobs", "juggler", code=2)
    first = answer(capsys, store, "jobs")[0]
    assert answer(capsys, store, "jobs", first["job"])["name"] == first["name"]


@pytest.mark.nightly
@pytest.mark.parametrize("width", [80, 120])
def test_tables_fit_the_terminal(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for words in (("jobs",), ("jobs", "Web App Editor")):
        text = said(capsys, store, *words)
        assert "Deployer" in text or PUBLISH in text
        assert max(map(len, text.splitlines())) <= width


@pytest.mark.nightly
@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "markdown"])
def test_every_form_has_the_jobs_and_their_details(store: Path, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert "Web App Editor" in said(capsys, store, "jobs", "-o", form)
    text = said(capsys, store, "jobs", "Web App Editor", "-o", form)
    assert "ravi" in text and "publishxml" in text
    if form == "csv":
        sections = [row["section"] for row in csv.DictReader(io.StringIO(text))]
        assert set(sections) == {"operations", "holders"}


@pytest.mark.nightly
def test_propose_stores_what_the_command_says(demo: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the id of the new role: it is a file of the plan, and has what its job does."""
    rows = {row["job"]: row for row in answer(capsys, store, "jobs")}
    stored = answer(capsys, store, "sql", "SELECT * FROM jobs")
    assert {row["job"]: (row["name"], row["role"], row["holder_count"]) for row in stored} == {
        job: (row["name"], row["role"], len(row["holders"])) for job, row in rows.items()
    }
    files = [json.loads(path.read_text(encoding="utf-8")) for path in (demo / "roles").glob("*.json")]
    strings = {one["name"]: one["properties"]["permissions"][0] for one in files}
    roles = {row["role"]: row for row in rows.values() if row["role"]}
    assert roles and roles.keys() <= strings.keys()
    named = {one["name"]: one["properties"]["roleName"] for one in files}
    assert {id_: row["role_name"] for id_, row in roles.items()} == {id_: named[id_] for id_ in roles}
    for id_, row in roles.items():
        held = {text.lower() for text in (*strings[id_]["actions"], *strings[id_]["dataActions"])}
        given = answer(
            capsys, store, "sql", f"SELECT operation FROM job_operations WHERE job = '{row['job']}' AND is_in_role"
        )
        assert {one["operation"].lower() for one in given} & held


@pytest.mark.nightly
def test_python_gives_the_same_as_frames(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with rightsize.open(store, read_only=True) as opened:
        found = opened.jobs()
    rows = answer(capsys, store, "jobs")
    assert found.jobs["name"].to_list() == [row["name"] for row in rows]
    members = found.holders.group_by("job", maintain_order=True).agg("principal_id")
    assert dict(members.iter_rows()) == {row["job"]: row["holders"] for row in rows}
    assert found.holders.filter(pl.col("name").str.starts_with("ravi.menon@")).height
    assert found.operations["share"].is_between(0, 1, closed="right").all()


@pytest.mark.nightly
def test_an_agent_gets_the_same(demo: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = Questions(store, demo, 50, 60)
    assert questions.jobs(None).document["jobs"] == answer(capsys, store, "jobs")
    assert questions.jobs("Web App Editor").document["jobs"] == [answer(capsys, store, "jobs", "Web App Editor")]


def test_the_report_says_who_shares_what(demo: Path) -> None:
    page = (demo / "report.html").read_text(encoding="utf-8")
    section = page.partition('<section id="jobs">')[2].partition("</section>")[0]
    assert "Web App Editor" in section and PUBLISH in section
    assert "ravi.menon@" in section and "Microsoft.Insights/components/Write" in section


@pytest.mark.nightly
def test_without_a_log_there_is_no_answer(
    tmp_path: Path, demo_exports: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No use seen is no evidence that nobody shares a job."""
    store = tmp_path / "s.duckdb"
    files = [path for path in demo_exports.rglob("*") if path.is_file() and "role" in path.name]
    assert run(["load", *map(str, files), "--db", str(store)]) == 0
    assert said(capsys, store, "jobs", code=6)
