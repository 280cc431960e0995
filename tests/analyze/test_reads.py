"""Reads of Azure Resource Manager are unused only where no possible reader got a token for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.analyze.tiny import SUB, Tiny

READ = "Microsoft.Compute/virtualMachines/read"
UNUSED = ("unused", "no_arm_token")
UNOBSERVABLE = ("unobservable", "arm_read")
USER_LOGS = ("interactive", "non_interactive")


@pytest.fixture
def reader(tiny: Tiny) -> Tiny:
    return tiny.role("reader", "*/read").cover()


@pytest.mark.parametrize("logs", [USER_LOGS, ("interactive",)])
def test_only_both_covered_logs_speak_for_a_user(reader: Tiny, logs: tuple[str, ...]) -> None:
    judged = reader.assign("a", "p", "reader").cover_sign_ins(*logs).judged("a")[READ]
    assert judged == (UNUSED if logs == USER_LOGS else UNOBSERVABLE)


def test_a_day_without_sign_in_log_takes_the_certainty_away(reader: Tiny) -> None:
    reader.assign("a", "p", "reader").cover_sign_ins("interactive")
    reader.cover("/", source="sign_in_log", category="non_interactive", days=range(9))
    assert reader.judged("a")[READ] == UNOBSERVABLE


@pytest.mark.parametrize(
    ("who", "log", "token", "verdict"),
    [
        pytest.param("p", "non_interactive", {}, UNOBSERVABLE, id="for resource manager"),
        pytest.param("p", "interactive", {"resource_id": "graph"}, UNUSED, id="for another resource"),
        pytest.param("p", "interactive", {"resource_id": None}, UNOBSERVABLE, id="for a resource that is not said"),
        pytest.param("p", "interactive", {"succeeded": 0, "failed": 3}, UNUSED, id="a sign-in without a token"),
        pytest.param(None, "interactive", {}, UNOBSERVABLE, id="of somebody unknown, so of anybody"),
    ],
)
def test_who_may_have_a_token_for_resource_manager_may_read(
    reader: Tiny, who: str | None, log: str, token: dict[str, Any], verdict: tuple[str, str]
) -> None:
    reader.assign("a", "p", "reader").cover_sign_ins(*USER_LOGS).sign_in(who, log, **token)
    assert reader.judged("a")[READ] == verdict


@pytest.mark.slow
@pytest.mark.parametrize(
    ("principal_type", "log"), [("ServicePrincipal", "service_principal"), ("ManagedIdentity", "managed_identity")]
)
def test_each_kind_of_principal_is_judged_by_its_own_log(reader: Tiny, principal_type: str, log: str) -> None:
    reader.assign("a", "p", "reader", principal_type="ServicePrincipal")
    reader.add("principals", principal_id="p", principal_type=principal_type, listed=True).cover_sign_ins(*USER_LOGS)
    assert reader.judged("a")[READ] == UNOBSERVABLE
    reader.cover_sign_ins(log)
    assert reader.judged("a")[READ] == UNUSED


@pytest.mark.slow
def test_a_service_principal_that_no_listing_describes_may_be_a_managed_identity(reader: Tiny) -> None:
    reader.assign("a", "p", "reader", principal_type="ServicePrincipal").cover_sign_ins("service_principal")
    assert reader.judged("a")[READ] == UNOBSERVABLE
    reader.cover_sign_ins("managed_identity")
    assert reader.judged("a")[READ] == UNUSED


@pytest.mark.slow
def test_a_group_does_not_read_where_every_member_is_known_and_none_does(reader: Tiny) -> None:
    reader.assign("a", "g", "reader", principal_type="Group").member("g", "p", "n").member("n", "q")
    reader.member("g", "q").cover_sign_ins(*USER_LOGS)
    for user in ("p", "q"):
        reader.add("principals", principal_id=user, principal_type="User", listed=True)
    reader.add("principals", principal_id="n", principal_type="Group", listed=True)
    reader.add("listings", listing="members", of="g", complete=True)
    assert reader.judged("a")[READ] == UNOBSERVABLE
    reader.add("listings", listing="members", of="n", complete=True)
    assert reader.judged("a")[READ] == UNUSED
    reader.sign_in("q")
    assert reader.judged("a")[READ] == UNOBSERVABLE


def test_a_group_whose_members_are_not_all_listed_may_read(reader: Tiny) -> None:
    reader.assign("a", "g", "reader", principal_type="Group").member("g", "p").cover_sign_ins(*USER_LOGS)
    reader.add("principals", principal_id="p", principal_type="User", listed=True)
    reader.add("listings", listing="members", of="g", complete=False)
    assert reader.judged("a")[READ] == UNOBSERVABLE


def test_a_foreign_principal_signs_in_elsewhere(reader: Tiny) -> None:
    reader.assign("a", "p", "reader", principal_tenant_id="other").cover_sign_ins(*USER_LOGS)
    assert reader.judged("a")[READ] == UNOBSERVABLE


def test_reads_on_data_endpoints_need_no_token_for_resource_manager(reader: Tiny) -> None:
    container = "Microsoft.Storage/storageAccounts/blobServices/containers/read"
    reader.catalogue({container: False}).assign("a", "p", "reader", SUB).cover_sign_ins(*USER_LOGS)
    reader.sign_in("p", resource_id="storage")
    assert reader.judged("a")[container] == ("unobservable", "data_endpoint")


CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
BLOB = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
SILENT = ("unused", "no_sign_in")


@pytest.fixture
def holder(reader: Tiny) -> Tiny:
    """Somebody who may do anything, whose sign-in logs are covered."""
    return reader.role("all", "*", data=["*"]).assign("a", "p", "all").cover_sign_ins(*USER_LOGS)


def test_who_got_no_token_at_all_used_nothing_that_no_log_shows(holder: Tiny) -> None:
    """Endpoints, data planes and linked checks take a token of some kind; what a log shows is judged by that log."""
    found = holder.judged("a")
    assert found[CONTAINER] == found[BLOB] == found[JOIN] == SILENT
    assert (found[READ], found[WRITE]) == (UNUSED, ("unused", "covered"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "prepare",
    [
        lambda tiny: tiny.sign_in("p", resource_id="mail"),
        lambda tiny: tiny.sign_in(None, resource_id="mail"),
        lambda tiny: tiny.use("p", BLOB, plane="data"),
        lambda tiny: tiny.use("p", WRITE, succeeded=0, denied=1),
        lambda tiny: tiny.rows.update(coverage=tiny.rows["coverage"][:-1]),
    ],
    ids=["a token for mail", "of somebody unknown", "a call", "a refused call", "a day is missing"],
)
def test_any_sign_of_a_token_leaves_it_open(holder: Tiny, prepare: Callable[[Tiny], object]) -> None:
    """A call without a sign-in shows that the sign-in logs do not have all of its caller."""
    prepare(holder)
    assert holder.judged("a")[CONTAINER] == ("unobservable", "data_endpoint")


@pytest.mark.slow
def test_a_call_without_a_token_takes_the_certainty_about_reads_away(holder: Tiny) -> None:
    """An identity of Azure itself may act without a sign-in that the logs show."""
    holder.use("p", WRITE)
    assert holder.judged("a")[READ] == UNOBSERVABLE


SHARE = "Microsoft.Storage/storageAccounts/fileServices/fileshares/files/write"


def test_share_rights_need_no_sign_in_of_a_person(holder: Tiny) -> None:
    """A domain controller issues the ticket, so that Entra ID shows no sign-in of who works on the share."""
    holder.catalogue({SHARE: True, BLOB: True})
    found = holder.judged("a")
    assert found[SHARE][0] == "unobservable"
    assert found[BLOB] == SILENT


def test_share_rights_of_a_workload_take_a_token_of_entra(reader: Tiny) -> None:
    reader.catalogue({SHARE: True}).role("share", data=[SHARE])
    reader.assign("a", "s", "share", principal_type="ServicePrincipal").cover_sign_ins(
        "service_principal", "managed_identity"
    )
    assert reader.judged("a")[SHARE] == SILENT
