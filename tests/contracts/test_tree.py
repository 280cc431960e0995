"""Rules that every file of the project keeps."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# Assembled, so that this file does not contain what it forbids.
FORBIDDEN = {
    "a registry's host": r"files\.python" + r"hosted|pypi" + r"\.org|registry\.npm" + r"js|deb\.deb" + r"ian\.org",
    "a path of somebody's machine": r"(?<![\w.])/(?:work|home|root|Users)/[\w.]",
    "unfinished work": r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b",
}


def _tracked_files() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listing.returncode != 0:
        pytest.skip("needs a git checkout")
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


@pytest.mark.slow
@pytest.mark.parametrize("what", sorted(FORBIDDEN))
def test_no_file_contains(what: str) -> None:
    """No tracked text file contains what the project keeps out of its tree."""
    pattern = re.compile(FORBIDDEN[what])
    found = []
    for path in _tracked_files():
        if path.is_file() and b"\0" not in path.read_bytes()[:1024]:
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in pattern.finditer(text)]
    assert found == []


def test_files_stay_readable() -> None:
    """No module of the product grows beyond what a reader holds in mind."""
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in (ROOT / "rightsize").rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 450} == {}
