"""The service as a fixture; a conftest imports `loopback` and `loopback_service` from here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.loopback.server import Loopback


@pytest.fixture(scope="session")
def loopback_service() -> Iterator[Loopback]:
    """The default demo tenant's services, started once a process."""
    with Loopback().start() as service:
        yield service


@pytest.fixture
def loopback(loopback_service: Loopback) -> Loopback:
    """The service without faults, and with an empty log of requests."""
    loopback_service.forget()
    return loopback_service
