"""Read files of decisions that people write: entries with a reason, an owner and a last day, and review decisions.

Entries are TOML, JSON or CSV. Review decisions are a sorted file with one JSON object a line, so that branches merge:

| key | |
|---|---|
| `proposal` | its id |
| `decision` | `accept`, `reject` or `defer` |
| `content` | hash of the proposal that was decided on: a proposal that has changed since is another one |
| `kind` | kind of the proposal, for people who read the file |
| `by`, `reason` | who decided, and why |
| `decided` | the day |
| `expires` | the last day on which it holds; null for no end |
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from rightsize.model.errors import InputError
from rightsize.model.file_reading import read_given
from rightsize.model.role_forms import load_json
from rightsize.model.times import read_moment

Form = Literal["toml", "json", "csv"]
_LONGEST = 1_000
Entries = TypeVar("Entries")


def read_entry_file(path: Path, what: str, read: Callable[[bytes, Form, str], Entries]) -> Entries:
    """Return what `read` makes of a file whose name says its form; `what` is what people call its entries.

    Raises:
        InputError: The file cannot be read, or its content does not fit its ending.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in get_args(Form):
        raise InputError(
            f"cannot recognise `{path}` as a file of {what}", hint="its name has to end in .toml, .json or .csv"
        )
    return read(read_given(path), cast(Form, form), str(path))


def read_entries(content: bytes, form: Form, name: str, *, key: str, hint: str) -> list[Any]:
    """Return the entries of a file, as they are written.

    TOML has tables `[[key]]`; JSON the same under `key`, or the list alone; CSV a column for each field.

    Raises:
        InputError: The file does not have its form; the message names it, and `hint` says what an entry is.
    """
    try:
        return _entries(content.decode("utf-8-sig"), form, key)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, csv.Error, RecursionError) as error:
        raise InputError(f"`{name}` cannot be read as {form.upper()}: {error}", hint=hint) from None
    except InputError as error:
        raise InputError(f"`{name}`: {error.message}", hint=hint) from None


def _entries(text: str, form: Form, key: str) -> list[Any]:
    if form == "csv":
        rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        return [{name: value for name, value in row.items() if value} for row in rows]
    document = tomllib.loads(text) if form == "toml" else load_json(text)
    if isinstance(document, dict):
        strange = sorted(set(document) - {key})
        if strange:
            raise InputError(f"`{strange[0]}` is not a key of this file")
        document = document.get(key, [])
    if not isinstance(document, list):
        raise InputError(f"`{key}` is not a list of entries")
    return document


def known_fields(entry: object, known: Collection[str], where: str, hint: str) -> Mapping[str, Any]:
    """Return an entry as a mapping whose keys are all known, or raise InputError."""
    if not isinstance(entry, Mapping):
        raise InputError(f"{where} is not a table of keys and values", hint=hint)
    strange = sorted(str(key) for key in entry if key not in known)
    if strange:
        raise InputError(f"{where} has the unknown key `{strange[0]}`", hint=hint)
    return entry


def text_of(entry: Mapping[str, Any], key: str, where: str, hint: str) -> str:
    """Return the text of a key that an entry must have, or raise InputError."""
    value = entry.get(key)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} has no `{key}`", hint=hint)
    if len(value) > _LONGEST:
        raise InputError(f"`{key}` of {where} is longer than {_LONGEST:,} characters")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"`{key}` of {where} has an unpaired surrogate, which is not text") from None
    return value.strip()


def day_of(value: object, where: str, hint: str, key: str = "expires") -> dt.date:
    """Return the day under a key of an entry, or raise InputError."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str):
        try:
            return read_moment(value).day
        except ValueError:
            pass
    raise InputError(f"`{key}` of {where} is not a day such as 2026-12-31", hint=hint)


DecisionKind = Literal["accept", "reject", "defer"]
PARTICIPLE: Mapping[str, str] = {"accept": "accepted", "reject": "rejected", "defer": "deferred"}
"""The state of a proposal after each decision."""

_HINT = (
    "a line is one decision as `rightsize review` writes it: proposal, decision, content, kind, by, reason, decided, "
    "expires"
)


@dataclass(frozen=True, slots=True, order=True)
class ReviewDecision:
    """One decision; the fields are those of the file."""

    proposal: str
    decision: DecisionKind
    content: str
    kind: str
    by: str
    reason: str
    decided: dt.date
    expires: dt.date | None = None

    def has_ended(self, day: dt.date) -> bool:
        """Return whether it no longer holds on a day."""
        return self.expires is not None and self.expires < day

    def __str__(self) -> str:
        """Return one line for people."""
        return f"{PARTICIPLE[self.decision]} by {self.by} on {self.decided}: {self.reason}"


_KEYS = frozenset(field.name for field in fields(ReviewDecision))


def read_decisions(content: bytes, name: str) -> dict[str, ReviewDecision]:
    """Read a file of decisions, by proposal.

    Where a merge of two branches left the same decision twice, the later one counts.

    Raises:
        InputError: A line is no decision, or two of them on one proposal contradict each other.
    """
    found: dict[str, ReviewDecision] = {}
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        where = f"line {number} of `{name}`"
        if line.startswith((b"<<<<<<<", b"=======", b">>>>>>>")):
            raise InputError(f"{where} is the mark of an unfinished merge", hint="keep one line per proposal")
        one = read_decision(line, where)
        other = found.get(one.proposal)
        if other is not None and (other.decision, other.content) != (one.decision, one.content):
            raise InputError(
                f"`{name}` decides twice on proposal `{one.proposal}`: {other}; {one}",
                hint="keep one of the two lines",
            )
        found[one.proposal] = one if other is None else max(one, other, key=_age)
    return found


def write_decisions(decisions: Iterable[ReviewDecision]) -> str:
    """Return the text of a file of decisions; the same decisions in any order give the same text."""
    lines = []
    for one in sorted(decisions):
        document = {
            name: value.isoformat() if isinstance(value, dt.date) else value for name, value in asdict(one).items()
        }
        lines.append(json.dumps(document, ensure_ascii=True) + "\n")
    return "".join(lines)


def _age(one: ReviewDecision) -> tuple[dt.date, str, str, str]:
    return one.decided, one.by, one.reason, str(one.expires)


def read_decision(line: bytes, where: str) -> ReviewDecision:
    """Return the decision of a line, or raise InputError."""
    try:
        entry: Mapping[str, Any] = known_fields(load_json(line), _KEYS, where, _HINT)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", hint=_HINT) from None
    texts = {key: text_of(entry, key, where, _HINT) for key in ("proposal", "decision", "content", "kind", "by")}
    kind = texts.pop("decision")
    if kind not in get_args(DecisionKind):
        raise InputError(f"{where} has the unknown decision `{kind}`", hint=_HINT)
    reason = entry.get("reason")
    if kind != "accept" or reason not in (None, ""):
        reason = text_of(entry, "reason", where, _HINT)
    return ReviewDecision(
        decision=kind,  # type: ignore[arg-type]  # one of its words, as was just looked at
        reason=reason or "",
        decided=day_of(entry.get("decided"), where, _HINT, "decided"),
        expires=None if entry.get("expires") is None else day_of(entry["expires"], where, _HINT),
        **texts,
    )
