"""Read the tables for the analysis of Graph, the permissions that are held, and the requests of the window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, schema_of
from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.window import Window, choose_window, judge_log
from rightsize.model.options import WindowOptions
from rightsize.rules.tables import rows_of

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"
LOG = "graph_activity_log"
GRANT_TABLES = (
    "api_permissions", "app_role_assignments", "permission_grants", "agent_blueprints", "inheritable_permissions",
    "agent_sightings", "listings",
)  # fmt: skip
"""The tables that, with `principals`, say what applications hold and agents inherit."""

_NO_ROLE = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class GraphTables:
    """The tables of the store, each under its own name."""

    principals: pl.DataFrame
    api_permissions: pl.DataFrame
    app_role_assignments: pl.DataFrame
    permission_grants: pl.DataFrame
    graph_permissions: pl.DataFrame
    graph_permission_paths: pl.DataFrame
    first_party_apps: pl.DataFrame
    graph_usage_days: pl.DataFrame
    m365_usage_days: pl.DataFrame
    coverage: pl.DataFrame
    agent_blueprints: pl.DataFrame
    inheritable_permissions: pl.DataFrame
    agent_sightings: pl.DataFrame
    listings: pl.DataFrame
    object_owners: pl.DataFrame

    @classmethod
    def read(cls, table_of: Callable[[str], pl.DataFrame]) -> GraphTables:
        """Read every table through `table_of`, for example `Store.table`."""
        return cls(**{field.name: table_of(field.name) for field in fields(cls)})

    @classmethod
    def of(cls, **frames: pl.DataFrame) -> GraphTables:
        """Build from the given frames; a table that is not given is empty, a column that is missing is null."""
        found = {}
        for field in fields(cls):
            frame = frames.pop(field.name, pl.DataFrame())
            found[field.name] = (
                frame.select(
                    (pl.col(name) if name in frame.columns else pl.lit(None)).cast(kind).alias(name)
                    for name, kind in schema_of(field.name).items()
                )
                if frame.width
                else pl.DataFrame(schema=schema_of(field.name))
            )
        return cls(**found)

    @property
    def is_empty(self) -> bool:
        """Return whether there is neither a grant nor a request to judge."""
        return (
            self.app_role_assignments.is_empty()
            and self.permission_grants.is_empty()
            and self.graph_usage_days.is_empty()
            and self.m365_usage_days.is_empty()
        )


def graph_window(tables: GraphTables, asked: WindowOptions) -> Window:
    """Return the window; without `as_of` it ends with the newest day that the log of Graph covers or shows.

    Where it does neither, it ends with the newest day that any log covers.
    """
    log = tables.coverage.filter(pl.col("source") == LOG)
    usage = tables.graph_usage_days.select("day")
    if log.is_empty() and usage.is_empty():
        log = tables.coverage
    return choose_window(Inputs.of(coverage=log, usage_days=usage), asked.as_of, *asked.span)


def covered_days(tables: GraphTables, window: Window) -> pl.Series:
    """Return the days of the window that the log of Graph covers."""
    log = tables.coverage.filter((pl.col("source") == LOG) & window.holds("day") & (pl.col("state") != "missing"))
    return log["day"].unique().sort()


def coverage_state(tables: GraphTables, window: Window) -> str:
    """Return `covered`, `covered_in_part`, or the word of `OutOfCoverage` for why the log of Graph decides nothing."""
    days = covered_days(tables, window)
    return judge_log(days, window) if len(days) else OutOfCoverage.NO_LOG_LOADED.value


def service_principals(tables: GraphTables) -> pl.DataFrame:
    """Return `client_id, app_id, name, is_first_party, deleted, principal_created`, one row per service principal."""
    owners = [row["tenant_id"] for row in rows_of("first_party")]
    theirs = tables.first_party_apps["app_id"].drop_nulls().unique()
    return (
        tables.principals.filter(
            pl.col("principal_type").is_in(["ServicePrincipal", "ManagedIdentity"]) | pl.col("app_id").is_not_null()
        )
        .select(
            client_id=folded(pl.col("principal_id")),
            app_id=folded(pl.col("app_id")),
            name=pl.coalesce("display_name", "principal_id"),
            is_first_party=(
                folded(pl.col("owner_tenant_id")).is_in(owners) | folded(pl.col("app_id")).is_in(theirs.implode())
            ).fill_null(False),
            deleted=pl.col("deleted_on").is_not_null(),
            principal_created="created_on",
        )
        .unique("client_id", keep="first", maintain_order=True)
        .sort("client_id")
    )


HELD_COLUMNS = (
    "grant_id", "access", "client_id", "user_id", "api_app_id", "resource_name", "permission", "permission_id",
    "created_on",
)  # fmt: skip


def held_permissions(tables: GraphTables) -> pl.DataFrame:
    """Return HELD_COLUMNS, one row per permission of any API that an application holds.

    `user_id` is the user of a delegated grant of one user. `permission` is the id where its name is not known, and
    `permission_id` is null where the id is not known.
    """
    apis = service_principals(tables).select(resource="client_id", api_app_id="app_id", api_name="name")
    named = tables.api_permissions.select(
        "api_app_id", "access", permission_id=folded(pl.col("permission_id")), known=pl.col("permission")
    ).drop_nulls("known")
    roles = (
        tables.app_role_assignments.filter(
            pl.col("principal_type").fill_null("ServicePrincipal").is_in(["ServicePrincipal", "serviceprincipal"])
            & (pl.col("app_role_id") != _NO_ROLE)
        )
        .select(
            grant_id="app_role_assignment_id",
            access=pl.lit("application"),
            client_id=folded(pl.col("principal_id")),
            user_id=pl.lit(None, dtype=pl.String),
            resource=folded(pl.col("resource_id")),
            resource_name="resource_name",
            permission_id=folded(pl.col("app_role_id")),
            created_on="created_on",
        )
        .join(apis, on="resource", how="left")
        .with_columns(api_app_id=_api_of())
        .join(named, on=["api_app_id", "access", "permission_id"], how="left")
        .with_columns(permission=pl.coalesce("known", "permission_id"))
    )
    scopes = (
        tables.permission_grants.select(
            grant_id="permission_grant_id",
            access=pl.lit("delegated"),
            client_id=folded(pl.col("client_id")),
            user_id=pl.when(pl.col("consent_type") == "Principal").then(folded(pl.col("principal_id"))),
            resource=folded(pl.col("resource_id")),
            resource_name=pl.lit(None, dtype=pl.String),
            permission="permissions",
            created_on=pl.lit(None, dtype=pl.Datetime("us")),
        )
        .explode("permission")
        .drop_nulls("permission")
        .join(apis, on="resource", how="left")
        .with_columns(api_app_id=_api_of(), key=folded(pl.col("permission")))
        .join(
            named.select("api_app_id", "access", "permission_id", key=folded(pl.col("known"))).unique(
                ["api_app_id", "access", "key"], keep="first", maintain_order=True
            ),
            on=["api_app_id", "access", "key"],
            how="left",
        )
    )
    both = pl.concat(
        [
            frame.with_columns(resource_name=pl.coalesce("resource_name", "api_name", "resource")).select(HELD_COLUMNS)
            for frame in (roles, scopes)
        ]
    )
    return both.unique().sort("client_id", "access", "user_id", "permission", "grant_id", nulls_last=True)


def _api_of() -> pl.Expr:
    """Return the API's application id; Graph is known by its name where no listing of service principals is loaded."""
    is_graph = pl.col("api_app_id").is_null() & (pl.col("resource_name") == "Microsoft Graph")
    return pl.when(is_graph).then(pl.lit(GRAPH_APP_ID)).otherwise("api_app_id")


def requests_of(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return the requests of the window, one row per (client, access, user, operation).

    Columns: `client_id` (service principal, else the application id), `access`, `user_id` (of delegated requests),
    `operation`, `events`, `days`, `first_seen`, `last_seen`, `denied`, `suspect`. Authorised requests count as events;
    refused requests are demand and have a column of their own, and so do requests in quarantine.
    """
    return (
        _requests_by_day(tables, window)
        .group_by("client_id", "access", "user_id", "operation")
        .agg(
            events=pl.col("use").sum(),
            days=pl.col("day").filter(pl.col("use") > 0).n_unique().cast(pl.Int64),
            first_seen=pl.col("first_seen").filter(pl.col("use") > 0).min(),
            last_seen=pl.col("last_seen").filter(pl.col("use") > 0).max(),
            denied=pl.col("denied").sum(),
            suspect=pl.col("suspect").sum(),
        )
        .filter((pl.col("events") > 0) | (pl.col("denied") > 0) | (pl.col("suspect") > 0))
        .sort("client_id", "access", "user_id", "operation", nulls_last=True)
    )


def remembered_requests(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return the requests of the window, and those of the days before it that still count and are marked `earlier`."""
    requests = requests_of(tables, window).with_columns(earlier=pl.lit(False))
    if window.earlier is None:
        return requests
    before = requests_of(tables, window.earlier).with_columns(denied=pl.lit(0, requests.schema["denied"]))
    return pl.concat([requests, before.with_columns(earlier=pl.lit(True))])


def request_days(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return the distinct `client_id, access, user_id, operation, day` of authorised requests, quarantine left out."""
    used = _requests_by_day(tables, window).filter(pl.col("use") > 0)
    return used.select("client_id", "access", "user_id", "operation", "day").unique()


def _requests_by_day(tables: GraphTables, window: Window) -> pl.DataFrame:
    """Return the rows of the window with `client_id`, `user_id`, and `use`: authorised, unsuspected requests."""
    clients = service_principals(tables).filter(pl.col("app_id").is_not_null()).select("app_id", known="client_id")
    clients = clients.unique("app_id", keep="first", maintain_order=True)
    use = pl.sum_horizontal("succeeded", "failed", "started")
    return (
        tables.graph_usage_days.filter(window.holds("day"))
        .with_columns(suspect=pl.min_horizontal(use, pl.col("suspect").fill_null(0)))
        .with_columns(
            use=use - pl.col("suspect"), app_id=folded(pl.col("app_id")), principal_id=folded(pl.col("principal_id"))
        )
        .join(clients, on="app_id", how="left")
        .with_columns(
            client_id=pl.when(pl.col("access") == "application")
            .then(pl.coalesce("principal_id", "known", "app_id"))
            .otherwise(pl.coalesce("known", "app_id")),
            user_id=pl.when(pl.col("access") == "delegated").then("principal_id"),
        )
    )
