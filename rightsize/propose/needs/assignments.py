"""Read today's assignments, their judged unused operations and their use from the columns of an analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from rightsize.analyze.coverage import covered_subscriptions
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.log_gaps import find_gaps
from rightsize.analyze.reasons import SHOWN, UnobservableReason, Verdict
from rightsize.analyze.scoping import containing
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded, place_of
from rightsize.analyze.verdicts import Analysis
from rightsize.propose.core.bitsets import OperationIndex
from rightsize.propose.core.expiry import end_text
from rightsize.propose.core.resource_lifetimes import Lifetimes, read_lifetimes
from rightsize.propose.core.scopes import anchor_of, place
from rightsize.propose.needs.drafts import Key, Subject
from rightsize.propose.needs.needs import Profile, Use
from rightsize.rbac.text import Folded
from rightsize.rules.inventory import decided_type

# The reasons that a read of Resource Manager may have. Reads of data endpoints have others and count as `hidden`.
_READ_REASONS = (UnobservableReason.ARM_READ, UnobservableReason.NOT_KNOWN_TO_BE_LOGGED)


def read_subjects(inputs: Inputs) -> list[Subject]:
    """Return all of today's assignments, sorted by id and state."""
    rows = inputs.role_assignments.select(
        "role_assignment_id",
        "state",
        folded(pl.col("principal_id")),
        role_definition_id=folded(pl.col("role_definition_id")),
        scope="scope",
        place=place_of(pl.col("scope")),
        anchor=anchor_of(pl.col("scope")),
        condition=pl.when(pl.col("condition").fill_null("") != "").then("condition"),
        end_on=end_text("end_on"),
    )
    return [Subject(*row) for row in rows.sort("role_assignment_id", "state").iter_rows()]


def read_profiles(analysis: Analysis, index: OperationIndex) -> dict[Key, Profile]:
    """Return the profile of each assignment: its unused operations by verdict; equal profiles share one object."""
    window = analysis.window
    reasons = _reasons(analysis.profile_operations, index)
    lacking = _lacking(analysis, index)
    profiles = {
        profile_id: replace(_profile(found, index), lacking=lacking.get(profile_id, 0))
        for profile_id, found in reasons.items()
    }
    covered = find_gaps(analysis).covered(window)
    rows = analysis.profiles.join(covered, on=["role_assignment_id", "state"], how="left", maintain_order="left")
    in_part = rows.select("profile_id", "covered_days").drop_nulls().unique().sort("profile_id", "covered_days")
    of_days = {
        (profile_id, days): replace(profiles[profile_id], coverage=(days, window.days))
        for profile_id, days in in_part.iter_rows()
    }
    found = rows.select("role_assignment_id", "state", "profile_id", "covered_days").iter_rows()
    return {
        (id_, state): of_days.get((profile_id, days)) or profiles.get(profile_id, Profile())
        for id_, state, profile_id, days in found
    }


def _reasons(judged: pl.DataFrame, index: OperationIndex) -> dict[int, dict[tuple[str, str], int]]:
    """Return by profile the operations of each (verdict, reason)."""
    rows = (
        judged.with_columns(name=folded(pl.col("operation")))
        .join(index.frame(), on=["plane", "name"])
        .group_by("profile_id", "verdict", "reason")
        .agg("bit")
        .sort("profile_id", "verdict", "reason")
    )
    reasons: dict[int, dict[tuple[str, str], int]] = {}
    for profile_id, verdict, reason, bits in rows.iter_rows():
        reasons.setdefault(profile_id, {})[verdict, reason] = index.mask_of_bits(bits)
    return reasons


def _lacking(analysis: Analysis, index: OperationIndex) -> dict[int, int]:
    """Return by profile the operations that can be performed only on types of which there was no resource."""
    if analysis.absent.is_empty():
        return {}
    frame = index.frame()
    typed = frame.with_columns(kind=decided_type(frame["name"])).drop_nulls("kind")
    of_kind = {kind: index.mask_of_bits(bits) for kind, bits in typed.group_by("kind").agg("bit").iter_rows()}
    found: dict[int, int] = {}
    for profile_id, kind in analysis.absent.select("profile_id", "kind").iter_rows():
        found[profile_id] = found.get(profile_id, 0) | of_kind.get(kind, 0)
    return found


def _profile(reasons: Mapping[tuple[str, str], int], index: OperationIndex) -> Profile:
    reads = linked = hidden = open_ = unused = 0
    for (verdict, reason), mask in reasons.items():
        if verdict == Verdict.OUT_OF_COVERAGE:
            open_ |= mask
        elif verdict == Verdict.UNUSED:
            unused |= mask
        elif reason == UnobservableReason.LINKED_CHECK:
            linked |= mask
        elif reason in _READ_REASONS:
            reads |= mask & index.reads
            hidden |= mask & ~index.reads
        else:
            hidden |= mask
    covered = 0
    for reason in SHOWN:
        covered |= reasons.get((Verdict.UNUSED, reason), 0)
    return Profile(reads, linked, hidden, open_, unused, covered, reasons)


def place_uses(inputs: Inputs, analysis: Analysis, tenant: Tenant, index: OperationIndex) -> pl.DataFrame:
    """Return the used verdicts with `name` (folded), `bit` (null if no catalogue and no role has it) and `place`.

    `target` is the folded scope at which the use has to be granted, and `wider` the reason why it is not narrower.
    `inside` is true if the target is known to be at or below the scope of the assignment. `earlier` marks use from
    before the window that still counts: its target is never a single resource, since the log of the days between may
    not show that the resource was deleted and created again.
    """
    lifetimes = _lifetimes(inputs, analysis)
    unsure = replace(lifetimes, lasting=lifetimes.lasting.clear())
    used = _with_scopes(analysis.verdicts.filter(pl.col("verdict") == Verdict.USED), inputs)
    placed = pl.concat(
        [
            place(used, lifetimes).with_columns(earlier=pl.lit(False)),
            place(_with_scopes(analysis.earlier, inputs), unsure).with_columns(earlier=pl.lit(True)),
        ]
    )
    listed = placed.join(index.frame(), on=["plane", "name"], how="left")
    return _with_inside(listed, tenant).drop("assigned_at", "assigned")


def read_quarantined(inputs: Inputs, analysis: Analysis, index: OperationIndex) -> dict[Key, dict[Folded, int]]:
    """Return what calls in quarantine used under each assignment, by the folded scope at which it would be granted.

    A scope that is not known to be below the one of the assignment counts as the latter.
    """
    if analysis.quarantined.is_empty():
        return {}
    placed = place(_with_scopes(analysis.quarantined, inputs), _lifetimes(inputs, analysis))
    rows = (
        _with_inside(placed.join(index.frame(), on=["plane", "name"]), analysis.tenant)
        .with_columns(at=pl.when("inside").then("target").otherwise("assigned"))
        .group_by("role_assignment_id", "state", "at")
        .agg(pl.col("bit").unique())
        .sort("role_assignment_id", "state", "at")
    )
    found: dict[Key, dict[Folded, int]] = {}
    for id_, state, at, bits in rows.iter_rows():
        found.setdefault((id_, state), {})[at] = index.mask_of_bits(bits)
    return found


def _lifetimes(inputs: Inputs, analysis: Analysis) -> Lifetimes:
    covered = covered_subscriptions(inputs, analysis.window, analysis.tenant)
    return read_lifetimes(inputs.usage_days, analysis.window, covered)


def _with_inside(placed: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Add `inside`: whether the target is known to be at or below the scope of the assignment."""
    reached = containing(placed["target"], placed["assigned"], tenant.tree).with_columns(inside=pl.lit(True))
    return placed.join(
        reached, left_on=["target", "assigned"], right_on=["place", "assigned"], how="left"
    ).with_columns(pl.col("inside").fill_null(False))


def _with_scopes(rows: pl.DataFrame, inputs: Inputs) -> pl.DataFrame:
    """Return rows of use with `name`, `place`, and the scope of their assignment, as spelled and folded."""
    held = inputs.role_assignments.select("role_assignment_id", "state", assigned_at="scope")
    return rows.join(held, on=["role_assignment_id", "state"]).with_columns(
        name=folded(pl.col("operation")), place=place_of(pl.col("scope")), assigned=place_of(pl.col("assigned_at"))
    )


def read_uses(placed: pl.DataFrame, index: OperationIndex) -> dict[Key, dict[Folded, Use]]:
    """Return the use under each assignment, by the folded scope at which it has to be granted."""
    grouped = (
        placed.group_by("role_assignment_id", "state", "target")
        .agg(
            bits=pl.col("bit").drop_nulls().unique(),
            seen=pl.col("bit").filter(~pl.col("earlier")).drop_nulls().unique(),
            unknown=pl.struct("plane", "operation", "name").filter(pl.col("bit").is_null()).unique(),
        )
        .sort("role_assignment_id", "state", "target")
    )
    uses: dict[Key, dict[Folded, Use]] = {}
    for id_, state, target, bits, seen, unknown in grouped.iter_rows():
        named = sorted({(item["plane"], item["operation"], item["name"]) for item in unknown})
        operations = index.mask_of_bits(bits)
        earlier = operations & ~index.mask_of_bits(seen) if len(seen) < len(bits) else 0
        uses.setdefault((id_, state), {})[target] = Use(
            operations,
            tuple((plane, operation) for plane, operation, _ in named),
            earlier,
            frozenset((plane, name) for plane, _, name in named),
        )
    return uses
