"""Which existing roles may take the place of today's: none that Azure made for a service of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.guard.still_allowed import read_never_spare
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import index_operations
from rightsize.propose.core.role_catalog import Need, open_role_book
from rightsize.propose.selection.candidates import Atoms, CandidateIndex
from rightsize.rbac.algebra import grants
from tests.conftest import MadeOnce
from tests.propose.inventoried import analysed
from tests.propose.small_tenant import CONTRIBUTOR, SUB
from tests.propose.whole_catalogue import WholeTenant, write_catalogue

pytestmark = pytest.mark.slow


START, RUN = "Microsoft.Compute/virtualMachines/start/action", "Microsoft.Compute/virtualMachines/runCommand/action"


@pytest.fixture(scope="module")
def catalogue(shared_data: Path, made_once: MadeOnce) -> Path:
    """The folder with the tables of Azure's catalogue."""
    return made_once("whole-catalogue", lambda folder: write_catalogue(shared_data, folder))


def test_a_role_for_a_resource_provider_starts_no_machines_for_people(catalogue: Path) -> None:
    """It fits whoever starts machines, and runs commands on them; plans and containments take roles from here alone."""
    tenant = WholeTenant(folder=catalogue)
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    inputs, judged = tenant.inputs(), analysed(tenant).tenant
    book = open_role_book(inputs, index_operations(judged.operations, inputs.role_operations))
    need = Need(book.index.mask([("control", fold(START))]))
    candidates = CandidateIndex(book, Atoms.of([need], book), judged.tree)
    wanted = candidates.atoms.of_need(need)
    found = [one.role for one in candidates.fitting((Folded(CONTRIBUTOR),), (), wanted, need.operations)]
    smaller = {one.role_name: grants(one.blocks, RUN, "control") for one in found if one.role_name != "Contributor"}
    assert "Virtual Machine Contributor" in smaller
    assert not [name for name in smaller if name.startswith("Desktop Virtualization")]


def test_a_containment_leaves_no_code_through_an_existing_role(catalogue: Path) -> None:
    """A role that starts machines and runs commands on them fits, and still is none for a suspect."""
    tenant = WholeTenant(folder=catalogue)
    tenant.assign(101, tenant.principal(1), CONTRIBUTOR, SUB)
    inputs, judged = tenant.inputs(), analysed(tenant)
    book = open_role_book(inputs, index_operations(judged.tenant.operations, inputs.role_operations))
    need = Need(book.index.mask([("control", fold(START))]))
    never = read_never_spare(judged, book.index, inputs, [])
    candidates = CandidateIndex(book, Atoms.of([need], book), judged.tenant.tree, never)
    wanted = candidates.atoms.of_need(need)
    found = [one.role for one in candidates.fitting((Folded(CONTRIBUTOR),), (), wanted, need.operations)]
    assert not [one.role_name for one in found if grants(one.blocks, RUN, "control") != "no"]
