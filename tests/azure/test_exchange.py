"""A request is repeated where that may help, and ends in a named error where it does not."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rightsize.azure.exchange import LONGEST_WAIT, Exchange, Throttle, error_of
from rightsize.azure.wire import (
    AbsentError,
    DroppedError,
    FaultError,
    NotSignedInError,
    RefusedError,
    StaleLinkError,
    UnsettledError,
    WireRequest,
)
from rightsize.collect.listing import read_pages
from tests.azure.hurried import Hurried
from tests.azure.scripted import Scripted, answer, error, page

QUESTION = WireRequest("arm", "/subscriptions/a/things?api-version=1", budget="arm:a")
REST = WireRequest("arm", "/rest", budget="arm:a", is_next=True)


def exchange_of(*script: Any) -> tuple[Exchange, Scripted, Hurried]:
    clock = Hurried()
    sender = Scripted(script)
    return Exchange(sender, Throttle(clock), clock), sender, clock


@pytest.mark.parametrize(
    ("fault", "waited"),
    [
        (answer(429, retry_after="3"), 3.0),
        (answer(429, retry_after_ms="250"), 0.25),
        (answer(429, retry_after="Thu, 01 Oct 2026 12:00:09 GMT"), 9.0),
        (answer(429, retry_after="soon"), 1.0),
        (answer(429), 1.0),
        (answer(500), 1.0),
        (answer(502), 1.0),
        (answer(503, retry_after="4"), 4.0),
        (answer(504, b"<html>gateway</html>"), 1.0),
        (answer(408), 1.0),
        (DroppedError("connection reset"), 1.0),
        (answer(200, b'{"value": [1, 2'), 1.0),
        (answer(200, b"<html>sign in</html>"), 1.0),
        (answer(409, b'{"error": {"code": "RoleDefinitionHas'), 1.0),
        (answer(200, []), 1.0),
        (answer(200, {"other": 1}), 1.0),
    ],
)
def test_a_passing_fault_is_waited_out(fault: Any, waited: float) -> None:
    exchange, sender, clock = exchange_of(fault, page({"id": 1}))
    assert exchange.ask(QUESTION, read_pages).rows == 1
    assert len(sender.asked) == 2
    assert sum(clock.waits) == pytest.approx(waited)


@pytest.mark.parametrize("fault", [answer(503), DroppedError("reset"), answer(200, b"half"), answer(500)])
def test_a_lasting_fault_ends_the_source_for_now(fault: Any) -> None:
    exchange, sender, clock = exchange_of(fault)
    with pytest.raises(UnsettledError):
        exchange.ask(QUESTION, read_pages)
    assert len(sender.asked) == 6
    assert sum(clock.waits) == pytest.approx(1 + 2 + 4 + 8 + 16)


def test_an_hour_is_not_waited() -> None:
    """A service that asks for an hour ends its source; the others go on, and the run can be resumed."""
    exchange, sender, clock = exchange_of(answer(429, retry_after="3600"), page())
    with pytest.raises(UnsettledError, match="a wait of 3,600 seconds"):
        exchange.ask(QUESTION, read_pages)
    assert len(sender.asked) == 1
    assert not clock.waits


def test_the_longest_wait_is_kept() -> None:
    exchange, _, clock = exchange_of(answer(429, retry_after=str(int(LONGEST_WAIT))), page())
    exchange.ask(QUESTION, read_pages)
    assert sum(clock.waits) == pytest.approx(LONGEST_WAIT)


def test_endless_throttling_ends() -> None:
    exchange, sender, _ = exchange_of(answer(429, retry_after="1"))
    with pytest.raises(UnsettledError, match="throttled the request"):
        exchange.ask(QUESTION, read_pages)
    assert len(sender.asked) == 25


@pytest.mark.parametrize(
    ("request_", "fault", "kind"),
    [
        (QUESTION, error(403, "AuthorizationFailed"), RefusedError),
        (QUESTION, error(403, "Authorization_RequestDenied", retry_after="5"), RefusedError),
        (QUESTION, error(400, "Authentication_RequestFromNonPremiumTenantOrB2CTenant"), RefusedError),
        (QUESTION, error(404, "SubscriptionNotFound"), AbsentError),
        (QUESTION, error(404, "ResourceNotFound"), AbsentError),
        (QUESTION, error(409, "MissingSubscriptionRegistration"), AbsentError),
        (QUESTION, error(400, "NoRegisteredProviderFound"), AbsentError),
        (QUESTION, error(400, "BadArgumentError", "SEM0100: no such table"), AbsentError),
        (QUESTION, error(400, "BadRequest"), UnsettledError),
        (QUESTION, answer(302, location="https://elsewhere.example"), UnsettledError),
        (REST, error(400, "BadRequest"), StaleLinkError),
        (REST, error(410, "Gone"), StaleLinkError),
        (REST, error(403, "AuthorizationFailed"), RefusedError),
    ],
)
def test_a_final_answer_is_not_asked_for_again(request_: WireRequest, fault: Any, kind: type[FaultError]) -> None:
    exchange, sender, clock = exchange_of(fault)
    with pytest.raises(kind):
        exchange.ask(request_, read_pages)
    assert len(sender.asked) == 1
    assert not clock.waits


def test_a_token_that_is_not_taken_is_renewed_once() -> None:
    exchange, sender, _ = exchange_of(error(401, "ExpiredAuthenticationToken"), page({"id": 1}))
    assert exchange.ask(QUESTION, read_pages).rows == 1
    assert sender.renewed == 1


def test_a_token_that_is_never_taken_ends_the_run() -> None:
    exchange, sender, _ = exchange_of(error(401, "InvalidAuthenticationToken"))
    with pytest.raises(NotSignedInError, match="InvalidAuthenticationToken"):
        exchange.ask(QUESTION, read_pages)
    assert len(sender.asked) == 4


def test_a_token_that_another_thread_kept_too_long_is_renewed_again() -> None:
    old = error(401, "ExpiredAuthenticationToken")
    exchange, sender, _ = exchange_of(old, old, old, page({"id": 1}))
    assert exchange.ask(QUESTION, read_pages).rows == 1
    assert sender.renewed == 3


def test_everybody_who_met_the_old_token_shares_one_renewal() -> None:
    """Two ask with the same token, and both are refused: the second finds it renewed already."""
    both = threading.Barrier(2)
    refused = 0

    def script(_: WireRequest) -> Any:
        nonlocal refused
        if refused < 2:
            refused += 1
            both.wait(5)
            return error(401, "ExpiredAuthenticationToken")
        return page({"id": 1})

    clock = Hurried()
    sender = Scripted(script)
    exchange = Exchange(sender, Throttle(clock), clock)
    threads = [threading.Thread(target=exchange.ask, args=(QUESTION, read_pages)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sender.renewed, len(sender.asked)) == (1, 4)


def test_a_token_may_expire_again() -> None:
    exchange, sender, _ = exchange_of(error(401, "X"), page(), error(401, "X"), page())
    exchange.ask(QUESTION, read_pages)
    exchange.ask(QUESTION, read_pages)
    assert sender.renewed == 2


def test_what_was_asked_is_counted() -> None:
    """An answer that cannot be read counts as failed: what it answers to may have been done."""
    exchange, _, _ = exchange_of(
        answer(429, retry_after="1"), answer(503), DroppedError("x"), answer(200, b'{"val'), page({"id": 1})
    )
    exchange.ask(QUESTION, read_pages)
    tally = exchange.tally
    assert (tally.requests, tally.throttled, tally.failed) == (5, 1, 3)
    assert tally.bytes > 0


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b'{"error": {"code": "A", "message": "b\\nc"}}', ("A", "b")),
        (b'{"code": "A", "message": "b"}', ("A", "b")),
        (b'{"odata.error": {"code": "A", "message": {"lang": "en", "value": "b"}}}', ("A", "b")),
        (b'{"error": "invalid_grant"}', ("", "")),
        (b"[1]", ("", "")),
        (b"\xff<html>", ("", "")),
        (b"[" * 100_000, ("", "")),
    ],
)
def test_errors_are_read_in_every_form(content: bytes, found: tuple[str, str]) -> None:
    assert error_of(content) == found
