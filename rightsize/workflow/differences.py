"""List where other tools judge access differently, from what they say and from the verdicts of an analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.model.errors import EvidenceError
from rightsize.store.connection import open_store, rows_of
from rightsize.store.queries import bind_parameters, read_question
from rightsize.workflow.content import require_content
from rightsize.workflow.find_analysis import provide_answers

QUESTION = "differences"
"""The saved query that has the rows; it is the definition of every column."""


@dataclass(frozen=True, slots=True)
class Differences:
    """The result of `differences`.

    Attributes:
        rows: The rows of the saved query.
        columns: Its columns.
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
