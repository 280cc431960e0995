"""The demo's next deployment would be refused one operation, and nothing loads its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rightsize.cli.main import run
from rightsize.demo.code_files import DEPLOYED_BY, PIPELINE, WHAT_IF, write_pipeline
from rightsize.demo.tenant import TenantSpec
from rightsize.workflow.answers.needs import answer_needs, read_needs
from rightsize.workflow.suite.demo import DemoResult

JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"


def test_the_file_is_the_same_for_the_same_tenant(tmp_path: Path) -> None:
    """It has nothing of the day or the machine."""
    first, second = (write_pipeline(TenantSpec(), tmp_path / name).read_bytes() for name in ("a", "b"))

    assert first == second
    assert write_pipeline(TenantSpec(seed=1), tmp_path / "c").read_bytes() != first


@pytest.mark.slow
def test_one_join_is_missing(demo_made: DemoResult, capsys: pytest.CaptureFixture[str]) -> None:
    """The pipeline may do everything in its own subscription, and may not join the subnet of the hub."""
    file = demo_made.folder / PIPELINE / WHAT_IF
    found = read_needs([file])
    answer_needs(demo_made.store, found, DEPLOYED_BY)

    assert [row["operation"] for row in found.missing] == [JOIN]
    assert found.undecided == []
    capsys.readouterr()
    assert run(["needs", str(file), "--by", DEPLOYED_BY, "--db", str(demo_made.store), "-o", "sarif"]) == 3
    log = json.loads(capsys.readouterr().out)
    assert len(log["runs"][0]["results"]) == 1


@pytest.mark.slow
def test_nothing_loads_it(demo_made: DemoResult) -> None:
    """It stands beside the exports, and the truth does not count it."""
    truth = json.loads((demo_made.folder / "truth.json").read_text())

    assert not any(PIPELINE in name for name in truth["files"])
    assert not (demo_made.folder / "exports" / PIPELINE).exists()
