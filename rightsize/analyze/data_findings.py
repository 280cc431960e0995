"""Find role assignments whose data actions have no effect, and resources that give access beside Azure roles.

Data actions on a vault with access policies, or on a cluster without Azure RBAC, have no effect until the setting
changes. Then they take effect at once, perhaps years after anybody thought of them. Keys and local accounts bypass
roles altogether.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.inputs import Inputs, schema_of
from rightsize.analyze.resource_logs import log_rules, rules_of
from rightsize.analyze.resources import (
    ANONYMOUS,
    AZURE_ROLES,
    KEYS,
    REPOSITORY_ROLES,
    known_resources,
    resource_of,
    setting_facts,
    with_answer,
)
from rightsize.analyze.scoping import containing
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.window import Window

_COLUMNS = tuple(schema_of("findings"))
_BY_KEY = ("key", "sas")
_WHY_INERT = {
    "microsoft.keyvault/vaults": "which use access policies",
    "microsoft.containerservice/managedclusters": "which do not use Azure RBAC for Kubernetes",
    "microsoft.containerregistry/registries": "which decide for the registry and not by repository",
}


def find_about_resources(inputs: Inputs, window: Window) -> list[pl.DataFrame]:
    """Return frames with the columns of the table `findings`, about resources.

    Controls: `keys_allowed`, `keys_used` where it is not known whether they are allowed, `anonymous_allowed`, and
    `access_beside_roles`.
    """
    facts = setting_facts(inputs)
    return [
        _keys(inputs, window, facts),
        _of_resources(
            with_answer(facts, ANONYMOUS, "yes"),
            "anonymous_allowed",
            "medium",
            "anybody may be able to read it without signing in",
        ),
        _of_resources(
            facts.filter(
                (pl.col("fact") == AZURE_ROLES) & (pl.col("answer") == "no") & pl.col("kind").is_in(list(_WHY_INERT))
            )["resource"],
            "access_beside_roles",
            "low",
            "access policies or roles of its own decide who reads and writes its data, and not Azure roles",
        ),
    ]


def _of_resources(resources: pl.Series, control: str, severity: str, reason: str) -> pl.DataFrame:
    rows = pl.DataFrame({"subject": resources.unique().sort()}, schema={"subject": pl.String})
    return _named(rows.with_columns(reason=pl.lit(reason)), control, severity)


def _named(rows: pl.DataFrame, control: str, severity: str) -> pl.DataFrame:
    described = rows.with_columns(control=pl.lit(control), severity=pl.lit(severity))
    if "principal_id" not in described.columns:
        described = described.with_columns(principal_id=pl.lit(None, dtype=pl.String))
    return described.select(_COLUMNS)


def find_inert_data_actions(inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return assignments with data actions on a kind of resource where every such resource below ignores them."""
    facts = setting_facts(inputs)
    deaf = facts.filter(pl.col("fact").is_in([AZURE_ROLES, REPOSITORY_ROLES]) & (pl.col("answer") == "no"))
    kinds = log_rules().select("rule", "kind")
    data = tenant.grants.filter(pl.col("plane") == "data")
    granted = data.join(rules_of(data), on=["name", "plane"]).join(kinds, on="rule").select("role", "kind").unique()
    granted = granted.join(deaf, on="kind", how="semi")
    if granted.is_empty():
        return pl.DataFrame(schema=schema_of("findings"))
    places = tenant.assignments["place"].unique()
    resources = known_resources(inputs)
    inside = pl.DataFrame({"place": places}).with_columns(resource=resource_of("place")).drop_nulls("resource")
    below = containing(resources["resource"], places, tenant.tree).select(place="assigned", resource="place")
    around = pl.concat([inside, below]).unique().join(resources.select("resource", "kind"), on="resource")
    judged = around.with_columns(deaf=pl.col("resource").is_in(deaf["resource"].unique().implode()))
    silent = judged.group_by("place", "kind").agg(pl.col("deaf").all(), count=pl.len()).filter("deaf")
    described = silent.with_columns(why=pl.col("kind").replace_strict(_WHY_INERT, default=None, return_dtype=pl.String))
    found = tenant.assignments.join(granted, on="role").join(described.drop_nulls("why"), on=["place", "kind"])
    reasons = found.with_columns(
        text=pl.format(
            "its data actions have no effect at {} {}, {}, until that is changed", "count", pl.col("kind"), "why"
        )
    )
    rows = reasons.group_by(subject="role_assignment_id").agg(
        principal_id=pl.col("principal_id").first(), reason=pl.col("text").unique().sort().str.join("; ")
    )
    return _named(rows, "inert_data_actions", "low")


def _keys(inputs: Inputs, window: Window, facts: pl.DataFrame) -> pl.DataFrame:
    """Return the resources where keys or local accounts bypass roles, with how often these were used."""
    used = (
        inputs.request_access.filter(window.holds("day") & pl.col("access").is_in(_BY_KEY))
        .group_by(subject="resource")
        .agg(requests=pl.col("events").sum(), days=pl.col("day").n_unique())
    )
    allowed = with_answer(facts, KEYS, "yes")
    rows = pl.DataFrame({"subject": allowed.unique()}, schema={"subject": pl.String}).join(
        used, on="subject", how="left"
    )
    seen = pl.format("{} requests used them on {} days", "requests", "days")
    described = rows.with_columns(
        reason=pl.format(
            "keys or local accounts bypass every role here, and {}",
            pl.when(pl.col("requests").is_null()).then(pl.lit("no log shows a request with them")).otherwise(seen),
        )
    )
    settled = facts.filter(pl.col("fact") == KEYS)["resource"].unique()
    others = used.filter(~pl.col("subject").is_in(settled.implode())).with_columns(
        reason=pl.format("requests by key bypass every role here: {} on {} days", "requests", "days")
    )
    return pl.concat([_named(described, "keys_allowed", "medium"), _named(others, "keys_used", "medium")])
