"""The rollout of the demo tenant's plan over the real clients: fixtures, and arguments for the command line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.change.bundle import kept_properties
from rightsize.cli.main import run
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import open_store
from tests.azure.hurried import Hurried
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback, Options

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def demo(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo tenant, loaded and planned."""
    return Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("rollout") / "demo"))


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """The same tenant, as a service that may be written to; nobody waits for it."""
    with Loopback(options=Options(writes=True)).start() as service:
        sign_in(monkeypatch, service)
        monkeypatch.setattr("rightsize.workflow.plan.rollout_run.Clock", Hurried)
        yield service


@pytest.fixture
def ask(demo: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    def asked(*arguments: str | Path) -> tuple[int, str, str]:
        capsys.readouterr()
        words = list(map(str, arguments))
        own = ("--db", str(demo / "demo.duckdb")) if words[0] != "rollback" and "--db" not in words else ()
        code = run(["rollout", *words, *own])
        out, err = capsys.readouterr()
        return code, out, err

    return asked


def emergency_words(demo: Path) -> list[str]:
    with open_store(demo / "demo.duckdb", read_only=True) as store:
        found = store.frame("SELECT subject FROM findings WHERE control = 'emergency_access_account' ORDER BY subject")
    return [word for one in found["subject"] for word in ("--emergency-account", one)]


def azure_state(azure: Loopback) -> dict[str, Any]:
    content = azure.content
    held = {one["name"]: kept_properties(one["properties"]) for one in content.role_assignments}
    return {"assignments": held, "roles": sorted(one["name"] for one in content.role_definitions)}


@pytest.fixture(scope="session")
def planned(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rollout of the demo's plan: four changes that make assignments come first. Read only."""
    made = (one for one in load_plan((demo / "plan.json").read_bytes())["proposals"] if one["kind"] == "custom")
    surest = sorted(made, key=lambda one: (one["break_probability_30d"], one["id"]))[:4]
    out = tmp_path_factory.mktemp("planned") / "rollout"
    words = [
        "rollout",
        "plan",
        demo,
        "--out",
        out,
        "--wave-size",
        "4",
        *(word for one in surest for word in ("--canary", one["principal_ids"][0])),
        *emergency_words(demo),
        "--db",
        demo / "demo.duckdb",
    ]
    assert run(list(map(str, words))) == 0
    return out


@pytest.fixture
def folder(planned: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planned, tmp_path / "rollout"))


def writing_words(azure: Loopback) -> list[str]:
    return ["--auth", "env", "--cloud", str(azure.cloud), "--yes", "--no-input"]
