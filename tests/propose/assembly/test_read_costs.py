"""The cost of each choice of `--reads`, against the needs that the choice creates."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.analyze.verdicts.judge import analyse
from rightsize.analyze.window import choose_window
from rightsize.model.options import Reads
from rightsize.propose.assembly.role_evidence import price_reads
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.drafts.drafts import StayingInput, decide
from rightsize.propose.drafts.reading import read_plan_settings, read_tenant
from rightsize.propose.needs.needs import NeedReader
from rightsize.propose.needs.privileged import Privilege
from tests.propose.small_tenant import APP, CONTRIBUTOR, DATA, DAY0, DAYS, OWNER, READER, SUB, VM, SmallTenant

pytestmark = pytest.mark.slow


START = "Microsoft.Compute/virtualMachines/start/action"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/s"


def _tenant() -> SmallTenant:
    tenant = SmallTenant()
    first, second = tenant.principal(1), tenant.principal(2)
    tenant.assign(101, first, CONTRIBUTOR, SUB)
    tenant.assign(102, second, READER, APP)
    tenant.assign(103, second, OWNER, DATA)
    tenant.assign(104, second, OWNER, SUB, created_on=dt.datetime(2026, 3, 30))
    tenant.use(first, START, VM)
    tenant.use(first, "Microsoft.Compute/virtualMachines/write", VM)
    tenant.use(second, "Microsoft.Storage/storageAccounts/listKeys/action", ACCOUNT)
    return tenant


def _is_told(name: str) -> bool:
    return name.endswith("/read") and name.startswith(("Microsoft.Authorization/", "Microsoft.Resources/deployments/"))


@pytest.mark.parametrize("choice", list(Reads))
def test_the_price_is_what_the_needs_of_that_choice_have_beyond_those_of_none(choice: Reads) -> None:
    """Young assignments are not judged, and cost nothing that a choice could spare."""
    inputs = _tenant().inputs()
    analysis = analyse(inputs, choose_window(inputs, DAY0 + dt.timedelta(days=DAYS), DAYS))
    reading = read_tenant(inputs, analysis)
    left_alone = read_plan_settings(reading, PlanOptions()).left_alone
    today, reach = reading.today, analysis.tenant.may_reach

    def staying(reads: Reads) -> StayingInput:
        reader = NeedReader(today.book, PlanOptions(reads=reads), reading.checks)
        return StayingInput(today.subjects, left_alone, reading.evidence, reader)

    prices = price_reads(staying(choice), today.orphans, reach)
    assert prices["chosen"] == choice

    def needed(reads: Reads) -> list[int]:
        drafts = decide(staying(reads), today.orphans, {}, Privilege(), reach)
        found = []
        for _, draft in sorted(drafts.items()):
            mask = 0
            for need in draft.needs.by_scope.values() if draft.needs else ():
                mask |= today.book.mask(need)
            found.append(mask)
        return found

    added = [have & ~without for have, without in zip(needed(choice), needed(Reads.NONE), strict=True)]
    (price,) = [one for one in prices["choices"] if one["reads"] == choice]
    assert price["operations"] == sum(mask.bit_count() for mask in added)
    told = [name for mask in added for _, name in today.book.index.members(mask) if _is_told(name)]
    assert price["sensitive"] == len(told)


def test_the_plan_has_all_four_prices() -> None:
    """None cost nothing, and no choice more than all of them."""
    plan = _tenant().plan()
    prices = [one["operations"] for one in plan.reads["choices"]]
    assert [one["reads"] for one in plan.reads["choices"]] == ["none", "sibling", "namespace", "all"]
    assert prices[0] == 0 < min(prices[1:])
    assert max(prices) == prices[3]
    assert plan.reads["choices"][3]["sensitive"] > 0
