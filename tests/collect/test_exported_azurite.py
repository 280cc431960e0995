"""Exported logs are taken from a real storage service, blob by blob, and are the same as the folder of their files."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rightsize.azure import blobs
from rightsize.collect.pages import Run
from rightsize.model.errors import AccessError
from rightsize.store.connection import open_store
from rightsize.workflow.data.collect import CollectReport, collect_tenant
from rightsize.workflow.data.load import load_paths
from tests.azure.hurried import Hurried
from tests.loopback.azurite import ACCOUNT, Azurite, run_azurite
from tests.loopback.fixtures import sign_in
from tests.loopback.server import Loopback

pytestmark = pytest.mark.external


UNTIL = dt.datetime(2026, 10, 1, tzinfo=dt.UTC)
CONTAINER = "insights-activity-logs"
TABLES = ("events", "usage_days", "coverage", "rejects")
MANY = 30

Collect = Callable[..., CollectReport]


@pytest.fixture(scope="module")
def azurite(loopback_service: Loopback) -> Iterator[Azurite]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", str(loopback_service.certificate))
        with run_azurite(loopback_service.certificate, loopback_service.certificate.with_suffix(".key")) as running:
            yield running


@pytest.fixture(scope="module")
def tree(demo_exports: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some blobs of the sample tenant's exported Activity Log, as a folder."""
    source, found = demo_exports / "activity" / CONTAINER, tmp_path_factory.mktemp("tree")
    paths = sorted(path for path in source.rglob("*.json") if path.stat().st_size)
    assert len(paths) > MANY
    for path in paths[:MANY]:
        copy = found / CONTAINER / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    return found / CONTAINER


def fill(azurite: Azurite, name: str, tree: Path) -> None:
    with azurite.container(name) as container:
        for path in sorted(tree.rglob("*.json")):
            container.upload_blob(path.relative_to(tree).as_posix(), path.read_bytes(), overwrite=True)


@pytest.fixture
def collect(loopback: Loopback, azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Collect]:
    sign_in(monkeypatch, loopback)
    cloud = tmp_path / "cloud.json"
    cloud.write_text(json.dumps({**json.loads(loopback.cloud.read_text()), "storage": azurite.url}))

    def run(container: str, **options: Any) -> CollectReport:
        settings: dict[str, Any] = {"sources": ["exported_logs"], "until": UNTIL, "days": 120, **options}
        names = [f"{ACCOUNT}/{container}"]
        return collect_tenant(
            tmp_path / "runs", cloud=str(cloud), auth="env", containers=names, clock=Hurried(), **settings
        )

    yield run


def logs(report: CollectReport) -> Any:
    return next(row for row in report.rows if row.source == "exported_logs")


def contents(db: Path) -> dict[str, list[tuple[Any, ...]]]:
    with open_store(db, read_only=True) as store:
        found = {name: store.frame(f"SELECT * FROM {name} ORDER BY ALL").rows() for name in TABLES[:3]}
        # Where a reject stood differs: a blob is a page of the run.
        return found | {"rejects": store.frame("SELECT reason, count(*) FROM rejects GROUP BY ALL ORDER BY ALL").rows()}


def test_a_container_is_the_same_as_the_folder_of_its_files(
    azurite: Azurite, collect: Collect, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Listings of several pages.
    monkeypatch.setattr(blobs, "BLOBS_A_PAGE", 7)
    fill(azurite, "whole", tree)
    report = collect("whole", db=tmp_path / "collected.duckdb")
    assert report.is_whole
    assert logs(report).units == MANY
    load_paths(tmp_path / "files.duckdb", [tree])
    found = contents(tmp_path / "collected.duckdb")
    assert found == contents(tmp_path / "files.duckdb")
    assert found["usage_days"]


def test_only_blobs_that_are_new_or_grew_are_fetched_again(azurite: Azurite, collect: Collect, tree: Path) -> None:
    fill(azurite, "growing", tree)
    collect("growing")
    (first, *_) = sorted(tree.rglob("*.json"))
    name = first.relative_to(tree).as_posix()
    with azurite.container("growing") as container:
        container.upload_blob(name, first.read_bytes() * 2, overwrite=True)
        container.upload_blob(name.replace("/PT1H.json", "/new.json"), first.read_bytes())
    report = collect("growing")
    assert logs(report).units == 2
    assert report.tally.requests == 3, "the listing and two blobs"


def test_blobs_outside_the_window_are_left(azurite: Azurite, collect: Collect, tree: Path) -> None:
    fill(azurite, "windows", tree)
    assert logs(collect("windows", until=UNTIL - dt.timedelta(days=200), days=10)).units == 0


@pytest.mark.parametrize("name", ["with space & amp.json", "päths/ünd/%41.json", "a?b#c.json"])
def test_names_of_blobs_are_taken_as_they_are(azurite: Azurite, collect: Collect, name: str) -> None:
    content = b'{"time":"2026-09-01T00:00:00Z"}\n'
    with azurite.container("names") as container:
        container.upload_blob(name, content, overwrite=True)
    report = collect("names", resume=False)
    found = [unit for unit in Run.read(report.folder).units.values() if unit.key.startswith(f"{ACCOUNT}/names/{name}@")]
    assert [unit.state for unit in found] == ["complete"]
    assert list(Run.read(report.folder).lines(found[0])) == [json.loads(content)]


def test_a_container_that_is_not_there_is_told(azurite: Azurite, collect: Collect, tree: Path) -> None:
    report = collect("missing", sources=["exported_logs", "subscriptions"])
    row = next(row for row in report.rows if row.source == "exported_blobs")
    assert (row.state, row.reason.partition(":")[0]) == ("gone", "ContainerNotFound")


def test_a_token_for_something_else_is_not_taken(
    loopback: Loopback, azurite: Azurite, collect: Collect, tmp_path: Path
) -> None:
    """The emulator checks whom a token is for; it is asked for with the audience of storage."""
    cloud = json.loads((tmp_path / "cloud.json").read_text())
    (tmp_path / "cloud.json").write_text(json.dumps({**cloud, "storage_audience": cloud["arm_audience"]}))
    with pytest.raises(AccessError):
        collect("whole")
