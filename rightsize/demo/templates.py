"""Render many log records from one skeleton, filling its slots from columns."""

from __future__ import annotations

import json
import re
from typing import Any

import polars as pl

_SLOT = re.compile(r'"@\{(\w+)\}"|#\{(\w+)\}')
_COMPACT = (",", ":")


def json_text(value: object) -> str:
    """Return compact JSON that keeps letters of all languages and escapes controls."""
    return json.dumps(value, ensure_ascii=False, separators=_COMPACT)


def indented(value: object, depth: int) -> str:
    """Return JSON indented by two, for a place at a depth inside other indented JSON."""
    return json.dumps(value, ensure_ascii=False, indent=2).replace("\n", "\n" + "  " * depth)


class Template:
    """A record with slots: `"@{name}"`, with its quotes, becomes the column's JSON; `#{name}` its text in a string."""

    def __init__(self, skeleton: Any, *, depth: int | None = None) -> None:
        """Compile a skeleton; with a depth, its JSON is indented by two for that depth."""
        text = json_text(skeleton) if depth is None else indented(skeleton, depth)
        self._expression = compile_text(text)

    def fill(self, frame: pl.DataFrame) -> pl.Series:
        """Return one record a row."""
        return frame.select(self._expression.alias("text")).to_series()


def compile_text(text: str) -> pl.Expr:
    """Return the expression that fills the slots of a text from the columns of their names."""
    parts: list[pl.Expr] = []
    position = 0
    for match in _SLOT.finditer(text):
        if match.start() > position:
            parts.append(pl.lit(text[position : match.start()]))
        parts.append(pl.col(match[1] or match[2]))
        position = match.end()
    parts.append(pl.lit(text[position:]))
    return pl.concat_str(parts)


def joined(texts: pl.Series, separator: str) -> bytes:
    """Return all texts as UTF-8, joined by the separator."""
    return separator.join(texts.to_list()).encode()


def instant(column: str, digits: str) -> pl.Expr:
    """Return a time column as .NET writes it: seven digits of a second, the last from `digits`."""
    return pl.concat_str(pl.col(column).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f"), pl.col(digits), pl.lit("Z"))


def for_csv_cell(text: pl.Expr) -> pl.Expr:
    """Return text as a quoted CSV cell (RFC 4180)."""
    return pl.concat_str(pl.lit('"'), text.str.replace_all('"', '""', literal=True), pl.lit('"'))
