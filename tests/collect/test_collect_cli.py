"""The commands around collecting: their output on stdout and stderr, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.loopback.fixtures import sign_in
from tests.loopback.server import GRAPH_MAP, Loopback

Run = Callable[..., int]


@pytest.fixture
def command(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command against the loopback tenant."""
    sign_in(monkeypatch, loopback)
    monkeypatch.chdir(tmp_path)

    def start(*arguments: str) -> int:
        return run([*arguments, "--cloud", str(loopback.cloud), "--auth", "env"])

    yield start
    loopback.faults.clear()


COLLECT = ("collect", "--until", "2026-10-01T00:00:00", "--source", "users", "--source", "groups")


@pytest.mark.nightly
def test_collect_loads_what_it_collected(command: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert command(*COLLECT, "-o", "json") == 0
    captured = capsys.readouterr()
    rows = json.loads(captured.out)
    assert [row["source"] for row in rows] == ["users", "groups"]
    assert all(row["state"] == "complete" and row["rows"] for row in rows)
    assert "signed in by EnvironmentCredential" in captured.err
    assert "2 sources; " in captured.err
    assert "\r" not in captured.err, "no progress where nobody watches"
    assert (tmp_path / "rightsize-collected" / "20261001T000000Z" / "manifest.json").exists()
    assert run(["status", "-o", "json"]) == 0


@pytest.mark.slow
def test_collect_without_loading_makes_no_store(command: Run, tmp_path: Path) -> None:
    assert command(*COLLECT, "--no-load", "-q") == 0
    assert not list(tmp_path.glob("*.duckdb"))


@pytest.mark.nightly
def test_an_incomplete_run_exits_7_and_the_same_command_goes_on(
    loopback: Loopback, command: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    loopback.faults.add("throttle", "/v1.0/groups", retry_after="3600")
    assert command(*COLLECT) == 7
    captured = capsys.readouterr()
    assert "groups: incomplete: graph asks for a wait of 3,600 seconds" in captured.err
    assert command(*COLLECT) == 0
    assert "continued" in capsys.readouterr().err


@pytest.mark.slow
def test_no_resume_starts_anew(loopback: Loopback, command: Run, tmp_path: Path) -> None:
    loopback.faults.add("throttle", "/v1.0/groups", retry_after="3600")
    assert command(*COLLECT, "--no-load") == 7
    assert command(*COLLECT, "--no-load", "--no-resume") == 0
    assert len(list((tmp_path / "rightsize-collected").iterdir())) == 2


@pytest.mark.nightly
def test_a_refusal_names_the_right(loopback: Loopback, command: Run, capsys: pytest.CaptureFixture[str]) -> None:
    loopback.faults.add("forbidden", "/v1.0/groups", times=None)
    assert command(*COLLECT) == 0
    assert "groups: access refused, it needs Group.Read.All (role `Directory Readers`)" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_that_may_be_read_exits_4(loopback: Loopback, command: Run, capsys: pytest.CaptureFixture[str]) -> None:
    loopback.faults.add("forbidden", "", times=None)
    assert command(*COLLECT) == 4
    assert "status sources" in capsys.readouterr().err


@pytest.mark.slow
def test_a_service_that_is_down_exits_7(loopback: Loopback, command: Run, tmp_path: Path) -> None:
    loopback.faults.add("throttle", "", times=None, retry_after="3600")
    assert command(*COLLECT) == 7
    assert not list(tmp_path.glob("*.duckdb"))


@pytest.mark.slow
def test_a_sign_in_that_wants_an_hour_exits_7_at_once(loopback: Loopback, command: Run, tmp_path: Path) -> None:
    loopback.faults.add("throttle", "oauth2", times=None, retry_after="3600")
    assert command(*COLLECT) == 7
    assert not (tmp_path / "rightsize-collected").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ("--days", "0"),
        ("--source", "no_such"),
        ("--workspace", "my-workspace"),
        ("--container", "UPPER/x"),
    ],
)
def test_a_question_that_makes_no_sense_exits_2(command: Run, arguments: tuple[str, ...], tmp_path: Path) -> None:
    assert command("collect", "--until", "2026-10-01T00:00:00", "-q", *arguments) == 2
    assert not list(tmp_path.glob("*.duckdb"))


def test_an_unknown_cloud_exits_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["collect", "--cloud", "mars"]) == 2
    assert run(["collect", "--auth", "browser", "--no-input"]) == 2


@pytest.fixture
def refresh(loopback: Loopback, command: Run) -> Run:
    """Run `catalog refresh`, with the map of Graph's permissions from the loopback service."""
    return lambda *arguments: command(*arguments, "--graph-map", f"{loopback.url}{GRAPH_MAP}")


@pytest.mark.nightly
def test_the_catalogue_is_refreshed(refresh: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert refresh("catalog", "refresh", "-o", "json") == 0
    read = {row["source"]: row["read"] for row in json.loads(capsys.readouterr().out)}
    assert read["operations"] > 0
    assert run(["catalog", "status", "-o", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["operations"] > 0
    assert status["built_in_roles"] > 0


@pytest.mark.nightly
def test_a_catalogue_that_shrank_is_refused_without_force(
    loopback: Loopback, refresh: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert refresh("catalog", "refresh", "-q") == 0
    documents = loopback.content.provider_operations
    monkeypatch.setattr(loopback.content, "provider_operations", documents[: len(documents) // 2])
    capsys.readouterr()
    assert refresh("catalog", "refresh", "-q") == 5
    assert "are loaded" in capsys.readouterr().err
    assert refresh("catalog", "refresh", "-q", "--force") == 0


@pytest.mark.slow
def test_an_incomplete_catalogue_is_not_loaded(loopback: Loopback, refresh: Run, tmp_path: Path) -> None:
    loopback.faults.add("throttle", "provideroperations", retry_after="3600")
    assert refresh("catalog", "refresh", "-q") == 7
    assert not list(tmp_path.glob("*.duckdb"))


@pytest.mark.nightly
def test_the_map_of_graph_is_loaded_and_asked_after(
    loopback: Loopback, refresh: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refresh("catalog", "refresh", "-o", "json") == 0
    assert {row["source"] for row in json.loads(capsys.readouterr().out)} >= {"graph_permissions", "operations"}
    assert refresh("catalog", "refresh", "-o", "json") == 0
    assert "graph_permissions" not in {row["source"] for row in json.loads(capsys.readouterr().out)}
    assert [entry.status for entry in loopback.requests if entry.path == GRAPH_MAP] == [200, 304]
    assert run(["catalog", "status", "-o", "json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert status["age_days"] == 0
    assert status["refreshed_at"] == status["graph_map_refreshed_at"]


@pytest.mark.nightly
@pytest.mark.parametrize("published", [{"permissions": {}}, {"permissions": {"User.Read.All": {}}}, {"sorry": True}])
def test_a_map_of_graph_that_shrank_is_refused(
    loopback: Loopback,
    refresh: Run,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    published: Any,
) -> None:
    assert refresh("catalog", "refresh", "-q") == 0
    monkeypatch.setattr(loopback, "graph_map", published)
    capsys.readouterr()
    assert refresh("catalog", "refresh", "-q") == 5
    assert "Graph permissions, and 4 are loaded" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_map_of_graph_that_cannot_be_had_leaves_the_store(
    loopback: Loopback, refresh: Run, command: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    loopback.faults.add("404", GRAPH_MAP, times=None)
    assert refresh("catalog", "refresh", "-q") == 7
    assert "leaves the map" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.duckdb"))
    assert command("catalog", "refresh", "-q", "--graph-map", "") == 0
