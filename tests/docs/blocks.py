"""Find the fenced blocks of a page, and the commands that each of them shows.

A block is one of these:

- a transcript: lines that begin with `$ ` are commands, the others what they print, with `…` for what is left out;
- a script, fenced as `sh`: every line is run, and what it prints does not matter;
- a list: other blocks with lines that begin with `rightsize`, words behind two spaces are not part of the command.

A comment on the line above a fence says what tests do with it: `<!-- not run: REASON -->` leaves it to the test that
parses command lines, `<!-- before: COMMAND -->` names a command of the shell to run first.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = "…"
_FENCED = re.compile(r"((?:^<!-- .*? -->\n)*)^```(\w*)\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
_WITHOUT = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!-- (not run|before): (.*?) -->")
_ENDS = frozenset({";", "&&", "||", "|", "&", "(", ")", "\n"})


@dataclass(frozen=True, slots=True)
class Step:
    """A command, and the lines that the page quotes below it."""

    command: str
    quoted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: where it stands, its language and text, and what its comments say."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str
    before: tuple[str, ...]

    @property
    def place(self) -> str:
        """Where to look: the page and the line of the fence."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_transcript(self) -> bool:
        """Whether the block has commands with what they print."""
        return self.text.startswith("$ ")

    @property
    def is_script(self) -> bool:
        """Whether the block is run as it stands."""
        return self.language == "sh"

    @property
    def is_run(self) -> bool:
        """Whether a test runs the block."""
        return not self.not_run and (self.is_transcript or self.is_script)

    def steps(self) -> list[Step]:
        """Return the commands of a transcript or a script, each with the lines that are quoted below it."""
        if not self.is_transcript:
            return [Step(command, ()) for command in _whole_commands(self.text.splitlines())]
        steps: list[Step] = []
        quoted: list[str] = []
        lines = iter(self.text.splitlines())
        for line in lines:
            if line.startswith("$ "):
                command = line[2:]
                while not _is_whole(command):
                    command += "\n" + next(lines)
                quoted = []
                steps.append(Step(command, ()))
            else:
                quoted.append(line.rstrip())
                steps[-1] = Step(steps[-1].command, tuple(quoted))
        return steps

    def command_lines(self) -> Iterator[list[str]]:
        """Yield the words of each command line of `rightsize` in the block, but for those shown to be wrong."""
        if self.is_transcript or self.is_script:
            for step in self.steps():
                if "exit 2" not in step.quoted:
                    yield from words_of_commands(step.command)
        else:
            for line in self.text.splitlines():
                if re.match(r"(?:\.venv/bin/)?rightsize ", line):
                    yield from words_of_commands(re.split(r"(?<=\S)\s{2,}(?=[\w;(`]|$)", line)[0])


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCED.finditer(text):
        said = _COMMENT.findall(match[1])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start()) + 1 + match[1].count("\n"),
                language=match[2],
                text=match[3],
                not_run=next((what for kind, what in said if kind == "not run"), ""),
                before=tuple(what for kind, what in said if kind == "before"),
            )
        )
    return found


def prose(text: str) -> str:
    """Return the text of a page without its fenced blocks."""
    return _WITHOUT.sub("", text)


def words_of_commands(shell: str) -> Iterator[list[str]]:
    """Yield the words of each call of `rightsize` in a text for a shell, without redirections and substitutions."""
    lexer = shlex.shlex(shell.replace("\\\n", " "), posix=True, punctuation_chars="();|&<>\n")
    lexer.whitespace = " \t"
    lexer.whitespace_split = True
    # A `#` within a word is part of it, as in `roles.json#Owner`.
    lexer.commenters = ""
    words: list[str] = []
    skip = False
    for token in _without_comments(lexer):
        if skip:
            skip = False
        elif token in _ENDS or (token and set(token) <= set(";|&()\n")):
            yield from _of_rightsize(words)
            words = []
        elif set(token) <= set("<>&"):
            # `2>` is a redirection with the number of a stream.
            words = words[:-1] if words[-1:] == ["2"] else words
            skip = True
        else:
            words.append(token)
    yield from _of_rightsize(words)


def _without_comments(lexer: shlex.shlex) -> Iterator[str]:
    comment = False
    for token in lexer:
        comment = (comment or token.startswith("#")) and token != "\n"
        if not comment:
            yield token


def _of_rightsize(words: list[str]) -> Iterator[list[str]]:
    if words and words[0] in ("rightsize", ".venv/bin/rightsize"):
        yield words[1:]


def _whole_commands(lines: list[str]) -> Iterator[str]:
    waiting = ""
    for line in lines:
        waiting = f"{waiting}\n{line}" if waiting else line
        if _is_whole(waiting):
            if waiting.strip() and not waiting.startswith("#"):
                yield waiting
            waiting = ""
    if waiting.strip():
        yield waiting


def _is_whole(command: str) -> bool:
    """Return whether a command has its end: no open quote, no loop or document that goes on."""
    if command.endswith("\\"):
        return False
    document = re.search(r"<<-?\s*'?(\w+)'?", command)
    if document:
        return command.splitlines()[-1].strip() == document[1]
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return False
    return not (words[:1] in (["for"], ["if"], ["while"]) and words[-1] not in ("done", "fi"))
