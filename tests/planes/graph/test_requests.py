"""A request is found in a map in any spelling, and an unmapped request is reported as unknown."""

from __future__ import annotations

import pytest

from rightsize.planes.graph.permissions import PermissionMap, parse_request

ROWS = [
    ("Users", "GET", "/users/{id}", ()),
    ("Users", "GET", "/users/{id}/memberof", ()),
    ("Changes", "GET", "/users/delta", ()),
    ("Groups", "GET", "/groups/{id}/members", ()),
    ("Groups", "POST", "/groups/{id}/members/$ref", ()),
    ("Groups", "GET", "/groups", ()),
    ("Apps", "GET", "/applications/{id}", ()),
    ("Apps", "POST", "/applications/{id}/addpassword", ("Owner",)),
    ("Files", "GET", "/drives/{id}/items/{id}/content", ()),
    ("Files", "PUT", "/me/drive/root:/{id}:/content", ()),
    ("Reports", "GET", "/reports/getmail(period={value})", ()),
    ("View", "GET", "/users/{id}/calendar/view(end={value},start={value})", ()),
    ("Me", "GET", "/me", ()),
]
PROPERTIES = {"signinactivity": (("/users", ("Audit",)),)}
MAPS = {access: PermissionMap(access, ROWS, PROPERTIES) for access in ("application", "delegated")}


def allowed(operation: str, access: str = "application") -> list[set[str]]:
    needed = MAPS[access].requirement(parse_request(operation))
    return [set(clause.permissions) for clause in needed.clauses]


@pytest.mark.parametrize(
    ("operation", "permission"),
    [
        ("GET /Users/{id}", "Users"),
        ("HEAD /users/{id}", "Users"),
        ("GET /users/x/memberOf/$count", "Users"),
        ("GET /users/{id}/memberOf/microsoft.graph.group", "Users"),
        ("GET /groups/{id}/members/graph.user/$count", "Groups"),
        ("POST /groups/{id}/members/$ref", "Groups"),
        ("GET /groups/{id}/members/$ref", "Groups"),
        ("GET /applications(appId={value})", "Apps"),
        ("POST /applications/{id}/microsoft.graph.addPassword", "Apps"),
        ("GET /users/{id}/drive/items/{id}/content", "Files"),
        ("GET /sites/{id}/drives/{id}/root:/{id}:/content", "Files"),
        ("GET /reports/getMail(period={value})", "Reports"),
        ("GET /users/{id}/calendar/view(start={value},end={value})", "View"),
    ],
)
def test_other_spellings_of_a_request_are_the_same_request(operation: str, permission: str) -> None:
    assert allowed(operation) == [{permission}]


def test_a_step_that_the_map_spells_out_is_no_id() -> None:
    """`/users/delta` is a path of its own, beside that of a user of any id."""
    assert allowed("GET /users/delta") == [{"Changes"}]
    assert allowed("GET /users/deltas") == [{"Users"}]


def test_me_is_a_user_for_delegated_requests_and_nothing_for_applications() -> None:
    assert allowed("GET /me", "delegated") == [{"Me"}]
    assert allowed("GET /me/memberOf", "delegated") == [{"Users"}]
    assert MAPS["application"].requirement(parse_request("GET /me/memberOf")).unknown == "path"


def test_what_the_query_adds_is_needed_besides() -> None:
    assert allowed("GET /groups?$expand=members") == [{"Groups"}, {"Groups"}]
    assert allowed("GET /users/{id}?$expand=memberof&$select=signinactivity") == [{"Users"}, {"Users"}, {"Audit"}]
    assert allowed("GET /groups?$select=signinactivity") == [{"Groups"}]


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ("GET /nothing", "path"),
        ("DELETE /groups", "method"),
        ("GET /groups?$expand=surprise", "expand"),
        ("GET /groups?$expand", "expand"),
        ("GET /{unreadable}", "unreadable"),
    ],
)
def test_what_the_map_does_not_know_is_said(operation: str, why: str) -> None:
    assert MAPS["application"].requirement(parse_request(operation)).unknown == why


def test_the_envelope_of_a_batch_needs_nothing() -> None:
    assert MAPS["application"].requirement(parse_request("POST /$batch")).free


def test_what_is_needed_besides_stands_with_the_permission() -> None:
    (clause,) = MAPS["application"].requirement(parse_request("POST /applications/{id}/addPassword")).clauses
    assert clause.permissions == {"Apps": ("Owner",)}
