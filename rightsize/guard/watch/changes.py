"""Turn the results of a pass into changes: each with a stable name, a severity and one sentence."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.guard.watch.grant_deduplication import REMOVALS, marks_of_events, named, read_consent
from rightsize.guard.watch.state import AGENT_KINDS, CONCLUDED, LISTED, is_narrower
from rightsize.model.text import fold
from rightsize.rules.attacks import SEVERITIES, through_privileged_access, watched_operations
from rightsize.rules.tables import rows_of

Row = Mapping[str, Any]

_ASSIGNMENT = "microsoft.authorization/roleassignments/write"
_REMOVAL = "microsoft.authorization/roleassignments/delete"
_WAYS = {"pim": "through PIM", "code": "by code"}
_UNKNOWN = "an unknown principal"
_CUT = 160


@dataclass(frozen=True, slots=True)
class Names:
    """Display names of principals, roles and places, by folded id; a scope is cut to its last part.

    Attributes:
        principals: Of principals.
        roles: Of roles and application permissions.
        places: Of scopes.
        agents: Returns the number of agents of each blueprint's principal.
    """

    principals: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)
    agents: Callable[[], Mapping[str, int]] = dict

    def inheriting(self, principal: str | None) -> str:
        """Return the clause about the agents that may inherit what a blueprint's principal is granted, else nothing."""
        number = self.agents().get(principal or "", 0)
        return f", which {number} agent{'s' if number > 1 else ''} of that blueprint may inherit" if number else ""

    def who(self, principal: str | None) -> str:
        """Return a principal's name, or its id where no name is known."""
        return self.principals.get(principal, principal) if principal else _UNKNOWN

    def where(self, scope: str | None) -> str:
        """Return a short name of a scope; for a role assignment, that of the scope it is at."""
        place = (scope or "/").rstrip("/")
        home, found, _ = place.lower().rpartition("/providers/microsoft.authorization/")
        place = place[: len(home)] if found else place
        return self.places.get(fold(place)) or place.rsplit("/", 1)[-1] or "the root"


@dataclass(frozen=True, slots=True)
class Origin:
    """The principals and applications that grant by code, as folded ids and names; empty where none was named."""

    automation: frozenset[str] = frozenset()

    def way_of(self, names: Collection[str | None], *, through_pim: bool = False) -> str:
        """Return the way of a grant: pim, code or outside."""
        known = {fold(name) for name in names if name}
        if through_pim or known & {fold(row["app_id"]) for row in rows_of("log_activation_writers")}:
            return "pim"
        return "code" if known & self.automation else "outside"

    def said(self, way: str) -> str:
        """Return a way of granting in words."""
        return _WAYS.get(way) or ("outside PIM and code" if self.automation else "outside PIM")


def event_changes(events: pl.DataFrame, strong: Collection[str], origin: Origin, names: Names) -> pl.DataFrame:
    """Return the changes of events, as the table `watch_changes` without numbers.

    Args:
        events: As `store.watching.watched_events`.
        strong: Ids of the roles that can assign roles.
        origin: The principals that grant by code.
        names: Display names.
    """
    return _table(_event_change(row, strong, origin, names) for row in events.to_dicts())


def _event_change(row: Row, strong: Collection[str], origin: Origin, names: Names) -> dict[str, Any]:
    rule = watched_operations()[row["operation"]]
    actors = (row["actor_id"], row["actor_name"], row["app_id"])
    kind, severity, what = rule.kind, rule.severity, rule.what
    if row["request_type"] in REMOVALS:
        kind, severity, what = "revocation", "low", "ended a role through PIM"
    actor = names.principals.get(row["actor_id"] or "") or row["actor_name"] or row["actor_id"] or _UNKNOWN
    said = f"{actor} {what}"
    role, holder, way = row["role"], row["holder"], ""
    if role:
        said += f", {_role_said(role, names)},"
    if holder:
        said += f" {'of' if kind == 'revocation' else 'to'} {names.who(holder)}"
    said += f" at {names.where(row['scope'])}"
    if kind == "grant":
        way = origin.way_of(actors, through_pim=through_privileged_access(row["operation"]))
        said += f", {origin.said(way)}{_inherited(row['operation'], holder, names)}"
        kind, severity = _weighed(way, severity, role in strong)
    if row["outcome"] == "started":
        said += "; no log shows how it ended"
    return _change(
        kind, (row["event_key"],), said, severity=severity, time=row["time"], day=row["time"].date(), names=names,
        principal_id=holder, actor_id=row["actor_id"], scope=row["scope"],
        detail={"operation": row["operation"], "actor": actor, "way": way, "role_definition_id": _role_id(role),
                "ip": row["ip"], "app_id": row["app_id"]},
    )  # fmt: skip


_GRAPH_GRANTS = ("microsoft.directory/serviceprincipals/approleassignedto/update",
                 "microsoft.directory/oauth2permissiongrants/")  # fmt: skip


def _inherited(operation: str, holder: str | None, names: Names) -> str:
    """Return the clause about agents that may inherit a granted permission; roles are never inherited."""
    return names.inheriting(holder) if operation.lower().startswith(_GRAPH_GRANTS) else ""


def _role_id(role: str | None) -> str | None:
    """Return the id of a role; None for the grant of a consent."""
    return None if read_consent(role) else role


def _role_said(role: str, names: Names) -> str:
    consented = read_consent(role)
    if consented is None:
        return names.roles.get(role, role)
    whom, permissions = consented
    return f"{_cut(', '.join(permissions))} for {'all users' if whom == 'allprincipals' else 'one user'}"


def _weighed(way: str, severity: str, strong: bool) -> tuple[str, str]:
    """Return kind and severity of a grant: less severe through PIM or code, more severe if it can assign roles."""
    if severity == "critical":
        return ("grant" if way == "pim" else "grant_outside"), severity
    if way in _WAYS:
        return "grant", "medium" if strong and way == "code" else "low"
    return "grant_outside", "high" if strong else severity


def reported_events(events: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of `store.watching.SEEN` for reported events: the events, and what they granted and revoked."""
    day = pl.col("time").dt.date()
    name = pl.col("scope").str.to_lowercase().str.split("/").list.last()
    reported = [events.select(kind=pl.lit("event"), name=pl.col("event_key"), value=pl.lit(""), day=day)]
    for kind, operation in (("granted", _ASSIGNMENT), ("revoked", _REMOVAL)):
        made = events.filter(pl.col("operation") == operation)
        reported.append(made.select(kind=pl.lit(kind), name=name, value=pl.lit(""), day=day))
    asked = marks_of_events(events).filter(pl.col("asks") != "assignment")
    reported.append(reported_marks("asked", asked))
    return pl.concat(reported).unique(["kind", "name"], keep="first", maintain_order=True)


def reported_marks(kind: str, marks: pl.DataFrame, day: dt.date | None = None) -> pl.DataFrame:
    """Return marks of grants as rows of `store.watching.SEEN`."""
    at = pl.col("time").dt.date() if day is None else pl.coalesce(pl.col("time").dt.date(), pl.lit(day))
    return marks.select(kind=pl.lit(kind), name=named(marks), value=pl.lit(""), day=at)


def standing_changes(
    now: pl.DataFrame, known: pl.DataFrame, said: pl.DataFrame, as_of: dt.date, origin: Origin, names: Names
) -> pl.DataFrame:
    """Return the changes between the known state and the present one, as the table `watch_changes` without numbers.

    Args:
        now: The present state, as `STANDING` of `guard.watch.state`.
        known: The known state, as `store.watching.SEEN`.
        said: `kind, name` of listed grants that a log has already reported.
        as_of: The first day after the present state.
        origin: The principals that grant by code.
        names: Display names.
    """
    key = ["kind", "name"]
    fresh = now.join(known.select(*key, was="value"), on=key, how="left").filter(
        pl.col("was").is_null() | (pl.col("was") != pl.col("value"))
    )
    fresh = fresh.join(said, on=key, how="anti")
    gone = known.filter(pl.col("kind").is_in(CONCLUDED)).join(now, on=key, how="anti").sort(key)
    changes = [_came(row, as_of, origin, names) for row in fresh.sort(key).to_dicts()]
    changes += [_went(row, as_of, names) for row in gone.to_dicts()]
    return _table(changes)


def _came(row: Row, as_of: dt.date, origin: Origin, names: Names) -> dict[str, Any]:
    kind, who, where = row["kind"], names.who(row["principal_id"]), names.where(row["scope"])
    role = names.roles.get(row["role"] or "", row["role"])
    severity, day, detail = row["severity"], as_of, {"what": row["what"], "role_definition_id": _role_id(row["role"])}
    mark: tuple[str, ...] = (kind, row["name"], row["value"])
    if kind in LISTED:
        way = origin.way_of((row["actor_id"],), through_pim=row["what"] == "eligible")
        by = f" by {names.who(row['actor_id'])}" if row["actor_id"] else ""
        said = f"{who} holds {_held(row, role)} at {where}, granted{by}, {origin.said(way)}"
        said += (names.inheriting(row["principal_id"]) if kind in LISTED[2:] else "") + "; a listing shows it"
        detail["way"] = way
        kind, severity = _weighed(way, severity, severity == "high")
        day = row["time"].date() if row["time"] else as_of
    elif kind == "signal":
        about = f" about {who}" if row["principal_id"] else ""
        said = f"{_cut(row['what'])}{about}" + (f" at {where}" if row["scope"] else "")
        day = row["time"].date() if row["time"] else as_of
    elif kind in AGENT_KINDS:
        mark = (*mark, as_of.isoformat())
        said = _cut(row["what"])
        if row["was"] and is_narrower(row["was"], row["value"]):
            severity = "low"
        said += f", until now {_cut(row['was'])}" if row["was"] else ""
    else:
        mark = (*mark, as_of.isoformat())
        said = _concluded(kind, row, who, where, role)
    return _change(
        kind, mark, said, severity=severity, time=row["time"], day=day, names=names, principal_id=row["principal_id"],
        actor_id=row["actor_id"], scope=row["scope"], detail=detail,
    )  # fmt: skip


def _held(row: Row, role: str | None) -> str:
    return {
        LISTED[0]: f"{role} ({row['what']})",
        LISTED[1]: f"the directory role {role} ({row['what']})",
        LISTED[2]: f"an application permission of {row['what']}",
    }.get(row["kind"], f"the delegated permissions {_cut(row['what'])}")


def _concluded(kind: str, row: Row, who: str, where: str, role: str | None) -> str:
    layers = (row["what"] or "").replace("_", " ")
    of_plane = f"the {row['value']} plane of " if row["value"] else ""
    before = f", until now {row['was'].replace('_', ' ')}" if row["was"] else ""
    return {
        "unused": f"{who} did not use {of_plane}{role} at {where} in the whole window; "
        f"a log would show {row['what']} of its operations",
        "escalation": f"{who} {row['what']}, from {where}",
        "violation": f"{who} alone can defeat {layers} of {where}{before}",
        "drift": f"the role {role} {row['what']}",
    }[kind]


def _went(row: Row, as_of: dt.date, names: Names) -> dict[str, Any]:
    first, *rest = row["name"].split("|")
    said = {
        "unused": f"the assignment {first} is in use again",
        "escalation": f"{names.who(first)} can no longer escalate: {rest[0].replace('_', ' ') if rest else ''}"
        f" from {names.where(rest[1] if len(rest) > 1 else None)}",
        "violation": f"{names.who(first)} alone can no longer defeat {row['value'].replace('_', ' ')} of "
        f"{names.where(rest[0] if rest else None)}",
        "drift": f"the role {names.roles.get(first, first)} again matches its applied version",
        "signal": f"the signal {first} was dismissed",
        "agent": f"the agent {names.who(first)} is no longer listed",
        "blueprint": f"the blueprint {first} is no longer listed",
        "inheritance": f"the blueprint {first} no longer says what of {rest[0] if rest else ''} its agents inherit",
    }[row["kind"]]
    kind, mark = f"{row['kind']}_gone", (row["name"], as_of.isoformat())
    who = first if row["kind"] in ("escalation", "violation") else None
    return _change(kind, mark, said, severity="low", day=as_of, names=names, principal_id=who)


def gone_changes(gone: pl.DataFrame, as_of: dt.date, names: Names) -> pl.DataFrame:
    """Return the changes that report grants that vanished from listings without a removal in a log.

    Args:
        gone: As `store.merging.listings.gone_grants`.
        as_of: The first day after the state that the listings show.
        names: Display names.
    """
    return _table(_is_gone(row, as_of, names) for row in gone.sort("kind", "name").to_dicts())


def _is_gone(row: Row, as_of: dt.date, names: Names) -> dict[str, Any]:
    role = names.roles.get(row["role"] or "", row["role"])
    said = f"{names.who(row['principal_id'])} no longer holds {_held(row, role)} at {names.where(row['scope'])}: "
    said += f"last listed on {row['last_listed_on']:%Y-%m-%d %H:%M}, and no log shows who removed it"
    return _change(
        "revocation", (row["kind"], row["name"], row["missing_on"].isoformat()), said, severity="low", day=as_of,
        time=row["missing_on"], names=names, principal_id=row["principal_id"], scope=row["scope"],
        detail={"role_definition_id": row["role"], "way": "listing"},
    )  # fmt: skip


def behaviour_changes(found: pl.DataFrame, names: Names, newest: dt.date, *, is_update: bool = False) -> pl.DataFrame:
    """Return the changes that report unusual behaviour.

    Args:
        found: As the table `behaviour_findings`, with `value`, the severity to tell, and `told_on`, `high_on`.
        names: Names.
        newest: The newest day of the logs, which is not over.
        is_update: Whether each was reported before, and is severer now.
    """
    return _table(
        _unusual(row, names, newest, is_update=is_update) for row in found.sort("day", "principal_id").to_dicts()
    )


def _unusual(row: Row, names: Names, newest: dt.date, *, is_update: bool) -> dict[str, Any]:
    severity, so_far = row["value"], row["day"] == newest
    told = row["high_on"] if is_update else row["told_on"]
    text = f"update, now {severity}: {row['sentence']}" if is_update else row["sentence"]
    return _change(
        "behaviour", (row["principal_id"], row["day"].isoformat(), *((severity,) if is_update else ())),
        text + ("; the day is not over" if so_far else ""), severity=severity, day=row["day"], time=row["first_time"],
        names=names, principal_id=row["principal_id"],
        detail={name: row[name] for name in ("score", "kinds", "operations", "days_before", "days_alike")}
        | {"so_far": so_far, "update": is_update, "told_on": told.isoformat() if told else None},
    )  # fmt: skip


def _change(
    kind: str,
    mark: Sequence[str],
    text: str,
    *,
    severity: str,
    day: dt.date,
    names: Names,
    time: dt.datetime | None = None,
    principal_id: str | None = None,
    actor_id: str | None = None,
    scope: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    more = {name: value for name, value in (detail or {}).items() if value}
    if principal_id:
        more["principal"] = names.who(principal_id)
    return {
        "change_id": hashlib.sha256("\x1f".join([kind, *mark]).encode()).hexdigest()[:16],
        "kind": kind,
        "severity": severity,
        "time": time,
        "day": day,
        "principal_id": principal_id,
        "actor_id": actor_id,
        "scope": scope,
        "text": text,
        "detail": json.dumps(more, ensure_ascii=True, sort_keys=True, separators=(",", ":")),
    }


def note_change(kind: str, mark: Sequence[str], text: str, severity: str, day: dt.date) -> pl.DataFrame:
    """Return a change about the watch itself, as a table of one row."""
    return _table([_change(kind, mark, text, severity=severity, day=day, names=Names())])


def at_least(severity: str, least: str) -> bool:
    """Return whether `severity` is at least as severe as `least`."""
    return SEVERITIES.index(severity) >= SEVERITIES.index(least)


def _cut(text: str | None) -> str:
    whole = text or ""
    return whole if len(whole) <= _CUT else whole[: _CUT - 1] + "…"


def no_changes() -> pl.DataFrame:
    """Return the empty table of changes without numbers."""
    return _table(())


def _table(rows: Any) -> pl.DataFrame:
    schema = schema_of("watch_changes")
    return pl.DataFrame(list(rows), schema={name: schema[name] for name in schema if name not in ("seq", "pending")})
