"""What loaded code declares counts beside use, to its last day, and gives nothing that no assignment grants."""

from __future__ import annotations

import datetime as dt

import pytest

from rightsize.analyze.reasons import SENTENCES, OutOfCoverage
from tests.analyze.tiny import LAST, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
JOIN = "Microsoft.Network/virtualNetworks/subnets/join/action"
DECLARED, UNUSED = ("out_of_coverage", "declared"), ("unused", "covered")


@pytest.fixture
def pipeline(tiny: Tiny) -> Tiny:
    return tiny.role("machines", "Microsoft.Compute/*").assign("a", "p", "machines").cover()


def declare(tiny: Tiny, operation: str, scope: str = RG, until: dt.date = LAST, principal: str = "p") -> Tiny:
    return tiny.add(
        "declared_needs",
        principal_id=principal,
        operation=operation,
        scope=scope.lower(),
        sha256="0" * 64,
        file="main.bicep",
        resource="vm",
        rule="write",
        declared_on=LAST,
        until=until,
    )


@pytest.mark.slow
def test_a_declared_operation_that_nobody_used_is_not_unused(pipeline: Tiny) -> None:
    """The reason says that code declares it, and other operations stay unused."""
    declare(pipeline, WRITE)

    assert pipeline.judged("a")[WRITE] == DECLARED
    assert pipeline.judged("a")[START] == UNUSED
    assert "declare" in SENTENCES[OutOfCoverage.DECLARED]


@pytest.mark.slow
@pytest.mark.parametrize(("days", "judged"), [(0, DECLARED), (-1, UNUSED)])
def test_a_declaration_counts_to_its_last_day(pipeline: Tiny, days: int, judged: tuple[str, str]) -> None:
    """It is compared with the last day of the window."""
    declare(pipeline, WRITE, until=LAST + dt.timedelta(days=days))

    assert pipeline.judged("a")[WRITE] == judged


@pytest.mark.slow
def test_a_declaration_gives_nothing(pipeline: Tiny) -> None:
    """An operation that no assignment grants, and one of another principal, change nothing."""
    before = pipeline.verdicts()
    declare(pipeline, JOIN)
    declare(pipeline, WRITE, principal="q")
    declare(pipeline, WRITE, scope="/subscriptions/other/resourcegroups/x")

    assert pipeline.verdicts() == before


@pytest.mark.slow
def test_use_says_more_than_a_declaration(pipeline: Tiny) -> None:
    """What was used at the same place is used, and has no second row."""
    declare(pipeline.use("p", WRITE, VM), WRITE, scope=VM)

    assert pipeline.judged("a")[WRITE][0] == "used"
    assert DECLARED not in {(row[2], row[3]) for row in pipeline.verdicts()}


@pytest.mark.slow
def test_a_declaration_is_credited_like_a_call(pipeline: Tiny) -> None:
    """Of two assignments that grant it each keeps it where it reaches the declared scope."""
    pipeline.assign("b", "p", "machines", f"{SUB}/resourceGroups/rg2")
    declare(pipeline, WRITE)

    assert pipeline.judged("a")[WRITE] == DECLARED
    assert pipeline.judged("b")[WRITE] == UNUSED
