"""What an attacker leaves behind is listed with its requests; what others did, or it did before, is not."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.guard.left_behind import find_left_behind
from rightsize.guard.watch.containment import ContainmentRules, contain_signalled
from rightsize.render.containment import left_behind_lines, left_behind_scripts, left_behind_section
from rightsize.rules.attacks import kinds_left_behind
from rightsize.rules.tables import rows_of
from rightsize.store.connection import open_store
from rightsize.store.pruning import plan_pruning, prune
from rightsize.store.quarantine import replace_decisions
from rightsize.store.watching import pending_changes
from rightsize.workflow.data.load import load_paths
from tests.tenants.attack_traces import GROUP, SUBSCRIPTION, activity, audit, graph_request, guid, instant, target
from tests.workflow.test_contain import signal

BEGIN = dt.datetime(2026, 3, 4, 22)
MALLORY, ADMIN, FRIEND, ROBOT = (guid(name) for name in ("mallory", "admin", "friend", "robot"))
ROBOT_APP, ROBOT_OBJECT, IDENTITY, MACHINE = (guid(name) for name in ("app", "object", "identity", "machine"))
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
SHOP = f"{GROUP}/providers"
WEBHOOK = f"{SHOP}/Microsoft.Automation/automationAccounts/auto/webhooks/Hook'; rm -rf ~"
TRUST = f"{SHOP}/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop/federatedIdentityCredentials/gh"
ASSIGNED = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/{guid('assigned')}"
VM = f"{SHOP}/Microsoft.Compute/virtualMachines/vm-new"
KEY = "59eaeebc-8a6b-44a6-9f24-7d55e64420c9"
HOSTILE = "|</script> \u202eevil"


def at(minutes: float) -> dt.datetime:
    return BEGIN + dt.timedelta(minutes=minutes)


def decision() -> dict[str, Any]:
    """A person's statement that Mallory's calls of ten hours are an attacker's."""
    return {"signal_id": None, "principal": MALLORY, "from_time": BEGIN, "to_time": at(600), "owner": "soc",
            "decision": "quarantine", "reason": "phished", "expires": dt.date(2027, 1, 1)}  # fmt: skip


def planted(who: str = MALLORY, minutes: float = 5) -> dict[str, list[dict[str, Any]]]:
    """The five things of the test tenant, as one principal makes them: two logs, one request of Graph."""
    role = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}"
    given = {"Properties": {"PrincipalId": FRIEND, "PrincipalType": "User", "RoleDefinitionId": role}}
    trust = {"properties": {"issuer": "https://token.actions.githubusercontent.com", "subject": "repo:mallory/x"}}
    made = {"identity": {"type": "SystemAssigned", "principalId": MACHINE}}
    automation = "Microsoft.Automation/automationAccounts/webhooks/write"
    trusted = "Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/write"
    keys = f'["[KeyIdentifier={guid("old")},KeyType=Password,KeyUsage=Verify,DisplayName=old]"'
    added = f'{keys},"[KeyIdentifier={KEY},KeyType=Password,KeyUsage=Verify,DisplayName=x]"]'
    return {
        "activity": [
            activity(who, automation, WEBHOOK, at(minutes)),
            activity(who, trusted, TRUST, at(minutes + 1), body=trust),
            activity(who, "Microsoft.Authorization/roleAssignments/write", ASSIGNED, at(minutes + 2), body=given),
            activity(who, "Microsoft.Compute/virtualMachines/write", VM, at(minutes + 3), body=made),
        ],
        "audit": [
            audit(who, "Update application \u2013 Certificates and secrets management ", at(minutes + 4),
                  target("Application", ROBOT_OBJECT, HOSTILE, KeyDescription=f"{keys}] → {added}")),
        ],
        "graph": [graph_request(who, "POST", f"/applications/{ROBOT_OBJECT}/addPassword", at(minutes + 4), 200)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """A function that loads records, names the suspect time of Mallory, and returns what was left behind."""

    def find(*logs: dict[str, list[dict[str, Any]]], more: dict[str, Any] | None = None) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("left")
        files = []
        for number, log in enumerate(logs):
            for name, records in log.items():
                path = folder / f"{name}-{number}.jsonl"
                path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
                files.append(path)
        for name, document in (more or {}).items():
            (folder / name).write_text(json.dumps(document), encoding="utf-8")
            files.append(folder / name)
        db = folder / "s.duckdb"
        load_paths(db, files)
        with open_store(db, read_only=False) as store:
            with store.transaction() as con:
                replace_decisions(con, [decision()])
            return find_left_behind(store, [MALLORY], {FRIEND: HOSTILE}).document()

    return find


DIRECTORY = {
    "applications.json": {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#servicePrincipals",
        "value": [{"id": ROBOT, "appId": ROBOT_APP, "displayName": "Robot", "servicePrincipalType": "Application"}],
    },
    "resources.json": [{"id": VM, "type": "Microsoft.Compute/virtualMachines", "name": "vm-new", "location": "x"}],
}


@pytest.mark.nightly
def test_all_that_was_left_is_listed_and_has_its_requests(left: Callable[..., dict[str, Any]]) -> None:
    """Five things in two logs, with requests, whom to contain next; not what came before, nor another's changes."""
    earlier = activity(ADMIN, "Microsoft.Compute/virtualMachines/write", VM, at(-70))
    old = activity(MALLORY, "Microsoft.Compute/virtualMachines/write", f"{VM}-old", at(-60))
    before = {"activity": [old, earlier]}
    theirs = json.dumps(planted(ADMIN, 5)).replace("auto/", "theirs/").replace("id-shop", "id-theirs")
    others = json.loads(theirs.replace("vm-new", "vm-theirs").replace(guid("assigned"), guid("theirs")))
    site = ("Microsoft.Web/sites/write", f"{SHOP}/Microsoft.Web/sites/s")
    acts = {"activity": [activity(FRIEND, *site, at(90)), activity(MACHINE, *site, at(95))]}
    found = left(planted(), before, others, acts, more=DIRECTORY)
    things = {one["kind"]: one for one in found["things"]}
    assert [one["kind"] for one in found["things"]] == [
        "webhook", "machine", "federated_subject", "application_credential", "role_assignment",
    ]  # fmt: skip
    webhook, credential, role = things["webhook"], things["application_credential"], things["role_assignment"]
    assert webhook["works_without_sign_in"]
    assert [one["method"] for one in webhook["requests"]] == ["DELETE"]
    assert webhook["requests"][0]["url"].endswith(WEBHOOK)
    assert "shown only when it is made" in webhook["no_way_back"]
    assert credential["requests"][0]["body"] == {"keyId": KEY}, "the older key is not the attacker's"
    assert credential["requests"][0]["url"].endswith(f"/applications/{ROBOT_OBJECT}/removePassword")
    assert (role["requests"][0]["method"], role["undo"][0]["method"]) == ("DELETE", "PUT")
    assert role["undo"][0]["body"]["properties"]["principalId"] == FRIEND
    assert role["undo"][0]["body"]["properties"]["roleDefinitionId"].endswith(CONTRIBUTOR)
    assert things["federated_subject"]["detail"].endswith(
        "repo:mallory/x of https://token.actions.githubusercontent.com"
    )
    assert things["federated_subject"]["undo"][0]["body_from"] == things["federated_subject"]["read"][0]["save_as"]
    assert [one["kind"] for one in found["things"] if one["seen_before"]] == ["machine"]
    assert things["machine"]["given_to"] == [{"id": MACHINE, "name": MACHINE}]
    assert {one["principal_id"] for one in found["contain_next"]} == {FRIEND, MACHINE}
    assert all("--since 2026-03-04T22:0" in one["command"] for one in found["contain_next"])
    scripts = left_behind_scripts(found)
    assert set(scripts) == {f"left-behind{undo}.{end}" for undo in ("", "-undo") for end in ("sh", "ps1")}
    assert "rm%20-rf%20~" in scripts["left-behind.sh"], "a name cannot leave its URL"
    page = "\n".join(left_behind_section(found, {}))
    assert HOSTILE not in page
    assert "\u202e" not in page
    assert "no graph activity log" not in page
    assert "key vault log of the suspect time" in page, "it says which log is not there"
    assert any("left behind: 5 things, 2 usable" in line for line in left_behind_lines(found, {}, str))


@pytest.mark.nightly
def test_what_was_taken_away_later_needs_no_request(left: Callable[..., dict[str, Any]]) -> None:
    """A deleted resource group takes what was in it; a member that was removed is gone; nothing was left otherwise."""
    other = guid("group")
    joined = [target("User", FRIEND, "f@x.example"), target("Group", other, "Owners")]
    later = {
        "activity": [activity(ADMIN, "Microsoft.Resources/subscriptions/resourceGroups/delete", GROUP, at(300))],
        "audit": [
            audit(MALLORY, "Add member to group", at(20), *joined),
            audit(MALLORY, "Add member to group", at(21), target("User", ROBOT, "r@x.example"), joined[1]),
            audit(ADMIN, "Remove member from group", at(30), *joined),
        ],
    }
    found = left(planted(), later)
    there = {one["kind"]: one["still_there"] for one in found["things"] if one["where"] != "f@x.example"}
    assert there == {"webhook": "no", "machine": "no", "federated_subject": "no", "role_assignment": "no",
                     "application_credential": "unknown", "group_member": "unknown"}  # fmt: skip
    assert [one["still_there"] for one in found["things"] if one["where"] == "f@x.example"] == ["no"]
    (member,) = (one for one in found["things"] if one["where"] == "r@x.example")
    assert member["requests"][0]["url"].endswith(f"/groups/{other}/members/{ROBOT}/$ref")
    assert all(not one["requests"] for one in found["things"] if one["still_there"] == "no")


@pytest.mark.nightly
def test_a_thing_that_the_log_does_not_name_gets_no_request(left: Callable[..., dict[str, Any]]) -> None:
    """A call at a wider place, an id that is none, and a path with dots become no request that could hit another."""
    wide = activity(MALLORY, "Microsoft.Automation/automationAccounts/webhooks/write", GROUP, at(1))
    dots = activity(MALLORY, "Microsoft.Automation/automationAccounts/webhooks/write",
                    f"{SHOP}/Microsoft.Automation/automationAccounts/../webhooks/x", at(2))  # fmt: skip
    user = audit(MALLORY, "Add user", at(3), target("User", "me/../../groups", "x@x.example"))
    refused = audit(MALLORY, "Add user", at(4), target("User", guid("u"), "y@x.example"), result="failure")
    begun = activity(MALLORY, "Microsoft.Compute/virtualMachines/write", VM, at(5), result="Start")
    found = left({"activity": [wide, dots, begun], "audit": [user, refused]})
    things = {one["where"]: one for one in found["things"]}
    assert set(things) == {GROUP, dots["identity"]["authorization"]["scope"], "x@x.example", VM}
    assert [bool(one["requests"]) for one in things.values() if one["where"] != VM] == [False] * 3
    assert all(one["by_hand"] for one in things.values() if not one["requests"])
    assert not things[VM]["ended"]


def _examples() -> tuple[dict[str, list[dict[str, Any]]], set[str]]:
    """Return records that each rule of operations, activities and requests names, and the kinds of the rules."""
    services = {"pim": "PIM", "conditional": "Conditional Access", "named location": "Conditional Access",
                "security info": "Authentication Methods", "invite": "Invited Users"}  # fmt: skip
    found: dict[str, list[dict[str, Any]]] = {"activity": [], "audit": [], "graph": []}
    rows = [row for row in rows_of("left_behind") if row["plane"] not in ("data", "pim")]
    for number, row in enumerate(rows):
        named, time = row["operation"], at(number)
        if row["plane"] == "control":
            head = named.partition("/*/")[0] + "/" if "/*/" in named else "Microsoft.Maps/accounts/"
            named = named.replace(f"{head}*/", f"{head}namespaces/").replace("*/", head)
            provider, *types = re.sub(r"(?i)/(write|delete|[^/]+/action)$", "", named).split("/")
            place = f"{SHOP}/{provider}" + "".join(f"/{one}/n{number}" for one in types)
            found["activity"].append(activity(MALLORY, named, place, time))
        elif row["plane"] == "directory":
            service = next((one for word, one in services.items() if word in named.lower()), "Core Directory")
            changed = {row["property"]: "x"} if row["property"] else {}
            objects = (target("Application", guid(f"o{number}"), "N", **changed), target("Group", guid(f"p{number}")))
            found["audit"].append(audit(MALLORY, named, time, *objects, service=service))
        else:
            method, path = named.split(" ")
            found["graph"].append(graph_request(MALLORY, method, path.replace("{id}", guid(f"g{number}")), time))
    return found, {row["kind"] for row in rows_of("left_behind")}


def secret_read() -> dict[str, Any]:
    """A record of the log of a key vault about a secret that was read."""
    secret = "https://kv-shop.vault.azure.net/secrets/pw/1"
    return {
        "time": instant(at(7)), "resourceId": f"{SHOP}/Microsoft.KeyVault/vaults/kv-shop".upper(),
        "operationName": "SecretGet", "category": "AuditEvent", "resultType": "Success", "resultSignature": "OK",
        "callerIPAddress": "192.0.2.7", "correlationId": guid("kv"),
        "identity": {"claim": {"http://schemas.microsoft.com/identity/claims/objectidentifier": MALLORY}},
        "properties": {"id": secret, "httpStatusCode": 200, "isRbacAuthorized": True, "requestUri": secret},
    }  # fmt: skip


@pytest.mark.nightly
def test_every_rule_names_a_kind_that_says_what_to_do(left: Callable[..., dict[str, Any]]) -> None:
    """Every operation, activity and request of the rules leaves its kind, and each has a request or a way by hand."""
    records, kinds = _examples()
    shown = {"identity": {"type": "SystemAssigned", "principalId": MACHINE}}
    place = f"{SHOP}/Microsoft.CognitiveServices/accounts/ai"
    records["activity"].append(
        activity(MALLORY, "Microsoft.CognitiveServices/accounts/write", place, at(3), body=shown)
    )
    kinds |= {"resource_with_identity"}
    found = left({**records, "vault": [secret_read()]})
    (secret,) = (one for one in found["things"] if one["kind"] == "secrets_read")
    assert (secret["requests"], secret["logs"]) == ([], ["key_vault_log"])
    assert "issue each secret anew" in secret["by_hand"]
    found["things"].remove(secret)
    kinds -= {"secrets_read"}
    assert {one["kind"] for one in found["things"]} == kinds
    assert found["others"] == []
    assert sum(one["calls"] for one in found["things"]) == sum(map(len, records.values())) - _echoes(found, records)
    for one in found["things"]:
        if one["still_there"] != "no":
            assert one["requests"] or one["by_hand"], one
        assert "{" not in json.dumps([step["url"] for step in (*one["read"], *one["requests"], *one["undo"])])
        assert bool(one["undo"]) or bool(one["no_way_back"]) or not one["requests"], one
    script = left_behind_scripts(found)["left-behind.sh"]
    asked = sum(len(one["requests"]) + len(one["read"]) for one in found["things"])
    assert script.count("az rest") == asked
    assert script.count("--output none") == sum(len(one["requests"]) for one in found["things"])


def _echoes(found: dict[str, Any], records: dict[str, list[dict[str, Any]]]) -> int:
    """Return how many requests of Graph without an id are taken for the audit record of the same minutes."""
    return len(records["graph"]) - sum(one["calls"] for one in found["things"] if one["logs"] == ["graph_activity_log"])


@pytest.mark.slow
def test_every_rule_is_in_a_catalogue(shared_data: Path) -> None:
    """Operations are in the catalogue of Azure, activities in that of the audit log, requests in the map of Graph."""
    operations = (shared_data / "catalog" / "operations.csv").read_text(encoding="utf-8").lower().splitlines()
    known = {line.partition(",")[0] for line in operations}
    activities = {row["activity"].lower() for row in rows_of("log_directory_audit")}
    sets = json.loads((shared_data / "graph" / "permissions.json").read_text(encoding="utf-8"))["permissions"].values()
    paths = {
        re.sub(r"\{[^}]*\}", "{id}", path).lower() for one in sets for each in one["pathSets"] for path in each["paths"]
    }
    for row in rows_of("left_behind"):
        name = row["operation"].lower()
        if row["plane"] == "directory":
            assert {name, row["gone"].lower()} - {""} <= activities, name
        elif row["plane"] == "graph" and "agentidentityblueprint" not in name:  # the map has no agents
            assert name.partition(" ")[2].removesuffix("/$ref") in paths, name
        elif row["plane"] in ("graph", "pim"):
            continue
        elif "*" in name:
            pattern = re.compile(re.escape(name).replace(r"\*", ".*"))
            assert any(map(pattern.fullmatch, known)), name
        else:
            assert name in known, name


def test_rules_agree_with_each_other() -> None:
    """Each kind is named by an operation or found by its identity, and requests are of known kinds and steps."""
    kinds = kinds_left_behind()
    assert {row["kind"] for row in rows_of("left_behind")} | {"resource_with_identity"} == set(kinds)
    assert {row["kind"] for row in rows_of("left_behind_requests")} <= set(kinds)
    assert {row["step"] for row in rows_of("left_behind_requests")} == {"read", "take", "undo"}
    free = [one.needs_no_sign_in for one in kinds.values()]
    assert free == sorted(free, reverse=True), "what works without a sign-in comes first"
    for row in rows_of("left_behind_requests"):
        assert row["body"] == "" or row["body"].startswith("@") or json.loads(row["body"])


GRAPH_ID, ROLE, APP_ROLE = guid("graph"), "62e90394-69f5-4237-9190-012177145e10", guid("role")
POLICY = {"id": guid("ca"), "displayName": "MFA", "createdDateTime": "2025-01-01T00:00:00Z", "state": "enabled"}


def in_the_directory() -> list[dict[str, Any]]:
    """What the directory audit log shows of access that is given away, in its own forms."""
    weak = json.dumps({**POLICY, "state": "disabled"})
    consent = (
        f"[] => [[Id: Ab-{'x' * 30}, ClientId: {ROBOT}, PrincipalId: , ResourceId: {GRAPH_ID}, Scope: Mail.Read]]; "
    )
    return [
        audit(MALLORY, "Add member to role", at(1),
              target("User", FRIEND, "f@x.example", Role__TemplateId=f'"{ROLE}"', Role__DisplayName='"Global Admin"'),
              target("Role", guid("role object"), "Global Administrator"), category="RoleManagement"),
        audit(MALLORY, "Add app role assignment to service principal", at(2),
              target("ServicePrincipal", GRAPH_ID, "Microsoft Graph", AppRole__Id=f'"{APP_ROLE}"'),
              target("ServicePrincipal", ROBOT, "Robot")),
        audit(MALLORY, "Consent to application", at(3),
              target("ServicePrincipal", ROBOT, "Robot", ConsentAction__Permissions=consent)),
        audit(MALLORY, "Add owner to application", at(4), target("User", FRIEND, "f@x.example"),
              target("Application", ROBOT_OBJECT, "Robot")),
        audit(MALLORY, "Update Conditional Access policy", at(5),
              target("Policy", POLICY["id"], "MFA", ConditionalAccessPolicy=f"{json.dumps(POLICY)} → {weak}"),
              service="Conditional Access"),
        audit(MALLORY, "Admin registered security info", at(6), target("User", FRIEND, "f@x.example"),
              service="Authentication Methods"),
        audit(MALLORY, "Update application", at(7),
              target("Application", ROBOT_OBJECT, "Robot", FederatedIdentityCredentials='"[x]"')),
        audit(MALLORY, "Invite external user", at(8), target("User", guid("guest"), "g@y.example"),
              service="Invited Users"),
        audit(MALLORY, "Set federation settings on domain", at(9), target("Domain", "", "x.example")),
        audit(MALLORY, "Remove member from group", at(10), target("User", FRIEND), target("Group", guid("g"))),
    ]  # fmt: skip


@pytest.mark.slow
def test_inheritance_of_agents_and_an_activated_group_are_listed(left: Callable[..., dict[str, Any]]) -> None:
    """A changed entry is taken out by its address; of a new one and of a request to PIM the log does not say which."""
    blueprint, api, group = guid("blueprint"), guid("api"), guid("group")
    place = f"/applications/{blueprint}/microsoft.graph.agentIdentityBlueprint/inheritablePermissions"
    asked = "/identityGovernance/privilegedAccess/group/eligibilityScheduleRequests"
    record = audit(MALLORY, "Add member to role requested (PIM activation)", at(4), target("User", MALLORY),
                   target("Group", group, "Owners"), category="GroupManagement", service="PIM")  # fmt: skip
    graph = [graph_request(MALLORY, "PATCH", f"{place}/{api}", at(1)), graph_request(MALLORY, "POST", place, at(2)),
             graph_request(MALLORY, "POST", asked, at(3))]  # fmt: skip
    found = left({"graph": graph, "audit": [record]})["things"]
    said = {(one["kind"], len(one["requests"]), bool(one["by_hand"])) for one in found}
    assert said == {("agent_inheritance", 1, True), ("agent_inheritance", 0, True), ("group_eligibility", 0, True),
                    ("group_activation", 1, True)}  # fmt: skip
    (changed,) = (one for one in found if one["kind"] == "agent_inheritance" and one["requests"])
    assert [step["method"] + step["url"][32:] for step in changed["requests"]] == [f"DELETE{place}/{api}"]
    (active,) = (one for one in found if one["kind"] == "group_activation")
    assert active["requests"][0]["body"]["groupId"] == group


@pytest.mark.nightly
def test_access_given_away_in_the_directory_has_requests_that_name_it(left: Callable[..., dict[str, Any]]) -> None:
    """Roles, permissions, consents, owners, guests, policies; a permission only where a listing has its id."""
    listed = {"id": "abcDEF-1", "principalId": ROBOT, "principalType": "ServicePrincipal", "resourceId": GRAPH_ID,
              "appRoleId": APP_ROLE, "principalDisplayName": "Robot", "resourceDisplayName": "Graph"}  # fmt: skip
    page = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#servicePrincipals('x')/appRoleAssignedTo",
            "value": [listed]}  # fmt: skip
    quiet = {"name": guid("quiet"), "principalId": ROBOT, "principalType": "ServicePrincipal", "scope": GROUP,
             "roleDefinitionId": f"/subscriptions/x/providers/Microsoft.Authorization/roleDefinitions/{CONTRIBUTOR}",
             "type": "Microsoft.Authorization/roleAssignments", "condition": "@Request[x] EQ 1", "createdBy": MALLORY,
             "createdOn": "2026-03-04T23:00:00.000000+00:00", "conditionVersion": "2.0"}  # fmt: skip
    theirs = quiet | {"name": guid("theirs"), "createdBy": ADMIN}
    old = quiet | {"name": guid("old"), "createdOn": "2026-03-04T21:00:00.000000+00:00"}
    made = [one | {"id": f"{GROUP}/providers/{one['type']}/{one['name']}"} for one in (quiet, theirs, old)]
    more = {"roles.json": page, "made.json": made, **DIRECTORY}
    found = left({"audit": in_the_directory()}, more=more)
    things = {one["kind"]: one for one in found["things"]}
    assert set(things) == {
        "directory_role", "application_permission", "consent", "application_owner", "access_policy_changed",
        "authentication_method", "application_federated_subject", "guest_invited", "domain_federation",
        "role_assignment",
    }  # fmt: skip
    asked = {
        kind: [f"{step['method']} {step['url'].removeprefix('https://graph.microsoft.com/v1.0')}" for step in steps]
        for kind, one in things.items()
        if (steps := one["requests"])
    }
    by_listing = things["role_assignment"]
    assert asked.pop("role_assignment") == [f"DELETE https://management.azure.com{made[0]['id']}"]
    assert (by_listing["logs"], by_listing["calls"], by_listing["still_there"]) == (["listing"], 0, "yes")
    assert by_listing["undo"][0]["body"]["properties"]["condition"] == "@Request[x] EQ 1"
    assert asked == {
        "directory_role": [f"DELETE /directoryRoles(roleTemplateId='{ROLE}')/members/{FRIEND}/$ref"],
        "application_permission": [f"DELETE /servicePrincipals/{GRAPH_ID}/appRoleAssignedTo/abcDEF-1"],
        "consent": [f"DELETE /oauth2PermissionGrants/Ab-{'x' * 30}"],
        "application_owner": [f"DELETE /applications/{ROBOT_OBJECT}/owners/{FRIEND}/$ref"],
        "access_policy_changed": [f"PATCH /identity/conditionalAccess/policies/{POLICY['id']}"],
        "authentication_method": [f"POST /users/{FRIEND}/revokeSignInSessions"],
        "guest_invited": [f"PATCH /users/{guid('guest')}"],
    }
    assert things["access_policy_changed"]["requests"][0]["body"] == {"displayName": "MFA", "state": "enabled"}
    assert things["access_policy_changed"]["undo"][0]["body"]["state"] == "disabled"
    assert things["directory_role"]["undo"][0]["body"]["roleDefinitionId"] == ROLE
    assert things["application_permission"]["undo"][0]["body"] == {
        "principalId": ROBOT, "resourceId": GRAPH_ID, "appRoleId": APP_ROLE,
    }  # fmt: skip
    assert things["application_permission"]["still_there"] == "yes"
    assert things["consent"]["detail"].startswith("Mail.Read for ")
    assert things["access_policy_changed"]["given_to"] == []
    assert things["domain_federation"]["works_without_sign_in"]
    assert found["things"][0]["kind"] == "domain_federation"


@pytest.mark.nightly
def test_a_containment_and_that_of_a_watch_have_it(demo_folder: Path, tmp_path: Path) -> None:
    """The demo's attacker read keys and opened a server: the folder has the list, the scripts and no more requests."""
    db = Path(shutil.copy(demo_folder / "demo.duckdb", tmp_path / "demo.duckdb"))
    with open_store(db, read_only=True) as store:
        (who,) = store.frame("SELECT DISTINCT principal_id FROM quarantine WHERE principal_id IS NOT NULL")[
            "principal_id"
        ]
    signal(db, who, 1)
    (made,) = contain_signalled(db, tmp_path / "out", ContainmentRules(), ("stdout",), dt.datetime(2026, 9, 30), 90)
    folder = tmp_path / "out" / who
    written = json.loads((folder / "containment.json").read_text(encoding="utf-8"))["left_behind"]
    assert {one["kind"] for one in written["things"]} == {
        "app_settings_read", "storage_keys", "service_bus_keys", "firewall_rule",
    }  # fmt: skip
    assert all(one["suspect"] for one in written["things"])
    assert len(made.left.things) == len(written["things"])
    assert "## Left behind" in (folder / "containment.md").read_text(encoding="utf-8")
    script = (folder / "left-behind.sh").read_text(encoding="utf-8")
    assert subprocess.run(["bash", "-n", str(folder / "left-behind.sh")], check=False).returncode == 0
    assert script.index('{"keyName": "key2"}') < script.index('{"keyName": "key1"}')
    with open_store(db, read_only=True) as store:
        (change,) = (one for one in pending_changes(store, "stdout") if one["kind"] == "containment")
    assert "4 things left behind" in change["text"]


@pytest.mark.nightly
def test_what_was_pruned_is_said_to_be_missing(tmp_path: Path) -> None:
    """The objects of pruned calls go with them, and the list says that it lacks single calls."""
    path = tmp_path / "audit.jsonl"
    late = audit(ADMIN, "Add member to group", at(60 * 24 * 9), target("User", FRIEND), target("Group", guid("g")))
    path.write_text("".join(json.dumps(one) + "\n" for one in [*in_the_directory(), late]), encoding="utf-8")
    db = tmp_path / "s.duckdb"
    load_paths(db, [path])
    with open_store(db, read_only=False) as store:
        pruning = plan_pruning(store, 2)
        assert pruning is not None
        prune(store, pruning)
        assert store.table("changed_objects")["activity"].to_list() == ["add member to group"]
        with store.transaction() as con:
            replace_decisions(con, [decision()])
        assert any("pruned" in one for one in find_left_behind(store, [MALLORY], {}).document()["not_shown"])
