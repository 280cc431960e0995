"""The requests to the directory depend on what was collected before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from rightsize.collect.listing import Source
from rightsize.collect.sources import SOURCES

GROUP, INNER, ROLES, APP = (f"{digit * 8}-0000-4000-8000-000000000000" for digit in "1234")
HOSTILE = f"{GROUP}/../users"


class Held:
    """Known records by source; each key of a source is one of its units."""

    def __init__(self, **records: Any) -> None:
        self._records = records

    def parts(self, source: str) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
        for key, records in self._records.get(source, {}).items():
            yield key, iter(records)

    def records(self, source: str) -> Iterator[dict[str, Any]]:
        for _, records in self.parts(source):
            yield from records


def source_of(name: str) -> Source:
    return next(source for source in SOURCES if source.name == name)


def asked(name: str, **records: Any) -> list[str]:
    units = list(source_of(name).units(Held(**records)))  # type: ignore[arg-type]
    return [request.url.partition("?")[0] for unit in units for request in unit.requests]


def grant(identifier: str, kind: str = "Group") -> dict[str, Any]:
    return {"properties": {"principalId": identifier, "principalType": kind}}


def group(identifier: str) -> dict[str, Any]:
    return {"@odata.type": "#microsoft.graph.group", "id": identifier}


def test_members_are_asked_of_groups_that_hold_access_or_may_hold_directory_roles() -> None:
    found = asked(
        "group_members",
        role_assignments={"/": [grant(GROUP), grant(APP, "ServicePrincipal"), grant(HOSTILE)]},
        groups={"/": [{"id": ROLES.upper(), "isAssignableToRole": True}, {"id": INNER, "isAssignableToRole": None}]},
    )
    assert found == [f"/v1.0/groups/{GROUP}/members", f"/v1.0/groups/{ROLES}/members"]


def test_groups_within_groups_are_asked_until_there_are_none_left() -> None:
    held = {"role_assignments": {"/": [grant(GROUP)]}, "group_members": {GROUP: [group(INNER)]}}
    assert asked("transitive_members", **held) == [f"/v1.0/groups/{GROUP}/transitiveMembers"]
    held["transitive_members"] = {GROUP: [group(INNER), group(GROUP)]}
    assert asked("nested_members", **held) == [f"/v1.0/groups/{INNER}/members"], "what was listed is not listed again"


@pytest.mark.parametrize(("owners", "again"), [(19, False), (20, True)])
def test_all_owners_are_asked_for_where_expanding_gives_no_more(owners: int, again: bool) -> None:
    held = [{"id": APP, "owners": [{"id": str(number)} for number in range(owners)]}, {"id": HOSTILE, "owners": None}]
    found = asked("many_owners", service_principal_owners={"/": held})
    assert found == ([f"/v1.0/servicePrincipals/{APP}/owners"] if again else [])


def test_application_permissions_are_asked_of_the_applications_that_have_some() -> None:
    held = [{"id": APP, "appRoles": [{"value": "User.Read.All"}]}, {"id": INNER, "appRoles": []}, {"id": HOSTILE}]
    found = asked("app_role_assignments", service_principals={"/": held})
    assert found == [f"/v1.0/servicePrincipals/{APP}/appRoleAssignedTo"]


def test_members_are_asked_of_every_administrative_unit() -> None:
    held = {"/": [{"id": GROUP.upper()}, {"id": HOSTILE}, {"id": None}]}
    assert asked("administrative_unit_members", administrative_units=held) == [
        f"/v1.0/directory/administrativeUnits/{GROUP}/members"
    ]
