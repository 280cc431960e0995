"""A small map of Graph with applications: each test names grants and requests, and checks the results."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from rightsize.analyze.graph_tables import GRAPH_APP_ID, GraphTables
from rightsize.analyze.window import Window
from rightsize.model.plan import PlanePart, Proposal
from rightsize.planes.graph.judge import GraphAnalysis, GraphVerdicts, analyse_graph
from rightsize.planes.graph.plan import plan_graph
from rightsize.propose.core.options import PlanOptions

WINDOW = Window(dt.date(2026, 1, 1), dt.date(2026, 1, 10))
GRAPH, EXCHANGE = "graph-sp", "exchange-sp"

READS_USERS = (("GET", "/users"), ("GET", "/users/{id}"), ("GET", "/users/{id}/manager"))
READS_GROUPS = (("GET", "/groups"), ("GET", "/groups/{id}"), ("GET", "/groups/{id}/members"))
WRITES_USERS = (("POST", "/users"), ("PATCH", "/users/{id}"), ("DELETE", "/users/{id}"))
WRITES_GROUPS = (("POST", "/groups"), ("POST", "/groups/{id}/members/$ref"))
MAIL = (("GET", "/users/{id}/messages"), ("GET", "/users/{id}/messages/{id}"))
MINE = (("GET", "/me"), ("GET", "/me/messages"), ("GET", "/me/messages/{id}"))

PERMISSIONS: dict[str, tuple[int, tuple[tuple[str, str], ...]]] = {
    "User.Read.All": (3, READS_USERS),
    "User.ReadBasic.All": (3, READS_USERS[:2]),
    "User.ReadWrite.All": (4, READS_USERS + WRITES_USERS),
    "User-PasswordProfile.ReadWrite.All": (4, WRITES_USERS[1:2]),
    "Group.Read.All": (3, READS_GROUPS),
    "Group.ReadWrite.All": (4, READS_GROUPS + WRITES_GROUPS),
    "GroupMember.Read.All": (3, READS_GROUPS),
    "Device.Read.All": (3, (("GET", "/devices"),)),
    "Directory.Read.All": (3, READS_USERS + READS_GROUPS + (("GET", "/devices"), ("GET", "/organization"))),
    "Directory.ReadWrite.All": (4, READS_USERS + READS_GROUPS + WRITES_USERS + WRITES_GROUPS),
    "Mail.Read": (3, MAIL + MINE[1:]),
    "Mail.ReadWrite": (3, MAIL + MINE[1:] + (("POST", "/users/{id}/messages"), ("POST", "/me/messages"))),
    "Mail.Send": (3, (("POST", "/users/{id}/sendmail"),)),
    "User.Read": (2, MINE[:1]),
    "AuditLog.Read.All": (3, (("GET", "/auditlogs/signins"),)),
    "Sites.Read.All": (4, (("GET", "/sites/{id}"), ("GET", "/sites/{id}/lists"))),
    "Application.ReadWrite.All": (4, (("GET", "/applications"), ("PATCH", "/applications/{id}"))),
    "DeviceManagementApps.Read.All": (3, (("GET", "/users"), ("GET", "/deviceappmanagement/mobileapps"))),
}


class Apps:
    """Applications, what they hold and what they asked for, over the small map or over the tables of `catalogue`."""

    def __init__(
        self,
        *,
        days: int = 10,
        is_mapped: bool = True,
        window: Window = WINDOW,
        catalogue: Mapping[str, pl.DataFrame] | None = None,
    ) -> None:
        self.window = window
        self.catalogue = dict(catalogue or {})
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.add("principals", principal_id=GRAPH, principal_type="ServicePrincipal", app_id=GRAPH_APP_ID)
        self.add("principals", principal_id=EXCHANGE, principal_type="ServicePrincipal", app_id="exchange-app")
        for name, (level, pairs) in PERMISSIONS.items() if is_mapped and not catalogue else ():
            for access in ("application", "delegated"):
                self.add("graph_permissions", permission=name, access=access, privilege_level=level)
                for method, path in pairs:
                    self.add("graph_permission_paths", permission=name, access=access, method=method, path=path)
        for name in PERMISSIONS if not catalogue else ():
            for access in ("application", "delegated"):
                self.add(
                    "api_permissions", api_app_id=GRAPH_APP_ID, permission_id=f"{access[0]}-{name}".lower(),
                    access=access, permission=name,
                )  # fmt: skip
        for day in range(days):
            self.add(
                "coverage", source="graph_activity_log", category="MicrosoftGraphActivityLogs", scope="/",
                day=WINDOW.first_day + dt.timedelta(days=day), state="observed",
            )  # fmt: skip

    def add(self, table: str, **columns: Any) -> Apps:
        self.rows.setdefault(table, []).append(columns)
        return self

    def app(self, name: str, **more: Any) -> Apps:
        columns = {"principal_id": name, "app_id": f"{name}-app", "display_name": name.title()}
        return self.add("principals", principal_type="ServicePrincipal", **(columns | more))

    def holds(self, name: str, *permissions: str, resource: str = GRAPH, **more: Any) -> Apps:
        for permission in permissions:
            self.add(
                "app_role_assignments", app_role_assignment_id=f"{name}/{permission}", principal_id=name,
                principal_type="ServicePrincipal", resource_id=resource, app_role_id=f"a-{permission}".lower(), **more,
            )  # fmt: skip
        return self

    def delegated(self, name: str, *permissions: str, user: str | None = None) -> Apps:
        return self.add(
            "permission_grants", permission_grant_id=f"{name}/{user or 'all'}", client_id=name,
            consent_type="Principal" if user else "AllPrincipals", principal_id=user, resource_id=GRAPH,
            permissions=sorted(permissions),
        )  # fmt: skip

    def asks(
        self,
        name: str,
        *operations: str,
        user: str | None = None,
        denied: int = 0,
        use: int = 3,
        suspect: int = 0,
        days: Iterable[int] = (0,),
    ) -> Apps:
        """Ask each operation on each of the days, counted from the first of the window."""
        for operation, day in itertools.product(operations, days):
            at = dt.datetime.combine(WINDOW.first_day + dt.timedelta(days=day), dt.time(9))
            self.add(
                "graph_usage_days", app_id=f"{name}-app", principal_id=user or name,
                access="delegated" if user else "application", operation=operation, day=at.date(),
                first_seen=at, last_seen=at, succeeded=use, failed=0, started=0, denied=denied, other=0,
                suspect=suspect,
            )  # fmt: skip
        return self

    def tables(self) -> GraphTables:
        return GraphTables.of(
            **{name: pl.DataFrame(rows, infer_schema_length=None) for name, rows in self.rows.items()},
            **self.catalogue,
        )

    def analysis(self) -> GraphAnalysis:
        return analyse_graph(self.tables(), self.window)

    def judged(self, name: str, access: str = "application", user: str = "") -> dict[str, tuple[str, str]]:
        found: dict[str, GraphVerdicts] = dict(self.analysis().judgements[name, access, user])
        return {permission: (one.verdict.value, one.reason) for permission, one in found.items()}

    def part(self, **options: Any) -> PlanePart:
        return plan_graph(self.analysis(), PlanOptions(min_window=self.window.days, grace_days=0, **options))

    def proposal(self, grant: str, **options: Any) -> Proposal:
        (found,) = [one for one in self.part(**options).proposals if one.replaces == (grant,)]
        return found

    def after(self, name: str, **options: Any) -> set[str]:
        """Return the permissions that an application holds after the plan."""
        held: set[str] = set()
        for one in self.part(**options).proposals:
            if one.principal_ids[0] == name:
                held |= {p["permission"] for p in one.evidence["permissions"] if p["decision"] == "keep"}
                held |= {p["permission"] for p in one.evidence.get("comes", ())}
        return held
