"""The service as a fixture, and the sign-in to it; a conftest imports the fixtures from here."""

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


def sign_in(patch: pytest.MonkeyPatch, service: Loopback) -> None:
    """Put the client that the service knows into the environment."""
    for name, value in service.environment().items():
        patch.setenv(name, value)
