"""Users, groups, service principals, members and deleted items: their rows, and when a listing is complete."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from rightsize.ingest.entities.pages import classify_page
from tests.ingest.entity_records import (
    APP,
    GRAPH,
    GROUP,
    IDENTITY,
    USER,
    guid,
    page,
    stage_document,
    stage_files,
    typed,
)


def write_pages(folder: Path, name: str, *documents: Any) -> Path:
    """Write documents one after another."""
    path = folder / name
    path.write_text("\n".join(json.dumps(document) for document in documents), encoding="utf-8")
    return path


@pytest.mark.slow
def test_a_user_has_its_latest_sign_in(tmp_path: Path) -> None:
    activity = {
        "lastSignInDateTime": "2025-01-01T00:00:00Z",
        "lastNonInteractiveSignInDateTime": "2025-02-01T00:00:00Z",
        "lastSuccessfulSignInDateTime": None,
    }
    staged = stage_document(tmp_path, page("users", USER | {"signInActivity": activity, "accountEnabled": False}))
    columns = ("principal_id", "principal_type", "user_principal_name", "account_enabled", "last_sign_in", "listed")
    assert staged.rows("principals", *columns) == [
        (guid(10), "User", "ada@contoso.com", False, dt.datetime(2025, 2, 1), True)
    ]


@pytest.mark.slow
def test_year_one_means_never(tmp_path: Path) -> None:
    activity = {"lastSignInDateTime": "0001-01-01T00:00:00Z"}
    staged = stage_document(tmp_path, page("users", USER | {"signInActivity": activity}))
    assert staged.rows("principals", "last_sign_in") == [None]


@pytest.mark.slow
def test_managed_identities_are_told_from_applications(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("servicePrincipals", APP, IDENTITY))
    columns = ("principal_id", "principal_type", "app_id", "owner_tenant_id", "alternative_names")
    assert staged.rows("principals", *columns) == [
        (guid(12), "ServicePrincipal", guid(13), guid(99), None),
        (guid(14), "ManagedIdentity", guid(15), None, IDENTITY["alternativeNames"]),
    ]


@pytest.mark.slow
def test_a_service_principal_of_unknown_type_has_none(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("servicePrincipals(id,displayName)", {"id": guid(1), "displayName": "x"}))
    assert staged.rows("principals", "principal_type", "listed") == [(None, True)]


@pytest.mark.slow
def test_groups_keep_their_types(tmp_path: Path) -> None:
    dynamic = GROUP | {"groupTypes": ["DynamicMembership"], "isAssignableToRole": True, "onPremisesSyncEnabled": True}
    staged = stage_document(tmp_path, page("groups", dynamic))
    columns = ("principal_type", "group_types", "is_role_assignable", "is_synced")
    assert staged.rows("principals", *columns) == [("Group", ["DynamicMembership"], True, True)]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("name", "context", "listing"),
    [
        ("a.json", f"groups('{guid(11)}')/members", "members"),
        ("a.json", f"groups('{guid(11)}')/members(id,displayName)", "members"),
        ("a.json", f"groups('{guid(11).upper()}')/transitiveMembers", "transitiveMembers"),
        (f"members-{guid(11)}.json", "directoryObjects", "members"),
        (f"members_{guid(11).upper()}_2.json", "directoryObjects(id)", "members"),
        (f"transitiveMembers-{guid(11)}.json", "directoryObjects", "transitiveMembers"),
    ],
)
def test_members_name_their_group_in_the_context_or_the_file(
    name: str, context: str, listing: str, tmp_path: Path
) -> None:
    device = {"@odata.type": "#microsoft.graph.device", "id": guid(20), "displayName": "laptop"}
    staged = stage_document(tmp_path, page(context, typed("user", USER), typed("group", GROUP), device), name)
    assert staged.rows("group_members", "group_id", "member_id", "listing", "member_type") == [
        (guid(11), guid(10), listing, "User"),
        (guid(11), guid(11), listing, "Group"),
        (guid(11), guid(20), listing, "Device"),
    ]
    assert staged.rows("listings", "listing", "of", "complete") == [(listing, guid(11), True)]
    assert staged.rows("principals", "principal_id", "listed") == [(guid(10), False), (guid(11), False)]


@pytest.mark.slow
def test_members_of_nobody_knows_what_are_rejected(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("directoryObjects", typed("user", USER)), "team-members.json")
    ((line, reason),) = staged.rejects
    assert line == 1 and "the group of these members is unknown" in reason
    assert staged.rows("principals", "principal_id") == []


@pytest.mark.slow
def test_members_of_one_type_do_not_end_a_listing(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("users", typed("user", USER)), f"members-{guid(11)}.json")
    assert staged.rows("listings", "listing", "of", "complete") == [("members", guid(11), False)]
    assert staged.rows("group_members", "member_id") == [guid(10)]


@pytest.mark.slow
def test_a_listing_is_complete_with_the_page_that_has_no_next_link(tmp_path: Path) -> None:
    first = write_pages(tmp_path, "1.json", page("users", USER, more=True))
    last = write_pages(tmp_path, "2.json", page("users", USER | {"id": guid(30)}))
    assert stage_files(first).rows("listings", "listing", "complete") == [("users", False)]
    assert stage_files(first, last).rows("listings", "listing", "complete") == [("users", False), ("users", True)]


@pytest.mark.slow
def test_pages_one_after_another_in_a_file_count_each(tmp_path: Path) -> None:
    path = write_pages(tmp_path, "users.json", page("users", USER, more=True), page("users", USER | {"id": guid(30)}))
    staged = stage_files(path)
    assert staged.rows("principals", "principal_id") == [guid(10), guid(30)]
    assert staged.rows("listings", "complete") == [False, True]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("context", "listing", "of"),
    [
        ("users", "users", ""),
        ("groups", "groups", ""),
        ("servicePrincipals", "servicePrincipals", ""),
        ("directory/deletedItems/microsoft.graph.user", "deletedItems", ""),
        (f"groups('{guid(11)}')/members", "members", guid(11)),
    ],
)
def test_an_empty_page_completes_its_listing(context: str, listing: str, of: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page(context))
    assert staged.rows("listings", "listing", "of", "complete") == [(listing, of, True)]
    assert [(file.read, file.rejected) for file in staged.report.files] == [(0, 0)]


@pytest.mark.nightly
def test_empty_pages_beside_full_ones_are_each_counted_once(tmp_path: Path) -> None:
    paths = [
        write_pages(tmp_path, "1.json", page(f"groups('{guid(1)}')/members")),
        write_pages(tmp_path, "2.json", page(f"groups('{guid(2)}')/members", typed("user", USER))),
        write_pages(tmp_path, "3.json", page("users")),
        write_pages(tmp_path, "4.json", page("groups", GROUP)),
    ]
    staged = stage_files(*paths)
    assert sorted(staged.rows("listings", "listing", "of")) == [
        ("groups", ""),
        ("members", guid(1)),
        ("members", guid(2)),
        ("users", ""),
    ]


@pytest.mark.nightly
def test_lists_without_an_envelope_complete_nothing(tmp_path: Path) -> None:
    for document in ([USER], [GROUP], [APP]):
        staged = stage_document(tmp_path, document)
        assert staged.rows("listings", "listing") == []
        assert staged.rows("principals", "listed") == [True]


@pytest.mark.slow
def test_deleted_items_are_not_listed_and_get_their_name_back(tmp_path: Path) -> None:
    gone = USER | {
        "userPrincipalName": guid(10).replace("-", "") + "ada@contoso.com",
        "deletedDateTime": "2025-01-05T00:00:00Z",
    }
    staged = stage_document(tmp_path, page("directory/deletedItems/microsoft.graph.user", gone))
    assert staged.rows("principals", "user_principal_name", "deleted_on", "listed") == [
        ("ada@contoso.com", dt.datetime(2025, 1, 5), False)
    ]


@pytest.mark.nightly
def test_deleted_items_that_come_as_users_complete_no_users(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("users", USER | {"deletedDateTime": "2025-01-05T00:00:00Z"}))
    assert staged.rows("listings", "listing", "complete") == [("deletedItems", True)]
    staged = stage_document(tmp_path, page("users"), "deletedItems-users.json")
    assert staged.rows("listings", "listing", "complete") == [("deletedItems", True)]


@pytest.mark.slow
def test_answers_to_get_by_ids_are_listed_by_their_type(tmp_path: Path) -> None:
    other = {"@odata.type": "#microsoft.graph.application", "id": guid(40), "displayName": "app"}
    answer = page("directoryObjects", typed("user", USER), typed("group", GROUP), typed("servicePrincipal", APP), other)
    staged = stage_document(tmp_path, answer)
    assert staged.rows("principals", "principal_type", "listed") == [
        ("User", True),
        ("Group", True),
        ("ServicePrincipal", True),
    ]
    assert staged.rejects == [(4, "it is not a user, group or service principal")]
    assert staged.rows("listings", "listing") == []


@pytest.mark.slow
def test_what_a_difference_removed_is_rejected(tmp_path: Path) -> None:
    removed = {"id": guid(50), "@removed": {"reason": "deleted"}}
    staged = stage_document(tmp_path, page("users/$delta", USER, removed))
    assert [line for line, _ in staged.rejects] == [2]
    assert staged.rows("listings", "listing") == []


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, "it has no `id`"),
        ({"id": 7}, "`id` is not a string"),
        ({"accountEnabled": "perhaps"}, "`accountEnabled` is not true or false"),
        ({"groupTypes": "Unified"}, "`groupTypes` is not a list of strings"),
        ({"groupTypes": [1]}, "`groupTypes` is not a list of strings"),
        ({"displayName": ["a"]}, "`displayName` is not a string"),
    ],
)
def test_a_damaged_object_is_rejected_alone(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, page("users", USER, USER | change))
    assert staged.rejects == [(2, reason)]
    assert len(staged.rows("principals", "principal_id")) == 1


@pytest.mark.parametrize("context", ["users('x')/ownedDevices", "auditLogs/directoryAudits", "groups('x')/owners"])
def test_other_pages_of_graph_are_none_of_ours(context: str) -> None:
    assert classify_page(GRAPH + context, f"members-{guid(1)}.json") is None
