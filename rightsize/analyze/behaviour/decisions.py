"""Read the decisions of people about signals, and about what a principal did from one time to another.

An entry names a signal, or a principal with a time. `trust` releases the calls that the signal, or that time of the
principal, holds in quarantine. `quarantine` holds them although the signal was dismissed, or although no signal names
them. A decision holds up to its last day, measured by the newest day of the store and never by the clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rightsize.model.decisions import Form, day_of, known_fields, read_entries, text_of
from rightsize.model.errors import InputError
from rightsize.model.text import fold
from rightsize.model.times import read_moment

_KEYS = frozenset({"signal", "principal", "from", "to", "decision", "reason", "owner", "expires"})
_DECISIONS = ("trust", "quarantine")
_HINT = (
    "an entry is `[[decide]]` with signal (an id), or principal, from and to (times); and with decision (trust or "
    "quarantine), reason, owner and expires (a day)"
)


@dataclass(frozen=True, slots=True)
class SignalDecision:
    """One entry: about a signal, or about a principal from one time to another."""

    signal_id: str | None
    principal: str | None
    from_time: dt.datetime | None
    to_time: dt.datetime | None
    decision: str
    reason: str
    owner: str
    expires: dt.date


def read_decisions(content: bytes, form: Form, name: str) -> tuple[SignalDecision, ...]:
    """Read the entries of a file, each once, sorted by the signal or principal that they are about.

    TOML has tables `[[decide]]`; JSON the same under `decide`, or the list alone; CSV a column for each key.

    Raises:
        InputError: The file does not have its form, an entry is invalid, or two entries contradict each other.
    """
    entries = read_entries(content, form, name, key="decide", hint=_HINT)
    found: dict[tuple[str, ...], SignalDecision] = {}
    for number, entry in enumerate(entries, 1):
        where = f"entry {number} of `{name}`"
        decision = _read(entry, where)
        about = tuple(
            str(part) for part in (decision.signal_id, decision.principal, decision.from_time, decision.to_time)
        )
        if found.setdefault(about, decision) != decision:
            raise InputError(f"{where} decides again what an entry before it decides", hint=_HINT)
    return tuple(found[about] for about in sorted(found))


def _read(entry: object, where: str) -> SignalDecision:
    fields = known_fields(entry, _KEYS, where, _HINT)
    if ("signal" in fields) == ("principal" in fields):
        raise InputError(f"{where} has to name a signal or a principal", hint=_HINT)
    decision = fold(text_of(fields, "decision", where, _HINT))
    if decision not in _DECISIONS:
        raise InputError(f"`decision` of {where} is neither trust nor quarantine", hint=_HINT)
    reason, owner = (text_of(fields, key, where, _HINT) for key in ("reason", "owner"))
    expires = day_of(fields.get("expires"), where, _HINT)
    if "signal" in fields:
        if fields.keys() & {"from", "to"}:
            raise InputError(f"{where} names a signal, which has a time of its own", hint=_HINT)
        signal = fold(text_of(fields, "signal", where, _HINT))
        return SignalDecision(signal, None, None, None, decision, reason, owner, expires)
    start, end = (_time(fields, key, where) for key in ("from", "to"))
    if start > end:
        raise InputError(f"{where} ends before it starts", hint=_HINT)
    principal = text_of(fields, "principal", where, _HINT)
    return SignalDecision(None, principal, start, end, decision, reason, owner, expires)


def _time(fields: Mapping[str, Any], key: str, where: str) -> dt.datetime:
    value = fields.get(key)
    try:
        moment = value if isinstance(value, dt.datetime) else read_moment(str(value)).start
    except ValueError:
        raise InputError(f"`{key}` of {where} is not a time such as 2026-01-05T10:00:00Z", hint=_HINT) from None
    return moment.astimezone(dt.UTC).replace(tzinfo=None) if moment.tzinfo else moment
