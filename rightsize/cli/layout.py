"""Lay out text and tables for the width of a terminal: whole words, whole numbers, and nothing beyond the edge."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence

from rich.cells import cell_len, chop_cells

GAP = 2
"""Number of spaces between two columns."""
_DEFAULT_WIDTH = 80
_LEAST_ROOM = 12
"""A value that has less room than this beside its name stands below it."""
_SENTENCE = 36
"""A sentence that takes two lines of this width at most stands beside its row."""
_JOINED = "\N{NO-BREAK SPACE}"
_QUOTED = re.compile(r"`[^`]*`")
_AFTER_SLASH = re.compile(r"[^/]*/|[^/]+")
_AFTER_MARK = re.compile(r"[^/._@:,#-]*[/._@:,#-]|[^/._@:,#-]+")


def terminal_width() -> int:
    """Return the columns of the terminal: those that `COLUMNS` states, else those of a standard stream, else 80."""
    stated = os.environ.get("COLUMNS", "")
    if stated.isdigit() and int(stated):
        return int(stated)
    for stream in (sys.__stdout__, sys.__stderr__, sys.__stdin__):
        try:
            columns = os.get_terminal_size(stream.fileno()).columns if stream is not None else 0
        except (OSError, ValueError):
            continue
        if columns:
            return columns
    return _DEFAULT_WIDTH


def cells(text: str) -> int:
    """Return the number of terminal cells that a text takes."""
    if text.isascii():
        return len(text)
    return cell_len(text)


def wrapped(text: str, width: int, *, indent: str = "", hanging: str | None = None) -> list[str]:
    """Return a text as lines that fit a width, broken between words.

    A command in backticks and a number with its `%` stay in one line where they fit into one. A longer word is broken
    after a slash, else after another mark of an id, else anywhere.

    Args:
        text: The text, which holds nothing that could move the cursor.
        width: The width in cells.
        indent: Stands before the first line.
        hanging: Stands before every other line; None for `indent`.
    """
    hanging = indent if hanging is None else hanging
    room = max(width - max(len(indent), len(hanging)), 1)
    if cells(text) <= room:
        return [(indent + text).rstrip()]
    kept = text.replace(" %", f"{_JOINED}%").replace("(≤ ", f"(≤{_JOINED}")
    kept = _QUOTED.sub(lambda found: _joined(found[0], room), kept)
    lines: list[str] = []
    line = ""
    for number, word in enumerate(kept.split(" ")):
        between = " " if number else ""
        parts = [word] if cells(word) <= room else _pieces(word, room)
        for part in parts:
            if line and cells(line) + len(between) + cells(part) > room:
                lines.append(line)
                line = part
            else:
                line += between + part
            between = ""
    lines.append(line)
    found = [one.replace(_JOINED, " ").rstrip() for one in lines]
    return [(hanging if number else indent) + one for number, one in enumerate(found)]


def _joined(text: str, room: int) -> str:
    return text.replace(" ", _JOINED) if cells(text) <= room else text


def _pieces(word: str, room: int) -> list[str]:
    """Return the parts of a word that is too long for a line; a part fits, whatever it takes."""
    found: list[str] = []
    for part in _AFTER_SLASH.findall(word):
        if cells(part) <= room:
            found.append(part)
            continue
        for piece in _AFTER_MARK.findall(part):
            found += [piece] if cells(piece) <= room else _chopped(piece, room)
    return found


def _chopped(piece: str, room: int) -> list[str]:
    return list(chop_cells(piece, room))


def column_widths(
    headers: Sequence[str], rows: Sequence[Sequence[str]], whole: Sequence[bool], width: int
) -> list[int] | None:
    """Return the width of each column, or None where the columns do not fit beside each other without broken words.

    Columns that are `whole`, such as numbers, are never wrapped. Texts share the rest, short ones first: whole cells
    where they fit, else whole words, else the parts of long ids. A header needs the width of its longest word, since it
    may wrap.
    """
    room = width - GAP * (len(headers) - 1)
    heads = [_head(header) for header in headers]
    wholes = whole_widths(headers, rows)
    if sum(wholes) <= room:
        return wholes
    at_most = wholes
    for pattern in (re.compile(r"\S+"), _AFTER_SLASH, _AFTER_MARK):
        least = [
            wholes[i]
            if whole[i]
            else max([heads[i], *(_longest(row[i], pattern) for row in rows if cells(row[i]) > heads[i])])
            for i in range(len(headers))
        ]
        if sum(least) <= room:
            return _shared(least, at_most, room)
        at_most = least
    return None


def whole_widths(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the widths at which no cell is wrapped."""
    return [max([_head(header), *(cells(row[i]) for row in rows)]) for i, header in enumerate(headers)]


def _head(header: str) -> int:
    return max(map(cells, header.split()), default=1)


def _longest(text: str, pattern: re.Pattern[str]) -> int:
    return max((cells(part) for word in text.split() for part in pattern.findall(word)), default=0)


def _shared(least: Sequence[int], at_most: Sequence[int], room: int) -> list[int]:
    """Return widths from `least` to `at_most` that fill the room; columns that want little get it first."""
    widths, spare = list(least), room - sum(least)
    order = sorted(range(len(least)), key=lambda i: (at_most[i] - least[i], i))
    for position, i in enumerate(order):
        more = min(max(0, at_most[i] - least[i]), spare // (len(order) - position))
        widths[i] += more
        spare -= more
    return widths


def table_lines(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    numeric: Sequence[bool],
    width: int,
    below: tuple[str, Sequence[str]] | None = None,
    *,
    whole: Sequence[bool] | None = None,
    wraps: bool = True,
    is_bold: bool = False,
) -> Iterator[str]:
    """Yield the lines of a table that fits a width; where its columns do not fit, each row has a line for each column.

    Args:
        headers: The names of the columns.
        rows: The cells of each row.
        numeric: Whether a column has numbers, which stand to the right.
        width: The width in cells.
        below: A header, and a text below each row; a last column where it takes two lines at most.
        whole: Whether a column is never wrapped; None for those with numbers.
        wraps: Whether cells may be wrapped; else a row that is too wide has one line for each column.
        is_bold: Whether a terminal is to show the headers in bold.
    """
    if below is not None:
        wide = [*headers, below[0]], [[*row, text] for row, text in zip(rows, below[1], strict=True)]
        *others, longest = whole_widths(*wide)
        room = width - sum(others) - GAP * len(headers)
        if longest <= room or (room >= _SENTENCE and longest <= 2 * room):
            yield from table_lines(*wide, [*numeric, False], width, whole=[*(whole or numeric), False], is_bold=is_bold)
            return
    texts = below[1] if below is not None else [""] * len(rows)
    widths = column_widths(headers, rows, whole or numeric, width)
    if not wraps and widths != whole_widths(headers, rows):
        widths = None
    if widths is None:
        yield from _records(headers, rows, width, texts, wraps=wraps)
        return
    heads = [wrapped(header, size) for header, size in zip(headers, widths, strict=True)]
    high = max(map(len, heads), default=0)
    heads = [[""] * (high - len(lines)) + lines for lines in heads]
    for line in _side_by_side(heads, numeric, widths):
        yield f"\x1b[1m{line}\x1b[0m" if is_bold else line
    yield "─" * (sum(widths) + GAP * (len(widths) - 1))
    margin = " " * (widths[0] + GAP if len(widths) > 1 and widths[0] <= _LEAST_ROOM else GAP)
    for row, text in zip(rows, texts, strict=True):
        if all(len(cell) <= size and cell.isascii() for cell, size in zip(row, widths, strict=True)):
            # Most rows of a wide terminal fit: they take a tenth of the time of others.
            padded = (
                cell.rjust(n) if right else cell.ljust(n) for cell, n, right in zip(row, widths, numeric, strict=True)
            )
            yield (" " * GAP).join(padded).rstrip()
        else:
            lines = [wrapped(cell, size) for cell, size in zip(row, widths, strict=True)]
            yield from _side_by_side(lines, numeric, widths)
        if text:
            yield from wrapped(text, width, indent=margin)


def _side_by_side(texts: Sequence[Sequence[str]], numeric: Sequence[bool], widths: Sequence[int]) -> Iterator[str]:
    """Yield lines that have the lines of each cell beside each other."""
    for number in range(max(map(len, texts), default=0)):
        parts = []
        for lines, is_number, size in zip(texts, numeric, widths, strict=True):
            text = lines[number] if number < len(lines) else ""
            spare = " " * (size - cells(text))
            parts.append(spare + text if is_number else text + spare)
        yield (" " * GAP).join(parts).rstrip()


def _records(
    headers: Sequence[str], rows: Sequence[Sequence[str]], width: int, texts: Sequence[str], *, wraps: bool
) -> Iterator[str]:
    """Yield the rows of a table one below the other, each cell after its name."""
    longest = max(map(cells, headers), default=0)
    for number, row in enumerate(rows):
        if number:
            yield ""
        for header, cell in zip(headers, row, strict=True):
            if not wraps:
                yield f"{header}{' ' * (longest + GAP - cells(header))}{cell}".rstrip()
            elif width - longest - GAP >= _LEAST_ROOM:
                margin = " " * (longest + GAP)
                label = header + " " * (longest + GAP - cells(header))
                yield from (line.rstrip() for line in wrapped(cell, width, indent=label, hanging=margin))
            else:
                yield from wrapped(header, width)
                yield from wrapped(cell, width, indent=" " * GAP)
        if texts[number]:
            yield from wrapped(texts[number], width, indent=" " * GAP)
