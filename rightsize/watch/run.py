"""Run passes of a watch one after the other: load, conclude, deliver."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rightsize.azure.exchange import Clock
from rightsize.model.errors import EvidenceError, GateError, RightsizeError, UsageError
from rightsize.rules.watched import SEVERITIES
from rightsize.store.connection import open_store
from rightsize.store.watching import acknowledge, pending_changes, undelivered
from rightsize.watch.changes import at_least
from rightsize.watch.conclude import Concluded, WatchSettings, conclude
from rightsize.watch.containment import ContainmentRules, contain_signalled
from rightsize.watch.delivery import (
    STDOUT,
    Changes,
    Delivered,
    Webhook,
    file_sink,
    send_to_webhook,
    write_to_file,
)
from rightsize.watch.folder import Taken, take_new
from rightsize.workflow.keep_analysis import renew_analysis

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

    A pass that concludes a whole day then stores an analysis of the present content, from which readers answer.

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
        InputError: A path or the store cannot be read, or the file of changes cannot be written.
        UsageError: A principal in the settings is not known.
    """
    clock = clock or Clock()
    taken = take_new(db, paths, trusts=trusts) if paths else None
    failed = collect() if collect is not None else None
    now = clock.utc().astimezone(dt.UTC).replace(tzinfo=None)
    concluded = conclude(db, replace(question, sinks=outlets.sinks), taken, now=now, failed=failed)
    if contain is not None:
        contain_signalled(db, *contain, outlets.sinks, clock.utc(), question.min_window)
    with open_store(db, read_only=False) as store:
        reported = pending_changes(store, STDOUT)
        if reported:
            outlets.show(reported)
            acknowledge(store, STDOUT, [one["seq"] for one in reported])
        delivered = [write_to_file(store, outlets.file)] if outlets.file is not None else []
        delivered += [send_to_webhook(store, webhook, clock) for webhook in outlets.webhooks]
        waiting = undelivered(store)
        # After each concluded day, since an analysis of everything takes longer than a pass.
        if concluded.days:
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
