"""Run passes of a watch one after the other: load, conclude, deliver.

Deliver changes to files and webhooks, in order, until each place confirms them.

The outbox is in the store. A file gets each change exactly once: its last change is read before more are added. stdout
and webhooks get each change at least once, always with the same id: a pass that is killed after sending, and before
noting it, sends again.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import urllib.parse
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rightsize.azure.exchange import Clock
from rightsize.guard.watch.changes import at_least
from rightsize.guard.watch.conclude import (
    Concluded,
    Stamp,
    Taken,
    WatchSettings,
    conclude,
    open_with_new,
    present_files,
)
from rightsize.guard.watch.containment import ContainmentRules, contain_signalled
from rightsize.model.errors import EvidenceError, GateError, InputError, RightsizeError, UsageError
from rightsize.render import watch as forms
from rightsize.rules.attacks import SEVERITIES
from rightsize.store.connection import Store, open_store
from rightsize.store.strangers import FileStamps, stamps_of
from rightsize.store.watching import acknowledge, pending_changes, undelivered

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


KINDS = (
    "grant",
    "grant_outside",
    "revocation",
    "credential",
    "role_changed",
    "policy_changed",
    "unused",
    "escalation",
    "violation",
    "drift",
    "signal",
    "behaviour",
    "containment",
    "file_unread",
    "record_ahead",
    "source_failed",
)
"""Kinds of changes that a gate may name; kinds that report an end (`unused_gone` and so on) fail no gate."""


@dataclass(frozen=True, slots=True)
class Outlets:
    """The receivers of changes.

    Attributes:
        show: Writes them to stdout.
        file: A file of JSON lines.
        webhooks: Webhooks.
    """

    show: Callable[[Changes], None]
    file: Path | None = None
    webhooks: tuple[Webhook, ...] = ()

    @property
    def sinks(self) -> tuple[str, ...]:
        """The names of the outlets in the outbox."""
        files = (file_sink(self.file),) if self.file is not None else ()
        return (STDOUT, *files, *(webhook.sink for webhook in self.webhooks))


@dataclass(frozen=True, slots=True)
class WatchResult:
    """The result of a pass.

    Attributes:
        taken: The loaded files; None where a collection loaded them.
        concluded: The result of the comparison.
        reported: The changes that stdout got: those of this pass, and of interrupted passes before it.
        delivered: The result of the delivery to each other outlet.
        waiting: Number of changes that wait for each outlet, outlets of earlier calls included.
    """

    taken: Taken | None
    concluded: Concluded
    reported: list[dict[str, Any]]
    delivered: tuple[Delivered, ...]
    waiting: dict[str, int]


@dataclass(frozen=True, slots=True)
class _Quiet:
    """A pass that found nothing, and all that its result follows from: settings, present files, and the store."""

    settings: WatchSettings
    present: Mapping[str, Stamp]
    store: FileStamps
    result: WatchResult


_QUIET: dict[Path, _Quiet] = {}
"""The last pass of this process over each store, if it found nothing: as long as nothing changes, so does the next."""


def run_pass(
    db: Path,
    paths: Sequence[Path],
    question: WatchSettings,
    outlets: Outlets,
    *,
    collect: Callable[[], Mapping[str, str]] | None = None,
    contain: tuple[Path, ContainmentRules] | None = None,
    clock: Clock | None = None,
    trusts: Callable[[Path], bool] = lambda _: False,
) -> WatchResult:
    """Load what is new, compare with the last pass, and deliver the changes.

    A pass that loaded and concluded a whole day then stores an analysis of the present content, from which readers
    answer. Where neither the files nor the store changed since a pass of this process that found nothing, the store
    stays closed.

    Args:
        db: The store.
        paths: Folders that fill up.
        question: The settings.
        outlets: The receivers of changes.
        collect: Collects and loads what is new in the tenant; returns the sources that it could not read completely,
            and why.
        contain: The folder for containments of principals that a strong signal names, and the rules for them.
        clock: The clock; None means the real one.
        trusts: Says whether the word of a collection counts that this machine did not make, as in `load_paths`.

    Raises:
        InputError: A path or the store cannot be read, the file of changes cannot be written, or a principal in the
            settings is not known.
    """
    clock = clock or Clock()
    asked = replace(question, sinks=outlets.sinks)
    present = present_files(paths)
    quiet = _QUIET.pop(db.resolve(), None)
    # A collection, a containment and an applied plan have further inputs.
    may_rest = collect is None and contain is None and not question.applied
    if quiet is not None and may_rest and quiet == replace(quiet, settings=asked, present=present, store=stamps_of(db)):
        _QUIET[db.resolve()] = quiet
        return quiet.result
    with open_with_new(db, paths, present, collect, trusts=trusts) as (store, taken, failed):
        now = clock.utc().astimezone(dt.UTC).replace(tzinfo=None)
        # A pass asks many small questions beside other programs: sharing each out costs more than it saves.
        store.connection.execute("SET threads = 1")
        concluded = conclude(store, asked, taken, now=now, failed=failed)
        if contain is None:
            result = _deliver(store, outlets, clock, taken, concluded)
            is_quiet = concluded.is_settled and not (taken and taken.files) and not result.reported
            if may_rest and is_quiet and not result.waiting:
                again = replace(result, concluded=replace(concluded, seconds=0.0))
                # Taken while the store is locked: later changes of others show.
                _QUIET[db.resolve()] = _Quiet(asked, present, stamps_of(db), again)
            return result
    contain_signalled(db, *contain, outlets.sinks, clock.utc(), question.min_window)
    with open_store(db, read_only=False) as store:
        return _deliver(store, outlets, clock, taken, concluded)


def _deliver(store: Store, outlets: Outlets, clock: Clock, taken: Taken | None, concluded: Concluded) -> WatchResult:
    waiting = undelivered(store)
    reported = pending_changes(store, STDOUT) if STDOUT in waiting else []
    if reported:
        outlets.show(reported)
        acknowledge(store, STDOUT, [one["seq"] for one in reported])
    delivered = [write_to_file(store, outlets.file)] if outlets.file is not None else []
    delivered += [send_to_webhook(store, webhook, clock) for webhook in outlets.webhooks]
    waiting = undelivered(store) if waiting else waiting
    # After each concluded day, since an analysis of everything takes longer than a pass.
    if concluded.days and not concluded.is_stale_soon:
        from rightsize.workflow.analysis.keep_analysis import renew_analysis  # noqa: PLC0415  many passes conclude no day

        with suppress(EvidenceError):
            renew_analysis(store)
    return WatchResult(taken, concluded, reported, tuple(delivered), waiting)


def passes(one: Callable[[], WatchResult], every: float, clock: Clock) -> Iterator[WatchResult | RightsizeError]:
    """Yield the results of passes that start `every` seconds, one after the other, until the clock stops.

    The error of a failed pass is yielded, and the next pass tries again; usage errors are raised.
    """
    while not clock.is_stopped:
        began = clock.now()
        try:
            yield one()
        except UsageError:
            raise
        except RightsizeError as error:
            yield error
        clock.sleep(max(0.0, every - (clock.now() - began)))


def check_gate(words: Collection[str]) -> None:
    """Raise UsageError, before anything is done, for words that are neither a kind of change nor a severity.

    Raises:
        UsageError: A word is neither.
    """
    for word in words:
        if word not in (*KINDS, *SEVERITIES):
            raise UsageError(f"`--fail-on {word}` is neither a kind of change nor a severity",
                             hint=f"one of {', '.join((*SEVERITIES, *KINDS))}")  # fmt: skip


def gate(reported: Changes, words: Collection[str]) -> GateError | None:
    """Return the refusal where a change is of a kind in `words`, or at least as severe as a severity in them."""
    levels = [word for word in words if word in SEVERITIES]
    hits = [
        one for one in reported
        if one["kind"] in words
        or (not one["kind"].endswith("_gone") and any(at_least(one["severity"], level) for level in levels))
    ]  # fmt: skip
    if not hits:
        return None
    kinds = sorted({one["kind"] for one in hits})
    return GateError(f"{len(hits)} changes match `--fail-on`: {', '.join(kinds)}")
