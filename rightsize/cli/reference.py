"""Write the reference page of the commands from the commands themselves.

`python -m rightsize.cli.reference` prints it; `docs/commands.md` is its output, and a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rightsize.cli.command_pages import CommandPage, command_pages
from rightsize.cli.exit_codes import MEANINGS, codes_of

_HEAD = """# Commands

Written from the commands by `python -m rightsize.cli.reference`; do not edit. Options also come from
[rightsize.toml and the environment](configuration.md). The exit codes:

| code | meaning |
| --- | --- |
"""


def write_reference() -> str:
    """Return the page as Markdown."""
    codes = "".join(f"| {code.value} | {meaning} |\n" for code, meaning in MEANINGS.items())
    lines = [line for page in command_pages() for line in _section(page)]
    return f"{_HEAD}{codes}\n" + "\n".join(lines).rstrip() + "\n"


def _section(page: CommandPage) -> Iterator[str]:
    yield f"## rightsize {page.path}"
    yield ""
    yield f"`{page.usage}`"
    yield ""
    yield from page.help
    yield ""
    rows = [*page.arguments, *page.options]
    if rows:
        yield "| name | meaning | default |"
        yield "| --- | --- | --- |"
        for one in rows:
            default = f"`{one.default}`" if one.default else ""
            yield f"| `{one.name}` | {one.meaning.replace('|', chr(92) + '|')} | {default} |"
        yield ""
    yield f"Exit codes: {', '.join(str(code.value) for code in sorted(codes_of(page.path)))}."
    yield ""


if __name__ == "__main__":
    sys.stdout.write(write_reference())
