"""Find what decides on linked checks beside the rules: references, refusals and what exists.

Some operations are only checked inside other writes, and no rule names these writes. `--unobservable keep` keeps such
a check beside any write. By default it stays only if both of this is true, and a check with a rule if the second is:

- A kept write can cause it. That is a write of the same resource provider, a write of a type of which a listing shows a
  resource that refers to the type of the check, or any write if a refusal in the log names the check.
- A resource of its type exists at or below the scope of the assignment, or existed there in the window. Where no
  listing is complete, and for what no listing has, this is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from operator import or_

import polars as pl

from rightsize.analyze.absence import listed_types
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.linked_checks import runs_elsewhere, type_references
from rightsize.analyze.resources import kind_of, resource_of
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.linked_checks import CheckEvidence
from rightsize.propose.needs.needs import Profile
from rightsize.propose.needs.touched_types import top_level_type
from rightsize.rbac.text import Folded
from rightsize.rules.inventory import extends_others

_REGISTRY = "microsoft.containerregistry/registries"
_PLACES = "/locations"
"""The end of a type that stands for a region: no listing of resources has it."""


def read_check_evidence(inputs: Inputs, operations: pl.DataFrame, index: OperationIndex) -> CheckEvidence:
    """Return the references that listings show, and the operations that refusals in the log name.

    Args:
        inputs: The tables.
        operations: The operations of a `Tenant`, with the reason why no log shows them.
        index: The same operations, numbered.
    """
    denied = inputs.usage_days.filter((pl.col("plane") == "control") & (pl.col("denied").fill_null(0) > 0))
    refused = denied.select(name=folded(pl.col("operation")))["name"].drop_nulls().unique()
    pairs = type_references(inputs).sort("target", "kind")
    referrers = pairs.group_by("target", maintain_order=True).agg("kind")
    elsewhere = operations.filter(runs_elsewhere(pl.col("reason"), pl.col("name"))).select("plane", "name")
    by_resource = pl.col("reason").is_null() & (pl.col("observable_by") != "activity_log")
    shown_there = operations.filter((pl.col("plane") == "control") & by_resource).select("plane", "name")
    return CheckEvidence(
        {target: tuple(kinds) for target, kinds in referrers.iter_rows()},
        frozenset(refused),
        index.mask(elsewhere.iter_rows()),
        index.mask(pl.concat([elsewhere, shown_there]).iter_rows()),
        _registries(inputs),
    )


def _registries(inputs: Inputs) -> tuple[Folded, ...]:
    """Return the folded scopes of the listed container registries, sorted."""
    places = inputs.resources.select(place=place_of(pl.col("scope"))).select(place=resource_of("place")).unique()
    return tuple(places.filter(kind_of("place") == _REGISTRY).sort("place")["place"])


def with_untargeted(profiles: Mapping[Key, Profile], analysis: Analysis, index: OperationIndex) -> dict[Key, Profile]:
    """Return the profiles with `untargeted` set: linked checks on types of which there was no resource.

    An assignment that waits for something (`Absences.waiting`) has none.

    Args:
        profiles: The profile of each assignment.
        analysis: The analysis; it has what existed where.
        index: The operations.
    """
    linked = {id(profile): profile.linked for profile in profiles.values()}
    checks = _checks_by_type(reduce(or_, linked.values(), 0), index)
    absent = _absent_masks(analysis, checks)
    judged = analysis.tenant.assignments.join(analysis.absences.waiting, on="a", how="anti")
    found = dict(profiles)
    made: dict[tuple[int, int], Profile] = {}
    for id_, state, place in judged.select("role_assignment_id", "state", "place").iter_rows():
        profile = found.get((id_, state))
        untargeted = profile.linked & absent.get(place, 0) if profile is not None else 0
        if profile is None or not untargeted:
            continue
        # Equal profiles go on sharing one object.
        shared = (id(profile), untargeted)
        if shared not in made:
            made[shared] = replace(profile, untargeted=untargeted)
        found[id_, state] = made[shared]
    return found


def _checks_by_type(linked: int, index: OperationIndex) -> dict[str, int]:
    """Return the checks by folded top-level type, of the types that a listing can have."""
    named = [(name, index.bits[plane, name]) for plane, name in index.folded_members(linked)]
    typed = pl.DataFrame(named, schema={"name": pl.String, "bit": pl.Int64}, orient="row").select(
        "bit", kind=top_level_type(pl.col("name"))
    )
    typed = typed.filter(pl.col("kind").str.contains("/", literal=True) & ~pl.col("kind").str.ends_with(_PLACES))
    listed = typed.filter(~extends_others(typed["kind"]))
    return {kind: index.mask_of_bits(bits) for kind, bits in listed.group_by("kind").agg("bit").iter_rows()}


def _absent_masks(analysis: Analysis, checks: Mapping[str, int]) -> dict[str, int]:
    """Return by folded scope the checks on types of which there was no resource at or below it."""
    there = listed_types(analysis.existence, analysis.absences)
    # Below a resource there is nothing but resources of its own type.
    inside = (
        analysis.tenant.assignments.filter(pl.col("level") == "resource")
        .select("place")
        .unique()
        .with_columns(resource=resource_of("place"))
        .select("place", kind=kind_of("resource"))
        .drop_nulls()
    )
    for place, kind in inside.iter_rows():
        there[place] = {kind}
    whole = sum(checks.values())
    return {place: whole & ~sum(checks.get(kind, 0) for kind in kinds) for place, kinds in there.items()}
