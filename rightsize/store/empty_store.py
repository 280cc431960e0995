"""Place an empty store as a copy of the shipped one, which the statements of `ddl` made once.

DuckDB takes ten times as long for these thousand statements as for opening what they made. It reads files of its older
versions, so that the oldest version that is supported makes the shipped one. The file begins with the hash of its
statements: one of other statements is not copied, and the store is made by the statements themselves.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

SHIPPED = Path(__file__).with_name("empty_store.bin")


def place_empty_store(file: Path, statements: Iterable[str]) -> bool:
    """Write an empty store where there is no file yet; return whether it is there.

    The file appears whole, and never takes the place of one that another process made in the meantime.
    """
    mark, content = _mark(statements), SHIPPED.read_bytes()
    if not content.startswith(mark):
        return False
    try:
        with TemporaryDirectory(dir=file.parent, prefix=".rightsize-") as folder:
            made = Path(folder, "store")
            with made.open("xb") as out:
                out.write(zlib.decompress(content[len(mark) :]))
                out.flush()
                # DuckDB commits to a file of its own beside the store, and trusts what the store has.
                os.fsync(out.fileno())
            os.link(made, file)
    except OSError:
        # The file exists, or this file system has no links.
        return False
    return True


def packed(statements: Iterable[str], store: Path) -> bytes:
    """Return the content of the shipped file for a store that these statements made."""
    return _mark(statements) + zlib.compress(store.read_bytes(), 9)


def _mark(statements: Iterable[str]) -> bytes:
    return sha256("\n".join(statements).encode()).digest()
