"""The requests that a resource action of a directory role allows."""

from __future__ import annotations

import pytest

from rightsize.model.text import fold, is_directory_read, parse_pattern
from rightsize.rbac.expand import is_of_directory, kinds_of, patterns_of

D = "microsoft.directory/"


def allows(held: str, needed: str) -> bool:
    return any(parse_pattern(pattern).matches(fold(needed)) for pattern in patterns_of(held))


@pytest.mark.parametrize(
    ("held", "needed"),
    [
        (f"{D}users/delete", f"{D}users/delete"),
        (f"{D}users/delete", f"{D}USERS/Delete"),
        (f"{D}users/allProperties/allTasks", f"{D}users/password/update"),
        (f"{D}groups/allProperties/update", f"{D}groups/members/update"),
        (f"{D}groups/members/update", f"{D}groups.security/members/update"),
        (f"{D}auditLogs/allProperties/read", f"{D}auditLogs/standard/read"),
        (f"{D}deletedItems/restore", f"{D}deletedItems.users/restore"),
        ("microsoft.office365.exchange/allEntities/basic/allTasks", "microsoft.office365.exchange/mailboxes/update"),
        ("microsoft.intune/allEntities/allTasks", "microsoft.intune/policies/create"),
    ],
)
def test_what_an_action_allows(held: str, needed: str) -> None:
    assert allows(held, needed)


@pytest.mark.parametrize(
    ("held", "needed"),
    [
        (f"{D}users/delete", f"{D}users/create"),
        (f"{D}users/basic/update", f"{D}users/password/update"),
        (f"{D}users/allProperties/allTasks", f"{D}usersX/delete"),
        (f"{D}groups/allProperties/update", f"{D}groups/delete"),
        (f"{D}groups.security/members/update", f"{D}groups/members/update"),
        (f"{D}groups/members/update", f"{D}groupsAssignableToRoles/allProperties/update"),
        (f"{D}auditLogs/allProperties/read", f"{D}auditLogs/allProperties/update"),
        ("microsoft.intune/allEntities/allTasks", "microsoft.intuneX/policies/create"),
        (f"{D}users/delete", "microsoft.other/users/delete"),
    ],
)
def test_what_it_does_not(held: str, needed: str) -> None:
    assert not allows(held, needed)


def test_a_logged_action_may_have_been_allowed_by_one_for_some_kinds() -> None:
    found = kinds_of(f"{D}groups/members/update")
    assert any(parse_pattern(one).matches(f"{D}groups.unified/members/update") for one in found)
    assert fold(f"{D}groupsAssignableToRoles/allProperties/update") in found
    assert kinds_of(f"{D}groups.security/members/update") == ()


def test_reads_and_other_services_are_told() -> None:
    assert is_directory_read(f"{D}users/standard/read") and is_directory_read(f"{D}groups/members/limitedRead")
    assert not is_directory_read(f"{D}users/basic/update")
    assert is_of_directory(f"{D}users/delete") and not is_of_directory("microsoft.intune/allEntities/allTasks")


@pytest.mark.parametrize("odd", ["", "/", "a", "a/", "a//", "allEntities", "*", "a/*/b", "microsoft.directory//x"])
def test_odd_texts_allow_themselves(odd: str) -> None:
    assert fold(odd) in patterns_of(odd) or allows(odd, odd)
