"""Read from the store what behaviour is judged from: of all principals and days, or of those that have any news."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import polars as pl

from rightsize.analyze.agents import AGENT_TABLES, agent_identities
from rightsize.analyze.behaviour import signals
from rightsize.analyze.behaviour.facts import BehaviourInputs, classes_of, sought_among
from rightsize.analyze.behaviour.first_days import LEAST_DAYS, days_with_history
from rightsize.analyze.behaviour.openings import ROLE, Acting, opening_among, read_ways, who_acts
from rightsize.analyze.graph_tables import GraphTables
from rightsize.analyze.inputs import folded
from rightsize.rules.attacks import breadth_classes, escalation_rules
from rightsize.store.connection import Store
from rightsize.store.habits import (
    IS_ASKED,
    active_days,
    first_places,
    habit,
    logged_days,
)

_HISTORY_DAYS = 180
# Days of history in which earlier grants, the habit of giving them, and runs are looked for.
STEPS_DAYS = 43
# A request of PIM and the record of the audit log about it are one activation, of a role or of a group's membership.
_ACTIVATIONS = """
    SELECT principal_id, role, min(time) AS time, bool_or(justified) AS justified FROM (
        SELECT principal_id, lower(CASE WHEN plane = 'group' THEN string_split(scope, '/')[-1] ELSE role_definition_id
            END) AS role, requested_on AS time, justified FROM schedule_requests WHERE request_type = 'selfactivate'
        UNION ALL
        SELECT principal_id, lower(coalesce(group_id, role_definition_id)), time, justified FROM pim_records
        WHERE step = 'requested'
    ) WHERE principal_id IS NOT NULL AND time::DATE BETWEEN $first AND $last
    GROUP BY principal_id, role, time_bucket(INTERVAL '10 minutes', time)"""
# A role is held by name or through a group, as the newest listing has it. An eligible role counts as held. Nobody held
# a role before it existed: a hire in an old group did not.
_GRANTS = """
    SELECT DISTINCT coalesce(c.member_id, a.principal_id) AS principal_id, lower(a.role_definition_id) AS role,
        coalesce(d.role_name, a.role_name) AS role_name,
        CASE rtrim(a.scope, '/') WHEN '' THEN '/' ELSE lower(rtrim(a.scope, '/')) END AS scope,
        greatest(coalesce(a.created_on, a.start_on), p.created_on) AS created_on
    FROM role_assignments AS a LEFT JOIN group_closure AS c ON c.group_id = a.principal_id
    LEFT JOIN base.principals AS p ON p.principal_id = coalesce(c.member_id, a.principal_id)
    LEFT JOIN (SELECT lower(role_definition_id) AS id, min(role_name) AS role_name FROM role_definitions GROUP BY ALL)
        AS d ON d.id = lower(a.role_definition_id)
    WHERE a.state <> 'activated'"""
_ROLE_OPERATIONS = """
    SELECT DISTINCT lower(role_definition_id) AS role, lower(operation) AS name FROM role_operations
    WHERE (NOT conditional OR conditional IS NULL)
        AND lower(role_definition_id) IN (SELECT lower(role_definition_id) FROM role_assignments)"""
_ACTIVE = active_days(f"SELECT * FROM ({habit('usage_by_day')}) WHERE {IS_ASKED}", LEAST_DAYS)
_LOGGED = logged_days(f"SELECT * FROM ({habit('places')}) WHERE {IS_ASKED}")
_COUNT, _TIME, _TEXT = pl.Int64(), pl.Datetime("us"), pl.String()
_DAY: Mapping[str, pl.DataType] = {"principal_id": _TEXT, "day": pl.Date()}
_EMPTY: Mapping[str, Mapping[str, pl.DataType]] = {
    "logged": {**_DAY, "is_sign_in": pl.Boolean(), "networks": _COUNT, "applications": _COUNT, "carriers": _COUNT,
              "countries": _COUNT},
    "places": {"principal_id": _TEXT, "is_sign_in": pl.Boolean(), "app_id": _TEXT, "network": _TEXT, "country": _TEXT,
               "network_number": _TEXT, "day": pl.Date()},
    "activations": {"principal_id": _TEXT, "role": _TEXT, "time": _TIME, "justified": pl.Boolean()},
    "grants": {"principal_id": _TEXT, "role": _TEXT, "role_name": _TEXT, "scope": _TEXT, "created_on": _TIME},
    "role_operations": {"role": _TEXT, "name": _TEXT},
    "graph": {**_DAY, "first_seen": _TIME, "operation": _TEXT, "name": _TEXT, "before": _COUNT},
    "keyed": {"resource": _TEXT, "day": pl.Date(), "first_seen": _TIME, "last_seen": _TIME, "silent": _COUNT,
             "is_known": pl.Boolean()},
    "woken": {**_DAY, "gap": _COUNT, "place": _TEXT, "operation": _TEXT, "name": _TEXT, "scope": _TEXT, "risk": _TEXT,
              "plane": _TEXT, "first_seen": _TIME},
    "breadth": {**_DAY, "of": _TEXT, "risk": _TEXT, "resources": _COUNT, "days": _COUNT, "total": _COUNT,
                "most": _COUNT, "kind_days": _COUNT, "kind_total": _COUNT, "made": _COUNT},
}  # fmt: skip
"""The tables of which nobody has any news, by their names in `BehaviourInputs`."""
_ALL = {"first": dt.date.min, "last": dt.date.max}


@dataclass(frozen=True)
class Reader:
    """Reads what behaviour is judged from, common tables once: nothing may be written to the store meanwhile."""

    store: Store

    @cached_property
    def table_of(self) -> Callable[[str], pl.DataFrame]:
        """A reader of the tables of the store."""
        return cache(self.store.table)

    @cached_property
    def operations(self) -> pl.DataFrame:
        """`operation, risk` of the catalogue."""
        return self.table_of("operations").select("operation", "risk")

    @cached_property
    def monitoring(self) -> pl.DataFrame:
        """The operations that weaken or disable monitoring."""
        layers = self.table_of("operation_layers")
        return layers.filter((pl.col("layer") == "monitoring") & (pl.col("effect") != "bypass"))

    @cached_property
    def names(self) -> pl.Series:
        """The operations of logs, folded."""
        return self.store.frame("SELECT folded AS name FROM base.operation_names")["name"]

    @cached_property
    def opening(self) -> list[str]:
        """The operations of logs that open a way to somebody, folded."""
        return opening_among(self.names).to_list()

    @cached_property
    def sought(self) -> pl.DataFrame:
        """`name, risk, counted`: what attackers seek, and the class in which its resources of a day are counted."""
        found = sought_among(classes_of(self.names, self.operations, self.monitoring))
        return found.with_columns(
            counted=pl.select(pl.coalesce(breadth_classes(found["name"]), found["risk"])).to_series()
        )

    def asked(self, risk: str) -> dict[str, list[str]]:
        """Return what attackers seek as parameters of queries, with the classes of a column of `sought`."""
        return {"sought": self.sought["name"].to_list(), "risks": self.sought[risk].to_list()}


_WIDELY = {"wide": list(signals.CLASSES), "least": signals.LEAST}
"""The classes of which many resources a day are counted, as parameters of queries."""


def behaviour_inputs(
    reader: Reader,
    span: Mapping[str, dt.date] | None = None,
    only: Collection[dt.date] | None = None,
    news: pl.DataFrame | None = None,
) -> BehaviourInputs:
    """Read the tables from which behaviour is judged.

    Args:
        reader: Reads the store.
        span: The `first` and the `last` day of it; all days for None.
        only: The days that are judged; all of the span for None.
        news: Rows of `read_news` of these days: nobody else is judged, and what they have no news of is not read. None
            for everybody.
    """
    span = span or _ALL
    store = reader.store
    code = escalation_rules("control").filter(pl.col("rule") == "runs_code").select(operation="permission")
    steps = pl.concat([reader.operations.filter(pl.col("risk") == "privilege").select("operation"), code])
    lately = {
        "always": folded(steps["operation"]).unique().sort().to_list(),
        "lately": min(only) - dt.timedelta(days=STEPS_DAYS) if only else span["first"],
    }
    asked = {**span, **reader.asked("risk")}
    # The fact that keys were used is told of who listed them, whatever news that principal has.
    if news is not None and "keys" in news["families"].explode():
        news = None
    who = None if news is None else news["principal_id"].unique().sort().to_list()
    some = {"since": min(only) if only else span["first"], "who": who}
    families = None if news is None else set(news["families"].explode())
    # The hours of everybody, and who else holds the roles, are the measure of who has no history.
    active = _of_days(store, _ACTIVE, {**span, "who": None if families and "when" in families else who}, only)
    if families is not None and who is not None:
        old = days_with_history(active).select("principal_id", "day")
        young = active.filter(pl.col("principal_id").is_in(who)).join(old, on=old.columns, how="anti")
        families |= {"young"} if young.height else set()

    def read(
        name: str, family: str, text: str, asked: Mapping[str, Any], days: Collection[dt.date] | None = only
    ) -> pl.DataFrame:
        """Return the rows of a query, of some days where it is asked of them, none where nobody has such news."""
        if families is not None and families.isdisjoint(family.split()):
            return pl.DataFrame(schema=_EMPTY[name])
        return _of_days(store, text, asked, days)

    ways = ways_opened(reader, span)
    acting = ways.filter(pl.col("way") != ROLE)["holder_id"].drop_nulls().unique().sort().to_list()
    return BehaviourInputs(
        days=store.frame(habit("first_rows"), {**span, **lately}),
        active=active,
        places=read("places", "where", first_places(habit("places")), span, None),
        logged=read("logged", "where", _LOGGED, {**span, "who": who}),
        ways=ways,
        graph=read("graph", "graph", habit("graph_first"), {**span, "acting": acting}),
        keyed=read("keyed", "keys", habit("keyed"), {**span, "silent": signals.SILENT}),
        activations=read("activations", "activation", _ACTIVATIONS, span, None),
        principals=reader.table_of("principals"),
        operations=reader.operations,
        monitoring=reader.monitoring,
        machines=_machines(reader.table_of("resource_identities"), reader.table_of("principals")),
        code=code,
        grants=read("grants", "wakes young", _GRANTS, {}, None),
        role_operations=read("role_operations", "wakes", _ROLE_OPERATIONS, {}, None),
        woken=read("woken", "wakes", habit("woken"), {**asked, **some, "silent": signals.SILENT}),
        breadth=read(
            "breadth",
            "breadth",
            habit("breadth"),
            {**span, **some, **reader.asked("counted"), **_WIDELY, "fresh": signals.FRESH},
        ),
        prepared=store.frame(habit("prepared"), {**asked, "fresh": signals.FRESH}),
        who=who,
    )


def read_news(reader: Reader, days: Collection[dt.date]) -> pl.DataFrame:
    """Return `principal_id, day, families, digest`: who has anything that can make a day unusual, and of which kinds.

    A day without any is no finding, and one with the same digest as before shows what it showed then. The principal is
    empty for requests that name nobody.
    """
    asked = {
        **reader.asked("counted"), **_WIDELY, "opening": reader.opening, "silent": signals.SILENT, "old": signals.OLD,
        "settled": LEAST_DAYS, "burn_in": signals.BURN_IN,
    }  # fmt: skip
    news = habit("news")
    # These are few rows, and a frame would take the long statement apart twice.
    rows = [
        row for day in sorted(days) for row in reader.store.rows(news, {**asked, "first": history_of(day), "last": day})
    ]
    return pl.DataFrame(rows, schema={**_DAY, "families": pl.List(pl.String()), "digest": _TEXT})


def history_of(day: dt.date) -> dt.date:
    """Return the first day of the history by which a watch judges a day: the start of a month."""
    return (day - dt.timedelta(days=_HISTORY_DAYS)).replace(day=1)


def _of_days(store: Store, text: str, span: Mapping[str, Any], only: Collection[dt.date] | None) -> pl.DataFrame:
    if only is None:
        return store.frame(text, span)
    return store.frame(f"SELECT * FROM ({text}) WHERE day IN (SELECT unnest($only))", {**span, "only": sorted(only)})


def ways_opened(reader: Reader, span: Mapping[str, Any]) -> pl.DataFrame:
    """Return the ways that calls opened to somebody, with who can act through each."""
    store, table_of = reader.store, reader.table_of
    calls = store.frame(habit("opened"), {**span, "opening": reader.opening})
    asked = who_acts(calls["name"].unique())
    pair = {"principal_id": pl.String}
    acting = Acting(*(pl.DataFrame(schema={name: pl.String, **pair}) for name in ("scope", "object_id", "holder_id")))
    if "identity" in asked:
        attached = table_of("resource_identities").drop_nulls("principal_id")
        at = (attached.select("principal_id", scope=folded(pl.col(name))) for name in ("scope", "identity_scope"))
        found = pl.concat(at).filter(pl.col("scope") != "").unique()
        acting = replace(acting, identities=found)
    if asked & {"application", "agents"}:
        named = {"object_owners": "app_id", "federated_credentials": "app_id", "agent_blueprints": "blueprint_app_id"}
        listed = [table_of(name).rename({app: "app_id"}) for name, app in named.items()]
        known = pl.concat(rows.select(folded(pl.col("object_id")), folded(pl.col("app_id"))) for rows in listed)
        people = table_of("principals").select("principal_id", app_id=folded(pl.col("app_id"))).drop_nulls()
        acting = replace(acting, applications=known.drop_nulls().unique().join(people, on="app_id"))
    if "agents" in asked and store.has_rows("agent_blueprints"):
        tables = GraphTables.of(**{name: table_of(name) for name in AGENT_TABLES})
        agents = agent_identities(tables).drop_nulls("holder_id").select("holder_id", principal_id="agent_id")
        acting = replace(acting, agents=agents.unique())
    return read_ways(calls, acting)


def _machines(attached: pl.DataFrame, principals: pl.DataFrame) -> pl.DataFrame:
    """Return `scope, principal_id` of machines, from attached identities and the names of managed identities."""
    listed = attached.filter(pl.col("kind") != "self").select("scope", "principal_id").drop_nulls("principal_id")
    named = principals.select(scope="alternative_names", principal_id="principal_id").explode("scope")
    return pl.concat([listed, named.filter(pl.col("scope").str.starts_with("/subscriptions/"))])
