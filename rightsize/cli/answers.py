"""Answer the completion script of a shell: find the completions of the word at the cursor."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from typer._click.core import Parameter
from typer._click.shell_completion import CompletionItem, _resolve_context, _resolve_incomplete
from typer.core import TyperArgument
from typer.models import TyperPath

from rightsize.cli.options import DEFAULT_DB, option_name
from rightsize.cli.registry import entries_below, lazy_modules, with_new_name

with lazy_modules():
    # It imports DuckDB, which names of options do not need.
    from rightsize.workflow.data import completions

_SECONDS = 4.0
"""A shell that waits longer is worse than one that completes nothing."""
_HELP = 70

_KINDS: Mapping[str, completions.Kind] = {
    "can principal": "principal",
    "explain principal": "principal",
    "contain principal": "principal",
    "reach layers principal": "principal",
    "reach subject": "principal",
    "roles check principal": "principal",
    "agents agent": "agent",
    "can operation": "operation",
    "who-can operation": "operation",
    "roles not-granted --operation": "operation",
    "queries show name": "question",
    "queries run name": "question",
    "check controls": "control",
    "review accept ids": "proposal",
    "review defer ids": "proposal",
    "review reject ids": "proposal",
    "review reopen ids": "proposal",
    "--proposal": "proposal",
    "--at": "scope",
    "--scope": "scope",
    "--standby": "scope",
    "--emergency-access": "principal",
    "--canary": "principal",
    "--automation": "principal",
    "--exclude": "excluded",
}
"""The kind of name that each takes: `COMMAND ARGUMENT`, `COMMAND --OPTION`, or `--OPTION` of any command."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The completions of the word at the cursor.

    Attributes:
        kind: `values`; or `files`, where the shell itself completes names of files.
        head: The part of the word before the value, such as `--at=`.
        values: The values, each with a description.
    """

    kind: str
    head: str = ""
    values: Sequence[tuple[str, str]] = ()


def answer(root: Any, given: Sequence[str]) -> NoReturn:
    """Write the completions of a command line for the script of a shell, and end the process.

    Nothing is ever written to stderr.

    Args:
        root: The command `rightsize`.
        given: The name of the shell, and what its script says of the command line.
    """
    watch = threading.Timer(_SECONDS, os._exit, (0,))
    watch.daemon = True
    watch.start()
    with suppress(BaseException):
        sys.stdout.buffer.write("".join(f"{line}\n" for line in lines_of(root, given)).encode())
        sys.stdout.buffer.flush()
    os._exit(0)


def lines_of(root: Any, given: Sequence[str]) -> list[str]:
    """Return the lines that the script of a shell reads; none where anything goes wrong."""
    try:
        return _SHELLS[given[0]](root, given[1:])
    except Exception:
        return []


def offer(root: Any, before: Sequence[str], word: str) -> Offer:
    """Return the completions of a word that follows other words."""
    words, _ = with_new_name(before)
    ctx = _resolve_context(root, {}, "rightsize", list(words))
    asked, beginning = _resolve_incomplete(ctx, list(words), word)
    head = word[: len(word) - len(beginning)] if word.endswith(beginning) else ""
    kind = _kind_of(ctx.command, asked)
    below = _commands_beginning(ctx, words, beginning)
    if kind is not None:
        db = ctx.params.get("db") or DEFAULT_DB
        found = completions.values_beginning(Path(db), kind, beginning)
        return Offer("values", head, [*below, *found])
    if below:
        return Offer("values", head, below)
    items: list[CompletionItem] = asked.shell_complete(ctx, beginning)
    is_path = isinstance(asked, Parameter) and isinstance(asked.type, TyperPath)
    is_text = isinstance(asked, TyperArgument) and asked.type.name == "str"
    if is_path or is_text or any(item.type == "file" for item in items):
        return Offer("files", head)
    return Offer("values", head, [(str(item.value), item.help or "") for item in items])


def _commands_beginning(ctx: Any, before: list[str], beginning: str) -> list[tuple[str, str]]:
    """Return the commands that a word right after a command may be: those below it; all after `help`."""
    path = getattr(ctx.command, "path", None)
    if path is None or before[-1:] != [ctx.info_name]:
        return []
    below = entries_below("" if path in ("config show", "help") else path)
    return [(name, entry.summary) for name, entry in below.items() if name.startswith(beginning)]


def _kind_of(command: Any, asked: Any) -> completions.Kind | None:
    """Return the kind of name that an argument or option of a command takes; None for others, and for a command."""
    if asked is command:
        return None
    if asked.param_type_name != "option":
        return _KINDS.get(f"{command.path} {asked.name}")
    name = f"--{option_name(asked)}"
    return _KINDS.get(f"{command.path} {name}") or _KINDS.get(name)


def _bash(root: Any, given: Sequence[str]) -> list[str]:
    """Answer for the line up to the cursor, and the characters that readline breaks words at."""
    line, breaks = given
    read = read_line(line, breaks)
    found = offer(root, read.words[1:], read.word)
    before = len(read.before)
    lines = []
    for value, _ in found.values:
        quoted = quote_for_bash((found.head + value)[before:], read.quote)
        if quoted is not None:
            lines.append(quoted)
    return [found.kind, *lines]


def _described(root: Any, given: Sequence[str]) -> list[str]:
    """Answer for words and the word at the cursor, with a description for each value; the shell quotes."""
    *before, word = given
    found = offer(root, before, word)
    return [found.kind, *(f"{found.head}{value}\t{_short(help_)}" for value, help_ in found.values)]


def _powershell(root: Any, given: Sequence[str]) -> list[str]:
    """Answer as `_described` does, with values as PowerShell takes them."""
    *before, word = given
    # PowerShell drops empty arguments; its script adds a dot.
    found = offer(root, before, word.removeprefix("."))
    return [
        "\t".join((quote_for_powershell(found.head + value), value, _short(help_) or value))
        for value, help_ in found.values
    ]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _HELP else f"{line[: _HELP - 1]}…"


_SHELLS: Mapping[str, Callable[[Any, Sequence[str]], list[str]]] = {
    "bash": _bash,
    "zsh": _described,
    "fish": _described,
    "powershell": _powershell,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A command line of bash up to the cursor.

    Attributes:
        words: The words before the one at the cursor, without quotes.
        word: The word at the cursor, without quotes.
        before: The part of it that readline does not replace.
        quote: The quote that is open at the cursor, or the empty text.
    """

    words: Sequence[str]
    word: str
    before: str
    quote: str


def read_line(line: str, breaks: str) -> Line:
    """Return the words of a line of bash up to the cursor, without variables that are set for the command.

    Args:
        line: The line.
        breaks: The characters at which readline begins a new word (COMP_WORDBREAKS).
    """
    words: list[str] = []
    word, before, quote, is_word = "", "", "", False
    chars = iter(line)
    for char in chars:
        if (quote == "'" and char != "'") or (quote == '"' and char not in '"\\'):
            word += char
        elif char == quote:
            quote, before = "", word
        elif char == "\\":
            after = next(chars, "")
            word += after if not quote or after in '"\\$`' else char + after
        elif char in "'\"":
            quote, before = char, word
        elif char.isspace():
            if is_word:
                words.append(word)
            word, before, is_word = "", "", False
            continue
        else:
            word += char
            if char in breaks:
                # Readline keeps these two with the word that they begin (`rl_special_prefixes` of bash).
                before = word[:-1] if char in "@$" else word
        is_word = True
    while len(words) > 1 and re.match(r"\w+=", words[0]):
        del words[0]
    return Line(words, word, before, quote)


def quote_for_bash(value: str, quote: str) -> str | None:
    """Return a value as bash reads it within an open quote; None where it cannot stand there."""
    if quote == "'":
        return None if "'" in value else value
    if quote == '"':
        return None if "!" in value else re.sub(r'(["\\$`])', r"\\\1", value)
    return re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)


def quote_for_powershell(value: str) -> str:
    """Return a value as PowerShell reads it; it takes four characters for a single quote."""
    if re.fullmatch(r"[\w./:-][\w./:@=-]*", value):
        return value
    return "'" + re.sub("(['\u2018\u2019\u201a\u201b])", r"\1\1", value) + "'"
