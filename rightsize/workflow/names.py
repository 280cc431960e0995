"""Read display names from the store, and check the names that a person gives.

A misspelt name in a question gets no answer that looks right, but a hint of the nearest known ones.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Set
from contextlib import suppress
from functools import cached_property

import polars as pl

from rightsize.analyze.inputs import Inputs, folded, place_of
from rightsize.analyze.name_resolution import hint_of, nearest, nearest_operations
from rightsize.analyze.principals import principal_names, resolve_known
from rightsize.model.errors import InputError, UsageError
from rightsize.model.plan import Plan
from rightsize.model.text import fold
from rightsize.rbac.expand import planes_spelling_out
from rightsize.rbac.scopes import parse_scope
from rightsize.render.sentences import full_path
from rightsize.store.connection import Store
from rightsize.workflow.tenant_access import TenantAccess


def read_names(store: Store, inputs: Inputs | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the display names of principals by id, and of places by folded scope.

    Places are subscriptions, management groups and administrative units. `inputs` are the tables, if already read.
    """
    if inputs is None:
        tables = ("principals", "role_assignments", "scopes")
        inputs = Inputs.of(**{name: store.table(name) for name in tables})
    called = principal_names(inputs)
    names: dict[str, str] = dict(zip(called["principal_id"].to_list(), called["name"].to_list(), strict=True))
    high = inputs.scopes.filter(pl.col("kind").is_in(["subscription", "management_group"]))
    places = high.select(folded(pl.col("scope")), name=pl.coalesce("display_name", "scope"))
    units = store.table("administrative_units").drop_nulls("display_name")
    parts = units.select("/administrativeunits/" + folded(pl.col("unit_id")), name="display_name")
    return names, dict(places.iter_rows()) | dict(parts.iter_rows())


_SCOPES = """
    SELECT DISTINCT scope FROM (
        SELECT spelling AS scope FROM base.scope_names UNION ALL SELECT scope FROM role_assignments
        UNION ALL SELECT scope FROM deny_assignments UNION ALL SELECT scope FROM resources)
    WHERE scope IS NOT NULL"""
"""The known scopes; those of the table `scopes` are spelt as names."""
_MOST = 8
_FEW = 3
_BELOW = "\0"
"""Stands for the slash in sorted places: it comes before every other character."""
_SEARCHED = 50
"""The most unknown names for which the nearest are searched: each takes up to a tenth of a second."""


class AskedScopes:
    """The scopes that a store knows, by id and by the names that are printed.

    Each text is looked up once, and the tables are read once, so that thousands of questions cost little more than one.
    """

    def __init__(self, store: Store) -> None:
        """Read nothing yet."""
        self._store = store
        self._found: dict[str, str | InputError | UsageError] = {}
        self._strange: dict[str, list[str]] = {}
        self._beginnings: dict[str, set[str]] = {}
        self._searched = 0

    def find(self, text: str) -> str:
        """Return the scope that a text names.

        It is an id, a subscription's id or name, the unique last part of an id, or the unique end of a scope as tables
        print it, such as `Patient Portal/rg-web/plan-1`. Rights are inherited by the text of an id, so an id below a
        known subscription needs no listing; `notes` says that nothing names it.

        Raises:
            InputError: Nothing knows the subscription or management group, or it is no scope.
            UsageError: Several scopes have the name.
        """
        if text not in self._found:
            try:
                self._found[text] = self._listed(text) if text.startswith("/") else self._named(text)
            except (InputError, UsageError) as error:
                self._found[text] = error
        found = self._found[text]
        if isinstance(found, Exception):
            raise found
        return found

    def notes(self) -> list[str]:
        """Return a note on the scopes that were asked about and that nothing loaded names."""
        if not self._strange:
            return []
        shown = [f"`{here}`" + (f" (near: {', '.join(near)})" if near else "")
                 for here, near in sorted(self._strange.items())[:_FEW]]  # fmt: skip
        more = f", and {len(self._strange) - _FEW:,} more" if len(self._strange) > _FEW else ""
        return [f"nothing loaded names {', '.join(shown)}{more}: the answer is what is inherited there"]

    def near(self, search: Callable[[], list[str]]) -> list[str]:
        """Return the nearest names that a search finds; the first unknown names only are searched."""
        self._searched += 1
        return search() if self._searched <= _SEARCHED else []

    @cached_property
    def _scopes(self) -> pl.Series:
        return self._store.frame(_SCOPES)["scope"]

    @cached_property
    def _places(self) -> list[str]:
        """The known places, sorted so that what is below a place follows it at once."""
        return place_of(self._scopes).str.replace_all("/", _BELOW, literal=True).unique().sort().to_list()

    def _has(self, beginning: str) -> bool:
        """Return whether a place, or one below it, is known."""
        at = bisect_left(self._places, beginning)
        return at < len(self._places) and f"{self._places[at]}{_BELOW}".startswith(f"{beginning}{_BELOW}")

    def _beside(self, above: str) -> Set[str]:
        """Return the beginnings of known places that are one part longer than a beginning."""
        if above not in self._beginnings:
            found, start = set(), f"{above}{_BELOW}"
            at = bisect_left(self._places, start)
            while at < len(self._places) and self._places[at].startswith(start):
                here = start + self._places[at][len(start) :].partition(_BELOW)[0]
                found.add(here.replace(_BELOW, "/"))
                at = bisect_left(self._places, f"{here}\1", at + 1)
            self._beginnings[above] = found
        return self._beginnings[above]

    def _listed(self, text: str) -> str:
        wanted = parse_scope(text)
        path = place_of(pl.Series([wanted.text])).item()
        if path == "/" or not self._places:
            return text
        parts = path.split("/")
        # The levels of an id: subscription or management group, resource group, then pairs of a type and a name.
        lengths = [
            one for one in range(3, len(parts) + 1, 2) if one != 7 and not (one == 3 and parts[1] == "providers")
        ]
        for length in lengths:
            if self._has(_BELOW.join(parts[:length])):
                continue
            here, beside = "/".join(parts[:length]), self._beside(_BELOW.join(parts[: length - 1]))
            is_decisive = parse_scope(here).kind in ("subscription", "management_group")
            if is_decisive and not beside:
                continue
            near = self.near(lambda here=here, beside=beside: nearest(here, beside)) if beside else []  # type: ignore[misc]
            if is_decisive:
                raise InputError(
                    f"nothing loaded names the scope `{here}`", hint=hint_of(near, "load a listing that has it")
                )
            self._strange[here] = near
            break
        return text

    @cached_property
    def _every(self) -> pl.DataFrame:
        """Return `(scope, name, last)`: each known scope, its display name, and the last part of its id."""
        listed = self._store.table("scopes").select("scope", name="display_name")
        others = pl.DataFrame({"scope": self._scopes}, schema={"scope": pl.String})
        every = pl.concat([listed, others.with_columns(name=None)], how="vertical_relaxed").drop_nulls("scope")
        return every.with_columns(last=pl.col("scope").str.split("/").list.last().str.to_lowercase())

    @cached_property
    def _names(self) -> dict[str, str]:
        """Return the display names of scopes, by scope in lower case."""
        rows = self._every.drop_nulls("name").select("scope", "name").sort("scope", "name").iter_rows()
        return {scope.lower(): name for scope, name in rows}

    def _named(self, name: str) -> str:
        wanted = fold(name)
        same = (pl.col("name").str.to_lowercase() == wanted).fill_null(False) | (pl.col("last") == wanted)
        found = _unlike(self._every.filter(same if wanted else pl.lit(value=False))["scope"])
        if not found and "/" in wanted:
            last = self._every.filter(pl.col("last") == wanted.rpartition("/")[2])["scope"]
            found = _unlike(one for one in last if f"/{full_path(one, self._names).lower()}".endswith(f"/{wanted}"))
        if len(found) == 1:
            return next(iter(found.values()))
        if found:
            shown = sorted(found.values())[:_MOST]
            raise UsageError(f"`{name}` names {len(found):,} scopes", hint="give one of the ids " + ", ".join(shown))
        near = self.near(lambda: nearest(name, {*self._every["name"].drop_nulls(), *self._every["last"]}))
        raise InputError(
            f"`{name}` is not a scope, and no loaded scope is called so",
            hint=hint_of(near, "give a resource id: a scope begins with a slash"),
        )


class AskedNames:
    """The operations and scopes that a store knows."""

    def __init__(self, store: Store, tenant: TenantAccess) -> None:
        """Read nothing yet."""
        self._store = store
        self._tenant = tenant
        self._checked: dict[str, InputError | None] = {}
        self.scopes = AskedScopes(store)

    def check_operation(self, operation: str) -> None:
        """Raise where neither the catalogue, a role nor a log names an operation; without a catalogue, never.

        Raises:
            InputError: Nothing knows the operation.
        """
        if operation not in self._checked:
            self._checked[operation] = None if self._is_known(operation) else self._unknown(operation)
        error = self._checked[operation]
        if error is not None:
            raise error

    @cached_property
    def _catalogue(self) -> set[str]:
        return set(self._tenant.inputs.operations["operation"].str.to_lowercase())

    @cached_property
    def _used(self) -> set[str]:
        return set(self._store.frame("SELECT DISTINCT lower(operation) AS operation FROM usage_days")["operation"])

    def _is_known(self, operation: str) -> bool:
        wanted = fold(operation)
        if not self._catalogue or "*" in operation or wanted in self._catalogue:
            return True
        if planes_spelling_out((role.permissions for role in self._tenant.roles.values()), operation):
            return True
        return wanted in self._used

    def _unknown(self, operation: str) -> InputError:
        near = self.scopes.near(lambda: nearest_operations(operation, self._tenant.inputs.operations["operation"]))
        hint = hint_of(near, '`rightsize sql "SELECT operation FROM operations"` lists them')
        return InputError(f"neither the catalogue nor a role knows the operation `{operation}`", hint=hint)


def resolve_scopes(store: Store, names: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that options name: ids as they are, and names as `AskedScopes.find` takes them.

    Raises:
        InputError: No loaded scope is called so.
        UsageError: Several scopes are called so.
    """
    scopes = AskedScopes(store)
    return tuple(name if name.startswith("/") else scopes.find(name) for name in names)


def resolve_excluded(store: Store, inputs: Inputs, names: Iterable[str]) -> tuple[str, ...]:
    """Return what `--exclude` names by id: principals, roles and scopes, as they are printed or by a unique beginning.

    Ids, UPNs and names of roles stay as they are, and so does what nothing loaded is called.

    Raises:
        UsageError: Several principals or scopes are called so.
    """
    scopes = AskedScopes(store)
    roles = {fold(one) for one in inputs.role_definitions["role_name"].drop_nulls()}
    found: list[str] = []
    for name in names:
        if name.startswith("/") or fold(name) in roles or _is_upn(inputs, name):
            found.append(name)
            continue
        (known,) = resolve_known(inputs, (name,))
        if known == name:
            with suppress(InputError):
                known = scopes.find(name)
        found.append(known)
    return tuple(found)


def _is_upn(inputs: Inputs, name: str) -> bool:
    return bool((inputs.principals["user_principal_name"].str.to_lowercase() == fold(name)).any())


def _unlike(scopes: Iterable[str]) -> dict[str, str]:
    """Return scopes by their folded form, the first spelling of each."""
    return {fold(one): one for one in sorted(scopes, reverse=True)}


def proposals_called(plan: Plan, names: Iterable[str]) -> tuple[str, ...]:
    """Return the ids of the proposals that names mean: ids, or unique beginnings of them.

    Raises:
        UsageError: A name means no proposal of the plan, or several.
    """
    ids = [one.id for one in plan.all_proposals]
    found = []
    for name in names:
        wanted = fold(name).removesuffix("…")
        fitting = [one for one in ids if fold(one) == wanted] or [one for one in ids if fold(one).startswith(wanted)]
        if len(fitting) != 1 or not wanted:
            why = "several proposals" if len(fitting) > 1 else "not a proposal of this plan"
            raise UsageError(f"`{name}` is {why}", hint="`rightsize review list` shows the ids")
        found += fitting
    return tuple(dict.fromkeys(found))


def spellings_in(store: Store, scopes: Iterable[str]) -> dict[str, str]:
    """Return one spelling of each scope that the store has, by folded scope, whatever spelling is asked for."""
    wanted = sorted({fold(scope) for scope in scopes})
    found = store.rows(
        f"""SELECT lower(scope) AS place, min(scope) AS spelling FROM ({_SCOPES})
        WHERE lower(scope) IN (SELECT unnest($wanted::VARCHAR[])) GROUP BY ALL ORDER BY ALL""",
        {"wanted": wanted},
    )
    return {row["place"]: row["spelling"] for row in found}


def names_in(store: Store | None, plan: Plan) -> dict[str, str]:
    """Return display names from the store and of the plan's roles; without a store only those of the roles."""
    found = {} if store is None else _names(store)
    return found | {role.definition.role_definition_id: role.definition.role_name for role in plan.roles}


def _names(store: Store) -> dict[str, str]:
    found, _ = read_names(store)
    roles = store.table("role_definitions").filter(pl.col("role_name").fill_null("") != "")
    found |= dict(roles.select("role_definition_id", "role_name").iter_rows())
    return found | scope_names(store.table("scopes"))


def scope_names(scopes: pl.DataFrame) -> dict[str, str]:
    """Return the display names of subscriptions and management groups, by scope as the store spells it."""
    high = scopes.filter(
        pl.col("kind").is_in(["subscription", "management_group"]) & (pl.col("display_name").fill_null("") != "")
    )
    return dict(high.select("scope", "display_name").sort("scope").iter_rows())
