"""Read and hash the rules: CSV files beside this module and rows that log sources declare, each with a source."""

from __future__ import annotations

import csv
import hashlib
from functools import cache
from importlib.resources import files

from rightsize.model.errors import InternalError
from rightsize.rules.log_sources import LOG_SOURCES

Row = dict[str, str]


@cache
def rows_of(name: str) -> tuple[Row, ...]:
    """Return the rows of the rule file `name`; rules apply in this order.

    The rows that log sources declare come first, and then those of the file.

    Raises:
        InternalError: A row has too few or too many cells, or no source.
    """
    text = files(__package__).joinpath(f"{name}.csv").read_text(encoding="utf-8")
    heading, *lines = text.splitlines()
    declared = [line for log in LOG_SOURCES for line in log.rules.get(name, "").splitlines() if line]
    rows = tuple(csv.DictReader([heading, *declared, *lines], strict=True))
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values() or not row["source"]:
            raise InternalError(f"line {number} of the rule file `{name}` is not whole")
    return rows


def risk_weights() -> dict[str, int]:
    """Return the weight of each class of risk."""
    return {row["risk"]: int(row["weight"]) for row in rows_of("risk_classes")}


@cache
def rules_hash() -> str:
    """Return the SHA-256 of all rule files and of the rules that log sources declare, as hexadecimal text."""
    found = hashlib.sha256()
    for file in sorted(files(__package__).iterdir(), key=lambda one: one.name):
        if file.name.endswith(".csv"):
            content = file.read_bytes()
            found.update(f"{file.name} {len(content)}\n".encode() + content)
    for log in LOG_SOURCES:
        found.update(repr(sorted(log.rules.items())).encode())
    return found.hexdigest()
