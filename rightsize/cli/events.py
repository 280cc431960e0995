"""`rightsize events`: parse logs into normalised events, without a store."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from rightsize.cli.command import Common, command
from rightsize.cli.narration import say
from rightsize.cli.options import OutputFormat
from rightsize.render.escape import for_shell
from rightsize.workflow import events as workflow

_FEW_FILES = 40


@command(rows=True)
def events(
    paths: Annotated[list[str], typer.Argument(help="Log exports: files, folders, .gz, .zip, or - for stdin.")],
    *,
    common: Common,
) -> None:
    """Parse logs and print normalised events, one for each call, in order of time.

    Every export format of the Activity Log and of storage logs gives the same events. Other exports are read and
    counted; only these two logs hold events.
    """
    parsed = workflow.parse_logs(paths)
    for file in parsed.files:
        # A diagnostic export has thousands of files; only files with rejected records are always named.
        detail = 0 if len(parsed.files) <= _FEW_FILES or file.rejected else 1
        say(f"{file.path}: {file.source}, {file.read:,} read, {file.rejected:,} rejected", level=detail)
    if len(parsed.files) > _FEW_FILES:
        say(f"{len(parsed.files):,} files, {sum(file.read for file in parsed.files):,} records read")
    for note in parsed.notes:
        say(note)
    if common.output is OutputFormat.JSONL:
        # Write each chunk at once, so that millions of events are never in memory together.
        for chunk in parsed.chunks:
            common.show(chunk, workflow.COLUMNS)
    else:
        table_columns = ("time", "principal_name", "principal_id", "operation", "scope", "outcome")
        common.show(list(chain.from_iterable(parsed.chunks)), workflow.COLUMNS, table_columns=table_columns)
        common.say_next(f"rightsize load {' '.join(map(for_shell, paths))}")
