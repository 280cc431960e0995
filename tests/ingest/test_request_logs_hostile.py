"""Damaged, odd and hostile records of request logs: each is an event or a reject, never a wrong use."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.examples import FEWEST
from tests.ingest import request_records as records
from tests.ingest.parsing import events_of_records, staged, write_lines
from tests.ingest.request_records import OID, REGISTRY, VAULT

RENDERS = {
    name: getattr(records, name)
    for name in (
        "vault_diagnostic",
        "vault_row",
        "vault_diagnostics_row",
        "message_diagnostic",
        "message_row",
        "cluster_diagnostic",
        "cluster_row",
        "cluster_diagnostics_row",
        "image_row",
        "image_diagnostic",
        "item_row",
        "statement_row",
    )
}
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What an attacker writes into a path, a user agent or a name, and what damage leaves behind.
HOSTILE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.text(max_size=40),
    st.sampled_from(
        [
            "../../etc/passwd",
            "'; DROP TABLE events; --",
            "\x1b[2J\u202e",
            "=cmd|' /C calc'!A0",
            "https://kv.vault.azure.net/secrets/" + "a" * 70_000,
            "/" * 5000,
            "{" * 300,
            '{"claim": {"oid": ["x"]}}',
            "200; 403",
            "NaN",
            "9999-99-99T99:99:99Z",
            "",
            " ",
        ]
    ),
    st.lists(st.text(max_size=5), max_size=3),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
)


@st.composite
def mutants(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """Return a record of which some members are lost, others replaced, and others added."""
    record = RENDERS[name]()
    for key in draw(st.lists(st.sampled_from(sorted(record)), max_size=3)):
        if draw(st.booleans()):
            record.pop(key, None)
        else:
            record[key] = draw(HOSTILE)
    if isinstance(record.get("properties"), dict) and record["properties"]:
        for key in draw(st.lists(st.sampled_from(sorted(record["properties"])), max_size=2)):
            record["properties"][key] = draw(HOSTILE)
    return record | draw(st.dictionaries(st.text("XyZ_", min_size=3, max_size=8), HOSTILE, max_size=2))


@pytest.mark.nightly
@pytest.mark.many(3)
@pytest.mark.parametrize("name", RENDERS)
# Each example reads files, so shrinking a failure would take minutes and its records are small anyway.
@settings(
    FEWEST,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_every_record_is_an_event_or_a_reject(name: str, data: st.DataObject) -> None:
    """Nothing is lost, ids are ids, scopes are scopes, and what nobody let through is nobody's use."""
    found = data.draw(st.lists(mutants(name), min_size=12, max_size=12))
    # One record is whole, so that the file is recognised.
    found = [RENDERS[name](), *found]
    with TemporaryDirectory() as folder:
        con, report = staged(write_lines(Path(folder), found))
        assert sum(file.read for file in report.files) == len(found)
        rejected = sum(file.rejected for file in report.files)
        counted = sum(file.read for file in report.files if file.source not in _TOLD)
        rows = con.execute(
            "SELECT file_id, line, principal_id, scope, operation, outcome, access, time FROM stage_event_rows"
        ).fetchall()
    assert len({row[:2] for row in rows}) + rejected + counted >= len(found)
    for _, _, principal, scope, operation, outcome, access, time in rows:
        assert principal is None or GUID.fullmatch(principal)
        assert scope.startswith("/")
        assert len(operation) <= 500
        assert time is not None
        if access not in (None, "roles", "unmapped"):
            assert outcome == "other"


# Logs that are counted and not read: a record whose table or category was damaged may look like one of them.
_TOLD = ("resource_log", "m365_audit_log", "graph_activity_log", "entra_audit_log", "sign_in_log", "activity_log")


@pytest.mark.nightly
def test_an_enormous_path_is_no_scope_of_its_own(tmp_path: Path) -> None:
    """Names of secrets have at most 127 letters, digits and dashes; anything else counts at the vault."""
    for path in ("a" * 200_000, "..", "x%2F..%2Fy", "x'; drop", "\u202esecret"):
        uri = f"https://kv.vault.azure.net/secrets/{path}?api-version=7.4"
        (event,) = events_of_records(tmp_path, records.vault_row(RequestUri=uri))
        assert event["scope"] == VAULT


@pytest.mark.nightly
def test_an_enormous_operation_or_resource_is_rejected(tmp_path: Path) -> None:
    """No name of Azure is so long; the row is kept among the rejects."""
    rows = [
        records.vault_row(),
        records.vault_row(OperationName="Secret" + "X" * 100_000),
        records.image_row(_ResourceId=REGISTRY + "x" * 5000),
    ]
    con, _ = staged(write_lines(tmp_path, rows))
    assert con.execute("SELECT line, reason FROM stage_rejects ORDER BY line").fetchall() == [
        (2, "its operation is longer than the name of any"),
        (3, "its resource id is longer than any"),
    ]


@pytest.mark.nightly
def test_spellings_of_two_years_are_one_column(tmp_path: Path) -> None:
    """AzureDiagnostics has had the object id under two names, and AuthKey became AuthId."""
    old = records.vault_diagnostics_row()
    new = {key: value for key, value in old.items() if "objectidentifier" not in key} | {"identity_claim_oid_g": OID}
    messages = [records.message_row(), records.message_row(AuthId=records.APP, AuthKey=None)]
    assert len(events_of_records(tmp_path, old, new)) == 1
    assert len(events_of_records(tmp_path, *messages)) == 1
    names = {event["principal_name"] for event in events_of_records(tmp_path, *messages)}
    assert names == {records.APP}


@pytest.mark.slow
def test_columns_in_other_capitals_are_found(tmp_path: Path) -> None:
    """Exports do not keep to one spelling; what the fast way misses is read again."""
    row = {key.upper(): value for key, value in records.cluster_row().items()}
    (event,) = events_of_records(tmp_path, row)
    assert event["principal_id"] == OID
    assert json.loads(records.cluster_row()["User"])["extra"]["oid"] == [OID]
