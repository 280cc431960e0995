"""Run a real headless browser: open pages, take steps, and return what was shown."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / ".ci" / "node" / "node_modules"


@dataclass(frozen=True, slots=True)
class Visit:
    """What a page said to the console, what it asked of a network, what each step gave, and the time to load."""

    said: list[str]
    asked: list[str]
    results: list[Any]
    loaded: int


def visit(page: Path, folder: Path, *steps: dict[str, Any], **settings: Any) -> Visit:
    """Open a page and take steps in it; `browse.js` lists the steps and settings."""
    node, chromium = shutil.which("node"), shutil.which("chromium")
    if node is None or chromium is None or not (MODULES / "playwright-core").is_dir():
        pytest.skip("needs node, Debian's chromium, and playwright-core and axe-core below .ci/node")
    job = folder / "job.json"
    job.write_text(json.dumps({"page": str(page), "steps": steps, **settings}), encoding="utf-8")
    command = [node, str(Path(__file__).with_name("browse.js")), str(MODULES), chromium, str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return Visit(**json.loads(done.stdout))
