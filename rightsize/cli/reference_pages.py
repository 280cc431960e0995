"""Write the pages of reference that are made of the program: `python -m rightsize.cli.reference_pages FOLDER`.

The site has them beside the pages that people write (`docs/site/hooks.py`); whoever has the package can write them.

Describe each command for its pages: how it is called, its arguments and options, and its exit codes.

Write the reference page of the commands from the commands themselves.

What several commands take alike stands once, at the top; the section of a command names it.

Write the page of all controls from what describes them.

Write the page of all reasons of verdicts from their words and sentences.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.analyze.controls import SEVERITIES
from rightsize.analyze.reasons import (
    Attribution,
    OutOfCoverage,
    Unexplained,
    UnobservableReason,
    Unused,
    Verdict,
    sentence,
)
from rightsize.api.reference import write_reference as write_python_api
from rightsize.cli.exit_codes import MEANINGS, codes_of
from rightsize.cli.options import options_of
from rightsize.cli.registry import CommandGroup
from rightsize.collect.sources_page import write_sources_page
from rightsize.store.controls import Control, control_names, read_control
from rightsize.store.ddl import write_schema_page


@dataclass(frozen=True, slots=True)
class Named:
    """An argument or option.

    Attributes:
        name: An argument as it stands in the usage, or the forms of an option.
        meaning: Its help, in one line.
        default: Its default as text; empty where the page shows none.
        takes: What an option takes, such as `<path>`; empty for switches and arguments.
    """

    name: str
    meaning: str
    default: str = ""
    takes: str = ""


@dataclass(frozen=True, slots=True)
class CommandPage:
    """The content of the page of one command.

    Attributes:
        path: The words after `rightsize`.
        usage: How it is called, in one line.
        help: The lines of its help.
        options: Its options, without `--help`.
    """

    path: str
    usage: str
    help: Sequence[str]
    arguments: Sequence[Named]
    options: Sequence[Named]


def command_pages(group: CommandGroup | None = None) -> Iterator[CommandPage]:
    """Yield the page of each command below a group, by name; those of `rightsize` without a group."""
    commands = (group or CommandGroup()).commands
    for name in sorted(commands):
        if isinstance(found := commands[name], CommandGroup):
            yield from command_pages(found)
        else:
            yield _page(found)


def _page(command: Any) -> CommandPage:
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = options_of(command)
    words = [f"rightsize {command.path}", *("[OPTIONS]" for _ in options[:1]), *map(_usage, arguments)]
    return CommandPage(
        command.path,
        " ".join(words),
        (command.help or "").strip().splitlines(),
        [Named(_usage(one), _line(one.help)) for one in arguments],
        [
            Named(
                ", ".join([*one.opts, *one.secondary_opts]),
                _line(one.help),
                _default(one),
                "" if one.is_flag or one.count else one.make_metavar(None),
            )
            for one in options
        ],
    )


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[]").removesuffix("...")
    many = "..." if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _default(option: Any) -> str:
    value = option.default
    if value in (None, False, 0, (), [], "") or callable(value):
        return ""
    value = getattr(value, "value", value)
    if isinstance(value, list | tuple):
        value = ", ".join(str(getattr(item, "value", item)) for item in value)
    return str(value)


_COMMANDS_HEAD = """# Commands

Written from the commands; do not edit. Options also come from [rightsize.toml and the environment](configuration.md).
The exit codes:

| code | meaning |
| --- | --- |
"""
_SHARED = """
Options that several commands take. A section names them without their meaning:

"""
_TABLE = ("| name | meaning | default |", "| --- | --- | --- |")
_SEVERAL = 4
"""An option that so many commands take, with the same meaning and default, stands once."""


def write_reference() -> str:
    """Return the page as Markdown."""
    pages = list(command_pages())
    shared = _shared(pages)
    every = {one for one in shared if all(one in page.options for page in pages)}
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    lines = [*_TABLE, *map(_row, sorted(shared, key=lambda one: one.name)), ""]
    lines += [f"Every command takes {', '.join(sorted(map(_short, every)))}.", ""]
    lines += [line for page in pages for line in _command_section(page, shared, every)]
    return f"{_COMMANDS_HEAD}{codes}{_SHARED}" + "\n".join(lines).rstrip() + "\n"


def _shared(pages: Collection[CommandPage]) -> set[Named]:
    """Return the options that several commands take alike; of several meanings of a name the one that most have."""
    taken = Counter(one for page in pages for one in page.options)
    first: dict[str, Named] = {}
    for one, number in taken.most_common():
        if number >= _SEVERAL:
            first.setdefault(one.name, one)
    return set(first.values())


def _command_section(page: CommandPage, shared: Collection[Named], every: Collection[Named]) -> Iterator[str]:
    yield f"## rightsize {page.path}"
    yield ""
    yield f"`{page.usage}`"
    yield ""
    yield from page.help
    yield ""
    rows = [*page.arguments, *(one for one in page.options if one not in shared)]
    if rows:
        yield from _TABLE
        yield from map(_row, rows)
        yield ""
    also = ", ".join(_short(one) for one in page.options if one in shared and one not in every)
    codes = ", ".join(str(code.value) for code in sorted(codes_of(page.path)))
    yield f"{f'Also {also}. ' if also else ''}Exit codes: {codes}."
    yield ""


def _short(one: Named) -> str:
    return "`" + next(form for form in one.name.split(", ") if form.startswith("--")) + "`"


def _row(one: Named) -> str:
    default = f"`{one.default}`" if one.default else ""
    return f"| `{one.name}` | {one.meaning.replace('|', chr(92) + '|')} | {default} |"


_CONTROLS_HEAD = """# Controls

Written from the headers of `queries/controls/` and from `rules/held_operations.csv`; do not edit. [Gates](gates.md)
explains gates, exemptions and baselines.

| severity | control | question | rests on | checks |
|---|---|---|---|---|
"""
_CHECKS = """
## What is checked

| framework | id | title |
|---|---|---|
"""


def write_controls_page(controls: Iterable[Control]) -> str:
    """Return the page: a table, then each control with its description and parameters, the worst first."""
    ordered = sorted(controls, key=lambda one: (-SEVERITIES.index(one.severity), one.name))
    rows = [
        f"| {one.severity} | [`{one.name}`](#{one.name}) | {one.question.title} | {', '.join(one.needs)} | "
        f"{', '.join(f'{tag.framework} {tag.id}' for tag in one.tags)} |\n"
        for one in ordered
    ]
    tags = sorted({(tag.source.partition(":")[0], tag.id, tag.title) for one in ordered for tag in one.tags})
    checks = [f"| {source} | {id_} | {title.replace('|', chr(92) + '|')} |\n" for source, id_, title in tags]
    return (
        _CONTROLS_HEAD + "".join(rows) + "".join(_control_section(one) for one in ordered) + _CHECKS + "".join(checks)
    )


def _control_section(control: Control) -> str:
    lines = [f"\n## {control.name}\n\n{control.question.description}\n"]
    lines += ["\n"] if control.question.parameters else []
    lines += [f"- `{one.name}` (default {one.default}): {one.meaning}\n" for one in control.question.parameters]
    return "".join(lines)


_REASONS_HEAD = """# Reasons of verdicts

Written from the program; do not edit. [Verdicts](verdicts.md) has the rules. Rows of `verdicts` with
`role_definition_missing`, `no_catalogue` and `not_in_catalogue` have no number of operations, since it is not known.
"""
_KINDS = {
    Verdict.USED: Attribution,
    Verdict.UNUSED: Unused,
    Verdict.UNOBSERVABLE: UnobservableReason,
    Verdict.OUT_OF_COVERAGE: OutOfCoverage,
    Verdict.UNEXPLAINED: Unexplained,
}


def write_reasons_page() -> str:
    """Return the page as Markdown: one table a verdict, one row a reason."""
    lines = [_REASONS_HEAD]
    for verdict, kind in _KINDS.items():
        lines += [f"## {verdict.value}", "", "| reason | meaning |", "| --- | --- |"]
        lines += [f"| `{reason.value}` | {sentence(reason)} |" for reason in kind]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


REFERENCE_PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": write_reference,
    "controls.md": lambda: write_controls_page(map(read_control, control_names())),
    "python-api.md": write_python_api,
    "reasons.md": write_reasons_page,
    "schema.md": write_schema_page,
    "sources.md": write_sources_page,
}
"""What writes each page, by the name of its file."""


if __name__ == "__main__":
    for name, write in REFERENCE_PAGES.items():
        (Path(sys.argv[1]) / name).write_text(write(), encoding="utf-8")
