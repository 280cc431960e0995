"""Fixtures of the rollout's tests."""

from __future__ import annotations

import pytest

from tests.loopback.fixtures import loopback, loopback_service

__all__ = ["loopback", "loopback_service"]


@pytest.fixture(autouse=True)
def _quick_disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of journals need not reach the disk; one test looks that they do."""
    if "forced" not in request.keywords and "forced" not in request.fixturenames:
        monkeypatch.setattr("rightsize.rollout.journal.os.fsync", lambda _: None)
