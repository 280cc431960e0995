"""Compute for each assignment whether the logs of the window could have shown its use.

Three kinds of log matter to a control-plane operation: those of the subscriptions at or below the assignment and, for
operations that can be performed there, those of the management groups at or below it and that of the tenant. Reads of
Azure Resource Manager leave no trace but the token that they need, so the sign-in logs of the holders decide for reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rightsize.analyze.inputs import ROOT, Inputs, folded, node_of, once, place_of
from rightsize.analyze.principals import principal_ids
from rightsize.analyze.reasons import OutOfCoverage, UnobservableReason, Unused
from rightsize.analyze.tenant import Tenant, members_of_groups
from rightsize.analyze.window import Window, administrative, days_of_scopes, judge_days, missing_days
from rightsize.rules.operations import audience_ids, audience_names

COVERED = Unused.COVERED.value
COVERED_IN_PART = Unused.COVERED_IN_PART.value
# In ascending order: the last of several states decides for all of them.
_STATES = (
    COVERED,
    COVERED_IN_PART,
    OutOfCoverage.DAYS_MISSING.value,
    OutOfCoverage.SCOPE_NOT_COVERED.value,
    OutOfCoverage.NO_LOG_LOADED.value,
    OutOfCoverage.SCOPE_TREE_UNKNOWN.value,
)
# Which sign-in logs show the tokens of a principal. A service principal that no listing describes may be a managed
# identity, so both logs must cover it (FACTS of Entra: four sign-in logs, one per kind).
_KINDS = {
    "User": ("interactive", "non_interactive"),
    "ServicePrincipal": ("service_principal",),
    "ManagedIdentity": ("managed_identity",),
}
_UNDESCRIBED_SERVICE = ("service_principal", "managed_identity")


def control_states(inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return `(a, below, groups, top)`: the state of the logs that would show the use of an assignment.

    `below` is about subscriptions, `groups` about management groups and `top` about the tenant; the latter two are null
    where an assignment does not reach so high. A state is `covered`, `covered_in_part` (enough days to be evidence) or
    a word of `OutOfCoverage`.
    """
    log = CoveredDays(inputs, window, tenant)
    assignments = tenant.assignments.select("a", "place", "level")
    high = assignments.filter(pl.col("level").is_in(["management_group", "root"]))["place"].unique().sort()
    rows = [(place, *_high_states(place, tenant, log)) for place in high]
    by_place = pl.DataFrame(
        rows, schema={"place": pl.String, "below": pl.String, "groups": pl.String, "top": pl.String}, orient="row"
    )
    low = assignments.filter(~pl.col("level").is_in(["management_group", "root"])).with_columns(
        node=node_of("place").fill_null(ROOT)
    )
    states = pl.DataFrame(
        [(node, log.state(node)) for node in low["node"].unique().sort()],
        schema={"node": pl.String, "below": pl.String},
        orient="row",
    )
    nothing = pl.lit(None, dtype=pl.String)
    return pl.concat(
        [
            low.join(states, on="node").select("a", "below", groups=nothing, top=nothing),
            assignments.join(by_place, on="place").select("a", "below", "groups", "top"),
        ]
    ).sort("a")


def control_gaps(inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return `(place, day)`: the days that logs do not cover which are evidence for a part of the window.

    A day counts for each scope of an assignment with such a log at or below it.
    """
    missing = CoveredDays(inputs, window, tenant).missing
    places = tenant.assignments.select("place", "level").unique()
    is_high = pl.col("level").is_in(["management_group", "root"])
    low = places.filter(~is_high).select("place", node=node_of("place").fill_null(ROOT))
    high = [
        (place, node)
        for place in places.filter(is_high)["place"].sort()
        if not missing.is_empty()
        for found in tenant.tree.below(place)
        for node in found
    ]
    top = places.filter(pl.col("place") == ROOT).select("place", node="place")
    logs = pl.concat([low, pl.DataFrame(high, schema=low.schema, orient="row"), top])
    return logs.join(missing, left_on="node", right_on="place").select("place", "day").unique().sort("place", "day")


def days_of_use(inputs: Inputs, window: Window | None = None) -> pl.DataFrame:
    """Return the rows of coverage of the logs that show use, in a window where one is given."""
    logs = inputs.coverage.filter((pl.col("state") != "missing") & (pl.col("source") != "sign_in_log"))
    return logs if window is None else logs.filter(window.holds("day"))


def covered_share(inputs: Inputs, window: Window, tenant: Tenant) -> float:
    """Return the share of (subscription, day) pairs of the window that the Activity Log covers, 0 to 1."""
    log = CoveredDays(inputs, window, tenant)
    subscriptions = tenant.tree.subscriptions["place"].to_list()
    wanted = len(subscriptions) * window.days
    return sum(log.days(place) for place in subscriptions) / wanted if wanted else 0.0


def covered_subscriptions(inputs: Inputs, window: Window, tenant: Tenant) -> pl.Series:
    """Return the folded subscriptions whose Activity Log covers every day of the window."""
    log = CoveredDays(inputs, window, tenant)
    places = tenant.tree.subscriptions["place"]
    return pl.Series("place", [place for place in places if log.state(place) == COVERED], dtype=pl.String)


def covered_days_of(inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
    """Return `(node, day)`: the days, in the window or not, that the Activity Log of each subscription covers."""
    rows = _control_coverage(inputs)
    return days_of_scopes(rows, tenant.tree).select(node="place", day="day").unique().sort("node", "day")


def read_states(inputs: Inputs, window: Window, tenant: Tenant) -> pl.DataFrame:
    """Return `(a, reads)`: what sign-in logs say of the holders of each assignment.

    It is `no_sign_in` where no holder got any token, `no_arm_token` where none got one for Azure Resource Manager, else
    `arm_read`. A group got no token where all its members are known and none of them got one. Whoever makes calls had a
    token, whatever the sign-in logs show.
    """
    callers = callers_of(inputs, window)
    no_arm = _silent_principals(inputs, tenant, window, arm_tokens(inputs, window), callers.filter("control"))
    nothing = _silent_principals(inputs, tenant, window, tokens_of(inputs, window), callers)
    holders = tenant.assignments.select("a", "principal_id", "principal_tenant_id")
    own = pl.col("principal_tenant_id").is_null()
    return holders.select(
        "a",
        reads=pl.when(pl.col("principal_id").is_in(nothing.implode()) & own)
        .then(pl.lit(Unused.NO_SIGN_IN.value))
        .when(pl.col("principal_id").is_in(no_arm.implode()) & own)
        .then(pl.lit(Unused.NO_ARM_TOKEN.value))
        .otherwise(pl.lit(UnobservableReason.ARM_READ.value)),
    ).sort("a")


@once("principals", "role_assignments", "listings", "group_closure")
def open_groups(inputs: Inputs) -> pl.Series:
    """Return the holders of assignments that may be groups with members that no complete listing shows."""
    described = described_principals(inputs)
    known = groups_with_known_members(inputs, described)
    single = described.filter(pl.col("principal_type").is_in(list(_KINDS)))["principal_id"]
    holders = folded(inputs.role_assignments["principal_id"].drop_nulls()).unique()
    return holders.filter(~holders.is_in(known.implode()) & ~holders.is_in(single.implode()))


@once("principals", "role_assignments")
def described_principals(inputs: Inputs) -> pl.DataFrame:
    """Return `(principal_id, principal_type, kinds)`; `kinds` are the sign-in logs that would show the principal.

    `kinds` is null where that is not known: other types, foreign principals.
    """
    listed = pl.DataFrame({"principal_id": principal_ids(inputs)}).hstack(
        inputs.principals.select("principal_type", "listed")
    )
    named = inputs.role_assignments.select(
        principal_id=folded(inputs.role_assignments["principal_id"]), principal_type="principal_type", listed=False
    )
    rows = (
        pl.concat([listed.with_columns(order=0), named.with_columns(order=1)])
        .drop_nulls("principal_id")
        .sort("principal_id", "order", "principal_type", nulls_last=True)
        .unique("principal_id", keep="first", maintain_order=True)
    )
    undescribed = (pl.col("principal_type") == "ServicePrincipal") & ~pl.col("listed").fill_null(False)
    by_type = pl.col("principal_type").replace_strict(
        {kind: ",".join(logs) for kind, logs in _KINDS.items()}, default=None, return_dtype=pl.String
    )
    kinds = pl.when(undescribed).then(pl.lit(",".join(_UNDESCRIBED_SERVICE))).otherwise(by_type)
    return rows.select("principal_id", "principal_type", kinds=kinds.str.split(","))


def covered_sign_in_kinds(inputs: Inputs, window: Window) -> list[str]:
    """Return the kinds of sign-in whose log covers every day of the window for the whole tenant."""
    rows = inputs.coverage.filter(
        window.holds("day") & (pl.col("source") == "sign_in_log") & (pl.col("state") != "missing")
    )
    rows = rows.filter(place_of(rows["scope"]) == ROOT)
    kinds = sorted({kind for logs in _KINDS.values() for kind in logs})
    return [
        kind
        for kind in kinds
        if rows.filter(folded(pl.col("category")).is_in([kind, "*"]))["day"].n_unique() == window.days
    ]


@once("coverage")
def _control_coverage(inputs: Inputs) -> pl.DataFrame:
    """Return the rows of the table `coverage` on which an Activity Log of administrative calls is covered."""
    return administrative(inputs.coverage)


class CoveredDays:
    """The days of the window that the Activity Log of each scope covers.

    Attributes:
        missing: `(place, day)`: the other days of the window, of the logs that are evidence for a part of it.
    """

    def __init__(self, inputs: Inputs, window: Window, tenant: Tenant) -> None:
        rows = _control_coverage(inputs)
        self._loaded = not rows.is_empty()
        days = days_of_scopes(rows.filter(window.holds("day")), tenant.tree).unique()
        logs = days.select("place").unique().with_columns(since=pl.lit(window.first_day))
        judged = judge_days(days, window, logs)
        self._days: dict[str, int] = dict(judged.select("place", "days").iter_rows())
        self._states: dict[str, str] = dict(judged.select("place", "state").iter_rows())
        in_part = judged.filter(pl.col("state") == COVERED_IN_PART)
        self.missing = missing_days(days, window, logs.join(in_part, on="place", how="semi"))

    def days(self, place: str) -> int:
        """Return how many days of the window the log of this one scope covers."""
        return self._days.get(place, 0)

    def state(self, place: str) -> str:
        """Return what the log of this one scope is evidence of, as `control_states` does."""
        if not self._loaded:
            return OutOfCoverage.NO_LOG_LOADED.value
        return self._states.get(place, OutOfCoverage.SCOPE_NOT_COVERED.value)

    def state_of_all(self, places: Sequence[str]) -> str:
        """Return the state that decides for several scopes; without scopes nothing is known."""
        if not places:
            return OutOfCoverage.SCOPE_TREE_UNKNOWN.value
        return max((self.state(place) for place in places), key=_STATES.index)


def _high_states(place: str, tenant: Tenant, log: CoveredDays) -> tuple[str, str, str | None]:
    groups, subscriptions = tenant.tree.below(place)
    top = log.state(ROOT) if place == ROOT else None
    if not tenant.tree.is_listed(place):
        unknown = OutOfCoverage.SCOPE_TREE_UNKNOWN.value
        return unknown, unknown, top
    return log.state_of_all(subscriptions), log.state_of_all(groups), top


def callers_of(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(principal_id, control)`: who made calls in the window, and whether on the control plane."""
    counts = ("succeeded", "failed", "started", "denied", "suspect")
    made = pl.sum_horizontal(pl.col(one).fill_null(0) for one in counts) > 0
    rows = inputs.usage_days.lazy().filter(window.holds("day") & made & pl.col("principal_id").is_not_null())
    found = rows.group_by("principal_id").agg(control=(pl.col("plane") == "control").any()).collect()
    return found.select("control", principal_id=folded(pl.col("principal_id")))


def _silent_principals(
    inputs: Inputs, tenant: Tenant, window: Window, tokens: pl.DataFrame, callers: pl.DataFrame
) -> pl.Series:
    """Return the principals, groups included, for which no such token can have been issued.

    Args:
        inputs: The tables.
        tenant: The tenant.
        window: The window.
        tokens: `(kind, principal_id, day)` of the tokens.
        callers: `(principal_id)` of those whose calls needed one.
    """
    covered = covered_sign_in_kinds(inputs, window)
    # A token without a known owner may belong to any principal of that kind.
    anonymous = tokens.filter(pl.col("principal_id").is_null())["kind"].unique().to_list()
    usable = [kind for kind in covered if kind not in anonymous]
    described = described_principals(inputs)
    heard = pl.concat([tokens["principal_id"].drop_nulls(), callers["principal_id"]]).unique()
    kinds_speak = pl.col("kinds").list.set_difference(usable).list.len() == 0
    silent = described.filter(kinds_speak.fill_null(False) & ~pl.col("principal_id").is_in(heard.implode()))
    devices = inputs.group_members.filter(pl.col("member_type") == "Device")["member_id"]
    quiet = pl.concat([silent["principal_id"], folded(devices)]).unique()
    groups = groups_with_known_members(inputs, described)
    members = tenant.may_reach.filter(pl.col("principal_id") != pl.col("holder"))
    members = members.filter(~pl.col("principal_id").is_in(groups.implode()))
    loud = members.filter(~pl.col("principal_id").is_in(quiet.implode()))["holder"].unique()
    return pl.concat([silent["principal_id"], groups.filter(~groups.is_in(loud.implode()))]).unique()


def arm_tokens(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(kind, principal_id, day)` of the sign-ins that may have given a token for Azure Resource Manager."""
    ids, names = (inputs.sign_ins[column].drop_nulls().unique() for column in ("resource_id", "resource_name"))
    # A row that does not name the resource of its token may be for Azure Resource Manager.
    ids = ids.filter(folded(ids).is_in(["", *audience_ids("azure_resource_manager")]))
    names = names.filter(folded(names).is_in([name.lower() for name in audience_names("azure_resource_manager")]))
    resource, named = pl.col("resource_id"), pl.col("resource_name").is_in(names.implode()).fill_null(False)
    return tokens_of(inputs, window, resource.is_null() | resource.is_in(ids.implode()) | named)


def tokens_of(inputs: Inputs, window: Window, which: pl.Expr | None = None) -> pl.DataFrame:
    """Return `(kind, principal_id, day)` of the sign-ins that gave a token, all or those that fulfil a condition."""
    given = window.holds("day") & (pl.col("succeeded").fill_null(0) > 0)
    rows = inputs.sign_ins.filter(given if which is None else given & which)
    return rows.select("kind", "day", principal_id=folded(pl.col("principal_id")))


def groups_with_known_members(inputs: Inputs, described: pl.DataFrame) -> pl.Series:
    """Return the groups whose members a complete listing shows, nested groups included."""
    complete = inputs.listings.filter(pl.col("complete").fill_null(False))
    direct = folded(complete.filter(pl.col("listing") == "members")["of"])
    transitive = folded(complete.filter(pl.col("listing") == "transitiveMembers")["of"])
    either = pl.concat([direct, transitive]).unique()
    closure = members_of_groups(inputs).select(group="holder", member="principal_id")
    groups = described.filter(pl.col("principal_type") == "Group")["principal_id"]
    is_group = pl.concat([groups, closure["group"], either]).unique()
    open_nested = closure.filter(
        pl.col("member").is_in(is_group.implode()) & ~pl.col("member").is_in(either.implode())
    )["group"].unique()
    known_direct = direct.filter(~direct.is_in(open_nested.implode()))
    return pl.concat([transitive, known_direct]).unique()
