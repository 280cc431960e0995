"""Fixtures for the tests of the collectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collect.collecting import Collect, collector
from tests.loopback.fixtures import loopback, loopback_service, sign_in
from tests.loopback.server import Loopback

__all__ = ["loopback", "loopback_service"]


@pytest.fixture
def collect(loopback: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collect]:
    """Collect from the loopback tenant, with a clock that nobody waits for; faults end with the test."""
    sign_in(monkeypatch, loopback)
    yield collector(loopback, tmp_path)
    loopback.faults.clear()
