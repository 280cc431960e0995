"""Fixtures for the tests of the rollout."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.loopback.fixtures import loopback, loopback_service
from tests.rollout.demo_rollout import ask, azure, demo, folder, planned

__all__ = ["ask", "azure", "demo", "folder", "loopback", "loopback_service", "planned"]


@pytest.fixture(autouse=True)
def _quick_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hundreds of journals need not reach the disk, and heads are kept in the test's folder; one test looks at both."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    if "forced" not in request.keywords and "forced" not in request.fixturenames:
        monkeypatch.setattr("rightsize.change.journal.os.fsync", lambda _: None)
