"""Load what the code of a principal declares: the needs of its deployment become evidence beside its use.

A declaration is a promise of whoever loads it, as `load --covers` is. It gives nothing: an analysis credits it to the
assignments of today that grant it. The newest declaration of a file for a principal counts.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.principals import resolve_principal
from rightsize.iac.deployed.documents import Need
from rightsize.model.errors import InputError, UsageError
from rightsize.model.file_reading import read_given
from rightsize.model.progress import counted
from rightsize.model.text import fold
from rightsize.store.connection import Store, open_store
from rightsize.store.sql import registered
from rightsize.workflow.answers.needs import known_scope, read_needs

USUAL_DAYS = 365
"""The days that a declaration counts where nothing says until when."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was loaded.

    Attributes:
        rows: One row a file: source, path, and the numbers of operations that were read, new and there before.
        notes: What a reader has to know, one sentence each.
    """

    rows: list[dict[str, object]]
    notes: list[str]


def declare_needs(
    db: Path,
    files: Sequence[Path],
    principal: str | None,
    *,
    today: dt.date,
    until: dt.date | None = None,
    at: str = "",
) -> Declaration:
    """Store what files declare for a principal, in the place of what they declared for it before.

    Args:
        db: The store, which has to know the principal.
        files: The files, as `needs` takes them.
        principal: Who deploys them: an id, UPN, application id or name.
        today: The day of the declaration.
        until: The last day on which it counts; None is a year after today.
        at: The scope of the deployment, where a file does not say it.

    Raises:
        InputError: A file cannot be read, or no principal has the name.
        UsageError: No principal is named, several have the name, or a file does not say its subscription.
    """
    if principal is None:
        raise UsageError("`--declared` needs `--for`", hint="`--for PRINCIPAL` says who deploys the code")
    if not db.exists():
        raise InputError(f"there is no store `{db}`", hint="load the listings of the tenant first")
    end = until or today + dt.timedelta(days=USUAL_DAYS)
    read = [(path, read_needs([path], at=at)) for path in files]
    rows: list[dict[str, object]] = []
    notes: list[str] = []
    with open_store(db, read_only=False) as store:
        tables = ("principals", "principal_aliases", "role_assignments", "group_members")
        who = resolve_principal(Inputs.of(**{name: store.table(name) for name in tables}), principal)
        for path, found in read:
            rows.append(_stored(store, who, path, _rows_of(found.needs, who, path, today, end)))
    for path, found in read:
        notes += [f"`{path.name}`: {sentence}" for sentence in found.not_known]
        if end < today:
            notes.append(f"`{path.name}` counts until {end} only, so that it declares nothing for later days")
    return Declaration(rows, notes)


def _rows_of(needs: Sequence[Need], who: str, path: Path, today: dt.date, end: dt.date) -> pl.DataFrame:
    """Return the rows of the table `declared_needs` for the needs of a file."""
    hashed = hashlib.sha256(read_given(path)).hexdigest()
    found: dict[tuple[str, str], dict[str, object]] = {}
    for need in needs:
        scope = known_scope(need.scope)
        if scope is None:
            raise UsageError(
                f"`{path.name}` does not say in which subscription it is deployed", hint="`--at SCOPE` says it"
            )
        if need.only_if:
            continue
        found.setdefault(
            (fold(need.operation), fold(scope)),
            {
                "principal_id": fold(who),
                "operation": need.operation,
                "scope": fold(scope),
                "sha256": hashed,
                "file": path.name,
                "resource": need.resource,
                "rule": need.rule,
                "declared_on": today,
                "until": end,
            },
        )
    return pl.DataFrame([found[key] for key in sorted(found)], schema=schema_of("declared_needs"))


def _stored(store: Store, who: str, path: Path, content: pl.DataFrame) -> dict[str, object]:
    """Store the rows of a file, and return how many are new."""
    if content.is_empty():
        raise InputError(f"`{path}` declares nothing: it deploys no resource")
    named = {"who": fold(who), "file": path.name}
    before = store.frame("SELECT * FROM declared_needs WHERE principal_id = $who AND file = $file", named)
    new = content.join(before, on=["operation", "scope", "sha256", "until"], how="anti").height
    if new or before.height != content.height:
        with store.transaction() as connection:
            connection.execute("DELETE FROM base.declared_needs WHERE principal_id = $who AND file = $file", named)
            columns = ", ".join(f'"{name}"' for name in content.columns)
            with registered(connection, {"declared_rows": content}):
                connection.execute(f"INSERT INTO base.declared_needs ({columns}) SELECT {columns} FROM declared_rows")
    total = content.height
    return {"source": "declared_needs", "path": str(path), "read": total, "new": new, "duplicate": total - new,
            "rejected": 0, "unused_record": 0}  # fmt: skip


def describe(found: Declaration, principal: str, until: dt.date) -> str:
    """Return the sentence that says what was declared."""
    total = sum(int(str(row["read"])) for row in found.rows)
    return f"{counted(total, 'operation')} declared for {principal} until {until}; no plan gives what it does not hold"
