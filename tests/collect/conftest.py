"""Fixtures for the tests of the collectors."""

from tests.loopback.fixtures import loopback, loopback_service

__all__ = ["loopback", "loopback_service"]
