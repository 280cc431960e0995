"""A unit is complete, or names what is missing, and resumes where it stopped, whatever the service does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.azure.exchange import Exchange, Throttle
from rightsize.azure.wire import NotSignedInError, StoppedError, WireRequest
from rightsize.collect.listing import CollectionUnit, Right, Source, read_graph_query, read_pages, read_tables
from rightsize.collect.pages import Progress, Run
from rightsize.collect.runner import Fetch
from tests.azure.hurried import Hurried
from tests.azure.scripted import Scripted, answer, error, page
from tests.examples import SOME

ROOT = "https://arm.example"
SOURCE = Source("things", "arm", "things", Right("x/read"), lambda _: ())
FIRST = WireRequest("arm", "/things?page=1", budget="arm:a")
UNIT = CollectionUnit("a", (FIRST,), "/subscriptions/a")


class Case:
    """A run's folder, and a service that follows a script."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "run"
        self.run = Run.create(self.folder, {"started": "2026-10-01T00:00:00+00:00"})
        self.clock = Hurried()
        self.sender = Scripted([])

    def fetch(self, script: Any, unit: CollectionUnit = UNIT, source: Source = SOURCE) -> Progress:
        self.sender = Scripted(script)
        exchange = Exchange(self.sender, Throttle(self.clock), self.clock)
        return Fetch(exchange, self.run, self.clock, lambda *_: None).fetch(source, unit, ROOT)

    def reopen(self) -> None:
        self.run.close()
        self.run = Run.read(self.folder)
        self.run.open_journal()

    @property
    def ids(self) -> list[Any]:
        return [record["id"] for record in self.run.records("things")]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_every_page_is_followed_and_empty_ones_too(case: Case) -> None:
    """Clients that stop at an empty page lose what comes after it."""
    at = case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), page(next_link=f"{ROOT}/3"), page({"id": 2})])
    assert (at.state, at.pages, case.ids) == ("complete", 3, [1, 2])
    assert [request.url for request in case.sender.asked] == [FIRST.url, f"{ROOT}/2", f"{ROOT}/3"]


def test_a_finished_unit_is_not_asked_for_again(case: Case) -> None:
    case.fetch([page({"id": 1})])
    case.reopen()
    case.fetch([AssertionError("nothing is asked")])
    assert case.sender.asked == []


@pytest.mark.parametrize("link", ["https://evil.example/2", "http://arm.example/2", "https://arm.example:444/2"])
def test_a_link_to_another_host_is_never_followed(case: Case, link: str) -> None:
    at = case.fetch([page({"id": 1}, next_link=link), AssertionError("nothing is asked")])
    assert at.state == "incomplete"
    assert "another host" in at.reason
    assert len(case.sender.asked) == 1


def test_links_in_a_circle_end(case: Case) -> None:
    at = case.fetch(lambda request: page({"id": request.url}, next_link=f"{ROOT}/{'3' if '2' in request.url else '2'}"))
    assert (at.state, at.reason) == ("incomplete", "the next links go in a circle")
    assert len(case.sender.asked) < 6


def test_a_page_that_comes_for_ever_under_new_links_ends(case: Case) -> None:
    numbers = iter(range(10**6))
    at = case.fetch(lambda _: page({"id": 1}, next_link=f"{ROOT}/{next(numbers)}"))
    assert at.state == "incomplete"
    assert "does not end" in at.reason
    assert len(case.sender.asked) < 20


def test_empty_pages_for_ever_end(case: Case) -> None:
    numbers = iter(range(10**6))
    at = case.fetch(lambda _: page(next_link=f"{ROOT}/{next(numbers)}"))
    assert at.state == "incomplete"
    assert len(case.sender.asked) <= 501


def test_a_page_that_comes_twice_is_kept_and_does_no_harm(case: Case) -> None:
    at = case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), page({"id": 1}, next_link=f"{ROOT}/3"), page({"id": 2})])
    assert at.state == "complete"
    assert set(case.ids) == {1, 2}


def test_a_service_that_fails_leaves_what_came_and_the_rest_follows_later(case: Case) -> None:
    at = case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), answer(503)])
    assert (at.state, case.ids) == ("incomplete", [1])
    case.reopen()
    at = case.fetch([page({"id": 2})])
    assert [request.url for request in case.sender.asked] == [f"{ROOT}/2"]
    assert (at.state, case.ids) == ("complete", [1, 2])


def test_a_link_that_died_means_listing_anew(case: Case) -> None:
    case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), answer(503)])
    case.reopen()
    at = case.fetch([error(410, "Gone"), page({"id": 1}, next_link=f"{ROOT}/9"), page({"id": 2})])
    assert [request.url for request in case.sender.asked] == [f"{ROOT}/2", FIRST.url, f"{ROOT}/9"]
    assert (at.state, case.ids) == ("complete", [1, 2])


def test_links_that_always_die_end(case: Case) -> None:
    at = case.fetch(lambda request: error(410, "Gone") if request.is_next else page({"id": 1}, next_link=f"{ROOT}/2"))
    assert at.state == "incomplete"
    assert len(case.sender.asked) == 4


def test_a_refused_unit_is_refused(case: Case) -> None:
    at = case.fetch([error(403, "AuthorizationFailed", "not you")])
    assert (at.state, at.reason, at.pages) == ("refused", "AuthorizationFailed: not you", 0)


def test_a_subscription_that_vanished_is_gone(case: Case) -> None:
    at = case.fetch([error(404, "SubscriptionNotFound")])
    assert at.state == "gone"


def test_a_subscription_that_vanishes_between_two_pages_is_listed_no_further(case: Case) -> None:
    at = case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), error(404, "SubscriptionNotFound")])
    assert at.state == "gone"
    assert case.ids == [1]


MANY = replace(UNIT, requests=tuple(replace(FIRST, url=f"/things/{number}") for number in range(4)))


def test_questions_of_one_unit_fail_for_themselves(case: Case) -> None:
    def script(request: WireRequest) -> Any:
        number = request.url[-1]
        return error(404, "ResourceNotFound") if number == "1" else page({"id": number})

    at = case.fetch(script, MANY)
    assert (at.state, case.ids, len(at.lost)) == ("complete", ["0", "2", "3"], 1)


def test_one_refusal_makes_a_unit_refused_and_keeps_the_rest(case: Case) -> None:
    def script(request: WireRequest) -> Any:
        return error(403, "AuthorizationFailed") if request.url.endswith("1") else page({"id": request.url[-1]})

    at = case.fetch(script, MANY)
    assert (at.state, case.ids) == ("refused", ["0", "2", "3"])


def test_what_is_refused_is_asked_for_with_less(case: Case) -> None:
    less = replace(FIRST, url="/things?less=1")
    unit = replace(UNIT, instead=(less,))
    at = case.fetch([error(403, "Authorization_RequestDenied", "no audit"), page({"id": 1})], unit)
    assert (at.state, case.ids) == ("complete", [1])
    assert "no audit" in at.reason
    assert case.sender.asked[-1].url == less.url


def test_a_lost_sign_in_ends_the_run_and_keeps_what_came(case: Case) -> None:
    with pytest.raises(NotSignedInError):
        case.fetch([page({"id": 1}, next_link=f"{ROOT}/2"), error(401, "InvalidAuthenticationToken")])
    case.reopen()
    assert case.ids == [1]
    assert case.fetch([page({"id": 2})]).state == "complete"
    assert case.ids == [1, 2]


def test_a_stop_keeps_what_came(case: Case) -> None:
    def script(request: WireRequest) -> Any:
        if request.is_next:
            case.clock.stop()
            return answer(503)
        return page({"id": 1}, next_link=f"{ROOT}/2")

    with pytest.raises(StoppedError):
        case.fetch(script)
    case.reopen()
    assert case.ids == [1]


def test_a_page_that_comes_again_after_a_stop_counts_once(case: Case) -> None:
    """The journal remembers the last page, so that a run that goes on knows its copy."""

    def script(request: WireRequest) -> Any:
        if request.url != FIRST.url:
            case.clock.stop()
            return answer(503)
        return page({"id": 1}, next_link=f"{ROOT}/2")

    with pytest.raises(StoppedError):
        case.fetch(script)
    case.clock = Hurried()
    case.reopen()
    at = case.fetch([page({"id": 1}, next_link=f"{ROOT}/3"), page({"id": 2})])
    assert (at.state, at.rows, case.ids) == ("complete", 2, [1, 2])


def halved(split: Callable[[WireRequest], tuple[WireRequest, ...]]) -> Source:
    return replace(SOURCE, form=read_tables, split=split)


def ranged(first: int, last: int) -> WireRequest:
    return replace(FIRST, service="logs", method="POST", body=json.dumps([first, last]), budget="logs")


def split_range(request: WireRequest) -> tuple[WireRequest, ...]:
    first, last = json.loads(request.body or "")
    if last - first < 2:
        return ()
    middle = (first + last) // 2
    return ranged(first, middle), ranged(middle, last)


@given(st.integers(1, 64), st.integers(1, 20))
@SOME
def test_partial_answers_are_halved_until_they_are_whole(tmp_path_factory: Any, rows: int, limit: int) -> None:
    """Whatever the limit of the service, every row comes, once, and in order."""
    case = Case(tmp_path_factory.mktemp("halved"))

    def script(request: WireRequest) -> Any:
        first, last = json.loads(request.body or "")
        held = [[number] for number in range(first, last)][:limit]
        document: dict[str, Any] = {"tables": [{"columns": [{"name": "id"}], "rows": held}]}
        if last - first > limit:
            document["error"] = {"code": "PartialError"}
        return answer(document=document)

    at = case.fetch(script, replace(UNIT, requests=(ranged(0, rows),)), halved(split_range))
    assert at.state == "complete"
    assert case.ids == list(range(rows))


def test_a_partial_answer_that_cannot_be_halved_is_incomplete(case: Case) -> None:
    document = {"tables": [{"columns": [{"name": "id"}], "rows": [[1]]}], "error": {"code": "PartialError"}}
    at = case.fetch([answer(document=document)], replace(UNIT, requests=(ranged(0, 1),)), halved(split_range))
    assert (at.state, case.ids) == ("incomplete", [1])


def test_resource_graph_is_asked_on_with_its_token(case: Case) -> None:
    asked = WireRequest("arm", "/graph", "POST", '{"query": "x"}', budget="resource_graph")
    script = [answer(document={"data": [{"id": 1}], "$skipToken": "t"}), answer(document={"data": [{"id": 2}]})]
    at = case.fetch(script, replace(UNIT, requests=(asked,)), replace(SOURCE, form=read_graph_query))
    assert (at.state, case.ids) == ("complete", [1, 2])
    assert json.loads(case.sender.asked[1].body or "") == {"query": "x", "options": {"$skipToken": "t"}}


def test_long_listings_are_written_as_they_come(case: Case) -> None:
    """What is kept in memory is bounded by size and by time."""
    big = "x" * (2 << 20)
    case.fetch(
        lambda request: (
            page({"id": request.url[-1], "big": big}, next_link=f"{ROOT}/{int(request.url[-1]) + 1}")
            if int(request.url[-1]) < 7
            else page({"id": 9})
        )
    )
    at = case.run.progress("things", UNIT)
    assert len(at.files) > 2
    assert sum(file.pages for file in at.files) == 7


def test_slow_listings_are_written_as_they_come(case: Case) -> None:
    def script(request: WireRequest) -> Any:
        case.clock.pass_by(15)
        number = int(request.url[-1])
        return page({"id": number}, next_link=f"{ROOT}/{number + 1}" if number < 6 else None)

    assert len(case.fetch(script).files) > 1
    assert read_pages is SOURCE.form
