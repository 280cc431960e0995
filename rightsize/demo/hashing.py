"""Derive integers and GUIDs from names, in place of a random generator.

Python's `random` and `hash()`, and the hash of polars, may change between versions; this does not. The mixing
function is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
"""

from __future__ import annotations

import hashlib

import polars as pl

_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_WORDS = pl.Series([f"{number:04x}" for number in range(65_536)])


def number(*parts: object) -> int:
    """Return a 64-bit integer that depends on the parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def below(limit: int, *parts: object) -> int:
    """Return a number from 0 to `limit` - 1 that depends on the parts."""
    return number(*parts) % limit


def guid(*parts: object) -> str:
    """Return a GUID in the form of a random one that depends on the parts."""
    text = "\x1f".join(str(part) for part in parts)
    digits = hashlib.sha256(text.encode()).hexdigest()
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"


def mixed(seed: int, *columns: pl.Series) -> pl.Series:
    """Return a 64-bit integer for each row that depends on the seed and on the row's integers."""
    state = pl.repeat(seed & (2**64 - 1), len(columns[0]), dtype=pl.UInt64, eager=True)
    for column in columns:
        state = _finalised((state ^ column.cast(pl.UInt64)) + pl.Series([_GOLDEN], dtype=pl.UInt64))
    return state


def guids(seed: int, *columns: pl.Series) -> pl.Series:
    """Return one GUID for each row, in the form of a random one."""
    high, low = mixed(seed, *columns), mixed(seed ^ _GOLDEN, *columns)
    word = [(part // 2**shift) % 65_536 for part in (high, low) for shift in (48, 32, 16, 0)]
    word[3] = word[3] % 4096 + 0x4000
    word[4] = word[4] % 16_384 + 0x8000
    texts = [_WORDS.gather(column).alias(str(index)) for index, column in enumerate(word)]
    dash = pl.lit("-")
    order = ["0", "1", dash, "2", dash, "3", dash, "4", dash, "5", "6", "7"]
    columns_in_order = [pl.col(item) if isinstance(item, str) else item for item in order]
    return pl.DataFrame(texts).select(pl.concat_str(columns_in_order)).to_series()


def _finalised(state: pl.Series) -> pl.Series:
    for shift, multiplier in _MULTIPLIERS:
        state = (state ^ (state // 2**shift)) * pl.Series([multiplier], dtype=pl.UInt64)
    return state ^ (state // 2**31)
