"""Read a file of exclusions, in the format that the file's ending says."""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from rightsize.model.decisions import Form
from rightsize.model.errors import InputError
from rightsize.propose.core.options import Exclusion, read_exclusions
from rightsize.workflow.text_files import read_bytes


def read_exclusion_file(path: Path) -> tuple[Exclusion, ...]:
    """Return the entries of a file of exclusions.

    Raises:
        InputError: The file cannot be read, or its content does not fit its ending.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in get_args(Form):
        raise InputError(
            f"cannot recognise `{path}` as a file of exclusions", hint="its name has to end in .toml, .json or .csv"
        )
    return read_exclusions(read_bytes(path), cast(Form, form), str(path))
