"""Judge each access policy of a key vault by the vault's log: the operations that were used, and those that were not.

A request goes to the policy of its caller, else to those of the caller's groups; to a policy with an application only
where the request came through it and no other policy allows it. A caller whom no listing resolves may be any holder.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze import planes
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.reasons import (
    SHOWN,
    Attribution,
    OutOfCoverage,
    Unexplained,
    UnobservableReason,
    Unused,
    Verdict,
)
from rightsize.analyze.vaults import VaultPolicy
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.verdicts.resource_logs import log_states
from rightsize.analyze.window import Window
from rightsize.planes.vaults.tables import VaultTables, known_vaults
from rightsize.rules.vaults import is_metadata_read, spellings

_FULL = 400.0
_STORAGE = "microsoft.keyvault/vaults/storageaccounts/"
_CALL = ("principal_id", "app_id", "vault", "operation", "scope")
_HELD: dict[str, pl.DataType] = {
    "g": pl.UInt32(), "vault": pl.String(), "holder": pl.String(), "through": pl.String(), "operation": pl.String(),
}  # fmt: skip


def weight_of(operation: str) -> float:
    """Return the weight of an operation, a convention as for the other planes: reads of metadata weigh least."""
    if is_metadata_read(operation):
        return 1.0
    is_grave = operation.endswith(("/delete", "/purge/action", "/write", "/backup/action", "/getsecret/action"))
    return 16.0 if is_grave else 8.0


@dataclass(frozen=True, slots=True)
class PolicyUse:
    """The requests of one operation that a policy let through; `days_at` has the days at each scope."""

    days_at: Mapping[str, tuple[dt.date, ...]]
    principals: tuple[str, ...]
    events: int
    first_seen: dt.datetime
    last_seen: dt.datetime

    @property
    def days(self) -> tuple[dt.date, ...]:
        """Return the days of all scopes."""
        return tuple(sorted({day for days in self.days_at.values() for day in days}))


@dataclass(frozen=True, slots=True)
class PolicyCase:
    """An access policy with what its vault's log says of it.

    Attributes:
        policy: The policy.
        holder: `known`, `foreign`, `orphan` or `unresolved`.
        state: What the log of the vault is evidence of, as in `log_states`.
        covered_days: The days of the window that the log covers, where it is evidence for a part of them.
        used: The use of the window, by operation.
        earlier: The use of the days before that still count, by operation.
        doubts: Operations that may have been used, each with a word of `OutOfCoverage`.
    """

    policy: VaultPolicy
    holder: str
    state: str
    covered_days: int | None
    used: Mapping[str, PolicyUse]
    earlier: Mapping[str, PolicyUse]
    doubts: Mapping[str, str]

    @property
    def is_covered(self) -> bool:
        """Return whether the silence of the log is evidence."""
        return self.state in SHOWN

    def verdict(self, operation: str) -> tuple[Verdict, str]:
        """Return the verdict on an operation of the policy, and its reason."""
        if operation in self.used:
            return Verdict.USED, Attribution.POLICY.value
        if operation in self.earlier:
            return Verdict.OUT_OF_COVERAGE, OutOfCoverage.USED_BEFORE_WINDOW.value
        if operation in self.doubts:
            return Verdict.OUT_OF_COVERAGE, self.doubts[operation]
        if operation.startswith(_STORAGE):
            return Verdict.UNOBSERVABLE, UnobservableReason.NO_RESOURCE_LOG.value
        if self.is_covered:
            return Verdict.UNUSED, self.state
        is_silent = self.state in set(UnobservableReason)
        return (Verdict.UNOBSERVABLE if is_silent else Verdict.OUT_OF_COVERAGE), self.state


@dataclass(frozen=True, kw_only=True)
class VaultAnalysis(planes.PlaneAnalysis):
    """The result of the analysis of access policies.

    Attributes:
        tables: The tables it rests on.
        cases: One for each policy, in the order of the tables.
        unexplained: `(vault, principal_id, operation, events, last_seen)`: use that no policy of today allows.
    """

    tables: VaultTables
    cases: tuple[PolicyCase, ...]
    unexplained: pl.DataFrame


def analyse_vaults(tables: VaultTables, window: Window) -> VaultAnalysis:
    """Return the verdict on every permission of every access policy over a window."""
    cases, unexplained = _judge(tables, window)
    rows = _rows(cases)
    return VaultAnalysis(
        plane="vault",
        window=window,
        verdicts=_verdict_rows(cases, unexplained),
        principals=planes.declared(
            rows.group_by("principal_id").agg(**planes.counts_and_scores(pl.col("weight"), _FULL)),
            planes.PRINCIPALS_SCHEMA,
            plane="vault",
        ).sort("principal_id"),
        assignments=planes.declared(
            rows.group_by("role_assignment_id", "principal_id", "role_name", "scope", maintain_order=True).agg(
                **planes.counts_and_scores(pl.col("weight"), _FULL)
            ),
            planes.ASSIGNMENTS_SCHEMA,
            state="active",
            plane="vault",
        ),
        denied=pl.DataFrame(schema=planes.DENIED_SCHEMA),
        findings=_findings(cases),
        tables=tables,
        cases=cases,
        unexplained=unexplained,
    )


def _judge(tables: VaultTables, window: Window) -> tuple[tuple[PolicyCase, ...], pl.DataFrame]:
    counted = tables.use.filter(window.remembered.holds("day"))
    calls = counted.with_columns(in_window=window.holds("day")).group_by(*_CALL, "in_window").agg(
        pl.col("events").sum(), pl.col("suspect").sum(), pl.col("day").unique(), pl.col("first_seen").min(),
        pl.col("last_seen").max(),
    ).with_row_index("u")  # fmt: skip
    held = _held(tables)
    credited = _credit(calls, tables, held)
    sound = credited.filter(pl.col("events") > pl.col("suspect"))
    used, earlier = (_uses(sound.filter(pl.col("in_window") == now)) for now in (True, False))
    doubts = _doubts(tables, held, calls, credited)
    states = _states(tables, window)
    cases = []
    for g, policy in enumerate(tables.policies):
        state, days = states[policy.vault]
        mine, before = used.get(g, {}), earlier.get(g, {})
        open_ = {op: why for op, why in doubts.get(g, {}).items() if op not in mine and op not in before}
        holder = tables.holders.get(policy.grant, "unresolved")
        cases.append(PolicyCase(policy, holder, state, days, mine, before, open_))
    return tuple(cases), _unexplained(calls, credited)


def _held(tables: VaultTables) -> pl.DataFrame:
    rows = [
        (g, one.vault, one.principal_id, one.app_id, operation)
        for g, one in enumerate(tables.policies)
        for operation in sorted(one.operations)
    ]
    return pl.DataFrame(rows, schema=_HELD, orient="row")


def _credit(calls: pl.DataFrame, tables: VaultTables, held: pl.DataFrame) -> pl.DataFrame:
    """Return the calls of known callers with each policy `g` that they go to."""
    own = calls.select("principal_id").drop_nulls().unique().with_columns(holder="principal_id", order=pl.lit(0))
    groups = tables.members.filter(pl.col("principal_id") != pl.col("holder")).with_columns(order=pl.lit(2))
    via = pl.concat([own, groups.select(own.columns)])
    # Any caller may be in a group whose members are not all known.
    open_ = pl.DataFrame({"holder": sorted(tables.open_groups)}, schema={"holder": pl.String})
    any_ = calls.select("principal_id").drop_nulls().unique().join(open_, how="cross").with_columns(order=pl.lit(4))
    via = pl.concat([via, any_.filter(pl.col("principal_id") != pl.col("holder")).select(own.columns)])
    found = calls.join(via, on="principal_id").join(held, on=["vault", "holder", "operation"])
    fits = (pl.col("through") == "") | (pl.col("through") == pl.col("app_id")).fill_null(False)
    ranked = found.filter(fits).with_columns(order=pl.col("order") + (pl.col("through") != "").cast(pl.Int32))
    return ranked.filter(pl.col("order") == pl.col("order").min().over("u"))


def _uses(rows: pl.DataFrame) -> dict[int, dict[str, PolicyUse]]:
    found: dict[int, dict[str, PolicyUse]] = {}
    gathered = rows.group_by("g", "operation", "scope").agg(
        pl.col("principal_id").unique(), pl.col("events").sum(), pl.col("day").explode().unique().sort(),
        pl.col("first_seen").min(), pl.col("last_seen").max(),
    ).sort("g", "operation", "scope")  # fmt: skip
    by_operation = gathered.group_by("g", "operation", maintain_order=True).agg(
        pl.struct("scope", "day").alias("at"), pl.col("principal_id").explode().unique().sort(),
        pl.col("events").sum(), pl.col("first_seen").min(), pl.col("last_seen").max(),
    )  # fmt: skip
    for g, operation, at, principals, events, first, last in by_operation.iter_rows():
        days_at = {one["scope"]: tuple(one["day"]) for one in at}
        found.setdefault(g, {})[operation] = PolicyUse(days_at, tuple(principals), events, first, last)
    return found


def _doubts(
    tables: VaultTables, held: pl.DataFrame, calls: pl.DataFrame, credited: pl.DataFrame
) -> dict[int, dict[str, str]]:
    """Return for each policy the operations that may have been used, with the reason; the last reason wins."""
    nobody = calls.filter(pl.col("principal_id").is_null()).select("vault", "operation").unique()
    maybe = held.join(nobody, on=["vault", "operation"], how="semi")
    odd = calls.filter(~pl.col("operation").is_in(list(spellings())))
    known = odd.drop_nulls("principal_id").select("vault", "principal_id").unique()
    reach = pl.concat([
        known.with_columns(holder="principal_id"),
        known.join(tables.members, on="principal_id").select("vault", "principal_id", "holder"),
    ])  # fmt: skip
    lost = odd.filter(pl.col("principal_id").is_null()).select("vault").unique()
    unmapped = pl.concat([
        held.join(reach, on=["vault", "holder"], how="semi"),
        held.join(lost, on="vault", how="semi"),
    ])  # fmt: skip
    held_back = credited.filter(pl.col("events") <= pl.col("suspect"))
    found: dict[int, dict[str, str]] = {}
    for rows, why in (
        (unmapped, OutOfCoverage.UNMAPPED_USE),
        (maybe, OutOfCoverage.UNEXPLAINED_USE),
        (held_back, OutOfCoverage.QUARANTINED),
    ):
        for g, operation in rows.select("g", "operation").unique().iter_rows():
            found.setdefault(g, {})[operation] = why.value
    return found


def _states(tables: VaultTables, window: Window) -> dict[str, tuple[str, int | None]]:
    """Return for each vault what its log is evidence of, and how many days it covers where these are a part."""
    vaults = known_vaults(tables)
    states, missing = log_states(tables.inputs, window, vaults)
    lost = dict(missing.group_by("resource").len().iter_rows())
    said = dict(states.select("resource", "state").iter_rows())
    return {
        scope: (
            said.get(scope, OutOfCoverage.NO_LOG_LOADED.value),
            window.days - lost.get(scope, 0) if said.get(scope) == Unused.COVERED_IN_PART.value else None,
        )
        for scope in vaults["resource"]
    }


def _unexplained(calls: pl.DataFrame, credited: pl.DataFrame) -> pl.DataFrame:
    now = calls.filter(pl.col("in_window") & pl.col("principal_id").is_not_null())
    left = now.filter(pl.col("operation").is_in(list(spellings()))).join(credited, on="u", how="anti")
    return left.group_by("vault", "principal_id", "operation").agg(
        pl.col("events").sum(), pl.col("day").explode().n_unique().alias("days"), pl.col("first_seen").min(),
        pl.col("last_seen").max(),
    ).sort("vault", "principal_id", "operation")  # fmt: skip


def _verdict_rows(cases: Sequence[PolicyCase], unexplained: pl.DataFrame) -> pl.DataFrame:
    rows = [dict.fromkeys(VERDICTS_SCHEMA) | row for case in cases for row in _verdicts_of(case)]
    for row in unexplained.iter_rows(named=True):
        rows.append(
            dict.fromkeys(VERDICTS_SCHEMA)
            | {"principal_id": row["principal_id"], "plane": "vault", "scope": row["vault"]}
            | {"verdict": Verdict.UNEXPLAINED.value, "reason": Unexplained.NO_GRANT.value, "operations": 1}
            | {"operation": spellings()[row["operation"]]}
            | {name: row[name] for name in ("events", "days", "first_seen", "last_seen")}
        )
    return pl.DataFrame(rows, schema=VERDICTS_SCHEMA)


def _verdicts_of(case: PolicyCase) -> Iterator[dict[str, Any]]:
    for operation in sorted(case.policy.operations):
        verdict, reason = case.verdict(operation)
        use = case.used.get(operation) or case.earlier.get(operation)
        yield {
            "role_assignment_id": case.policy.grant,
            "state": "active",
            "principal_id": case.policy.principal_id,
            "plane": "vault",
            "scope": case.policy.vault,
            "verdict": verdict.value,
            "reason": reason,
            "operation": spellings()[operation],
            "operations": 1,
            "covered_days": case.covered_days if verdict is Verdict.UNUSED else None,
        } | (
            {"events": use.events, "days": len(use.days), "first_seen": use.first_seen, "last_seen": use.last_seen}
            if use
            else {}
        )


def _rows(cases: Sequence[PolicyCase]) -> pl.DataFrame:
    rows = [
        (one.policy.grant, one.policy.principal_id, f"access policy: {one.policy.words}", one.policy.vault,
         *_words(one, operation), weight_of(operation))
        for one in cases
        for operation in sorted(one.policy.operations)
    ]  # fmt: skip
    names = ("role_assignment_id", "principal_id", "role_name", "scope", "verdict", "reason")
    return pl.DataFrame(rows, schema={**dict.fromkeys(names, pl.String), "weight": pl.Float64}, orient="row")


def _words(case: PolicyCase, operation: str) -> tuple[str, str]:
    verdict, reason = case.verdict(operation)
    return verdict.value, reason


def _findings(cases: Sequence[PolicyCase]) -> pl.DataFrame:
    """Return findings: policies of holders that are gone, and unused policies."""
    rows = []
    for one in cases:
        said = {"subject": one.policy.grant, "principal_id": one.policy.principal_id}
        if one.holder == "orphan":
            text = f"the access policy ({one.policy.words}) of a principal that no longer exists stays on the vault"
            rows.append(said | {"control": "vault_policy_orphan", "severity": "medium", "reason": text})
        elif one.is_covered and not (one.used or one.earlier or one.doubts):
            on = "any day of the window" if one.covered_days is None else f"any of {one.covered_days} covered days"
            text = f"the access policy ({one.policy.words}) was not used on {on}"
            rows.append(said | {"control": "vault_policy_unused", "severity": "medium", "reason": text})
    return pl.DataFrame(rows, schema=schema_of("findings")).sort("control", "subject")
