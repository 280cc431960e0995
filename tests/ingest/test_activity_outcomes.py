"""Outcome, principal, operation and scope of an Activity Log record."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.parsing import event_of_each, events_of, events_of_records, staged, write_lines
from tests.ingest.renderings import Call, diagnostic, rest, table_row

OID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
UPN = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn"
DASHED = "123abc2a-6c31-4b0a-b03a-891259123abc"
OTHER = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0002"
GUID = "5ac2ff43-4a4f-4e8e-9c3c-8c2f5a1c0001"


UNAUTHORIZED = "The client 'x' does not have authorization to perform action 'y'"


def error(code: str, message: str = "") -> dict[str, str]:
    return {
        "statusMessage": json.dumps({"error": {"code": code, "message": message}}),
        "eventCategory": "Administrative",
    }


POLICY = {"properties": error("RequestDisallowedByPolicy")}


OUTCOMES: list[tuple[dict[str, Any], str]] = [
    ({"resultType": "Start", "resultSignature": "Started."}, "started"),
    ({"resultType": "Started"}, "started"),
    ({"resultType": "Accept", "resultSignature": "Accepted.Accepted"}, "started"),
    ({"resultType": "Accepted"}, "started"),
    ({"resultType": "In Progress"}, "started"),
    ({"resultType": "Success", "resultSignature": "Succeeded.Created"}, "succeeded"),
    ({"resultType": "Succeeded", "resultSignature": "200"}, "succeeded"),
    ({"resultType": "SUCCESS", "resultSignature": ""}, "succeeded"),
    ({"resultType": "Failure", "resultSignature": "Failed.Conflict"}, "failed"),
    ({"resultType": "Failed", "resultSignature": "400"}, "failed"),
    ({"resultType": "Failed", "resultSignature": "404"}, "failed"),
    ({"resultType": "Failed"}, "failed"),
    ({"resultType": "Failure", "resultSignature": "Failed.Forbidden"}, "denied"),
    ({"resultType": "Failed", "resultSignature": "403"}, "denied"),
    ({"resultType": "Failed", "resultSignature": "Forbidden (HTTP Status Code: 403)"}, "denied"),
    ({"resultType": "Failed", "resultSignature": "", "properties": {"statusCode": "Forbidden"}}, "denied"),
    ({"resultType": "Failed", "resultSignature": "Failed.Unauthorized"}, "denied"),
    ({"resultType": "Failed", "properties": error("AuthorizationFailed")}, "denied"),
    ({"resultType": "Failed", "properties": {"statusMessage": UNAUTHORIZED}}, "denied"),
    ({"resultType": "Failed", "resultSignature": "403"} | POLICY, "failed"),
    ({"resultType": "Failed", "resultSignature": "403", "properties": error("ScopeLocked")}, "failed"),
    ({"resultType": "Failed", "resultSignature": "409", "properties": error("ScopeLocked")}, "failed"),
    ({"resultType": "Failed", "resultSignature": "403", "properties": error("SomethingNew")}, "denied"),
    ({"resultType": "Erfolgreich", "resultSignature": "201"}, "succeeded"),
    ({"resultType": "Fehler", "resultSignature": "Forbidden (HTTP Status Code: 403)"}, "denied"),
    ({"resultType": "Erfolgreich", "resultSignature": ""}, "other"),
    ({"resultType": "Active", "resultSignature": ""}, "other"),
]  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The outcome of each record, of files with one record each that are read at once."""
    folder = tmp_path_factory.mktemp("outcomes")
    plain = {"resultSignature": "", "properties": {"eventCategory": "Administrative"}}
    calls = [Call(number) for number in range(len(OUTCOMES))]
    paths = [
        write_lines(folder, [diagnostic(call) | plain | fields], str(call.number))
        for call, (fields, _) in zip(calls, OUTCOMES, strict=True)
    ]
    found = {event["correlation_id"]: event["outcome"] for event in events_of(*paths)}
    return [found[call.correlation] for call in calls]


@pytest.mark.parametrize(
    "number",
    range(len(OUTCOMES)),
    ids=[f"{number} {outcome}" for number, (_, outcome) in enumerate(OUTCOMES)],
)
def test_the_outcome_is_told_by_meaning(outcomes: list[str], number: int) -> None:
    """Whether the permission was used or refused, not how the status is spelt."""
    assert outcomes[number] == OUTCOMES[number][1]


@pytest.mark.slow
def test_a_refusal_in_stringified_properties_is_a_refusal(tmp_path: Path) -> None:
    """A `properties` that is a string with JSON in it says what it says: never use where access was refused."""
    properties = error("AuthorizationFailed")
    failed = diagnostic(Call(1)) | {"resultType": "Failure", "resultSignature": "Failed."}
    records = [failed | {"properties": told} for told in (properties, json.dumps(properties))]
    assert [event["outcome"] for event in event_of_each(tmp_path, records)] == ["denied", "denied"]


LINKED = (
    "The client 'a@b.example' with object id 'x' has permission to perform action "
    "'Microsoft.Network/networkInterfaces/write' on scope "
    "'/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/networkInterfaces/n'; however, it does not have "
    "permission to perform action 'Microsoft.Network/virtualNetworks/subnets/join/action' on the linked scope(s) "
    "'/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/one' "
    "or the linked scope(s) are invalid."
)


@pytest.mark.slow
def test_a_linked_refusal_is_demand_for_what_is_linked(tmp_path: Path) -> None:
    """The operation and scope are those that the message names, not those of the write that needed them."""
    call = Call(1, "denied", operation="Microsoft.Network/networkInterfaces/write")
    records = [
        record | {"properties": record["properties"] | error(code, LINKED)}
        for code in ("LinkedAuthorizationFailed", "LinkedAccessCheckFailed")
        for record in (diagnostic(call), rest(call))
    ]
    for event in event_of_each(tmp_path, records):
        assert event["outcome"] == "denied"
        assert event["operation"] == "Microsoft.Network/virtualNetworks/subnets/join/action"
        assert event["scope"].endswith("/virtualNetworks/v/subnets/one")


@pytest.mark.slow
def test_several_linked_actions_give_the_first(tmp_path: Path) -> None:
    """Newer messages list actions and scopes, one for the other."""
    message = (
        "it does not have permission to perform action(s) 'A.B/c/join/action,A.B/d/join/action' on the linked scope(s) "
        "'/subscriptions/s/one,/subscriptions/s/two' (respectively) or the linked scope(s) are invalid."
    )
    record = diagnostic(Call(1, "denied"))
    record["properties"] |= error("LinkedAccessCheckFailed", message)
    (event,) = events_of_records(tmp_path, record)
    assert (event["operation"], event["scope"]) == ("A.B/c/join/action", "/subscriptions/s/one")


@pytest.mark.slow
def test_a_linked_refusal_in_the_words_of_a_direct_one_names_what_is_linked(tmp_path: Path) -> None:
    """Azure words it as "does not have authorization … over scope", too: Azure/mpf, issue 44."""
    message = (
        "The client 'x' with object id 'x' does not have authorization to perform action "
        "'Microsoft.Network/virtualNetworks/subnets/join/action' over scope "
        "'/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v' or the scope is invalid."
    )
    record = diagnostic(Call(1, "denied", operation="Microsoft.Network/networkInterfaces/write"))
    record["properties"] |= error("LinkedAccessCheckFailed", message)
    (event,) = events_of_records(tmp_path, record)
    assert (event["outcome"], event["operation"]) == ("denied", "Microsoft.Network/virtualNetworks/subnets/join/action")
    assert event["scope"].endswith("/virtualNetworks/v")


@pytest.mark.slow
def test_a_linked_refusal_that_cannot_be_read_is_neither_use_nor_demand(tmp_path: Path) -> None:
    """The parent was not refused, and what was is not known."""
    record = diagnostic(Call(1, "denied"))
    record["properties"] |= error("LinkedAuthorizationFailed", "Zugriff verweigert")
    (event,) = events_of_records(tmp_path, record)
    assert event["outcome"] == "other"


@pytest.mark.slow
def test_the_principal_comes_from_claims_before_the_caller(tmp_path: Path) -> None:
    """An object id is a GUID; a name that is none stays a name."""
    cases: list[tuple[Any, Any, Any]] = [
        (GUID.upper(), None, (GUID, "ServicePrincipal", None)),
        ("a@b.example", None, (None, "User", "a@b.example")),
        (GUID, {OID: OTHER.upper()}, (OTHER, "ServicePrincipal", None)),
        ("a@b.example", {OID: GUID, UPN: "c@d.example"}, (GUID, "User", "c@d.example")),
        ("a@b.example", {OID: "not-a-guid"}, (None, "User", "a@b.example")),
        (None, {"appid": GUID}, (None, None, None)),
        (None, {OID: GUID, "idtyp": "app", "name": "Some App"}, (GUID, "ServicePrincipal", "Some App")),
        (None, {OID: GUID, "xms_mirid": "/subscriptions/s/x"}, (GUID, "ServicePrincipal", None)),
        (None, {}, (None, None, None)),
    ]  # fmt: skip
    anonymous = rest(Call(1, has_evidence=False))
    found = event_of_each(tmp_path, [anonymous | {"caller": caller, "claims": claims} for caller, claims, _ in cases])
    for event, (caller, claims, expected) in zip(found, cases, strict=True):
        told = event["principal_id"], event["principal_type"], event["principal_name"]
        assert told == expected, (caller, claims)


@pytest.mark.slow
def test_the_client_application_is_no_principal(tmp_path: Path) -> None:
    """`appid` alone says which client was used; who acted stays unknown."""
    record = diagnostic(Call(1, has_evidence=False))
    record["identity"]["claims"] = {"appid": GUID.upper()}
    (event,) = events_of_records(tmp_path, record)
    assert (event["app_id"], event["principal_id"]) == (GUID, None)


@pytest.mark.slow
def test_evidence_of_a_group_does_not_type_the_principal(tmp_path: Path) -> None:
    """The holder of the assignment may be a group; the caller is still a user."""
    record = diagnostic(Call(2))
    record["identity"]["authorization"]["evidence"] |= {"principalId": "0" * 31 + "7", "principalType": "Group"}
    (event,) = events_of_records(tmp_path, record)
    assert event["evidence_principal_id"] == "00000000-0000-0000-0000-000000000007"
    assert event["principal_type"] == "User"


@pytest.mark.slow
def test_evidence_ids_are_dashed(tmp_path: Path) -> None:
    """Azure writes them as 32 digits; ids compare as dashed small letters."""
    written = {
        "123abc2a6c314b0ab03a891259123abc": "123abc2a-6c31-4b0a-b03a-891259123abc",
        "123ABC2A-6C31-4B0A-B03A-891259123ABC": "123abc2a-6c31-4b0a-b03a-891259123abc",
        f"/subscriptions/s/providers/Microsoft.Authorization/roleAssignments/{DASHED}": DASHED,
        "Subscription Admin": None,
        "": None,
        "123abc2a6c314b0ab03a891259123abg": None,
    }
    records = []
    for one in written:
        record = diagnostic(Call(1))
        record["identity"]["authorization"]["evidence"]["roleAssignmentId"] = one
        records.append(record)
    found = [event["role_assignment_id"] for event in event_of_each(tmp_path, records)]
    assert dict(zip(written, found, strict=True)) == written


@pytest.mark.slow
def test_an_address_has_no_port(tmp_path: Path) -> None:
    """And what is no address is none."""
    written = {
        "203.0.113.7": "203.0.113.7",
        "203.0.113.7:51234": "203.0.113.7",
        "[2001:db8::1]:443": "2001:db8::1",
        "2001:db8::1": "2001:db8::1",
        "::ffff:203.0.113.7": "::ffff:203.0.113.7",
        "=cmd|' /C calc'!A0": None,
    }
    records = [diagnostic(Call(1)) | {"callerIpAddress": one} for one in written]
    found = [event["ip"] for event in event_of_each(tmp_path, records)]
    assert dict(zip(written, found, strict=True)) == written


@pytest.mark.slow
def test_authorization_wins_over_the_operation_and_the_resource(tmp_path: Path) -> None:
    """The permission that was checked is the evidence; the operation is only what was called."""
    record = diagnostic(Call(1))
    record["identity"]["authorization"] |= {"action": "Microsoft.Compute/disks/write", "scope": "/subscriptions/s/x/"}
    (event,) = events_of_records(tmp_path, record)
    assert (event["operation"], event["scope"]) == ("Microsoft.Compute/disks/write", "/subscriptions/s/x")


@pytest.mark.slow
def test_without_authorization_operation_and_resource_stand(tmp_path: Path) -> None:
    """Not every exporter keeps the authorization."""
    record = diagnostic(Call(1))
    del record["identity"]
    (event,) = events_of_records(tmp_path, record)
    assert (event["operation"], event["scope"]) == (record["operationName"], record["resourceId"])


@pytest.mark.slow
def test_times_are_utc(tmp_path: Path) -> None:
    """Offsets are applied, digits beyond microseconds dropped."""
    written = {
        "2025-01-15T09:30:45.1234567Z": dt.datetime(2025, 1, 15, 9, 30, 45, 123456),
        "2025-01-15T09:30:45Z": dt.datetime(2025, 1, 15, 9, 30, 45),
        "2025-01-15 09:30:45.123": dt.datetime(2025, 1, 15, 9, 30, 45, 123000),
        "2025-01-15T09:30:45.552947800Z": dt.datetime(2025, 1, 15, 9, 30, 45, 552947),
        "2025-01-15T09:30:45+02:00": dt.datetime(2025, 1, 15, 7, 30, 45),
        "2025-01-15T09:30:45.1234567-05:30": dt.datetime(2025, 1, 15, 15, 0, 45, 123456),
    }
    records = [diagnostic(Call(1)) | {"time": one} for one in written]
    found = [event["time"] for event in event_of_each(tmp_path, records)]
    assert dict(zip(written, found, strict=True)) == written


@pytest.mark.slow
def test_log_analytics_cannot_move_an_event_behind_its_submission(tmp_path: Path) -> None:
    """TimeGenerated of replayed rows is rewritten to when they came; they were submitted before."""
    row = table_row(Call(1)) | {
        "TimeGenerated": "2025-06-01T00:00:00Z",
        "EventSubmissionTimestamp": "2025-03-04T05:08:00Z",
    }
    (event,) = events_of_records(tmp_path, row)
    assert event["time"] == dt.datetime(2025, 3, 4, 5, 8)


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"time": None}, "it has no time"),
    ({"time": "yesterday"}, "its time cannot be read"),
    ({"time": "2025-02-30T00:00:00Z"}, "its time cannot be read"),
    ({"time": "infinity"}, "its time cannot be read"),
    ({"time": "2999-01-01T00:00:00Z"}, "its time is before 2010 or after 2049"),
    ({"time": "1970-01-01T00:00:00Z"}, "its time is before 2010 or after 2049"),
    ({"operationName": None, "identity": None}, "it names no operation"),
    ({"operationName": "A/" + "b" * 499, "identity": None}, "its operation is longer than 500 characters"),
    ({"resourceId": None, "identity": None}, "it names no resource or scope"),
    ({"resourceId": "", "identity": None}, "it names no resource or scope"),
]


@pytest.fixture(scope="module")
def unusable(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[Any], tuple[int, int], list[int]]]:
    """Of files with an unusable record: rejects, numbers of records read and rejected, and lines of events."""
    folder = tmp_path_factory.mktemp("unusable")
    paths = [
        write_lines(folder, [diagnostic(Call(1)), "", diagnostic(Call(2)) | change, diagnostic(Call(3))], str(number))
        for number, (change, _) in enumerate(UNUSABLE)
    ]
    con, report = staged(*paths)
    counts = {Path(file.path): (file.read, file.rejected) for file in report.files}
    found = []
    for path in paths:
        (file,) = con.execute("SELECT file_id FROM stage_files WHERE path = ?", [str(path)]).fetchone()
        rejects = con.execute("SELECT line, reason, raw FROM stage_rejects WHERE file_id = ?", [file]).fetchall()
        events = con.execute("SELECT line FROM stage_event_rows WHERE file_id = ? ORDER BY line", [file]).fetchall()
        found.append((rejects, counts[path], [line for (line,) in events]))
    return found


@pytest.mark.parametrize(
    "number", range(len(UNUSABLE)), ids=[f"{n} {reason}" for n, (_, reason) in enumerate(UNUSABLE)]
)
def test_what_cannot_be_used_is_rejected_with_its_line_and_text(unusable: Any, number: int) -> None:
    """Nothing vanishes: the other records are kept, this one is counted and can be looked at."""
    change, reason = UNUSABLE[number]
    ((line, said, raw),), counts, events = unusable[number]
    assert (line, said) == (3, reason)
    assert json.loads(raw) == diagnostic(Call(2)) | change
    assert counts == (3, 1)
    assert events == [1, 4]


@pytest.mark.slow
def test_a_call_whose_log_shows_a_display_name_is_a_call(tmp_path: Path) -> None:
    """It was made, whatever its operation is called; what it may have been is for the analysis to say."""
    texts = ["Virtuellen Computer erstellen", "Create/Update Virtual Machine", "仮想マシンの開始"]
    found = event_of_each(tmp_path, [diagnostic(Call(1)) | {"operationName": one, "identity": None} for one in texts])
    assert [(event["operation"], event["outcome"]) for event in found] == [(one, "succeeded") for one in texts]


@pytest.mark.slow
def test_unknown_statuses_are_told(tmp_path: Path) -> None:
    """A spelling that no rule has is counted, whether or not a code decides the outcome."""
    path = write_lines(
        tmp_path, [diagnostic(Call(n)) | {"resultType": "Erfolgreich", "resultSignature": ""} for n in range(3)]
    )
    _, report = staged(path)
    assert report.notes == ("3 records of the Activity Log have the unknown status `Erfolgreich`",)


@pytest.mark.slow
def test_calls_without_a_correlation_id_stay_apart(tmp_path: Path) -> None:
    """Two calls are not one because neither has an id, and one call seen twice is not two."""
    records = [diagnostic(Call(n, time=dt.datetime(2025, 3, 4, 5, n))) | {"correlationId": None} for n in (1, 2, 2)]
    assert len(events_of_records(tmp_path, *records)) == 2
