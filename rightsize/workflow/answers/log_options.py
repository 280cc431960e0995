"""Describe each missing thing that would decide something: its volume, its price, its day, and what to do.

What is missing scope by scope is described whole and for each scope.

Say what a missing log weighs and costs: its gigabytes a month, by rows at hand, stated or assumed, and its price.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from rightsize.analyze.inputs import ROOT, Inputs, place_of
from rightsize.analyze.observability import ways
from rightsize.analyze.observability.needs import part_of
from rightsize.analyze.observability.promises import PartPromise, Promise
from rightsize.analyze.observability.undecided import as_ranges, inner_gaps
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.verdicts.resource_logs import known_resources, resource_of
from rightsize.analyze.window import Window
from rightsize.model.progress import counted
from rightsize.model.text import fold
from rightsize.render.escape import for_shell
from rightsize.render.log_settings import FOLDER_OF_LOG, deployment_commands, entra_command, policy_commands
from rightsize.rules.prices import LogTable, Price, Prices, log_tables
from rightsize.rules.tables import rows_of

_MONTH = 30
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume of a log in a month.

    Attributes:
        gigabytes: None where nothing says it.
        records: By rows of like sources in this store, else assumed; None without any.
        source: Where the gigabytes come from; empty where they are not known.
        is_assumed: Whether nothing at hand says the number of records.
    """

    gigabytes: float | None
    records: int | None
    source: str
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """The price of a month of a log: None where the volume or a price is not known."""

    monthly: float | None
    as_of: dt.date | None
    source: str


SENT = Cost(0.0, None, "diagnostic settings send it already")


@dataclass(frozen=True, slots=True)
class Tariff:
    """The prices of logs, and what they are asked for.

    Attributes:
        plan: The plan that prices are of.
        region: The region that prices are of.
        records_per_day: The records that a resource writes a day, as a person says; None to assume it.
    """

    prices: Prices
    plan: str = "analytics"
    region: str = "us"
    records_per_day: int | None = None

    def of(self, table: str) -> Price | None:
        """Return the price of a table."""
        return self.prices.of(table, self.plan, self.region)


@dataclass(frozen=True, slots=True)
class Sources:
    """The tables and prices that describe each missing thing.

    Attributes:
        inputs: The tables.
        coverage: The whole table `coverage`, logs of the tenant among them.
        cells: The undecided cells, with their ways.
        tariff: The prices.
        spelt: By folded scope: how it was loaded.
    """

    inputs: Inputs
    analysis: Analysis
    coverage: pl.DataFrame
    cells: pl.DataFrame
    tariff: Tariff
    spelt: Mapping[str, str] = field(default_factory=dict)

    @property
    def window(self) -> Window:
        """Return the window of the analysis."""
        return self.analysis.window


def volume_of(item: str, tables: Sequence[LogTable], sources: Sources, scopes: int) -> Volume:
    """Return the volume of a missing thing at a number of scopes, of a log of resources at a number of these."""
    if item == ways.DECLARED or not tables:
        return Volume(0.0, 0, "nothing is sent")
    users = sources.inputs.principals.filter(
        (pl.col("principal_type") == "User") & pl.col("listed").fill_null(False)
    ).height
    total, records, said = 0.0, 0, []
    unknown = assumed = False
    for table in tables:
        number = _records(item, table, sources.coverage, scopes)
        price = sources.tariff.of(table.table)
        size = (price.bytes_per_record if price else None) or table.bytes_per_record
        if number is not None and size is not None:
            said.append(f"{table.table}: rows of this store, at {size:,.0f} bytes each")
        elif table.records_per_day is not None and size is not None and number is None:
            assumed = True
            number, why = _assumed(
                table, sources, scopes if item.startswith(ways.RESOURCE_LOG) else _signers(table, sources)
            )
            unknown = unknown or not number
            said.append(f"{table.table}, assumed: {why}, at {size:,.0f} bytes each")
        elif table.gb_per_1000_users is not None and users:
            total += table.gb_per_1000_users * users / 1000
            said.append(f"{table.table}: {table.gb_per_1000_users:g} GB for 1,000 users ({table.source})")
            size = 0.0
        else:
            unknown = True
        records += number or 0
        total += (number or 0) * (size or 0) / _GB
    return Volume(None if unknown else total, records or None, "" if unknown else "; ".join(said), assumed)


_SIGNING = {"non_interactive": "User", "service_principal": "ServicePrincipal", "managed_identity": "ManagedIdentity"}
"""By category of a sign-in log: the type of its principals."""


def _signers(table: LogTable, sources: Sources) -> int:
    """Return the number of listed principals whose sign-ins a log has."""
    listed = sources.inputs.principals.filter(pl.col("listed").fill_null(False))
    return listed.filter(pl.col("principal_type") == _SIGNING[table.category]).height


def _assumed(table: LogTable, sources: Sources, writers: int) -> tuple[int, str]:
    """Return the records of a month that resources or principals are assumed to write, and why."""
    unit = "principal" if table.category in _SIGNING else "resource"
    said = None if table.category in _SIGNING else sources.tariff.records_per_day
    like = None if table.category in _SIGNING else _like_records(table, sources.coverage)
    daily: float = table.records_per_day or 0
    why = ""
    if said is not None:
        daily, why = said, ", as you say"
    elif like is not None:
        daily, why = like, ", as other logs of resources here have"
    return round(daily * writers * _MONTH), f"{daily:,.0f} records a day and {unit}{why}"


def _like_records(table: LogTable, coverage: pl.DataFrame) -> float | None:
    """Return the records a day of resources of like types of which this store has a log; None without any."""
    like = {row["log"] for row in rows_of("log_tables") if row["records_per_day"] == str(table.records_per_day)}
    rows = _observed(coverage).filter(pl.col("source").is_in(sorted(like)))
    return None if rows.is_empty() else int(rows["events"].sum()) / rows.select("scope", "day").n_unique()


def _observed(coverage: pl.DataFrame) -> pl.DataFrame:
    return coverage.filter((pl.col("state") == "observed") & (pl.col("events") > 0))


def _records(item: str, table: LogTable, coverage: pl.DataFrame, scopes: int) -> int | None:
    """Return the records of a month by the days of like sources that this store has; None without any."""
    rows = _observed(coverage).filter(pl.col("source") == table.log)
    if item.startswith(ways.RESOURCE_LOG):
        kinds = rows.select(place=place_of(rows["scope"])) if len(rows) else rows.select(place="scope")
        kind = item.removeprefix(ways.RESOURCE_LOG)
        rows = rows.filter(kinds["place"].str.contains(f"/providers/{kind}/", literal=True))
    else:
        rows = rows.filter(pl.col("category").str.to_lowercase() == table.category.lower())
    if rows.is_empty():
        return None
    days = rows.select("scope", "day").n_unique()
    return round(int(rows["events"].sum()) / days * scopes * _MONTH)


def cost_of(item: str, tables: Sequence[LogTable], volume: Volume, sources: Sources) -> Cost:
    """Return the price of a month of a missing thing with a volume."""
    if item == ways.DECLARED or not tables:
        return Cost(0.0, None, "a listing or a declaration costs nothing")
    prices = [sources.tariff.of(table.table) for table in tables]
    known = [price for price in prices if price is not None]
    said = "; ".join(dict.fromkeys(price.source for price in known))
    as_of = min((price.as_of for price in known), default=None)
    if len(known) < len(prices):
        return Cost(None, as_of, said)
    if all(_is_free(price) for price in known):
        return Cost(0.0, as_of, said)
    if volume.gigabytes is None:
        return Cost(None, as_of, said)
    # All tables of one log have the price of the dearest one.
    dearest = max(known, key=lambda price: price.monthly(1.0, sources.window.days))
    return Cost(round(dearest.monthly(volume.gigabytes, sources.window.days), 4), as_of, said)


def _is_free(price: Price) -> bool:
    return price.per_gb == 0 and price.per_gb_month == 0


_SUBSCRIPTION = "/subscriptions/"
_SIGN_INS = "sign_ins:"
_TEMPLATES = "rightsize status logs --bicep ."
_TITLES = {
    "scopes": "management groups and subscriptions",
    "inventory": "complete inventory of resources",
    "providers": "registrations of providers",
    "members": "principals and group members",
    "sign_ins:user": "sign-ins of users",
    "sign_ins:service_principal": "sign-ins of service principals",
    "sign_ins:managed_identity": "sign-ins of managed identities",
    "graph_log": "Microsoft Graph activity log",
    "directory_log": "directory audit log",
    "graph_map": "permission map of Microsoft Graph",
    ways.PIM_HISTORY: "requests and instances of PIM",
    ways.ACTIVATION_RULES: "activation rules of eligible roles",
}
EXPORTED = {
    "scopes": ("management_groups", "subscriptions"),
    "inventory": ("resources", "resource_graph", "role_assignments", "role_definitions"),
    "providers": ("providers",),
    "members": ("users", "groups", "service_principals", "group_members"),
    ways.ACTIVITY_LOG: ("activity_log",),
    "directory_log": ("directory_audits",),
    ways.PIM_HISTORY: ("role_assignment_requests", "role_assignment_instances", "role_eligibility_instances"),
    ways.ACTIVATION_RULES: ("role_management_policies", "role_management_policy_assignments"),
}
"""The sources of `fetch-script` that fetch a missing thing."""


@dataclass(frozen=True, slots=True)
class LogPart:
    """A missing thing at one scope.

    Attributes:
        name: Its name, `needs.part_of`.
        scope: The scope, spelt as it was loaded; empty where nothing tells at which scope it is missing.
        promise: What it would decide.
        cost: Its price.
        commands: What to do, in order.
        policies: The commands that assign built-in policies instead.
    """

    name: str
    scope: str
    promise: PartPromise
    volume: Volume
    cost: Cost
    commands: tuple[str, ...]
    policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LogOption:
    """A missing thing that would decide something.

    Attributes:
        promise: What it would decide.
        title: Its name in words.
        cost: Its price.
        licence: The licence that it takes; empty where it takes none.
        decides_on: The day on which it decides.
        commands: What to do, in order.
        policies: The commands that assign built-in policies instead, which also take in new resources.
        is_sent: Whether diagnostic settings send it already, so that it only has to be loaded.
        parts: The same scope by scope; none for what is missing for the whole tenant.
    """

    promise: Promise
    title: str
    volume: Volume
    cost: Cost
    licence: str
    decides_on: dt.date
    commands: tuple[str, ...]
    policies: tuple[str, ...] = ()
    is_sent: bool = False
    parts: tuple[LogPart, ...] = ()

    @property
    def prices(self) -> dict[str, float]:
        """Return the known price of each part, of the whole where it has none."""
        whole = ((self.promise.item, self.cost),)
        known = ((one.name, one.cost) for one in self.parts) if self.parts else whole
        return {name: cost.monthly for name, cost in known if cost.monthly is not None}


def spelt_scopes(inputs: Inputs) -> dict[str, str]:
    """Return by folded scope how it was loaded."""
    return dict(inputs.scopes.select(place_of(pl.col("scope")), text="scope").iter_rows())


def describe_options(promises: Sequence[Promise], sources: Sources) -> list[LogOption]:
    """Return an option for each promise, in their order."""
    resources = _resources(sources)
    return [_describe(promise, sources, resources.get(promise.item, ())) for promise in promises]


def _describe(promise: Promise, sources: Sources, lacking: Sequence[str]) -> LogOption:
    item = promise.item
    tables = log_tables(item)
    sent = item.startswith(ways.RESOURCE_LOG) and _is_sent(item, sources)
    scopes = len(lacking) if item.startswith(ways.RESOURCE_LOG) else sum(bool(one.scope) for one in promise.parts)
    volume = volume_of(item, tables, sources, max(1, scopes))
    waits = 0 if sent else max((_days_to_wait(item, table, sources.window) for table in tables), default=0)
    parts = tuple(_describe_part(item, one, sources, lacking, sent=sent) for one in promise.parts)
    return LogOption(
        promise,
        _title(item, sources, scopes),
        volume,
        SENT if sent else cost_of(item, tables, volume, sources),
        "" if sent else next((table.licence for table in tables if table.licence), ""),
        sources.window.end.date() + dt.timedelta(days=waits),
        _commands(item, sources, lacking, sent=sent),
        () if sent else _policies(item, lacking),
        sent,
        parts,
    )


def _describe_part(item: str, promise: PartPromise, sources: Sources, lacking: Sequence[str], *, sent: bool) -> LogPart:
    tables = log_tables(item)
    place = promise.scope
    mine = [one for one in lacking if one.startswith(f"{place}/")] if place else lacking
    volume = volume_of(item, tables, sources, max(1, len(mine)))
    return LogPart(
        part_of(item, place),
        sources.spelt.get(place, place),
        promise,
        volume,
        SENT if sent else cost_of(item, tables, volume, sources),
        _commands(item, sources, mine, sent=sent, place=place),
        () if sent else _policies(item, mine),
    )


def _policies(item: str, lacking: Iterable[str]) -> tuple[str, ...]:
    policies = [policy for table in log_tables(item) for policy in table.policies]
    return policy_commands(item, policies, sorted({"/".join(one.split("/")[:3]) for one in lacking}))


def _days_to_wait(item: str, table: LogTable, window: Window) -> int:
    """Return for how many days the log has to be collected, besides those that Azure has kept."""
    # Tokens have to be known for every day; other logs are evidence by a part of the window.
    wanted = window.days if item.startswith(_SIGN_INS) else window.days_asked
    return max(0, wanted - table.retained_days)


def _title(item: str, sources: Sources, scopes: int) -> str:
    if item == ways.DECLARED:
        return f"declaration of {counted(inner_gaps(sources.inputs, sources.window)['day'].n_unique(), 'day')}"
    if item == ways.ACTIVITY_LOG:
        return f"Activity Log of {counted(scopes, 'scope')}"
    if item.startswith(ways.RESOURCE_LOG):
        kind = _spelling()[item.removeprefix(ways.RESOURCE_LOG)].split("/", 1)[-1]
        return f"log of {kind} ({scopes:,})" if scopes else f"log of {kind}"
    return _TITLES[item]


def _spelling() -> dict[str, str]:
    """Return the types of resource that send logs, folded to their spelling."""
    return {fold(row["resource_type"]): row["resource_type"] for row in rows_of("resource_logs")}


def _resources(sources: Sources) -> dict[str, tuple[str, ...]]:
    """Return the resources whose log does not cover the window, by missing thing."""
    inputs, window = sources.inputs, sources.window
    known = known_resources(inputs, inputs.coverage["scope"], inputs.usage_days["scope"])
    rows = inputs.coverage.filter(window.holds("day") & (pl.col("state") != "missing"))
    scopes = rows.select("scope").unique()
    there = scopes.select(place=place_of(scopes["scope"])).select(resource_of("place")).to_series().drop_nulls()
    lacking = known.filter(~pl.col("resource").is_in(there.implode())).sort("resource")
    found: dict[str, list[str]] = {}
    for resource, kind in lacking.select("resource", "kind").iter_rows():
        found.setdefault(ways.RESOURCE_LOG + kind, []).append(resource)
    return {item: tuple(resources) for item, resources in found.items()}


def _is_sent(item: str, sources: Sources) -> bool:
    """Return whether diagnostic settings send the log already, so that it only has to be loaded."""
    mine = sources.cells.filter(pl.col("log") == item.removeprefix(ways.RESOURCE_LOG))
    reasons = set(mine["reason"].unique())
    return bool(reasons) and reasons <= {"no_log_loaded", "days_missing"}


def _commands(item: str, sources: Sources, lacking: Sequence[str], *, sent: bool, place: str = "") -> tuple[str, ...]:
    """Return what to do about a missing thing, at one place or everywhere."""
    window = sources.window
    if item == ways.DECLARED:
        return _declarations(sources, place)
    if item == ways.GRAPH_MAP:
        return ("rightsize catalog refresh",)
    if item.startswith(ways.RESOURCE_LOG):
        if sent:
            return (f"rightsize load {FOLDER_OF_LOG}",)
        settings = deployment_commands(item.removeprefix(ways.RESOURCE_LOG), lacking)
        return (*((_TEMPLATES, *settings) if settings else ()), f"rightsize load {FOLDER_OF_LOG}")
    if item.startswith(_SIGN_INS):
        days = min(window.days, *(table.retained_days for table in log_tables(item)))
        fetch = _fetch(("sign_ins",), days)
        return (_TEMPLATES, entra_command(item), *fetch) if days < window.days else fetch
    if item == "graph_log":
        return (_TEMPLATES, entra_command(item), f"rightsize load {FOLDER_OF_LOG}")
    days = min((table.retained_days for table in log_tables(item)), default=window.days)
    fetch = _fetch(EXPORTED[item], min(days, window.days), place)
    return (_TEMPLATES, entra_command(item), *fetch) if item == "directory_log" and days < window.days else fetch


def _declarations(sources: Sources, place: str) -> tuple[str, ...]:
    gaps = inner_gaps(sources.inputs, sources.window)
    if place and not gaps.is_empty():
        # A declaration at a scope above covers this one, too.
        above = {place, ROOT} | sources.analysis.tenant.tree.ancestors_of(place)
        gaps = gaps.filter(place_of(gaps["scope"]).is_in(sorted(above)))
    return tuple(
        f"rightsize load EXPORT --covers {first}..{last} --source activity_log --scope {for_shell(scope)}"
        for scope, first, last in as_ranges(gaps).iter_rows()
    )


def _fetch(names: Sequence[str], days: int, place: str = "") -> tuple[str, ...]:
    chosen = " ".join(f"--source {name}" for name in names)
    where = f" --subscription {for_shell(place.removeprefix(_SUBSCRIPTION))}" if place.startswith(_SUBSCRIPTION) else ""
    return (
        f"rightsize fetch-script {chosen}{where} --days {days} > get.sh",
        "bash get.sh exports",
        "rightsize load exports",
    )
