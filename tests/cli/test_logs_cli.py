"""`rightsize status logs`: the JSON contract, the table, budgets, templates, prices, and what came of promises."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from lark.exceptions import UnexpectedToken
from pycep import BicepParser

from rightsize.analyze.verdicts.resource_logs import logged_kinds
from rightsize.cli.main import run
from rightsize.render.log_settings import template_files
from rightsize.rules.prices import COLUMNS, log_tables
from rightsize.rules.tables import rows_of
from rightsize.store.stored_analysis import DIGESTED
from rightsize.workflow.answers.log_options import EXPORTED
from rightsize.workflow.data.exports import requests_of
from tests.propose.inventoried import inventoried, inventory, resource
from tests.propose.small_tenant import BLOB_READER, DATA, DAY0, DAYS, SUB, SUB2, VM, SmallTenant, guid
from tests.tenants.fake_store import FakeStore

HOSTILE = "a\x1b[31m'${x}"
ACCOUNT = f"{DATA}/providers/Microsoft.Storage/storageAccounts/{HOSTILE}"
STORAGE = "log:microsoft.storage/storageaccounts"


def bare_tenant() -> SmallTenant:
    """Return a tenant without an inventory, with an account that logs nothing."""
    tenant = inventoried()
    del tenant.rows["inventories"]
    tenant.principal(2, display_name="\x1b[31mPat")
    tenant.assign(102, tenant.rows["principals"][-1]["principal_id"], BLOB_READER, ACCOUNT)
    resource(tenant, ACCOUNT)
    tenant.add("diagnostic_settings", scope=DATA.lower(), name="x", category="c", is_group=False, enabled=True)
    return tenant


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    store = FakeStore(bare_tenant().inputs())
    monkeypatch.setattr("rightsize.workflow.answers.logs.open_store", lambda *_, **__: store)
    return store


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert run(["status", "logs", "-o", "json", *arguments]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.nightly
def test_options_are_ranked_and_written_to_the_store(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has its bound, price, day and commands; the table in the store has the same rows."""
    found = answer(capsys)
    options = found["options"]
    assert [row["rank"] for row in options] == list(range(1, len(options) + 1))
    assert [row["excess"] for row in options] == sorted((row["excess"] for row in options), reverse=True)
    by_item = {row["item"]: row for row in options}
    assert {"inventory", STORAGE} <= set(by_item)
    assert by_item["inventory"]["price_per_month"] == 0
    assert by_item["inventory"]["decides_on"] == str(DAY0 + dt.timedelta(days=DAYS))
    # A log that nobody sent has to be there for the days that a log needs to be evidence.
    assert by_item[STORAGE]["decides_on"] == str(DAY0 + dt.timedelta(days=DAYS + 60))
    # No like log is here, so its volume is assumed, and said to be.
    assert by_item[STORAGE]["is_assumed"]
    assert "assumed" in by_item[STORAGE]["gb_source"]
    assert by_item[STORAGE]["price_per_month"] > 0
    assert not by_item["inventory"]["is_assumed"]
    assert found["decidable_excess"] <= found["undecided_excess"]
    assert store.answers["observability_options"]["item"].to_list() == [row["item"] for row in options]


@pytest.mark.slow
def test_a_table_shows_no_hostile_text_and_says_what_to_do_next(
    store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "logs", "-v"]) == 0
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "complete inventory of resources" in out
    assert err.strip().splitlines()[-1].startswith("next step: rightsize ")
    (command,) = [line for line in out.splitlines() if "az deployment group create" in line]
    assert "u001b[31m" in command
    assert store.answers


@pytest.mark.slow
def test_a_budget_chooses_what_fits_and_counts_shared_promises_once(
    store: FakeStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """What has no known price is not chosen; nothing in the set costs more than the budget."""
    found = answer(capsys, "--budget", "0")
    chosen = [row for row in found["options"] if row["chosen"]]
    assert {row["item"] for row in chosen} == set(found["best_set"]["items"])
    assert all(row["price_per_month"] == 0 for row in chosen)
    assert found["best_set"]["excess"] <= found["decidable_excess"]
    assert "inventory" in found["best_set"]["items"]
    assert STORAGE not in found["best_set"]["items"]
    assert store.answers["observability_options"]["chosen"].null_count() == 0


@pytest.mark.slow
def test_prices_of_a_file_take_the_place_of_known_ones(
    store: FakeStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """They also say how large a record is; how many there are is assumed without rows of like sources."""
    path = tmp_path / "prices.csv"
    path.write_text(",".join(COLUMNS) + "\n*,cold,*,EUR,0,0,90,700,2026-01-01,contract\n", encoding="utf-8")
    found = answer(capsys, "--prices", str(path), "--plan", "cold", "--budget", "1")
    row = next(one for one in found["options"] if one["item"] == STORAGE)
    assert row["price_per_month"] == 0
    assert row["currency"] == "EUR"
    assert row["price_source"] == "contract"
    assert row["price_as_of"] == "2026-01-01"
    assert found["best_set"]["excess"] == found["decidable_excess"]
    assert store.answers


@pytest.mark.slow
def test_volume_and_price_follow_the_rows_of_like_sources(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tenant = bare_tenant()
    for offset in range(DAYS):
        scope = f"{DATA}/providers/Microsoft.Storage/storageAccounts/b/blobServices/default"
        row = {"source": "storage_log", "category": "StorageRead", "state": "observed", "events": 1000, "scope": scope}
        tenant.add("coverage", **row, day=DAY0 + dt.timedelta(days=offset))
    monkeypatch.setattr("rightsize.workflow.answers.logs.open_store", lambda *_, **__: FakeStore(tenant.inputs()))
    path = tmp_path / "prices.csv"
    path.write_text(",".join(COLUMNS) + "\n*,hot,us,USD,2,0,90,1000000,2026-01-01,contract\n", encoding="utf-8")
    found = answer(capsys, "--prices", str(path), "--plan", "hot")
    row = next(one for one in found["options"] if one["item"] == STORAGE)
    assert row["records_per_month"] == 30_000
    assert row["gb_per_month"] == 30
    assert row["price_per_month"] == 60


@pytest.mark.slow
def test_templates_switch_on_what_is_no_listing(
    store: FakeStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One file a log; names of resources are parameters, so that no name is in a template."""
    answer(capsys, "--bicep", str(tmp_path / "bicep"))
    files = {path.name: path.read_text(encoding="utf-8") for path in (tmp_path / "bicep").iterdir()}
    text = files["log-microsoft.storage-storageaccounts.bicep"]
    assert text.count("existing = [for name in names") == 4
    assert "{ category: 'StorageDelete', enabled: true }" in text
    assert not any("\x1b" in one or "${x}" in one for one in files.values())
    assert "inventory.bicep" not in files
    assert store.answers


def two_subscriptions() -> SmallTenant:
    """Return a tenant whose second subscription has a holder and an account of its own."""
    tenant = bare_tenant()
    account = f"{SUB2}/resourceGroups/far/providers/Microsoft.Storage/storageAccounts/far"
    tenant.assign(103, tenant.principal(3), BLOB_READER, account)
    tenant.assign(104, tenant.principal(4), BLOB_READER, account)
    resource(tenant, account)
    # Whoever had a token may have used it, so that no sign-in log decides.
    for number in (2, 3, 4):
        tenant.sign_in(guid(number), guid(950))
    return tenant


@pytest.mark.nightly
def test_a_budget_picks_the_subscription_that_matters(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Where two lack a log and the money is for one, the one with more excess is in the best set."""
    monkeypatch.setattr(
        "rightsize.workflow.answers.logs.open_store", lambda *_, **__: FakeStore(two_subscriptions().inputs())
    )
    path = tmp_path / "prices.csv"
    path.write_text(",".join(COLUMNS) + "\n*,p,us,USD,1,0,90,1000000,2026-01-01,contract\n", encoding="utf-8")
    # 1,000 records a day of a megabyte each are 30 GB a month.
    arguments = ["--prices", str(path), "--plan", "p", "--records-per-day", "1000"]
    found = answer(capsys, *arguments, "--budget", "33")
    row = next(one for one in found["options"] if one["item"] == STORAGE)
    assert row["price_per_month"] == 60
    assert [part["price_per_month"] for part in row["parts"]] == [30, 30]
    assert [part["chosen"] for part in row["parts"]] == [True, False]
    assert row["parts"][0]["excess"] > row["parts"][1]["excess"] > 0
    assert row["parts"][0]["scope"] == SUB2
    assert {"item": STORAGE, "scope": SUB2} in found["best_set"]["parts"]
    # Sign-ins of the one service principal are 3 of it.
    assert found["best_set"]["price_per_month"] == 33
    assert found["best_set"]["is_assumed"]
    for by, shown in (("item", "1 of 2"), ("scope", SUB2.rpartition("/")[2])):
        assert run(["status", "logs", *arguments, "--budget", "33", "--by", by]) == 0
        out, err = capsys.readouterr()
        assert shown in out
        assert "~30.0" in out if by == "scope" else "~60.0" in out
        assert "the volume of sign_ins:service_principal, " + STORAGE + " is assumed" in err


@pytest.mark.nightly
def test_parts_are_written_to_the_store(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One row each missing thing and scope; of what is missing for the whole tenant there is none."""
    store = FakeStore(two_subscriptions().inputs())
    monkeypatch.setattr("rightsize.workflow.answers.logs.open_store", lambda *_, **__: store)
    options = {one["item"]: one for one in answer(capsys)["options"]}
    parts = store.answers["observability_parts"]
    assert set(parts.filter(pl.col("item") == STORAGE)["scope"]) == {SUB, SUB2}
    assert all(not row["parts"] for item, row in options.items() if item.startswith("sign_ins:"))
    for row in parts.rows(named=True):
        assert row["excess_alone"] <= row["excess"] <= options[row["item"]]["excess"]
    assert run(["status", "logs", "--by", "scope", "-o", "jsonl"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(parts)


def test_a_command_fetches_what_is_missing_of_one_subscription() -> None:
    """Every source that a command names is one that the script of `fetch-script` knows."""
    for names in EXPORTED.values():
        assert requests_of(names)


@pytest.mark.slow
def test_policies_are_told_beside_settings(store: FakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    """The built-in ones for each service of an account, at its subscription; of a listing there is none."""
    options = {one["item"]: one for one in answer(capsys)["options"]}
    commands = options[STORAGE]["policy_commands"]
    assert sum(command.startswith("az policy assignment create") for command in commands) == 4
    assert all(SUB.rpartition("/")[2] in command for command in commands)
    assert options["inventory"]["policy_commands"] == []
    assert store.answers


@pytest.mark.nightly
def test_every_template_is_bicep_that_sends_the_categories_of_its_log() -> None:
    """A parser of Bicep reads each: every setting stands at a known part of a resource and sends what is needed."""
    for kind in logged_kinds():
        item = f"log:{kind}"
        ((_, text),) = template_files([item]).items()
        found = BicepParser().parse(text=text)
        assert set(found["parameters"]) == {"workspaceId", "names"}
        targets = {name: one for name, one in found["resources"].items() if one["existing"]}
        parts = {row["part"].split("/")[0] for row in rows_of("resource_logs") if row["resource_type"].lower() == kind}
        assert {one["type"].lower() for one in targets.values()} == {
            f"{kind}/{part}".strip("/").lower() for part in parts
        }
        aimed = set()
        for one in (one for one in found["resources"].values() if not one["existing"]):
            config = one["config"]["config"]
            aimed.add(config["scope"]["operator"]["operands"]["operand_1"])
            assert one["type"] == "Microsoft.Insights/diagnosticSettings"
            sent = {log["category"] for log in config["properties"]["logs"] if log["enabled"]}
            assert sent == set(log_tables(item)[0].category.split())
        assert aimed == set(targets)
    with pytest.raises(UnexpectedToken):
        BicepParser().parse(text=text.replace("= [", "= [["))


@pytest.mark.nightly
def test_templates_of_the_directory_are_bicep_of_the_tenant() -> None:
    for item in ("sign_ins:user", "sign_ins:service_principal", "sign_ins:managed_identity", "graph_log"):
        ((_, text),) = template_files([item]).items()
        found = BicepParser().parse(text=text)
        assert found["globals"]["scope"]["value"] == "tenant"
        (setting,) = found["resources"].values()
        sent = [log["category"] for log in setting["config"]["properties"]["logs"]]
        assert len(sent) == len(log_tables(item))
        assert setting["config"]["properties"]["workspaceId"] == "workspaceId"


@pytest.mark.nightly
def test_what_came_is_held_against_what_was_promised(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """After loading, a later run says how much of the bound is decided; what is still missing has not come."""
    tenant = bare_tenant()
    store = FakeStore(tenant.inputs())
    monkeypatch.setattr("rightsize.workflow.answers.logs.open_store", lambda *_, **__: store)
    assert answer(capsys)["promises"] == []
    inventory(tenant)
    store.held = (tenant.inputs(),)
    found = {one["item"]: one for one in answer(capsys)["promises"]}
    assert 0 < found["inventory"]["came"] <= found["inventory"]["promised"]
    assert not found["inventory"]["is_missing"]
    assert found[STORAGE]["came"] == 0
    assert found[STORAGE]["is_missing"]
    assert run(["logs"]) == 0
    assert "for inventory:" in capsys.readouterr().err


@pytest.mark.nightly
def test_a_store_that_cannot_name_operations_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is missing only where something was judged: no catalogue and no assignment are said."""
    tenant = bare_tenant()
    tenant.with_catalogue = False
    for held, said in (
        (tenant, "since no catalogue of operations is loaded"),
        (logs_only(), "no assignment is loaded"),
    ):
        stored = FakeStore(held.inputs())
        monkeypatch.setattr("rightsize.workflow.answers.logs.open_store", lambda *_, stored=stored, **__: stored)
        assert run(["logs"]) == 0
        err = capsys.readouterr().err
        assert said in err
        assert "nothing is missing" not in err


def logs_only() -> SmallTenant:
    """Return a tenant of which only a log is loaded."""
    tenant = SmallTenant()
    tenant.use(tenant.principal(1), "Microsoft.Compute/virtualMachines/start/action", VM)
    return tenant


def test_no_digest_contains_what_logs_writes() -> None:
    """Asking makes no plan stale."""
    assert {"observability_options", "observability_promises"}.isdisjoint(DIGESTED)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--budget", "-1"], 2, "is not an amount from 0 up"),
        (["--budget", "nan"], 2, "is not an amount from 0 up"),
        (["--plan", "gold"], 2, "no price has the plan `gold`"),
        (["--region", "moon"], 2, "no price has the region `moon`"),
        (["--prices", "no-such-file.csv"], 5, "cannot read `no-such-file.csv`"),
    ],
)
def test_wrong_options_are_errors(
    store: FakeStore, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    assert run(["status", "logs", *arguments]) == code
    assert said in capsys.readouterr().err
    assert not store.answers


@pytest.mark.slow
def test_a_file_of_prices_that_is_no_text_is_an_error(
    store: FakeStore, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(b"\xff\xfe\x00")
    assert run(["status", "logs", "--prices", str(path)]) == 5
    assert "is not UTF-8 text" in capsys.readouterr().err
    assert not store.answers
