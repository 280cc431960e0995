"""Find the holders whose silence sign-in logs could still prove, and which of these logs are missing for each."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from rightsize.analyze.coverage import (
    arm_tokens,
    callers_of,
    covered_sign_in_kinds,
    described_principals,
    groups_with_known_members,
    tokens_of,
)
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded
from rightsize.analyze.window import Window

ITEM_OF_KIND = {
    "interactive": "sign_ins:user",
    "non_interactive": "sign_ins:user",
    "service_principal": "sign_ins:service_principal",
    "managed_identity": "sign_ins:managed_identity",
}
"""The missing thing that has each kind of sign-in."""

MEMBERS = "members"
SILENCE: dict[str, pl.DataType] = {
    "principal_id": pl.String(),
    "of_arm": pl.String(),
    "of_all": pl.String(),
    "is_silent": pl.Boolean(),
}


@dataclass(frozen=True, slots=True)
class _Heard:
    """The principals that are known to have had a token, and the kinds of sign-in that say nothing of one owner."""

    principals: pl.Series
    kinds: list[str]


def missing_of_silence(inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return for each holder what is missing to know that it got no token, as `SILENCE` has it.

    `of_arm` is about tokens of Azure Resource Manager, `of_all` about tokens of any kind: the missing things joined by
    `+`, or null where a token is known, where no log can tell, or where nothing is missing. `is_silent` says whether it
    is known already that the holder got no token of any kind.
    """
    callers = callers_of(inputs, window)
    heard_arm = _heard(arm_tokens(inputs, window), callers.filter("control"))
    heard_all = _heard(tokens_of(inputs, window), callers)
    covered = covered_sign_in_kinds(inputs, window)
    described = described_principals(inputs)
    of_arm = _of_holders(inputs, tenant, described, covered, heard_arm).rename({"missing": "of_arm"})
    of_all = _of_holders(inputs, tenant, described, covered, heard_all).rename({"missing": "of_all"})
    own = tenant.assignments.filter(pl.col("principal_tenant_id").is_null()).select("principal_id").unique()
    return (
        own.join(of_arm, on="principal_id", how="left")
        .join(of_all, on="principal_id", how="left")
        .with_columns(is_silent=(pl.col("of_all") == "").fill_null(False))
        .with_columns(pl.col("of_arm", "of_all").replace("", None))
        .select(*SILENCE)
        .sort("principal_id")
    )


def _heard(tokens: pl.DataFrame, callers: pl.DataFrame) -> _Heard:
    anonymous = tokens.filter(pl.col("principal_id").is_null())["kind"].drop_nulls().unique().to_list()
    return _Heard(pl.concat([tokens["principal_id"], callers["principal_id"]]).drop_nulls().unique(), anonymous)


def silence_of(inputs: Inputs, window: Window, holders: pl.Series) -> pl.DataFrame:
    """Return `(principal_id, silence)` of holders of directory roles: the ways to know that each got no token.

    Members of a group count one by one; each thing that may be missing for some of them is a way of its own.
    """
    heard = _heard(tokens_of(inputs, window), callers_of(inputs, window))
    covered = covered_sign_in_kinds(inputs, window)
    described = described_principals(inputs)
    is_group = pl.col("principal_type") == "Group"
    single = _of_singles(described.filter(~is_group), covered, heard).filter(pl.col("missing") != "")
    groups = described.filter(is_group & pl.col("principal_id").is_in(holders.implode()))["principal_id"]
    lacking = sorted({item for kind, item in ITEM_OF_KIND.items() if kind not in covered})
    known = groups_with_known_members(inputs, described).implode()
    open_too = pl.when(~pl.col("principal_id").is_in(known)).then(pl.lit(MEMBERS))
    of_groups = pl.DataFrame({"principal_id": groups}).select(
        "principal_id", silence=pl.concat_list(pl.lit(lacking, dtype=pl.List(pl.String)), open_too).list.drop_nulls()
    )
    alone = single.filter(pl.col("principal_id").is_in(holders.implode()))
    return pl.concat([alone.select("principal_id", silence=pl.concat_list("missing")), of_groups])


def _of_singles(described: pl.DataFrame, covered: list[str], heard: _Heard) -> pl.DataFrame:
    """Return the principals with `missing`: null where no log could tell, an empty text where nothing is missing."""
    lacking = pl.col("kinds").list.set_difference(covered)
    may_tell = pl.col("kinds").list.set_intersection(heard.kinds).list.len() == 0
    return described.with_columns(
        missing=pl.when(may_tell & ~pl.col("principal_id").is_in(heard.principals.implode())).then(
            lacking.list.eval(pl.element().replace_strict(ITEM_OF_KIND, default=None, return_dtype=pl.String))
            .list.unique()
            .list.sort()
            .list.join("+")
        )
    )


def _of_holders(
    inputs: Inputs, tenant: Tenant, described: pl.DataFrame, covered: list[str], heard: _Heard
) -> pl.DataFrame:
    """Return `(principal_id, missing)` of the principals and groups that may be silent."""
    single = _of_singles(described, covered, heard)
    groups = described.filter(pl.col("principal_type") == "Group")["principal_id"]
    persons = single.filter(~pl.col("principal_id").is_in(groups.implode()))
    of_groups = _of_groups(inputs, tenant, described, persons, groups)
    found = pl.concat([persons.select("principal_id", "missing"), of_groups])
    return found.drop_nulls("missing").unique("principal_id", keep="any")


def _of_groups(
    inputs: Inputs, tenant: Tenant, described: pl.DataFrame, persons: pl.DataFrame, groups: pl.Series
) -> pl.DataFrame:
    """Return `(principal_id, missing)` of groups: what members lack, and the members where not all are known."""
    known = groups_with_known_members(inputs, described)
    devices = folded(inputs.group_members.filter(pl.col("member_type") == "Device")["member_id"])
    members = (
        tenant.may_reach.filter(
            pl.col("holder").is_in(groups.implode())
            & ~pl.col("principal_id").is_in(groups.implode())
            & ~pl.col("principal_id").is_in(devices.implode())
        )
        .join(persons.select("principal_id", "missing"), on="principal_id", how="left")
        .group_by("holder")
        .agg(loud=pl.col("missing").is_null().any(), lacks=pl.col("missing").unique().sort().str.join("+"))
    )
    rows = pl.DataFrame({"holder": groups.unique()}).join(members, on="holder", how="left")
    listed = pl.when(pl.col("holder").is_in(known.implode())).then(pl.lit("")).otherwise(pl.lit(MEMBERS))
    parts = pl.concat_str(pl.col("lacks").fill_null(""), listed, separator="+").str.split("+")
    return rows.filter(~pl.col("loud").fill_null(False)).select(
        principal_id="holder",
        missing=parts.list.eval(pl.element().filter(pl.element() != "")).list.unique().list.sort().list.join("+"),
    )
