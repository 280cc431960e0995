"""Files that tests hold what is made against: `RIGHTSIZE_WRITE_GOLDEN=1` writes them anew, for a person to compare."""

from __future__ import annotations

import os
from pathlib import Path

WRITES = bool(os.environ.get("RIGHTSIZE_WRITE_GOLDEN"))


def stored(path: Path, text: str) -> str:
    """Return the text of a file; with `WRITES` the file is first written with the text that it should have."""
    if WRITES:
        path.write_text(text, encoding="utf-8")
    return path.read_text(encoding="utf-8")
