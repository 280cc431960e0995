"""`rightsize events`: parse logs into normalised events, without a store."""

from __future__ import annotations

from itertools import chain
from typing import Annotated

import typer

from rightsize.cli.narration import say, say_next, set_verbosity
from rightsize.cli.options import DEFAULT_DB, AllRows, Db, NoInput, Output, OutputFormat, Quiet, Verbose
from rightsize.cli.output import show

_FEW_FILES = 40


def events(
    paths: Annotated[list[str], typer.Argument(help="Log exports: files, folders, .gz, .zip, or - for stdin.")],
    db: Db = DEFAULT_DB,  # noqa: ARG001  every command takes it; parsing needs no store
    every: AllRows = False,
    output: Output = OutputFormat.TABLE,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    no_input: NoInput = False,  # noqa: ARG001  every command takes it; this one never asks
) -> None:
    """Parse logs and print normalised events, one for each call, in order of time.

    Every export format of the Activity Log and of storage logs gives the same events. Other exports are read and
    counted; only these two logs hold events.
    """
    from rightsize.render.escape import for_shell  # noqa: PLC0415
    from rightsize.workflow.events import COLUMNS, parse_logs  # noqa: PLC0415

    set_verbosity(verbose, quiet)
    parsed = parse_logs(paths)
    for file in parsed.files:
        # A diagnostic export has thousands of files; only files with rejected records are always named.
        detail = 0 if len(parsed.files) <= _FEW_FILES or file.rejected else 1
        say(f"{file.path}: {file.source}, {file.read:,} read, {file.rejected:,} rejected", level=detail)
    if len(parsed.files) > _FEW_FILES:
        say(f"{len(parsed.files):,} files, {sum(file.read for file in parsed.files):,} records read")
    for note in parsed.notes:
        say(note)
    if output is OutputFormat.JSONL:
        # Write each chunk at once, so that millions of events are never in memory together.
        for chunk in parsed.chunks:
            show(chunk, COLUMNS, output)
    else:
        table_columns = ("time", "principal_name", "principal_id", "operation", "scope", "outcome")
        show(list(chain.from_iterable(parsed.chunks)), COLUMNS, output, table_columns=table_columns, every=every)
        say_next(f"rightsize load {' '.join(map(for_shell, paths))}", output=output)
