"""Declare what an answer about access consists of: the listings that it rests on, and the columns that it shows.

Each listing has what it lists, what it costs, and the command for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AccessListing:
    """A kind of listing.

    Attributes:
        name: Its name in the table `listings`.
        words: What it lists, for people.
        sources: The names that `load` prints for exports of it.
        costs: What is not known where it is not complete.
        command: The command that gets it; `{id}` is the subscription, the role or the group.
        command_above: The command at a management group or the root, with `{of}` for it; empty where there is none.
        decides_no: Whether a `no` rests on it.
    """

    name: str
    words: str
    sources: tuple[str, ...]
    costs: str
    command: str
    command_above: str = ""
    decides_no: bool = True


_NO = "a `no` there is unknown"
_AT_GROUP = "az rest --method get --url '{of}/providers/Microsoft.Authorization/"
_ARM = "az rest --method get --url '/subscriptions/{id}/providers/Microsoft.Authorization/"

ROLE_ASSIGNMENTS = AccessListing(
    "role_assignments", "role assignments", ("role_assignments",), _NO,
    "az role assignment list --all --include-inherited --subscription {id} -o json",
    "az role assignment list --scope {of} -o json",
)  # fmt: skip
ROLE_DEFINITIONS = AccessListing(
    "role_definitions", "role definitions", ("role_definitions",), "a `no` to its holders is unknown",
    "az role definition list --name {id} -o json",
)  # fmt: skip
MEMBERS = AccessListing(
    "members", "group members", ("group_members", "transitive_members"),
    "a `no` to what the group may do is unknown",
    "az rest --method get --url 'https://graph.microsoft.com/v1.0/groups/{id}/members?$top=999'",
)  # fmt: skip
ELIGIBILITY = AccessListing(
    "role_eligibility_instances", "eligible assignments", ("role_eligibility_instances",), _NO,
    _ARM + "roleEligibilityScheduleInstances?api-version=2020-10-01'",
    _AT_GROUP + "roleEligibilityScheduleInstances?api-version=2020-10-01&$filter=atScope()'",
)  # fmt: skip
DENY_ASSIGNMENTS = AccessListing(
    "deny_assignments", "deny assignments", ("deny_assignments",), "less may be allowed there than a `yes` says",
    _ARM + "denyAssignments?api-version=2022-04-01'",
    _AT_GROUP + "denyAssignments?api-version=2022-04-01&$filter=atScope()'",
    decides_no=False,
)  # fmt: skip

ACCESS_LISTINGS = (ROLE_ASSIGNMENTS, ROLE_DEFINITIONS, MEMBERS, ELIGIBILITY, DENY_ASSIGNMENTS)
"""All kinds, those first whose lack costs most."""
BY_NAME: Mapping[str, AccessListing] = {one.name: one for one in ACCESS_LISTINGS} | {"transitiveMembers": MEMBERS}
BY_SOURCE: Mapping[str, AccessListing] = {source: one for one in ACCESS_LISTINGS for source in one.sources}

SUBSCRIPTION = "/subscriptions/"
PLAIN = r"[\w().-]{1,90}"
"""The ids that stand in a command as they are; a command with any other would need quotes that some shell reads."""
PLAIN_ABOVE = rf"/|/providers/microsoft\.management/managementgroups/{PLAIN}"


def command_for(listing: str, of: str) -> str | None:
    """Return the command that gets a listing, or None where there is none.

    Args:
        listing: Its kind, as in the table `listings`.
        of: The folded scope, or the role or group, of the listing.
    """
    kind = BY_NAME.get(listing)
    if kind is None:
        return None
    if of.startswith("/") and not of.startswith(SUBSCRIPTION):
        # `{of}/providers` of the root is `/providers`.
        place = of if "{of}/" not in kind.command_above else of.rstrip("/")
        is_plain = re.fullmatch(PLAIN_ABOVE, of, re.ASCII)
        return kind.command_above.replace("{of}", place) or None if is_plain else None
    id_ = of.removeprefix(SUBSCRIPTION).partition("/")[0]
    return kind.command.replace("{id}", id_) if re.fullmatch(PLAIN, id_, re.ASCII) else None


IDENTITY = (
    "principal_id",
    "principal_type",
    "display_name",
    "user_principal_name",
    "app_id",
    "account_enabled",
    "user_type",
    "created_on",
    "deleted_on",
    "last_sign_in",
)
ASSIGNMENT = (
    "role_assignment_id",
    "state",
    "role_name",
    "scope",
    "condition",
    "created_on",
    "end_on",
    "role_definition_id",
)
USE = (
    "operation",
    "plane",
    "scope",
    "events",
    "days",
    "first_seen",
    "last_seen",
    "role_assignment_id",
    "state",
    "reason",
    "days_ago",
)
SIGN_IN = ("kind", "resource_id", "resource_name", "succeeded", "failed", "days", "last_seen")
OTHER_ACCESS = ("resource", "source", "access", "events", "days", "last_seen")
COUNTS = (
    "identities",
    "resources",
    "secrets",
    "subscriptions",
    "layers",
    "planes",
    "cells",
    "own_cells",
    "takes_tenant",
)
"""The counts of a reach, under the column names of the table `reach`."""
LETTERS = {"principal": "p", "resource": "r", "outsider": "o"}
"""The kinds of subjects of reach, each with the letter of its nodes in the graph."""
CALLED = ("id", "alias", "user_principal_name", "app_id", "display_name", "beginning")
"""The kinds of names by which a principal can be asked for, in the order in which they are looked up.

A `beginning` is any of the others, and is looked up by its first letters.
"""
