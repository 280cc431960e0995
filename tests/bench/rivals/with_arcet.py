"""Effective permissions of many identities with arcet, all data in memory, so that no network time counts."""

import json
import sys
import time
from collections import defaultdict

from arcet.arm import ProviderOperation, RoleAssignment, RoleDefinition
from arcet.groups import GroupPath, GroupRef, Membership
from arcet.model import IdentityKind, IdentityRef
from arcet.resolve import resolve


class InMemory:
    """The tenant as arcet's readers would give it."""

    def __init__(self, tenant):
        self.roles = {
            role["id"]: RoleDefinition(**{key: tuple(v) if isinstance(v, list) else v for key, v in role.items()})
            for role in tenant["roles"]
        }
        self.groups = {who: tuple(groups) for who, groups in tenant["groups"].items()}
        self.assignments = defaultdict(list)
        for row in tenant["assignments"]:
            self.assignments[row["principal_id"]].append(RoleAssignment(**row))
        self.operations = tuple(ProviderOperation(name, is_data) for name, is_data in tenant["operations"])

    def find_identity(self, identifier):
        return IdentityRef(identifier, identifier, IdentityKind.USER)

    def group_membership(self, object_id):
        groups = self.groups.get(object_id, ())
        return Membership(tuple(GroupPath((GroupRef(group, group),)) for group in groups), frozenset(groups))

    def transitive_group_ids(self, object_id):
        return frozenset(self.groups.get(object_id, ()))

    def role_assignments_for(self, object_id):
        return [
            row for holder in (object_id, *self.groups.get(object_id, ())) for row in self.assignments.get(holder, ())
        ]

    def eligible_assignments(self, object_id):
        return ()

    def activated_assignment_ids(self, object_id):
        return frozenset()

    def deny_assignments(self):
        return ()

    def role_definition(self, role_definition_id):
        return self.roles.get(role_definition_id)

    def provider_operations(self):
        return self.operations


with open(sys.argv[1], encoding="utf-8") as file:
    tenant = json.load(file)
source = InMemory(tenant)
start = time.process_time()
held = sum(
    len({(permission.action, permission.scope) for permission in resolve(who, "all", source).permissions})
    for who in tenant["principals"]
)
print(json.dumps({"held": held, "seconds": time.process_time() - start}))
