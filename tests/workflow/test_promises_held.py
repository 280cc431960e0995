"""What `logs --budget` picks is loaded, and decides something, but no more than was promised."""

from __future__ import annotations

from pathlib import Path

from tests.tenants.promises_held import hold

LISTINGS = (
    "inventory/manifest.json",
    "inventory/resource-graph/*",
    "inventory/resource-list/*",
    "inventory/providers/*",
)


def test_what_a_budget_picks_decides_something_within_its_promise(demo_exports: Path, tmp_path: Path) -> None:
    """Without listings and members a plan is made all the same; both cost nothing, so they are in the best set."""
    gone = {("inventory", "providers"): LISTINGS, ("members",): ("directory/members/*",)}
    held = hold(demo_exports, tmp_path, gone, budget=1.0)
    assert set(held.picked) == {"inventory", "providers", "members"}
    assert 0 < held.came <= held.promised < 1
