"""Gzip and zip files whose bytes depend on their content only, whatever zlib is installed and whatever the clock says.

Compressed bytes differ between zlib versions, so members are stored: real archives, readable by everything.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

_MAX_BLOCK = 0xFFFF
_EPOCH = (1980, 1, 1, 0, 0, 0)


def gzip_bytes(chunks: Iterable[bytes]) -> bytes:
    """Return a gzip member (RFC 1952) of stored blocks (RFC 1951), without name or time."""
    content = b"".join(chunks)
    out = io.BytesIO()
    out.write(b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff")
    for start in range(0, max(len(content), 1), _MAX_BLOCK):
        block = content[start : start + _MAX_BLOCK]
        last = start + _MAX_BLOCK >= len(content)
        out.write(struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block)
    out.write(struct.pack("<II", zlib.crc32(content), len(content) & 0xFFFFFFFF))
    return out.getvalue()


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Return a zip archive of stored members, in the given order, all of the same old date."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    return out.getvalue()
