"""Read the rules about directory roles: logged actions, risk weights, special roles, and actions of custom roles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from rightsize.model.text import fold, is_directory_read, parse_pattern
from rightsize.rules.tables import risk_weights, rows_of


@cache
def logged_actions() -> tuple[str, ...]:
    """Return the actions whose use the audit log shows by some activity, sorted."""
    return tuple(sorted({row["action"] for row in rows_of("log_directory_audit") if row["action"]}))


@cache
def actions_of_request(operation: str) -> tuple[str, ...]:
    """Return the actions of which a request to Microsoft Graph needs one from a directory role; empty if unknown.

    Args:
        operation: Method and normalised path, as `events.operation` has them. In a rule, `/*` at the end of a path
            stands for the path itself and all paths below it. A `*` without a slash stands for any text after the word.
    """
    method, _, rest = operation.partition(" ")
    path = fold(rest.partition("?")[0]).rstrip("/")
    return tuple(
        row["action"]
        for row in rows_of("graph_directory_actions")
        if row["method"] == method and _is_at(path, fold(row["path"]))
    )


def _is_at(path: str, rule: str) -> bool:
    if rule.endswith("/*"):
        return path == rule[:-2] or path.startswith(rule[:-1])
    return path.startswith(rule[:-1]) if rule.endswith("*") else path == rule


@cache
def object_types() -> dict[str, tuple[str, str]]:
    """Return the types of directory objects: by folded type its spelling and its principal type.

    The principal type is empty for objects that cannot hold access.
    """
    return {
        fold(row["object_type"]): (row["object_type"], row["principal_type"].replace("none", ""))
        for row in rows_of("directory_object_types")
    }


@cache
def directory_calls(plane: str) -> frozenset[str]:
    """Return the folded activities (`directory`) or requests (`graph`) that leave something, or take it away."""
    rows = [row for row in rows_of("left_behind") if row["plane"] == plane]
    return frozenset(fold(row[name]) for row in rows for name in ("operation", "gone") if row[name])


@cache
def weight_of(action: str) -> int:
    """Return the weight of an action: that of its risk class, else that of a change or a read."""
    weights = risk_weights()
    name = fold(action)
    for row in rows_of("directory_risk"):
        if parse_pattern(row["pattern"]).matches(name) and (row["risk"] == "secret" or not is_directory_read(name)):
            return weights[row["risk"]]
    return weights["read"] if is_directory_read(name) else weights["change"]


@cache
def roles_that(meaning: str) -> frozenset[str]:
    """Return the folded ids of the special roles of one meaning.

    The meanings are `last_of_its_kind`, `last_holder`, `by_the_service`, `not_for_use` and `default_member`.
    """
    return frozenset(
        fold(row["directory_role_id"]) for row in rows_of("directory_special_roles") if row["meaning"] == meaning
    )


@cache
def unit_roles() -> frozenset[str]:
    """Return the folded ids of the built-in roles that may be assigned at an administrative unit."""
    return frozenset(fold(row["directory_role_id"]) for row in rows_of("directory_unit_roles"))


@cache
def custom_actions() -> frozenset[str]:
    """Return the folded actions that custom roles may hold."""
    return frozenset(fold(row["action"]) for row in rows_of("directory_custom_actions"))


@cache
def bound_actions() -> frozenset[str]:
    """Return the folded actions that some roles may not perform on the accounts of administrators."""
    return frozenset(bound_kinds())


@cache
def bound_kinds() -> Mapping[str, str]:
    """Return for each of `bound_actions` the kind of its table in `directory_bound_reach`: folded action to kind."""
    return {fold(row["action"]): row["kind"] for row in rows_of("directory_bound_actions")}


@cache
def bound_reach(kind: str) -> Mapping[str, frozenset[str]]:
    """Return by role the roles of the administrators on whom it may perform the actions of a kind; `*` means all.

    Every role that is named may perform them on accounts without a role. Of a role that is not named nothing is known.
    """
    found: dict[str, set[str]] = {}
    for row in rows_of("directory_bound_reach"):
        if row["kind"] == kind:
            found.setdefault(fold(row["directory_role_id"]), set()).add(fold(row["target_id"]))
    return {role: frozenset(targets) for role, targets in found.items()}


@cache
def object_roles() -> frozenset[str]:
    """Return the folded ids of the built-in roles that may be assigned at one application."""
    return frozenset(fold(row["directory_role_id"]) for row in rows_of("directory_object_roles"))


@cache
def reading_roles() -> frozenset[str]:
    """Return the folded ids of the built-in roles whose purpose is to read."""
    return frozenset(fold(row["directory_role_id"]) for row in rows_of("directory_reading_roles"))


@cache
def contained_roles() -> Mapping[str, frozenset[str]]:
    """Return by role the roles that Microsoft documents to be parts of it, although the lists of actions differ."""
    found: dict[str, set[str]] = {}
    for row in rows_of("directory_contained_roles"):
        found.setdefault(fold(row["directory_role_id"]), set()).add(fold(row["contains_id"]))
    return {role: frozenset(parts) for role, parts in found.items()}


@cache
def side_actions() -> frozenset[str]:
    """Return the folded actions that most roles have beside their purpose: service health and support tickets."""
    return frozenset(fold(row["action"]) for row in rows_of("directory_side_actions"))


@cache
def is_job_read(action: str) -> bool:
    """Return whether reading this is a task of its own, such as reading the sign-in logs."""
    name = fold(action)
    return is_directory_read(name) and any(
        parse_pattern(row["pattern"]).matches(name) for row in rows_of("directory_job_reads")
    )
