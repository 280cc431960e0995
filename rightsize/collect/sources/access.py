"""Declare the sources of Azure access: role assignments, PIM, deny assignments, policies and Lighthouse.

A subscription is listed without a filter, which returns assignments above, at and below it: `atScope()` would omit
those at resource groups and resources. At management groups, only `atScope()` returns a complete answer.
Source: Microsoft Learn, "List Azure role assignments using the REST API"; REST reference of Microsoft.Authorization.
"""

from __future__ import annotations

from collections.abc import Iterator

from rightsize.collect.listing import CollectionUnit, Known, Right, Source, Units
from rightsize.collect.sources.asking import AUTHORIZATION, arm, of_each_subscription, subscription_scope

_SCOPES = ("subscriptions", "management_groups")
_P2 = "Microsoft Entra ID P2 or Governance"


def _at_all_scopes(kind: str, version: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for scope in known.management_groups():
            yield CollectionUnit(scope, (arm(f"{scope}{AUTHORIZATION}/{kind}", version, filter="atScope()"),), scope)
        yield from of_each_subscription(known, f"{AUTHORIZATION}/{kind}", version)

    return units


def _definitions(known: Known) -> Iterator[CollectionUnit]:
    """Yield one unit for all built-in roles, and one for the custom roles assignable at each scope."""
    version = "2022-05-01-preview"
    path = f"{AUTHORIZATION}/roleDefinitions"
    yield CollectionUnit("/", (arm(path, version),), "/")
    scopes = [*known.management_groups(), *map(subscription_scope, known.subscriptions())]
    for scope in scopes:
        yield CollectionUnit(scope, (arm(f"{scope}{path}", version, filter="type eq 'CustomRole'"),), scope)


def _policies(kind: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        for scope in [*known.management_groups(), *map(subscription_scope, known.subscriptions())]:
            yield CollectionUnit(scope, (arm(f"{scope}{AUTHORIZATION}/{kind}", "2020-10-01"),), scope)

    return units


def _policy_definitions(kind: str) -> Units:
    """Return a maker of units: one for Microsoft's definitions, and one for the custom ones of each scope."""
    version, path = "2023-04-01", f"{AUTHORIZATION}/{kind}"

    def units(known: Known) -> Iterator[CollectionUnit]:
        yield CollectionUnit("/", (arm(path, version),), "/")
        for scope in [*known.management_groups(), *map(subscription_scope, known.subscriptions())]:
            yield CollectionUnit(scope, (arm(f"{scope}{path}", version, filter="policyType eq 'Custom'"),), scope)

    return units


def _right(kind: str, licence: str = "") -> Right:
    return Right(f"Microsoft.Authorization/{kind}/read", "Reader", licence)


def _lighthouse(kind: str, **parameters: str) -> Units:
    def units(known: Known) -> Iterator[CollectionUnit]:
        yield from of_each_subscription(
            known, f"/providers/Microsoft.ManagedServices/{kind}", "2022-10-01", **parameters
        )

    return units


def _operations(known: Known) -> Iterator[CollectionUnit]:  # noqa: ARG001  the catalogue is the same for everybody
    yield CollectionUnit("/", (arm(f"{AUTHORIZATION}/providerOperations", "2022-04-01", expand="resourceTypes"),), "/")


def _of_scopes(name: str, title: str, kind: str, version: str, *, licence: str = "") -> Source:
    return Source(name, "arm", title, _right(kind, licence), _at_all_scopes(kind, version), _SCOPES)


ACCESS_SOURCES = (
    Source("operations", "arm", "operations of all providers", _right("providerOperations"), _operations),
    Source("role_definitions", "arm", "role definitions", _right("roleDefinitions"), _definitions, _SCOPES),
    _of_scopes("role_assignments", "role assignments", "roleAssignments", "2022-04-01"),
    _of_scopes("deny_assignments", "deny assignments", "denyAssignments", "2022-04-01"),
    _of_scopes("policy_assignments", "policy assignments with their managed identities", "policyAssignments",
               "2023-04-01"),
    Source(
        "policy_definitions", "arm", "policy definitions with the roles that remediation needs",
        _right("policyDefinitions"),
        _policy_definitions("policyDefinitions"), _SCOPES,
    ),
    Source(
        "policy_set_definitions", "arm", "policy initiatives with their policies", _right("policySetDefinitions"),
        _policy_definitions("policySetDefinitions"), _SCOPES,
    ),
    _of_scopes(
        "role_eligibility_instances", "eligible assignments", "roleEligibilityScheduleInstances", "2020-10-01",
        licence=_P2,
    ),
    _of_scopes(
        "role_assignment_instances", "active assignments, with activations", "roleAssignmentScheduleInstances",
        "2020-10-01", licence=_P2,
    ),
    _of_scopes(
        "role_eligibility_requests", "requests for eligible assignments", "roleEligibilityScheduleRequests",
        "2020-10-01", licence=_P2,
    ),
    _of_scopes(
        "role_assignment_requests", "requests for active assignments and activations",
        "roleAssignmentScheduleRequests", "2020-10-01", licence=_P2,
    ),
    Source(
        "role_management_policies", "arm", "activation rules of roles", _right("roleManagementPolicies", _P2),
        _policies("roleManagementPolicies"), _SCOPES,
    ),
    Source(
        "role_management_policy_assignments", "arm", "assignments of activation rules to roles",
        _right("roleManagementPolicyAssignments", _P2), _policies("roleManagementPolicyAssignments"), _SCOPES,
    ),
    Source(
        "classic_administrators", "arm", "classic administrators", _right("classicAdministrators"),
        lambda known: of_each_subscription(known, f"{AUTHORIZATION}/classicAdministrators", "2015-07-01"),
        ("subscriptions",),
    ),
    Source(
        "lighthouse_definitions", "arm", "delegations to other tenants",
        Right("Microsoft.ManagedServices/registrationDefinitions/read"), _lighthouse("registrationDefinitions"),
        ("subscriptions",),
    ),
    Source(
        "lighthouse_assignments", "arm", "scopes delegated to other tenants",
        Right("Microsoft.ManagedServices/registrationAssignments/read"),
        _lighthouse("registrationAssignments", expandRegistrationDefinition="true"), ("subscriptions",),
    ),
)  # fmt: skip
"""The sources of access, in the order in which they are reported."""
