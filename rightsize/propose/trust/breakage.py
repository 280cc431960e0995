"""Estimate the break probability of each federated credential that is removed or narrowed.

The estimate is that of Azure roles (`propose.risk.break_table`). The unit is a credential and its holder the principal
that it signs in as; active days are days with a sign-in of that principal. A *novelty* is an observed subject: without
the days on which it signed in, a narrowed credential would not trust it.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.federated.judge import TrustAnalysis
from rightsize.analyze.log_days import days_missing
from rightsize.analyze.log_gaps import Gaps
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import KEY, count_incidence

_UNITS = dict.fromkeys((*KEY, "role", "holder_type", "holder"), pl.String)


def credential_bounds(analysis: TrustAnalysis) -> dict[str, Estimate]:
    """Return the estimate of each credential by its `grant`; empty where no sign-in log covers a day."""
    tables, window = analysis.tables, analysis.window
    held = [one.credential for one in analysis.judged if one.credential.principal_id]
    rows = [(one.grant, "active", one.subject or "", "ServicePrincipal", one.principal_id) for one in held]
    units = pl.DataFrame(rows, schema=_UNITS, orient="row")
    days = tables.covered["day"].unique()
    if units.is_empty() or days.is_empty():
        return {}
    active = tables.sign_ins.select(holder="principal_id", day="day").drop_nulls().unique()
    seen = [
        (one.credential.grant, "active", number, day)
        for one in analysis.judged
        for number, subject in enumerate(one.observed)
        for day in subject.days
    ]
    types = {KEY[0]: pl.String, KEY[1]: pl.String, "novelty": pl.UInt32, "day": pl.Date}
    gaps = Gaps.of_one_log(units.select(KEY), days_missing(days, window))
    incidence = count_incidence(units, active, pl.DataFrame(seen, schema=types, orient="row"), window, gaps)
    return {grant: found for (grant, _), found in estimates_of(incidence, window).items()}
