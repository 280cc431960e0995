"""What `status logs --budget` picks is loaded, and decides something, but no more than was promised."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tenants.promises_held import hold

SIGN_INS = ("sign_ins:user", "sign_ins:service_principal", "sign_ins:managed_identity")


@pytest.mark.nightly
def test_what_a_budget_picks_decides_something_within_its_promise(demo_exports: Path, tmp_path: Path) -> None:
    """Sign-ins also tell of holders of directory roles; a plan is made before them, too."""
    held = hold(demo_exports, tmp_path, {SIGN_INS: ("sign-ins/*",)}, budget=100.0)
    assert set(held.picked) == set(SIGN_INS)
    assert 0 < held.came <= held.promised < 1
