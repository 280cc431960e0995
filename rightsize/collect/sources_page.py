"""Write the page of all sources from what describes them."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from rightsize.azure.wire import WireRequest
from rightsize.collect.listing import CollectionRequest, Source
from rightsize.collect.sources import SOURCES

_ID = "11111111-1111-4111-8111-111111111111"
_INNER = "22222222-2222-4222-8222-222222222222"
_SUBSCRIPTION = "33333333-3333-4333-8333-333333333333"
_WORKSPACE = "44444444-4444-4444-8444-444444444444"
_HEAD = """# What is collected

Written from the sources themselves. [Collecting](collect.md) says how they are asked and what lies in a run's folder.

A permission of Azure is an action, or a data action where that is said; one of Graph is an application or a delegated
permission. The role is the smallest built-in one that has it: of Azure for an action, of the directory for a person who
uses a permission of Graph. What is *kept* lies in the run as raw pages and is not loaded; pages of everything else go
to `load`, which counts what it does not read yet.
"""
_TABLE = "| source | what | asked | permission | role | pages |\n|---|---|---|---|---|---|\n"
_SERVICES = {
    "arm": "Azure Resource Manager",
    "graph": "Microsoft Graph",
    "logs": "Log Analytics",
    "storage": "Storage accounts",
}


class _Example:
    """A tenant that has one of everything."""

    question = CollectionRequest(
        dt.datetime(2026, 10, 1, tzinfo=dt.UTC), 30, workspaces=(_WORKSPACE,), containers=("account/container",)
    )

    def subscriptions(self) -> list[str]:
        return [_SUBSCRIPTION]

    def management_groups(self) -> list[str]:
        return []

    def is_held(self, *_: str) -> bool:
        return False

    def since(self, *_: Any) -> dt.datetime:
        return self.question.since

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

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        for _, records in self.parts(source):
            yield from records


def write_sources_page() -> str:
    """Return the page as Markdown: one table a service, one row a source."""
    parts = [_HEAD]
    for service, title in _SERVICES.items():
        parts.append(f"\n## {title}\n\n{_TABLE}")
        # How many rows an hour has is asked of each table; it is the table's own line that counts.
        parts += [_row(one) for one in SOURCES if one.service == service and not one.name.endswith("_counts")]
    return "".join(parts)


def _row(source: Source) -> str:
    right = source.right
    permission = "<br>".join(f"`{name}`" for name in (right.permission, *right.also))
    if right.is_data_action:
        permission += " (data action)"
    licence = f"<br>licence: {right.licence}" if right.licence else ""
    unit = next(iter(source.units(_Example())))
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
