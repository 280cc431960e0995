"""Decide for each subscription and type of resource whether there was one in the window, and write that as rows.

A type was absent if complete listings of both kinds lack it, the Activity Log covers the window, and no call there
names it. Not even that proves an absence where resources may have come or gone without a call of their own: where a
resource group was deleted, resources were moved or restored, or a subscription changed its management group. A type is
also absent where its provider is not registered, and nothing was registered in the window.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, is_unnamed, place_of, schema_of
from rightsize.analyze.reasons import Unused
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.coverage import covered_days_of, covered_subscriptions
from rightsize.analyze.verdicts.inventory_readers import KINDS, LONGEST_GAP, choose_listings
from rightsize.analyze.verdicts.resource_logs import kind_of, resource_of
from rightsize.analyze.window import Window
from rightsize.rules.resource_types import change_named, extends_others, inventory_types, type_named

GROUP = r"^(/subscriptions/[^/]+/resourcegroups/[^/]+)"
_KIND = r"^/subscriptions/[^/]+(?:/resourcegroups/[^/]+)?/providers/([^/]+/[^/]+)(?:/|$)"
_LAST_SUBSCRIPTION = r"(/subscriptions/[^/]+)$"
_OF_GROUP = ("group_deleted", "moved", "unnamed_call")
"""Changes that concern a resource group alone if they were made at it."""
REGISTRATION = "registration"
_UNREGISTERED: dict[str, pl.DataType] = {
    "node": pl.String(),
    "namespace": pl.String(),
    "reader_id": pl.String(),
    "read_on": pl.Datetime("us"),
}

PROBLEMS = {
    "no_listing": "no complete listing of its resources by both Resource Manager and Resource Graph is loaded",
    "incomplete": "a listing of its resources is not complete",
    "read_before_end": "a listing of its resources was read before the window ended",
    "log_ends_before_listing": f"its log lacks more than {LONGEST_GAP} days between the window and the listing",
    "reader_without_right": "the reader of a listing does not certainly hold `*/read` there, permanent and without a "
    "condition or deny",
    "days_missing": "the Activity Log lacks days of the window",
    "group_deleted": "a resource group was deleted, and the log need not name what was in it",
    "moved": "resources were moved",
    "restored": "something was restored or failed over",
    "management_group_changed": "it changed its management group in the window",
    "unnamed_call": "a call there has no operation that can be read",
}
"""The reasons why existence is not known in a subscription."""


@dataclass(frozen=True, slots=True)
class Existence:
    """The types of resource that existed in the window, and the listings and changes that decide it.

    Attributes:
        window: The window.
        subscriptions: `(node, problem, detail, kind, fault, reader_id, read_on, days)`, one row a known subscription
            and kind of listing: `problem` is a word of `PROBLEMS`, or null where listings and logs prove absences;
            `fault` is the word for this listing alone; `days` is how many days of the window the log covers.
        changes: `(node, at, change)`: changes that hide what existed; `at` is a resource group, or the subscription.
        present: `(node, at, kind, listed, sure, first_day, last_day)`: types that are or may have been at a resource
            group, or at an unknown place of the subscription. `listed` where a listing has one, `sure` where a listing
            or a call that was let through shows one.
        unregistered: `(node, namespace, reader_id, read_on)`: providers that were registered on no day of the window.
        arrived: `(node, at, kind, new_to_node)`: types of which a first resource was created in the window at a
            resource group where there was none before; `new_to_node` where the subscription had none either.
    """

    window: Window
    subscriptions: pl.DataFrame
    changes: pl.DataFrame
    present: pl.DataFrame
    unregistered: pl.DataFrame
    arrived: pl.DataFrame

    @property
    def problems(self) -> pl.DataFrame:
        """Return `(node, problem, detail)`, one row a subscription; null where its listings and logs are complete."""
        return self.subscriptions.select("node", "problem", "detail").unique(maintain_order=True)

    @property
    def listed(self) -> pl.DataFrame:
        """Return `(node)` of the subscriptions of which at least one listing is complete, and the log is."""
        return self.subscriptions.filter(pl.col("fault").is_null()).select("node").unique()

    @property
    def whole(self) -> pl.Series:
        """Return the subscriptions of which listings and logs show every resource that there was in the window."""
        proved = self.problems.filter(pl.col("problem").is_null())
        return proved.join(self.changes, on="node", how="anti")["node"].sort()


def read_existence(inputs: Inputs, window: Window, tenant: Tenant) -> Existence:
    """Return what existed in the window, by the listings, the logs and the assignments of the tenant."""
    calls = _calls(inputs, window)
    changes = _changes(calls)
    present = _present(inputs, window, calls)
    logged = covered_subscriptions(inputs, logged_rest(window), tenant)
    return Existence(
        window=window,
        subscriptions=_subscriptions(inputs, window, tenant, logged),
        changes=changes.filter(pl.col("change") != REGISTRATION),
        present=present,
        unregistered=_unregistered(inputs, window, logged, present, changes),
        arrived=_arrived(calls, present, window),
    )


def logged_rest(window: Window) -> Window:
    """Return the days of a window that an export can have: the first of 90 days is cut by retention."""
    return replace(window, first_day=window.first_day + dt.timedelta(days=1)) if window.days > 1 else window


def _calls(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return the calls since the window began, one row a scope and operation, with the first and the last day.

    Columns: `place`, `node`, `at` (the resource group, else the subscription), `name`, `control`, `odd` (the log names
    no operation), `sure` (not only refused), `first_day`, `last_day`. Days after the window count: a resource that was
    deleted then existed in the window.
    """
    counts = ("succeeded", "failed", "started", "suspect")
    done = pl.sum_horizontal(pl.col(one).fill_null(0) for one in counts) > 0
    calls = (
        inputs.usage_days.lazy()
        .filter(pl.col("day") >= window.first_day)
        .group_by("scope", "operation", "plane")
        .agg(sure=done.any(), first_day=pl.col("day").min(), last_day=pl.col("day").max())
        .collect()
    )
    scopes = pl.DataFrame({"scope": calls["scope"].unique()}).with_columns(place=place_of(pl.col("scope")))
    scopes = scopes.with_columns(
        node=pl.col("place").str.extract(r"^(/subscriptions/[^/]+)"), group=pl.col("place").str.extract(GROUP)
    ).with_columns(at=pl.coalesce("group", "node"))
    operations = pl.DataFrame({"operation": calls["operation"].unique()}).with_columns(
        name=folded(pl.col("operation")), odd=is_unnamed(pl.col("operation")).fill_null(False)
    )
    return (
        calls.join(scopes, on="scope")
        .join(operations, on="operation", nulls_equal=True)
        .select(
            "place",
            "node",
            "at",
            "name",
            "odd",
            "sure",
            "first_day",
            "last_day",
            control=pl.col("plane") == "control",
        )
    )


def _changes(calls: pl.DataFrame) -> pl.DataFrame:
    """Return `(node, at, change)` of the calls after which it is not known what existed."""
    done = calls.filter(pl.col("control") & pl.col("sure"))
    names = pl.DataFrame({"name": done["name"].drop_nulls().unique()})
    named = done.join(names.with_columns(change_named(names["name"])).drop_nulls(), on="name")
    # A call at a resource names a resource of that type; higher up it may have deleted or moved anything.
    odd = done.filter(pl.col("odd") & (pl.col("place") == pl.col("at"))).with_columns(change=pl.lit("unnamed_call"))
    found = pl.concat([named, odd]).with_columns(
        node=pl.coalesce("node", pl.col("place").str.extract(_LAST_SUBSCRIPTION)),
    )
    narrow = pl.col("change").is_in(_OF_GROUP) & (pl.col("place") == pl.col("at"))
    return (
        found.drop_nulls("node")
        .select("node", "change", at=pl.when(narrow).then("at").otherwise("node"))
        .unique()
        .sort("node", "at", "change")
    )


def _present(inputs: Inputs, window: Window, calls: pl.DataFrame) -> pl.DataFrame:
    """Return the types that listings, calls, assignments and settings show, as `Existence.present`."""
    listed = _at_places(place_of(inputs.resources["scope"]), inputs.resources["created_on"].dt.date())
    first, last = pl.lit(window.first_day), pl.lit(window.last_day)
    of_listings = listed.with_columns(
        listed=pl.lit(True), sure=pl.lit(True), first_day=pl.max_horizontal("created", first), last_day=last
    )
    at_type = calls.with_columns(kind=pl.col("place").str.extract(_KIND))
    by_name = calls.with_columns(kind=type_named(pl.col("name"))).filter(
        pl.col("kind").is_in(list(inventory_types())) & pl.col("at").is_not_null()
    )
    of_calls = pl.concat([at_type.drop_nulls("kind"), by_name]).with_columns(listed=pl.lit(False))
    places = [place_of(table["scope"].drop_nulls()) for table in (inputs.role_assignments, inputs.diagnostic_settings)]
    named = pl.concat(places).unique()
    of_names = _at_places(named, pl.Series([None] * len(named), dtype=pl.Date)).with_columns(
        listed=pl.lit(False),
        sure=pl.lit(False),
        first_day=pl.lit(None, dtype=pl.Date),
        last_day=pl.lit(None, dtype=pl.Date),
    )
    columns = ("node", "at", "kind", "listed", "sure", "first_day", "last_day")
    rows = pl.concat([frame.select(columns) for frame in (of_listings, of_calls, of_names)])
    seen = pl.when(pl.col("sure"))
    return (
        rows.with_columns(first_day=seen.then("first_day"), last_day=seen.then(pl.min_horizontal("last_day", last)))
        .group_by("node", "at", "kind")
        .agg(pl.col("listed", "sure").any(), pl.col("first_day").min(), pl.col("last_day").max())
        .sort("node", "at", "kind")
    )


def _arrived(calls: pl.DataFrame, present: pl.DataFrame, window: Window) -> pl.DataFrame:
    """Return the types that came in the window, as `Existence.arrived`: nothing shows one before its first write.

    A write on the first day of the window is no arrival: what was there before that day is not known.
    """
    written = calls.filter(pl.col("control") & pl.col("sure")).with_columns(kind=pl.col("place").str.extract(_KIND))
    first = (
        written.filter((pl.col("name") == pl.col("kind") + "/write") & pl.col("kind").is_in(list(inventory_types())))
        .group_by("node", "at", "kind")
        .agg(day=pl.col("first_day").min())
        .filter((pl.col("day") > window.first_day) & (pl.col("day") <= window.last_day))
    )
    before = pl.col("first_day").min()
    return (
        first.join(present.group_by("node", "at", "kind").agg(there=before), on=["node", "at", "kind"])
        .join(present.group_by("node", "kind").agg(anywhere=before), on=["node", "kind"])
        .filter(pl.col("day") <= pl.col("there"))
        .select("node", "at", "kind", new_to_node=pl.col("day") <= pl.col("anywhere"))
        .sort("node", "at", "kind")
    )


def _at_places(places: pl.Series, created: pl.Series) -> pl.DataFrame:
    """Return `(node, at, kind, created)` of the folded scopes that are or lie in a resource."""
    found = pl.DataFrame({"place": places, "created": created}).select(
        "created",
        node=pl.col("place").str.extract(r"^(/subscriptions/[^/]+)"),
        group=pl.col("place").str.extract(GROUP),
        kind=pl.col("place").str.extract(_KIND),
    )
    return found.drop_nulls("kind").select("node", "kind", "created", at=pl.coalesce("group", "node"))


def _subscriptions(inputs: Inputs, window: Window, tenant: Tenant, logged: pl.Series) -> pl.DataFrame:
    """Return the known subscriptions with their listings and the first problem, as `Existence.subscriptions`.

    `logged` are the subscriptions whose log covers the window.
    """
    nodes = tenant.tree.subscriptions.select(node="place").sort("node")
    covered = covered_days_of(inputs, tenant)
    listings = choose_listings(inputs, window, tenant, covered)
    counts = covered.filter(window.holds("day")).group_by("node").agg(days=pl.col("day").n_unique().cast(pl.Int64))
    wanted = nodes.join(pl.DataFrame({"kind": list(KINDS)}), how="cross")
    joined = (
        wanted.join(listings, on=["node", "kind"], how="left")
        .join(counts, on="node", how="left")
        .with_columns(
            fault=pl.when(pl.col("reader_id").is_null()).then(pl.lit("no_listing")).otherwise("fault"),
            days=pl.col("days").fill_null(0),
        )
        .sort("node", "kind")
    )
    fault = pl.col("fault").drop_nulls().first().over("node")
    missing = pl.when(~pl.col("node").is_in(logged.implode())).then(pl.lit("days_missing"))
    detail = pl.when(pl.col("fault") == "incomplete").then("problem").drop_nulls().first().over("node")
    return joined.with_columns(
        problem=pl.coalesce(fault, missing), detail=detail, fault=pl.coalesce("fault", missing)
    ).select("node", "problem", "detail", "kind", "fault", "reader_id", "read_on", "days")


def _unregistered(
    inputs: Inputs, window: Window, logged: pl.Series, present: pl.DataFrame, changes: pl.DataFrame
) -> pl.DataFrame:
    """Return the providers that were registered on no day of the window, as `Existence.unregistered`."""
    table = inputs.provider_registrations
    if table.is_empty():
        return pl.DataFrame(schema=_UNREGISTERED)
    changed = changes.filter(pl.col("change") == REGISTRATION)["node"].unique()
    rows = table.filter(
        (folded(pl.col("state")) == "notregistered")
        & (folded(pl.col("policy")) == "registrationrequired")
        & pl.col("reader_id").is_not_null()
        & (pl.col("updated_on") >= window.end)
    ).select(
        node=place_of(pl.col("scope")),
        namespace=folded(pl.col("namespace")),
        reader_id=folded(pl.col("reader_id")),
        read_on="updated_on",
    )
    there = present.select("node", namespace=pl.col("kind").str.split("/").list.first()).unique()
    return (
        rows.filter(pl.col("node").is_in(logged.implode()) & ~pl.col("node").is_in(changed.implode()))
        .join(there, on=["node", "namespace"], how="anti")
        .unique(["node", "namespace"], keep="any")
        .sort("node", "namespace")
    )


def existence_rows(existence: Existence, tenant: Tenant) -> pl.DataFrame:
    """Return the table `resource_existence`."""
    rows = states_of(existence).join(_spelling(tenant), on="kind", how="left")
    is_absent = pl.when(pl.col("state") == "absent")
    by_provider = pl.col("reason") == Unused.PROVIDER_NOT_REGISTERED.value
    return rows.select(
        scope="node",
        resource_type=pl.coalesce("spelt", "kind"),
        state="state",
        reason="reason",
        first_day="first_day",
        last_day="last_day",
        reader_id=is_absent.then(pl.when(by_provider).then("of_provider").otherwise("reader_id")),
        read_on=is_absent.then(pl.when(by_provider).then("provider_read").otherwise("read_on")),
    ).select(*schema_of("resource_existence"))


def type_rows(tenant: Tenant, resources: pl.DataFrame, registrations: pl.DataFrame) -> pl.DataFrame:
    """Return the table `resource_types`.

    Args:
        tenant: The tenant, for the operations that its roles grant.
        resources: The table of that name.
        registrations: The table `provider_registrations`.
    """
    granted = tenant.operations.join(tenant.grants.select("name").unique(), on="name", how="semi")
    parts = pl.col("operation").str.split("/")
    typed = granted.filter(parts.list.len() > 2).select(
        resource_type=parts.list.head(2).list.join("/"), kind=type_named(pl.col("name"))
    )
    places = pl.DataFrame({"place": place_of(resources["scope"])}).with_columns(resource=resource_of("place"))
    counts = places.select("resource").drop_nulls().unique().group_by(kind=kind_of("resource")).agg(number=pl.len())
    states = registrations.group_by(namespace=folded(pl.col("namespace"))).agg(
        registered=(folded(pl.col("state")) == "registered").sum().cast(pl.Int64)
    )
    return (
        typed.group_by("kind")
        .agg(pl.col("resource_type").min())
        .with_columns(namespace=pl.col("kind").str.split("/").list.first())
        .join(counts, on="kind", how="left")
        .join(states, on="namespace", how="left")
        .select(
            "resource_type",
            "registered",
            provider=pl.col("resource_type").str.split("/").list.first(),
            resources=pl.col("number").fill_null(0).cast(pl.Int64),
            decidable=pl.col("kind").is_in(list(inventory_types())),
        )
        .select(*schema_of("resource_types"))
        .sort("resource_type")
    )


def _spelling(tenant: Tenant) -> pl.DataFrame:
    """Return `(kind, spelt)`: types as the rules spell them, else as the catalogue does."""
    rules = pl.DataFrame(list(inventory_types().items()), schema={"kind": pl.String, "spelt": pl.String}, orient="row")
    named = tenant.operations.select(kind=type_named(pl.col("name")), spelt=type_named(pl.col("operation")))
    others = named.drop_nulls().group_by("kind").agg(pl.col("spelt").min())
    return pl.concat([rules, others.join(rules, on="kind", how="anti")])


def states_of(existence: Existence) -> pl.DataFrame:
    """Return one row a subscription and type, with the folded type as `kind`."""
    kinds = pl.DataFrame({"kind": sorted(inventory_types())})
    found = existence.present.group_by("node", "kind").agg(
        pl.col("listed", "sure").any(), pl.col("first_day").min(), pl.col("last_day").max()
    )
    named = found["kind"].unique().sort()
    extra = pl.DataFrame({"kind": named.filter(extends_others(named))})
    found = found.join(extra, on="kind", how="anti")
    nodes = existence.problems
    rows = pl.concat([nodes.select("node").join(kinds, how="cross"), found.select("node", "kind")]).unique()
    hidden = existence.changes.group_by("node").agg(change=pl.col("change").min())
    unregistered = existence.unregistered.select(
        "node", "namespace", of_provider=pl.col("reader_id"), provider_read=pl.col("read_on")
    )
    read = existence.subscriptions.group_by("node").agg(
        reader_id=pl.col("reader_id").first(), read_on=pl.col("read_on").min()
    )
    return (
        rows.join(found, on=["node", "kind"], how="left")
        .join(nodes, on="node", how="left")
        .join(hidden, on="node", how="left")
        .join(read, on="node", how="left")
        .with_columns(namespace=pl.col("kind").str.split("/").list.first())
        .join(unregistered, on=["node", "namespace"], how="left")
        .with_columns(_state())
        .sort("node", "kind")
    )


def _state() -> list[pl.Expr]:
    """Return `state` and `reason` of a subscription and type."""
    decidable = pl.col("kind").is_in(list(inventory_types()))
    proved = pl.col("problem").is_null() & pl.col("change").is_null() & decidable
    cases = [
        (pl.col("listed").fill_null(False), "exists", pl.lit("listed")),
        (pl.col("sure").fill_null(False), "existed", pl.lit("in_log")),
        (pl.col("sure").is_not_null(), "unknown", pl.lit("named_only")),
        (proved, "absent", pl.lit(Unused.NO_SUCH_RESOURCE.value)),
        (pl.col("of_provider").is_not_null() & decidable, "absent", pl.lit(Unused.PROVIDER_NOT_REGISTERED.value)),
    ]
    unknown = pl.coalesce(pl.when(~decidable).then(pl.lit("not_decidable")), "problem", "change")
    states = [pl.when(condition).then(pl.lit(word)) for condition, word, _ in cases]
    reasons = [pl.when(condition).then(why) for condition, _, why in cases]
    return [pl.coalesce(*states, pl.lit("unknown")).alias("state"), pl.coalesce(*reasons, unknown).alias("reason")]
