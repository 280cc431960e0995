"""Find the fewest sets that together cover a set of atoms."""

from __future__ import annotations

from collections.abc import Sequence

from rightsize.propose.core.bitsets import bits_of


def covers(must: int, columns: Sequence[int], most: int) -> bool:
    """Return whether at most so many columns together have all atoms in `must`."""
    return smallest_cover(must, columns, most) is not None


def smallest_cover(must: int, columns: Sequence[int], most: int) -> tuple[int, ...] | None:
    """Return the fewest columns that together have all atoms in `must`, or None.

    Among equally few, the first columns win.
    """
    if not must:
        return ()
    whole = 0
    for column in columns:
        whole |= column
    if must & ~whole:
        return None
    sizes = range(1, most + 1)
    return next((found for size in sizes if (found := _cover_of_size(must, columns, size)) is not None), None)


def _cover_of_size(must: int, columns: Sequence[int], size: int) -> tuple[int, ...] | None:
    if size == 1:
        return next(((number,) for number, column in enumerate(columns) if not must & ~column), None)
    found = []
    for number in _rarest(must, columns):
        rest = _cover_of_size(must & ~columns[number], columns, size - 1)
        if rest is not None:
            found.append(tuple(sorted((number, *rest))))
    return min(found, default=None)


_LOOKED_AT = 48


def _rarest(must: int, columns: Sequence[int]) -> list[int]:
    """Return the columns that have the rarest of the first atoms."""
    fewest: list[int] | None = None
    for turn, atom in enumerate(bits_of(must)):
        if turn == _LOOKED_AT:
            break
        having = [number for number, column in enumerate(columns) if column >> atom & 1]
        if fewest is None or len(having) < len(fewest):
            fewest = having
            if len(having) <= 1:
                break
    return fewest or []
