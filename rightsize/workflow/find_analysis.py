"""Find the analysis that a reader asks for: the stored one, or one that is made in memory."""

from __future__ import annotations

from collections.abc import Callable

from rightsize.store.connection import Store
from rightsize.store.stored_analysis import (
    NOT_STORED,
    Analysed,
    AnalysisOptions,
    has_current_answers,
    put_in_front,
    stored_analysis,
)


def find_analysis(store: Store, asked: AnalysisOptions, note: Callable[[str], None]) -> Analysed:
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
    from rightsize.workflow.keep_analysis import analyse_in_memory  # noqa: PLC0415

    return analyse_in_memory(store, asked)


def find_reach(store: Store, note: Callable[[str], None]) -> Analysed:
    """Return the tables of names and reach: of the stored analysis, else new ones in memory, as `find_analysis` does.

    They depend on no option, and need no verdict.
    """
    found = stored_analysis(store, AnalysisOptions())
    if found is not None:
        return found
    note(NOT_STORED)
    from rightsize.workflow.keep_analysis import reach_in_memory  # noqa: PLC0415

    return reach_in_memory(store)


def provide_answers(store: Store, note: Callable[[str], None]) -> None:
    """Let SQL read the answer tables of the present content: the stored ones, else new ones in memory."""
    if has_current_answers(store):
        return
    note(NOT_STORED)
    from rightsize.workflow.keep_analysis import answers_in_memory  # noqa: PLC0415  imports the whole analysis

    put_in_front(store, answers_in_memory(store))
