"""Keep the evidence of proposals and of today's grants as columns: write and read Parquet, and hash the content.

The hash covers the content and not the bytes of a file: another version of the Parquet writer makes other bytes.

The proposals in `plan.json` leave it out (`model.plan_file.shortened`). Proposals for other planes are few, and say
everything themselves.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of_columns
from rightsize.model.errors import InputError
from rightsize.model.plan import PLANES_BEYOND, Proposal
from rightsize.model.plan_file import (
    ABSENCE_PROOFS,
    ABSENT,
    BEFORE,
    CHANCES,
    COUNTS,
    GRANTS,
    IN_TABLES,
    KEPT_UNSEEN,
    OPERATIONS,
    PAGE_TABLES,
    READINGS,
    REMOVED,
    WINDOW,
    file_of,
)
from rightsize.model.tables import EVIDENCE_TABLES, Table
from rightsize.model.times import read_moment

Frames = Mapping[str, pl.DataFrame]
"""The frame of each table of evidence, by the name of the table."""

AGAIN = "write the plan again with `rightsize propose`"
_GROUP = 65_536
"""Rows in a row group of a file, and rows whose content is hashed at a time."""
_LEVEL = 6
_PERIODS = {"operations": WINDOW, "used_before": BEFORE}
"""The lists of use in the evidence of a proposal, and their value of `period`."""
_REASONS = ("kept_unseen", "removed")
_CHANCE = "break_probability"


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A table of evidence as `plan.json` names it.

    Attributes:
        table: The name of the table.
        file: The name of its file in the plan folder.
        rows: Its number of rows.
        content: The hash of its content, as `content_hash` returns it.
    """

    table: str
    file: str
    rows: int
    content: str

    def as_json(self) -> dict[str, Any]:
        """Return it as `plan.json` has it."""
        return {"table": self.table, "file": self.file, "rows": self.rows, "content": self.content}


def empty_of(table: Table) -> pl.DataFrame:
    """Return a table of evidence without rows."""
    return pl.DataFrame(schema=schema_of_columns(table.columns))


def stays_inline(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence of a proposal as `plan.json` has it: without the rows that stand in tables.

    `used_before` is then the number of operations that were used before the window. Of the chance of breaking the
    bound remains. Counts by reason without a reason are left out.
    """
    found = {name: value for name, value in evidence.items() if name not in ("operations", "absent")}
    found = {name: value for name, value in found.items() if name not in _REASONS or value != {}}
    before, chance = evidence.get("used_before"), evidence.get(_CHANCE)
    if isinstance(before, Sequence):
        found["used_before"] = len(before)
    if isinstance(chance, Mapping):
        found[_CHANCE] = {"bound": chance["bound"]} if "bound" in chance else {}
    return found


def take_rows(proposals: Iterable[tuple[str, str, Mapping[str, Any]]]) -> dict[str, pl.DataFrame]:
    """Return the rows of all tables that stand in the evidence of proposals, in their order.

    Args:
        proposals: Id, plane and evidence of each, as in memory or in a plan of format version 1.

    Raises:
        InputError: Rows in the evidence have another form.
    """
    rows: dict[str, list[dict[str, Any]]] = {table.name: [] for table in EVIDENCE_TABLES}
    for id_, plane, evidence in proposals:
        try:
            for name, period in _PERIODS.items():
                found = evidence.get(name, ())
                listed = found if isinstance(found, Sequence) else ()
                rows[OPERATIONS.name] += [_use_row(id_, plane, period, one) for one in listed]
            for entry in evidence.get("absent", ()):
                rows[ABSENT.name] += _absent_rows(id_, entry)
                rows[ABSENCE_PROOFS.name] += _proof_rows(id_, entry)
            if chance := evidence.get(_CHANCE):
                rows[CHANCES.name].append(_chance_row(id_, chance))
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            raise InputError(f"proposal `{id_}` of `plan.json` has no valid evidence", hint=AGAIN) from None
    try:
        return {
            table.name: pl.DataFrame(rows[table.name], schema=schema_of_columns(table.columns))
            for table in EVIDENCE_TABLES
        }
    except (pl.exceptions.PolarsError, TypeError, OverflowError, UnicodeEncodeError):
        raise InputError("the evidence of `plan.json` has a value of another type", hint=AGAIN) from None


def _use_row(id_: str, plane: str, period: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `operations`. The use of a directory role names one principal and scope instead of lists.

    Plans of early versions lack some values.
    """
    single = "scope" in one
    return {
        "proposal_id": id_,
        "period": period,
        "plane": one.get("plane", plane),
        "operation": one["operation"],
        "events": one.get("events"),
        "days": one.get("days"),
        "first_seen": _time(one.get("first_seen")),
        "last_seen": _time(one.get("last_seen")),
        "days_ago": one.get("days_ago"),
        "attributed_by": [one.get("attribution")] if single else one.get("attributed_by"),
        "principals": 1 if single else one.get("principals"),
        "principal_ids": [one.get("principal_id")] if single else one.get("principal_ids"),
        "scopes": 1 if single else one.get("scopes"),
        "scope_ids": [one["scope"]] if single else one.get("scope_ids"),
    }


def _absent_rows(id_: str, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, number in entry["resource_types"].items():
        yield {"proposal_id": id_, "reason": entry["reason"], "resource_type": kind, "operations": number}


def _proof_rows(id_: str, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    shared = {
        "proposal_id": id_,
        "reason": entry["reason"],
        "of_subscriptions": entry.get("subscriptions"),
        "log_days": entry.get("log_days"),
        "window_days": entry.get("window_days"),
        "proof": entry.get("proof"),
    }
    for one in entry.get("listings", ()):
        times = {name: _time(one[name]) for name in ("read_from", "read_to")}
        yield shared | times | {name: one[name] for name in ("kind", "reader_id", "subscriptions")}
    if not entry.get("listings"):
        yield shared | {"kind": None, "reader_id": None, "subscriptions": None, "read_from": None, "read_to": None}


def readings_of(rests_on: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Return the table `readings` for hashes by id under a word for each kind of object."""
    rows = [(what, id_, found) for what, hashes in rests_on.items() for id_, found in hashes.items()]
    return pl.DataFrame(rows, schema=schema_of_columns(READINGS.columns), orient="row")


def _chance_row(id_: str, chance: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `chances`. Plans of early versions estimated otherwise, so they lack most values."""
    said = {"beyond_the_sample": False, **chance, "proposal_id": id_}
    for cell, (came, of) in chance.get("counts", {}).items():
        said |= {f"{cell}_came": came, f"{cell}_of": of}
    said |= {f"types_{name}": value for name, value in chance.get("new_types", {}).items()}
    return {one.name: said.get(one.name) for one in CHANCES.columns}


def _time(value: object) -> dt.datetime | None:
    if value is None or isinstance(value, dt.datetime):
        return value
    return read_moment(str(value)).start


def write_table(frame: pl.DataFrame) -> bytes:
    """Return a table as Parquet: for the same rows the same bytes, however the frame came about."""
    stream = io.BytesIO()
    # Rows in one chunk: chunks would decide where pages end.
    frame.rechunk().write_parquet(
        stream, compression="zstd", compression_level=_LEVEL, statistics=False, row_group_size=_GROUP
    )
    return stream.getvalue()


def content_hash(frame: pl.DataFrame) -> str:
    """Return the SHA-256 of the rows as lines of compact JSON in UTF-8, keys in the order of columns.

    Times are numbers of microseconds since 1970. Every line ends with a line feed.
    """
    found = hashlib.sha256()
    times = pl.selectors.temporal().cast(pl.Int64)
    for part in frame.iter_slices(_GROUP):
        lines = part.with_columns(times).select(pl.struct(pl.all()).struct.json_encode()).to_series()
        found.update(("\n".join(lines) + "\n").encode())
    return found.hexdigest()


def files_of(frames: Frames) -> list[EvidenceFile]:
    """Return the files of all tables that have rows."""
    return [
        EvidenceFile(table.name, file_of(table), frames[table.name].height, content_hash(frames[table.name]))
        for table in EVIDENCE_TABLES
        if frames[table.name].height
    ]


def read_tables(
    listed: Sequence[EvidenceFile], files: Mapping[str, bytes], *, with_pages: bool = True
) -> dict[str, pl.DataFrame]:
    """Return the tables of a plan; a table that it does not list is empty.

    Args:
        listed: The files that `plan.json` names.
        files: The content of each file of the plan folder, by its name.
        with_pages: Whether the tables are read, too, that only pages show.

    Raises:
        InputError: A file is missing, is no such table, or differs from the table that the plan was made with.
    """
    missing = [one.file for one in listed if one.file not in files]
    if missing:
        names = ", ".join(f"`{name}`" for name in missing)
        raise InputError(f"evidence files of the plan are missing: {names}", hint=AGAIN)
    named = {one.table: one for one in listed}
    return {
        table.name: _read_table(table, named[table.name], files[named[table.name].file])
        if table.name in named
        else empty_of(table)
        for table in EVIDENCE_TABLES
        if with_pages or table not in PAGE_TABLES
    }


def _read_table(table: Table, listed: EvidenceFile, content: bytes) -> pl.DataFrame:
    import pyarrow as pa  # noqa: PLC0415  0.2 s, and only plans with evidence need it
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = schema_of_columns(table.columns)
    try:
        # pyarrow: on a damaged file polars ends its threads with a trace instead of an error.
        file = pq.ParquetFile(pa.BufferReader(content))
        is_fine = file.schema_arrow.names == list(schema) and file.metadata.num_rows == listed.rows
        if is_fine:
            # The cast drops what stands beside the rows: polars panics at a type or a note that it cannot read.
            rows = file.read().cast(pl.DataFrame(schema=schema).to_arrow().schema)
            rows.validate(full=True)
            frame = pl.DataFrame(rows)
            is_fine = content_hash(frame) == listed.content
    except (OSError, ValueError, pa.ArrowException) as error:
        said = str(error).partition("\n")[0][:200]
        raise InputError(f"`{listed.file}` cannot be read as Parquet: {said}", hint=AGAIN) from None
    if not is_fine:
        raise InputError(f"`{listed.file}` differs from the plan", hint=AGAIN)
    return frame


_FATES = (KEPT_UNSEEN, REMOVED)
_LATENT = ("latent_before", "latent_after")
_NAMES = tuple(one.name for one in GRANTS.columns if one.name not in ("proposal_id", "reason", *_LATENT))
"""The columns of `grants` that are keys of the evidence of a proposal."""
_Counted = dict[str, dict[str, dict[str, int]]]


def grant_tables(proposals: Iterable[Proposal]) -> dict[str, pl.DataFrame]:
    """Return the tables `grants` and `counts` of proposals, in their order; those for other planes have no rows."""
    ours = [one for one in proposals if one.plane not in PLANES_BEYOND]
    counts = (
        (one.id, fate, reason, number)
        for one in ours
        for fate in _FATES
        for reason, number in one.evidence.get(fate, {}).items()
    )
    return {
        GRANTS.name: pl.DataFrame(map(_grant_row, ours), schema=schema_of_columns(GRANTS.columns), orient="row"),
        COUNTS.name: pl.DataFrame(counts, schema=schema_of_columns(COUNTS.columns), orient="row"),
    }


def _grant_row(one: Proposal) -> tuple[Any, ...]:
    latent = one.evidence.get("latent", {})
    said = map(one.evidence.get, _NAMES)
    return one.id, one.reason, *said, latent.get("before"), latent.get("after")


def with_grants(proposals: Iterable[Mapping[str, Any]], tables: Frames) -> Iterator[dict[str, Any]]:
    """Yield proposals of `plan.json` with what the tables `grants`, `counts` and `chances` say of them.

    Args:
        proposals: The proposals, as `plan_defaults.filled` returns them.
        tables: The tables of evidence.

    Raises:
        InputError: A proposal for Azure roles has no row in `grants`, or contradicts it.
    """
    grants = {id_: row for id_, *row in tables[GRANTS.name].iter_rows()}
    bounds = dict(tables[CHANCES.name].select("proposal_id", "bound").iter_rows())
    counted = _counted(tables[COUNTS.name])
    for one in proposals:
        if one.get("plane") in PLANES_BEYOND:
            yield dict(one)
            continue
        id_ = one["id"]
        if id_ not in grants:
            raise InputError(f"`{file_of(GRANTS)}` has no row for proposal `{id_}`", hint=AGAIN)
        reason, *row = grants[id_]
        chance = {} if id_ not in bounds else {"break_probability": _known({"bound": bounds[id_]})}
        yield _whole(one, reason, _evidence_of(row) | counted.get(id_, {}) | chance)


def _counted(counts: pl.DataFrame) -> _Counted:
    """Return the numbers of operations by proposal, fate and reason.

    Raises:
        InputError: A row has another fate, or lacks a value.
    """
    if not counts["fate"].is_in(_FATES).all() or sum(counts.null_count().row(0)):
        raise InputError(f"`{file_of(COUNTS)}` has a row with another fate or without a value", hint=AGAIN)
    found: _Counted = {}
    for id_, fate, reason, number in counts.iter_rows():
        found.setdefault(id_, {}).setdefault(fate, {})[reason] = number
    return found


def _evidence_of(row: Sequence[Any]) -> dict[str, Any]:
    *said, before, after = row
    latent = {} if before is None else {"latent": {"before": before, "after": after}}
    return _known(dict(zip(_NAMES, said, strict=True))) | latent


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _whole(one: Mapping[str, Any], reason: str | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """Return a proposal with what the tables tell of it; what it says itself has to be the same."""
    said, clause = one.get("evidence"), one.get("reason")
    if (
        not isinstance(said, dict)
        or not isinstance(clause, str)
        or not (reason or "").startswith(clause)
        or any(told.get(name) != value for name, value in said.items() if name in IN_TABLES)
    ):
        raise InputError(f"proposal `{one['id']}` differs between `plan.json` and `{file_of(GRANTS)}`", hint=AGAIN)
    return {**one, "reason": reason, "evidence": {**said, **told}}
