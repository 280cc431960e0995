"""Write a containment plan for each principal that a strong signal names, and queue it where rules allow."""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.principals import resolve_principal
from rightsize.change.bundle import BUNDLE, Order
from rightsize.guard.watch.changes import at_least, no_changes, note_change
from rightsize.model.errors import InputError, RightsizeError
from rightsize.model.file_reading import read_given
from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.rules.attacks import SEVERITIES
from rightsize.store.connection import open_store
from rightsize.store.watching import SEEN, Pass, Touched, commit_pass, read_seen, watched_until

if TYPE_CHECKING:
    from rightsize.guard.contain import ContainResult

_KIND = "containment"
_HINT = "docs/containment.md lists the rules and their types"
QUEUE = "queue"


@dataclass(frozen=True, slots=True)
class ContainmentRules:
    """The rules for making a containment and for handing it on to a rollout.

    Attributes:
        severity: The lowest severity of a signal that causes one.
        hand_on: Whether rollouts are put into the queue at all.
        principals: Principals whose containment may be handed on; `*` means all.
        kinds: Allowed kinds of proposals; a containment with another kind is not handed on.
        quiet_hours: `HH:MM-HH:MM` in UTC, in which nothing is handed on.
        emergency_accounts: Emergency access accounts; never contained, and passed to the rollout.
    """

    severity: str = "high"
    hand_on: bool = False
    principals: tuple[str, ...] = ()
    kinds: tuple[str, ...] = tuple(kind for kind in PROPOSAL_KINDS.values() if kind.changes and kind.has_holder)
    quiet_hours: tuple[str, ...] = ()
    emergency_accounts: tuple[str, ...] = ()


def read_rules(path: Path | None) -> ContainmentRules:
    """Read the rules from a TOML file; without a file, high signals cause containments, and none is handed on.

    Raises:
        InputError: The file cannot be read, or has an invalid rule.
    """
    if path is None:
        return ContainmentRules()
    try:
        found = tomllib.loads(read_given(path).decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"`{path}` is not TOML: {error}") from None
    known = {one.name: getattr(ContainmentRules(), one.name) for one in fields(ContainmentRules)}
    for name, value in found.items():
        if name not in known or type(value) is not (list if isinstance(known[name], tuple) else type(known[name])):
            raise InputError(f"`{name}` of `{path}` is not a rule, or has the wrong type", hint=_HINT)
        if isinstance(value, list) and not all(isinstance(item, str) for item in value):
            raise InputError(f"`{name}` of `{path}` has an item that is not text", hint=_HINT)
    given: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in found.items()}
    rules = ContainmentRules(**given)
    if rules.severity not in SEVERITIES or set(rules.kinds) - PROPOSAL_KINDS.keys():
        raise InputError(f"`severity` or `kinds` of `{path}` has an unknown value", hint=_HINT)
    for span in rules.quiet_hours:
        _span(span)
    if rules.hand_on and not rules.emergency_accounts:
        raise InputError(f"`{path}` hands containments on but names no emergency access account", hint=_HINT)
    return rules


def _span(text: str) -> tuple[dt.time, dt.time]:
    first, _, last = text.partition("-")
    try:
        return dt.time.fromisoformat(first), dt.time.fromisoformat(last)
    except ValueError:
        raise InputError(f"`{text}` is not a span of hours", hint="write them as 22:00-06:00, UTC") from None


def is_quiet(rules: ContainmentRules, now: dt.datetime) -> bool:
    """Return whether a time lies in the quiet hours; hours may pass midnight."""
    at = now.time()
    return any(
        first <= at < last if first <= last else at >= first or at < last
        for first, last in (_span(text) for text in rules.quiet_hours)
    )


def why_not(rules: ContainmentRules, principals: Collection[str], result: ContainResult, now: dt.datetime) -> str:
    """Return why a containment is not handed on, or the empty string.

    Args:
        rules: The rules.
        principals: Ids of the principals that the rules name.
        result: The containment.
        now: The time in UTC.
    """
    kinds = {one.kind for one in result.containment.plan.proposals}
    if not rules.hand_on:
        return "the rules do not set `hand_on`"
    if "*" not in rules.principals and result.principal_id not in principals:
        return "the rules do not name its principal"
    if kinds - set(rules.kinds):
        return f"the rules do not hand on changes of the kind {', '.join(sorted(kinds - set(rules.kinds)))}"
    if not kinds:
        return "it changes no assignment"
    return "it is within the quiet hours" if is_quiet(rules, now) else ""


def contain_signalled(
    db: Path, out: Path, rules: ContainmentRules, sinks: Sequence[str], now: dt.datetime, min_window: int
) -> list[ContainResult]:
    """Write a containment for each principal that a strong signal of the outbox names, once for each signal.

    Args:
        db: The store.
        out: The folder that gets one folder a principal; containments that are handed on are in its `queue`.
        rules: The rules.
        sinks: Names of the places that the changes about containments are delivered to.
        now: The time in UTC.
        min_window: As for a plan.
    """
    waiting, chosen = _waiting(db, rules)
    made = []
    for principal, signals in waiting.items():
        text, result = _contain(db, out, principal, signals, rules, chosen, now, min_window)
        day = max(one["day"] for one in signals)
        change = note_change(_KIND, sorted(one["change_id"] for one in signals), text, "high", day)
        change = change.with_columns(principal_id=pl.lit(principal))
        reported = pl.DataFrame(
            [(_KIND, one["change_id"], "", one["day"]) for one in signals], schema=SEEN, orient="row"
        )
        with open_store(db, read_only=False) as store:
            as_of = watched_until(store) or day
            nothing = Touched((), frozenset())
            commit_pass(
                store, Pass(as_of, no_seen(), (), reported, pl.concat([no_changes(), change]), nothing, {}), sinks
            )
        made += [result] if result is not None else []
    return made


def no_seen() -> pl.DataFrame:
    """Return an empty table of known rows."""
    return pl.DataFrame(schema=SEEN)


def _waiting(db: Path, rules: ContainmentRules) -> tuple[dict[str, list[dict[str, Any]]], frozenset[str]]:
    """Return the signals that need a containment, by principal, and the ids of the principals that the rules name."""
    with open_store(db, read_only=True) as store:
        done = set(read_seen(store).filter(pl.col("kind") == _KIND)["name"])
        rows = store.frame(
            "SELECT change_id, principal_id, severity, time, day FROM watch_changes "
            "WHERE kind = 'signal' AND principal_id IS NOT NULL ORDER BY seq"
        ).to_dicts()
        named = [one for one in rules.principals if one != "*"]
        inputs = Inputs.read(store.table) if named else None
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["change_id"] not in done and at_least(row["severity"], rules.severity):
            found.setdefault(row["principal_id"], []).append(row)
    chosen = frozenset(resolve_principal(inputs, one) for one in named) if inputs is not None else frozenset()
    return found, chosen


def _contain(
    db: Path,
    out: Path,
    principal: str,
    signals: Sequence[Mapping[str, Any]],
    rules: ContainmentRules,
    chosen: Collection[str],
    now: dt.datetime,
    min_window: int,
) -> tuple[str, ContainResult | None]:
    """Return the sentence about a containment, and the containment, None where it cannot be made."""
    # They import what makes plans, and few passes contain anybody.
    from rightsize.guard.contain import contain_principal  # noqa: PLC0415
    from rightsize.workflow.plan.rollout import plan_rollout  # noqa: PLC0415

    folder = out / principal
    try:
        result = contain_principal(db, principal, folder, emergency=rules.emergency_accounts, min_window=min_window)
    except RightsizeError as error:
        return f"{principal} is not contained: {error.message}", None
    changes = len(result.containment.plan.proposals)
    text = (
        f"a containment of {result.name} is in {folder}: {changes} changes, {len(result.options)} requests for "
        f"people, {len(result.left.things)} things left behind{_dwell(result, signals, now)}"
    )
    reason = why_not(rules, chosen, result, now)
    if not reason:
        queue = out / QUEUE / f"{principal}-{signals[0]['change_id']}"
        if (queue / BUNDLE).exists():
            # An earlier, interrupted pass has queued it, and its rollout may have begun.
            return f"{text}; handed on to {queue}", result
        try:
            # A containment removes access on suspicion, not for lack of use: its window may be short.
            order = Order(accepts_short_window=True)
            plan_rollout(db, folder, queue, emergency=_ids(db, rules.emergency_accounts), order=order)
        except RightsizeError as error:
            reason = error.message
        else:
            return f"{text}; handed on to {queue}", result
    return f"{text}; not handed on: {reason}", result


def _ids(db: Path, names: Sequence[str]) -> tuple[str, ...]:
    with open_store(db, read_only=True) as store:
        inputs = Inputs.read(store.table)
    return tuple(resolve_principal(inputs, name) for name in names)


def _dwell(result: ContainResult, signals: Sequence[Mapping[str, Any]], now: dt.datetime) -> str:
    """Return the time from the first suspect record, and from the signal, to the plan, as text."""
    from rightsize.guard.contain import span_told  # noqa: PLC0415

    plain = now.astimezone(dt.UTC).replace(tzinfo=None) if now.tzinfo else now
    marks = [("the first suspect record", result.first_suspect)]
    marks.append(("the signal", min((one["time"] for one in signals if one["time"]), default=None)))
    reported = [f"{span_told(plain - time)} after {what}" for what, time in marks if time is not None]
    return f", {' and '.join(reported)}" if reported else ""
