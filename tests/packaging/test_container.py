"""The container, as far as it can be checked without an engine; CI follows its steps (`tests.packaging.container`)."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.container import PROJECT, read_instructions

INSTRUCTIONS = read_instructions((PROJECT / "Containerfile").read_text(encoding="utf-8"))


def test_the_container_is_not_root_and_takes_nothing_along() -> None:
    """A number for its user, no secret, nothing fetched by an address, and only what the product needs copied in."""
    last = max(number for number, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
    final = INSTRUCTIONS[last:]
    user = next(rest for word, rest in final if word == "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert [word for word, _ in final].index("USER") < [word for word, _ in final].index("ENTRYPOINT")
    assert not any(word == "ADD" or "://" in rest for word, rest in INSTRUCTIONS)
    copied = {name for word, rest in INSTRUCTIONS if word == "COPY" for name in rest.split()[:-1]}
    assert all((PROJECT / name).exists() for name in copied if not name.startswith(("--from", "/opt")))


def test_the_base_of_the_container_cannot_change() -> None:
    """Both stages start from one image, which is named by its digest."""
    (base,) = [rest for word, rest in INSTRUCTIONS if word == "ARG"]
    assert re.fullmatch(r"BASE=\S+:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)
    assert [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"] == ["${BASE}", "${BASE}"]


@pytest.mark.slow
def test_the_program_writes_nowhere_but_where_it_is_told(tmp_path: Path) -> None:
    """A file system that is read-only but for the store's folder is enough: nothing is put into a home or a cache."""
    home = tmp_path / "no-home"
    home.mkdir(mode=0o500)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(home)}
    done = subprocess.run(
        [sys.executable, "-m", "rightsize", "check", "--list", "-o", "json"],
        cwd=home,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []
