"""Name the columns of an answer about one principal, in the order in which it shows them."""

from __future__ import annotations

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
