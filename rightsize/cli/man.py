"""Write the manual pages from the commands: one for each command, and `rightsize(1)`, which lists them.

`python -m rightsize.cli.man docs/man` writes them into the folder `docs/man`, which the wheel installs as
`share/man/man1`; a test compares the two. The macros are those of man(7).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rightsize.cli.exit_codes import MEANINGS, ExitCode, exit_rows
from rightsize.cli.options import CONFIG, FILE, WITHOUT_FILE, variable
from rightsize.cli.reference_pages import CommandPage, Named, command_pages
from rightsize.cli.registry import COMMANDS

_SHARED = Named("--shared", "Let others read what a command writes, as far as the umask of the shell allows.")
_VERSION = Named("--version", "Show the version.")
_FILES = (
    f"Options also stand in {FILE}, beside the store or in the working folder. See the page on configuration in the "
    "documentation, and rightsize-config-show(1)."
)


def man_pages() -> Mapping[str, str]:
    """Return the text of each page by the name of its file."""
    pages = list(command_pages())
    found = {_file(page.path): _text(_command_page(page)) for page in pages}
    return {"rightsize.1": _text(_first_page(pages)), **found}


def _file(path: str) -> str:
    return f"{_name(path)}.1"


def _name(path: str) -> str:
    return "-".join(("rightsize", *path.split()))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"


def _command_page(page: CommandPage) -> Iterator[str]:
    yield from _head(page.path, page.help[0])
    yield ".SH SYNOPSIS"
    command, _, rest = page.usage.partition(" [OPTIONS]")
    yield f".B {_escaped(command)}"
    yield rf"[\fIOPTION\fR]...{_escaped(rest)}"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(page.help)
    for title, rows in (("ARGUMENTS", page.arguments), ("OPTIONS", page.options)):
        if rows:
            yield f".SH {title}"
            for one in rows:
                yield from _named(one)
    yield from _exit_status(exit_rows(page.path))
    if page.path not in WITHOUT_FILE:
        yield ".SH ENVIRONMENT"
        yield ".TP"
        yield rf".BI {_escaped(variable(page.path, ''))} OPTION"
        yield "Sets an option: its name in capitals, with underscores. What confirms a change is typed each time."
        yield ".SH FILES"
        yield _escaped(_FILES)
    yield from _see_also(["rightsize", *_beside(page.path)])


def _first_page(pages: Iterable[CommandPage]) -> Iterator[str]:
    summaries = {page.path: page.help[0] for page in pages}
    yield from _head("", "least privilege for Azure and Entra")
    yield ".SH SYNOPSIS"
    yield ".B rightsize"
    yield r"[\fB\-\-shared\fR] \fICOMMAND\fR [\fIOPTION\fR]... [\fIARGUMENT\fR]..."
    yield ".SH DESCRIPTION"
    yield _escaped("Shows what is granted, what was used, and the smallest roles that cover it, with proof.")
    yield ".SH COMMANDS"
    group = ""
    for entry in COMMANDS:
        if entry.group and entry.group != group:
            group = entry.group
            yield f".SS {group}"
        if entry.name in summaries:
            yield ".TP"
            yield f".BR {_escaped(_name(entry.name))} (1)"
            yield _escaped(entry.summary)
    yield ".SH OPTIONS"
    for one in (_VERSION, _SHARED):
        yield from _named(one)
    yield from _exit_status(MEANINGS.items())
    yield ".SH ENVIRONMENT"
    for name, meaning in (
        (CONFIG, f"The configuration file, in the place of {FILE}."),
        ("RIGHTSIZE_COMMAND_OPTION", "Sets an option of a command, such as RIGHTSIZE_PROPOSE_READS."),
        ("NO_COLOR", "With any value but the empty one, output for people has no colour."),
        ("RIGHTSIZE_DEBUG", "With any value but the empty one, errors end with a stack trace."),
    ):
        yield ".TP"
        yield f".B {_escaped(name)}"
        yield _escaped(meaning)
    yield ".SH FILES"
    yield _escaped(_FILES)


def _head(path: str, summary: str) -> Iterator[str]:
    name = _escaped(_name(path))
    yield r".\" Written from the commands by `python -m rightsize.cli.man docs/man`; do not edit."
    yield f'.TH {name.upper()} 1 "" rightsize "Manual of rightsize"'
    yield ".SH NAME"
    yield rf"{name} \- {_escaped(summary.removesuffix('.'))}"


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield _escaped(line.strip()) if line.strip() else ".PP"


def _named(one: Named) -> Iterator[str]:
    yield ".TP"
    forms = ", ".join(rf"\fB{_escaped(form)}\fR" for form in one.name.split(", "))
    yield rf"{forms} \fI{_escaped(one.takes)}\fR" if one.takes else forms
    yield _escaped(f"{one.meaning} Default: {one.default}." if one.default else one.meaning)


def _exit_status(rows: Iterable[tuple[ExitCode, str]]) -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in rows:
        yield ".TP"
        yield f".B {code.value}"
        yield f"{_escaped(meaning)}."


def _beside(path: str) -> list[str]:
    """Return the pages of the commands below the same word."""
    word = path.split(maxsplit=1)[0]
    return [_name(one.name) for one in COMMANDS if one.function and one.name != path and one.name.split()[0] == word]


def _see_also(names: list[str]) -> Iterator[str]:
    yield ".SH SEE ALSO"
    for number, name in enumerate(names, 1):
        yield f".BR {_escaped(name)} (1){',' if number < len(names) else ''}"


def _escaped(text: str) -> str:
    """Return a text that troff prints as it stands."""
    found = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    found = "".join(char if char.isascii() else rf"\[u{ord(char):04X}]" for char in found)
    return rf"\&{found}" if found.startswith(".") else found


if __name__ == "__main__":
    for file, text in man_pages().items():
        (Path(sys.argv[1]) / file).write_text(text, encoding="ascii")
