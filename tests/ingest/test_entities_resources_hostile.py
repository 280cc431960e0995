"""Damaged and hostile listings of resources and diagnostic settings: each record is a row or a reject."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.examples import FEW
from tests.ingest.entity_records import SUB, Staged, stage_document
from tests.ingest.test_entities_resources import VAULT, resource, setting

LOG = {"category": "AuditEvent", "enabled": True, "retentionPolicy": {"days": 0}}
HOSTILE = st.sampled_from(
    [
        None, True, False, 0, -1, 10**20, 0.5, "", " ", "true", "TRUE", "\x1b[2J\u202e", "'; DROP TABLE resources; --",
        "/" * 3000, "../../x", {}, [], [None], [[]], {"enabled": True}, "{" * 200, "=1+1", "\u0130",
    ]
)  # fmt: skip


def _vault(number: int) -> dict[str, Any]:
    properties = {"enableRbacAuthorization": True, "accessPolicies": [], "vaultUri": "https://v"}
    return resource(f"{VAULT}{number}", "Microsoft.KeyVault/vaults", properties=properties, tags={"a": "b"})


def _setting(number: int) -> dict[str, Any]:
    return setting(f"{VAULT}{number}", LOG, {"categoryGroup": "audit", "enabled": False})


@st.composite
def mutants(draw: st.DrawFn, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record with some members lost or replaced, at any depth; what it says it is stays readable."""
    found: dict[str, Any] = json.loads(json.dumps(record))
    for _ in range(draw(st.integers(1, 3))):
        where: Any = found
        while True:
            keys = sorted(where) if isinstance(where, dict) else list(range(len(where)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = where[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                where = inner
                continue
            if isinstance(where, dict) and draw(st.booleans()):
                del where[key]
            else:
                where[key] = draw(HOSTILE)
            break
    return found


def _staged(folder: str, first: dict[str, Any], rest: list[dict[str, Any]]) -> Staged:
    """Stage a listing whose first record is whole, so that the file is recognised."""
    return stage_document(Path(folder), {"value": [first, *rest]})


_FILES = settings(
    FEW,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.nightly
@_FILES
@given(data=st.data())
def test_every_resource_is_a_row_or_a_reject_and_no_setting_is_made_up(data: st.DataObject) -> None:
    found = [data.draw(mutants(_vault(number))) for number in range(1, 12)]
    with TemporaryDirectory() as folder:
        staged = _staged(folder, _vault(0), found)
        rows = staged.rows("resources", "scope", "resource_type", "settings")
        lines = {line for (line,) in staged.con.execute("SELECT line FROM stage_resources").fetchall()}
        lost = {line for (line,) in staged.con.execute("SELECT line FROM stage_rejects").fetchall()}
    # A record without a type, as listings of tags have, gives its tags alone.
    typeless = sum(one.get("type") is None or not str(one["type"]).strip() for one in found)
    assert len(lines | lost) + typeless >= len(found) + 1
    by_rbac = {json.dumps(one.get("id")): one for one in found}
    for scope, kind, text in rows:
        assert scope.startswith("/") and kind
        says = json.loads(text) if text else {}
        record = by_rbac.get(json.dumps(scope))
        if record is not None and "enableRbacAuthorization" in says:
            properties = record.get("properties")
            told = properties.get("enableRbacAuthorization") if isinstance(properties, dict) else None
            assert str(told).lower() == says["enableRbacAuthorization"], ("BAD", told, says, record)


@pytest.mark.slow
@_FILES
@given(data=st.data())
def test_every_diagnostic_setting_is_read_or_rejected_and_none_is_taken_for_on(data: st.DataObject) -> None:
    found = [data.draw(mutants(_setting(number))) for number in range(1, 12)]
    with TemporaryDirectory() as folder:
        staged = _staged(folder, _setting(0), found)
        rows = staged.rows("diagnostic_settings", "scope", "category", "is_group", "enabled")
        (read,) = [file.read for file in staged.report.files]
        lines = {line for (line,) in staged.con.execute("SELECT line FROM stage_diagnostic_settings").fetchall()}
        lost = {line for (line,) in staged.con.execute("SELECT line FROM stage_rejects").fetchall()}
    assert read == len(found) + 1
    silent = sum(1 for one in found if isinstance(one.get("properties"), dict) and one["properties"].get("logs") == [])
    assert len(lines | lost) >= read - silent
    for scope, category, is_group, enabled in rows:
        assert scope.startswith("/") and isinstance(category, str)
        number = int(scope.rpartition("kv")[2]) if scope.startswith(f"{SUB}/".lower()) else 0
        logs = ([_setting(0), *found][number].get("properties") or {}).get("logs") if enabled else None
        assert not enabled or any(isinstance(one, dict) and one.get("enabled") is True for one in logs or [])
        assert isinstance(is_group, bool)
