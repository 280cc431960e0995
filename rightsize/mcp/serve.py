"""Serve a store over stdin and stdout, until stdin ends; and read the page that tells an agent how to use the tools."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from rightsize.model.errors import UsageError
from rightsize.store.connection import require_file
from rightsize.workflow.signatures import Signers


def read_skill() -> str:
    """Return the skill: Markdown with `name` and `description` before it, as agents load skills."""
    return (files("rightsize.mcp") / "SKILL.md").read_text(encoding="utf-8")


def serve(db: Path, plan: Path, signers: Signers, *, rows: int, seconds: float) -> None:
    """Answer questions about a store and a plan, read-only.

    stdout carries the protocol alone; everything else that is written there meanwhile goes to stderr.

    Args:
        db: The store.
        plan: The plan folder; it need not exist before somebody asks for the plan.
        signers: Whose signature the plan must have.
        rows: The most rows of a list in an answer.
        seconds: The most time for an answer, in seconds.

    Raises:
        UsageError: The packages of the extra `mcp` are not installed.
        InputError: There is no store.
    """
    try:
        from rightsize.mcp.server import build_server  # noqa: PLC0415  of the extra, and heavy
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("rightsize"):
            raise
        raise UsageError(
            "the MCP server needs packages that are not installed", hint='pip install "rightsize-azure[mcp]"'
        ) from None
    require_file(db)
    from rightsize.mcp.questions import Questions  # noqa: PLC0415  imports frames

    build_server(Questions(db, plan, rows, seconds, signers), read_skill()).run("stdio")
