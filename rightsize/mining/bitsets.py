"""Represent sets of small numbers as integers with one bit for each member: union, difference and size are one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

_LONG = 512
"""Number of bits from which on it is faster to scan the binary text of a number than to clear bit after bit."""


def bits_of(mask: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, lowest first."""
    if mask.bit_length() > _LONG:
        digits = bin(mask)[:1:-1]
        place = digits.find("1")
        while place >= 0:
            yield place
            place = digits.find("1", place + 1)
        return
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def mask_of(positions: Iterable[int]) -> int:
    """Return the set that has the given bits."""
    found = list(positions)
    digits = bytearray((max(found, default=0) >> 3) + 1)
    for position in found:
        digits[position >> 3] |= 1 << (position & 7)
    return int.from_bytes(digits, "little")


def union(masks: Iterable[int]) -> int:
    """Return the union of sets."""
    whole = 0
    for mask in masks:
        whole |= mask
    return whole


def without(mask: int, other: int) -> int:
    """Return the difference of two sets: as `mask & ~other`, without a negative number, which is slow if it is long.

    A set that has nothing in common with the other is returned itself: a copy would take kilobytes.
    """
    common = mask & other
    return mask ^ common if common else mask
