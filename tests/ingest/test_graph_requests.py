"""Requests to Graph become events: one normalised path for all spellings; only proven success is use."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rightsize.ingest.pipeline import normalised_events
from rightsize.store.connection import open_store
from rightsize.workflow.data.load import load_paths
from tests.examples import FEW

APP = "aaaaaaaa-0000-4000-8000-000000000001"
USER = "bbbbbbbb-0000-4000-8000-000000000002"
SERVICE = "cccccccc-0000-4000-8000-000000000003"
HOST = "https://graph.microsoft.com"
Row = dict[str, Any]


def row(uri: str = "/v1.0/users", **more: Any) -> Row:
    columns = {
        "TimeGenerated": "2026-01-05T10:00:00.1234567Z",
        "Type": "MicrosoftGraphActivityLogs",
        "RequestId": "r1",
        "RequestMethod": "GET",
        "RequestUri": HOST + uri,
        "ResponseStatusCode": 200,
        "AppId": APP,
        "UserId": USER,
        "ServicePrincipalId": "",
        "SignInActivityId": "token-1",
        "Roles": "Directory.ReadWrite.All",
    }
    return {name: value for name, value in (columns | more).items() if value is not None}


def events(tmp_path: Path, text: str | bytes, name: str = "log.jsonl") -> list[Row]:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    _, chunks = normalised_events([file])
    return [event for chunk in chunks for event in chunk]


def of_each(tmp_path: Path, texts: Sequence[str]) -> list[Row]:
    """Return the one event of each text; they are read at once, each from a file of its own with another request."""
    files = [tmp_path / f"{number}.json" for number in range(len(texts))]
    for number, (file, text) in enumerate(zip(files, texts, strict=True)):
        file.write_text(text.replace('"r1"', f'"r{number}"'))
    _, chunks = normalised_events(files)
    found = [event for chunk in chunks for event in chunk]
    by_id = {event["correlation_id"]: event for event in found}
    assert len(found) == len(by_id) == len(texts)
    return [by_id[f"r{number}"] for number in range(len(texts))]


def operations(tmp_path: Path, *uris: str, **more: Any) -> list[str]:
    rows = [row(uri, RequestId=f"r{number}", **more) for number, uri in enumerate(uris)]
    found = events(tmp_path, "\n".join(json.dumps(one) for one in rows))
    by_id = {event["correlation_id"]: event["operation"] for event in found}
    return [by_id[f"r{number}"] for number in range(len(uris))]


SPELLINGS = {
    "/v1.0/users/ann@contoso.com": "GET /users/{id}",
    "//v1.0//users('ann@contoso.com')//memberOf/": "GET /users/{id}/memberOf",
    f"/beta/users/{USER.upper()}/messages/AAMkAGI=/$value": "GET /me/messages/{id}/$value",
    "/v1.0/servicePrincipals(appId='x')": "GET /servicePrincipals(appId={value})",
    "/v1.0/servicePrincipals(appId=%27x%27)/owners": "GET /servicePrincipals(appId={value})/owners",
    "/v1.0/reports/getOffice365ActiveUserDetail(period='D7')": (
        "GET /reports/getOffice365ActiveUserDetail(period={value})"
    ),
    "/v1.0/users/delta()?$deltatoken=secret": "GET /users/delta",
    "/v1.0/drives/b!a-b/root:/Secret/Pay 2026.xlsx:/content": "GET /drives/{id}/root:/{id}:/content",
    "/v1.0/drives/1/items/2:/new name.txt:/content": "GET /drives/{id}/items/{id}:/{id}:/content",
    "/v1.0/sites/contoso.sharepoint.com:/sites/hr:/lists": "GET /sites/{id}/lists",
    "/v1.0/sites/contoso.sharepoint.com:/sites/hr": "GET /sites/{id}",
    "/v1.0/me/drive/root/search(q='a/b(c)')": "GET /me/drive/root/search(q={value})",
    "/v1.0/groups/1/members/microsoft.graph.user/$count": "GET /groups/{id}/members/microsoft.graph.user/$count",
    "/v1.0/chats/19:abc@thread.v2/messages": "GET /chats/{id}/messages",
    "/v1.0/users?$select=id,SignInActivity&$filter=startswith(mail,'ann')": "GET /users?$select=signinactivity",
    "/v1.0/users?%24expand=manager(%24select=id;%24expand=directReports)": "GET /users?$expand=manager",
    "/v1.0/users?$expand=memberOf,extensions&$top=5": "GET /users?$expand=extensions,memberof",
    "/v1.0/users?$expand=(": "GET /users?$expand",
    "/v1.0/security/alerts_v2": "GET /security/alerts_v2",
    "/v1.0/$batch": "GET /$batch",
}


@pytest.mark.slow
def test_spellings_of_a_request_have_one_name_without_what_names_people(tmp_path: Path) -> None:
    found = operations(tmp_path, *SPELLINGS)
    assert dict(zip(SPELLINGS, found, strict=True)) == SPELLINGS
    for name in ("contoso", "ann", "Secret", "Pay", "token", USER):
        assert name not in " ".join(found)


@pytest.mark.slow
def test_the_answer_says_whether_it_was_use(tmp_path: Path) -> None:
    outcomes: dict[object, str] = {
        200: "succeeded", 302: "succeeded", 404: "failed", 500: "failed", 401: "denied", 403: "denied",
        429: "other", None: "started", "": "started", 0: "other",
    }  # fmt: skip
    found = of_each(tmp_path, [json.dumps(row(ResponseStatusCode=status)) for status in outcomes])
    assert dict(zip(outcomes, (event["outcome"] for event in found), strict=True)) == outcomes


@pytest.mark.slow
def test_a_delegated_request_is_the_users_and_another_one_the_applications(tmp_path: Path) -> None:
    texts = [json.dumps(row()), json.dumps(row(UserId="", ServicePrincipalId=SERVICE))]
    delegated, own = of_each(tmp_path, texts)
    assert (delegated["principal_id"], delegated["principal_type"], delegated["app_id"]) == (USER, "User", APP)
    assert (delegated["plane"], delegated["scope"], delegated["event_id"]) == ("graph", "/", "token-1")
    assert (own["principal_id"], own["principal_type"]) == (SERVICE, "ServicePrincipal")


def _diagnostic(one: Row) -> Row:
    names = {"RequestId": "requestId", "RequestMethod": "requestMethod", "RequestUri": "requestUri",
             "ResponseStatusCode": "responseStatusCode", "AppId": "appId", "UserId": "userId",
             "ServicePrincipalId": "servicePrincipalId", "SignInActivityId": "signInActivityId"}  # fmt: skip
    return {
        "time": one["TimeGenerated"], "resourceId": "/TENANTS/T/PROVIDERS/MICROSOFT.AADIAM",
        "operationName": "Microsoft Graph Activity", "category": "MicrosoftGraphActivityLogs",
        "resultSignature": str(one["ResponseStatusCode"]), "correlationId": "c",
        "properties": {names[name]: value for name, value in one.items() if name in names},
    }  # fmt: skip


def _of_2024(one: Row) -> Row:
    record = _diagnostic(one)
    record["properties"]["UserPrincipalObjectID"] = record["properties"].pop("userId")
    record["properties"]["SignInActivityId"] = record["properties"].pop("signInActivityId")
    return record


def _hunted(one: Row) -> Row:
    return {
        "Timestamp": one["TimeGenerated"], "ApplicationId": one["AppId"], "AccountObjectId": one["UserId"],
        "EntityType": "User", "RequestId": one["RequestId"], "RequestMethod": one["RequestMethod"],
        "RequestUri": one["RequestUri"], "ResponseStatusCode": str(one["ResponseStatusCode"]),
        "UniqueTokenIdentifier": one["SignInActivityId"],
    }  # fmt: skip


def _token(**properties: Any) -> str:
    """Return a diagnostic record of an application's own token, with other properties where they are given."""
    record = _diagnostic(row(UserId=None, ServicePrincipalId=SERVICE))
    own = {"C_Idtyp": "app", "scopes": "", "UserPrincipalObjectID": SERVICE}
    record["properties"] = {
        name: value for name, value in (record["properties"] | own | properties).items() if value is not None
    }
    return json.dumps(record)


ACTORS: dict[str, tuple[str, str, str]] = {
    "an application": (_token(), SERVICE, "ServicePrincipal"),
    "an application, no type of token": (_token(C_Idtyp=None), SERVICE, "ServicePrincipal"),
    "an application, no service principal": (_token(servicePrincipalId=None), SERVICE, "ServicePrincipal"),
    "an application, nothing but the object": (
        _token(servicePrincipalId=None, C_Idtyp=None, scopes=None), SERVICE, "ServicePrincipal"
    ),
    "an application, named as the user too": (_token(C_Idtyp=None, userId=SERVICE), SERVICE, "ServicePrincipal"),
    "another object without scopes": (_token(C_Idtyp=None, UserPrincipalObjectID=USER), SERVICE, "ServicePrincipal"),
    "a user": (_token(C_Idtyp="user", UserPrincipalObjectID=USER), USER, "User"),
    "a user by the scopes": (_token(C_Idtyp=None, scopes="User.Read", UserPrincipalObjectID=USER), USER, "User"),
    "a user by name": (_token(C_Idtyp=None, userId=USER, UserPrincipalObjectID=None), USER, "User"),
    "a row with one id twice": (
        json.dumps(row(UserId=SERVICE, ServicePrincipalId=SERVICE)), SERVICE, "ServicePrincipal"
    ),
    "a row with an object": (
        json.dumps(row(UserId="", ServicePrincipalId=SERVICE, C_Idtyp="app", UserPrincipalObjectID=SERVICE)),
        SERVICE, "ServicePrincipal",
    ),
    "a hunted row": (
        json.dumps({
            "Timestamp": "2026-01-05T10:00:00Z", "ApplicationId": APP, "AccountObjectId": SERVICE, "EntityType": "",
            "ServicePrincipalId": SERVICE, "RequestId": "r1", "RequestMethod": "GET",
            "RequestUri": f"{HOST}/v1.0/users", "ResponseStatusCode": "200",
        }),
        SERVICE, "ServicePrincipal",
    ),
}  # fmt: skip


@pytest.mark.slow
def test_the_object_of_a_token_alone_makes_no_user_of_an_application(tmp_path: Path) -> None:
    found = of_each(tmp_path, [text for text, _, _ in ACTORS.values()])
    actors = {name: (event["principal_id"], event["principal_type"]) for name, event in zip(ACTORS, found, strict=True)}
    assert actors == {name: tuple(actor) for name, (_, *actor) in ACTORS.items()}


@pytest.mark.nightly
def test_what_an_application_asks_of_its_own_is_application_access_in_the_store(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(
        _token() + "\n" + _token(C_Idtyp="user", UserPrincipalObjectID=USER, requestId="r2")
    )
    load_paths(tmp_path / "s.duckdb", [tmp_path / "log.jsonl"])
    with open_store(tmp_path / "s.duckdb", read_only=True) as store:
        found = store.frame("SELECT access, principal_id FROM graph_usage_days ORDER BY ALL").rows()
    assert found == [("application", SERVICE), ("delegated", USER)]


def _csv(one: Row) -> str:
    out = io.StringIO()
    table = dict(one)
    table["TimeGenerated [UTC]"] = "1/5/2026, 10:00:00.123 AM"
    del table["TimeGenerated"]
    writer = csv.DictWriter(out, list(table))
    writer.writeheader()
    writer.writerow(table)
    return "\ufeff" + out.getvalue()


SHAPES: dict[str, Callable[[Row], str]] = {
    "log_analytics.json": lambda one: json.dumps([one]),
    "portal.csv": _csv,
    "diagnostic.jsonl": lambda one: json.dumps(_diagnostic(one)),
    "spelling_of_2024.jsonl": lambda one: json.dumps(_of_2024(one)),
    "event_hub.json": lambda one: json.dumps({"records": [_diagnostic(one), _diagnostic(one)]}),
    "advanced_hunting.json": lambda one: json.dumps([_hunted(one)]),
    "odd_capitals.jsonl": lambda one: json.dumps({name.upper(): value for name, value in one.items()}),
}


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_the_log_says_the_same(shape: str, tmp_path: Path) -> None:
    (event,) = events(tmp_path, SHAPES[shape](row("/v1.0/users?$top=1")), shape)
    told = ("operation", "outcome", "principal_id", "app_id", "correlation_id", "event_id", "source")
    assert [event[name] for name in told] == [
        "GET /users", "succeeded", USER, APP, "r1", "token-1", "graph_activity_log"
    ]  # fmt: skip
    assert event["time"].isoformat().startswith("2026-01-05T10:00:00.123")


@pytest.mark.slow
def test_parquet_says_the_same(tmp_path: Path) -> None:
    one = row()
    names = ", ".join(f"'{value}' AS {name}" for name, value in one.items() if name not in {"ResponseStatusCode"})
    file = tmp_path / "log.parquet"
    duckdb.sql(f"SELECT {names}, 200 AS ResponseStatusCode").write_parquet(str(file))
    (event,) = events(tmp_path, file.read_bytes(), "again.parquet")
    assert (event["operation"], event["outcome"], event["principal_id"]) == ("GET /users", "succeeded", USER)


@pytest.mark.slow
def test_the_same_request_of_two_shapes_is_one_event(tmp_path: Path) -> None:
    text = json.dumps(_diagnostic(row())) + "\n" + json.dumps(_of_2024(row()))
    assert len(events(tmp_path, text)) == 1


@pytest.mark.slow
def test_requests_stand_beside_other_logs_of_one_file(tmp_path: Path) -> None:
    sign_in = {"TimeGenerated": "2026-01-05T10:00:00Z", "Type": "SigninLogs", "UserId": USER, "AppId": APP, "Id": "s"}
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join(json.dumps(one) for one in (sign_in, row(), row(RequestId="r2"))))
    report, chunks = normalised_events([file])
    assert sorted((one.source, one.read, one.rejected) for one in report.files) == [
        ("graph_activity_log", 2, 0), ("sign_in_log", 1, 0)
    ]  # fmt: skip
    assert len([event for chunk in chunks for event in chunk]) == 2


@pytest.mark.slow
def test_rows_that_cannot_be_used_are_counted(tmp_path: Path) -> None:
    changes: dict[str, Row] = {
        "it has no request method": {"RequestMethod": ""},
        "it has no request URI": {"RequestUri": ""},
        "its time cannot be read": {"TimeGenerated": "yesterday"},
        "it names neither an application nor a user": {"AppId": "x", "UserId": "y"},
    }
    files = [tmp_path / f"{number}.jsonl" for number in range(len(changes))]
    for file, change in zip(files, changes.values(), strict=True):
        file.write_text(json.dumps(row(**change)) + "\n" + json.dumps(row(RequestId=file.name)))
    report, chunks = normalised_events(files)
    assert [(one.read, one.rejected) for one in report.files] == [(2, 1)] * 4
    assert [reason for reason in changes if not any(reason in note for note in report.notes)] == []
    assert len([event for chunk in chunks for event in chunk]) == 4


@pytest.mark.slow
def test_enormous_uris_are_kept_as_what_nobody_can_read(tmp_path: Path) -> None:
    deep, long = "/v1.0" + "/users" * 60, "/v1.0/users?$filter=" + "x" * 20_000
    assert operations(tmp_path, deep, long) == ["GET /{unreadable}", "GET /{unreadable}"]


@pytest.mark.nightly
@settings(FEW, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(max_size=60), min_size=1, max_size=64))
def test_hostile_paths_are_read_and_give_only_words_of_a_schema(tmp_path: Path, texts: list[str]) -> None:
    rows = [row(f"/v1.0/users/{text}", RequestId=f"r{number}") for number, text in enumerate(texts)]
    found = events(tmp_path, "\n".join(json.dumps(one) for one in rows))
    assert len(found) == len(rows)
    for event in found:
        assert event["operation"].isascii()
        assert all(letter.isalnum() or letter in " /{}()$.,=&?:_@" for letter in event["operation"])
