"""Read from the store the rows needed to analyse one principal exactly.

Calls of other principals can decide which assignment is credited with a call: if several explain it, the one that
explains most calls. So the use of principals that share an assignment is read too, if a role of that assignment may
have allowed some of it. If several assignments may have allowed that use, the use of their holders is read as well.
This reads more rows than needed, but never fewer: sharing is decided by action patterns without notActions, and by
resource groups. Also read are principals that share an assignment and made writes with linked access checks. For
the use of all others, only its places and its newest day are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import polars as pl

from rightsize.analyze.inputs import Inputs, empty
from rightsize.analyze.naming import is_known, resolve_known, resolve_principal
from rightsize.analyze.resources import logged_kinds
from rightsize.analyze.text import folded as folded_text
from rightsize.analyze.text import place_of
from rightsize.model.tables import table
from rightsize.rbac.text import OPERATION_FORM, fold
from rightsize.rules.inventory import change_named, inventory_types
from rightsize.rules.linked import causes_of_callable_checks
from rightsize.rules.matching import matches_any
from rightsize.store.ahead import Ahead
from rightsize.store.concern_sql import ABOVE, ACTS, DOWN, GRANTS, GROWTH, UP
from rightsize.store.connection import Store
from rightsize.store.ddl import RESOLVED, view_text
from rightsize.store.sql import RESOURCE, folded, literal

_WATCHED = (
    "microsoft.authorization/roleassignments/write",
    "microsoft.insights/diagnosticsettings/write",
    "microsoft.insights/diagnosticsettings/delete",
)
"""Operations that affect the assignments and logs of other principals; their calls are read for all callers."""
_PARTIAL = ("role_assignment_requests", "usage_days", "sign_ins", "request_access", "token_calls")
"""Tables of which only some rows are read, and tables that are read to find these rows."""


def find_principal(store: Store, inputs: Inputs, name: str) -> str:
    """Return the id of the principal with a name, although `inputs` lack use and sign-ins.

    The id of a proposal of the last plan, or a unique beginning of it, means the holder of the assignment.

    Raises:
        UsageError: No principal or several principals have the name.
    """
    if is_known(inputs, name):
        return fold(name)
    inputs = replace(inputs, **_seen_ids(store, name))
    if resolve_known(inputs, (name,)) == (name,):
        name = _holder_in(store, name) or name
    return resolve_principal(inputs, name)


def _holder_in(store: Store, proposal: str) -> str | None:
    """Return the holder of the assignment that a proposal of the last plan is about, where one alone has the id."""
    wanted = fold(proposal).removesuffix("…")
    rows = store.frame(
        "SELECT DISTINCT principal_ids[1] AS holder FROM proposals WHERE starts_with(lower(proposal_id), $wanted)",
        {"wanted": wanted},
    )
    return rows["holder"].item() if wanted and rows.height == 1 else None


def _seen_ids(store: Store, name: str) -> dict[str, pl.DataFrame]:
    """Return the rows of `usage_days` and `sign_ins` whose `principal_id` is the name, at most one each."""
    who = "coalesce(a.principal_id, alias.principal_id)"
    found = {}
    for view, source in (("usage_days", _CALLERS), ("sign_ins", _SIGNED_IN)):
        found[view] = store.frame(f"""
            SELECT {who} AS principal_id FROM ({source}) AS a
            LEFT JOIN ({RESOLVED}) AS alias ON a.principal_id IS NULL AND alias.alias = a.principal_name
            WHERE {folded(who)} = {folded("$name")} LIMIT 1""", {"name": name})  # fmt: skip
    return found


_CALLERS = """SELECT principal_id, principal_name FROM base.actors
    WHERE actor_key IN (SELECT actor_key FROM base.usage_days WHERE plane IN ('control', 'data'))"""
_SIGNED_IN = " UNION ".join(
    f"SELECT principal_id, principal_name FROM base.{name}" for name in ("sign_in_days", "reduced_sign_ins")
)


def table_without_use(store: Store, name: str) -> pl.DataFrame:
    """Return a table of the model; use is reduced to its places, and sign-ins and requests are empty."""
    if name == "usage_days":
        return store.frame(f"{view_text(table(name))} WHERE false UNION ALL BY NAME {_places_of_use()}")
    return empty(name) if name in ("sign_ins", "request_access") else store.table(name)


class Concern:
    """The tables of a store, reduced to the rows needed to analyse one principal exactly.

    An analysis of these tables gives the same results for the principal as one of the whole store. Threads read them in
    the background.
    """

    def __init__(
        self, ahead: Ahead, principal_id: str, *, open_groups: pl.Series, loose: Iterable[str], names: Iterable[str]
    ) -> None:
        """Start to read the rows that concern the principal.

        Args:
            ahead: The threads that query the store; results stay in temporary tables of its connection.
            principal_id: The principal, folded.
            open_groups: Holders of assignments that may have members missing from the listings.
            loose: Folded names of operations that may stand for others.
            names: Tables that the caller will need.
        """
        self._store = ahead.store
        self._read: dict[str, pl.DataFrame] = {}
        find = ahead.finding.submit
        self._begun = find(self._begin, ahead, principal_id, open_groups)
        self._coming = ahead.read_too(name for name in names if name not in _PARTIAL)
        self._coming["role_assignment_requests"] = find(self._find, sorted(loose))
        self._coming["usage_days"] = find(self._usage)
        self._coming["sign_ins"] = find(self._sign_ins)
        self._coming["request_access"] = find(self._requests)
        self._creditable = find(self._holders_of_use)
        self._coming["token_calls"] = find(self._token_calls)

    def table(self, name: str) -> pl.DataFrame:
        """Return a table of the model; use, sign-ins and requests only as far as they concern the principal."""
        if name not in self._read:
            self._read[name] = self._coming[name].result() if name in self._coming else self._store.table(name)
        return self._read[name]

    @property
    def holders(self) -> list[str]:
        """Return the principal and the groups that contain it or may contain it."""
        return self._begun.result()

    @property
    def creditable(self) -> pl.Series:
        """Return the holders of assignments that may be credited with the use read, if no log names another one."""
        return self._creditable.result()

    def _begin(self, ahead: Ahead, principal_id: str, open_groups: pl.Series) -> list[str]:
        ahead.laid_out.result()
        run = self._store.connection.execute
        run("CREATE OR REPLACE TEMP TABLE c_self AS SELECT $id AS who, $id AS holder", {"id": principal_id})
        run(f"CREATE OR REPLACE TEMP TABLE c_own AS {UP.format(start='c_self')} SELECT DISTINCT holder FROM up")
        run("CREATE OR REPLACE TEMP TABLE c_open AS SELECT holder FROM c_own WHERE list_contains($names, holder)",
            {"names": open_groups.to_list()})  # fmt: skip
        holders: list[str] = self._frame("SELECT holder FROM c_own")["holder"].to_list()
        return holders

    def _find(self, loose: Sequence[str]) -> pl.DataFrame:
        """Find the principals whose calls matter; return the calls that made assignments, which this step reads."""
        run = self._store.connection.execute
        run(f"CREATE OR REPLACE TEMP TABLE c_crowd AS {DOWN.format(start='c_own')} SELECT holder AS who FROM down")
        run("CREATE OR REPLACE TEMP TABLE c_new AS SELECT holder FROM c_own")
        run(f"CREATE OR REPLACE TEMP TABLE c_spelt AS {_spelt('c_crowd')}")
        # `_frame` uses the aliases that are already resolved.
        made = self._frame(view_text(table("role_assignment_requests")))
        self._name_activations(made)
        while self._has_rows("c_new"):
            self._grow(loose)
        self._settle_writers()
        run(f"""CREATE OR REPLACE TEMP TABLE c_wanted AS SELECT who FROM c_settled
            UNION ({DOWN.format(start="c_self")} SELECT holder FROM down)""")
        return made

    def _settle_writers(self) -> None:
        """Add the principals that share an assignment and made writes with linked access checks.

        Their assignments have to allow the linked operations, whichever assignment allowed the write.
        """
        names = self._frame("SELECT DISTINCT folded FROM base.operation_names")
        causes = names.filter(matches_any(pl.col("folded"), causes_of_callable_checks()))["folded"]
        self._store.connection.execute(
            """INSERT INTO c_settled SELECT DISTINCT who FROM c_actors
            WHERE who IN (SELECT who FROM c_crowd) AND who NOT IN (SELECT who FROM c_settled) AND actor_key IN (
                SELECT actor_key FROM base.usage_days WHERE plane = 'control' AND operation_key IN (
                    SELECT operation_key FROM base.operation_names WHERE list_contains($causes, folded)))""",
            {"causes": causes.to_list()},
        )

    def _holders_of_use(self) -> pl.Series:
        return self._frame(f"""
            {ABOVE.format(start="c_wanted")} SELECT holder FROM above
            UNION SELECT holder FROM c_own UNION SELECT holder FROM c_reached""")["holder"]

    def _frame(self, sql: str) -> pl.DataFrame:
        # A cursor would not see the temporary tables. Aliases are already resolved.
        return pl.DataFrame(self._store.connection.sql(sql.replace(f"({RESOLVED})", "c_aliases")))

    def _name_activations(self, made: pl.DataFrame) -> None:
        """Store the ids of assignments that PIM activations made for principals that share an assignment."""
        crowd = self._frame("SELECT who FROM c_crowd")["who"]
        asked = self.table("schedule_requests")
        is_theirs = folded_text(pl.col("assigned_principal_id")).is_in(crowd.implode())
        ids = [
            place_of(made.filter(is_theirs)["scope"]).str.split("/").list.last(),
            folded_text(asked.filter(folded_text(pl.col("principal_id")).is_in(crowd.implode()))["role_assignment_id"]),
        ]
        self._store.connection.execute(
            "CREATE OR REPLACE TEMP TABLE c_ids AS SELECT unnest($ids::VARCHAR[]) AS id",
            {"ids": pl.concat(ids).drop_nulls().unique().to_list()},
        )

    def _grow(self, loose: Sequence[str]) -> None:
        """Add the use that the newest holders may have allowed, then holders of other assignments that may allow it."""
        run = self._store.connection.execute
        for statement in ACTS:
            run(statement)
        if not self._has_rows("c_acts"):
            run("INSERT INTO c_reached SELECT holder FROM c_new")
            run("DELETE FROM c_new")
            return
        run(GRANTS, {"loose": loose})
        for statement in GROWTH:
            run(statement)

    def _has_rows(self, name: str) -> bool:
        return bool(self._store.connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall())

    def _usage(self) -> pl.DataFrame:
        watched = ", ".join(literal(one) for one in _WATCHED)
        rows = f"""
            SELECT * FROM base.usage_days
            WHERE plane NOT IN ('control', 'data')
                OR actor_key IN (SELECT actor_key FROM c_actors WHERE who IS NULL OR who IN (SELECT who FROM c_wanted))
                OR operation_key IN (SELECT operation_key FROM base.operation_names WHERE folded IN ({watched}))"""
        return self._frame(f"""
            {view_text(table("usage_days"), usage_days=rows)}
            UNION ALL BY NAME {_places_of_use()}
            {self._signs_of_existence()}""")

    def _signs_of_existence(self) -> str:
        """Return SQL for what calls of all callers say of the existence of resources; empty without listings."""
        if not any(self._has_rows(f"base.{name}") for name in ("inventories", "provider_registrations")):
            return ""
        names = self._frame("SELECT DISTINCT folded FROM base.operation_names")["folded"]
        changes = names.filter(change_named(names).is_not_null())
        odd = f"NOT regexp_matches(o.folded, {literal(OPERATION_FORM)})"
        named = ", ".join(literal(one) for one in changes.to_list()) or "NULL"
        kinds = ", ".join(literal(one) for one in inventory_types())
        return f"""
            UNION ALL BY NAME {_types_of_use(kinds)}
            UNION ALL BY NAME SELECT s.folded AS scope, o.folded AS operation, 'control' AS plane, max(u.day) AS day,
                0 AS failed
            FROM base.usage_days AS u JOIN base.scope_names AS s USING (scope_key)
            JOIN base.operation_names AS o USING (operation_key)
            WHERE u.plane = 'control' AND {_DONE} > 0
                AND (o.folded IN ({named}) OR ({odd} AND regexp_full_match(s.folded, {literal(_GROUP_OR_WIDER)})))
            GROUP BY ALL"""

    def _sign_ins(self) -> pl.DataFrame:
        theirs = "principal_id IS NULL OR principal_id IN (SELECT who FROM c_spelt)"
        days, reduced = (f"SELECT * FROM base.{name} WHERE {theirs}" for name in ("sign_in_days", "reduced_sign_ins"))
        return self._frame(f"""
            {view_text(table("sign_ins"), sign_in_days=days, reduced_sign_ins=reduced)}
            UNION ALL BY NAME SELECT max(day) AS day, 0 AS succeeded, 0 AS failed
            FROM (SELECT day FROM base.sign_in_days UNION ALL SELECT day FROM base.reduced_sign_ins)
            HAVING max(day) IS NOT NULL""")

    def _token_calls(self) -> pl.DataFrame:
        self._store.connection.execute("""CREATE OR REPLACE TEMP TABLE c_calls AS
            SELECT * FROM base.events WHERE token_id IS NOT NULL
                AND actor_key IN (SELECT actor_key FROM c_actors WHERE who IN (SELECT who FROM c_self))""")
        if not self._has_rows("c_calls"):
            return empty("token_calls")
        given = "SELECT * FROM base.sign_in_rows WHERE token_id IN (SELECT substr(token_id, 2) FROM c_calls)"
        return self._frame(view_text(table("token_calls"), events="SELECT * FROM c_calls", sign_in_rows=given))

    def _requests(self) -> pl.DataFrame:
        mine = f"SELECT who FROM c_spelt WHERE {folded('who')} IN (SELECT who FROM c_self)"
        return self._frame(f"SELECT * FROM ({view_text(table('request_access'))}) WHERE principal_id IN ({mine})")


_KIND = "regexp_extract(folded, '^/subscriptions/[^/]+/resourcegroups/[^/]+/providers/([^/]+/[^/]+)/', 1)"


_DONE = "u.succeeded + u.failed + u.started + u.suspect"


def _places_of_use() -> str:
    """Return SQL for one row of use for each subscription, management group or logged resource with any use.

    Its day is the newest day of all use; it has no principal and no operation. `denied` is 0 if all calls there were
    refused.
    """
    kinds = ", ".join(literal(kind) for kind in logged_kinds())
    return f"""SELECT * FROM (
        WITH used AS (
            SELECT scope_key, bool_or({_DONE} > 0) AS done FROM base.usage_days AS u
            WHERE plane IN ('control', 'data') GROUP BY scope_key)
        SELECT scope, 'control' AS plane,
            (SELECT max(day) FROM base.usage_days WHERE plane IN ('control', 'data')) AS day,
            CASE WHEN NOT bool_or(done) THEN 0 END AS denied
        FROM (
            SELECT done, unnest([
                CASE WHEN starts_with(folded, '/subscriptions/')
                    THEN array_to_string(string_split(folded, '/')[:3], '/') ELSE folded END,
                CASE WHEN {_KIND} IN ({kinds}) THEN regexp_extract(folded, '{RESOURCE}', 1) END]) AS scope
            FROM base.scope_names JOIN used USING (scope_key))
        WHERE scope IS NOT NULL GROUP BY scope)"""


_GROUP_OR_WIDER = "/subscriptions/[^/]+(/resourcegroups/[^/]+)?"


def _types_of_use(kinds: str) -> str:
    """Return SQL for one row of use for each resource group, or subscription, and type that any call names.

    The scope of a row ends with the type, so that no analysis takes it for a resource. Its day is the newest such day;
    it has no principal and no operation. `failed` is 0 if a call was let through; `denied` is 0 if all were refused.
    """
    return f"""SELECT * FROM (
        WITH named AS (
            SELECT u.day, {_DONE} > 0 AS done, o.folded AS operation, s.folded AS place,
                regexp_extract(s.folded, '^({_GROUP_OR_WIDER})', 1) AS place_at
            FROM base.usage_days AS u JOIN base.scope_names AS s USING (scope_key)
            JOIN base.operation_names AS o USING (operation_key)
            WHERE u.plane IN ('control', 'data') AND starts_with(s.folded, '/subscriptions/')),
        typed AS (
            SELECT day, done, place_at,
                regexp_extract(place, '^{_GROUP_OR_WIDER}/providers/([^/]+/[^/]+)', 2) AS kind FROM named
            UNION ALL SELECT day, done, place_at, regexp_extract(operation, '^([^/]+/[^/]+)/', 1) AS kind FROM named
            WHERE regexp_extract(operation, '^([^/]+/[^/]+)/', 1) IN ({kinds})),
        counted AS (SELECT place_at || '/providers/' || kind AS scope, day, done FROM typed WHERE kind <> '')
        SELECT scope, 'control' AS plane, max(day) FILTER (done) AS day, 0 AS failed, NULL AS denied
        FROM counted GROUP BY scope HAVING bool_or(done)
        UNION ALL SELECT scope, 'control', max(day), NULL, 0 FROM counted GROUP BY scope)"""


def _spelt(wanted: str) -> str:
    """Return SQL for the ids of some principals in the store's spelling; ids from logs are stored folded."""
    spelt = " UNION ".join(
        f"SELECT principal_id FROM base.{name}" for name in ("principals", "principal_aliases", "reduced_sign_ins")
    )
    return (
        f"SELECT who FROM {wanted} UNION "
        f"SELECT principal_id FROM ({spelt}) WHERE {folded('principal_id')} IN (SELECT who FROM {wanted})"
    )
