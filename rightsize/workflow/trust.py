"""Judge, plan and verify federated credentials from the tables of the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rightsize.analyze.federated.judge import TrustAnalysis, analyse_trust
from rightsize.analyze.federated.tables import TrustTables, trust_window
from rightsize.workflow.plane_steps import PlaneSteps, TableOf

if TYPE_CHECKING:  # judging needs no planner, whose import takes longer than judging a plane
    from rightsize.model.plan import PlanePart
    from rightsize.propose.core.options import PlanOptions
    from rightsize.propose.verify.plan_reader import WrittenPart
    from rightsize.propose.verify.verify import Change


@dataclass(frozen=True, slots=True)
class TrustJudged:
    """The verdicts on federated credentials."""

    analysis: TrustAnalysis

    def plan(self, options: PlanOptions) -> PlanePart:
        """Return the part of the plan for federated credentials, with its files."""
        from rightsize.propose.trust.plan import plan_trust  # noqa: PLC0415
        from rightsize.render.plane_requests import trust_files  # noqa: PLC0415

        part = plan_trust(self.analysis, options)
        return replace(part, files=trust_files(part))


def judge_trust(
    table_of: TableOf, as_of: dt.date | None, days: int | None, forget_days: int, min_days: int | None = None
) -> TrustJudged | None:
    """Return verdicts on every federated credential; None where none is loaded."""
    tables = TrustTables.read(table_of)
    if tables.is_empty:
        return None
    return TrustJudged(analyse_trust(tables, trust_window(tables, as_of, days, forget_days, min_days)))


def verify_part(table_of: TableOf, part: WrittenPart) -> Sequence[Change]:
    """Return what makes a written part of a plan stale, over its window and every day since."""
    from rightsize.propose.trust.verify import verify_trust  # noqa: PLC0415

    tables = TrustTables.read(table_of)
    seen = [] if tables.is_empty else tables.sign_ins["day"].drop_nulls().unique().to_list()
    window = replace(part.window.remembered, last_day=max([part.window.last_day, *seen]))
    return verify_trust(part, analyse_trust(tables, window))


TRUST = PlaneSteps("trust", judge_trust, verify_part)
