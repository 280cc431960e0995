"""The published JSON Schemas describe what the program takes: it refuses what they refuse."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rightsize.analyze.controls import read_exemptions
from rightsize.model.decisions import read_decisions
from rightsize.model.errors import InputError
from rightsize.propose.core.options import read_exclusions
from rightsize.render.schemas import DESCRIBED, schema_text
from rightsize.rules.prices import COLUMNS, read_prices
from rightsize.rules.tables import rows_of
from tests.file_schemas import entry_validator

DOCS = Path(__file__).resolve().parents[2] / "docs"
DAY = "2026-12-31"
GOOD: dict[str, dict[str, Any]] = {
    "exemptions": {"control": "c", "resource": "r", "reason": "why", "owner": "team", "expires": DAY},
    "exclusions": {"principal": "p", "reason": "why", "owner": "team", "expires": DAY},
    "review": {
        "proposal": "p", "decision": "reject", "content": "h", "kind": "remove", "by": "me", "reason": "why",
        "decided": DAY, "expires": None,
    },
    "prices": {
        "table": "*", "plan": "analytics", "region": "us", "currency": "EUR", "price_per_gb": "2.30",
        "price_per_gb_month": "0", "free_days": "31", "bytes_per_record": "", "as_of": DAY, "source": "contract",
    },
}  # fmt: skip
FURTHER = {"exemptions": ["principal"], "exclusions": ["role", "scope", "tag"], "review": [], "prices": []}
VALUES = (
    *("", " ", "x", "*", "accept", "defer", "/subscriptions/0", DAY, "20261231", "2026-12-31T18:00:00Z", "EUR", "eur"),
    *("1", "-1", "1e3", "nan", ".5", "1.5.2"),
    *(None, 0, 1, True, False, [], ["x"], {}),
)
"""Values that a key may have in a file; those of CSV are texts."""


def csv_text(row: dict[str, str]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(row))
    writer.writeheader()
    writer.writerow(row)
    return out.getvalue()


READ: dict[str, Callable[[dict[str, Any]], Any]] = {
    "exemptions": lambda entry: read_exemptions(json.dumps([entry]).encode(), "json", "f"),
    "exclusions": lambda entry: read_exclusions(json.dumps({"exclude": [entry]}).encode(), "json", "f"),
    "review": lambda entry: read_decisions(json.dumps(entry).encode(), "f"),
    "prices": lambda entry: read_prices(csv_text(entry), "f"),
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_each_schema_is_in_the_docs(name: str) -> None:
    text = schema_text(name)
    assert (DOCS / f"{name}.schema.json").read_text(encoding="utf-8") == text
    Draft202012Validator.check_schema(json.loads(text))
    assert json.loads(text)["$id"].startswith(f"urn:rightsize:{name}")


@pytest.mark.parametrize("name", GOOD)
@given(data=st.data())
def test_what_the_schema_refuses_the_program_refuses(name: str, data: st.DataObject) -> None:
    """One to three changes of a good entry: keys that go, keys that come, other values."""
    entry = dict(GOOD[name])
    keys = [*entry, *FURTHER[name], "strange"]
    for key in data.draw(st.lists(st.sampled_from(keys), min_size=1, max_size=3, unique=True)):
        value = data.draw(st.sampled_from([*VALUES, KeyError]))
        if value is KeyError:
            entry.pop(key, None)
        else:
            entry[key] = value if name != "prices" or isinstance(value, str) else "x"
    if entry_validator(name).is_valid(entry):
        return
    with pytest.raises(InputError):
        READ[name](entry)


@pytest.mark.parametrize("name", GOOD)
def test_each_plain_fault_is_refused_by_both(name: str) -> None:
    """A key that is missing, empty, unknown or of another type."""
    entry = GOOD[name]
    assert entry_validator(name).is_valid(entry)
    READ[name](entry)
    optional = {"resource", "expires", "bytes_per_record"} if name in ("review", "prices") else {"resource"}
    faults = [
        *({key: value for key, value in entry.items() if key != gone} for gone in entry.keys() - optional),
        *(entry | {key: " "} for key in entry.keys() - {"expires", "bytes_per_record"}),
        entry | {"strange": "x"},
    ]
    if name != "prices":
        faults += [entry | {key: 7} for key in entry]
    for fault in faults:
        assert not entry_validator(name).is_valid(fault), fault
        with pytest.raises(InputError):
            READ[name](fault)


def test_the_prices_of_the_rules_pass_their_schema() -> None:
    rows = [{column: row[column] for column in COLUMNS} for row in rows_of("prices")]
    assert len(rows) > 3
    assert [error for row in rows for error in entry_validator("prices").iter_errors(row)] == []
