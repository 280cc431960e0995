"""List what a store lacks, and what each missing thing blocks, from tables and the window of an analysis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.columns import folded, place_of, read_tree
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.listings import Listings
from rightsize.analyze.verdicts.coverage import covered_sign_in_kinds, open_groups
from rightsize.analyze.window import (
    LONGEST_GAP,
    NEWEST_DAYS,
    Window,
    administrative,
    days_of_scopes,
    is_shown,
    judge_days,
)
from rightsize.model.access_answers import DENY_ASSIGNMENTS, ELIGIBILITY, ROLE_ASSIGNMENTS
from rightsize.model.progress import counted
from rightsize.store.connection import Store

TABLES = (
    "coverage",
    "group_closure",
    "group_members",
    "listings",
    "principals",
    "role_assignments",
    "role_definitions",
    "scopes",
)
_PEOPLE, _WORKLOADS = ("interactive", "non_interactive"), ("managed_identity", "service_principal")
# A subscription is complete where any reader has a complete listing of the kind.
_COMPLETE = """
    SELECT DISTINCT scope, kind = 'providers' AS is_providers FROM inventories WHERE complete"""


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that a store lacks.

    Attributes:
        what: What is missing.
        blocks: What cannot be said or done without it.
    """

    what: str
    blocks: str


def find_missing(store: Store, window: Window | None) -> list[Missing]:
    """Return what the store lacks, in the order in which it stops an analysis."""
    inputs = Inputs.of(**{name: store.table(name) for name in TABLES})
    complete = store.frame(_COMPLETE)
    has_catalogue = bool(store.frame("SELECT count(*) > 0 AS found FROM operations").item())
    return [
        *_of_grants(inputs, has_catalogue),
        *_of_access(inputs),
        *_of_logs(inputs, window),
        *_of_sign_ins(inputs, window),
        *_of_inventories(inputs, complete),
    ]


def _of_grants(inputs: Inputs, has_catalogue: bool) -> Iterator[Missing]:
    assignments = inputs.role_assignments
    if assignments.is_empty():
        yield Missing("role assignments", "there is no access to judge")
    if not has_catalogue:
        yield Missing("catalogue of operations", "unused operations cannot be named, and `propose` stops")
    held = folded(assignments["role_definition_id"].drop_nulls()).unique()
    known = folded(inputs.role_definitions["role_definition_id"].drop_nulls())
    unknown = held.filter(~held.is_in(known.implode())).len()
    if unknown:
        yield Missing(
            f"definitions of {counted(unknown, 'assigned role')}",
            "what these roles grant is not known, so their assignments stay",
        )
    holders = folded(assignments["principal_id"].drop_nulls()).unique()
    listed = folded(inputs.principals.filter(pl.col("listed").fill_null(False))["principal_id"])
    unlisted = holders.filter(~holders.is_in(listed.implode())).len()
    if unlisted:
        yield Missing(
            f"listings of {counted(unlisted, 'holder')}", "whether they still exist is not known, and names are missing"
        )
    groups = folded(assignments.filter(pl.col("principal_type") == "Group")["principal_id"].drop_nulls()).unique()
    closed = groups.filter(groups.is_in(open_groups(inputs).implode())).len()
    if closed:
        yield Missing(
            f"members of {counted(closed, 'group')} with assignments", "who these groups reach, and who used them"
        )


def _of_access(inputs: Inputs) -> Iterator[Missing]:
    """Yield what is not listed completely; roles and group members are counted among the grants."""
    found = Counter(lack.listing for lack in Listings(inputs.listings, {}).incomplete())
    for kind in (ROLE_ASSIGNMENTS, ELIGIBILITY, DENY_ASSIGNMENTS):
        if found[kind.name]:
            yield Missing(f"{kind.words} of {counted(found[kind.name], 'scope')}", kind.costs)


def _of_logs(inputs: Inputs, window: Window | None) -> Iterator[Missing]:
    rows = administrative(inputs.coverage)
    if rows.is_empty() or window is None:
        yield Missing("Activity Log", "it covers no day, so no operation can be shown as unused")
        return
    tree = read_tree(inputs.scopes, place_of(rows["scope"].unique()))
    places = tree.subscriptions.select("place").with_columns(since=pl.lit(window.first_day))
    days = days_of_scopes(rows, tree).unique().filter(window.holds("day"))
    judged = judge_days(days, window, places)
    dark = judged.filter(~is_shown(pl.col("state")))
    if not dark.is_empty():
        yield Missing(
            f"days of the Activity Log of {dark.height:,} of {counted(judged.height, 'subscription')}: "
            f"{window.days_asked} days of the window, the newest {NEWEST_DAYS} and no gap over {LONGEST_GAP} needed",
            "what was not used there cannot be shown, so assignments stay",
        )
    if window.preview is not None:
        yield Missing(
            f"a whole window: the logs fit one of {window.days} days",
            "a plan is a preview, and `rollout` refuses it without `--accept-short-window`",
        )


def _of_sign_ins(inputs: Inputs, window: Window | None) -> Iterator[Missing]:
    covered = covered_sign_in_kinds(inputs, window) if window is not None else []
    for who, kinds in (("people", _PEOPLE), ("workloads", _WORKLOADS)):
        lacking = [kind.replace("_", " ") for kind in kinds if kind not in covered]
        if lacking:
            yield Missing(
                f"sign-in logs of {who} for the whole window ({', '.join(lacking)})",
                "reads of Azure Resource Manager cannot be excluded, so a reading role stays",
            )


def _of_inventories(inputs: Inputs, complete: pl.DataFrame) -> Iterator[Missing]:
    scopes = inputs.scopes.filter(pl.col("kind") == "subscription")
    places = folded(scopes["scope"]).unique()
    for is_providers, what, blocks in (
        (False, "complete listing of resources", "operations on types that do not exist there cannot be excluded"),
        (True, "listing of resource providers", "operations of unregistered providers cannot be excluded"),
    ):
        done = folded(complete.filter(pl.col("is_providers") == is_providers)["scope"])
        lacking = places.filter(~places.is_in(done.implode())).len()
        if lacking:
            yield Missing(f"{what} of {lacking:,} of {counted(places.len(), 'subscription')}", blocks)
