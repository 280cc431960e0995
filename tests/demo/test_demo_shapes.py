"""The exports have the quirks of real ones; each quirk once broke a parser."""

from __future__ import annotations

import csv
import gzip
import json
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.tenants.records import activity, records

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def blobs(demo_exports: Path) -> list[Path]:
    """The hourly blobs of the diagnostic settings."""
    return sorted((demo_exports / "activity/insights-activity-logs").rglob("PT1H.json"))


def test_blobs_are_named_after_the_hour_received(blobs: list[Path], demo_exports: Path) -> None:
    """Most events stand in the blob of their own hour, late ones in a later one, none in an earlier one."""
    late = 0
    for path in blobs:
        named = re.search(r"/y=(\d+)/m=(\d+)/d=(\d+)/h=(\d+)/m=00/PT1H\.json$", path.as_posix())
        assert named
        received = f"{named[1]}-{named[2]}-{named[3]}T{named[4]}"
        for line in path.read_text(encoding="utf-8").splitlines():
            happened = json.loads(line)["time"][:13]
            assert happened <= received
            late += happened < received
    assert late > 0
    assert "resourceId=/SUBSCRIPTIONS/" in blobs[0].as_posix()


def test_diagnostic_records_shout_and_hide_the_category(blobs: list[Path]) -> None:
    """Operation and resource in capitals, `category` the kind of operation, the real one in the properties."""
    lines = [json.loads(line) for path in blobs for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(
        line["operationName"] == line["operationName"].upper()
        for line in lines
        if "Policy" not in line["category"] and "Service" not in line["category"]
    )
    assert {"Write", "Action"} <= {line["category"] for line in lines}
    assert {line["properties"]["eventCategory"] for line in lines} >= {"Administrative", "Policy"}


def test_the_portal_writes_a_mark_and_american_times(demo_exports: Path) -> None:
    """CSV of Log Analytics as the portal exports it: byte-order mark, JSON inside cells, newest row first."""
    path = demo_exports / "activity/subscription-03-portal-query_data-1.csv"
    content = path.read_bytes()
    assert content.startswith(b'\xef\xbb\xbf"TimeGenerated [UTC]",')
    rows = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    assert all(
        re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}, \d{1,2}:\d\d:\d\d\.\d{3} [AP]M", row["TimeGenerated [UTC]"])
        for row in rows
    )
    evidence = [
        json.loads(row["Authorization_d"]).get("evidence") for row in rows if row["CategoryValue"] == "Administrative"
    ]
    assert None in evidence
    assert sum(entry is not None for entry in evidence) > len(evidence) // 2


def test_the_cli_prints_no_evidence_and_times_in_seven_digits(demo_exports: Path) -> None:
    """`az monitor activity-log list` drops evidence, and names users by UPN, sometimes without claims."""
    rows = list(records(demo_exports / "activity/subscription-01-cli.json"))
    assert all(set(row["authorization"] or {}) <= {"action", "role", "scope"} for row in rows)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", row["eventTimestamp"]) for row in rows)
    assert any(not row["claims"] and "@" in (row["caller"] or "") for row in rows)
    assert (demo_exports / "activity/subscription-01-cli.json").read_text(encoding="utf-8").startswith("[\n  {\n    ")


def test_one_call_shows_in_several_exports(demo_exports: Path) -> None:
    """Overlapping exports of different shapes hold the same calls."""
    paths: dict[tuple[str, str, str], set[str]] = {}
    for row in activity(demo_exports):
        paths.setdefault((row.correlation_id, row.operation, row.scope), set()).add(row.path.rsplit("/", 1)[-1])
    several = [found for found in paths.values() if len({name for name in found if name != "PT1H.json"}) > 1]
    assert len(several) > 100


def test_failures_tell_refused_from_authorised(demo_exports: Path) -> None:
    """Resource Manager's own words, as text inside the properties."""
    activity_log = demo_exports / "activity"
    paths = [*activity_log.glob("*-cli.json"), *activity_log.glob("*.zip"), *activity_log.rglob("PT1H.json")]
    errors = (record["properties"]["statusMessage"] for path in paths for record in records(path))
    codes = {error["code"]: error["message"] for error in (json.loads(text)["error"] for text in errors if text)}
    assert {
        "AuthorizationFailed",
        "LinkedAuthorizationFailed",
        "ScopeLocked",
        "RequestDisallowedByPolicy",
        "AnotherOperationInProgress",
    } <= set(codes)
    assert re.match(
        r"The client '.+' with object id '[0-9a-f-]{36}' does not have authorization to perform action '",
        codes["AuthorizationFailed"],
    )


def test_archives_are_real_and_carry_no_clock(demo_exports: Path) -> None:
    """Gzip and zip open with anything, and say nothing of when they were made."""
    packed = sorted(demo_exports.rglob("*.gz"))
    assert packed
    for path in packed:
        assert path.read_bytes()[4:8] == b"\0\0\0\0"
        assert gzip.decompress(path.read_bytes())
    with zipfile.ZipFile(demo_exports / "activity/subscription-02-zip.zip") as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_principals_of_all_kinds_are_listed(demo_exports: Path, demo_truth: dict[str, Any]) -> None:
    """Sixty principals: people, guests, groups with a cycle, applications and managed identities."""
    users = list(records(demo_exports / "directory/users.json"))
    groups = list(records(demo_exports / "directory/groups.json"))
    apps = list(records(demo_exports / "directory/servicePrincipals.json"))
    deleted = list(records(demo_exports / "directory/deletedItems-servicePrincipals.json"))
    assert len(users) + len(groups) + len(apps) + len(deleted) == 60
    assert {user["userType"] for user in users} == {"Member", "Guest"}
    assert any("signInActivity" not in user for user in users)
    assert {app["servicePrincipalType"] for app in apps} == {"Application", "ManagedIdentity"}
    assert {app["alternativeNames"][0] for app in apps if app["alternativeNames"]} == {
        "isExplicit=True",
        "isExplicit=False",
    }
    assert demo_truth["principals_without_arm_token"]


def test_pages_of_members_name_their_group_in_one_of_two_ways(demo_exports: Path) -> None:
    """In the context, or only in the name of the file."""
    contexts = {}
    for path in (demo_exports / "directory/members").iterdir():
        contexts[path.name] = json.loads(path.read_text(encoding="utf-8"))["@odata.context"]
    named = [name for name, context in contexts.items() if "/members(" in context]
    bare = [name for name, context in contexts.items() if context.endswith("#directoryObjects")]
    assert named
    assert bare
    assert all(re.fullmatch(r"members-[0-9a-f-]{36}\.json", name) for name in bare)
    assert any("/transitiveMembers(" in context for context in contexts.values())
