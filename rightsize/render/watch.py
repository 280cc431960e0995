"""Write the changes of a watch as JSON lines, GitHub annotations, Teams messages or Slack messages.

Sources: Microsoft Learn, "Create incoming webhooks with Workflows for Microsoft Teams" and "Format cards in Microsoft
Teams" (28 KB a message); Slack API, "Sending messages using incoming webhooks", "Formatting text" and "Blocks" (50 a
message, 3,000 characters a text); GitHub Docs, "Workflow commands for GitHub Actions".
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rightsize.render.escape import for_github_message, for_github_property, for_markdown, for_terminal
from rightsize.render.rows import plain

Change = Mapping[str, Any]

A_MESSAGE = 15
"""The most changes in one chat message: nobody reads more, and Teams takes 28 KB."""
_LONGEST = 1000
_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}
_COLOURS = {"critical": "attention", "high": "attention", "medium": "warning", "low": "default"}
_ADAPTIVE = "application/vnd.microsoft.card.adaptive"


def change_document(change: Change) -> dict[str, Any]:
    """Return a change for other programs: a row of `watch_changes` with `detail` parsed."""
    document = {name: plain(value) for name, value in change.items() if name not in ("detail", "change_id")}
    detail = json.loads(change["detail"] or "{}")
    return {"id": change["change_id"], **document, "detail": detail}


def write_lines(changes: Sequence[Change]) -> str:
    """Return one JSON object a line."""
    return "".join(
        json.dumps(change_document(one), ensure_ascii=False, separators=(",", ":")) + "\n" for one in changes
    )


def write_annotations(changes: Sequence[Change]) -> str:
    """Return GitHub workflow commands, one for each change, the worst first."""
    order = list(_LEVELS)
    lines = [
        f"::{_LEVELS[one['severity']]} title={for_github_property('rightsize watch: ' + one['kind'])}::"
        f"{for_github_message(one['text'])}\n"
        for one in sorted(changes, key=lambda one: (order.index(one["severity"]), one["seq"]))
    ]
    return "".join(lines)


def batches(changes: Sequence[Change]) -> list[Sequence[Change]]:
    """Return the changes in parts that fit one message."""
    return [changes[start : start + A_MESSAGE] for start in range(0, len(changes), A_MESSAGE)]


def teams_message(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the message of a Teams workflow: one adaptive card."""
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "size": "Medium", "weight": "Bolder", "wrap": True, "text": _title(changes)}
    ]
    for one in changes:
        body.append({
            "type": "TextBlock", "wrap": True, "spacing": "Small", "color": _COLOURS[one["severity"]],
            # An adaptive card reads Markdown.
            "text": f"{one['severity']} · {for_markdown(one['kind'])} · {for_markdown(_cut(one['text']))}",
        })  # fmt: skip
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": _ADAPTIVE, "contentUrl": None, "content": card}],
    }


def slack_message(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the message of a Slack webhook: a section a change, in plain text, where no name becomes markup."""
    blocks: list[dict[str, Any]] = [{"type": "header", "text": {"type": "plain_text", "text": _title(changes)}}]
    blocks += [
        {
            "type": "section",
            "text": {
                "type": "plain_text",
                "emoji": False,
                "text": for_terminal(f"{one['severity']} · {one['kind']} · {_cut(one['text'])}"),
            },
        }
        for one in changes
    ]
    # Clients without blocks show `text`, as markup, so it contains no names.
    return {"text": _title(changes), "blocks": blocks}


def json_message(changes: Sequence[Change]) -> dict[str, Any]:
    """Return the message for a program: all data about each change."""
    return {"source": "rightsize watch", "changes": [change_document(one) for one in changes]}


def _title(changes: Sequence[Change]) -> str:
    count = len(changes)
    return f"rightsize: {count} change{'' if count == 1 else 's'} of access"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
