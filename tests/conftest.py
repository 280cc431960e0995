"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real exports beside the checkout; tests that need it are skipped where it is absent."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data beside the checkout")
    return _SHARED_DATA


@pytest.fixture(scope="session")
def demo_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default demo tenant's folder of exports; its truth stands beside the folder in `truth.json`. Read only."""
    from rightsize.demo.exports import write_exports  # noqa: PLC0415  polars is not wanted by every test
    from rightsize.demo.generator import generate  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("demo") / "exports"
    truth = write_exports(generate(), folder)
    (folder.parent / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def demo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the default demo, as the command makes it. Read only: whoever writes takes a copy."""
    from rightsize.demo.spec import TenantSpec  # noqa: PLC0415
    from rightsize.workflow.demo import make_demo  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("made") / "demo"
    make_demo(folder, TenantSpec(), lambda _: None)
    return folder


@pytest.fixture(scope="session")
def demo_truth(demo_exports: Path) -> dict[str, Any]:
    """The planted truth of `demo_exports`."""
    truth: dict[str, Any] = json.loads((demo_exports.parent / "truth.json").read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="session")
def hostile_exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exports of a tenant with attacker-chosen names; its truth stands beside the folder. Read only."""
    from rightsize.demo.exports import write_exports  # noqa: PLC0415
    from tests.tenants.hostile import hostile_tenant  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("hostile") / "exports"
    truth = write_exports(hostile_tenant(), folder)
    (folder.parent / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def hostile_truth(hostile_exports: Path) -> dict[str, Any]:
    """The planted truth of `hostile_exports`."""
    truth: dict[str, Any] = json.loads((hostile_exports.parent / "truth.json").read_text(encoding="utf-8"))
    return truth
