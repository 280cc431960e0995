"""Fixtures for the tests of the analysis."""

from __future__ import annotations

import pytest

from tests.analyze.tiny import Tiny


@pytest.fixture
def tiny() -> Tiny:
    """An empty tenant with a small catalogue, one subscription, and a window of ten days."""
    return Tiny()
