"""The program that fetches exports, as scripts run it: against the loopback service, by `az` or what answers as it."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from rightsize.propose.core.options import PlanOptions
from rightsize.render.exports import az as running
from rightsize.render.exports import fetch
from rightsize.render.exports.folder import Folder, Plan
from rightsize.store.connection import open_store
from rightsize.workflow.data.exports import requests_of, write_exports_script
from rightsize.workflow.data.load import LoadReport, load_paths
from rightsize.workflow.plan.propose import propose_plan
from tests.loopback.az import Az, az_environment, sign_in_az
from tests.loopback.fake_az import FakeAz, fake_az, install_fake_az
from tests.loopback.login import OBJECT_ID
from tests.loopback.server import Loopback, Options

UNTIL = ("--until", "2026-10-01T00:00:00Z")
NOW = dt.datetime(2026, 10, 1, 3, 30, tzinfo=dt.UTC)
"""Just after the last day of the tenant, whose last rows have arrived."""
READER = "acdd72a7-3385-48ef-bd42-f606fba81ae7"
INVENTORIES = ("resources", "resource_graph", "providers")
ARM, GRAPH = "arm", "graph"


@dataclass
class Fetched:
    """A folder that the program wrote, and its exit code."""

    folder: Path
    code: int

    @property
    def manifest(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "manifest.json").read_bytes()))

    def entry(self, path: str) -> dict[str, Any]:
        (found,) = (one for one in self.manifest["files"] if one["path"] == path)
        return dict(found)


Run = Callable[..., Fetched]


@pytest.fixture(scope="module")
def loopback_service() -> Iterator[Loopback]:
    """A tenant of which the reader may read everything: it is a Reader at the root management group."""
    with Loopback(options=Options()).start() as running:
        root = f"/providers/Microsoft.Management/managementGroups/{running.tenant.tenant_id}"
        name = "11111111-2222-4333-8444-555555555555"
        held = {
            "principalId": OBJECT_ID,
            "principalType": "ServicePrincipal",
            "roleDefinitionId": f"/providers/Microsoft.Authorization/roleDefinitions/{READER}",
            "scope": root,
        }
        kind = "Microsoft.Authorization/roleAssignments"
        running.content.role_assignments.append(
            {"id": f"{root}/providers/{kind}/{name}", "name": name, "type": kind, "properties": held}
        )
        yield running


def asked(sources: tuple[str, ...] = (), subscriptions: tuple[str, ...] = ()) -> dict[str, Any]:
    requests = requests_of(sources, with_groups=not subscriptions)
    listed = [{name: value for name, value in asdict(one).items() if value} for one in requests]
    return {"days": 90, "subscriptions": list(subscriptions), "requests": listed}


def runner(folder: Path, loopback_service: Loopback, patch: pytest.MonkeyPatch) -> Run:
    """Run the program in this process, where an `az` takes milliseconds and nobody waits."""
    az = fake_az(loopback_service, folder)
    patch.setattr(running.subprocess, "run", az.run)
    patch.setattr(running, "LONGEST_WAIT", 0.0)
    patch.setattr(fetch.os, "umask", lambda _: 0)
    patch.setattr(fetch.signal, "signal", lambda *_: None)

    def run(
        sources: tuple[str, ...] = (), subscriptions: tuple[str, ...] = (), *words: str, top: int = 1000
    ) -> Fetched:
        text = json.dumps(asked(sources, subscriptions)).replace('$top\\": 1000', f'$top\\": {top}')
        question = json.loads(text)
        code = fetch.main(question, [str(folder / "exports"), *(words or UNTIL)], NOW)
        return Fetched(folder / "exports", code)

    return run


@pytest.fixture
def run(tmp_path: Path, loopback_service: Loopback, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    yield runner(tmp_path, loopback_service, monkeypatch)
    loopback_service.faults.clear()


@pytest.fixture(scope="module")
def fetched(loopback_service: Loopback, tmp_path_factory: pytest.TempPathFactory) -> Fetched:
    """The whole tenant, fetched once."""
    with pytest.MonkeyPatch.context() as patch:
        return runner(tmp_path_factory.mktemp("fetched"), loopback_service, patch)()


@pytest.fixture(scope="module")
def loaded_tenant(fetched: Fetched) -> tuple[Path, LoadReport]:
    db = fetched.folder.parent / "store.duckdb"
    return db, load_paths(db, [fetched.folder])


def subscriptions(loopback_service: Loopback) -> list[str]:
    return sorted(place.scope.rsplit("/", 1)[-1] for place in loopback_service.content.subscriptions)


def calls(folder: Path) -> list[str]:
    words = [json.loads(line) for line in (folder / "az.log").read_text().splitlines()]
    return [one[one.index("--url") + 1] for one in words if "--url" in one]


@pytest.mark.nightly
def test_every_file_is_named_with_what_it_holds(fetched: Fetched, loaded_tenant: tuple[Path, LoadReport]) -> None:
    manifest = fetched.manifest
    assert (fetched.code, manifest["format"], manifest["reader"]["id"]) == (0, "rightsize-exports/1", OBJECT_ID)
    files = {str(path.relative_to(fetched.folder)) for path in fetched.folder.rglob("*.jsonl")} - {".journal.jsonl"}
    assert {one["path"] for one in manifest["files"]} == files
    assert all(one["complete"] and one["error"] is None for one in manifest["files"])
    _, report = loaded_tenant
    assert not [note for note in report.notes if "manifest" in note or "reject" in note or "recognise" in note]


@pytest.mark.slow
def test_all_inventories_are_complete(loopback_service: Loopback, loaded_tenant: tuple[Path, LoadReport]) -> None:
    with open_store(loaded_tenant[0], read_only=True) as store:
        rows = store.frame("SELECT scope, kind, complete, reader_id FROM inventories ORDER BY ALL").rows()
        days = store.frame(
            "SELECT scope, count(*) FROM coverage WHERE source = 'activity_log' AND category = 'Administrative' "
            "AND declared_by = 'manifest' AND state <> 'missing' AND starts_with(scope, '/subscriptions/') GROUP BY ALL"
        ).rows()
    kinds = ("providers", "resource_graph", "resource_list")
    found = subscriptions(loopback_service)
    assert rows == [(f"/subscriptions/{one}", kind, True, OBJECT_ID) for one in found for kind in kinds]
    # The newest day counts, since it was over when the reading began; of the oldest the log has only a part.
    assert dict(days) == {f"/subscriptions/{one}": 89 for one in found}


@pytest.mark.nightly
def test_a_plan_has_verdicts_by_existence(
    loopback_service: Loopback, loaded_tenant: tuple[Path, LoadReport], tmp_path: Path
) -> None:
    """Every subscription has types of which the listings, the rights of their reader and the log prove absence."""
    propose_plan(loaded_tenant[0], PlanOptions(), tmp_path / "plan")
    with open_store(loaded_tenant[0], read_only=True) as store:
        reasons = store.frame("SELECT DISTINCT reason FROM verdicts WHERE verdict = 'unused'")["reason"].to_list()
        states = store.frame("SELECT DISTINCT scope, state, reason FROM resource_existence").rows()
    assert {"no_such_resource", "provider_not_registered"} <= set(reasons)
    absent = {scope for scope, state, reason in states if (state, reason) == ("absent", "no_such_resource")}
    # What is not known elsewhere is for what happened there, not for the listings.
    assert {reason for _, state, reason in states if state == "unknown"} <= {"group_deleted", "moved", "restored"}
    assert 3 < len(absent) <= len(subscriptions(loopback_service))


@pytest.mark.slow
def test_no_token_is_stored(fetched: Fetched, loopback_service: Loopback) -> None:
    texts = [path.read_bytes() for path in fetched.folder.rglob("*") if path.is_file()]
    assert texts
    assert not any(b"eyJ" in text or loopback_service.tenant.tenant_id.encode() + b"secret" in text for text in texts)


@pytest.mark.nightly
def test_a_refused_subscription_is_incomplete_and_the_rest_goes_on(run: Run, loopback_service: Loopback) -> None:
    refused, other, *_ = subscriptions(loopback_service)
    loopback_service.faults.add("forbidden", rf"GET /subscriptions/{refused}/resources\?", times=None)
    done = run(INVENTORIES, (refused, other))
    entry = done.entry(f"resources/{refused}.jsonl")
    assert (done.code, entry["complete"], entry["rows"], entry["subscriptions"]) == (0, False, 0, [refused])
    assert entry["error"].startswith("Forbidden: AuthorizationFailed: The client")
    assert done.entry(f"resources/{other}.jsonl")["complete"]
    db = done.folder.parent / "store.duckdb"
    notes = load_paths(db, [done.folder]).notes
    assert [note for note in notes if f"resources/{refused}.jsonl`: Forbidden: AuthorizationFailed" in note]
    with open_store(db, read_only=True) as store:
        rows = store.frame(
            "SELECT scope, complete, problem FROM inventories WHERE kind = 'resource_list' ORDER BY ALL"
        ).rows()
    assert [row[:2] for row in rows] == [(f"/subscriptions/{refused}", False), (f"/subscriptions/{other}", True)]
    assert rows[0][2].startswith("the reading failed: Forbidden")


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize("kind", ["throttle", "503", "truncate", "html", "drop", "cut", "empty_page"])
def test_a_passing_fault_changes_nothing(run: Run, loopback_service: Loopback, kind: str) -> None:
    one = subscriptions(loopback_service)[0]
    loopback_service.faults.add(kind, r"(resources|providers)\?", times=2)
    done = run(INVENTORIES, (one,))
    assert done.code == 0
    assert all(entry["complete"] for entry in done.manifest["files"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("500", "Internal Server Error: InternalServerError"),
        ("foreign_link", "the next page is at another host"),
        ("loop", "the pages go round in a circle"),
        ("truncate", "the answer is cut, or is not JSON"),
    ],
)
def test_a_lasting_fault_is_said_and_the_next_run_mends_it(
    run: Run, loopback_service: Loopback, kind: str, said: str
) -> None:
    one = subscriptions(loopback_service)[0]
    loopback_service.faults.add(kind, rf"GET /subscriptions/{one}/providers\?", times=None)
    done = run(INVENTORIES, (one,))
    entry = done.entry(f"providers/{one}.jsonl")
    assert (done.code, entry["complete"]) == (7, False)
    assert entry["error"].startswith(said)
    assert not [request for request in loopback_service.requests if request.foreign]
    loopback_service.faults.clear()
    before = len(calls(done.folder.parent))
    again = run(INVENTORIES, (one,))
    assert (again.code, again.entry(f"providers/{one}.jsonl")["complete"]) == (0, True)
    assert [url for url in calls(done.folder.parent)[before:] if "/providers?" not in url] == []


@pytest.mark.slow
def test_pages_of_resource_graph_go_by_token(run: Run, loopback_service: Loopback) -> None:
    one = subscriptions(loopback_service)[0]
    done = run(("resource_graph",), (one,), top=4)
    entry = done.entry(f"resource_graph/{one}.jsonl")
    pages = [json.loads(line) for line in (done.folder / entry["path"]).read_text().splitlines()]
    assert len(pages) > 1
    assert entry["rows"] == sum(len(page["data"]) for page in pages) == pages[0]["totalRecords"]
    assert (entry["query"], entry["complete"]) == ("resources | order by id asc", True)


@pytest.mark.slow
def test_fewer_fields_are_asked_where_all_are_refused(run: Run, loopback_service: Loopback) -> None:
    loopback_service.faults.add("forbidden", r"signInActivity", times=None)
    done = run(("users",))
    entry = done.entry("users/tenant.jsonl")
    assert entry["complete"]
    assert "signInActivity" not in entry["query"]


@pytest.mark.slow
def test_another_reader_or_script_gets_a_folder_of_its_own(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(("subscriptions",))
    assert run(("users",)).code == fetch.OTHER_FOLDER
    assert run(("subscriptions",), (), "--until", "2026-09-01T00:00:00Z").code == fetch.OTHER_FOLDER
    journal = tmp_path / "exports" / ".journal.jsonl"
    journal.write_text(journal.read_text().replace(OBJECT_ID, READER))
    assert run(("subscriptions",)).code == fetch.OTHER_FOLDER
    assert "was begun by another reader, or by another script: name another folder" in capsys.readouterr().err


@pytest.mark.slow
def test_a_lost_sign_in_ends_the_run(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "signed-out").touch()
    assert run(("subscriptions",)).code == fetch.NOT_SIGNED_IN
    assert "az login" in capsys.readouterr().err
    assert not (tmp_path / "exports" / "manifest.json").exists()


@pytest.mark.slow
def test_who_is_signed_in_for_azure_only_gets_what_azure_has(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Graph may ask for another sign-in; nothing more is asked of it, and each of its files says why."""
    (tmp_path / "signed-out").write_text("/v1.0/")
    done = run(("subscriptions", "users", "groups"))
    assert done.code == fetch.NOT_SIGNED_IN
    found = {entry["path"]: (entry["complete"], entry["error"]) for entry in done.manifest["files"]}
    error = "Please run 'az login' to setup account."
    assert found == {
        "groups/tenant.jsonl": (False, error),
        "subscriptions/tenant.jsonl": (True, None),
        "users/tenant.jsonl": (False, error),
    }
    assert done.manifest["finished"] is not None
    assert error in capsys.readouterr().err


@pytest.mark.slow
def test_a_folder_is_of_one_day(run: Run, tmp_path: Path) -> None:
    """Listings of another week would be taken for those of the days that the logs cover."""
    run(("subscriptions",))
    journal = tmp_path / "exports" / ".journal.jsonl"
    journal.write_text(journal.read_text().replace("2026-10-01T03:30:00Z", "2026-09-30T03:00:00Z"))
    assert run(("subscriptions",)).code == fetch.OTHER_FOLDER


@pytest.mark.slow
def test_a_half_written_journal_is_continued(run: Run, tmp_path: Path) -> None:
    run(("subscriptions", "role_definitions"))
    journal = tmp_path / "exports" / ".journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-40])
    assert run(("subscriptions", "role_definitions")).code == 0
    entries = [json.loads(line) for line in journal.read_bytes().splitlines()]
    assert {entry.get("path") for entry in entries} == {json.loads(line).get("path") for line in whole.splitlines()}


def test_hostile_names_reach_neither_paths_nor_urls(tmp_path: Path) -> None:
    """A scope or resource that Azure would not allow is left out; any other name is encoded, and its file is hashed."""
    folder = Folder(tmp_path)
    groups = "/providers/Microsoft.Management/managementGroups"
    one = "/subscriptions/11111111-1111-4111-8111-111111111111/resourceGroups/a b'$(x)&c/providers/N/t/é%"
    given = {
        "management_groups": [f"{groups}/{name}" for name in ("../x", "a?b", "$(touch x)", "good")],
        "subscriptions": ["../../x", "22222222-2222-4222-8222-222222222222"],
        "resources": [one, f"{one}/../..", "https://elsewhere.example/x"],
    }
    for source, names in given.items():
        key = "subscriptionId" if source == "subscriptions" else "id"
        (tmp_path / source).mkdir()
        page = {"value": [{key: name, "type": "N/t"} for name in names]}
        (tmp_path / source / "a.jsonl").write_text(json.dumps(page))
        folder.entries[f"{source}/a.jsonl"] = {"rows": len(names)}
    request = {"source": "s", "kind": "k", "service": ARM, "form": "pages", "name": "{id}"}
    requests = [
        {**request, "each": "management_group", "url": "{scope}/x"},
        {**request, "each": "subscription", "url": "/subscriptions/{subscription}", "name": "{subscription}"},
        {**request, "each": "record", "parent": "resources", "url": "{resource}/y", "type": "n/t"},
    ]
    plan = Plan({"days": 1, "subscriptions": [], "requests": requests}, folder, dt.datetime(2026, 10, 1, tzinfo=dt.UTC))
    urls = {unit.path: unit.url for unit in plan.units()}
    assert list(urls.values()) == [
        f"{groups}/good/x",
        "/subscriptions/22222222-2222-4222-8222-222222222222",
        f"{one.replace(' ', '%20').partition('/resourceGroups/')[0]}"
        "/resourceGroups/a%20b%27%24(x)%26c/providers/N/t/%C3%A9%25/y",
    ]
    assert all(path.removeprefix("s/").removesuffix(".jsonl").replace("-", "").isalnum() for path in urls)


def test_errors_are_one_line_without_secrets() -> None:
    secrets = "Bearer abc.def eyJhbGciOiJSUzI1NiJ9.eyJvaWQiOiJ4In0.x-_y at https://x/?sig=SECRET&code=SECRET"
    said = running.shown(f"bad \x1b[31m\n{secrets} {'x' * 500}")
    assert "\n" not in said
    assert "\x1b" not in said
    assert len(said) == 400
    assert not any(word in said for word in ("SECRET", "abc.def", "eyJ"))


def script(tmp_path: Path, sources: tuple[str, ...], one: str) -> list[str]:
    (tmp_path / "fetch.sh").write_text(write_exports_script(90, [one], sources), encoding="utf-8")
    return ["bash", str(tmp_path / "fetch.sh"), str(tmp_path / "exports"), *UNTIL]


@pytest.mark.nightly
def test_the_script_runs_in_bash_and_ctrl_c_leaves_what_the_next_run_continues(
    loopback_service: Loopback, tmp_path: Path
) -> None:
    az: FakeAz = fake_az(loopback_service, tmp_path)
    environment = install_fake_az(az)
    command = script(tmp_path, INVENTORIES, subscriptions(loopback_service)[0])
    (tmp_path / "interrupt").touch()
    ended = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (128 + signal.SIGINT, "")
    assert ended.stderr.endswith("interrupted: the same command continues\n")
    manifest = Fetched(tmp_path / "exports", ended.returncode).manifest
    assert manifest["finished"] is None
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    assert az.token not in done.stderr + ended.stderr
    files = Fetched(tmp_path / "exports", 0).manifest["files"]
    assert [one["complete"] for one in files] == [True] * len(files)
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "exports").rglob("*")} == {0}


@pytest.fixture
def az_folder(tmp_path: Path) -> Path:
    return tmp_path / "az"


@pytest.fixture
def az(loopback_service: Loopback, az_folder: Path) -> Az:
    return sign_in_az(loopback_service, az_folder)


@pytest.mark.external
def test_az_itself_fetches(az: Az, az_folder: Path, loopback_service: Loopback, tmp_path: Path) -> None:
    """The real program asks, is refused one listing, and `load` finds the other two complete."""
    one = subscriptions(loopback_service)[0]
    loopback_service.faults.add("forbidden", rf"GET /subscriptions/{one}/providers\?", times=None)
    loopback_service.faults.add("throttle", rf"GET /subscriptions/{one}/resources\?", times=1, retry_after="0")
    environment = {**os.environ, **az_environment(loopback_service, az_folder)}
    command = script(tmp_path, (*INVENTORIES, "users"), one)
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    loopback_service.faults.clear()
    assert done.returncode == 0, done.stderr
    db = tmp_path / "store.duckdb"
    load_paths(db, [tmp_path / "exports"])
    with open_store(db, read_only=True) as store:
        found = dict(store.frame("SELECT kind, complete FROM inventories").rows())
    assert found == {"providers": False, "resource_graph": True, "resource_list": True}
    (refused,) = (entry for entry in Fetched(tmp_path / "exports", 0).manifest["files"] if not entry["complete"])
    assert refused["error"].startswith("Forbidden: AuthorizationFailed: The client")
