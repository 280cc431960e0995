"""Findings about agents: permissions that Microsoft blocks for agents, held, inherited or only inheritable."""

from __future__ import annotations

from tests.planes.graph.test_agents import agents, inherits, whole


def test_permissions_that_are_blocked_for_agents_are_found_however_they_come() -> None:
    """The blueprint's principal is blocked as its agents are; some are blocked for one kind of access only."""
    apps = agents("a1", "a2").holds("claims", "Application.ReadWrite.All").holds("a2", "Sites.Read.All")
    inherits(apps, "application", "allAllowed")
    inherits(apps, "delegated", "enumerated", "User.ReadWrite.All", "Sites.Read.All")
    found = whole(apps).analysis().findings.filter(control="agent_blocked_permission")
    ends = ": Microsoft blocks this for agents"
    assert dict(found.select("subject", "reason").iter_rows()) == {
        "a1": f"inherits Application.ReadWrite.All (application){ends}",
        "a2": f"holds Sites.Read.All (application), inherits Application.ReadWrite.All (application){ends}",
        "claims": "holds Application.ReadWrite.All (application), "
        f"lets its agents inherit User.ReadWrite.All (delegated){ends}",
    }


def test_what_may_be_inherited_is_said_as_such() -> None:
    apps = agents("a1").holds("claims", "Application.ReadWrite.All")
    found = apps.analysis().findings.filter(control="agent_blocked_permission", subject="a1")
    assert found["reason"].item().startswith("may inherit Application.ReadWrite.All (application)")
