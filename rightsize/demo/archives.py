"""Write gzip and zip files whose bytes depend on their content only, not on zlib or the clock.

Compressed bytes differ between zlib versions, so members are stored: real archives, readable by everything.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping

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
