"""Applications as they occur, each with the permissions that an expert would leave it, on Graph's whole map.

The expert keeps the first rule of a plan: it gives no application anything that it cannot do today.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl
import pytest

from rightsize.planes.graph.plan import plan_graph
from rightsize.propose.core.options import PlanOptions
from tests.planes.graph.small_map import Apps

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """An application: what it holds and asked, what an expert leaves it, and why."""

    name: str
    held: str
    asked: str
    left: str
    why: str
    access: str = "application"
    suspect: bool = False


CASES = (
    Case(
        "hr-sync", "Directory.Read.All Group.Read.All", "GET /users; GET /users/{id}", "Directory.Read.All",
        "User.Read.All would be enough, and would add the profiles of users to what is held today",
    ),
    Case(
        "provisioner", "Directory.ReadWrite.All User.ReadWrite.All", "POST /users; GET /users",
        "User.ReadWrite.All", "it writes users, and nothing else of the directory",
    ),
    Case(
        "mailer", "Mail.Send Mail.ReadWrite", "POST /users/{id}/sendMail", "Mail.Send",
        "sending needs no right to read or change mailboxes",
    ),
    Case(
        "reader-with-write", "Mail.ReadWrite", "GET /users/{id}/messages", "Mail.Read", "it never wrote a message",
    ),
    Case(
        "idle", "Files.Read.All Mail.Send", "", "", "the log covers the window, and shows no request"),
    Case(
        "policy-as-code", "Policy.Read.All Policy.ReadWrite.ConditionalAccess Directory.Read.All",
        "POST /identity/conditionalAccess/policies",
        "Policy.Read.All Policy.ReadWrite.ConditionalAccess Directory.Read.All",
        "the documentation wants two of policies and one that reads applications",
    ),
    Case(
        "policy-remover", "Policy.Read.All Policy.ReadWrite.ConditionalAccess Mail.Read",
        "DELETE /identity/conditionalAccess/policies/{id}", "Policy.Read.All Policy.ReadWrite.ConditionalAccess",
        "the documentation wants both",
    ),
    Case(
        "consent-robot", "AppRoleAssignment.ReadWrite.All Application.Read.All RoleManagement.ReadWrite.Directory",
        "POST /servicePrincipals/{id}/appRoleAssignedTo", "AppRoleAssignment.ReadWrite.All Application.Read.All",
        "granting an app role needs both, and no directory role",
    ),
    Case(
        "membership", "User.Read.All GroupMember.Read.All Mail.Read", "POST /users/{id}/getMemberGroups",
        "User.Read.All GroupMember.Read.All", "the groups of a user are readable with both only",
    ),
    Case(
        "sign-in-export", "AuditLog.Read.All Directory.Read.All Policy.Read.All Reports.Read.All",
        "GET /auditLogs/signIns", "AuditLog.Read.All Directory.Read.All Policy.Read.All",
        "both are documented, and without the third the answer lacks Conditional Access",
    ),
    Case(
        "stale-accounts", "User.Read.All AuditLog.Read.All Group.Read.All", "GET /users?$select=signinactivity",
        "User.Read.All AuditLog.Read.All", "the last sign-in needs the audit log",
    ),
    Case(
        "device-groups", "GroupMember.ReadWrite.All Device.ReadWrite.All Mail.Send",
        "POST /groups/{id}/members/$ref", "GroupMember.ReadWrite.All Device.ReadWrite.All",
        "the log does not say whether devices were added",
    ),
    Case(
        "attributes", "CustomSecAttributeAssignment.ReadWrite.All User.Read.All Printer.Read.All", "PATCH /users/{id}",
        "CustomSecAttributeAssignment.ReadWrite.All User.Read.All",
        "setting custom security attributes needs both; the map knows neither for this request",
    ),
    Case(
        "beta", "Sites.Read.All Mail.Read", "GET /sites/{id}/frobnicate", "Sites.Read.All",
        "an unknown request of `sites` may have needed what is held for `sites`",
    ),
    Case(
        "strange", "Sites.Read.All Mail.Read", "GET /somethingNew", "Sites.Read.All Mail.Read",
        "nobody knows what an unknown part of Graph needs",
    ),
    Case(
        "twin", "Directory.ReadWrite.All", "GET /directory/subscriptions", "Directory.ReadWrite.All",
        "the map lists the reading permission alone; the writing one allows it too",
    ),
    Case(
        "owner", "Application.ReadWrite.OwnedBy Mail.Read", "GET /applications/{id}/owners; GET /applications/delta",
        "Application.ReadWrite.OwnedBy", "whose applications were read, the log does not say",
    ),
    Case(
        "portal", "User.Read Mail.Send", "POST /$batch; GET /me", "User.Read",
        "a batch and one's own profile say nothing of other permissions", access="delegated",
    ),
    Case(
        "own-mail", "User.Read MailboxSettings.Read Calendars.Read", "GET /me?$select=mailboxsettings",
        "User.Read MailboxSettings.Read", "the settings of one's mailbox need a permission of their own",
        access="delegated",
    ),
    Case(
        "alerted", "Sites.Read.All Mail.Read", "GET /sites/{id}/frobnicate", "Sites.Read.All",
        "a person has not yet decided whose request it was", suspect=True,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def left(catalogue: Mapping[str, pl.DataFrame]) -> dict[str, set[str]]:
    """What each application holds after one plan for all of them."""
    apps = Apps(catalogue=catalogue)
    for case in CASES:
        apps.app(case.name)
        (apps.holds if case.access == "application" else apps.delegated)(case.name, *case.held.split())
        asked = [one for one in case.asked.split("; ") if one]
        user = "ann" if case.access == "delegated" else None
        apps.asks(case.name, *asked, user=user, suspect=3 if case.suspect else 0)
    after: dict[str, set[str]] = {case.name: set() for case in CASES}
    for one in plan_graph(apps.analysis(), PlanOptions(min_window=10, grace_days=0)).proposals:
        after[one.principal_ids[0]] |= {
            row["permission"] for row in one.evidence["permissions"] if row["decision"] == "keep"
        } | {row["permission"] for row in one.evidence["comes"]}
    return after


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_an_expert_would_leave_the_same(case: Case, left: Mapping[str, set[str]]) -> None:
    assert left[case.name] == set(case.left.split()), case.why


@pytest.mark.nightly
def test_a_narrower_permission_that_would_add_something_is_advice(catalogue: Mapping[str, pl.DataFrame]) -> None:
    """The plan keeps the broad one; a person is told which would do, and what it would add."""
    apps = Apps(catalogue=catalogue).app("hr").holds("hr", "Directory.Read.All").asks("hr", "GET /users")
    (advice,) = plan_graph(apps.analysis(), PlanOptions(min_window=10, grace_days=0)).advice
    assert "User.Read.All allows every request that was seen" in advice.text
    assert "such as GET /" in advice.text
    more = apps.asks("hr", "GET /devices", "GET /domains")
    assert plan_graph(more.analysis(), PlanOptions(min_window=10, grace_days=0)).advice == ()
