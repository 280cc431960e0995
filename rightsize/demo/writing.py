"""Write the files of an export folder and count their records: many records from one skeleton, gzip and zip files.

Compressed bytes differ between zlib versions, so members are stored: real archives, readable by everything, whose bytes
depend on their content only.

Derive integers and GUIDs from names, in place of a random generator.

Python's `random` and `hash()`, and the hash of polars, may change between versions; this does not. The mixing
function is the finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
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


@dataclass(slots=True)
class Folder:
    """Writes files below one folder and counts records; names of files are given here, never taken from data."""

    root: Path
    records: dict[str, int] = field(default_factory=dict)
    rejected: dict[str, int] = field(default_factory=dict)

    def write(self, path: str, content: bytes | Iterable[bytes], *, records: int, rejected: int = 0) -> None:
        """Write a file, and count its records and the rejected ones among them."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as stream:
            stream.writelines([content] if isinstance(content, bytes) else content)
        self.records[path] = records
        if rejected:
            self.rejected[path] = rejected

    def append(self, path: str, content: bytes, *, records: int) -> None:
        """Write a file, or append to it where this folder has already written it."""
        known = self.records.get(path, 0)
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("ab" if known else "wb") as stream:
            stream.write(content)
        self.records[path] = known + records

    def write_graph(self, name: str, context: str, records: Sequence[object]) -> None:
        """Write a page of Microsoft Graph below `directory/`, whose context is `context` of the metadata."""
        document = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{context}", "value": records}
        self.write(f"directory/{name}.json", json_text(document).encode(), records=len(records))

    def write_json(self, path: str, document: object, *, records: int) -> None:
        """Write a JSON document as the Azure CLI prints it, indented by two."""
        text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
        self.write(path, text.encode(), records=records)


_MAX_BLOCK = 0xFFFF
_EPOCH = (1980, 1, 1, 0, 0, 0)


def gzip_chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield a gzip member (RFC 1952) of stored blocks (RFC 1951), without name or time."""
    yield b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff"
    checksum = length = 0
    for chunk in chunks:
        checksum, length = zlib.crc32(chunk, checksum), length + len(chunk)
        for start in range(0, len(chunk), _MAX_BLOCK):
            block = chunk[start : start + _MAX_BLOCK]
            yield struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF) + block
    yield struct.pack("<BHH", 1, 0, 0xFFFF) + struct.pack("<II", checksum, length & 0xFFFFFFFF)


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of stored members in the given order, all with the same fixed date."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue()


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
