"""Build a tiny tenant as frames: each test fills in what it holds, and checks the results."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.verdicts.judge import Analysis, analyse
from rightsize.analyze.window import Window
from rightsize.model.text import fold
from rightsize.rules.operations import matches

FIRST = dt.date(2026, 1, 1)
LAST = dt.date(2026, 1, 10)
SUB = "/subscriptions/s1"
RG = f"{SUB}/resourceGroups/rg1"
VM = f"{RG}/providers/Microsoft.Compute/virtualMachines/vm1"
MG = "/providers/Microsoft.Management/managementGroups/mg1"

CATALOGUE = {
    "Microsoft.Compute/virtualMachines/read": False,
    "Microsoft.Compute/virtualMachines/write": False,
    "Microsoft.Compute/virtualMachines/delete": False,
    "Microsoft.Compute/virtualMachines/start/action": False,
    "Microsoft.Network/virtualNetworks/subnets/join/action": False,
    "Microsoft.Network/networkInterfaces/write": False,
    "Microsoft.Storage/storageAccounts/blobServices/containers/write": False,
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read": True,
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write": True,
    "Microsoft.Authorization/roleAssignments/write": False,
    "Microsoft.Management/managementGroups/write": False,
}


class Tiny:
    """Rows of a tenant, collected by small words and turned into `Inputs`."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.window = Window(FIRST, LAST)
        self._analysed: tuple[str, Analysis] | None = None
        self.catalogue(CATALOGUE)
        self.add("scopes", scope=SUB, kind="subscription", parent_scope="/", listed=True)

    def add(self, table: str, **columns: Any) -> Tiny:
        self.rows.setdefault(table, []).append(columns)
        return self

    def catalogue(self, operations: dict[str, bool | None], *, guess: Iterable[str] = ()) -> Tiny:
        self.rows["operations"] = [
            {"operation": name, "is_data_action": data, "is_guess": name in set(guess)}
            for name, data in operations.items()
        ]
        return self

    def role(self, name: str, *actions: str, data: Iterable[str] = (), minus: Iterable[str] = ()) -> Tiny:
        self.add("role_definitions", role_definition_id=name, role_name=name, role_type="CustomRole")
        strings = (
            [("action", a) for a in actions] + [("data_action", a) for a in data] + [("not_action", a) for a in minus]
        )
        for kind, pattern in strings:
            self.add("role_permissions", role_definition_id=name, block=0, kind=kind, pattern=pattern)
        return self

    def assign(self, id: str, principal: str, role: str, scope: str = SUB, state: str = "active", **more: Any) -> Tiny:
        columns = {"principal_type": "User", "created_on": dt.datetime(2025, 1, 1)} | more
        return self.add(
            "role_assignments",
            role_assignment_id=id,
            principal_id=principal,
            role_definition_id=role,
            scope=scope,
            state=state,
            **columns,
        )

    def member(self, group: str, *members: str) -> Tiny:
        for member in members:
            self.add("group_closure", group_id=group, member_id=member, depth=1)
        return self

    def use(self, principal: str | None, operation: str, scope: str = VM, **more: Any) -> Tiny:
        day = more.pop("day", dt.date(2026, 1, 5))
        columns = {"plane": "control", "succeeded": 1, "failed": 0, "started": 0, "denied": 0, "suspect": 0} | more
        seen = dt.datetime.combine(day, dt.time(12))
        return self.add(
            "usage_days",
            principal_id=principal,
            operation=operation,
            scope=scope,
            day=day,
            first_seen=seen,
            last_seen=seen,
            **columns,
        )

    def cover(
        self, scope: str = SUB, *, source: str = "activity_log", category: str = "Administrative", **more: Any
    ) -> Tiny:
        days = more.pop("days", range((LAST - FIRST).days + 1))
        state = more.pop("state", "observed")
        for offset in days:
            day = FIRST + dt.timedelta(days=offset)
            self.add("coverage", source=source, category=category, scope=scope, day=day, state=state, **more)
        return self

    def cover_sign_ins(self, *kinds: str) -> Tiny:
        for kind in kinds:
            self.cover("/", source="sign_in_log", category=kind)
        return self

    def sign_in(self, principal: str | None, kind: str = "interactive", **more: Any) -> Tiny:
        columns = {"resource_id": "797f4846-ba00-4fd7-ba43-dac1f8f63013", "succeeded": 1, "failed": 0} | more
        return self.add("sign_ins", principal_id=principal, app_id="app", kind=kind, day=dt.date(2026, 1, 3), **columns)

    def inputs(self, *, shuffled: int | None = None) -> Inputs:
        frames = {name: _frame(name, rows) for name, rows in self.rows.items()}
        frames["role_operations"] = self._role_operations()
        if shuffled is not None:
            frames = {n: frame.sample(fraction=1, shuffle=True, seed=shuffled) for n, frame in frames.items()}
        return Inputs.of(**frames)

    def analyse(self, *, shuffled: int | None = None) -> Analysis:
        """Analyse what is held, once for the same rows in the same order."""
        if shuffled is not None:
            return analyse(self.inputs(shuffled=shuffled), self.window)
        held = repr((self.rows, self.window))
        if self._analysed is None or self._analysed[0] != held:
            self._analysed = held, analyse(self.inputs(), self.window)
        return self._analysed[1]

    def verdicts(self) -> set[tuple[Any, ...]]:
        """Return (assignment, operation or None, verdict, reason, operations) of every row."""
        columns = ("role_assignment_id", "operation", "verdict", "reason", "operations")
        return set(self.analyse().verdicts.select(columns).iter_rows())

    def judged(self, assignment: str, state: str = "active") -> dict[str, tuple[str, str]]:
        """Return operation to (verdict, reason) of an assignment, rows of single operations included."""
        analysis = self.analyse()
        mine = (pl.col("role_assignment_id") == assignment) & (pl.col("state") == state)
        profile = analysis.profiles.filter(mine)["profile_id"].item()
        rows = analysis.profile_operations.filter(pl.col("profile_id") == profile)
        singly = analysis.verdicts.filter(mine & pl.col("operation").is_not_null())
        found = {row["operation"]: (row["verdict"], row["reason"]) for row in rows.iter_rows(named=True)}
        return found | {row["operation"]: (row["verdict"], row["reason"]) for row in singly.iter_rows(named=True)}

    def _role_operations(self) -> pl.DataFrame:
        operations = pl.DataFrame(
            [
                {"operation": row["operation"], "name": fold(row["operation"]), "data": bool(row["is_data_action"])}
                for row in self.rows["operations"]
            ],
            schema={"operation": pl.String, "name": pl.String, "data": pl.Boolean},
        )
        found = []
        for role in {row["role_definition_id"] for row in self.rows.get("role_permissions", [])}:
            for plane, kind in (("control", "action"), ("data", "data_action")):
                hit = operations.filter((pl.col("data") == (plane == "data")) & self._any(role, kind))
                hit = hit.filter(~self._any(role, f"not_{kind}"))
                found.append(hit.select("operation", role_definition_id=pl.lit(role), plane=pl.lit(plane)))
        return pl.concat(found) if found else pl.DataFrame()

    def _any(self, role: str, kind: str) -> pl.Expr:
        patterns = [
            row["pattern"]
            for row in self.rows["role_permissions"]
            if row["role_definition_id"] == role and row["kind"] == kind
        ]
        # What is listed as granted is the most that a role may mean: a `/*/` of its actions may stand for `/`.
        patterns += [] if kind.startswith("not_") else [pattern.replace("/*/", "/") for pattern in patterns]
        return pl.any_horizontal(pl.lit(False), *(matches(pl.col("name"), pattern) for pattern in patterns))


def _frame(name: str, rows: list[dict[str, Any]]) -> pl.DataFrame:
    schema = schema_of(name)
    return pl.DataFrame([{column: row.get(column) for column in schema} for row in rows], schema=schema)
