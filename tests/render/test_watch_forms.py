"""Changes in the forms for other programs: a message stays one message, for any names."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from rightsize.render import watch as forms

HOSTILE = "<!channel> @here *x* [click](http://evil)\u202e\n::error::stop %0A"


def change(number: int = 1, **fields: Any) -> dict[str, Any]:
    row = {
        "change_id": f"{number:016x}", "seq": number, "kind": "grant_outside", "severity": "high",
        "time": dt.datetime(2026, 9, 1, 10), "day": dt.date(2026, 9, 1), "principal_id": "p", "actor_id": "a",
        "scope": "/subscriptions/s", "text": "Mei Lin assigned a role", "detail": '{"way":"outside"}',
    }  # fmt: skip
    return row | fields


def test_a_line_is_one_json_object_with_its_detail_open() -> None:
    """Times are RFC 3339; a line break in a name is none of the line."""
    text = forms.write_lines([change(text=HOSTILE), change(2)])
    first, second = text.splitlines()
    assert json.loads(first)["text"] == HOSTILE
    assert json.loads(second) == {
        "id": "0000000000000002", "seq": 2, "kind": "grant_outside", "severity": "high", "time": "2026-09-01T10:00:00Z",
        "day": "2026-09-01", "principal_id": "p", "actor_id": "a", "scope": "/subscriptions/s",
        "text": "Mei Lin assigned a role", "detail": {"way": "outside"},
    }  # fmt: skip


def test_github_gets_a_command_a_change_the_worst_first() -> None:
    """A name can start no other command."""
    text = forms.write_annotations([change(1, severity="low"), change(2, text=HOSTILE)])
    assert [line.split(" ")[0] for line in text.splitlines()] == ["::error", "::notice"]
    assert text.count("\n") == 2
    assert "%250A" in text


def test_teams_gets_one_adaptive_card_in_which_no_name_is_mark_up() -> None:
    """The shape that a Teams workflow takes, smaller than its 28 KB."""
    message = forms.teams_message([change(number, text=HOSTILE * 40) for number in range(forms.A_MESSAGE)])
    card = message["attachments"][0]["content"]
    assert (message["type"], card["type"]) == ("message", "AdaptiveCard")
    assert message["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    texts = [block["text"] for block in card["body"]]
    assert texts[0] == f"rightsize: {forms.A_MESSAGE} changes of access"
    assert all("[click]" not in text and "\n" not in text and "\u202e" not in text for text in texts)
    assert len(json.dumps(message)) < 28_000


def test_slack_gets_plain_text_which_names_nobody() -> None:
    """Within its limits: 50 blocks, 3,000 characters a text."""
    message = forms.slack_message([change(number, text=HOSTILE * 100) for number in range(forms.A_MESSAGE)])
    assert "<!channel>" not in message["text"]
    assert {block["text"]["type"] for block in message["blocks"]} == {"plain_text"}
    assert len(message["blocks"]) <= 50
    assert all(len(block["text"]["text"]) <= 3000 for block in message["blocks"])
