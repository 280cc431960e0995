"""The loopback service itself, which the other tests trust."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.loopback.faults import KINDS, ROTATION, Faults
from tests.loopback.login import CLIENT_ID, CLIENT_SECRET, FEDERATED_TOKEN, IDENTITY_HEADER
from tests.loopback.server import Loopback, Options

VERSION = "api-version=2022-04-01"


class Client:
    """A plain client with a token."""

    def __init__(self, service: Loopback) -> None:
        self.service = service
        # The first question to a log fills the tables, which takes seconds on a busy machine.
        self.http = httpx.Client(base_url=service.url, verify=service.context(), timeout=600)
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
        answer = self.http.post(f"/{service.tenant.tenant_id}/oauth2/v2.0/token", data=form | {"scope": "x/.default"})
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def pages(self, target: str) -> Iterator[dict[str, Any]]:
        while target:
            document = self.http.get(target).raise_for_status().json()
            yield document
            target = document.get("nextLink") or document.get("@odata.nextLink") or ""

    def all(self, target: str) -> list[dict[str, Any]]:
        return [record for document in self.pages(target) for record in document["value"]]


@pytest.fixture
def client(loopback: Loopback) -> Iterator[Client]:
    with Client(loopback) as made:
        loopback.forget()
        yield made


@pytest.mark.slow
def test_a_wrong_secret_gets_no_token(loopback: Loopback) -> None:
    with httpx.Client(base_url=loopback.url, verify=loopback.context()) as http:
        form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": "guess", "scope": "x"}
        assert http.post("/any/oauth2/v2.0/token", data=form).status_code == 401
        assertion = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}
        good = {**form, **assertion, "client_assertion": FEDERATED_TOKEN}
        del good["client_secret"]
        assert http.post("/any/oauth2/v2.0/token", data=good).status_code == 200
        assert http.get("/msi/token?resource=x").status_code == 400
        header = {"X-IDENTITY-HEADER": IDENTITY_HEADER}
        assert http.get("/msi/token?resource=x", headers=header).json()["token_type"] == "Bearer"


@pytest.mark.slow
@pytest.mark.parametrize("target", ["/subscriptions?api-version=1", "/v1.0/users", "/v1/workspaces/x/query?query=y"])
def test_nothing_is_answered_without_a_token(loopback: Loopback, target: str) -> None:
    with httpx.Client(base_url=loopback.url, verify=loopback.context()) as http:
        answer = http.get(target)
    assert answer.status_code == 401
    assert "authorization_uri" in answer.headers["WWW-Authenticate"]
    assert [(entry.status, entry.token) for entry in loopback.requests] == [(401, False)]


@pytest.mark.slow
def test_a_version_is_required(client: Client) -> None:
    assert client.http.get("/subscriptions").json()["error"]["code"] == "MissingApiVersionParameter"


@pytest.mark.slow
def test_at_scope_leaves_out_what_is_below(client: Client) -> None:
    """A subscription's listing has what is above, at and below it; `atScope()` what is above and at."""
    subscription = client.service.content.subscriptions[1].scope
    path = f"{subscription}/providers/Microsoft.Authorization/roleAssignments?{VERSION}"
    whole = {record["properties"]["scope"] for record in client.all(path)}
    above = {record["properties"]["scope"] for record in client.all(f"{path}&$filter=atScope()")}
    assert above < whole
    assert all(scope == subscription or not scope.startswith("/subscriptions/") for scope in above)
    assert all(scope.startswith(subscription + "/") for scope in whole - above)
    assert not any(scope.startswith("/subscriptions/") and not scope.startswith(subscription) for scope in whole)


@pytest.mark.slow
def test_listings_of_all_subscriptions_hold_every_standing_assignment(client: Client) -> None:
    tenant = client.service.tenant
    found = set()
    for subscription in client.service.content.subscriptions:
        path = f"{subscription.scope}/providers/Microsoft.Authorization/roleAssignments?{VERSION}"
        found |= {record["name"] for record in client.all(path)}
    for group in client.service.content.management_groups:
        path = f"{group.scope}/providers/Microsoft.Authorization/roleAssignments?{VERSION}&$filter=atScope()"
        found |= {record["name"] for record in client.all(path)}
    assert found == {grant.grant_id for grant in tenant.grants if grant.listed and grant.state != "eligible"}


@pytest.mark.slow
def test_members_name_their_group_only_where_properties_are_selected(client: Client) -> None:
    group = next(iter(client.service.tenant.members))
    plain = client.http.get(f"/v1.0/groups/{group}/members").json()
    chosen = client.http.get(f"/v1.0/groups/{group}/members?$select=id,displayName").json()
    assert plain["@odata.context"].endswith("#directoryObjects")
    assert f"groups('{group}')/members(id,displayName)" in chosen["@odata.context"]
    assert {member["id"] for member in plain["value"]} == set(client.service.tenant.members[group])


@pytest.mark.slow
def test_a_page_of_a_listing_links_to_the_next_one(client: Client) -> None:
    pages = list(client.pages("/v1.0/users?$top=10"))
    assert [len(page["value"]) for page in pages] == [10, 10, 8]
    assert len({record["id"] for page in pages for record in page["value"]}) == 28


@pytest.mark.slow
def test_sign_in_activity_is_shown_where_it_is_asked_for(client: Client) -> None:
    assert all("signInActivity" not in user for user in client.all("/v1.0/users"))
    assert any("signInActivity" in user for user in client.all("/v1.0/users?$select=id,signInActivity"))
    assert client.http.get("/v1.0/users?$select=signInActivity&$top=999").status_code == 400


@pytest.mark.slow
def test_a_batch_answers_each_of_its_requests(client: Client) -> None:
    asked = [
        {"id": str(number), "method": "GET", "url": url} for number, url in enumerate(("/users?$top=1", "/nothing"))
    ]
    answer = client.http.post("/v1.0/$batch", json={"requests": asked}).json()["responses"]
    assert {part["id"]: part["status"] for part in answer} == {"0": 200, "1": 400}
    assert client.http.post("/v1.0/$batch", json={"requests": asked * 11}).status_code == 400


@pytest.mark.slow
def test_objects_are_found_by_their_ids(client: Client) -> None:
    tenant = client.service.tenant
    there = {p.principal_id for p in tenant.principals if not p.options & {"gone", "soft_deleted"}}
    ids = [principal.principal_id for principal in tenant.principals]
    found = client.http.post("/v1.0/directoryObjects/getByIds", json={"ids": ids}).json()["value"]
    assert {record["id"] for record in found} == there


@pytest.mark.slow
def test_the_activity_log_wants_a_time_that_it_still_has(client: Client) -> None:
    path = f"{client.service.content.subscriptions[0].scope}/providers/Microsoft.Insights/eventtypes/management/values"
    version = "?api-version=2015-04-01"
    assert client.http.get(path + version).status_code == 400
    assert client.http.get(f"{path}{version}&$filter=eventTimestamp ge '2026-01-01T00:00:00Z'").status_code == 400
    records = client.all(
        f"{path}{version}&$filter=eventTimestamp ge '2026-09-20T00:00:00Z' and eventTimestamp lt '2026-09-21T00:00:00Z'"
    )
    assert records
    assert {record["eventTimestamp"][:10] for record in records} == {"2026-09-20"}


@pytest.mark.slow
def test_resource_graph_counts(client: Client) -> None:
    query = (
        "authorizationresources | where type =~ 'microsoft.authorization/roleassignments' | summarize total = count()"
    )
    answer = client.http.post(
        "/providers/Microsoft.ResourceGraph/resources?api-version=1", json={"query": query}
    ).json()
    assert answer["data"] == [{"total": len(client.service.content.role_assignments)}]


def query(client: Client, text: str, **options: Any) -> httpx.Response:
    path = f"/v1/workspaces/{client.service.content.workspace_id}/query"
    return client.http.post(path, json={"query": text, **options})


@pytest.mark.slow
def test_log_analytics_answers_with_types_within_a_timespan(client: Client) -> None:
    text = "AzureActivity | summarize Calls = count(), Newest = max(TimeGenerated), Any = take_any(Authorization_d)"
    table = query(client, text, timespan="P1D").json()["tables"][0]
    assert [column["type"] for column in table["columns"]] == ["long", "datetime", "dynamic"]
    assert table["rows"][0][1].startswith("2026-09-30T")
    everything = query(client, "AzureActivity | count").json()["tables"][0]["rows"][0][0]
    assert 0 < table["rows"][0][0] < everything


@pytest.mark.slow
def test_log_analytics_refuses_what_it_does_not_understand(client: Client) -> None:
    for text in ("NoSuchTable | take 1", "AzureActivity | | take"):
        answer = query(client, text)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "BadArgumentError"


@pytest.mark.nightly
def test_log_analytics_says_that_an_answer_is_partial() -> None:
    with Loopback(options=Options(record_limit=10)) as service, Client(service) as client:
        answer = query(client, "SigninLogs | project TimeGenerated").json()
    assert len(answer["tables"][0]["rows"]) == 10
    assert answer["error"]["code"] == "PartialError"
    assert "E_QUERY_RESULT_SET_TOO_LARGE" in json.dumps(answer["error"])


@pytest.mark.slow
def test_a_throttled_request_says_when_to_come_back(client: Client) -> None:
    client.service.faults.add("throttle", "v1.0/users", times=2, skip=1, retry_after="soon")
    statuses = [client.http.get("/v1.0/users").status_code for _ in range(4)]
    assert statuses == [200, 429, 429, 200]
    assert [entry.fault for entry in client.service.requests] == ["", "throttle", "throttle", ""]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["drop", "cut"])
def test_a_connection_can_break(client: Client, kind: str) -> None:
    client.service.faults.add(kind, "v1.0/users")
    with pytest.raises(httpx.RemoteProtocolError):
        client.http.get("/v1.0/users")
    assert client.http.get("/v1.0/users").status_code == 200


@pytest.mark.slow
def test_an_empty_page_and_a_duplicate_page_lose_nothing(client: Client) -> None:
    for kind, times in (("empty_page", 1), ("duplicate_page", 2)):
        client.service.faults.add(kind, "v1.0/users")
        ids = [record["id"] for record in client.all("/v1.0/users?$top=20")]
        assert len(set(ids)) == 28
        assert ids.count(ids[0]) == times


@pytest.mark.slow
def test_a_link_to_another_host_is_heard_there(client: Client) -> None:
    client.service.faults.add("foreign_link", "roleAssignments")
    path = (
        f"{client.service.content.subscriptions[0].scope}/providers/Microsoft.Authorization/roleAssignments?{VERSION}"
    )
    link = client.http.get(path).json()["nextLink"]
    assert link.startswith(client.service.foreign_url)
    assert client.http.get(link).status_code == 404
    assert [(entry.foreign, entry.token) for entry in client.service.requests] == [(False, True), (True, True)]


@pytest.mark.slow
def test_tokens_can_run_out(client: Client) -> None:
    client.service.faults.add("expire", "v1.0/users", skip=1)
    assert [client.http.get("/v1.0/users").status_code for _ in range(3)] == [200, 401, 401]
    with Client(client.service) as again:
        assert again.http.get("/v1.0/users").status_code == 200


@pytest.mark.slow
def test_a_claims_challenge_asks_for_claims(client: Client) -> None:
    client.service.faults.add("claims", "v1.0/users")
    assert "insufficient_claims" in client.http.get("/v1.0/users").headers["WWW-Authenticate"]
    assert client.http.get("/v1.0/users").status_code == 200


@pytest.mark.slow
def test_a_subscription_vanishes_for_good(client: Client) -> None:
    scope = client.service.content.subscriptions[2].scope
    client.service.faults.add("vanish", f"{scope}/.*roleAssignments", skip=1)
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments?{VERSION}"
    assert [client.http.get(path).status_code for _ in range(3)] == [200, 404, 404]


@pytest.mark.slow
def test_every_nth_request_meets_a_fault_whose_retry_succeeds(client: Client) -> None:
    client.service.faults.every = 3
    for _ in range(3 * len(ROTATION)):
        for _attempt in range(2):
            try:
                answer = client.http.get("/v1.0/groups?$top=5")
                if answer.status_code == 200 and answer.json()["value"]:
                    break
            except (httpx.RemoteProtocolError, ValueError):
                pass
        else:
            pytest.fail("the retry met a fault too")
    assert {entry.fault for entry in client.service.requests} > {"throttle", "drop", "cut", "claims", "html"}


def test_every_kind_of_fault_is_described() -> None:
    with pytest.raises(ValueError, match="there is no fault"):
        Faults().add("meteor")
    assert {rule["kind"] for rule in ROTATION} <= set(KINDS)


@pytest.mark.slow
def test_writing_has_the_limits_of_azure() -> None:
    with Loopback(options=Options(writes=True)) as service, Client(service) as client:
        subscription = service.content.subscriptions[0].scope
        authorization = f"{subscription}/providers/Microsoft.Authorization"
        role = f"{authorization}/roleDefinitions/00000000-0000-4000-8000-00000000000a?{VERSION}"

        def body(action: str, *scopes: str) -> dict[str, Any]:
            blocks = [{"actions": [action], "notActions": [], "dataActions": [], "notDataActions": []}]
            return {"properties": {"roleName": "Tags", "permissions": blocks, "assignableScopes": list(scopes)}}

        assert client.http.put(role, json=body("Microsoft.Nothing/at/all", subscription)).status_code == 400
        assert client.http.put(role, json=body("Microsoft.Resources/*/tags/*", subscription)).status_code == 400
        assert client.http.put(role, json=body("Microsoft.Resources/tags/write", "/")).status_code == 400
        made = client.http.put(role, json=body("Microsoft.Resources/tags/write", subscription))
        assert made.status_code == 201
        name = "00000000-0000-4000-8000-00000000000b"
        assignment = f"{authorization}/roleAssignments/{name}?{VERSION}"
        holder = service.tenant.principals[0].principal_id
        properties = {"roleDefinitionId": made.json()["id"], "principalId": holder}
        assert client.http.put(assignment, json={"properties": properties}).status_code == 201
        again = assignment.replace("00000b", "00000c")
        assert client.http.put(again, json={"properties": properties}).json()["error"]["code"] == "RoleAssignmentExists"
        moved = {"properties": properties | {"principalId": service.tenant.principals[1].principal_id}}
        assert client.http.put(assignment, json=moved).json()["error"]["code"] == "RoleAssignmentUpdateNotPermitted"
        assert client.http.delete(role).json()["error"]["code"] == "RoleDefinitionHasAssignments"
        assert client.http.delete(assignment).status_code == 200
        assert client.http.delete(role).status_code == 200
        assert client.http.delete(role).status_code == 204


@pytest.mark.slow
def test_the_tenant_may_only_be_read_where_nobody_asked_for_more(client: Client) -> None:
    path = f"{client.service.content.subscriptions[0].scope}/providers/Microsoft.Authorization/roleAssignments"
    assert client.http.delete(f"{path}/00000000-0000-4000-8000-00000000000b?{VERSION}").status_code == 403
