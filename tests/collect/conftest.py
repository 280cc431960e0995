"""Fixtures of the collectors' tests."""

from tests.loopback.fixtures import loopback, loopback_service

__all__ = ["loopback", "loopback_service"]
