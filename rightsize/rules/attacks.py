"""Read the rules about attacks: what permissions give beyond their operations, what is sought, left behind and watched.

`left_behind.csv` maps operations, activities of the directory audit log and requests to Microsoft Graph to kinds; the
first row that matches counts. `left_behind_kinds.csv` says what each kind is, the most dangerous first, and
`left_behind_requests.csv` has its requests. Their texts have names in braces, which the thing that was left fills.

Read the states of alerts and risk signals, and which recommendations of other tools are about the use of access.

The rows of `signal_states.csv` name the field and the word, each with its source. A signal that no person dismissed
stays open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from rightsize.model.text import fold
from rightsize.rules.tables import Row, rows_of

if TYPE_CHECKING:
    import polars as pl

GAINS = (
    "resource",
    "identity",
    "secrets",
    "access",
    "tenant",
    "applications",
    "blueprints",
    "groups",
    "all_groups",
    "users",
    "all_users",
    "owned",
    "membership",
    "azure",
    "directory",
)
"""The gains of rules. In this order: the identities of a resource, an identity, the secrets of a resource, any role at
a scope, the whole directory, any application, any agent blueprint, groups without or with directory roles, users
without or with directory roles, the owned objects, membership of a group, and the access of a user in Azure or in the
directory."""


@cache
def escalation_rules(plane: str) -> pl.DataFrame:
    """Return the rules of a plane: `rule, permission, kind, target, unless, gains, certain, what`, permissions folded.

    `unless` is a setting of the resource, as in the table `resources`, that prevents this escalation; with `!=` every
    other known value of it does, or none. Rules of one `kind` share target and setting.

    Args:
        plane: control, data, graph, directory, owner, group for groups under Privileged Identity Management, agent for
            what blueprints and agent identities act as, delegated for permissions that applications use as their users
            (`target` is the API), federated for outside subjects, or resource for access that a resource gives.
    """
    import polars as pl  # noqa: PLC0415  a load asks for the words of signals alone

    rows = [
        {
            "rule": row["rule"],
            "permission": fold(row["permission"]),
            "kind": "?".join(filter(None, (fold(row["target"]), row["unless"]))),
            "target": fold(row["target"]),
            "unless": row["unless"] or None,
            "gains": row["gains"],
            "certain": row["certainty"] == "certain",
            "what": row["what"],
        }
        for row in rows_of("escalation")
        if row["plane"] == plane
    ]
    texts = ("rule", "permission", "kind", "target", "unless", "gains", "what")
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(texts, pl.String) | {"certain": pl.Boolean})


_POWERS: Mapping[str, int] = {"tenant": 1, "applications": 2, "all_groups": 2, "all_users": 2}
"""The power of what rules of the directory and of Microsoft Graph gain over the whole tenant."""
ROOT_POWER, GROUP_POWER, OUTSIDE_POWER = 2, 3, 4
"""The power of assigning any role at the root, or at a management group below it, and of an outside subject whose
principal has none of these powers."""


@cache
def _powers(plane: str) -> Mapping[str, tuple[int, int, str]]:
    """Return power, place among the rules, and what it does, by folded permission that gives the tenant away."""
    found: dict[str, tuple[int, int, str]] = {}
    for order, (permission, gains, what) in enumerate(
        escalation_rules(plane).select("permission", "gains", "what").iter_rows()
    ):
        if gains not in _POWERS:
            continue
        power = (_POWERS[gains], order, what)
        found[permission] = min(power, found.get(permission, power))
    return found


def gives_away(plane: str, permissions: Iterable[str]) -> dict[str, Any]:
    """Return the evidence `gives_away` of a grant over the whole tenant: its `power`, and `what` it does with it.

    Power 1 is Global Administrator or can become it, 2 acts as any application, user or group. Nothing is returned
    where no escalation rule says that a permission gives the tenant away.

    Args:
        plane: directory or graph.
        permissions: Folded permissions of an application, or actions and the id of a directory role.
    """
    known = _powers(plane)
    found = min((known[one] for one in permissions if one in known), default=None)
    return {} if found is None else {"gives_away": {"power": found[0], "what": found[2]}}


@cache
def role_assigning_rules() -> Mapping[str, str]:
    """Return the folded operations of Azure that assign any role at their scope, each with what it does."""
    rules = escalation_rules("control").select("permission", "what", "gains", "certain").iter_rows()
    return {permission: what for permission, what, gains, certain in rules if gains == "access" and certain}


def sought_classes(names: pl.Series) -> pl.Series:
    """Return for each folded operation the class that attackers seek it for, null where no rule names one.

    The rules are those for operations of Azure that carry data away, and those for actions of the directory.
    """
    rules = [(row["pattern"], row["risk"]) for row in rows_of("behaviour_risks") if not row["only_breadth"]]
    rules += [(f"microsoft.directory/{row['pattern'].removeprefix('*/')}", row["risk"])
              for row in rows_of("directory_risk") if row["pattern"].startswith("*/")]  # fmt: skip
    return _classes(names, rules)


def breadth_classes(names: pl.Series) -> pl.Series:
    """Return for each folded operation the class in which its resources of a day are counted, null for its own class.

    Access to a disk reads its secrets, and on many disks a day it carries data away as a snapshot does.
    """
    return _classes(names, [(row["pattern"], row["risk"]) for row in rows_of("behaviour_risks") if row["only_breadth"]])


def _classes(names: pl.Series, rules: list[tuple[str, str]]) -> pl.Series:
    import polars as pl  # noqa: PLC0415

    from rightsize.rules.operations import first_match  # noqa: PLC0415  imports polars

    found = first_match(names, [pattern for pattern, _ in rules])
    return pl.DataFrame({"rule": found}).select(
        pl.col("rule").replace_strict(range(len(rules)), [risk for _, risk in rules], default=None,
                                      return_dtype=pl.String)
    )["rule"]  # fmt: skip


@cache
def hold_days(basis: str) -> int:
    """Return for how many days a use is held without a decision: after unusual `behaviour`, or after a `signal`."""
    return next(int(row["days"]) for row in rows_of("behaviour_holds") if row["basis"] == basis)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing that an attacker leaves behind.

    Attributes:
        name: Its word.
        rank: Its place in the order of danger, from 0.
        leaves: What it is, as a noun.
        needs_no_sign_in: It works without a sign-in.
        usable_by: Who can use it.
        no_way_back: Why the requests cannot be undone; empty where they can.
        by_hand: What a person has to do beside the requests, or instead of them.
        requests: Rows of `left_behind_requests` in order, by step: read, take and undo.
    """

    name: str
    rank: int
    leaves: str
    needs_no_sign_in: bool
    usable_by: str
    no_way_back: str
    by_hand: str
    requests: Mapping[str, Sequence[Row]]


@cache
def kinds_left_behind() -> Mapping[str, Kind]:
    """Return the kinds by their word, the most dangerous first."""
    requests: dict[str, dict[str, list[Row]]] = {}
    for row in rows_of("left_behind_requests"):
        requests.setdefault(row["kind"], {}).setdefault(row["step"], []).append(row)
    rows = sorted(rows_of("left_behind_kinds"), key=lambda row: row["without_sign_in"] != "yes")
    return {
        row["kind"]: Kind(
            row["kind"], rank, row["leaves"], row["without_sign_in"] == "yes", row["usable_by"], row["no_way_back"],
            row["by_hand"], requests.get(row["kind"], {}),
        )
        for rank, row in enumerate(rows)
    }  # fmt: skip


SEVERITIES = ("low", "medium", "high", "critical")


@dataclass(frozen=True, slots=True)
class Watched:
    """A reported operation: `kind` of change, `severity` as a word of `SEVERITIES`, `what` in the past tense."""

    kind: str
    severity: str
    what: str


def watched_operations() -> Mapping[str, Watched]:
    """Return the rules by folded operation."""
    return {fold(row["operation"]): Watched(row["kind"], row["severity"], row["what"]) for row in rows_of("watched")}


def through_privileged_access(operation: str) -> bool:
    """Return whether a folded operation is itself a request to Privileged Identity Management."""
    return operation.endswith("schedulerequests/write")


@cache
def words_that_mean(meaning: str, field: str) -> tuple[str, ...]:
    """Return the folded words of a field with a meaning: `open`, `confirmed` or `dismissed`."""
    return tuple(
        fold(row["word"]) for row in rows_of("signal_states") if row["field"] == field and row["means"] == meaning
    )


def is_dismissed(status: str, classification: str) -> bool | None:
    """Return True for an alert or incident that people dismissed, False for a confirmed one, None for others."""
    if fold(classification) in words_that_mean("confirmed", "classification"):
        return False
    dismissed = fold(classification) in words_that_mean("dismissed", "classification")
    return True if dismissed or fold(status) in words_that_mean("dismissed", "alert_status") else None


@cache
def window_of(kind: str, basis: str) -> tuple[int, int] | None:
    """Return the hours before and after a signal of a kind in which calls are suspect; None without a rule.

    `basis` is `principal`, or `address` for calls from an address that the signal names.
    """
    for row in rows_of("signal_windows"):
        if (row["kind"], row["basis"]) == (kind, basis):
            return int(row["before_hours"]), int(row["after_hours"])
    return None


def says_of(key: str, title: str) -> str | None:
    """Return `overprovisioned` or `inactive` for a recommendation about identities, None for another one."""
    for row in rows_of("tool_recommendations"):
        if (row["key"] and row["key"] == fold(key)) or fnmatchcase(fold(title), row["title"]):
            return row["says"]
    return None
