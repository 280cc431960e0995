"""Build small tenants with a long history and random habits, to test chances against what happened later."""

from __future__ import annotations

import datetime as dt
import math
import random

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import Window
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.reading import PlanSettings, TenantReading, read_plan_settings, read_tenant
from rightsize.propose.pipeline import bounds_of as break_bounds
from rightsize.propose.risk.estimate import Estimate
from tests.propose.small_tenant import CONTRIBUTOR, DAY0, DAYS, OWNER, SUB, SmallTenant

THINGS = tuple(f"Microsoft.Compute/thing{number}/write" for number in range(60))
"""Operations that only these tests know."""


def with_things() -> SmallTenant:
    """A tenant whose catalogue has `THINGS`."""
    tenant = SmallTenant()
    tenant.operations |= dict.fromkeys(THINGS, False)
    return tenant


def thing_of(person: int) -> str:
    """A resource in a resource group of a person's own."""
    return f"{SUB}/resourceGroups/rg{person}/providers/Microsoft.Compute/things/one"


def extend(tenant: SmallTenant, days: int) -> SmallTenant:
    """Let the log cover so many days, and not only those of a window."""
    for scope in tenant.covered:
        for offset in range(DAYS, days):
            row = {"source": "activity_log", "category": "Administrative", "scope": scope, "events": 1}
            tenant.add("coverage", **row, day=DAY0 + dt.timedelta(days=offset), state="observed")
    return tenant


def reading_of(inputs: Inputs, days: int = DAYS, **options: object) -> tuple[TenantReading, PlanSettings]:
    """What a plan of the first days is made from."""
    window = Window(DAY0, DAY0 + dt.timedelta(days=days - 1))
    analysis = analyse(inputs, window)
    reading = read_tenant(inputs, analysis)
    return reading, read_plan_settings(reading, PlanOptions(**options))  # type: ignore[arg-type]


def bounds_of(tenant: SmallTenant, *, days: int = DAYS, horizon: int = 30, **options: object) -> dict[str, Estimate]:
    """The estimates by assignment."""
    reading = reading_of(tenant.inputs(), days, **options)
    return {key[0]: found for key, found in break_bounds(*reading, horizon).by_logs.items()}


def simulate(seed: int, people: int, days: int, *, in_spells: bool) -> SmallTenant:
    """Staff who work on some days and do some things, often or rarely; in spells of some days, or each day by lot."""
    lot = random.Random(seed)  # noqa: S311  habits, not secrets
    tenant = with_things()
    for person in range(people):
        kind = "User" if person % 3 else "ServicePrincipal"
        user = tenant.principal(1000 + person, kind)
        tenant.assign(5000 + person, user, CONTRIBUTOR if person % 2 else OWNER, SUB)
        presence = 0.0 if lot.random() < 0.15 else lot.betavariate(0.7, 0.9)
        chosen = lot.sample(THINGS, lot.choice([0, 1, 1, 2, 3, 5, 8, 12]))
        often = {name: math.exp(lot.uniform(math.log(0.004), math.log(0.8))) for name in chosen}
        begun = dict.fromkeys(chosen, -days)
        for day in range(days):
            if lot.random() >= presence:
                continue
            for name in chosen:
                going_on = in_spells and day - begun[name] <= 4
                chance = 0.75 if going_on else often[name] / (4 if in_spells else 1)
                if lot.random() < chance:
                    begun[name] = begun[name] if going_on else day
                    tenant.use(user, name, thing_of(person), days=1, start=day)
    return extend(tenant, days)
