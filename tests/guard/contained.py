"""Contain a principal of a small tenant: its containment, its requests, and its reach before and after."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import empty
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.guard.containment_plan import Containment, contain
from rightsize.guard.reach_after import ReachAfter, reach_after
from rightsize.guard.requests import Option, eligible_options, write_options
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.needs.assignments import Key
from tests.propose.small_tenant import CONTRIBUTOR, DAY0, DAYS, OWNER, SUB, SmallTenant

Rows = list[dict[str, Any]]


@dataclass
class Contained:
    """The containment of a principal, its requests, and what is reached."""

    found: Containment
    options: tuple[Option, ...]
    reach: ReachAfter


def contributor(**more: Any) -> tuple[SmallTenant, str]:
    """Return a tenant with an Owner, and another principal, who is a Contributor of its subscription."""
    tenant = SmallTenant()
    who = tenant.principal(1)
    tenant.assign(200, tenant.principal(2), OWNER, SUB)
    tenant.assign(101, who, CONTRIBUTOR, SUB, **more)
    return tenant, who


def contained(
    tenant: SmallTenant,
    who: str,
    kind: str = "User",
    *,
    keep_reads: bool = False,
    suspect: Collection[Key] = (),
    **more: Rows,
) -> Contained:
    """Contain a principal; `more` has the rows of the tables that no analysis of Azure roles reads."""
    inputs = tenant.inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS, 0, None))

    def table_of(name: str) -> pl.DataFrame:
        held = getattr(inputs, name, None)
        if held is not None:
            return held
        return pl.DataFrame(more.get(name, []), schema=empty(name).schema)

    options_of = PlanOptions(forget_days=0)
    found = contain(inputs, analysis, [who], options_of, content_hash="0" * 64, suspect=suspect, keep_reads=keep_reads)
    ends = eligible_options(who, found.by_request, inputs.role_assignments, found.plan.names, "0" * 64)
    options = write_options(who, kind, table_of, ends)
    is_blocked = any(one.name == "block_sign_in" for one in options)
    facts = read_facts(inputs, table_of)
    reach = reach_after([who], inputs, analysis, facts, found.plan, found.by_request, is_blocked=is_blocked)
    return Contained(found, options, reach)
