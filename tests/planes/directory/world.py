"""Build small directories as frames: each test names holders and calls, and checks the results."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.analyze.window import Window
from rightsize.model.plan import PlanePart, Proposal
from rightsize.planes.directory.judge import DirectoryAnalysis, analyse_directory
from rightsize.planes.directory.plan import plan_directory
from rightsize.planes.directory.tables import DirectoryTables
from rightsize.propose.core.options import PlanOptions

FIRST, LAST = dt.date(2026, 1, 1), dt.date(2026, 3, 31)
WINDOW = Window(FIRST, LAST)
D = "microsoft.directory/"
UNIT = "/administrativeUnits/u1"
GLOBAL = "62e90394-69f5-4237-9190-012177145e10"
USER_ADMIN = "fe930be7-5e62-47db-91af-98c3a49a38b1"
DIRECTORY_READERS = "88d8e3e3-8f55-4a1e-953a-9b9898b8876b"
DEFAULT = "a0b1b346-4d3e-4e8b-98f8-753987be4970"
ROLES = {
    GLOBAL: ["users/allProperties/allTasks", "groups/allProperties/allTasks", "auditLogs/allProperties/read"],
    USER_ADMIN: ["users/create", "users/basic/update", "users/inviteGuest", "groups/create", "users/standard/read"],
    "inviter": ["users/inviteGuest", "users/standard/read"],
    "groups": ["groups/create", "groups/members/update", "groups/standard/read"],
    "security": ["groups.security/members/update"],
    "reader": ["users/standard/read", "auditLogs/allProperties/read"],
    DEFAULT: ["users/standard/read", "groups/standard/read"],
}


def at(day: dt.date, hour: int = 9) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour))


class World:
    """Rows of the tables, collected by small words."""

    def __init__(self) -> None:
        self.rows: dict[str, list[dict[str, Any]]] = {}
        for role, actions in ROLES.items():
            named = [action if action.startswith("microsoft.") else D + action for action in actions]
            self.role(role, *named)

    def add(self, table: str, **row: Any) -> World:
        self.rows.setdefault(table, []).append(row)
        return self

    def role(self, role: str, *actions: str, **more: Any) -> World:
        row = {"role_name": role, "is_built_in": True, "is_enabled": True, "actions": list(actions)} | more
        return self.add("directory_roles", directory_role_id=role, **row)

    def person(self, name: str, kind: str = "User", **more: Any) -> World:
        row = {"display_name": name, "user_type": "Member", "listed": True, "created_on": dt.datetime(2020, 1, 1)}
        return self.add("principals", principal_id=name, principal_type=kind, **(row | more))

    def holds(self, who: str, role: str, state: str = "active", scope: str = "/", **more: Any) -> World:
        row = {"role_assignment_id": f"{who}-{role[:6]}-{state}", "state": state, "scope": scope} | more
        return self.add("directory_role_assignments", principal_id=who, directory_role_id=role, **row)

    def did(self, who: str, action: str, day: dt.date = dt.date(2026, 2, 2), scope: str = "/", **more: Any) -> World:
        row = {"succeeded": 1, "failed": 0, "started": 0, "denied": 0, "suspect": 0} | more
        seen = {"first_seen": at(day), "last_seen": at(day, 17)}
        return self.add(
            "usage_days", principal_id=who, operation=D + action, scope=scope, plane="directory", day=day, **seen, **row
        )

    def daily(self, who: str, action: str, **more: Any) -> World:
        for offset in range(0, WINDOW.days, 2):
            self.did(who, action, FIRST + dt.timedelta(days=offset), **more)
        return self

    def cover(self, source: str = "entra_audit_log", category: str = "AuditLogs", days: int = WINDOW.days) -> World:
        for offset in range(days):
            day = FIRST + dt.timedelta(days=offset)
            self.add("coverage", source=source, category=category, scope="/", day=day, state="observed")
        return self

    def activated(self, who: str, role: str, day: dt.date, **more: Any) -> World:
        row = {
            "record_id": f"{who}-{role}-{day}",
            "time": at(day, 8),
            "step": "activated",
            "plane": "directory",
            "start_on": at(day, 8),
            "end_on": at(day, 20),
            "justified": True,
            "succeeded": True,
        }
        return self.add("pim_records", principal_id=who, role_definition_id=role, **(row | more))

    def tables(self, *, backwards: bool = False) -> DirectoryTables:
        def table_of(name: str) -> pl.DataFrame:
            rows = self.rows.get(name, [])
            complete = [{column: row.get(column) for column in schema_of(name)} for row in rows]
            return pl.DataFrame(complete[::-1] if backwards else complete, schema=schema_of(name), orient="row")

        return DirectoryTables.read(table_of)

    def analyse(self, *, backwards: bool = False) -> DirectoryAnalysis:
        return analyse_directory(self.tables(backwards=backwards), WINDOW)

    def verdicts(self, assignment: str) -> dict[str, tuple[str, str]]:
        analysis = self.analyse()
        number = analysis.tables.assignments.filter(pl.col("role_assignment_id") == assignment)["a"].item()
        rows = analysis.judged.filter(pl.col("a") == number)
        return {name.removeprefix(D): (verdict, reason) for _, name, verdict, reason in rows.iter_rows()}

    def plan(self, **options: Any) -> PlanePart:
        return plan_directory(self.analyse(), PlanOptions(**options))

    def proposal(self, assignment: str, **options: Any) -> Proposal:
        return next(one for one in self.plan(**options).proposals if one.replaces == (assignment,))
