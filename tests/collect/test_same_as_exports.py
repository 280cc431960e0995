"""A collected tenant gives the same plan as its exports, whatever faults happen on the way."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure.exchange import Exchange
from rightsize.demo.generator import generate
from rightsize.demo.tenant import TenantSpec
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.store.stored_analysis import digest_content
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.propose import propose_plan
from tests.collect.collecting import collector
from tests.collect.served import write_served
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback

pytestmark = pytest.mark.nightly

# The service serves no attacks.
SPEC = TenantSpec(days=120, events=4000, attacks=())
TIMES_KILLED = 4


@pytest.fixture(scope="module")
def tenant() -> Any:
    return generate(SPEC)


@pytest.fixture(scope="module")
def service(tenant: Any) -> Any:
    with Loopback(tenant).start() as running:
        yield running


@pytest.fixture(autouse=True)
def _signed_in(service: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    service.forget()
    sign_in(monkeypatch, service)


def options(service: Loopback, db: Path) -> dict[str, Any]:
    """Whole rows of a workspace, as the exports have them, over all the days of the tenant."""
    return {"workspaces": [service.content.workspace_id], "raw": True, "days": SPEC.days + 1, "db": db}


@pytest.fixture(scope="module")
def clean(service: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a collection to which nothing happened."""
    folder = tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        sign_in(patch, service)
        assert collector(service, folder)(**options(service, folder / "store.duckdb")).is_whole
    return folder / "store.duckdb"


def digest_of(db: Path) -> str:
    with open_store(db, read_only=True) as store:
        return digest_content(store)


def plan_of(db: Path, folder: Path) -> str:
    """Return the plan without the hash of everything that the store holds: a collection holds more than exports do.

    It also vouches for its listings, which exports without a manifest do not; so that is left out. So are the subjects
    of runs elsewhere, which no collection asks for.
    """
    db = Path(shutil.copy(db, folder.with_suffix(".duckdb")))
    with open_store(db, read_only=False) as store:
        for name in ("inventories", "provider_registrations", "observed_subjects"):
            store.connection.execute(f"DELETE FROM base.{name}")
    propose_plan(db, PlanOptions(), folder)
    text = (folder / "plan.json").read_text(encoding="utf-8")
    return text.replace(json.loads(text)["generated_from"]["content_hash"], "")


def test_the_plan_is_that_of_the_exports(tenant: Any, service: Loopback, clean: Path, tmp_path: Path) -> None:
    write_served(service.content, tmp_path / "exports")
    load_paths(tmp_path / "exports.duckdb", [tmp_path / "exports"])
    plan = plan_of(clean, tmp_path / "collected")
    assert plan == plan_of(tmp_path / "exports.duckdb", tmp_path / "exported")
    document = json.loads(plan)
    assert document["proposals"]
    # No log of the directory is served, so that its roles are judged over the days of the others.
    window = document["generated_from"]["window"]
    assert document["planes"]["directory"]["window"] == window


@pytest.mark.nightly
def test_a_fault_every_tenth_request_changes_nothing(service: Loopback, clean: Path, tmp_path: Path) -> None:
    service.faults.every = 10
    report = collector(service, tmp_path)(**options(service, tmp_path / "faults.duckdb"))
    assert report.tally.failed + report.tally.throttled > len(service.requests) / 20
    assert digest_of(tmp_path / "faults.duckdb") == digest_of(clean)


@pytest.mark.nightly
def test_a_run_that_is_killed_again_and_again_changes_nothing(
    service: Loopback, clean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults come as well, and no page that was written is asked for again."""
    service.faults.every = 10
    chance = random.Random(1)  # noqa: S311  any points will do
    ask, left = Exchange.ask, 0

    def cut(*request: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return ask(*request)

    run = collector(service, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Exchange, "ask", cut)
        for _ in range(TIMES_KILLED):
            left = chance.randrange(5, 80)
            with pytest.raises(KeyboardInterrupt):
                run(**options(service, tmp_path / "killed.duckdb"))
    report = run(**options(service, tmp_path / "killed.duckdb"))
    assert report.resumed
    assert report.is_whole
    assert digest_of(tmp_path / "killed.duckdb") == digest_of(clean)
