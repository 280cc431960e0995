"""What the report says of an analysis that cannot judge: the answer of `status logs`, without a write."""

from __future__ import annotations

import pytest

from rightsize.render.report.figures import Undecided
from rightsize.workflow.analysis.keep_analysis import analyse_inputs
from rightsize.workflow.answers.report import find_undecided
from tests.propose.small_tenant import BLOB_READER, CONTRIBUTOR, DATA, SUB, SmallTenant

pytestmark = pytest.mark.slow


def undecided(*, with_catalogue: bool) -> Undecided:
    tenant = SmallTenant()
    tenant.with_catalogue = with_catalogue
    holder = tenant.principal(1)
    tenant.assign(101, holder, CONTRIBUTOR, SUB)
    tenant.assign(102, holder, BLOB_READER, f"{DATA}/providers/Microsoft.Storage/storageAccounts/a")
    inputs = tenant.inputs()
    analysis, findings = analyse_inputs(inputs)
    return find_undecided(inputs, inputs.coverage, analysis, findings, ())


@pytest.mark.parametrize("with_catalogue", [True, False])
def test_unknown_operations_are_counted_instead_of_bounded(with_catalogue: bool) -> None:
    found = undecided(with_catalogue=with_catalogue)
    assert bool(found.options) == with_catalogue
    assert found.unlisted == (0 if with_catalogue else 2)
    assert (found.decidable > 0) == with_catalogue
    assert [row["rank"] for row in found.options] == list(range(1, len(found.options) + 1))
