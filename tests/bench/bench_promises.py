"""What `status logs --budget` promised beside what came, on the demo's tenant and one of the suite, by evidence.

The catalogue of the suite's tenant is the one beside the project; without it the demo is alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from rightsize.demo.suite.files import read_catalogue, write_suite_exports
from rightsize.demo.suite.tenants import suite_tenants
from rightsize.demo.tenant import TenantSpec
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.suite.demo import make_demo
from tests.tenants.promises_held import Evidence, hold

SLOW = True
HEADS = ("without", "picked", "promised up to", "decided", "plan removes before", "after")
CATALOG = Path(__file__).parents[3] / "shared" / "data" / "catalog"
BUDGET = 100.0
_SIGN_INS = ("sign_ins:user", "sign_ins:service_principal", "sign_ins:managed_identity")
_LISTINGS = (
    "inventory/manifest.json",
    "inventory/resource-graph/*",
    "inventory/resource-list/*",
    "inventory/providers/*",
)
DEMO: dict[str, Evidence] = {
    "inventory and providers": {("inventory", "providers"): _LISTINGS},
    "members of groups": {("members",): ("directory/members/*",)},
    "sign-ins": {_SIGN_INS: ("sign-ins/*",)},
    "two subscriptions' days": {("activity_log",): ("activity/subscription-02*", "activity/subscription-05*")},
    "audit log of the directory": {("directory_log",): ("directory/*udit*", "directory/insights-logs-auditlogs/**/*")},
    "log of Microsoft Graph": {("graph_log",): ("graph-activity/*",)},
    "all of it": {
        ("inventory", "providers"): _LISTINGS,
        ("members",): ("directory/members/*",),
        _SIGN_INS: ("sign-ins/*",),
        ("graph_log",): ("graph-activity/*",),
    },
}
SUITE: dict[str, Evidence] = {
    "inventory and providers": {
        ("inventory", "providers"): ("manifest.json", "resource-graph.json", "resources/*", "providers/*")
    },
    "members of groups": {("members",): ("directory/members-*",)},
    "sign-ins": {_SIGN_INS: ("sign-ins/*",)},
    "activation rules": {("activation_rules",): ("access/activation-settings.json",)},
    "log of storage": {("log:microsoft.storage/storageaccounts",): ("resource-logs/storage.jsonl",)},
}


def run() -> Iterator[tuple[str, ...]]:
    """Hold each kind of evidence on its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        demo = make_demo(folder / "demo", TenantSpec(), lambda _: None).folder / "exports"
        yield from _rows("demo", demo, folder, DEMO, None)
        if CATALOG.is_dir():
            base = folder / "catalogue.duckdb"
            load_paths(base, [CATALOG / "operations.csv", CATALOG / "built-in-roles.json"])
            with open_store(base, read_only=True) as store:
                known = read_catalogue(store.table("operations"), store.table("role_definitions"))
            tenant = suite_tenants("small", 0, known)[0]
            write_suite_exports(tenant, known, folder / "suite")
            yield from _rows(tenant.name, folder / "suite", folder, SUITE, base)


def _rows(
    name: str, exports: Path, folder: Path, kinds: dict[str, Evidence], base: Path | None
) -> Iterator[tuple[str, ...]]:
    for number, (what, gone) in enumerate(kinds.items()):
        place = folder / f"{name}-{number}"
        place.mkdir()
        held = hold(exports, place, gone, BUDGET, base)
        shares = (held.promised, held.came, *held.removes)
        yield f"{name}: {what}", ", ".join(held.picked) or "nothing", *(f"{share:.1%}" for share in shares)
