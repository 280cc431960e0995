"""Write the reference page of the commands from the commands themselves.

What several commands take alike stands once, at the top; the section of a command names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from rightsize.cli.command_pages import CommandPage, Named, command_pages
from rightsize.cli.exit_codes import MEANINGS, codes_of

_HEAD = """# Commands

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
    lines += [line for page in pages for line in _section(page, shared, every)]
    return f"{_HEAD}{codes}{_SHARED}" + "\n".join(lines).rstrip() + "\n"


def _shared(pages: Collection[CommandPage]) -> set[Named]:
    """Return the options that several commands take alike; of several meanings of a name the one that most have."""
    taken = Counter(one for page in pages for one in page.options)
    first: dict[str, Named] = {}
    for one, number in taken.most_common():
        if number >= _SEVERAL:
            first.setdefault(one.name, one)
    return set(first.values())


def _section(page: CommandPage, shared: Collection[Named], every: Collection[Named]) -> Iterator[str]:
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
