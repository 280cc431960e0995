"""Attribute each observed call to the role assignments that allowed it.

The assignment that the log names comes first. Where the log names none, or one that no listing shows any more,
candidates are the assignments that reach the principal, stand at or above the scope, grant the operation and are not
younger than the call. Of several candidates, the fewest and least powerful that explain all calls are kept.

An assignment that grants a call by both readings of `/*/` comes before one that grants it by one reading only. Where no
credited assignment grants the call by both readings, every other assignment that may have allowed it is credited too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import ROOT, containing, node_of
from rightsize.analyze.reasons import Attribution, Unexplained
from rightsize.analyze.tenant import Tenant, granted_by_patterns, with_doubt

# Calls whose candidates are looked up at once; bounds memory, does not change the result.
_BATCH = 250_000
_STANDING = ("active", "activated")
# Schemas of empty results: for one principal most steps have no rows.
_PAIR = {"u": pl.UInt32, "a": pl.UInt32}
_CANDIDATE = _PAIR | {"conditional": pl.Boolean, "doubtful": pl.Boolean}
_CREDIT = _PAIR | {"reason": pl.String}
_UNEXPLAINED = {"u": pl.UInt32, "reason": pl.String}
_DOUBTFUL = {"a": pl.UInt32, "name": pl.String, "plane": pl.String}


@dataclass(frozen=True, slots=True)
class Attributed:
    """The assignments that each call is credited to, and the calls that none explains.

    Attributes:
        used: `(u, a, reason)`; an activated assignment stands beside the eligible assignment behind it.
        unexplained: `(u, reason)`.
        quarantined: `(u, a)`: every assignment that may have allowed a call of a quarantined window.
        doubtful: `(a, name, plane)`: every assignment that may have allowed a call that is unexplained because
            something is not known: who acted, who is in a group, where a subscription stands.
    """

    used: pl.DataFrame
    unexplained: pl.DataFrame
    quarantined: pl.DataFrame
    doubtful: pl.DataFrame


def attribute(
    usage: pl.DataFrame,
    tenant: Tenant,
    open_groups: pl.Series,
    activations: pl.DataFrame,
    credited: pl.Series | None = None,
) -> Attributed:
    """Return the calls of `usage.observe` with the assignments that they are credited to.

    Args:
        usage: The calls.
        tenant: The tenant.
        open_groups: Holders that may have members whom no listing shows.
        activations: `(id, eligibility)`: the eligible assignment behind an activation that may have ended.
        credited: `a` of assignments that other calls are credited to already.
    """
    if usage.is_empty():
        return _nothing_attributed()
    clean = usage.filter((pl.col("events") > 0) & ~pl.col("quarantined"))
    suspect = usage.filter(pl.col("quarantined"))
    grants = granted_in_use(usage, tenant)
    evidenced = _by_evidence(pl.concat([clean, suspect]), tenant, grants)
    direct = evidenced.join(clean, on="u", how="semi").with_columns(reason=pl.lit(Attribution.EVIDENCE.value))
    past = _by_history(clean.join(direct, on="u", how="anti"), tenant, grants, activations)
    direct = pl.concat([direct.select("u", "a", "reason"), past])
    rest = clean.join(direct, on="u", how="anti")
    in_time, too_young = _candidates(rest, tenant, grants)
    already = direct["a"].unique() if credited is None else pl.concat([direct["a"], credited]).unique()
    chosen = _choose(in_time, rest, tenant, already)
    left = rest.join(chosen, on="u", how="anti")
    # Active memberships explain first; memberships that have to be activated explain the calls that are left.
    woken = replace(tenant, membership=tenant.sleeping)
    asleep, _ = _candidates(left, woken, grants)
    awake = _choose(asleep, left, tenant, already)
    awake = awake.with_columns(reason=pl.lit(Attribution.GROUP_ACTIVATION.value))
    left = left.join(awake, on="u", how="anti")
    found = pl.concat([direct, chosen, awake])
    explained = _expand(pl.concat([found, _by_other_reading(found, clean, tenant, grants)]), tenant)
    homeless = left.filter(node_of("place").is_in(_unplaced(tenant).implode()) & (pl.col("place") != ROOT))
    maybe, _ = _candidates(homeless, tenant, grants, level="management_group")
    return Attributed(
        used=explained,
        unexplained=_unexplained(left, too_young, maybe, tenant),
        quarantined=_quarantined(suspect, evidenced, tenant, woken, grants),
        doubtful=pl.concat(
            [_doubtful(left, maybe, tenant, grants, open_groups), _beside_unlisted(direct, clean, tenant, grants)]
        ).unique(),
    )


def _beside_unlisted(direct: pl.DataFrame, clean: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame) -> pl.DataFrame:
    """Return `(a, name, plane)`: other assignments that allow calls which only groups without the caller are named for.

    The log says that the group allowed the call, and no listing has the caller in it: perhaps the members are not
    known, perhaps the caller is no longer one. Then an assignment of the caller that also allows it has to stay so.
    """
    named = direct.join(tenant.assignments.select("a", holder="principal_id"), on="a").join(
        clean.select("u", "principal_id"), on="u"
    )
    known = named.join(tenant.may_reach, on=["principal_id", "holder"], how="semi")["u"]
    outside = named.drop_nulls("principal_id").filter(~pl.col("u").is_in(known.implode()))
    calls = clean.join(outside, on="u", how="semi")
    found = pl.concat(_candidates(calls, tenant, grants)).select("u", "a").join(outside, on=["u", "a"], how="anti")
    return found.join(calls.select("u", "name", "plane"), on="u").select(*_DOUBTFUL).unique()


def _quarantined(
    suspect: pl.DataFrame, evidenced: pl.DataFrame, tenant: Tenant, woken: Tenant, grants: pl.DataFrame
) -> pl.DataFrame:
    """Return `(u, a)`: every assignment that may have allowed a suspect call."""
    if suspect.is_empty():
        return pl.DataFrame(schema=_PAIR)
    named = evidenced.join(suspect, on="u", how="semi").select("u", "a")
    unnamed = suspect.join(evidenced, on="u", how="anti")
    held = [*_candidates(unnamed, tenant, grants), _candidates(unnamed, woken, grants)[0]]
    possible = pl.concat([named, *(frame.select("u", "a") for frame in held)])
    return _expand(possible.with_columns(reason=pl.lit("")), tenant).select("u", "a").unique().sort("u", "a")


def _nothing_attributed() -> Attributed:
    return Attributed(
        used=pl.DataFrame(schema=_CREDIT),
        unexplained=pl.DataFrame(schema=_UNEXPLAINED),
        quarantined=pl.DataFrame(schema=_PAIR),
        doubtful=pl.DataFrame(schema=_DOUBTFUL),
    )


def granted_in_use(usage: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(role, name, plane, conditional, doubtful)` of used operations: over the catalogue, else by patterns.

    `doubtful` is as `with_doubt` defines it.
    """
    wanted = usage.select("name", "plane").unique()
    certain = tenant.operations.filter(pl.col("certain")).select("name", "plane")
    listed = tenant.grants.join(wanted, on=["name", "plane"], how="semi").join(
        certain, on=["name", "plane"], how="semi"
    )
    by_pattern = granted_by_patterns(tenant.patterns, wanted.join(certain, on=["name", "plane"], how="anti"))
    grants = pl.concat([listed, by_pattern]).group_by("role", "name", "plane").agg(pl.col("conditional").all())
    return with_doubt(grants, tenant.patterns)


def _by_other_reading(credited: pl.DataFrame, rows: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame) -> pl.DataFrame:
    """Return `(u, a, reason)`: others that may have allowed calls whose credited ones grant by one reading only."""
    doubtful = grants.filter("doubtful")
    if doubtful.is_empty() or credited.is_empty():
        return pl.DataFrame(schema=_CREDIT)
    by_role = credited.join(tenant.assignments.select("a", "role"), on="a").join(
        rows.select("u", "name", "plane"), on="u"
    )
    on = ["role", "name", "plane"]
    certain = by_role.join(doubtful, on=on, how="anti")["u"].unique()
    resting = rows.join(by_role, on="u", how="semi").filter(~pl.col("u").is_in(certain.implode()))
    others = pl.concat(_candidates(resting, replace(tenant, membership=tenant.may_reach), grants))
    found = others.select("u", "a").unique().join(credited, on=["u", "a"], how="anti")
    return found.with_columns(reason=pl.lit(Attribution.READING.value)).select(*_CREDIT)


def _by_evidence(usage: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame) -> pl.DataFrame:
    """Return `(u, a)` where the log names an assignment that is listed and does grant the call.

    A role definition that is not loaded cannot contradict the log, and neither can the unknown place of a subscription
    that no listing shows.
    """
    named = usage.filter(pl.col("evidence").is_not_null()).select("u", "place", "name", "plane", "evidence")
    if named.is_empty():
        return pl.DataFrame(schema=_PAIR)
    pairs = named.join(
        tenant.assignments.select("a", "role", "role_known", "level", id="id", assigned="place"),
        left_on="evidence",
        right_on="id",
    )
    granted = pairs.join(grants, on=["role", "name", "plane"], how="semi")
    granted = pl.concat([granted, pairs.filter(~pl.col("role_known"))])
    inside = granted.join(
        containing(granted["place"], granted["assigned"], tenant.tree), on=["place", "assigned"], how="semi"
    )
    unplaced = granted.filter(
        (pl.col("level") == "management_group") & node_of("place").is_in(_unplaced(tenant).implode())
    )
    return pl.concat([inside, unplaced]).select("u", "a").unique()


def _by_history(usage: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame, activations: pl.DataFrame) -> pl.DataFrame:
    """Return `(u, a, reason)` where the log names an ended activation; `a` is the eligible assignment behind it."""
    ended = activations.select(evidence="id", named="eligibility").drop_nulls().unique("evidence", keep="first")
    if ended.is_empty() or usage.is_empty():
        return pl.DataFrame(schema=_CREDIT)
    named = usage.join(ended, on="evidence").with_columns(evidence="named").drop("named")
    # An activation names no state; of the rows of its id only the eligible one counts.
    eligible = tenant.assignments.filter(pl.col("state") == "eligible").select("a")
    found = _by_evidence(named, tenant, grants).join(eligible, on="a", how="semi")
    return found.with_columns(reason=pl.lit(Attribution.PAST_ACTIVATION.value))


def _unplaced(tenant: Tenant) -> pl.Series:
    return tenant.tree.subscriptions.filter(~pl.col("placed"))["place"]


def _candidates(
    rows: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame, level: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return `(u, a, conditional, doubtful)` of assignments that grant the calls: those in time, then the others.

    Args:
        rows: The calls.
        tenant: The tenant.
        grants: What roles grant of the used operations.
        level: Take only assignments of this level, and assume that they contain every scope: they might.
    """
    if rows.is_empty():
        return pl.DataFrame(schema=_CANDIDATE), pl.DataFrame(schema=_CANDIDATE)
    assignments = tenant.assignments.filter(~pl.col("twin"))
    reach = tenant.membership.join(
        assignments.select(
            "a", "principal_id", "role", "created_on", "start_on", "end_on", "state", "level", "condition", "place"
        ),
        left_on="holder",
        right_on="principal_id",
    ).rename({"place": "assigned"})
    if level is not None:
        reach = reach.filter(pl.col("level") == level)
    found: list[pl.DataFrame] = []
    for start in range(0, len(rows), _BATCH):
        batch = rows.slice(start, _BATCH).filter(pl.col("principal_id").is_not_null())
        if level is None:
            within = containing(batch["place"], assignments["place"], tenant.tree)
            pairs = batch.join(within, on="place").join(reach, on=["principal_id", "assigned"])
        else:
            pairs = batch.join(reach, on="principal_id")
        pairs = pairs.join(grants, on=["role", "name", "plane"])
        conditional = pl.col("conditional") | pl.col("condition").is_not_null()
        # The same assignment may reach a principal in several ways.
        found.append(pairs.select("u", "a", "doubtful", conditional=conditional, fits=_fits()).unique())
    pairs = pl.concat(found).select(*_CANDIDATE, "fits")
    return pairs.filter("fits").drop("fits"), pairs.filter(~pl.col("fits")).drop("fits")


def _fits() -> pl.Expr:
    """Return whether an assignment existed when the call was last made."""
    made = pl.col("created_on").is_null() | (pl.col("created_on") <= pl.col("last_seen"))
    begun = (pl.col("state") != "activated") | (pl.col("start_on") <= pl.col("last_seen")).fill_null(True)
    not_over = (pl.col("end_on") >= pl.col("first_seen")).fill_null(True)
    return made & begun & not_over


def _choose(pairs: pl.DataFrame, rows: pl.DataFrame, tenant: Tenant, credited: pl.Series) -> pl.DataFrame:
    """Return `(u, a, reason)`: one assignment a call.

    Only candidates whose state fits count: an ended activation points at an eligible assignment; otherwise active
    assignments come before those that would have had to be activated. A condition may have refused the call, so
    candidates without one come first, and then those that grant the call by both readings.
    """
    if pairs.is_empty():
        return pl.DataFrame(schema=_CREDIT)
    pairs = pairs.join(tenant.assignments.select("a", "state", "power"), on="a").join(
        rows.select("u", "principal_id", ended=pl.col("evidence").is_not_null() & ~_is_listed(tenant)), on="u"
    )
    is_eligible = pl.col("state") == "eligible"
    preferred = is_eligible == pl.col("ended")
    pairs = pairs.filter(preferred | ~preferred.any().over("u"))
    sure = ~pl.col("conditional")
    pairs = pairs.filter(sure | ~sure.any().over("u"))
    certain = ~pl.col("doubtful")
    pairs = pairs.with_columns(others=certain.any().over("u") & ~certain.all().over("u"))
    pairs = pairs.filter(certain | ~certain.any().over("u"))
    past = pl.col("ended") & is_eligible
    single = pl.len().over("u") == 1
    pairs = pairs.with_columns(
        reason=pl.when(past)
        .then(pl.lit(Attribution.PAST_ACTIVATION.value))
        .when(single & ~pl.col("others"))
        .then(pl.lit(Attribution.ELIMINATION.value))
        .otherwise(pl.lit(Attribution.FEWEST.value)),
        single=single,
    )
    alone = pairs.filter("single").select("u", "a", "reason")
    credited = pl.concat([credited, alone["a"]]).unique()
    totals = pairs.group_by("a").agg(total=pl.len())
    open_pairs = pairs.filter(~pl.col("single")).join(totals, on="a")
    return pl.concat([alone, *_fewest(open_pairs, credited)])


def _fewest(pairs: pl.DataFrame, credited: pl.Series) -> list[pl.DataFrame]:
    """Return `(u, a, reason)` of the calls that several assignments grant.

    In turn: calls that a credited assignment explains go to it. Then, for each principal, the assignment that explains
    most of the calls left in the tenant is credited; of equals, the least powerful.
    """
    done: list[pl.DataFrame] = []
    while not pairs.is_empty():
        hits = (
            pairs.filter(pl.col("a").is_in(credited.implode()))
            .sort("u", "total", "power", "a", descending=[False, True, False, False])
            .unique("u", keep="first", maintain_order=True)
        )
        done.append(hits.select("u", "a", "reason"))
        pairs = pairs.join(hits, on="u", how="anti")
        left = pairs.group_by("a").agg(left=pl.len())
        picks = (
            pairs.select("principal_id", "a", "power")
            .unique()
            .join(left, on="a")
            .sort("principal_id", "left", "power", "a", descending=[False, True, False, False])
            .unique("principal_id", keep="first")
        )
        credited = pl.concat([credited, picks["a"]]).unique()
    return done


def _is_listed(tenant: Tenant) -> pl.Expr:
    return pl.col("evidence").is_in(tenant.assignments["id"].unique().implode())


def _expand(pairs: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Add the other rows of the same assignment id, and for an activation the eligible assignment behind it."""
    if pairs.is_empty():
        return pl.DataFrame(schema=_CREDIT)
    assignments = tenant.assignments.select("a", "id", "state", "eligibility")
    active = assignments.filter(pl.col("state").is_in(_STANDING))
    twins = active.join(active, on="id", suffix="_other").select("a", other="a_other")
    behind = assignments.filter(pl.col("state") == "activated").join(
        assignments.filter(pl.col("state") == "eligible").select(eligible="a", id="id"),
        left_on="eligibility",
        right_on="id",
    )
    own = assignments.select("a", other="a")
    same = pairs.join(pl.concat([own, twins]).unique(), on="a").select("u", "reason", a="other")
    eligible = same.join(behind.select("a", "eligible"), on="a").select(
        "u", reason=pl.lit(Attribution.ACTIVATION.value), a="eligible"
    )
    return pl.concat([same, eligible]).select("u", "a", "reason").unique().sort("u", "a", "reason")


def _doubtful(
    left: pl.DataFrame, maybe: pl.DataFrame, tenant: Tenant, grants: pl.DataFrame, open_groups: pl.Series
) -> pl.DataFrame:
    """Return `(a, name, plane)`: the assignments and operations that may have allowed an unexplained call.

    Where the actor is not known, these are all assignments that grant the call. Where the actor is known, these are the
    assignments of groups that it may be a member of, and those at management groups that may contain the subscription.
    """
    if left.is_empty():
        return pl.DataFrame(schema=_DOUBTFUL)
    assignments = tenant.assignments.select("a", "role", "principal_id", assigned="place")
    acts = left.select("place", "name", "plane", unknown=pl.col("principal_id").is_null()).unique()
    within = containing(acts["place"], assignments["assigned"], tenant.tree)
    reached = acts.join(within, on="place").select("assigned", "name", "plane", "unknown").unique()
    pairs = reached.join(assignments, on="assigned").join(grants, on=["role", "name", "plane"], how="semi")
    possible = pairs.filter(pl.col("unknown") | pl.col("principal_id").is_in(open_groups.implode()))
    above = maybe.join(left.select("u", "name", "plane"), on="u")
    columns = ("a", "name", "plane")
    return pl.concat([possible.select(columns), above.select(columns)]).unique()


def _unexplained(left: pl.DataFrame, too_young: pl.DataFrame, maybe: pl.DataFrame, tenant: Tenant) -> pl.DataFrame:
    """Return `(u, reason)` of the calls that no assignment explains."""
    if left.is_empty():
        return pl.DataFrame(schema=_UNEXPLAINED)
    missing_roles = tenant.assignments.filter(~pl.col("role_known"))
    unknown = (
        tenant.membership.join(missing_roles.select("principal_id", "place"), left_on="holder", right_on="principal_id")
        .rename({"place": "assigned"})
        .join(left.select("u", "principal_id", "place"), on="principal_id")
    )
    unknown = unknown.join(
        containing(unknown["place"], unknown["assigned"], tenant.tree), on=["place", "assigned"], how="semi"
    )

    def among(frame: pl.DataFrame) -> pl.Expr:
        return pl.col("u").is_in(frame["u"].unique().implode())

    return left.select(
        "u",
        reason=pl.when(pl.col("principal_id").is_null())
        .then(pl.lit(Unexplained.PRINCIPAL_UNRESOLVED.value))
        .when(pl.col("evidence").is_not_null() & _is_listed(tenant))
        .then(pl.lit(Unexplained.GRANT_CHANGED.value))
        .when(among(too_young))
        .then(pl.lit(Unexplained.GRANTED_LATER.value))
        .when(pl.col("evidence").is_not_null())
        .then(pl.lit(Unexplained.ASSIGNMENT_GONE.value))
        .when(among(unknown))
        .then(pl.lit(Unexplained.ROLE_DEFINITION_MISSING.value))
        .when(among(maybe))
        .then(pl.lit(Unexplained.SCOPE_TREE_UNKNOWN.value))
        .otherwise(pl.lit(Unexplained.NO_GRANT.value)),
    )
