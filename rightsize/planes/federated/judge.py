"""Judge each federated credential as used, unused, unobservable or out of coverage, from sign-ins that name it.

Sign-in logs of workloads name the credential (`FederatedCredentialId`), never the subject of the token. An empty value
means that no federated credential was used, but exports without the column look the same. So an empty value counts only
within `NEAR_DAYS` of a sign-in of that log that does name one.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze import planes, reasons
from rightsize.analyze.inputs import schema_of
from rightsize.analyze.verdicts.judge import VERDICTS_SCHEMA
from rightsize.analyze.window import LONGEST_GAP, Window, judge_log
from rightsize.planes.federated.tables import (
    IDENTITY,
    Credential,
    CredentialVerdict,
    ObservedSubject,
    SignInUse,
    TrustTables,
)
from rightsize.rules.trust import EXACT, admits, parse_expression, recognise_subject

WEIGHTS = {"low": 1.0, "medium": 4.0, "high": 16.0}
"""The weight of a credential by the risk of its subject, a convention as for the other planes."""

_FULL = 100.0


def verdict_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return the rows of the table `verdicts`: one a credential; its operation is the subject or the expression."""
    rows: list[dict[str, Any]] = []
    for one in judged:
        seen = one.use or one.earlier
        rows.append(
            dict.fromkeys(VERDICTS_SCHEMA)
            | {
                "role_assignment_id": one.credential.grant,
                "state": "active",
                "principal_id": one.credential.principal_id or None,
                "plane": "trust",
                "scope": "/",
                "verdict": one.verdict.value,
                "reason": one.reason,
                "operation": one.credential.subject or one.trusts.means,
                "operations": 1,
                "covered_days": one.covered_days,
            }
            | (
                {"events": seen.sign_ins, "days": len(seen.days), "first_seen": seen.first_seen}
                | {"last_seen": seen.last_seen}
                if seen
                else {}
            )
        )
    return pl.DataFrame(rows, schema=VERDICTS_SCHEMA)


def is_in_use(one: CredentialVerdict) -> bool:
    """Return whether a credential was used in the window, or on another loaded day that counts."""
    return one.verdict is reasons.Verdict.USED or one.reason == reasons.OutOfCoverage.USED_BEFORE_WINDOW.value


def answer_rows(judged: Sequence[CredentialVerdict], window: Window) -> pl.DataFrame:
    """Return the rows of the table `credential_verdicts`."""
    rows = []
    for one in judged:
        seen, held = one.use or one.earlier, one.credential
        rows.append(
            {
                "grant_id": held.grant,
                "object_id": held.object_id,
                "name": held.name,
                "principal_id": held.principal_id or None,
                "platform": one.trusts.platform,
                "trusts": one.trusts.means,
                "breadth": one.trusts.breadth,
                "risk": one.trusts.risk,
                "why": one.trusts.why,
                "verdict": one.verdict.value,
                "reason": one.reason,
                "because": reasons.sentence_on(one.reason, one.covered_days, window.days),
                "sign_ins": seen.sign_ins if seen else 0,
                "days": len(seen.days) if seen else 0,
                "first_seen": seen.first_seen if seen else None,
                "last_seen": seen.last_seen if seen else None,
                "resources": list(seen.resources) if seen else [],
                "subjects": [subject.subject for subject in one.observed],
            }
        )
    return pl.DataFrame(rows, schema=schema_of("credential_verdicts"))


def _rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return one row per credential: its holder, what it trusts, and its verdict, reason and weight."""
    rows = [
        (
            one.credential.grant,
            one.credential.principal_id or None,
            f"{one.trusts.platform}: {one.trusts.means}",
            one.verdict.value,
            one.reason,
            WEIGHTS[one.trusts.risk],
        )
        for one in judged
    ]
    names = ("role_assignment_id", "principal_id", "role_name", "verdict", "reason")
    return pl.DataFrame(rows, schema={**dict.fromkeys(names, pl.String), "weight": pl.Float64}, orient="row")


def principal_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return counts and scores of each principal that outside subjects sign in as."""
    by_principal = _rows(judged).drop_nulls("principal_id").group_by("principal_id")
    table = by_principal.agg(**planes.counts_and_scores(pl.col("weight"), _FULL))
    return planes.declared(table, planes.PRINCIPALS_SCHEMA, plane="trust").sort("principal_id")


def assignment_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return one row per credential; its name is what it trusts."""
    names = ("role_assignment_id", "principal_id", "role_name")
    table = _rows(judged).group_by(names, maintain_order=True).agg(**planes.counts_and_scores(pl.col("weight"), _FULL))
    return planes.declared(table, planes.ASSIGNMENTS_SCHEMA, state="active", scope="/", plane="trust")


def denied_rows() -> pl.DataFrame:
    """Return no rows: a refused token names no credential."""
    return pl.DataFrame(schema=planes.DENIED_SCHEMA)


def finding_rows(judged: Sequence[CredentialVerdict]) -> pl.DataFrame:
    """Return findings: credentials that nobody uses, and those that trust more than one workload."""
    rows = []
    for one in judged:
        said = {"subject": one.credential.grant, "principal_id": one.credential.principal_id or None}
        if one.verdict is reasons.Verdict.UNUSED:
            on = "any day of the window" if one.covered_days is None else f"any of {one.covered_days} covered days"
            text = f"trusts {one.trusts.means}, and the sign-in logs show no sign-in by it on {on}"
            rows.append(said | {"control": "federated_unused", "severity": "medium", "reason": text})
        if one.trusts.breadth != EXACT and one.trusts.risk != "low":
            text = f"trusts {one.trusts.means}: {one.trusts.why}"
            rows.append(said | {"control": "federated_wide", "severity": one.trusts.risk, "reason": text})
    return pl.DataFrame(rows, schema=schema_of("findings")).sort("control", "subject")


NEAR_DAYS = LONGEST_GAP
"""The distance in days within which a log that names a credential once is taken to name it each time."""

_CLAIMS = ("issuer", "subject", "job_workflow_ref", "credential_id", "app_id")
_RUNS = 3
_SCHEMA = {"key": pl.String, "principal_id": pl.String, "c": pl.UInt32}


@dataclass(frozen=True, kw_only=True)
class TrustAnalysis(planes.PlaneAnalysis):
    """The result of the analysis of federated credentials.

    Attributes:
        tables: The tables it rests on.
        judged: The verdict on each credential, in the order of the tables.
    """

    tables: TrustTables
    judged: tuple[CredentialVerdict, ...]

    @property
    def answers(self) -> Mapping[str, pl.DataFrame]:
        """Return the table `credential_verdicts`."""
        return {"credential_verdicts": answer_rows(self.judged, self.window)}


def analyse_trust(tables: TrustTables, window: Window) -> TrustAnalysis:
    """Return the verdict on every federated credential over a window."""
    judged = () if tables.is_empty else tuple(_judge(tables, window))
    return TrustAnalysis(
        plane="trust",
        window=window,
        verdicts=verdict_rows(judged),
        principals=principal_rows(judged),
        assignments=assignment_rows(judged),
        denied=denied_rows(),
        findings=finding_rows(judged),
        tables=tables,
        judged=judged,
    )


def _judge(tables: TrustTables, window: Window) -> list[CredentialVerdict]:
    held = tables.credentials
    matched, unknown = _matched(held, tables.sign_ins)
    only = _only_ones(held, matched, unknown)
    elsewhere = unknown["principal_id"].drop_nulls().unique().to_list()
    unsaid = _unsaid(tables, window)
    observed = _by_token(tables.observed)
    states = {kind: _state_of(tables, window, kind) for kind in ("service_principal", "managed_identity")}
    found = []
    for c, one in enumerate(held):
        rows = matched.filter(pl.col("c") == c)
        way = reasons.Attribution.CREDENTIAL_NAMED
        if rows.is_empty() and c in only:
            rows, way = only[c], reasons.Attribution.ONLY_CREDENTIAL
        use = _use(rows.filter(window.holds("day")))
        earlier = _use(rows.filter(~window.holds("day") & (pl.col("day") >= window.remembered.first_day)))
        verdict, reason, covered = _verdict(one, way, use, earlier, unsaid, elsewhere, states)
        found.append(
            CredentialVerdict(
                credential=one,
                trusts=recognise_subject(one.issuer, one.subject, is_expression=one.is_expression),
                verdict=verdict,
                reason=reason,
                covered_days=covered,
                use=use,
                earlier=earlier,
                observed=_observed(one, observed, held),
                is_age_known=_is_age_known(one, tables, window),
                changed_on=_changed_on(one, tables.changes),
            )
        )
    return found


def _verdict(
    one: Credential,
    way: reasons.Attribution,
    use: SignInUse | None,
    earlier: SignInUse | None,
    unsaid: frozenset[str | None],
    elsewhere: Sequence[str],
    states: Mapping[str, tuple[str, int]],
) -> tuple[reasons.Verdict, str, int | None]:
    """Return the verdict, its reason, and the covered days where it rests on a part of the window."""
    if use is not None:
        return reasons.Verdict.USED, way.value, None
    if not one.principal_id:
        return reasons.Verdict.OUT_OF_COVERAGE, reasons.OutOfCoverage.NO_SUCH_HOLDER.value, None
    if earlier is not None:
        return reasons.Verdict.OUT_OF_COVERAGE, reasons.OutOfCoverage.USED_BEFORE_WINDOW.value, None
    if not one.single_tenant:
        return reasons.Verdict.UNOBSERVABLE, reasons.UnobservableReason.OTHER_TENANTS.value, None
    comparable = one.credential_id and not one.credential_id.startswith("/")
    if not comparable and one.principal_id in elsewhere:
        return reasons.Verdict.OUT_OF_COVERAGE, reasons.OutOfCoverage.UNKNOWN_CREDENTIAL.value, None
    needed = [states[kind] for kind in one.logs]
    gaps = [state for state, _ in needed if state not in reasons.SHOWN]
    if gaps:
        no_log = reasons.OutOfCoverage.NO_LOG_LOADED.value
        return reasons.Verdict.OUT_OF_COVERAGE, no_log if no_log in gaps else gaps[0], None
    if one.principal_id in unsaid or None in unsaid:
        return reasons.Verdict.UNOBSERVABLE, reasons.UnobservableReason.CREDENTIAL_NOT_SAID.value, None
    if all(state == reasons.Unused.COVERED.value for state, _ in needed):
        return reasons.Verdict.UNUSED, reasons.Unused.COVERED.value, None
    return reasons.Verdict.UNUSED, reasons.Unused.COVERED_IN_PART.value, min(days for _, days in needed)


def _matched(held: Sequence[Credential], sign_ins: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the sign-ins of each credential with its number `c`, and those by a credential that no listing has.

    A sign-in of an identity may name the credential by its id, its resource id, or its name.
    """
    named = sign_ins.filter(pl.col("federated_credential_id") != "")
    keys: list[tuple[str, str | None, int]] = [
        (key, None, c) for c, one in enumerate(held) for key in {one.credential_id, one.grant} - {""}
    ]
    keys += [(one.name.lower(), one.principal_id, c) for c, one in enumerate(held) if one.principal_id]
    by_key = pl.DataFrame(keys, schema=_SCHEMA, orient="row")
    anywhere = by_key.filter(pl.col("principal_id").is_null()).drop("principal_id").unique("key", keep="none")
    of_one = by_key.drop_nulls("principal_id").unique(["key", "principal_id"], keep="none")
    first = named.join(anywhere, left_on="federated_credential_id", right_on="key", how="left")
    second = first.filter(pl.col("c").is_null()).drop("c").join(
        of_one, left_on=["federated_credential_id", "principal_id"], right_on=["key", "principal_id"], how="left"
    )  # fmt: skip
    both = pl.concat([first.drop_nulls("c"), second.select(first.columns)])
    return both.drop_nulls("c"), both.filter(pl.col("c").is_null())


def _only_ones(held: Sequence[Credential], matched: pl.DataFrame, unknown: pl.DataFrame) -> dict[int, pl.DataFrame]:
    """Return the sign-ins of identities with one credential whose sign-ins name one unknown credential.

    Resource Manager does not say the id by which the logs name the credential of an identity.
    """
    counts: dict[str, list[int]] = {}
    for c, one in enumerate(held):
        counts.setdefault(one.principal_id, []).append(c)
    found = {}
    for principal, numbers in counts.items():
        if len(numbers) != 1 or held[numbers[0]].holder != IDENTITY or not principal:
            continue
        rows = unknown.filter(pl.col("principal_id") == principal)
        if rows["federated_credential_id"].n_unique() == 1 and not (matched["c"] == numbers[0]).any():
            found[numbers[0]] = rows
    return found


def _unsaid(tables: TrustTables, window: Window) -> frozenset[str | None]:
    """Return the principals with sign-ins that may have been by a federated credential; None for an unknown one."""
    rows = tables.sign_ins.filter(window.holds("day"))
    saying = tables.sign_ins.filter(pl.col("federated_credential_id").is_not_null()).select("kind", "day").unique()
    reach = pl.duration(days=NEAR_DAYS)
    near = saying.select("kind", day=pl.date_ranges(pl.col("day") - reach, pl.col("day") + reach))
    silent = rows.filter(pl.col("federated_credential_id").is_null())
    open_ = silent.join(near.explode("day").unique(), on=["kind", "day"], how="anti")
    return frozenset(open_["principal_id"].to_list())


def _state_of(tables: TrustTables, window: Window, kind: str) -> tuple[str, int]:
    """Return what the log of a kind of sign-in is evidence of, and how many days of the window it covers."""
    days = tables.covered.filter(pl.col("kind") == kind)["day"].unique()
    if days.is_empty():
        return reasons.OutOfCoverage.NO_LOG_LOADED.value, 0
    return judge_log(days, window), int(days.is_between(window.first_day, window.last_day).sum())


def _use(rows: pl.DataFrame) -> SignInUse | None:
    if rows.is_empty():
        return None
    ((sign_ins, first, last),) = rows.select(
        pl.col("succeeded").sum(), pl.col("first_seen").min(), pl.col("last_seen").max()
    ).iter_rows()
    resources = rows.select(pl.coalesce("resource_name", "resource_id").drop_nulls().unique().sort())
    return SignInUse(
        int(sign_ins), tuple(rows["day"].unique().sort()), first, last, tuple(resources.to_series().to_list())
    )


def _by_token(observed: pl.DataFrame) -> pl.DataFrame:
    """Return the observed subjects with one row for all runs with the same claims: `days`, `last_seen` and `runs`."""
    runs = pl.col("run").filter(pl.col("run") != "")
    return observed.group_by(*_CLAIMS, maintain_order=True).agg(
        days=pl.col("time").dt.date().unique(),
        last_seen=pl.col("time").max(),
        runs=runs.unique().sort().head(_RUNS),
    )


def _observed(one: Credential, observed: pl.DataFrame, held: Sequence[Credential]) -> tuple[ObservedSubject, ...]:
    """Return the observed subjects that signed in by a credential: those that fit it and name it or its application.

    A row of `_by_token` that names neither counts where no credential of another principal trusts the subject.
    """
    rows = observed.filter(pl.col("issuer") == one.issuer.lower().rstrip("/"))
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows.iter_rows(named=True):
        if row["credential_id"]:
            fits = row["credential_id"] in (one.credential_id, one.grant)
        elif row["app_id"]:
            fits = row["app_id"] in (one.app_id, one.principal_id)
        else:
            fits = not any(
                other.principal_id != one.principal_id and trusts(other, row["subject"], row["job_workflow_ref"])
                for other in held
                if other.issuer.lower().rstrip("/") == row["issuer"]
            )
        if fits and trusts(one, row["subject"], row["job_workflow_ref"]):
            found.setdefault(row["subject"], []).append(row)
    return tuple(
        ObservedSubject(
            subject,
            tuple(sorted({day for row in rows_of for day in row["days"]})),
            max(row["last_seen"] for row in rows_of),
            tuple(sorted({run for row in rows_of for run in row["runs"]}))[:_RUNS],
        )
        for subject, rows_of in sorted(found.items())
    )


def trusts(one: Credential, subject: str, workflow: str | None = None) -> bool:
    """Return whether a credential trusts a token with this subject; a claim that is not known is taken to fit."""
    if one.subject is None:
        return False
    if not one.is_expression:
        return one.subject == subject
    comparisons = parse_expression(one.subject)
    if comparisons is None:
        return False
    return admits(comparisons, {"sub": subject, "job_workflow_ref": workflow}) is not False


def _is_age_known(one: Credential, tables: TrustTables, window: Window) -> bool:
    days = tables.audit_days
    if one.holder == IDENTITY:
        place = "/".join(one.object_id.split("/")[:3])
        days = tables.activity_days.filter(pl.col("place") == place)["day"]
    return judge_log(days, window) in reasons.SHOWN


def _changed_on(one: Credential, changes: pl.DataFrame) -> dt.date | None:
    named = pl.col("name").is_in(["", one.name.lower()])
    day = changes.filter((pl.col("object_id") == one.object_id) & named)["day"].max()
    return day if isinstance(day, dt.date) else None
