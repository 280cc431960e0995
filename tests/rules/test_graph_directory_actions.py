"""The directory action that a Graph request needs: real actions, real requests, never a member's default."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rightsize.model.text import fold
from rightsize.rules.directory import actions_of_request, roles_that
from rightsize.rules.tables import rows_of

RULES = rows_of("graph_directory_actions")
# Documented requests that the published map of permissions leaves out.
NOT_IN_THE_MAP = ("/directory/devicelocalcredentials", "/$ref")


@pytest.mark.parametrize(
    ("request_", "actions"),
    [
        ("GET /auditLogs/signIns?$select=signinactivity", ["signInReports/allProperties/read"]),
        ("GET /AuditLogs/SignIns/{id}", ["signInReports/allProperties/read"]),
        ("GET /auditLogs/signInsOfOthers", []),
        ("POST /auditLogs/signIns", []),
        ("GET /users/{id}", []),
        ("GET /me/authentication/methods", []),
        ("DELETE /users/{id}/authentication/phoneMethods/{id}", ["users/authenticationMethods/delete"]),
        ("GET /{unreadable}", []),
        ("", []),
    ],
)
def test_a_request_needs_what_its_rule_says(request_: str, actions: list[str]) -> None:
    assert actions_of_request(request_) == tuple(f"microsoft.directory/{one}" for one in actions)


@pytest.mark.slow
def test_every_action_is_one_that_a_built_in_role_holds_and_no_member_has_anyway(shared_data: Path) -> None:
    roles = json.loads((shared_data / "entra" / "directory-roles.json").read_bytes())
    held = {fold(action) for action in re.findall(r'"(microsoft[.][^"]+)"', json.dumps(roles))}
    default = [role for role in roles if fold(role["RoleId"]) in roles_that("default_member")]
    free = {fold(action) for action in re.findall(r'"(microsoft[.][^"]+)"', json.dumps(default))}
    named = {fold(row["action"]) for row in RULES}
    assert named <= held
    assert not {name for name in named & free if name.endswith("read")}


@pytest.mark.slow
def test_every_request_is_one_of_the_published_map(shared_data: Path) -> None:
    document = json.loads((shared_data / "graph" / "permissions.json").read_bytes())
    known = {
        f"{method} {re.sub('{[^}]*}', '{id}', fold(path))}"
        for permission in document["permissions"].values()
        for one in permission["pathSets"]
        for method in one["methods"]
        for path in one["paths"]
    }
    for row in RULES:
        request = f"{row['method']} {fold(row['path'])}"
        stem = request.removesuffix("/*").removesuffix("*")
        assert any(word in request for word in NOT_IN_THE_MAP) or any(
            one == stem or (request != stem and one.startswith(stem)) for one in known
        ), request
