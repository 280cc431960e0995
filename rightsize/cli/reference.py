"""Write the reference page of the commands from the commands themselves.

`python -m rightsize.cli.reference` prints it; `docs/commands.md` is its output, and a test compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from rightsize.cli.main import app


def write_reference() -> str:
    """Return the page as Markdown."""
    root = typer.main.get_command(app)
    lines = ["# Commands", "", "Written from the commands by `python -m rightsize.cli.reference`; do not edit.", ""]
    for path, command in _commands("rightsize", root):
        lines.extend(_section(path, command))
    return "\n".join(lines).rstrip() + "\n"


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name in sorted(children):
        yield from _commands(f"{path} {name}", children[name])


def _section(path: str, command: Any) -> Iterator[str]:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([path, *("[OPTIONS]" for _ in options[:1]), *(_argument_usage(a) for a in arguments)])
    yield f"## {path}"
    yield ""
    yield f"`{usage}`"
    yield ""
    yield from (command.help or "").strip().splitlines()
    yield ""
    rows = [(_argument_usage(a), getattr(a, "help", None) or "", "") for a in arguments]
    rows += [(", ".join([*o.opts, *o.secondary_opts]), o.help or "", _default(o)) for o in options]
    if rows:
        yield "| name | meaning | default |"
        yield "| --- | --- | --- |"
        for name, meaning, default in rows:
            yield f"| `{name}` | {' '.join(meaning.split()).replace('|', chr(92) + '|')} | {default} |"
        yield ""


def _argument_usage(argument: Any) -> str:
    name = (argument.metavar or argument.name).upper().strip("[]").removesuffix("...")
    many = "..." if argument.nargs != 1 else ""
    return f"{name}{many}" if argument.required else f"[{name}{many}]"


def _default(option: Any) -> str:
    value = option.default
    if value in (None, False, 0, (), [], "") or callable(value):
        return ""
    value = getattr(value, "value", value)
    if isinstance(value, (list, tuple)):
        value = ", ".join(str(getattr(item, "value", item)) for item in value)
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(write_reference())
