"""Access from the store's tables: the planes on which an operation is decided."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from rightsize.analyze.inputs import schema_of
from rightsize.analyze.tenant import hold_assignments
from rightsize.model.errors import InputError
from rightsize.rbac.scopes import LONGEST_SCOPE, parse_scope
from rightsize.workflow.names import AskedScopes
from rightsize.workflow.tenant_access import AccessQuestion, TenantAccess, read_tenant_access

SUB = "/subscriptions/60000000-0000-4000-8000-000000000000"
DUAL = "Microsoft.KeyVault/vaults/keys/read"
READER, CRYPTO, NOBODY = (f"{n}0000000-0000-4000-8000-000000000000" for n in "123")
ROLES: dict[str, dict[str, list[str]]] = {
    READER: {"actions": ["*/read"]},
    CRYPTO: {"dataActions": [DUAL]},
    NOBODY: {"actions": ["Microsoft.KeyVault/vaults/read"]},
}


@pytest.fixture(scope="module")
def access() -> TenantAccess:
    """Each role is held by the principal of the same number; the catalogue has one row for the operation."""
    rows: dict[str, list[dict[str, Any]]] = {
        "role_definitions": [
            {"role_definition_id": id_, "role_name": id_, "permissions": json.dumps([strings])}
            for id_, strings in ROLES.items()
        ],
        "role_assignments": [
            {
                "role_assignment_id": id_,
                "state": "active",
                "principal_id": id_,
                "role_definition_id": id_,
                "scope": SUB,
            }
            for id_ in ROLES
        ],
        "operations": [
            {"operation": DUAL, "is_data_action": False, "is_guess": False},
            {"operation": "Microsoft.KeyVault/vaults/read", "is_data_action": False, "is_guess": False},
        ],
    }

    def table_of(name: str) -> pl.DataFrame:
        schema = dict(schema_of(name))
        return pl.DataFrame(rows[name], schema_overrides=schema) if name in rows else pl.DataFrame(schema=schema)

    return read_tenant_access(table_of)


@pytest.mark.parametrize(
    ("principal", "plane", "allowed", "on"),
    [
        (READER, None, "yes", "control"),
        (CRYPTO, None, "yes", "data"),
        (NOBODY, None, "no", "control"),
        (READER, "data", "no", "data"),
        (CRYPTO, "control", "no", "control"),
    ],
)
def test_an_operation_that_is_on_both_planes_is_decided_on_both(
    access: TenantAccess, principal: str, plane: str | None, allowed: str, on: str
) -> None:
    """Unless the question names one of them."""
    answer = access.answer(AccessQuestion(principal, DUAL, SUB, plane), strict=False)
    assert (answer["allowed"], answer["plane"]) == (allowed, on)


class _KnownPlaces:
    """A store of which only the known scopes are asked."""

    def frame(self, _: str) -> pl.DataFrame:
        return pl.DataFrame({"scope": [f"{SUB}/resourceGroups/{name}/providers/A.B/c/d" for name in ("web", "web-2")]})


@pytest.mark.parametrize(
    ("asked", "strange"),
    [
        ("web", False),
        ("web/providers/A.B/c", False),
        ("web-2/providers/A.B/c/d", False),
        ("web-", True),
        ("we", True),
        ("web/providers/A.B/c/e", True),
    ],
)
def test_a_scope_is_known_where_a_place_begins_with_its_parts(asked: str, *, strange: bool) -> None:
    """A name that only begins like a known one is not known, and the known ones beside it are near."""
    scopes = AskedScopes(_KnownPlaces())  # type: ignore[arg-type]
    scopes.find(f"{SUB}/resourceGroups/{asked}")
    notes = scopes.notes()
    assert bool(notes) is strange
    if asked == "web-":
        assert all(f"{SUB}/resourcegroups/{name}".lower() in notes[0] for name in ("web", "web-2"))


@pytest.mark.parametrize(
    "scope",
    ["/", "", " ", "//", f" {SUB} ", f"/{SUB}//", SUB.upper(), SUB.removeprefix("/"), "/providers/N", f"\t{SUB}",
     "/" + "x" * (LONGEST_SCOPE - 1), "/" + "x" * LONGEST_SCOPE],
)  # fmt: skip
def test_assignments_are_held_where_their_scope_is(scope: str) -> None:
    """Spaces around a scope and doubled slashes do not count, and what is no scope reaches nothing."""
    row = {"role_assignment_id": "a", "principal_id": "P", "scope": scope, "state": "active"}
    rows = pl.DataFrame([row], schema=schema_of("role_assignments"))
    held, misplaced = hold_assignments(rows)
    try:
        wanted = [parse_scope(scope).key]
    except InputError:
        wanted = []
    assert list(held) == wanted
    assert misplaced == ({} if wanted else {"a": "P"})
