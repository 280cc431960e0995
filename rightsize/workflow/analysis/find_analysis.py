"""Find the analysis that a reader asks for: the stored one, or one that is made in memory.

A store into which nothing was loaded is refused. `find_differences` lists where other tools judge access differently.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rightsize.model.errors import EvidenceError, InputError
from rightsize.model.options import USUAL, WindowOptions
from rightsize.store.connection import Store, open_store
from rightsize.store.queries import bind_parameters, read_question
from rightsize.store.sql import rows_of
from rightsize.store.stored_analysis import (
    NOT_STORED,
    Analysed,
    answers_by,
    has_current_answers,
    put_in_front,
    stored_analysis,
)

if TYPE_CHECKING:
    import polars as pl


def find_analysis(store: Store, asked: WindowOptions, note: Callable[[str], None]) -> Analysed:
    """Return the analysis for these options: the stored one if it answers for them, else a new one in memory.

    A reader never writes. Where nothing is stored that answers, `note` is called with a sentence that says so.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    found = stored_analysis(store, asked)
    if found is not None:
        return found
    note(NOT_STORED)
    # Frames take a second to import, and a stored analysis needs none.
    from rightsize.workflow.analysis.keep_analysis import analyse_in_memory  # noqa: PLC0415

    return analyse_in_memory(store, asked)


def find_reach(store: Store, note: Callable[[str], None]) -> Analysed:
    """Return the tables of names and reach: of the stored analysis, else new ones in memory, as `find_analysis` does.

    They depend on no option, and need no verdict.
    """
    found = stored_analysis(store, USUAL)
    if found is not None:
        return found
    note(NOT_STORED)
    from rightsize.workflow.analysis.keep_analysis import reach_in_memory  # noqa: PLC0415

    return reach_in_memory(store)


def find_answers(store: Store, note: Callable[[str], None]) -> Callable[[str], pl.DataFrame]:
    """Return a function that gives an answer table of the present content: the stored one, else a new one in memory.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
    """
    if has_current_answers(store):
        _say_options(store, note)
        return store.table
    note(NOT_STORED)
    from rightsize.workflow.analysis.keep_analysis import answers_in_memory  # noqa: PLC0415  imports the whole analysis

    return answers_in_memory(store).__getitem__


def provide_answers(store: Store, note: Callable[[str], None]) -> None:
    """Let SQL read the answer tables that `find_answers` gives, and empty ones where nothing could be analysed."""
    if has_current_answers(store):
        _say_options(store, note)
        return
    note(NOT_STORED)
    from rightsize.workflow.analysis.keep_analysis import IN_MEMORY, answers_in_memory  # noqa: PLC0415

    try:
        found = answers_in_memory(store)
    except EvidenceError:
        found = {name: store.table(name).clear() for name in IN_MEMORY}
    put_in_front(store, found)


def _say_options(store: Store, note: Callable[[str], None]) -> None:
    if (words := answers_by(store)) is not None:
        note(f"verdicts and use are those of an analysis with `{words}`: `rightsize analyze` makes the usual one")


_TABLES = ("role_assignments", "principals", "operations", "usage_days")
"""The tables that also hold rows where no load is noted, as in a store that was made by hand."""


def require_content(store: Store) -> None:
    """Raise InputError where nothing was ever loaded.

    Raises:
        InputError: The store is empty.
    """
    if not any(store.has_rows(name) for name in ("loads", *_TABLES)):
        raise InputError(
            "nothing is loaded into this store",
            hint="`rightsize load PATH…` reads exports, `rightsize demo` makes a sample; `--db` names another store",
        )


QUESTION = "differences"
"""The saved query that has the rows; it is the definition of every column."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The result of `differences`.

    Attributes:
        rows: The rows of the saved query.
        judged: Number of judgements of other tools that the store has.
    """

    rows: list[dict[str, Any]]
    columns: tuple[str, ...]
    judged: int


def find_differences(db: Path, *, every: bool, note: Callable[[str], None]) -> Differences:
    """Return the judgements of other tools that differ from the verdicts, or all of them.

    Args:
        db: The store; it is only read.
        every: Also return judgements that agree, and those that one side cannot decide.
        note: Called with a sentence where the stored analysis is not of the present content.

    Raises:
        InputError: There is no store.
        EvidenceError: No judgement of another tool is loaded, or nothing that could be analysed.
    """
    question = read_question(QUESTION)
    with open_store(db, read_only=True) as store:
        require_content(store)
        judged = int(store.connection.execute("SELECT count(*) FROM tool_judgements").fetchall()[0][0])
        if not judged:
            raise EvidenceError(
                "no judgement of another tool is loaded",
                hint="load `OAuthAppInfo` of advanced hunting, assessments of Defender for Cloud or recommendations of "
                "Advisor: `rightsize load PATH`",
            )
        provide_answers(store, note)
        values = bind_parameters(question, {"every": str(every).lower()})
        return Differences(rows_of(store.connection, question.text, values), question.columns, judged)
