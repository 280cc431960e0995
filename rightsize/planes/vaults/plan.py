"""Make the part of a plan for key vaults: one proposal for each access policy, with roles, evidence, proof and risk.

What is proposed for the policies of one vault comes with the switch of its model, and so together. A vault where
somebody has to decide on a policy first *waits*: it is not switched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from rightsize.analyze.inputs import folded
from rightsize.analyze.observability.undecided import Gaps
from rightsize.analyze.reasons import Verdict
from rightsize.analyze.vaults import Vault
from rightsize.analyze.window import days_missing
from rightsize.model.errors import InternalError
from rightsize.model.plan import (
    KEEP,
    MIGRATE_VAULT,
    REMOVE,
    REMOVE_ORPHAN,
    Advice,
    Growth,
    PlanePart,
    PlannedAssignment,
    Proof,
    Proposal,
)
from rightsize.model.role_forms import to_arm
from rightsize.model.text import Folded, fold
from rightsize.planes.vaults import choose
from rightsize.planes.vaults.judge import PolicyCase, PolicyUse, VaultAnalysis, weight_of
from rightsize.planes.vaults.tables import VaultTables, data_assignments, woken
from rightsize.propose.core.fingerprint import grant_proposal_id, hash_of
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.risk.estimate import Estimate, estimates_of
from rightsize.propose.risk.incidence import KEY, count_incidence
from rightsize.rules.vaults import is_metadata_read, spellings

_UNITS = dict.fromkeys((*KEY, "role", "holder_type", "holder"), pl.String)


@dataclass(frozen=True, slots=True)
class _Planned:
    """A policy with its decision, and the roles that its holder gets by scope."""

    case: PolicyCase
    decision: choose.PolicyDecision
    roles: Mapping[str, tuple[choose.VaultRole, ...]]

    def has(self, operation: str, scope: str) -> bool:
        """Return whether the roles allow an operation at a scope."""
        return any(
            operation in role.operations
            for place, roles in self.roles.items()
            if scope == place or scope.startswith(f"{place}/")
            for role in roles
        )

    @property
    def operations(self) -> frozenset[str]:
        """Return the operations of all of its roles."""
        return frozenset().union(*(role.operations for roles in self.roles.values() for role in roles))


def plan_vaults(analysis: VaultAnalysis, options: PlanOptions) -> PlanePart:
    """Return the part of the plan for key vaults.

    Raises:
        InternalError: A proposal cannot be proved.
    """
    tables = analysis.tables
    chooser = choose.RoleChooser(tables.roles)
    decider = choose.Decider(tables, analysis.window, options, has_roles=chooser.has_roles)
    bounds = _bounds(analysis)
    planned = []
    for case in analysis.cases:
        decision, bound = decider.decide(case), bounds.get(case.policy.grant)
        if decision.word in ("", "unused") and bound is not None and bound.exceeds(options.max_break):
            decision = choose.equal(case, "risky")
        subscription = "/".join(case.policy.vault.split("/")[:3])
        granted = case.policy.operations
        roles = {
            scope: chooser.choose(choose.RoleNeed(needed, granted), subscription)
            for scope, needed in decision.needs.items()
        }
        planned.append(_Planned(case, decision, roles))
    new = chooser.named()
    planned = [_Planned(one.case, one.decision, _named(one.roles, new)) for one in planned]
    held = data_assignments(tables)
    vaults = {
        scope: _VaultNotes(vault, planned, held, tables) for scope, vault in tables.vaults.items() if vault.by_policies
    }
    proposals = [_proposal(one, vaults[one.case.policy.vault], bounds.get(one.case.policy.grant)) for one in planned]
    return PlanePart(
        plane="vault",
        proposals=tuple(sorted(proposals, key=lambda one: one.id)),
        window=analysis.window.as_json(),
        replay=_replay(analysis, planned),
        rests_on={
            "policies": read_policies(tables),
            "vaults": read_models(tables),
            "roles": {role.id: " ".join(sorted(role.operations)) for one in planned for role in _unique(one.roles)},
        },
        advice=tuple(_advice(analysis, vaults)),
        names=dict(_names(tables, planned)),
    )


def read_policies(tables: VaultTables) -> dict[str, str]:
    """Return a hash of each policy: of its permissions."""
    return {one.grant: hash_of([list(pair) for pair in one.permissions]) for one in tables.policies}


def read_models(tables: VaultTables) -> dict[str, str]:
    """Return a hash of each vault with policies: of its model and its flags."""
    return {scope: hash_of([one.model, *one.flags]) for scope, one in tables.vaults.items() if one.by_policies}


def _named(
    roles: Mapping[str, tuple[choose.VaultRole, ...]], new: Mapping[Folded, choose.VaultRole]
) -> dict[str, tuple[choose.VaultRole, ...]]:
    return {scope: tuple(new.get(one.id, one) for one in found) for scope, found in roles.items()}


class _VaultNotes:
    """What is said once of a vault: what it waits for, which roles its switch wakes, and who writes its policies."""

    def __init__(
        self, vault: Vault, planned: Iterable[_Planned], held: Iterable[Mapping[str, Any]], tables: VaultTables
    ) -> None:
        self.vault = vault
        mine = [one for one in planned if one.case.policy.vault == vault.scope]
        self.grants = [one.case.policy.grant for one in mine]
        self.waits = sorted({one.decision.word for one in mine if one.decision.is_open})
        self.no_log = any(one.decision.word == "no_log" for one in mine)
        self.wakes = woken(vault, held, tables)
        self.types = {who: _text(row.get("principal_type")) for who, row in tables.people.items()}
        rows = tables.writers.filter(pl.col("vault") == vault.scope)
        self.writers = sorted(rows["principal_id"].drop_nulls().unique())

    def document(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return {
            "scope": self.vault.scope,
            "waits": self.waits,
            "wakes": self.wakes,
            "writers": self.writers,
            "flags": list(self.vault.flags),
            "foreign_policies": self.vault.foreign,
        }


def _text(value: object) -> str | None:
    return str(value) if value else None


def _proposal(one: _Planned, notes: _VaultNotes, bound: Estimate | None) -> Proposal:
    case, decision = one.case, one.decision
    policy, word = case.policy, decision.word
    kind = KEEP if decision.is_open else REMOVE_ORPHAN if word == "orphan" else MIGRATE_VAULT if one.roles else REMOVE
    proof = _prove(one)
    if not proof.holds:
        raise InternalError(f"the proposal for the access policy `{policy.grant}` cannot be proved: {proof.witness}")
    used = {*case.used, *case.earlier}
    before = sum(weight_of(op) for op in policy.operations - used)
    after = before if kind.keeps else sum(weight_of(op) for op in one.operations - used)
    whole = sum(map(weight_of, policy.operations))
    evidence = _evidence(one, notes, notes.types.get(policy.principal_id))
    risked = bound if kind.may_break and word in ("", "unused") else None
    if risked is not None:
        evidence["break_probability"] = risked.as_json()
    return Proposal(
        id=grant_proposal_id("vault", policy.grant),
        plane="vault",
        principal_ids=(policy.principal_id,),
        kind=kind,
        replaces=(policy.grant,),
        assignments=tuple(
            sorted(
                PlannedAssignment(scope, role.id, Folded(policy.principal_id))
                for scope, roles in one.roles.items()
                for role in roles
            )
        ),
        reason=_reason(one),
        evidence=evidence,
        proof=proof,
        break_probability_30d=risked.expected if risked is not None else 0.0,
        excess_before=before,
        excess_after=min(after, before),
        risk_before=whole,
        risk_after=whole if kind.keeps else sum(map(weight_of, one.operations)),
    )


def _prove(one: _Planned) -> Proof:
    """Return the proof: what is needed stays at each scope of its use, and only reads of metadata are new."""
    case = one.case
    if one.decision.is_open or one.decision.word == "orphan":
        return Proof(used_subset=True, granted_superset=True)
    lost = [
        op
        for op in choose.needed_of(case)
        if not one.has(op, case.policy.vault) and op not in (*case.used, *case.earlier)
    ]
    for uses in (case.used, case.earlier):
        lost += [op for op, use in uses.items() for scope in use.days_at if not one.has(op, scope)]
    new = sorted(op for op in one.operations - case.policy.operations if not is_metadata_read(op))
    built_in = {role.id for roles in one.roles.values() for role in roles if role.definition is None}
    grows = tuple(Growth(id_, "built_in") for id_ in sorted(built_in))
    return Proof(not lost, not new, next(iter([*sorted(lost), *new]), None), grows)


def _evidence(one: _Planned, notes: _VaultNotes, holder_type: str | None) -> dict[str, Any]:
    case, policy = one.case, one.case.policy
    removed: Counter[str] = Counter()
    kept: Counter[str] = Counter()
    for operation in policy.operations:
        verdict, reason = case.verdict(operation)
        if verdict is not Verdict.USED:
            (kept if one.decision.is_open or operation in one.operations else removed)[reason] += 1
    roles = sorted({role.name for found in one.roles.values() for role in found})
    control = sorted({text for found in one.roles.values() for role in found for text in role.control})
    return {
        "role": f"access policy: {policy.words}",
        "scope": policy.vault,
        "state": "active",
        "granted": len(policy.operations),
        "used": len(case.used),
        **({"removed": dict(sorted(removed.items()))} if removed else {}),
        **({"kept_unseen": dict(sorted(kept.items()))} if kept else {}),
        **({"covered_days": case.covered_days} if case.covered_days is not None else {}),
        **({"comes": roles} if roles else {}),
        "together_with": [grant for grant in notes.grants if grant != policy.grant],
        "vault": {
            **notes.document(),
            "permissions": [f"{kind} {permission}" for kind, permission in policy.permissions],
            "app_id": policy.app_id or None,
            "word": one.decision.word,
            "log": case.state,
            "holder": case.holder,
            "holder_type": holder_type,
            "use": [_said(op, use) for uses in (case.used, case.earlier) for op, use in sorted(uses.items())],
            "doubts": {spellings()[op]: why for op, why in sorted(case.doubts.items())},
            "adds": [spellings()[op] for op in sorted(one.operations - (policy.operations - policy.partial))],
            "adds_control": control,
            "roles": {scope: [role.name for role in found] for scope, found in sorted(one.roles.items())},
            "new_roles": [
                to_arm(role.definition) for role in _unique(one.roles) if role.definition is not None
            ],
        },
    }  # fmt: skip


def _unique(roles: Mapping[str, tuple[choose.VaultRole, ...]]) -> list[choose.VaultRole]:
    return sorted({role.id: role for found in roles.values() for role in found}.values(), key=lambda one: one.id)


def _said(operation: str, use: PolicyUse) -> dict[str, Any]:
    return {
        "operation": spellings()[operation],
        "events": use.events,
        "days": len(use.days),
        "last_seen": use.last_seen,
        "scopes": sorted(use.days_at)[:20],
        "principals": list(use.principals[:20]),
    }


def _reason(one: _Planned) -> str:
    word, case = one.decision.word, one.case
    if word == "orphan":
        return "its holder no longer exists"
    if word in choose.QUESTIONS or word in choose.EQUAL:
        return f"{word}: {(choose.QUESTIONS | choose.EQUAL)[word]}"
    on = "the window" if case.covered_days is None else f"{case.covered_days} covered days"
    if not one.roles:
        return f"nothing of it was used in {on}"
    used = len({*case.used, *case.earlier})
    places = [scope for scope in one.roles if scope != case.policy.vault]
    where = f", all at {len(places)} of its secrets, keys and certificates" if places else ""
    return f"{used} of the {len(case.policy.operations)} operations that it allows were used in {on}{where}"


def _replay(analysis: VaultAnalysis, planned: Iterable[_Planned]) -> dict[str, int]:
    """Return how the use of the window ends after the switch of each vault; a vault that waits is not switched."""
    found = list(planned)
    waiting = {one.case.policy.vault for one in found if one.decision.is_open}
    allowed = denied = 0
    for one in found:
        for operation, use in one.case.used.items():
            for scope in use.days_at:
                is_allowed = one.case.policy.vault in waiting or one.has(operation, scope)
                allowed, denied = allowed + is_allowed, denied + (not is_allowed)
    unknown = analysis.unexplained.height
    return {"allowed": allowed, "needs_activation": 0, "denied": denied, "unknown": unknown}


def _bounds(analysis: VaultAnalysis) -> dict[str, Estimate]:
    """Return the break probability of each policy whose vault's log is evidence, by its grant.

    The estimate is that of Azure roles (`propose.risk.calibration`). Active days are those on which the holder used
    the vault. A *novelty* is an operation at a scope: without the days of its use the roles would lack it.
    """
    tables, window = analysis.tables, analysis.window
    covered = [one for one in analysis.cases if one.is_covered]
    if not covered:
        return {}
    types = {who: str(row.get("principal_type") or "") for who, row in tables.people.items()}
    units = pl.DataFrame(
        [
            (one.policy.grant, "active", one.policy.words, types.get(one.policy.principal_id, ""), one.policy.grant)
            for one in covered
        ],
        schema=_UNITS,
        orient="row",
    )
    uses = [
        (one.policy.grant, operation, scope, day)
        for one in covered
        for operation, use in one.used.items()
        for scope, days in use.days_at.items()
        for day in days
    ]
    schema = {"holder": pl.String, "operation": pl.String, "scope": pl.String, "day": pl.Date}
    used = pl.DataFrame(uses, schema=schema, orient="row")
    numbers = used.select("operation", "scope").unique(maintain_order=True).with_row_index("novelty")
    seen = used.join(numbers, on=["operation", "scope"]).select(
        pl.col("holder").alias(KEY[0]), pl.lit("active").alias(KEY[1]), "novelty", "day"
    )
    vaults = sorted({one.policy.vault for one in covered})
    numbered = {vault: number for number, vault in enumerate(vaults)}
    gap_of = units.select(KEY).with_columns(
        gap=pl.Series([numbered[one.policy.vault] for one in covered], dtype=pl.UInt32)
    )
    missing = [
        (number, day)
        for vault, number in numbered.items()
        for day in days_missing(tables.coverage.filter(pl.col("resource") == vault)["day"], window)
    ]
    lost = pl.DataFrame(missing, schema={"gap": pl.UInt32, "day": pl.Date}, orient="row")
    incidence = count_incidence(units, used.select("holder", "day"), seen, window, Gaps(gap_of, lost))
    return {grant: found for (grant, _), found in estimates_of(incidence, window).items()}


def _advice(analysis: VaultAnalysis, vaults: Mapping[str, _VaultNotes]) -> Iterator[Advice]:
    """Yield the questions and steps that only people can take, by vault."""
    tables = analysis.tables
    for scope, notes in sorted(vaults.items()):
        name = notes.vault.name
        for word in notes.waits:
            yield Advice(scope, f"the vault {name} waits: one of its access policies {choose.QUESTIONS[word]}")
        if notes.writers:
            who = ", ".join(_called(tables, one) for one in notes.writers[:5])
            yield Advice(
                scope,
                f"{who} wrote the vault {name} or its policies in the window: change its code to roles before the "
                "switch, or it sets the model or the policies again",
            )
        if notes.wakes:
            yield Advice(
                scope,
                f"{len(notes.wakes):,} role assignments have data actions that do nothing in the vault {name} today: "
                "the switch to roles wakes them",
            )
        if notes.no_log:
            yield Advice(
                scope,
                f"no log covers the vault {name}, so its roles equal its policies; its AuditEvent log would tell which "
                "of them are used",
            )
        if notes.vault.lack is not None:
            yield Advice(scope, f"{notes.vault.lack.text}")
    for scope, vault in sorted(tables.vaults.items()):
        if vault.model is None and vault.lack is not None:
            yield Advice(scope, f"it is not known whether the vault {vault.name} has policies: {vault.lack.text}")


def _called(tables: VaultTables, principal_id: str) -> str:
    listed = tables.inputs.principals
    rows = listed.filter(folded(listed["principal_id"]) == fold(principal_id))
    return str(rows["display_name"][0]) if rows.height and rows["display_name"][0] else principal_id


def _names(tables: VaultTables, planned: Iterable[_Planned]) -> Iterator[tuple[str, str]]:
    for one in tables.policies:
        called = tables.people.get(one.principal_id, {}).get("display_name")
        if called:
            yield one.principal_id, str(called)
    for found in planned:
        for role in _unique(found.roles):
            yield role.id, role.name
