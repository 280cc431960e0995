"""Find the folder for what this machine remembers beside stores and plans."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder: below XDG_STATE_HOME, else below the user's home (XDG Base Directory)."""
    root = environment.get("XDG_STATE_HOME") or ""
    return (Path(root) if Path(root).is_absolute() else Path.home() / ".local/state") / "rightsize"
