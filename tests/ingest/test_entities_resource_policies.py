"""Azure Policy: the remediating identity of an assignment, and the roles that definitions name, from any listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.ingest.entity_records import GROUP_SCOPE, SUB, guid, stage_document

ASSIGNMENT = f"{GROUP_SCOPE}/providers/Microsoft.Authorization/policyAssignments/deploy-agents"
DEFINITION = f"/providers/Microsoft.Authorization/policyDefinitions/{guid(40)}"
CUSTOM = f"{SUB}/providers/Microsoft.Authorization/policyDefinitions/agents"
SET = f"{SUB}/providers/Microsoft.Authorization/policySetDefinitions/Monitoring"
GIVEN = f"{SUB}/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/fixer"
ROLE = f"/providers/Microsoft.Authorization/roleDefinitions/{guid(3).upper()}"
RULE = {
    "if": {"field": "type", "equals": "Microsoft.Compute/virtualMachines"},
    "then": {"effect": "[parameters('effect')]", "details": {"type": "x", "roleDefinitionIds": [ROLE, ROLE]}},
}


def document(id_: str, kind: str, properties: dict[str, Any], **beside: Any) -> dict[str, Any]:
    """As Resource Manager lists it; Resource Graph differs in more keys and a folded type."""
    own = {"id": id_, "name": id_.rsplit("/", 1)[-1], "type": f"Microsoft.Authorization/{kind}"}
    return own | {"properties": properties} | beside


def assignment(**beside: Any) -> dict[str, Any]:
    properties = {
        "displayName": "Deploy agents",
        "policyDefinitionId": SET,
        "definitionVersion": "1.*.*",
        "scope": GROUP_SCOPE,
        "metadata": {"updatedOn": "2026-01-02T03:04:05Z"},
    }
    identity = {"type": "SystemAssigned", "principalId": guid(9).upper(), "tenantId": guid(1)}
    return document(ASSIGNMENT, "policyAssignments", properties, identity=identity, **beside)


def definition(rule: Any = RULE, **properties: Any) -> dict[str, Any]:
    said = {"displayName": "Agents", "policyType": "Custom", "version": "1.2.0", "policyRule": rule, **properties}
    return document(CUSTOM, "policyDefinitions", said)


SETS = document(
    SET,
    "policySetDefinitions",
    {
        "displayName": "Monitoring",
        "policyType": "Custom",
        "policyDefinitions": [
            {"policyDefinitionId": CUSTOM, "policyDefinitionReferenceId": "a", "definitionVersion": "1.*.*"},
            {"policyDefinitionId": DEFINITION, "policyDefinitionReferenceId": "b"},
            {"policyDefinitionId": DEFINITION, "policyDefinitionReferenceId": "c"},
        ],
    },
)


def as_az(record: dict[str, Any]) -> dict[str, Any]:
    """The Azure CLI prints the properties beside the id."""
    return {key: value for key, value in record.items() if key != "properties"} | record["properties"]


def as_graph(record: dict[str, Any]) -> dict[str, Any]:
    """Resource Graph folds the type and has columns of its own."""
    return record | {"type": record["type"].lower(), "tenantId": guid(1), "kind": "", "tags": None, "location": ""}


FORMS = pytest.mark.parametrize("form", [dict, as_az, as_graph])
ASSIGNED = (
    "policy_assignment_id",
    "scope",
    "display_name",
    "policy_definition_id",
    "definition_version",
    "principal_ids",
)


@FORMS
def test_an_assignment_says_who_remediates_for_what(form: Any, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [form(assignment())])
    assert staged.rows("policy_assignments", *ASSIGNED) == [
        (ASSIGNMENT.lower(), GROUP_SCOPE, "Deploy agents", SET.lower(), "1.*.*", [guid(9)])
    ]
    assert [str(when) for when in staged.rows("policy_assignments", "updated_on")] == ["2026-01-02 03:04:05"]
    assert staged.rejects == []


@pytest.mark.slow
def test_user_assigned_identities_remediate_too(tmp_path: Path) -> None:
    given = {GIVEN: {"principalId": guid(7), "clientId": guid(8)}, "/x": {}}
    record = assignment() | {"identity": {"type": "UserAssigned", "userAssignedIdentities": given}}
    nobody = assignment() | {"identity": None, "id": f"{ASSIGNMENT}-2"}
    unsaid = {key: value for key, value in nobody.items() if key != "identity"}
    staged = stage_document(tmp_path, {"value": [record, nobody, unsaid]})
    assert staged.rows("policy_assignments", "principal_ids") == [[guid(7)], [], None]


@pytest.mark.slow
@FORMS
def test_a_definition_names_the_roles_of_who_remediates(form: Any, tmp_path: Path) -> None:
    """Once each, by their GUID."""
    staged = stage_document(tmp_path, [form(definition())])
    columns = ("policy_definition_id", "is_set", "version", "role_definition_ids")
    assert staged.rows("policy_definitions", *columns) == [(CUSTOM.lower(), False, "1.2.0", [guid(3)])]


@pytest.mark.slow
@pytest.mark.many(3)
@pytest.mark.parametrize(
    ("then", "roles"),
    [
        ({"effect": "audit"}, []),
        ({"effect": "append", "details": [{"field": "tags", "value": 1}]}, []),
        ({"effect": "deployIfNotExists", "details": {"roleDefinitionIds": "[parameters('roles')]"}}, None),
        ({"effect": "modify", "details": {"roleDefinitionIds": ["[parameters('role')]"]}}, None),
        ({"effect": "modify", "details": {"ROLEDEFINITIONIDS": [ROLE]}}, [guid(3)]),
    ],
)
def test_what_is_no_list_of_roles_is_not_known(then: Any, roles: Any, tmp_path: Path) -> None:
    """A policy that changes nothing needs none."""
    staged = stage_document(tmp_path, [definition({"if": {}, "then": then})])
    assert staged.rows("policy_definitions", "role_definition_ids") == [roles]


@pytest.mark.slow
def test_a_definition_without_its_rule_is_not_known(tmp_path: Path) -> None:
    record = definition()
    del record["properties"]["policyRule"]
    staged = stage_document(tmp_path, [record])
    assert staged.rows("policy_definitions", "is_set", "role_definition_ids") == [(None, None)]


@pytest.mark.slow
@FORMS
def test_a_set_has_its_definitions_each_once(form: Any, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [form(SETS)])
    assert staged.rows("policy_definitions", "is_set", "member_ids", "member_versions", "role_definition_ids") == [
        (True, [DEFINITION.lower(), CUSTOM.lower()], ["", "1.*.*"], None)
    ]


def _set(held: Any) -> dict[str, Any]:
    return SETS | {"properties": {"policyDefinitions": held}}


@pytest.mark.slow
@pytest.mark.many(4)
@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (assignment() | {"identity": "me"}, "`identity` is not an object"),
        (assignment() | {"identity": {"userAssignedIdentities": []}}, "`userAssignedIdentities` is not an object"),
        (assignment() | {"properties": {"scope": SUB}}, "it has no `policyDefinitionId`"),
        (assignment() | {"id": None}, "it has no `id`"),
        (assignment() | {"id": f"{SUB}/resourceGroups/x"}, "`id` is not its resource id"),
        (definition("[]"), "`policyRule` is not an object"),
        (_set({}), "`policyDefinitions` is not a list of definitions"),
        (
            _set([{}]),
            "`policyDefinitions` has one without a `policyDefinitionId`",
        ),
        (
            _set([{"policyDefinitionId": 4}]),
            "`policydefinitionid` is not a string",
        ),
    ],
)
def test_what_cannot_be_read_is_rejected_with_the_reason(record: Any, reason: str, tmp_path: Path) -> None:
    staged = stage_document(tmp_path, [record])
    assert [found for _, found in staged.rejects] == [reason]
