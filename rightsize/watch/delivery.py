"""Deliver changes to files and webhooks, in order, until each place confirms them.

The outbox is in the store. A file gets each change exactly once: its last change is read before more are added. stdout
and webhooks get each change at least once, always with the same id: a pass that is killed after sending, and before
noting it, sends again.
"""

from __future__ import annotations

import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from rightsize.azure.exchange import Clock
from rightsize.model.errors import InputError, UsageError
from rightsize.render import watch as forms
from rightsize.store.connection import Store
from rightsize.store.watching import acknowledge, pending_changes

Changes = Sequence[Mapping[str, Any]]

STDOUT = "stdout"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_TRIES = 3
_PATIENCE = 30.0
_TIMEOUT = 20.0
_TAIL = 1 << 16
_FORMS: dict[str, Callable[[Changes], dict[str, Any]]] = {
    "teams": forms.teams_message,
    "slack": forms.slack_message,
    "json": forms.json_message,
}


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver of messages over HTTP: `form` is teams, slack or json; the address is a secret."""

    form: str
    url: str

    @property
    def sink(self) -> str:
        """The name of the webhook in the outbox, which does not reveal the address."""
        return f"{self.form}:{hashlib.sha256(self.url.encode()).hexdigest()[:12]}"


def read_webhook(text: str) -> Webhook:
    """Return the webhook of a text `FORM=URL` or `FORM=env:NAME`.

    Raises:
        UsageError: The form is unknown, the variable is not set, or the address is neither https nor loopback.
    """
    form, equals, url = text.partition("=")
    if not equals or form not in _FORMS:
        # The address is a secret, so the message does not repeat it.
        raise UsageError("a webhook has an unknown form", hint="write it as teams=URL, slack=URL or json=URL")
    if url.startswith("env:"):
        url = os.environ.get(url[4:], "")
        if not url:
            raise UsageError(f"the variable `{text.partition('=env:')[2]}` with the webhook's address is not set")
    parts = urllib.parse.urlsplit(url)
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
    if not parts.hostname or not is_safe or parts.username:
        raise UsageError(
            f"the {form} webhook is not an https address", hint="use https; plain http is for loopback only"
        )
    return Webhook(form, url)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The result of a delivery to one sink: number of delivered changes, and why others wait."""

    sink: str
    count: int
    problem: str = ""


def send_to_webhook(store: Store, webhook: Webhook, clock: Clock) -> Delivered:
    """Send all waiting changes to a webhook, message by message; a failed message waits for the next pass."""
    sent = 0
    for part in forms.batches(pending_changes(store, webhook.sink)):
        problem = _post(webhook, part, clock)
        if problem:
            return Delivered(webhook.sink, sent, problem)
        acknowledge(store, webhook.sink, [one["seq"] for one in part])
        sent += len(part)
    return Delivered(webhook.sink, sent)


def _post(webhook: Webhook, changes: Changes, clock: Clock) -> str:
    """Send one message; return why it was not accepted, or the empty string."""
    body = json.dumps(_FORMS[webhook.form](changes), ensure_ascii=True).encode()
    mark = hashlib.sha256("".join(one["change_id"] for one in changes).encode()).hexdigest()[:32]
    headers = {"Content-Type": "application/json", "User-Agent": "rightsize", "Idempotency-Key": mark}
    import httpx  # noqa: PLC0415  most passes have no webhook

    problem = ""
    for number in range(_TRIES):
        wait = 2.0**number
        try:
            status, asked = _ask(webhook.url, body, headers)
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            problem = f"it cannot be reached: {type(error).__name__}"
        else:
            if 200 <= status < 300:
                return ""
            problem = f"it answered {status}"
            if status not in (408, 429) and status < 500:
                return problem
            wait = min(_PATIENCE, max(wait, asked))
        if number < _TRIES - 1:
            clock.sleep(wait)
    return problem


def _ask(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, float]:
    """Return the status of an answer and the seconds it asks to wait.

    Redirections are not followed. The proxies and certificates of the environment count (HTTPS_PROXY, NO_PROXY,
    SSL_CERT_FILE).
    """
    import httpx  # noqa: PLC0415  most passes have no webhook

    is_here = urllib.parse.urlsplit(url).hostname in _LOOPBACK
    # The whole answer is of no use, and may be long.
    with (
        httpx.Client(timeout=_TIMEOUT, follow_redirects=False, trust_env=not is_here) as client,
        client.stream("POST", url, content=body, headers=dict(headers)) as answer,
    ):
        asked = answer.headers.get("Retry-After", "")
        return answer.status_code, float(asked) if asked.isdigit() else 0.0


def write_to_file(store: Store, path: Path) -> Delivered:
    """Append to a file of JSON lines the changes it lacks, and mark them as delivered.

    Raises:
        InputError: The file cannot be written.
    """
    sink = file_sink(path)
    waiting = pending_changes(store, sink)
    if not waiting:
        return Delivered(sink, 0)
    try:
        with path.open("a+b") as file:
            last = _last_change(file)
            held = [number for number, one in enumerate(waiting, 1) if one["change_id"] == last]
            fresh = waiting[held[-1] if held else 0 :]
            file.seek(0, os.SEEK_END)
            file.write(forms.write_lines(fresh).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror or error}") from error
    acknowledge(store, sink, [one["seq"] for one in waiting])
    return Delivered(sink, len(waiting))


def file_sink(path: Path) -> str:
    """Return the name of a file in the outbox."""
    return f"file:{path.absolute()}"


def _last_change(file: BinaryIO) -> str:
    """Return the id of the last complete change in a file, empty for none; cut off an incomplete last line."""
    size = file.seek(0, os.SEEK_END)
    start = size
    tail = b""
    while start > 0 and tail.count(b"\n") < 2:
        step = min(_TAIL, start)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    if tail and not tail.endswith(b"\n"):
        torn = len(tail) - (tail.rfind(b"\n") + 1)
        file.truncate(size - torn)
        tail = tail[: len(tail) - torn]
    lines = tail.splitlines()
    try:
        return str(json.loads(lines[-1])["id"]) if lines else ""
    except (ValueError, KeyError, TypeError):
        raise InputError("the file of changes does not end with a change", hint="name another file") from None
