"""Find one principal, and judge it from the rows needed for the verdicts of a whole-tenant analysis."""

from __future__ import annotations

import datetime as dt
from dataclasses import fields
from functools import cache, partial
from typing import TYPE_CHECKING

from rightsize.analyze.coverage import open_groups
from rightsize.analyze.data_use import alternatives
from rightsize.analyze.graph.tables import GraphTables
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.window import DEFAULT_FORGET_DAYS
from rightsize.store.ahead import GRANTED, Ahead
from rightsize.store.concern import Concern, find_principal

if TYPE_CHECKING:
    from rightsize.workflow.principal_analysis import JudgedPrincipal

_BESIDE = (
    "scopes",
    "group_schedule_instances",
    "resources",
    "resource_identities",
    "object_owners",
    "directory_roles",
    "directory_role_assignments",
    "administrative_units",
    "administrative_unit_members",
    "federated_credentials",
)
"""Other tables that are read whole, before the remaining ones."""


def judge_principal(
    ahead: Ahead,
    name: str,
    as_of: dt.date | None,
    min_window: int | None,
    forget_days: int = DEFAULT_FORGET_DAYS,
    min_days: int | None = None,
) -> JudgedPrincipal:
    """Return the judged principal that a name means.

    Raises:
        UsageError: No principal has the name, or several have.
        EvidenceError: Nothing is loaded that could be analysed.
    """
    principal_id, concern = _concern_of(ahead, name)
    # Importing the analysis takes long; meanwhile `ahead` finds and reads the rows about the principal.
    from rightsize.analyze.profiles import may_be_crowded  # noqa: PLC0415
    from rightsize.analyze.tenant import read_tenant  # noqa: PLC0415
    from rightsize.workflow.principal_analysis import judge_from  # noqa: PLC0415

    judge = partial(judge_from, principal_id, forget_days=forget_days, min_days=min_days)
    judged = judge(concern.table, as_of, min_window, concern)
    found = judged.analysis
    if may_be_crowded(read_tenant(judged.inputs), found.profiles, found.profile_operations, principal_id):
        return judge(cache(ahead.store.table), as_of, min_window)
    return judged


def _concern_of(ahead: Ahead, name: str) -> tuple[str, Concern]:
    inputs = Inputs.of(**{table: coming.result() for table, coming in ahead.coming.items()})
    principal_id = find_principal(ahead.store, inputs, name)
    others = alternatives()
    loose = {*others["name"], *others["other"]}
    later = [field.name for tables in (GraphTables, Inputs) for field in fields(tables)]
    names = dict.fromkeys(("schedule_requests", *GRANTED, *_BESIDE, *later))
    return principal_id, Concern(ahead, principal_id, open_groups=open_groups(inputs), loose=loose, names=names)
