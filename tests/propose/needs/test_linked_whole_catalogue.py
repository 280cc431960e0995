"""With all operations of Azure, a plan keeps those that Azure checks inside the writes it leaves."""

from __future__ import annotations

import csv
import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest

from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import Plan
from rightsize.model.role_forms import load_json, read_role_definitions
from tests.propose.small_tenant import APP, DATA, SUB, VM, VM_CONTRIBUTOR, SmallTenant, guid, proposal_for

pytestmark = pytest.mark.slow

SNAPSHOT, EXPORT = "Microsoft.Compute/snapshots/write", "Microsoft.Compute/disks/beginGetAccess/action"
SETTING = "Microsoft.Insights/diagnosticSettings/write"
SHARED_KEYS = "Microsoft.OperationalInsights/workspaces/sharedKeys/action"
ACCOUNT_KEYS = "Microsoft.Storage/storageAccounts/listKeys/action"
HUB_KEYS = "Microsoft.EventHub/namespaces/authorizationRules/listkeys/action"
MACHINE = "Microsoft.Compute/virtualMachines/write"
IMAGE = "Microsoft.Compute/images/read"
GROUP_WRITE = "Microsoft.Resources/subscriptions/resourceGroups/write"
MONITORING_CONTRIBUTOR = "749f88d5-cbae-40b8-bcfc-e573ddc772fa"
SUBSCRIBE = "Microsoft.EventGrid/eventSubscriptions/write"
HANDLERS = (
    "Microsoft.EventHub/namespaces/eventhubs/write",
    "Microsoft.ServiceBus/namespaces/queues/write",
    "Microsoft.ServiceBus/namespaces/topics/write",
    "Microsoft.Relay/namespaces/HybridConnections/write",
)
SNAPSHOTS, EXPORTS, DIAGNOSTICS, EXEMPTIONS, MOVES, MACHINES, EVENTS = (guid(number) for number in range(901, 908))
CUSTOM = {
    SNAPSHOTS: ("Snapshots", ("Microsoft.Compute/snapshots/*", "Microsoft.Compute/disks/*")),
    EXPORTS: ("Exports", (EXPORT, "Microsoft.Compute/disks/endGetAccess/action", "Microsoft.Compute/disks/delete")),
    DIAGNOSTICS: (
        "Diagnostics",
        (
            "Microsoft.Insights/*",
            "Microsoft.OperationalInsights/workspaces/*",
            "Microsoft.Storage/storageAccounts/*",
            "Microsoft.EventHub/namespaces/*",
        ),
    ),
    EXEMPTIONS: (
        "Exemptions",
        ("Microsoft.Authorization/policyExemptions/*", "Microsoft.Authorization/policyAssignments/*"),
    ),
    MOVES: ("Moves", ("Microsoft.Resources/subscriptions/resourceGroups/*",)),
    EVENTS: (
        "Events",
        (
            "Microsoft.EventGrid/*",
            "Microsoft.EventHub/namespaces/*",
            "Microsoft.ServiceBus/namespaces/*",
            "Microsoft.Relay/namespaces/*",
        ),
    ),
    MACHINES: ("Machines", ("Microsoft.Compute/virtualMachines/*", "Microsoft.Compute/disks/write", IMAGE)),
}


@dataclass(frozen=True)
class Case:
    """A role, a write of it and what Azure checks there; `other` is something of the role that checks none of it."""

    role: str
    write: str
    checked: tuple[str, ...]
    other: str
    scope: str = VM


CASES = {
    "snapshot": Case(SNAPSHOTS, SNAPSHOT, (EXPORT,), "Microsoft.Compute/snapshots/delete"),
    "diagnostic setting": Case(
        DIAGNOSTICS, SETTING, (SHARED_KEYS, ACCOUNT_KEYS, HUB_KEYS), "Microsoft.Insights/metricAlerts/delete"
    ),
    "built-in role": Case(MONITORING_CONTRIBUTOR, SETTING, (SHARED_KEYS,), "Microsoft.Insights/metricAlerts/delete"),
    "component": Case(
        DIAGNOSTICS, "Microsoft.Insights/Components/Write", (SHARED_KEYS,), "Microsoft.Insights/metricAlerts/delete"
    ),
    "machine": Case(
        VM_CONTRIBUTOR, MACHINE, ("Microsoft.Compute/disks/write",), "Microsoft.Compute/virtualMachines/start/action"
    ),
    "machine with an image": Case(
        MACHINES, MACHINE, ("Microsoft.Compute/disks/write",), "Microsoft.Compute/virtualMachines/start/action"
    ),
    "exemption": Case(
        EXEMPTIONS,
        "Microsoft.Authorization/policyExemptions/write",
        ("Microsoft.Authorization/policyAssignments/exempt/action",),
        "Microsoft.Authorization/policyExemptions/delete",
    ),
    "event handler": Case(EVENTS, SUBSCRIBE, HANDLERS, "Microsoft.EventGrid/topics/delete"),
    "move": Case(
        MOVES,
        "Microsoft.Resources/subscriptions/resourceGroups/moveResources/action",
        (GROUP_WRITE,),
        "Microsoft.Resources/subscriptions/resourceGroups/delete",
        APP,
    ),
}

NARROW = ("built-in role", "machine")
"""The cases whose role of today has hardly more than the work, so that it stays."""


@dataclass(frozen=True)
class Planned:
    """A plan, and the assignment of each holder by what the test calls it."""

    plan: Plan
    assignments: dict[str, str]

    def kept(self, name: str) -> dict[str, set[str]]:
        """Return the scopes where the plan leaves each operation, for the assignment of that name; folded."""
        proposal = proposal_for(self.plan, self.assignments[name])
        assert proposal.kind not in ("keep", "remove"), proposal.reason
        blocks = {role.definition.role_definition_id: role.definition.permissions for role in self.plan.roles}
        found: dict[str, set[str]] = {}
        for one in proposal.assignments:
            for block in blocks.get(one.role, ()):
                for text in block.actions:
                    found.setdefault(text.lower(), set()).add(one.scope.lower())
        return found


@pytest.fixture(scope="module")
def tenant(shared_data: Path) -> tuple[SmallTenant, dict[str, str]]:
    """Everybody of the cases twice: one who makes the write, and one who does something else."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as stream:
        known = {"true": True, "false": False}
        operations = {row["operation"]: known.get(row["is_data_action"]) for row in csv.DictReader(stream)}
    definitions = read_role_definitions(load_json((shared_data / "catalog" / "built-in-roles.json").read_bytes()))
    roles = {role.role_definition_id: (role.role_name, list(role.permissions)) for role in definitions}
    roles |= {id_: (name, [PermissionBlock(actions=actions)]) for id_, (name, actions) in CUSTOM.items()}
    made = SmallTenant(operations=operations, roles=roles, custom_roles=set(CUSTOM))
    assignments: dict[str, str] = {}

    def hold(name: str, holder: str, role: str, scope: str = SUB, **more: object) -> None:
        assignments[name] = made.assign(200 + len(assignments), holder, role, scope, **more)

    people = iter(range(1, 100))
    for name, case in CASES.items():
        writer, other = made.principal(next(people)), made.principal(next(people))
        hold(name, writer, case.role)
        hold(f"{name}, not made", other, case.role)
        made.use(writer, case.write, case.scope)
        made.use(other, case.other, case.scope)
    # The write through one assignment, the check through another: of the same person, and of a group.
    both, member, idle = made.principal(next(people)), made.principal(next(people)), made.principal(next(people))
    group = made.group(80, [member, idle])
    for name, holder in (("second", both), ("group", group)):
        hold(name, holder, EXPORTS, DATA)
        made.use(both if holder is both else idle, "Microsoft.Compute/disks/endGetAccess/action", DATA)
    for writer in (both, member):
        hold(f"writes of {writer}", writer, SNAPSHOTS, APP)
        made.use(writer, SNAPSHOT, APP)
    # An assignment that is too young to be judged stays as it is, and so does a write of it that nobody has made yet.
    young = made.principal(next(people))
    hold("beside a young one", young, EXPORTS, DATA)
    made.use(young, "Microsoft.Compute/disks/endGetAccess/action", DATA)
    hold("young", young, SNAPSHOTS, APP, created_on=dt.datetime(2026, 3, 30))
    return made, assignments


@pytest.fixture(scope="module")
def planned(tenant: tuple[SmallTenant, dict[str, str]]) -> Planned:
    """The plan by default."""
    return Planned(tenant[0].plan(), tenant[1])


@pytest.mark.parametrize("name", [name for name in CASES if name not in NARROW])
def test_what_a_write_asks_for_stays_with_whoever_makes_it(planned: Planned, name: str) -> None:
    """At today's scope: the target of the check is not where the write was made."""
    kept = planned.kept(name)
    for checked in CASES[name].checked:
        assert kept[checked.lower()] == {SUB.lower()}


@pytest.mark.parametrize("name", NARROW)
def test_a_built_in_role_with_hardly_more_stays_with_what_its_write_asks_for(planned: Planned, name: str) -> None:
    proposal = proposal_for(planned.plan, planned.assignments[name])
    assert (proposal.kind, proposal.reason.partition(":")[0]) == ("keep", "narrow already")


@pytest.mark.parametrize("name", CASES)
def test_it_goes_from_whoever_made_no_such_write(planned: Planned, name: str) -> None:
    """Keys do not stay in every role that could write a diagnostic setting."""
    assert not {checked.lower() for checked in CASES[name].checked} & set(planned.kept(f"{name}, not made"))


@pytest.mark.parametrize("name", ["second", "group", "beside a young one"])
def test_the_check_stays_where_another_assignment_keeps_the_write(planned: Planned, name: str) -> None:
    """Of the same person, of a member of the group, and of an assignment that the plan leaves alone."""
    assert planned.kept(name)[EXPORT.lower()] == {DATA.lower()}


@pytest.mark.nightly
@pytest.mark.parametrize("reads", ["none", "sibling"])
def test_reads_that_a_machine_is_checked_for_stay_without_the_others(
    tenant: tuple[SmallTenant, dict[str, str]], reads: str
) -> None:
    """No log shows a read, so a choice of reads must not take what the write that stays is checked for."""
    made, assignments = tenant
    planned = Planned(made.plan(reads=reads), assignments)
    writer, other = planned.kept("machine with an image"), planned.kept("machine with an image, not made")
    assert writer[IMAGE.lower()] == {SUB.lower()}
    assert IMAGE.lower() not in other
