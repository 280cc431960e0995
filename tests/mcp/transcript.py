"""Record a session of an agent with `rightsize mcp` on the demo, as docs/mcp.md quotes it.

    python -m tests.mcp.transcript DEMO

writes the session into the page, from the folder that `rightsize demo DEMO` made.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

PAGE = Path(__file__).resolve().parents[2] / "docs" / "mcp.md"
BEGIN = "<!-- session -->\n\n<!-- not run: a session, which a test of its own holds -->\n```\n"
END = "\n```\n\n<!-- end of the session -->"
_WIDTH = 118
TEAM = "Patient Portal Team"
WEB = "/subscriptions/9efbfd4a-541a-4277-9f5a-7d03a7f59685/resourceGroups/rg-portal-web"
DATA = WEB.replace("web", "data")
_USED = [
    "Microsoft.Web/sites/restart/Action",
    "Microsoft.Web/sites/config/Write",
    "Microsoft.Web/sites/config/list/Action",
    "Microsoft.Web/sites/publishxml/Action",
    "Microsoft.Insights/components/Write",
    "Microsoft.DocumentDB/databaseAccounts/sqlDatabases/write",
]
_MISSED = ["Microsoft.ServiceBus/namespaces/queues/write", "Microsoft.Storage/storageAccounts/write"]
SHORTENED = {
    "9efbfd4a-541a-4277-9f5a-7d03a7f59685": "9efbfd4a…",
    "9EFBFD4A-541A-4277-9F5A-7D03A7F59685": "9EFBFD4A…",
}
"""Ids that the page shortens, as listings and logs spell them."""


def _draft(*actions: str) -> dict[str, Any]:
    return {"Name": "Portal Deployer", "Actions": list(actions), "AssignableScopes": [WEB, DATA]}


QUESTIONS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("logs", {}, ("window", "missing")),
    (
        "can",
        {"principal": TEAM, "operation": "Microsoft.Authorization/roleAssignments/write", "scope": WEB},
        ("answer", "because"),
    ),
    (
        "check_role",
        {"principal": TEAM, "role": _draft("Microsoft.Web/sites/*", "Microsoft.Authorization/roleAssignments/write")},
        ("verdict", "wider"),
    ),
    (
        "check_role",
        {"principal": TEAM, "role": _draft(*_USED), "scopes": [WEB, DATA], "beside": ["Reader"]},
        ("verdict", "lacks"),
    ),
    (
        "check_role",
        {"principal": TEAM, "role": _draft(*_MISSED, *_USED), "scopes": [WEB, DATA], "beside": ["Reader"]},
        ("verdict", "excess.by_verdict", "may_lack.asked_by_use"),
    ),
)
"""The questions: tool, arguments, and the parts of the answer that the page shows."""


def server_of(db: Path, plan: Path) -> StdioServerParameters:
    """Return how a client starts the server."""
    return StdioServerParameters(
        command=sys.executable, args=["-m", "rightsize", "mcp", "--db", str(db), "--plan", str(plan)]
    )


async def ask_all(client: Client) -> str:
    """Ask the questions of the page, and return the session as text."""
    lines = ["$ rightsize mcp --db demo/demo.duckdb --plan demo", f"tools: {await _tools(client)}"]
    for tool, arguments, shown in QUESTIONS:
        answer = await client.call_tool(tool, arguments)
        lines += ["", *_wrapped(f"> {tool} ", _compact(arguments)), *_wrapped("< ", _sentence(answer))]
        lines += [line for name in shown for line in _wrapped(f"  {name}: ", _compact(_part(answer, name)))]
    return "\n".join(lines)


async def _tools(client: Client) -> str:
    return ", ".join(tool.name for tool in (await client.list_tools()).tools)


def _sentence(answer: CallToolResult) -> str:
    text: str = answer.content[0].text  # type: ignore[union-attr]
    return text.partition("\n")[0]


def _part(answer: CallToolResult, name: str) -> object:
    found: Any = answer.structured_content
    for word in name.split("."):
        found = found[word]
    return found


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _wrapped(head: str, text: str) -> list[str]:
    """Return a value over at most three lines; what is longer ends with an ellipsis."""
    for whole, short in SHORTENED.items():
        text = text.replace(whole, short)
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * min(len(head), 6),
        break_long_words=False,
        break_on_hyphens=False,
        max_lines=3,
        placeholder=" …",
    )


def quoted(page: str) -> str:
    """Return the session that the page quotes."""
    return page.partition(BEGIN)[2].partition(END)[0]


def main(arguments: Mapping[int, str] | list[str] = sys.argv) -> None:
    """Write the session with the demo of a folder into the page."""
    demo = Path(arguments[1])

    async def record() -> str:
        async with Client(server_of(demo / "demo.duckdb", demo)) as client:
            return await ask_all(client)

    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(quoted(page), anyio.run(record)), encoding="utf-8")


if __name__ == "__main__":
    main()
