"""Compute for each assignment whether the logs of the resources below it could have shown use of data planes.

Each resource sends its log by its own diagnostic settings; a storage account has settings for each service. A day is
covered where the log has rows, or where somebody declares the log complete and a setting sends it. Where a setting was
changed in the window, a declaration proves nothing for the days before; where one was deleted, it proves nothing at
all.
"""

from __future__ import annotations

import json
import re

import polars as pl

from rightsize.analyze.inputs import Inputs, containing, folded, node_of, once, place_of
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Unused
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.usage import named_use
from rightsize.analyze.window import Window, judge_days, missing_days
from rightsize.model.text import fold
from rightsize.rules.operations import first_match
from rightsize.rules.tables import rows_of
from rightsize.rules.vaults import VAULT

RESOURCE = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/[^/]+/[^/]+/[^/]+)"
_KIND = r"^/subscriptions/[^/]+/resourcegroups/[^/]+/providers/([^/]+/[^/]+)/"

AZURE_ROLES = "azure_roles"
KEYS = "keys"
ANONYMOUS = "anonymous"
REPOSITORY_ROLES = "repository_roles"


def resource_of(place: str) -> pl.Expr:
    """Return the top-level resource that a folded place is or lies in, null above resources."""
    return pl.col(place).str.extract(RESOURCE)


def kind_of(resource: str) -> pl.Expr:
    """Return the folded type of a folded top-level resource."""
    return pl.col(resource).str.extract(_KIND)


def kind_at(place: str) -> str | None:
    """Return the folded type of the top-level resource that a folded place is or lies in, None above resources."""
    found = re.match(_KIND, place)
    return found[1] if found else None


def logged_kinds() -> list[str]:
    """Return the folded types of resource that `resource_logs` has rules for."""
    return sorted({fold(row["resource_type"]) for row in rows_of("resource_logs")})


def known_resources(inputs: Inputs, *scopes: pl.Series) -> pl.DataFrame:
    """Return `(resource, kind, created)` of the resources that a listing, an assignment or one of the scopes names.

    `created` is the day on which it was made, null where that is not known. Only types whose data planes can be logged
    are in it: a resource that no listing shows, since it is gone or was not seen, counts like any other.
    """
    listed = inputs.resources.select(
        resource=place_of(inputs.resources["scope"]), created=pl.col("created_on").dt.date()
    )
    places = [place_of(named.drop_nulls().unique()) for named in (inputs.role_assignments["scope"], *scopes)]
    named = pl.DataFrame({"place": pl.concat(places).unique()}).select(
        resource=resource_of("place"), created=pl.lit(None, dtype=pl.Date)
    )
    return (
        pl.concat([listed, named])
        .drop_nulls("resource")
        .group_by("resource")
        .agg(pl.col("created").max())
        .with_columns(kind=kind_of("resource"))
        .filter(pl.col("kind").is_in(logged_kinds()))
        .sort("resource")
    )


def listed_kinds(inputs: Inputs, whole: pl.Series) -> pl.DataFrame:
    """Return `(node, kind)`: the types of which listings show every resource of a subscription.

    A page of Resource Manager without a next link shows all resources of the types in it.

    Args:
        inputs: The tables.
        whole: The subscriptions of which listings with a known reader show everything, as `Existence.whole` has them.
    """
    rows = inputs.listings.filter((pl.col("listing") == "resources") & pl.col("complete").fill_null(False))
    parts = folded(rows["of"]).str.split(" ")
    paged = pl.DataFrame({"node": parts.list.get(0, null_on_oob=True), "kind": parts.list.get(1, null_on_oob=True)})
    vouched = pl.DataFrame({"node": whole}).join(pl.DataFrame({"kind": logged_kinds()}), how="cross")
    return pl.concat([paged, vouched]).unique().sort("node", "kind", nulls_last=True)


@once("resources")
def setting_facts(inputs: Inputs) -> pl.DataFrame:
    """Return `(resource, kind, fact, answer)`: what the settings of a resource decide about access to its data.

    A fact is missing where no listing with properties was loaded, or no rule knows the meaning of the value. Then
    nobody can tell. Source of the meanings: `rules/resource_settings.csv`.
    """
    rules: dict[str, list[dict[str, str]]] = {}
    for row in rows_of("resource_settings"):
        rules.setdefault(fold(row["resource_type"]), []).append(row)
    kinds = folded(inputs.resources["resource_type"])
    concerned = inputs.resources.with_columns(kind=kinds).filter(pl.col("kind").is_in(list(rules)))
    found: list[tuple[str, str | None, str, str]] = []
    # Many resources have the same settings.
    for kind, settings in concerned.select("kind", "settings").unique().iter_rows():
        known = None if settings is None else json.loads(settings)
        for rule in rules[kind]:
            is_said = not rule["property"] or (
                known is not None and fold(str(known.get(rule["property"], ""))) == fold(rule["value"])
            )
            if is_said:
                found.append((kind, settings, rule["fact"], rule["answer"]))
    schema = {"kind": pl.String, "settings": pl.String, "fact": pl.String, "answer": pl.String}
    said = concerned.join(pl.DataFrame(found, schema=schema, orient="row"), on=["kind", "settings"], nulls_equal=True)
    facts = said.select("kind", "fact", "answer", resource=folded(said["scope"]))
    return facts.select("resource", "kind", "fact", "answer").unique().sort("resource", "fact", "answer")


def with_answer(facts: pl.DataFrame, fact: str, answer: str) -> pl.Series:
    """Return the resources for which a fact has this answer."""
    return facts.filter((pl.col("fact") == fact) & (pl.col("answer") == answer))["resource"]


# In ascending order: the last of several states decides. Missing days of a log outweigh operations that no log shows,
# since a person may choose to drop the latter.
_ORDER = (
    UnobservableReason.NO_RESOURCE.value,
    UnobservableReason.POLICIES_DECIDE.value,
    Unused.COVERED.value,
    Unused.COVERED_IN_PART.value,
    UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value,
    UnobservableReason.NO_DIAGNOSTIC_SETTING.value,
    OutOfCoverage.DAYS_MISSING.value,
    OutOfCoverage.NO_LOG_LOADED.value,
)
_RANK = {state: rank for rank, state in enumerate(_ORDER)}
_CHANGES = r"^(.*)/providers/microsoft\.insights/diagnosticsettings/([^/]+)$"
SETTING_WRITES = ("microsoft.insights/diagnosticsettings/write", "microsoft.insights/diagnosticsettings/delete")
_DECLARED = "declared_empty"
_LOG = ["rule", "scope"]
_IS_WHOLE = pl.col("group").n_unique() == pl.col("wanted").first()


def rules_of(operations: pl.DataFrame) -> pl.DataFrame:
    """Return `(name, plane, rule)`: the row of `resource_logs` that matches each operation, where one does.

    Args:
        operations: Columns `name` (folded) and `plane`.
    """
    found = [pl.DataFrame(schema={"name": pl.String, "plane": pl.String, "rule": pl.Int64})]
    for plane in ("control", "data"):
        numbers = [number for number, row in enumerate(rows_of("resource_logs")) if row["plane"] == plane]
        names = operations.filter(pl.col("plane") == plane).select("name", "plane").unique()
        if names.is_empty():
            continue
        index = first_match(names["name"], [rows_of("resource_logs")[number]["pattern"] for number in numbers])
        found.append(names.with_columns(rule=pl.Series(numbers, dtype=pl.Int64).gather(index)))
    return pl.concat(found).drop_nulls("rule")


def log_rules() -> pl.DataFrame:
    """Return `(rule, kind, part, source)` of `resource_logs`: the resource type of each row, and its log.

    `kind` is the folded type of resource, `part` the suffix of the scope where its settings stand below the resource.
    """
    rules = [
        (rule, fold(row["resource_type"]), f"/{row['part'].lower()}" if row["part"] else "", row["log"])
        for rule, row in enumerate(rows_of("resource_logs"))
    ]
    said = {"rule": pl.Int64, "kind": pl.String, "part": pl.String, "source": pl.String}
    return pl.DataFrame(rules, schema=said, orient="row")


def data_states(inputs: Inputs, window: Window, tenant: Tenant, whole: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the state of the logs below each assignment, and the days that some of them do not cover.

    Args:
        inputs: The tables.
        window: The window.
        tenant: The tenant; its assignments are judged.
        whole: The subscriptions of which every resource is known, as `Existence.whole` has them.

    Returns:
        `(a, rule, data_state)`, for each row of `resource_logs`: `covered`, `covered_in_part` (enough days to be
        evidence), or a word of `OutOfCoverage` or `UnobservableReason`. An assignment inside a resource of another type
        has no state for a rule. And `(place, plane, day)`: the days that logs do not cover which are evidence for a
        part of the window.
    """
    places = tenant.assignments["place"].unique()
    resources = known_resources(inputs, inputs.coverage["scope"], inputs.usage_days["scope"])
    inside = (
        pl.DataFrame({"place": places})
        .with_columns(resource=resource_of("place"))
        .drop_nulls("resource")
        .join(resources.select("resource"), on="resource", how="semi")
    )
    above = containing(resources["resource"], places, tenant.tree).select(place="assigned", resource="place")
    held = pl.concat([inside, above.select("place", "resource")]).unique()
    logs, missing = log_states(inputs, window, resources.join(held, on="resource", how="semi"))
    # No log of such a vault speaks of roles: whatever it shows, its policies let it through.
    facts = setting_facts(inputs)
    by_policies = with_answer(facts.filter(pl.col("kind") == VAULT), AZURE_ROLES, "no")
    decided = pl.col("resource").is_in(by_policies.implode())
    logs = logs.with_columns(
        state=pl.when(decided).then(pl.lit(UnobservableReason.POLICIES_DECIDE.value)).otherwise("state")
    )
    known = held.join(logs, on="resource").select("place", "rule", "state")
    planes = pl.Series([row["plane"] for row in rows_of("resource_logs")], dtype=pl.String)
    gaps = held.join(missing.with_columns(plane=planes.gather(missing["rule"])), on="resource")
    high = pl.DataFrame({"place": places}).filter(resource_of("place").is_null() & ~_is_deep("place"))
    states = pl.concat([known, _of_high_places(inputs, tenant, high, whole)])
    ranked = states.with_columns(rank=pl.col("state").replace_strict(_RANK, return_dtype=pl.Int64))
    worst = ranked.group_by("place", "rule").agg(pl.col("rank").max())
    words = {rank: state for state, rank in _RANK.items()}
    found = (
        tenant.assignments.select("a", "place")
        .join(worst, on="place")
        .select("a", "rule", data_state=pl.col("rank").replace_strict(words, return_dtype=pl.String))
        .sort("a", "rule")
    )
    return found, gaps.select("place", "plane", "day").unique()


def _is_deep(place: str) -> pl.Expr:
    """Return whether a place lies in a subscription and has a provider in its path."""
    return pl.col(place).str.contains("/providers/", literal=True) & pl.col(place).str.starts_with("/subscriptions/")


def _of_high_places(inputs: Inputs, tenant: Tenant, high: pl.DataFrame, whole: pl.Series) -> pl.DataFrame:
    """Return `(place, rule, state)` for scopes above resources: a listing is missing, or no resource is there."""
    rules = log_rules().select("rule", "kind")
    rows = []
    for place, node in high.with_columns(node=node_of("place")).sort("place").iter_rows():
        is_wide = node is None or (node == place and not place.startswith("/subscriptions/"))
        below = tenant.tree.below(place)[1] if is_wide else [node]
        known = not is_wide or tenant.tree.is_listed(place)
        rows += [(place, subscription if known else "") for subscription in below or [""]]
    wanted = pl.DataFrame(rows, schema={"place": pl.String, "node": pl.String}, orient="row").join(rules, how="cross")
    lost = wanted.join(listed_kinds(inputs, whole), on=["node", "kind"], how="anti")
    return pl.concat(
        [
            wanted.select("place", "rule", state=pl.lit(UnobservableReason.NO_RESOURCE.value)),
            lost.select("place", "rule", state=pl.lit(UnobservableReason.NO_DIAGNOSTIC_INVENTORY.value)),
        ]
    )


def log_states(inputs: Inputs, window: Window, resources: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(resource, rule, state)`: what the log of each resource is evidence of, since the resource was made.

    And `(resource, rule, day)`: the other days, of the logs that are evidence for a part of the window.
    """
    if resources.is_empty():
        key = {"resource": pl.String(), "rule": pl.Int64()}
        return pl.DataFrame(schema={**key, "state": pl.String()}), pl.DataFrame(schema={**key, "day": pl.Date()})
    enabled = _enabled(inputs, window)
    first = pl.lit(window.first_day)
    silent = (
        UnobservableReason.NO_DIAGNOSTIC_INVENTORY
        if inputs.diagnostic_settings.is_empty()
        else UnobservableReason.NO_DIAGNOSTIC_SETTING
    )
    of_rule = resources.join(log_rules(), on="kind").with_columns(
        scope=pl.col("resource") + pl.col("part"),
        since=pl.max_horizontal(pl.col("created").fill_null(first), first),
    )
    days = _days_of_logs(of_rule, _covered_days(inputs, window, enabled))
    whole = days.filter("is_whole").select(*_LOG, "day")
    since = of_rule.select(*_LOG, "since").unique()
    covered = judge_days(whole, window, since)
    judged = (
        of_rule.join(covered, on=_LOG)
        .join(days.select(_LOG).unique().with_columns(some=pl.lit(True)), on=_LOG, how="left")
        .join(_sent(enabled), on=_LOG, how="left")
        .with_columns(pl.col("some", "sent").fill_null(False))
    )
    state = (
        pl.when(pl.col("state") != OutOfCoverage.DAYS_MISSING.value)
        .then("state")
        .when("some")
        .then(pl.lit(OutOfCoverage.DAYS_MISSING.value))
        .when("sent")
        .then(pl.lit(OutOfCoverage.NO_LOG_LOADED.value))
        .otherwise(pl.lit(silent.value))
    )
    in_part = covered.filter(pl.col("state") == Unused.COVERED_IN_PART.value)
    missing = missing_days(whole, window, since.join(in_part, on=_LOG, how="semi"))
    return (
        judged.select("resource", "rule", state=state),
        of_rule.select("resource", *_LOG).join(missing, on=_LOG).select("resource", "rule", "day"),
    )


def _words() -> pl.DataFrame:
    """Return `(rule, group, category, wanted)`: the log categories that a rule needs, one of each group.

    `wanted` is how many groups the rule has.
    """
    words = []
    for rule, row in enumerate(rows_of("resource_logs")):
        # All words are needed; of words with a bar between them one is enough.
        groups = row["categories"].lower().split()
        words += [(rule, group, one, len(groups)) for group, some in enumerate(groups) for one in some.split("|")]
    named = {"rule": pl.Int64, "group": pl.Int64, "category": pl.String, "wanted": pl.Int64}
    return pl.DataFrame(words, schema=named, orient="row")


def _days_of_logs(resources: pl.DataFrame, days: pl.DataFrame) -> pl.DataFrame:
    """Return `(rule, scope, day, is_whole)`: the days with all (`is_whole`) or some of the categories of a rule.

    Args:
        resources: One row per resource and rule: `rule` and `source` as `log_rules` has them, `scope`, where the
            settings stand, and `since`, the first day that counts.
        days: The covered days.
    """
    return (
        days.join(resources.select(*_LOG, "source", "since"), on=["source", "scope"])
        .filter(pl.col("day") >= pl.col("since"))
        .join(_words(), on=["rule", "category"])
        .group_by(*_LOG, "day")
        .agg(is_whole=_IS_WHOLE)
    )


def _sent(enabled: pl.DataFrame) -> pl.DataFrame:
    """Return `(rule, scope, sent)`: whether settings send all categories of a rule."""
    return enabled.join(_words(), on="category").group_by(_LOG).agg(sent=_IS_WHOLE)


def _covered_days(inputs: Inputs, window: Window, enabled: pl.DataFrame) -> pl.DataFrame:
    """Return `(source, scope, category, day)` that the logs of resources cover, folded."""
    logs = sorted({row["log"] for row in rows_of("resource_logs")})
    rows = inputs.coverage.filter(
        pl.col("source").is_in(logs) & (pl.col("state") != "missing") & window.holds("day")
    ).select("source", "day", "state", "scope", category=folded(pl.col("category")))
    rows = rows.with_columns(scope=place_of(rows["scope"]))
    # A setting that was deleted before the window stays in listings that were loaded while it was there.
    gone = deleted_settings(inputs, window).join(enabled, on="scope", how="anti").select("scope")
    gone = gone.unique().with_columns(until=pl.lit(window.last_day))
    changed = pl.concat([_changed_settings(inputs, window), gone]).group_by("scope").agg(pl.col("until").max())
    unsure = rows.join(changed, on="scope", how="left")
    doubtful = (pl.col("state") == _DECLARED) & (pl.col("day") <= pl.col("until")).fill_null(False)
    return unsure.filter(~doubtful).select("source", "scope", "category", "day").unique()


def _changed_settings(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(scope, until)`: the last day for which a declaration is no proof, since a setting was changed then."""
    changes = _writes(inputs, window.holds("day")).with_columns(
        scope=pl.coalesce(pl.col("place").str.extract(_CHANGES), "place")
    )
    is_deletion = pl.col("name") == SETTING_WRITES[1]
    return changes.group_by("scope").agg(
        until=pl.when(is_deletion.any()).then(pl.lit(window.last_day)).otherwise(pl.col("day").max())
    )


def deleted_settings(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(scope, setting)`, folded, of the settings whose last known change before the window is a deletion."""
    changes = _writes(inputs, pl.col("day") < window.first_day).select(
        "day",
        is_deletion=pl.col("name") == SETTING_WRITES[1],
        scope=pl.col("place").str.extract(_CHANGES, 1),
        setting=pl.col("place").str.extract(_CHANGES, 2),
    )
    last = changes.drop_nulls().filter(pl.col("day") == pl.col("day").max().over("scope", "setting"))
    return last.filter("is_deletion").select("scope", "setting").unique()


def _writes(inputs: Inputs, then: pl.Expr) -> pl.DataFrame:
    """Return `(day, name, place)` of the calls of some days that made, changed or deleted a setting."""
    days = named_use(inputs.usage_days, SETTING_WRITES)
    days = days.filter(then & (pl.col("succeeded") + pl.col("started") > 0))
    return days.select("day", name=folded(days["operation"]), place=place_of(days["scope"]))


def _enabled(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(scope, category)` that some diagnostic setting sends, the groups of categories spelt out."""
    table = inputs.diagnostic_settings
    rows = table.with_columns(scope=place_of(table["scope"]), setting=folded(table["name"]))
    rows = rows.filter(pl.col("enabled").fill_null(False)).join(
        deleted_settings(inputs, window), on=["scope", "setting"], how="anti"
    )
    single = rows.filter(~pl.col("is_group")).select("scope", "category")
    words = (row["categories"].lower().replace("|", " ").split() for row in rows_of("resource_logs"))
    every = sorted(set().union(*words))
    groups = rows.filter(pl.col("is_group")).select("scope").join(pl.DataFrame({"category": every}), how="cross")
    return pl.concat([single, groups.select("scope", "category")]).unique()
