"""Write the bash and PowerShell scripts that fetch exports with `az`, with the requests of the sources of `collect`.

Each source is asked for its units in a tenant that has one of everything, under names that occur nowhere else. Where a
name stands in a request, the script puts in what it finds. So script and collection send the same requests.

The program is `render/exports/fetch.py`. A script only finds the Python that `az` runs on and hands it the program, so
both shells ask the same in the same way, and no shell ever reads a URL or a name.
"""

from __future__ import annotations

import ast
import datetime as dt
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect import listing
from rightsize.collect.known import ProbeKnown
from rightsize.collect.sources import chosen_sources
from rightsize.collect.sources.azure import OBSERVED_TYPES
from rightsize.model.errors import InternalError, UsageError
from rightsize.model.text import fold

Shell = Literal["bash", "powershell"]

_PARTS = ("az.py", "folder.py", "fetch.py")
_END = "END_OF_PROGRAM"
_HEAD = """\
Fetches what `rightsize load` reads of a tenant into a folder, with `az` as it is signed in. It changes nothing in
Azure, and the same command continues an interrupted run. Usage: {usage} [FOLDER] [--until TIME]
The requests are listed at the end of the program. No token is printed or stored."""

_BASH = """\
set -u
located() {{ az --version 2>/dev/null | sed -n "s/^Python location '\\(.*\\)'.*$/\\1/p"; }}
command -v az >/dev/null || {{ echo "error: az is not installed: see https://aka.ms/azure-cli" >&2; exit 2; }}
python=$(located)
[ -n "$python" ] && [ -x "$python" ] || python=$(command -v python3) \\
  || {{ echo "error: the Python of az was not found, and there is no python3" >&2; exit 2; }}
exec "$python" - "$@" <<'{end}'
{program}{end}
"""

_POWERSHELL = """\
$program = @'
{program}'@
if (-not (Get-Command az -ErrorAction SilentlyContinue)) {{
    [Console]::Error.WriteLine('error: az is not installed: see https://aka.ms/azure-cli')
    exit 2
}}
$python = az --version 2>$null | Select-String -Pattern "^Python location '(.*)'" |
    ForEach-Object {{ $_.Matches[0].Groups[1].Value }} | Select-Object -First 1
if (-not $python -or -not (Test-Path -LiteralPath $python)) {{
    [Console]::Error.WriteLine('error: the Python of az was not found')
    exit 2
}}
$OutputEncoding = [System.Text.ASCIIEncoding]::new()
$program | & $python '-' @args
exit $LASTEXITCODE
"""


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """A request that the script sends, once for each thing that it is about.

    In `url`, `body` and `name`, `{subscription}`, `{scope}`, `{id}`, `{first}` and `{last}` stand for what is found.

    Attributes:
        source: The folder of its answers.
        kind: What they hold, as `load` prints it in `source`.
        service: `arm` or `graph`.
        url: Path and query from the root of the service.
        each: What it is about: tenant, subscription, management_group, group, or record.
        form: What to write of an answer: pages, records of a log, or the answers of a query of Resource Graph.
        name: The file of the answers, without ending.
        method: GET, or POST with a `body`.
        headers: `NAME=VALUE` beside those of `az`.
        instead: The URL to ask if this one is refused: the same with fewer fields.
        parent: The source whose records it is about, if `each` is record; `type` and `having` choose among them.
        type: Folded type of these records.
        having: A key that these records have, with a value.
        slice_days: Days of a log that one request asks for; 0 asks for all at once.
        reach_days: Days that the service keeps.
    """

    source: str
    kind: str
    service: str
    url: str
    each: str
    form: str
    name: str
    method: str = "GET"
    body: str = ""
    headers: tuple[str, ...] = ()
    instead: str = ""
    parent: str = ""
    type: str = ""
    having: str = ""
    slice_days: int = 0
    reach_days: int = 0


def export_script(requests: Sequence[FetchRequest], days: int, subscriptions: Sequence[str], shell: Shell) -> str:
    """Return a script that sends these requests for the last `days` of logs; without subscriptions, for all of them."""
    program = _program(requests, days, subscriptions)
    if shell == "bash":
        return "".join(["#!/usr/bin/env bash\n", *_comments("bash SCRIPT"), _BASH.format(program=program, end=_END)])
    return "".join([*_comments("SCRIPT.ps1"), _POWERSHELL.format(program=program)])


def _comments(usage: str) -> Iterator[str]:
    yield from (f"# {line}\n" for line in _HEAD.format(usage=usage).splitlines())


def _program(requests: Sequence[FetchRequest], days: int, subscriptions: Sequence[str]) -> str:
    """Return the source of the program with its requests: ASCII, and no line that ends the text for a shell."""
    lines = ",\n".join(
        # An apostrophe would end the text in Python.
        json.dumps({name: value for name, value in asdict(one).items() if value}).replace("'", "\\u0027")
        for one in requests
    )
    asked = f'{{"days": {days}, "subscriptions": {json.dumps(list(subscriptions))}, "requests": [\n{lines}\n]}}'
    source = "\n\n".join(["from __future__ import annotations\n", *map(_part, _PARTS)])
    program = f"{source}\n\nASKED = r'''\n{asked}\n'''\n\nsys.exit(main(json.loads(ASKED), sys.argv[1:]))\n"
    if not program.isascii() or any(line.startswith(("'@", _END)) for line in program.splitlines()):
        raise InternalError("the program would end its own script")
    return program


def _part(name: str) -> str:
    """Return the source of a module without its imports of the other parts, which stand in the same text."""
    text = (files("rightsize.render") / "exports" / name).read_text(encoding="utf-8")
    lines = text.splitlines(keepends=True)
    for node in ast.parse(text).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("rightsize.", "__future__")):
            lines[node.lineno - 1 : node.end_lineno] = [""] * ((node.end_lineno or node.lineno) - node.lineno + 1)
    return "".join(lines)


_SUBSCRIPTION = "a0000000-0000-4000-8000-000000000001"
_GROUP = "a0000000-0000-4000-8000-000000000002"
_OBJECT = "a0000000-0000-4000-8000-000000000003"
_SCOPE = "/providers/Microsoft.Management/managementGroups/a0000000-0000-4000-8000-000000000004"
_RESOURCE = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/a/providers/a0000000-0000-4000-8000-000000000005/a/a"
_FIRST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_MOST_DAYS = 3_650
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TYPES = sorted(OBSERVED_TYPES)
_PLACES = (
    (_SUBSCRIPTION, "subscription", "{subscription}"),
    (_GROUP, "group", "{id}"),
    (_SCOPE, "management_group", "{scope}"),
    (_OBJECT, "record", "{id}"),
)
"""The names of the example, what a request with one of them is about, and the word in its place."""
_FORMS: dict[listing.Form, str] = {listing.read_records: "records", listing.read_graph_query: "query"}
_KINDS = {
    **dict.fromkeys(
        (
            "resource_graph", "user_assigned_identities", "key_vaults", "storage_accounts", "kubernetes_clusters",
            "container_registries", "cosmos_accounts", "event_hubs", "service_buses", "app_configurations",
            "cognitive_accounts", "search_services", "log_workspaces",
        ),
        "resources",
    ),
    **dict.fromkeys(("deleted_users", "deleted_groups", "deleted_service_principals"), "deleted_items"),
    "agent_blueprint_sponsors": "agent_blueprints",
    **dict.fromkeys(("agent_blueprint_principals", "agent_identities", "agent_sponsors"), "service_principals"),
    "agent_users": "users",
    **dict.fromkeys(("application_owners", "service_principal_owners", "group_owners"), "object_owners"),
    **dict.fromkeys(
        ("role_management_policy_assignments", "directory_role_policies", "group_policies"), "role_management_policies"
    ),
    "administrative_unit_members": "unit_members",
    "delegated_grants": "permission_grants",
    "alerts": "graph_alerts",
    "incidents": "graph_incidents",
    "sign_ins": "sign_in_log",
    "directory_audits": "entra_audit_log",
}  # fmt: skip
"""The names that `load` prints for sources which it does not call by their own name."""
_NOT_READ = (
    "licences", "applications", "access_packages", "access_package_assignments", "classic_administrators",
    "cosmos_role_assignments", "cosmos_role_definitions", "lighthouse_definitions", "lighthouse_assignments",
)  # fmt: skip
"""The sources of which `load` reads nothing."""
_LEFT_OUT = frozenset({*_NOT_READ, "transitive_members", "nested_members"})
"""The script asks for the members of every group that it finds within another one, which says the same."""


class _OneOfEverything(ProbeKnown):
    """A tenant with one of everything; notes how many days each log reaches back."""

    def __init__(self, question: listing.CollectionRequest) -> None:
        super().__init__(question)
        self.reach: dict[str, int] = {}

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        """Yield the one unit of a source with its records."""
        yield _OBJECT, iter(_records(source))

    def since(self, source: str, key: str, lateness: dt.timedelta, oldest: dt.datetime | None = None) -> dt.datetime:  # noqa: ARG002
        """Return a time long before, and note the days from `oldest` to the end."""
        if oldest is not None:
            self.reach[source] = (_UNTIL - oldest).days
        return _FIRST


def _records(source: str) -> list[dict[str, Any]]:
    if source == "subscriptions":
        return [{"subscriptionId": _SUBSCRIPTION}]
    if source == "management_groups":
        return [{"id": _SCOPE}]
    if source == "resources":
        return [{"id": f"{_RESOURCE}{number}", "type": kind} for number, kind in enumerate(_TYPES)]
    if source in {"user_assigned_identities", "cosmos_accounts"}:
        return [{"id": f"{_RESOURCE}0"}]
    if source in {"role_assignments", "role_eligibility_instances", "role_assignment_instances"}:
        return [{"properties": {"principalId": _GROUP, "principalType": "Group"}}]
    if source in {"service_principals", "administrative_units", "agent_blueprints"}:
        return [{"id": _OBJECT, "appRoles": [{}]}]
    return []


def write_exports_script(
    days: int = 90, subscriptions: Sequence[str] = (), sources: Sequence[str] = (), shell: Shell = "bash"
) -> str:
    """Return the script that fetches what `load` wants of a tenant.

    Args:
        days: Days of the logs.
        subscriptions: Ids of subscriptions; empty for all that the reader sees, and all management groups.
        sources: Names of sources of `collect`; empty for all.
        shell: The shell that runs it.

    Raises:
        UsageError: A subscription is not an id, or a source is unknown.
    """
    ids = sorted({_checked(text) for text in subscriptions})
    return export_script(requests_of(sources, with_groups=not ids), days, ids, shell)


def _checked(text: str) -> str:
    folded = fold(text)
    if not _GUID.fullmatch(folded):
        raise UsageError(f"`--subscription {text}` is not the id of a subscription", hint="give its GUID")
    return folded


def requests_of(names: Sequence[str] = (), *, with_groups: bool = True) -> list[FetchRequest]:
    """Return the requests of these sources, all that `load` reads without names, and of those that they need.

    Args:
        names: Names of sources of `collect`.
        with_groups: Whether to ask at management groups and the tenant, too, for what is listed scope by scope.

    Raises:
        UsageError: A name is not a source, or no source that the script can ask.
    """
    asked = [one.name for one in chosen_sources(()) if not one.is_raw and one.name not in _LEFT_OUT]
    for name in names:
        if name not in asked:
            raise UsageError(
                f"`{name}` is not a source that the script asks", hint=f"one of {', '.join(sorted(asked))}"
            )
    chosen = [one for one in chosen_sources(names) if one.name in asked]
    tenant = _OneOfEverything(
        listing.CollectionRequest(_UNTIL, _MOST_DAYS, subscriptions=() if with_groups else (_SUBSCRIPTION,))
    )
    found: dict[tuple[str, str], FetchRequest] = {}
    for source in chosen:
        for unit in source.units(tenant):
            if unit.first not in (None, _FIRST):
                continue
            for request in unit.requests:
                one = _request(source, unit, request, tenant.reach.get(source.name, 0))
                found.setdefault((one.source, one.name + one.type), one)
    return list(found.values())


def _request(source: listing.Source, unit: listing.CollectionUnit, request: WireRequest, reach: int) -> FetchRequest:
    span = (unit.last - unit.first).days if unit.first and unit.last and unit.last != _UNTIL else 0
    one = FetchRequest(
        source=source.name,
        kind=_KINDS.get(source.name, source.name),
        service=request.service,
        url=request.url,
        each="tenant",
        form=_FORMS.get(source.form, "pages"),
        name=unit.label or _stream(unit.key) or "tenant",
        method=request.method,
        body=request.body or "",
        headers=tuple(f"{name}={value}" for name, value in request.headers.items()),
        instead=unit.instead[0].url if unit.instead else "",
        slice_days=span,
        reach_days=reach,
    )
    for name, text in ((listing.instant(_FIRST), "{first}"), (listing.instant(unit.last or _UNTIL), "{last}")):
        one = _filled(one, name, text)
    return _about(one, source)


def _stream(key: str) -> str:
    """Return the name of a stream of a log; nothing for a scope."""
    name = key.rpartition("#")[0] or key
    return name if name.isalnum() else ""


def _about(one: FetchRequest, source: listing.Source) -> FetchRequest:
    """Return a request with what it is about, and that in place of the example's names."""
    if _RESOURCE in one.url:
        number, _, rest = one.url.partition(_RESOURCE)[2].partition("/")
        service = "" if rest.startswith("providers/") or "/" not in rest else rest.partition("/")[0]
        found = replace(
            one,
            each="record",
            parent=source.after[0],
            type=_TYPES[int(number)] if source.after[0] == "resources" else "",
            name=f"{{id}}-{service}" if service else "{id}",
        )
        return _filled(found, f"{_RESOURCE}{number}", "{resource}")
    for text, each, word in _PLACES:
        if text in one.url or text in one.body:
            default = "{subscription}" if each == "subscription" else "{id}"
            about = replace(one, each=each, name=one.name if text in one.name else default)
            if each == "record":
                having = "appRoles" if source.name == "app_role_assignments" else ""
                about = replace(about, parent=source.after[0], having=having)
            return _filled(about, text, word)
    return one


def _filled(one: FetchRequest, text: str, word: str) -> FetchRequest:
    return replace(
        one,
        url=one.url.replace(text, word).replace(quote(text, safe=""), word),
        body=one.body.replace(text, word),
        name=one.name.replace(text, word),
        instead=one.instead.replace(text, word),
    )
