"""Compute the findings of an analysis besides verdicts: one row for each control and subject, with a sentence."""

from __future__ import annotations

import polars as pl

from rightsize.analyze.coverage import covered_sign_in_kinds, described_principals
from rightsize.analyze.data_findings import find_about_resources, find_inert_data_actions
from rightsize.analyze.duplicates import find_duplicates
from rightsize.analyze.holders import classify_holders
from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.pim_findings import find_about_pim
from rightsize.analyze.reasons import Verdict, sentence
from rightsize.analyze.tenant import granted_by_patterns
from rightsize.analyze.text import folded
from rightsize.analyze.totals import unexplained_operations
from rightsize.analyze.verdicts import Analysis
from rightsize.rbac.text import fold
from rightsize.rules.operations import is_emergency_name, privilege_patterns

_COLUMNS = tuple(schema_of("findings"))
# Writes of roles, assignments and policies. Contributor has none: it may cancel requests and exempt from policies.
_GIVES_RIGHTS = r"^microsoft\.authorization/(.*/write|elevateaccess/action)$"
_WIDE = ("subscription", "management_group", "root")


def find(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the rows of the table `findings`, sorted by control and subject."""
    return pl.concat([_find_about_holders(inputs, analysis), *find_about_resources(inputs, analysis.window)]).sort(
        "control", "subject"
    )


def _find_about_holders(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return the findings that are about principals and their assignments."""
    found = [
        _orphans(inputs, analysis),
        _duplicates(analysis),
        _never_signed_in(inputs, analysis),
        _unexplained(analysis),
        _standing_privilege(analysis),
        _emergency_access(inputs),
        _inert(inputs, analysis),
        find_about_pim(inputs, analysis),
        find_inert_data_actions(inputs, analysis.tenant),
    ]
    return (
        pl.concat([frame.select(_COLUMNS) for frame in found])
        # An id may stand in several states; the finding is about the assignment.
        .unique(["control", "subject"], keep="first", maintain_order=True)
        .sort("control", "subject")
    )


def _said(control: str, severity: str, reason: str | pl.Expr) -> dict[str, pl.Expr]:
    text = pl.lit(reason) if isinstance(reason, str) else reason
    return {"control": pl.lit(control), "severity": pl.lit(severity), "reason": text}


def _orphans(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    judged = analysis.tenant.assignments["role_assignment_id"]
    holders = classify_holders(inputs, judged).rename({"role_assignment_id": "subject"})
    orphans = holders.filter(pl.col("holder") == "orphan").with_columns(
        **_said("orphaned_assignment", "medium", "its principal no longer exists")
    )
    deleted = folded(inputs.principals.filter(pl.col("deleted_on").is_not_null())["principal_id"])
    reason = (
        pl.when(pl.col("principal_id").is_in(deleted.implode()))
        .then(pl.lit("its holder is among the deleted items, from which it can come back"))
        .otherwise(pl.lit("no loaded listing has its holder, and nothing proves it deleted"))
    )
    unresolved = holders.filter(pl.col("holder") == "unresolved").with_columns(
        **_said("unresolved_principal", "low", reason)
    )
    return pl.concat([orphans, unresolved]).select(_COLUMNS)


def _duplicates(analysis: Analysis) -> pl.DataFrame:
    holders = analysis.tenant.assignments.select("role_assignment_id", "state", "principal_id")
    return (
        find_duplicates(analysis.tenant)
        .join(holders, on=["role_assignment_id", "state"])
        .with_columns(
            subject="role_assignment_id",
            **_said(
                "duplicate_assignment",
                "low",
                pl.format("assignment {} grants all of it", "contained_by"),
            ),
        )
        .select(_COLUMNS)
        .sort("subject")
    )


def _never_signed_in(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    covered = covered_sign_in_kinds(inputs, analysis.window)
    seen = inputs.sign_ins.filter(analysis.window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    acted = analysis.usage.filter(pl.col("events") > 0)["principal_id"]
    awake = pl.concat([folded(seen["principal_id"]), acted]).drop_nulls().unique()
    speaks = pl.col("kinds").list.set_difference(covered).list.len() == 0
    reached = analysis.tenant.membership.join(
        analysis.tenant.assignments.select("principal_id"), left_on="holder", right_on="principal_id", how="semi"
    )["principal_id"].unique()
    quiet = described_principals(inputs).filter(
        speaks.fill_null(False)
        & ~pl.col("principal_id").is_in(awake.implode())
        & pl.col("principal_id").is_in(reached.implode())
    )
    text = f"no sign-in from {analysis.window.first_day} to {analysis.window.last_day}, though every day is covered"
    return quiet.with_columns(subject="principal_id", **_said("no_sign_in", "medium", text)).select(_COLUMNS)


def _unexplained(analysis: Analysis) -> pl.DataFrame:
    rows = analysis.verdicts.filter(pl.col("verdict") == Verdict.UNEXPLAINED.value).drop_nulls("principal_id")
    words = rows["reason"].unique().to_list()
    reasons = rows.with_columns(
        reasons=pl.col("reason").replace_strict({word: sentence(word) for word in words}, default="")
    )
    return (
        reasons.group_by(subject="principal_id")
        .agg(
            principal_id=pl.col("principal_id").first(),
            count=unexplained_operations(),
            reasons=pl.col("reasons").unique().sort(),
        )
        .with_columns(
            **_said(
                "unexplained_use",
                "medium",
                pl.format("unexplained operations: {} ({})", "count", pl.col("reasons").list.join("; ")),
            )
        )
        .select(_COLUMNS)
        .sort("subject")
    )


def _standing_privilege(analysis: Analysis) -> pl.DataFrame:
    """Return permanent active assignments that can give anybody rights, by writing roles, assignments or policies.

    Other operations of the class `privilege` (federated credentials, access policies) are in every Contributor, and
    would bury these.
    """
    tenant = analysis.tenant
    catalogued = tenant.operations.filter((pl.col("risk") == "privilege") & (pl.col("plane") == "control"))["name"]
    # Where no catalogue lists the operations of a pattern, its write stands for them.
    probes = [f"{fold(p)[:-1]}write" if p.endswith("/*") else fold(p) for p in privilege_patterns()]
    names = pl.concat([catalogued, pl.Series(probes, dtype=pl.String)]).unique()
    names = names.filter(names.str.contains(_GIVES_RIGHTS))
    wanted = pl.DataFrame({"name": names}).with_columns(plane=pl.lit("control"))
    unconditional = tenant.patterns.filter(pl.col("condition").is_null())
    roles = granted_by_patterns(unconditional, wanted)["role"].unique()
    permanent = tenant.assignments.filter(
        (pl.col("state") == "active")
        & ~pl.col("twin")
        & pl.col("end_on").is_null()
        & pl.col("condition").is_null()
        & pl.col("role").is_in(roles.implode())
    )
    said = _said(
        "standing_privilege", "medium", "it can give anybody rights, permanently, without activation or condition"
    )
    severity = pl.when(pl.col("level").is_in(_WIDE)).then(pl.lit("high")).otherwise(pl.lit("medium"))
    return permanent.with_columns(subject="role_assignment_id", **(said | {"severity": severity})).select(_COLUMNS)


def _emergency_access(inputs: Inputs) -> pl.DataFrame:
    names = [folded(pl.col(column)).fill_null("") for column in ("display_name", "user_principal_name")]
    matched = pl.any_horizontal(is_emergency_name(name) for name in names)
    return (
        inputs.principals.filter((pl.col("principal_type") == "User").fill_null(False) & matched)
        .with_columns(
            subject="principal_id",
            **_said("emergency_access_account", "low", "it is named like an emergency access account: leave it alone"),
        )
        .select(_COLUMNS)
        .sort("subject")
    )


def _inert(inputs: Inputs, analysis: Analysis) -> pl.DataFrame:
    """Return assignments that give nobody anything today: empty roles, empty groups, disabled holders, past ends."""
    tenant = analysis.tenant
    allowing = tenant.patterns.filter(pl.col("kind").is_in(["action", "data_action"]))["role"].unique()
    complete = inputs.listings.filter(
        pl.col("complete").fill_null(False) & pl.col("listing").is_in(["members", "transitiveMembers"])
    )
    with_members = tenant.may_reach.filter(pl.col("principal_id") != pl.col("holder"))["holder"].unique()
    listed = folded(complete["of"]).unique()
    empty_groups = listed.filter(~listed.is_in(with_members.implode()))
    disabled = inputs.principals.filter(~pl.col("account_enabled").fill_null(True))["principal_id"]
    cases = (
        (pl.col("role_known") & ~pl.col("role").is_in(allowing.implode()), "its role grants nothing"),
        (pl.col("principal_id").is_in(empty_groups.implode()), "its group has no members"),
        (pl.col("principal_id").is_in(folded(disabled).implode()), "its holder is not allowed to sign in"),
        ((pl.col("end_on") < analysis.window.end).fill_null(False), "it ended before the end of the window"),
    )
    reason = pl.coalesce(pl.when(holds).then(pl.lit(text)) for holds, text in cases)
    found = tenant.assignments.with_columns(reason=reason).filter(pl.col("reason").is_not_null())
    said = _said("inert_assignment", "low", pl.col("reason"))
    return found.with_columns(subject="role_assignment_id", **said).select(_COLUMNS)
