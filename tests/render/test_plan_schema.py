"""The published JSON Schema of `plan.json`: it ships with the package, is in the docs, and refuses other documents.

`conftest.py` holds every plan that a test writes against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import ValidationError

from rightsize.cli.main import run
from rightsize.model.plan import PLAN_FORMAT
from rightsize.model.plan_file import file_of
from rightsize.model.tables import EVIDENCE_TABLES
from rightsize.render.plan import plan_files
from rightsize.render.schemas import schema_text
from rightsize.store.ddl import write_schema_page
from tests.plan_schema import check_plan, validator
from tests.propose.small_tenant import CONTRIBUTOR, SUB, VM, SmallTenant
from tests.propose.written_plans import to_version_1

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def text() -> str:
    """The plan of a holder who used one operation."""
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.use(user, "Microsoft.Compute/virtualMachines/start/action", VM)
    found = plan_files(tenant.plan())["plan.json"]
    assert isinstance(found, str)
    return found


def test_the_schema_is_in_the_docs_and_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (DOCS / "plan.schema.json").read_text(encoding="utf-8") == schema_text("plan")
    assert run(["plan", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(schema_text("plan"))


def test_the_schema_names_the_version_and_the_tables() -> None:
    properties = json.loads(schema_text("plan"))["properties"]
    assert properties["format_version"] == {"const": PLAN_FORMAT}
    listed = properties["evidence"]["items"]["properties"]["table"]["enum"]
    assert listed == [table.name for table in EVIDENCE_TABLES]


@pytest.mark.slow
def test_a_plan_has_a_line_for_each_proposal_and_role(text: str) -> None:
    """Plans are compared in pull requests."""
    document, lines = json.loads(text), text.splitlines()
    for one in (*document["proposals"], *document["roles"], *document["advice"], *document["curve"]):
        assert json.dumps(one, separators=(",", ":")) in {line.removesuffix(",") for line in lines}


def _change(*path: Any, to: object) -> Callable[[Any], None]:
    def changed(document: Any) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = to

    return changed


def _drop(*path: Any) -> Callable[[Any], None]:
    def dropped(document: Any) -> None:
        for name in path[:-1]:
            document = document[name]
        del document[path[-1]]

    return dropped


@pytest.mark.parametrize(
    "change",
    [
        _change("format_version", to=1),
        _drop("evidence"),
        _drop("generated_from", "options"),
        _drop("proposals", 0, "assignments"),
        _change("proposals", 0, "kind", to="shrink"),
        _change("proposals", 0, "replaces", to=[]),
        _change("proposals", 0, "break_probability_30d", to=1.5),
        _change("proposals", 0, "assignments", 0, "state", to="activated"),
        _change("roles", 0, "file", to="../role.json"),
        _change("evidence", 0, "file", to="/etc/passwd"),
        to_version_1,
    ],
)
def test_what_is_no_such_plan_is_refused(text: str, change: Callable[[Any], None]) -> None:
    document = json.loads(text)
    validator(strict=False).validate(document)
    change(document)
    with pytest.raises(ValidationError):
        validator(strict=False).validate(document)


@pytest.mark.parametrize("path", [("more",), ("proposals", 0, "more"), ("proposals", 0, "evidence", "more")])
def test_a_key_that_is_not_described_is_found_by_tests_only(text: str, path: tuple[Any, ...]) -> None:
    """Programs must take new keys; a key that we write has to be in the schema."""
    document = json.loads(text)
    check_plan(document)
    _change(*path, to=1)(document)
    validator(strict=False).validate(document)
    with pytest.raises(ValidationError):
        check_plan(document)


def test_the_page_has_every_column_of_the_tables() -> None:
    lines = write_schema_page().splitlines()
    for table in EVIDENCE_TABLES:
        assert f"[`{table.name.replace('_', '-')}`](schema.md#" in (DOCS / "plan-format.md").read_text(encoding="utf-8")
        rows = lines[lines.index(f"## {file_of(table)}") :][6:][: len(table.columns)]
        assert [row.split("|")[1].strip().strip("*`") for row in rows] == [one.name for one in table.columns]
        assert [row.split("|")[3].strip() for row in rows] == [one.comment for one in table.columns]


def test_files_of_tables_stand_in_the_folder_of_evidence() -> None:
    assert {file_of(table) for table in EVIDENCE_TABLES} == {
        "evidence/grants.parquet",
        "evidence/counts.parquet",
        "evidence/operations.parquet",
        "evidence/absent.parquet",
        "evidence/absence-proofs.parquet",
        "evidence/chances.parquet",
        "evidence/readings.parquet",
    }
