"""Run ad-hoc SQL and saved questions on the store, read-only."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rightsize.model.errors import InputError, UsageError
from rightsize.store.queries import SavedQuery, bind_parameters, question_names, read_question
from rightsize.store.sandbox import Answer, run_statement


def ask(db: Path, statement: str, given: Sequence[str], *, max_rows: int, timeout: float) -> Answer:
    """Run one read-only statement; `-` reads it from stdin. `given` are `name=value` texts, bound as text.

    Raises:
        UsageError: The statement is refused or does not run, or a parameter is wrong.
        InputError: There is no store at `db`, or stdin is not text.
    """
    try:
        sql = sys.stdin.read() if statement == "-" else statement
    except UnicodeDecodeError as error:
        raise InputError("stdin is not UTF-8 text") from error
    return run_statement(db, sql, read_parameters(given), max_rows=max_rows, timeout=timeout)


def ask_question(db: Path, name: str, given: Sequence[str], *, max_rows: int, timeout: float) -> Answer:
    """Run a saved question; its parameters get the types that it declares.

    Raises:
        UsageError: There is no such question, or a parameter is wrong.
        InputError: There is no store at `db`.
    """
    question = read_question(name)
    values = bind_parameters(question, read_parameters(given))
    return run_statement(db, question.text, values, max_rows=max_rows, timeout=timeout)


def list_questions() -> list[SavedQuery]:
    """Return the saved questions, sorted by name."""
    return [read_question(name) for name in question_names()]


def read_parameters(given: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `name=value` texts; raise UsageError for a missing or repeated name."""
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().removeprefix("$")
        if not equals or not name:
            raise UsageError(f"`{text}` is not NAME=VALUE", hint="write -p name=value")
        if name in values:
            raise UsageError(f"parameter `{name}` is given twice")
        values[name] = value
    return values
