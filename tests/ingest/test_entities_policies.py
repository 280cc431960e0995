"""Role management policies: the requirements for activating a role, from any listing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import SUB, guid, stage_document

RULES: list[dict[str, Any]] = [
    {
        "id": "Expiration_EndUser_Assignment",
        "isExpirationRequired": True,
        "maximumDuration": "PT4H",
        "ruleType": "RoleManagementPolicyExpirationRule",
    },
    {"id": "Expiration_Admin_Eligibility", "isExpirationRequired": True, "maximumDuration": "P365D"},
    {"id": "Enablement_EndUser_Assignment", "enabledRules": ["Justification", "MultiFactorAuthentication"]},
    {
        "id": "Approval_EndUser_Assignment",
        "setting": {
            "isApprovalRequired": True,
            "approvalStages": [
                {
                    "primaryApprovers": [{"id": guid(9).upper(), "userType": "User"}],
                    "escalationApprovers": [{"id": guid(8)}],
                }
            ],
        },
    },
    {"id": "AuthenticationContext_EndUser_Assignment", "isEnabled": True, "claimValue": "c1"},
]
POLICY_ID = f"{SUB}/providers/Microsoft.Authorization/roleManagementPolicies/{guid(5)}"
SETTINGS = (
    "maximum_activation",
    "requires_mfa",
    "requires_justification",
    "requires_ticket",
    "requires_approval",
    "approver_ids",
    "authentication_context",
    "maximum_eligibility",
)
KNOWN = ("PT4H", True, True, False, True, [guid(8), guid(9)], "c1", "P365D")


def assignment(**changes: Any) -> dict[str, Any]:
    properties = {
        "scope": f"/providers/Microsoft.Subscription{SUB}",
        "roleDefinitionId": f"{SUB}/providers/Microsoft.Authorization/roleDefinitions/{guid(3)}",
        "policyId": POLICY_ID,
        "effectiveRules": RULES,
        "policyAssignmentProperties": {"policy": {"id": POLICY_ID, "lastModifiedDateTime": "2026-01-02T03:04:05Z"}},
    } | changes
    return {
        "properties": properties,
        "name": f"{guid(5)}_{guid(3)}",
        "id": f"{SUB}/providers/Microsoft.Authorization/RoleManagementPolicyAssignment/{guid(5)}_{guid(3)}",
        "type": "Microsoft.Authorization/RoleManagementPolicyAssignment",
    }


def policy(rules: Any = RULES) -> dict[str, Any]:
    return {
        "properties": {"scope": SUB, "rules": rules, "lastModifiedDateTime": "2026-01-02T03:04:05Z"},
        "name": guid(5),
        "id": POLICY_ID,
        "type": "Microsoft.Authorization/RoleManagementPolicies",
    }


def test_an_assignment_of_a_policy_says_role_scope_and_rules(tmp_path: Path) -> None:
    """The scope is where the policy's own id stands, without the provider of subscriptions before it."""
    staged = stage_document(tmp_path, {"value": [assignment()]})
    keys = ("policy_id", "scope", "role_definition_id")
    assert staged.rows("role_management_policies", *keys) == [(guid(5), SUB, guid(3))]
    assert staged.rows("role_management_policies", *SETTINGS) == [KNOWN]
    assert staged.rejects == []


GRAPH_POLICY = f"DirectoryRole_{guid(1)}_{guid(5)}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scope_type", "scope_id", "role", "found"),
    [
        ("DirectoryRole", "/", guid(3), ("/", guid(3))),
        ("Directory", "/", guid(3), ("/", guid(3))),
        ("Group", guid(7), "member", (f"/groups/{guid(7)}", "member")),
    ],
)
def test_policies_of_graph_hold_for_directory_roles_and_for_groups(
    scope_type: str, scope_id: str, role: str, found: tuple[str, str], tmp_path: Path
) -> None:
    """The assignment has its policy within it, with the same rules as Resource Manager's."""
    within = {"id": GRAPH_POLICY, "scopeId": scope_id, "scopeType": scope_type, "rules": RULES}
    place = {"scopeId": scope_id, "scopeType": scope_type}
    assigned = {"id": f"{GRAPH_POLICY}_{role}", "policyId": GRAPH_POLICY, "roleDefinitionId": role, **place}
    context = {"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#policies/roleManagementPolicyAssignments"}
    staged = stage_document(tmp_path, context | {"value": [assigned | {"policy": within}]})
    keys = ("policy_id", "scope", "role_definition_id")
    assert staged.rows("role_management_policies", *keys) == [(GRAPH_POLICY.lower(), *found)]
    assert staged.rows("role_management_policies", *SETTINGS) == [KNOWN]
    alone = stage_document(tmp_path, {"value": [within]}, "b.json")
    assert alone.rows("role_management_policies", "policy_id", "requires_approval") == [(GRAPH_POLICY.lower(), True)]
    assert staged.rejects == alone.rejects == []


@pytest.mark.slow
def test_a_policy_has_the_same_rules_and_no_role(tmp_path: Path) -> None:
    """Its `rules` in any order are the `effectiveRules` of its assignment."""
    one = stage_document(tmp_path, {"value": [policy(list(reversed(RULES)))]}, "b.json")
    other = stage_document(tmp_path, {"value": [assignment()]})
    assert one.rows("role_management_policies", "policy_id", "role_definition_id") == [(guid(5), None)]
    assert one.rows("role_management_policies", *SETTINGS, "rules") == other.rows(
        "role_management_policies", *SETTINGS, "rules"
    )


@pytest.mark.slow
def test_an_assignment_without_rules_says_nothing_of_them(tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [assignment(effectiveRules=[])]})
    assert staged.rows("role_management_policies", *SETTINGS, "rules") == [(None,) * (len(SETTINGS) + 1)]


@pytest.mark.slow
def test_a_policy_that_asks_for_nothing_is_known_to_ask_for_nothing(tmp_path: Path) -> None:
    rules = [{"id": "Notification_Admin_Admin_Eligibility"}]
    staged = stage_document(tmp_path, {"value": [assignment(effectiveRules=rules)]})
    (found,) = staged.rows("role_management_policies", *SETTINGS)
    assert found == (None, False, False, False, False, [], None, None)
    assert json.loads(staged.rows("role_management_policies", "rules")[0]) == rules


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"policyId": ""}, "it has no `policyId`"),
        ({"roleDefinitionId": None}, "it has no `roleDefinitionId`"),
        ({"effectiveRules": {"a": 1}}, "`effectiverules` is not a list of rules"),
        (
            {"effectiveRules": [{"id": "Approval_EndUser_Assignment", "setting": {"isApprovalRequired": "yes"}}]},
            "`isapprovalrequired` is not true or false",
        ),
        ({"effectiveRules": [{"id": 7}]}, "`id` is not a string"),
    ],
)
def test_what_cannot_be_read_is_rejected(changes: dict[str, Any], reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, {"value": [assignment(), assignment(**changes)]})
    assert staged.rejects == [(2, reason)]
    assert len(staged.rows("role_management_policies", "policy_id")) == 1
