"""A small tenant with complete inventories of its first subscription, to break one condition of a proof at a time."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from rightsize.analyze.verdicts.existence import states_of
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import choose_window
from tests.propose.small_tenant import CONTRIBUTOR, DAY0, DAYS, READER, SUB, VM, SmallTenant, guid

READ_ON = dt.datetime.combine(DAY0 + dt.timedelta(days=DAYS), dt.time(6))
KINDS = ("resource_list", "resource_graph")
CONTAINER_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/write"
BLOB_WRITE = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"


def inventory(tenant: SmallTenant, scope: str = SUB, kinds: tuple[str, ...] = KINDS, **more: Any) -> None:
    """Add a complete listing of each kind, read after the window by the reader of the tenant."""
    for kind in kinds:
        row = {"scope": scope.lower(), "kind": kind, "reader_id": guid(900), "read_on": READ_ON, "complete": True}
        tenant.add("inventories", **(row | {"vouched_by": "manifest"} | more))


def resource(tenant: SmallTenant, scope: str) -> None:
    """Add a resource to the listings."""
    tenant.add("resources", scope=scope.lower(), resource_type="")


def reader(tenant: SmallTenant, scope: str = SUB, **more: Any) -> None:
    """Let the reader of the listings read a scope."""
    tenant.principal(900, "ServicePrincipal")
    tenant.assign(9000, guid(900), READER, scope, **({"principal_type": "ServicePrincipal"} | more))


def holder(tenant: SmallTenant, scope: str = SUB, role: str = CONTRIBUTOR, number: int = 1, **more: Any) -> str:
    """Add a user with a role who starts a virtual machine, and return the assignment."""
    user = tenant.principal(number)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    return tenant.assign(100 + number, user, role, scope, **more)


def inventoried() -> SmallTenant:
    """Return a tenant whose first subscription has one virtual machine, a complete inventory and a holder."""
    tenant = SmallTenant()
    resource(tenant, VM)
    reader(tenant)
    inventory(tenant)
    holder(tenant)
    return tenant


def analysed(tenant: SmallTenant, **window: Any) -> Analysis:
    """Return the analysis of the window of small tenants; `window` are further arguments of `choose_window`."""
    inputs = tenant.inputs()
    return analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS, **window))


def judged(tenant: SmallTenant, assignment: str = guid(101), state: str = "active") -> dict[str, tuple[str, str]]:
    """Return operation to (verdict, reason) of the unused operations of an assignment."""
    analysis = analysed(tenant)
    mine = (pl.col("role_assignment_id") == assignment) & (pl.col("state") == state)
    profile = analysis.profiles.filter(mine)["profile_id"].item()
    rows = analysis.profile_operations.filter(pl.col("profile_id") == profile)
    return {one: (verdict, why) for one, verdict, why in rows.select("operation", "verdict", "reason").iter_rows()}


def state_of(tenant: SmallTenant, kind: str, scope: str = SUB) -> tuple[str, str]:
    """Return (state, reason) of a type in a subscription."""
    rows = states_of(analysed(tenant).existence)
    found = rows.filter((pl.col("node") == scope.lower()) & (pl.col("kind") == kind.lower()))
    return found.select("state", "reason").row(0)
