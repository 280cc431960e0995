"""Write the pages of reference that are made of the program: `python -m rightsize.cli.reference_pages FOLDER`.

The site has them beside the pages that people write (`docs/site/hooks.py`); whoever has the package can write them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from rightsize.api.reference import write_reference as write_python_api
from rightsize.cli.reference import write_reference as write_commands
from rightsize.collect.sources_page import write_sources_page
from rightsize.render.controls_page import write_controls_page
from rightsize.render.reasons_page import write_reasons_page
from rightsize.store.controls import control_names, read_control
from rightsize.store.views import write_schema_page

REFERENCE_PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": write_commands,
    "controls.md": lambda: write_controls_page(map(read_control, control_names())),
    "python-api.md": write_python_api,
    "reasons.md": write_reasons_page,
    "schema.md": write_schema_page,
    "sources.md": write_sources_page,
}
"""What writes each page, by the name of its file."""


if __name__ == "__main__":
    for name, write in REFERENCE_PAGES.items():
        (Path(sys.argv[1]) / name).write_text(write(), encoding="utf-8")
