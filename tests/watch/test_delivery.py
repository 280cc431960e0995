"""Delivery: in order, again after a failure, and secrets only to safe addresses."""

from __future__ import annotations

import http.server
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rightsize.azure.exchange import Clock
from rightsize.guard.watch.run import Webhook, file_sink, read_webhook, send_to_webhook, write_to_file
from rightsize.model.errors import UsageError
from rightsize.store.connection import Store, open_store
from rightsize.store.watching import commit_pass, undelivered
from tests.serving import serving
from tests.store.test_watching import changes, concluded


class Impatient(Clock):
    """Time in which waiting takes none."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waited.append(seconds)


class Listener(http.server.ThreadingHTTPServer):
    """A webhook on loopback that answers what it is told to."""

    answers: list[tuple[int, dict[str, str]]]
    got: list[tuple[str, bytes]]


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, Listener)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, headers = server.answers.pop(0) if server.answers else (200, {})
        server.got.append((self.headers["Idempotency-Key"], body))
        self.send_response(status)
        for name, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(name, value)
        self.end_headers()

    def do_CONNECT(self) -> None:
        assert isinstance(self.server, Listener)
        self.server.got.append((self.path, b""))
        self.send_error(502)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def listener() -> Iterator[Listener]:
    server = Listener(("127.0.0.1", 0), _Handler)
    server.answers, server.got = [], []
    with serving(server):
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "s.duckdb", read_only=False)


def hook(listener: Listener) -> Webhook:
    return read_webhook(f"json=http://127.0.0.1:{listener.server_address[1]}/in?key=secret")


@pytest.mark.slow
def test_what_is_refused_for_now_is_sent_again_after_the_time_it_asks_for(store: Store, listener: Listener) -> None:
    """The same message under the same key; then it is out of the outbox."""
    webhook, clock = hook(listener), Impatient()
    commit_pass(store, concluded(changes("a", "b")), (webhook.sink,))
    listener.answers = [(429, {"Retry-After": "7"}), (503, {})]
    done = send_to_webhook(store, webhook, clock)
    assert (done.count, done.problem, clock.waited) == (2, "", [7.0, 2.0])
    assert len({key for key, _ in listener.got}) == 1
    assert [one["id"] for one in json.loads(listener.got[-1][1])["changes"]] == ["a", "b"]
    assert undelivered(store) == {}


@pytest.mark.slow
def test_what_is_not_taken_waits_for_the_next_pass(store: Store, listener: Listener) -> None:
    """In order: what came before is not sent twice, what comes after waits."""
    webhook = hook(listener)
    commit_pass(store, concluded(changes(*(f"{number:03d}" for number in range(20)))), (webhook.sink,))
    listener.answers = [(200, {}), (404, {})]
    done = send_to_webhook(store, webhook, Impatient())
    assert (done.count, done.problem) == (15, "it answered 404")
    assert undelivered(store) == {webhook.sink: 5}
    assert send_to_webhook(store, webhook, Impatient()).count == 5
    assert "secret" not in webhook.sink


@pytest.mark.slow
def test_a_redirection_is_not_followed(store: Store, listener: Listener) -> None:
    """Nobody is sent where nobody said that it may go."""
    webhook = hook(listener)
    commit_pass(store, concluded(changes("a")), (webhook.sink,))
    listener.answers = [(307, {"Location": "http://127.0.0.1:1/else"})]
    assert send_to_webhook(store, webhook, Impatient()).problem == "it answered 307"


@pytest.mark.slow
def test_a_webhook_goes_through_the_proxy_of_the_environment(
    store: Store, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for addresses that NO_PROXY names, and for loopback."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listener.server_address[1]}")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    near, far = hook(listener), read_webhook("json=https://hooks.example/x")
    commit_pass(store, concluded(changes("a")), (near.sink, far.sink))
    assert send_to_webhook(store, near, Impatient()).problem == ""
    assert "cannot be reached" in send_to_webhook(store, far, Impatient()).problem
    assert {where for where, body in listener.got if not body} == {"hooks.example:443"}


@pytest.mark.parametrize(
    "text",
    [
        "json=http://example.com/x", "json=http://127.0.0.1.example.com/x", "json=https://user:word@example.com/x",
        "json=ftp://127.0.0.1/x", "mail=https://example.com", "https://example.com", "json=env:RIGHTSIZE_NO_SUCH",
    ],
)  # fmt: skip
def test_plain_addresses_and_unknown_forms_are_refused(text: str) -> None:
    """A webhook's address is a secret: https, or loopback, and no message repeats it."""
    with pytest.raises(UsageError) as refused:
        read_webhook(text)
    assert "example.com" not in refused.value.message


def test_an_address_may_stand_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no list of processes shows it."""
    monkeypatch.setenv("RIGHTSIZE_HOOK", "https://example.com/secret")
    assert read_webhook("teams=env:RIGHTSIZE_HOOK").url == "https://example.com/secret"


@pytest.mark.slow
def test_a_file_gets_each_change_once_whatever_was_cut(store: Store, tmp_path: Path) -> None:
    """Killed before the outbox knew, and in the middle of a line: neither repeats or loses a change."""
    file = tmp_path / "changes.jsonl"
    commit_pass(store, concluded(changes("a", "b", "c")), (file_sink(file),))
    pending = store.frame("SELECT * FROM base.watch_changes")
    write_to_file(store, file)
    whole = file.read_bytes()
    for cut in (len(whole), len(whole) - 5, 0):
        with store.transaction() as con:
            con.register("earlier", pending)
            con.execute("DELETE FROM base.watch_changes")
            con.execute("INSERT INTO base.watch_changes SELECT * FROM earlier")
        file.write_bytes(whole[:cut])
        assert write_to_file(store, file).count == 3
        assert file.read_bytes() == whole
