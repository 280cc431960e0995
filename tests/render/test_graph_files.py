"""The files for Graph: new before old, each grant once, and no text of an export breaks out of a command."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from rightsize.render.plane_requests import graph_files
from tests.planes.graph.small_map import GRAPH, Apps

CLIENT = "cccccccc-0000-4000-8000-000000000001"
HOSTILE = "x'; rm -rf / #\u2019 $(id) `id`/../..?a=b"


def files(apps: Apps, names: dict[str, str] | None = None) -> dict[str, str]:
    part = apps.part()
    if names:
        part = type(part)(**{name: getattr(part, name) for name in part.__slots__} | {"names": names})
    return graph_files(part, {CLIENT: f"{CLIENT}-app"}, {"00000003-0000-0000-c000-000000000000": GRAPH})


def swapped() -> Apps:
    return Apps().app(CLIENT).holds(CLIENT, "Group.ReadWrite.All", "Mail.Send").asks(CLIENT, "GET /groups")


def test_what_is_new_comes_before_what_goes() -> None:
    body = json.loads(files(swapped())[f"graph/{CLIENT}.json"])
    assert [one["method"] for one in body["requests"]] == ["POST", "DELETE", "DELETE"]
    assert body["requests"][0]["body"] == {"principalId": CLIENT, "resourceId": GRAPH, "appRoleId": "a-group.read.all"}


def test_an_application_that_keeps_everything_has_no_files() -> None:
    assert files(Apps().app(CLIENT).holds(CLIENT, "User.Read.All").asks(CLIENT, "GET /users")) == {}


def test_ids_from_exports_stay_one_word_of_a_command() -> None:
    apps = Apps().app(CLIENT)
    apps.add(
        "app_role_assignments", app_role_assignment_id=HOSTILE, principal_id=CLIENT, principal_type="ServicePrincipal",
        resource_id=GRAPH, app_role_id="a-mail.send",
    )  # fmt: skip
    found = files(apps)
    (line,) = found[f"graph/{CLIENT}.sh"].splitlines()[2:]
    words = shlex.split(line)
    assert words[:5] == ["az", "rest", "--method", "delete", "--url"]
    assert len(words) == 6
    url = words[5]
    assert url.startswith(f"https://graph.microsoft.com/v1.0/servicePrincipals/{CLIENT}/appRoleAssignments/")
    assert not set(url) & set("'\"`$ ;#?")
    (command,) = found[f"graph/{CLIENT}.ps1"].splitlines()[1:]
    assert command.count("'") == 2


def test_hostile_names_are_harmless_on_the_page() -> None:
    page = files(swapped(), {CLIENT: "<script>|[x](http://e)\u202e"})[f"graph/{CLIENT}.md"]
    assert "<script>" not in page
    assert "\u202e" not in page
    assert "\\[x\\]" in page


def test_names_of_files_are_made_of_ids_alone(tmp_path: Path) -> None:
    apps = Apps().app("../../etc").holds("../../etc", "Mail.Send")
    for name in files(apps):
        assert name.startswith("graph/")
        assert (tmp_path / name).resolve().is_relative_to(tmp_path)
