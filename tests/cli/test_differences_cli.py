"""`differences` on the sample tenant: what Defender says against what the logs show."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from rightsize.workflow.data.load import load_paths

GRAPH = "00000003-0000-0000-c000-000000000000"
TERRAFORM, HL7, PORTAL = (
    "9eb8ebd4-fbfb-4a71-8869-5468ea5cda4a",
    "bdf84621-aedd-499f-b292-51e65f2ee136",
    "ab6ddc2f-5f79-4ac5-a4f5-faa920d527ba",
)
TAGGER = "ab10f272-e299-4e9c-a357-80d01841b4f8"
SUBSCRIPTION = "/subscriptions/8c450d09-c371-498d-a4d5-7f51f8d56618"
INACTIVE = "8b0bd683-bcfe-4ab1-96b9-f15a60eaa89d"
SAYS = {
    TERRAFORM: {"AppRoleAssignment.ReadWrite.All": False, "RoleManagement.ReadWrite.Directory": False},
    HL7: {"Mail.ReadWrite": True},
    PORTAL: {"Policy.Read.All": False},
}


def records() -> list[dict[str, Any]]:
    """What advanced hunting and Resource Graph return, with one identity that Defender calls inactive."""
    applications = [
        {
            "Timestamp": "2026-09-30T00:00:00Z", "OAuthAppId": app, "AppStatus": "Enabled",
            "Permissions": [
                {"PermissionValue": name, "PermissionType": "Application", "TargetAppId": GRAPH, "InUse": used}
                for name, used in permissions.items()
            ],
        }
        for app, permissions in SAYS.items()
    ]  # fmt: skip
    assessment = {
        "id": f"{SUBSCRIPTION}/providers/Microsoft.Security/assessments/{INACTIVE}", "name": INACTIVE,
        "type": "microsoft.security/assessments",
        "properties": {
            "displayName": "Permissions of inactive identities in your Azure subscription should be revoked",
            "status": {"code": "Unhealthy", "statusChangeDate": "2026-09-29T00:00:00Z"},
            "additionalData": {"ResourceName": TAGGER, "ResourceType": "Service Principal"},
        },
    }  # fmt: skip
    return [*applications, assessment]


def _answer(capsys: pytest.CaptureFixture[str], db: Path, *words: str, code: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert run(["differences", "--db", str(db), *words]) == code
    said = capsys.readouterr()
    return said.out, said.err


@pytest.mark.nightly
def test_what_defender_would_take_away_from_who_uses_it_comes_first(
    demo_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    db = Path(shutil.copy(demo_folder / "demo.duckdb", tmp_path / "s.duckdb"))
    *applications, assessment = records()
    (tmp_path / "apps.json").write_text("\n".join(map(json.dumps, applications)), encoding="utf-8")
    (tmp_path / "assessments.json").write_text(json.dumps(assessment), encoding="utf-8")
    load_paths(db, [str(tmp_path / name) for name in ("apps.json", "assessments.json")])
    assert run(["analyze", "--db", str(db), "-q"]) == 0
    rows = json.loads(_answer(capsys, db, "-o", "json")[0])
    told = [(row["difference"], row["name"], row["permission"], row["they_say"], row["we_say"]) for row in rows]
    assert told == [
        ("we_say_used", "terraform-landing-zones", "AppRoleAssignment.ReadWrite.All", "unused", "used"),
        ("we_say_used", "avh-nightly-tagger", None, "inactive", "used_in_part"),
        ("we_say_unused", "hl7-bridge-legacy", "Mail.ReadWrite", "used", "unused"),
        ("we_lack", "portal-api", "Policy.Read.All", "unused", None),
    ]
    evidence = rows[0]
    assert (evidence["reason"], evidence["calls"] > 0, evidence["days_covered"] >= 90) == ("elimination", True, True)
    assert evidence["last_seen"].startswith("2026-09-")
    every = json.loads(_answer(capsys, db, "--all", "-o", "json")[0])
    assert {row["difference"] for row in every} == {row["difference"] for row in rows} | {"same"}
    out, err = _answer(capsys, db)
    assert "we_say_used" in out
    assert "4 rows of 5 judgements by other tools" in err


@pytest.mark.slow
def test_a_store_without_judgements_says_what_to_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user = {"id": "bbbbbbbb-0000-4000-8000-000000000002", "userPrincipalName": "a@b.c", "displayName": "Ann"}
    (tmp_path / "users.json").write_text(json.dumps({"value": [user]}), encoding="utf-8")
    load_paths(tmp_path / "s.duckdb", [str(tmp_path / "users.json")])
    assert "no judgement of another tool is loaded" in _answer(capsys, tmp_path / "s.duckdb", code=6)[1]
