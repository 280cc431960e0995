"""Run the commands of a page in one shell, and hold what they print against what the page quotes.

With `RIGHTSIZE_WRITE_GOLDEN=1` the page is written anew: each quote keeps its number of lines before and behind `…`.
"""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rightsize.cli.main import run
from tests.docs.blocks import LEFT_OUT, ROOT, Block, Step, blocks, words_of_commands

_MARK = "== end of a command =="
_WIDTH = "100"
_ASKS = '; echo "exit $?"'


@dataclass(frozen=True, slots=True)
class Done:
    """What one command printed, on both streams in their order, and its exit code."""

    lines: tuple[str, ...]
    code: int


def environment(home: Path) -> dict[str, str]:
    """Return the variables of the shell: the installed command first, a home without anybody's settings."""
    return {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "COLUMNS": _WIDTH,
        "LC_ALL": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "POLARS_MAX_THREADS": "1",
        "PYTHONPATH": str(ROOT),
    }


def run_shell(commands: Iterable[str], folder: Path, home: Path) -> list[Done]:
    """Run commands one after the other in one bash, and return what each of them gave."""
    given = list(commands)
    script = "".join(f"{command}\nprintf '\\n%s %s\\n' '{_MARK}' $?\n" for command in given)
    ran = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{script}"],
        cwd=folder,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
        timeout=600,
    )
    done: list[Done] = []
    lines: list[str] = []
    for line in ran.stdout.decode().splitlines():
        if line.startswith(_MARK):
            while lines and not lines[-1].strip():
                lines.pop()
            done.append(Done(tuple(text.rstrip() for text in lines), int(line.rsplit(" ", 1)[1])))
            lines = []
        else:
            lines.append(line)
    assert len(done) == len(given), lines
    return done


def run_here(commands: Iterable[str], folder: Path, home: Path) -> list[Done]:
    """Run commands one after the other: those of `rightsize` alone in this process, all others in bash.

    A command that ends with `cd FOLDER` moves those after it.
    """
    done = []
    with mock.patch.dict(os.environ, environment(home)), contextlib.chdir(folder):
        for command in commands:
            words = _alone(command)
            done.append(_run(words, command) if words else run_shell([command], Path.cwd(), home)[0])
            if entered := re.search(r"&& cd (\S+)$", command):
                os.chdir(entered[1])
    return done


def _alone(command: str) -> list[str]:
    """Return the words of a call of `rightsize` without any other part of a shell; none of other commands."""
    plain = command.removesuffix(_ASKS)
    bare = re.sub(r"'[^']*'|\"[^\"$`]*\"", "", plain.split(" #")[0])
    if not bare.startswith("rightsize ") or re.search(r"[|&;<>$`*~\n]", bare):
        return []
    return next(words_of_commands(plain))


def _run(words: list[str], command: str) -> Done:
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
        code = run(words)
        if command.endswith(_ASKS):
            print(f"exit {code}")
            code = 0
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    while lines and not lines[-1]:
        lines.pop()
    return Done(tuple(lines), code)


def run_blocks(
    which: Iterable[Block], runner: Callable[[list[str]], list[Done]], instead: Mapping[str, str] | None = None
) -> list[tuple[Block, Step, Done]]:
    """Run the blocks of a page; `instead` has other commands to run in the place of some."""
    steps = [(block, step) for block in which for step in [*(Step(text, ()) for text in block.before), *block.steps()]]
    done = runner([(instead or {}).get(step.command, step.command) for _, step in steps])
    return [(block, step, one) for (block, step), one in zip(steps, done, strict=True)]


def differences(block: Block, step: Step, done: Done) -> list[str]:
    """Return what is wrong with a step: its exit code, or a quote that the command does not print."""
    wrong = []
    if done.code != 0:
        wrong.append(f"{block.place}: `{step.command}` ends with {done.code}: {' / '.join(done.lines[-4:])}")
    if any("internal error" in line for line in done.lines):
        wrong.append(f"{block.place}: `{step.command}` fails: {' / '.join(done.lines[-4:])}")
    if block.is_transcript and step.command not in block.before and not _quotes(step.quoted, done.lines):
        wrong.append(f"{block.place}: `{step.command}` prints something else:\n" + "\n".join(done.lines[:60]))
    return wrong


def _parts(quoted: Iterable[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for line in quoted:
        if line.strip() == LEFT_OUT:
            parts.append([])
        else:
            parts[-1].append(line)
    return parts


def _quotes(quoted: tuple[str, ...], lines: tuple[str, ...]) -> bool:
    """Return whether the quote is the output: whole, or its parts in order, the first and last in their places."""
    parts = _parts(quoted)
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return list(lines) == first
    if list(lines[: len(first)]) != first or list(lines[len(lines) - len(last) :]) != last:
        return False
    at = len(first)
    for part in parts[1:-1]:
        found = next((i for i in range(at, len(lines)) if list(lines[i : i + len(part)]) == part), None)
        if found is None:
            return False
        at = found + len(part)
    return at <= len(lines) - len(last)


def write_quotes(page: Path, ran: Iterable[tuple[Block, Step, Done]], keep: Collection[str] = ()) -> None:
    """Write the page anew with what its commands printed, but for those to keep."""
    text = page.read_text(encoding="utf-8")
    by_block: dict[int, list[tuple[Step, Done]]] = {}
    for block, step, done in ran:
        if block.is_transcript and step.command not in block.before:
            by_block.setdefault(block.line, []).append((step, done))
    for block in reversed(blocks(page)):
        if block.line in by_block:
            new = "".join(
                f"$ {step.command}\n"
                + "".join(
                    f"{line}\n" for line in (step.quoted if step.command in keep else _anew(step.quoted, done.lines))
                )
                for step, done in by_block[block.line]
            )
            lines = text.splitlines(keepends=True)
            lines[block.line : block.line + block.text.count("\n")] = [new]
            text = "".join(lines)
    page.write_text(text, encoding="utf-8")


def _anew(quoted: tuple[str, ...], lines: tuple[str, ...]) -> list[str]:
    parts = _parts(quoted)
    if len(parts) == 1:
        return list(lines)
    new, at = list(lines[: len(parts[0])]), len(parts[0])
    for part in parts[1:-1]:
        near = difflib.get_close_matches(part[0], lines[at:], n=1, cutoff=0.3) if part else []
        start = lines.index(near[0], at) if near else at
        new += [LEFT_OUT, *lines[start : start + len(part)]]
        at = start + len(part)
    return [*new, LEFT_OUT, *lines[len(lines) - len(parts[-1]) :]]
