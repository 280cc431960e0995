"""Graph's whole map: its gaps and its alternatives never take a permission away that a request needed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import polars as pl
import pytest

from rightsize.analyze.graph_tables import GraphTables
from rightsize.planes.graph.cases import GraphMap
from rightsize.planes.graph.permissions import parse_request
from rightsize.planes.graph.plan import plan_graph
from rightsize.propose.core.options import PlanOptions
from rightsize.rules.graph import changes, only_reads, writing_twin
from tests.planes.graph.small_map import Apps

pytestmark = pytest.mark.slow

KINDS = ("application", "delegated")


@pytest.fixture(scope="module")
def graph(catalogue: Mapping[str, pl.DataFrame]) -> GraphMap:
    return GraphMap.read(GraphTables.of(**catalogue))


def hold(apps: Apps, name: str, access: str, *permissions: str) -> None:
    apps.app(name)
    (apps.holds if access == "application" else apps.delegated)(name, *permissions)


def ask(apps: Apps, name: str, access: str, *operations: str) -> None:
    apps.asks(name, *operations, user="ann" if access == "delegated" else None)


def left(apps: Apps) -> dict[str, set[str]]:
    """Return what each application holds after the plan."""
    part = plan_graph(apps.analysis(), PlanOptions(min_window=10, grace_days=0))
    after: dict[str, set[str]] = {}
    for one in part.proposals:
        held = after.setdefault(one.principal_ids[0], set())
        held |= {row["permission"] for row in one.evidence["permissions"] if row["decision"] == "keep"}
        held |= {row["permission"] for row in one.evidence["comes"]}
    return after


def gaps(graph: GraphMap, access: str) -> Iterator[tuple[str, str]]:
    """Yield each permission that reads and writes, with a request for which the map lists its reading twin alone."""
    allows = graph.by_access[access].allows
    for reading in sorted(allows):
        writing = writing_twin(reading)
        if reading.endswith(".Read.All") and writing in allows:
            for method, path in sorted(allows[reading] - allows[writing]):
                yield writing, f"{method} {path}"


@pytest.mark.nightly
@pytest.mark.parametrize("access", KINDS)
def test_whoever_holds_the_writing_twin_alone_is_explained_and_keeps_it(
    access: str, graph: GraphMap, catalogue: Mapping[str, pl.DataFrame]
) -> None:
    missing = list(gaps(graph, access))
    assert len(missing) > 80
    apps = Apps(catalogue=catalogue)
    for number, (writing, operation) in enumerate(missing):
        hold(apps, f"x{number}", access, writing)
        ask(apps, f"x{number}", access, operation)
    analysis = apps.analysis()
    unexplained = analysis.verdicts.filter(verdict="unexplained", reason="no_permission")
    assert unexplained.is_empty(), unexplained["operation"].to_list()
    after = left(apps)
    for number, (writing, operation) in enumerate(missing):
        assert analysis.judgements[f"x{number}", access, ""][writing].verdict.value != "unused", operation
        assert after[f"x{number}"] == {writing}, operation


def changing(graph: GraphMap, access: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield each change for which the map lists permissions that only read beside others: request, these, and those."""
    listed: dict[tuple[str, str], list[str]] = {}
    for permission, pairs in graph.by_access[access].allows.items():
        for pair in pairs:
            listed.setdefault(pair, []).append(permission)
    for (method, path), permissions in sorted(listed.items()):
        readers = sorted(one for one in permissions if only_reads(one))
        writers = sorted(set(permissions) - set(readers))
        if readers and writers and changes(method, path):
            yield f"{method} {path}", readers, writers


@pytest.mark.nightly
@pytest.mark.parametrize("access", KINDS)
def test_a_change_is_never_left_to_a_permission_that_only_reads(
    access: str, graph: GraphMap, catalogue: Mapping[str, pl.DataFrame]
) -> None:
    found = list(changing(graph, access))
    assert len(found) > 100
    apps = Apps(catalogue=catalogue)
    for number, (operation, readers, writers) in enumerate(found):
        hold(apps, f"x{number}", access, *readers, *writers)
        ask(apps, f"x{number}", access, operation)
    after = left(apps)
    for number, (operation, _, writers) in enumerate(found):
        assert after[f"x{number}"] & set(writers), operation


MEMBERSHIPS = "POST /users/{id}/getMemberGroups"
TOGETHER = (
    ({"User.Read.All", "GroupMember.Read.All"}, MEMBERSHIPS),
    ({"AppRoleAssignment.ReadWrite.All", "Directory.Read.All"}, "POST /servicePrincipals/{id}/appRoleAssignedTo"),
    (
        {"Policy.Read.All", "Policy.ReadWrite.ConditionalAccess", "Application.Read.All"},
        "POST /identity/conditionalAccess/policies",
    ),
    ({"Policy.Read.All", "Application.ReadWrite.All"}, "POST /applications/{id}/tokenIssuancePolicies"),
    ({"AuditLog.Read.All", "Directory.Read.All"}, "GET /auditLogs/signIns"),
)
"""What is held, all of it needed together for the request."""

NARROWER = (
    ({"User.ReadWrite.All", "Group.ReadWrite.All"}, MEMBERSHIPS, {"User.Read.All", "GroupMember.Read.All"}),
    (
        {"User.Read.All", "GroupMember.Read.All", "Device.Read.All"},
        MEMBERSHIPS,
        {"User.Read.All", "GroupMember.Read.All"},
    ),
    ({"Application.Read.All", "User.Read.All"}, "POST /users/{id}/getMemberObjects", {"User.Read.All"}),
)
"""What is held, the request, and what of it is needed."""


@pytest.mark.nightly
@pytest.mark.parametrize("access", KINDS)
def test_what_is_needed_together_stays_together(access: str, catalogue: Mapping[str, pl.DataFrame]) -> None:
    cases = [*((held, operation, held) for held, operation in TOGETHER), *NARROWER]
    apps = Apps(catalogue=catalogue)
    for number, (held, operation, _) in enumerate(cases):
        hold(apps, f"x{number}", access, *sorted(held))
        ask(apps, f"x{number}", access, operation)
    after = left(apps)
    assert [after[f"x{number}"] for number in range(len(cases))] == [expected for _, _, expected in cases]


@pytest.mark.nightly
def test_a_broad_permission_is_swapped_only_for_all_that_a_request_needs_together(
    catalogue: Mapping[str, pl.DataFrame], graph: GraphMap
) -> None:
    apps = Apps(catalogue=catalogue)
    hold(apps, "x", "application", "Directory.ReadWrite.All")
    ask(apps, "x", "application", MEMBERSHIPS)
    (after,) = left(apps).values()
    assert after != {"Directory.ReadWrite.All"}
    clauses = graph.by_access["application"].requirement(parse_request(MEMBERSHIPS)).clauses
    assert {clause.why for clause in clauses} == {"path", "joined"}
    assert all(clause.holders(after) for clause in clauses)


def test_half_of_what_is_needed_together_leaves_open_who_gave_the_other_half(
    catalogue: Mapping[str, pl.DataFrame],
) -> None:
    apps = Apps(catalogue=catalogue)
    hold(apps, "x", "application", "GroupMember.Read.All", "User-Phone.ReadWrite.All", "Sites.Read.All")
    ask(apps, "x", "application", MEMBERSHIPS)
    verdicts = {
        one: (found.verdict.value, found.reason)
        for one, found in apps.analysis().judgements["x", "application", ""].items()
    }
    assert verdicts["GroupMember.Read.All"][0] == "used"
    assert verdicts["User-Phone.ReadWrite.All"] == ("out_of_coverage", "unexplained_request")


@pytest.mark.nightly
@pytest.mark.parametrize("access", KINDS)
def test_whatever_is_held_and_asked_every_requirement_that_was_met_stays_met(
    access: str, graph: GraphMap, catalogue: Mapping[str, pl.DataFrame]
) -> None:
    """Asked of the map alone, for applications with permissions and requests drawn from all of it."""
    chance = random.Random(20)  # noqa: S311  examples, not secrets
    map_of = graph.by_access[access]
    names = sorted(map_of.allows)
    apps = Apps(catalogue=catalogue)
    drawn: dict[str, tuple[list[str], list[str]]] = {}
    for number in range(150):
        held = chance.sample(names, chance.randint(1, 4))
        near = [f"{method} {path}" for one in held for method, path in sorted(map_of.allows[one])]
        operations = sorted(set(chance.sample(near, min(3, len(near)))))
        held += [one for one in [writing_twin(held[0])] if one in map_of.allows and one not in held]
        drawn[f"x{number}"] = (held, operations)
        hold(apps, f"x{number}", access, *held)
        ask(apps, f"x{number}", access, *operations)
    after = left(apps)
    met = 0
    for name, (held, operations) in drawn.items():
        for operation in operations:
            clauses = map_of.requirement(parse_request(operation)).clauses
            for clause in clauses:
                if clause.holders(held):
                    met += 1
                    assert clause.holders(after[name]), (name, held, operation, clause.why, after[name])
    assert met > 300
