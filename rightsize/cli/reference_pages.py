"""Write the pages of reference that are made of the program: `python -m rightsize.cli.reference_pages FOLDER`.

The site has them beside the pages that people write (`docs/site/hooks.py`); whoever has the package can write them.
There is one of the commands, of all controls, of the reasons of verdicts, and of the sources that are collected; other
modules write those of tables and of Python. What several commands take alike stands once, at the top.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from rightsize.analyze import reasons
from rightsize.analyze.controls import SEVERITIES
from rightsize.api.reference import write_reference as write_python_api
from rightsize.azure.wire import WireRequest
from rightsize.cli.exit_codes import MEANINGS, codes_of
from rightsize.cli.options import options_of
from rightsize.cli.registry import CommandGroup
from rightsize.collect.known import ProbeKnown
from rightsize.collect.listing import CollectionRequest, Source
from rightsize.collect.sources import SOURCES
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
    reasons.Verdict.USED: reasons.Attribution,
    reasons.Verdict.UNUSED: reasons.Unused,
    reasons.Verdict.UNOBSERVABLE: reasons.UnobservableReason,
    reasons.Verdict.OUT_OF_COVERAGE: reasons.OutOfCoverage,
    reasons.Verdict.UNEXPLAINED: reasons.Unexplained,
}


def write_reasons_page() -> str:
    """Return the page as Markdown: one table a verdict, one row a reason."""
    lines = [_REASONS_HEAD]
    for verdict, kind in _KINDS.items():
        lines += [f"## {verdict.value}", "", "| reason | meaning |", "| --- | --- |"]
        lines += [f"| `{reason.value}` | {reasons.sentence(reason)} |" for reason in kind]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


_ID = "11111111-1111-4111-8111-111111111111"
_INNER = "22222222-2222-4222-8222-222222222222"
_SUBSCRIPTION = "33333333-3333-4333-8333-333333333333"
_WORKSPACE = "44444444-4444-4444-8444-444444444444"
_SOURCES_HEAD = """# What is collected

Written from the sources themselves. [Collecting](collect.md) says how they are asked and what lies in a run's folder.

A permission of Azure is an action, or a data action where that is said; one of Graph is an application or a delegated
permission. The role is the smallest built-in one that has it: of Azure for an action, of the directory for a person who
uses a permission of Graph. What is *kept* lies in the run as raw pages and is not loaded; pages of everything else go
to `load`, which counts what it does not read yet.
"""
_SOURCE_TABLE = "| source | what | asked | permission | role | pages |\n|---|---|---|---|---|---|\n"
_SERVICES = {
    "arm": "Azure Resource Manager",
    "graph": "Microsoft Graph",
    "logs": "Log Analytics",
    "storage": "Storage accounts",
}


class _Example(ProbeKnown):
    """A tenant that has one of everything."""

    def subscriptions(self) -> list[str]:
        return [_SUBSCRIPTION]

    def management_groups(self) -> list[str]:
        return []

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        resource = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/group/providers/namespace/type/resource"
        record: dict[str, Any] = {
            "id": resource if source in ("user_assigned_identities", "cosmos_accounts") else _ID,
            "properties": {"principalId": _ID, "principalType": "Group"},
            "owners": [{}] * 20,
            "appRoles": [{}],
            "hour": "2026-09-01T00:00:00Z",
            "rows": 1,
            "name": "blob",
            "size": 1,
        }
        if source in ("group_members", "transitive_members"):
            record = {"@odata.type": "#microsoft.graph.group", "id": _INNER}
        if source == "resources":
            record |= {"id": resource, "type": "Microsoft.KeyVault/vaults"}
        key = {"exported_blobs": "account/container"}.get(source, _WORKSPACE if source.endswith("_counts") else _ID)
        yield key, iter([record])


def write_sources_page() -> str:
    """Return the page as Markdown: one table a service, one row a source."""
    parts = [_SOURCES_HEAD]
    for service, title in _SERVICES.items():
        parts.append(f"\n## {title}\n\n{_SOURCE_TABLE}")
        # How many rows an hour has is asked of each table; it is the table's own line that counts.
        parts += [_source_row(one) for one in SOURCES if one.service == service and not one.name.endswith("_counts")]
    return "".join(parts)


def _source_row(source: Source) -> str:
    right = source.right
    permission = "<br>".join(f"`{name}`" for name in (right.permission, *right.also))
    if right.is_data_action:
        permission += " (data action)"
    licence = f"<br>licence: {right.licence}" if right.licence else ""
    question = CollectionRequest(
        dt.datetime(2026, 10, 1, tzinfo=dt.UTC), 30, workspaces=(_WORKSPACE,), containers=("account/container",)
    )
    unit = next(iter(source.units(_Example(question))))
    cells = (
        f"`{source.name}`",
        source.title,
        f"`{_asked(unit.requests[0])}`",
        permission + licence,
        right.role,
        "kept" if source.is_raw else "loaded",
    )
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |\n"


def _asked(request: WireRequest) -> str:
    text = unquote(request.url)
    for found, name in ((_ID, "id"), (_INNER, "id"), (_SUBSCRIPTION, "subscription"), (_WORKSPACE, "workspace")):
        text = text.replace(found, f"{{{name}}}")
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:]+Z", "{time}", text)
    text = text.replace("/resourceGroups/group/providers/namespace/type/resource", "/…").replace("/blob", "/{blob}")
    if request.body and request.service == "logs":
        query = json.loads(request.body)["query"].splitlines()
        text += f" {query[-1]}" if len(query) < 5 else " (the reduction of the table)"
    return f"{request.method} {text}"


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
