"""Decide what becomes of each access policy: roles by use, roles that equal it, nothing, or a question."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.window import Window
from rightsize.planes.vaults.judge import PolicyCase
from rightsize.planes.vaults.tables import VaultTables, known_vaults
from rightsize.propose.core.options import PlanOptions
from rightsize.rbac.text import fold
from rightsize.rules.operations import first_party_tenants
from rightsize.rules.vaults import is_metadata_read

MOST_OBJECTS = 3
"""The most single secrets, keys or certificates at which one holder gets roles."""
_LEAST_DAYS = 3
"""The days on which each of them has to be used: a name that is new every month is no narrow use."""
_WORKLOADS = ("ServicePrincipal", "ManagedIdentity")

QUESTIONS = {
    "on_behalf": "it holds only through an application, and no role of Azure says that: who needs it, and how?",
    "excluded": "it was excluded by name, so its vault cannot be switched",
    "unknown_permission": "no rule knows one of its permissions",
    "quarantined": "what only quarantined requests used supports no role: decide whether it was the holder's own work",
    "no_roles": "no built-in role of key vaults is loaded: load `az role definition list`",
}
"""The words of policies that somebody has to decide on before their vault can be switched."""
EQUAL = {
    "no_log": "no log covers the vault, so the roles equal the policy",
    "emergency_access": "an emergency access account keeps all that it has",
    "first_party": "an application of Microsoft may use it once a year, so the roles equal the policy",
    "young": "its holder, its vault or the vault's policies changed within the window or the grace period",
    "unresolved": "no loaded listing has its holder, so the roles equal the policy",
    "risky": "the chance that less breaks something exceeds `--max-break`, so the roles equal the policy",
}
"""The words of policies that roles replace in full."""


@dataclass(frozen=True, slots=True)
class PolicyDecision:
    """What becomes of a policy.

    Attributes:
        word: A word of `QUESTIONS` or `EQUAL`; `orphan`, `unused`, or empty where use decides.
        needs: The operations that its holder gets, by folded scope.
    """

    word: str
    needs: Mapping[str, frozenset[str]]

    @property
    def is_open(self) -> bool:
        """Return whether somebody has to decide first."""
        return self.word in QUESTIONS


def needed_of(case: PolicyCase) -> frozenset[str]:
    """Return the operations of a policy that were used, may have been used, or that no log could show."""
    kept = {op for op in case.policy.operations if case.verdict(op)[1] == "no_resource_log"}
    return frozenset({*case.used, *case.earlier, *case.doubts, *kept})


def equal(case: PolicyCase, word: str) -> PolicyDecision:
    """Return the decision that gives the holder all that the policy has."""
    return PolicyDecision(word, {case.policy.vault: case.policy.operations})


class Decider:
    """Decides on the policies of one analysis with the options of a plan."""

    def __init__(self, tables: VaultTables, window: Window, options: PlanOptions, *, has_roles: bool) -> None:
        """Read what the decisions share."""
        self._tables, self._has_roles = tables, has_roles
        self._excluded = options.excluded_names(window)
        self._emergency = {fold(name) for name in options.emergency_access}
        self._young = options.young_from(window)
        made = known_vaults(tables).drop_nulls("created").select("resource", "created")
        self._made: dict[str, dt.date] = dict(made.iter_rows())
        recent = tables.writers.filter(pl.col("day") >= self._young.date())
        self._changed = frozenset(recent["vault"])

    def decide(self, case: PolicyCase) -> PolicyDecision:
        """Return the decision on a policy."""
        policy = case.policy
        person = self._tables.people.get(policy.principal_id, {})
        names: set[str] = {
            fold(str(person.get(key) or "")) for key in ("display_name", "user_principal_name", "app_id")
        }
        names |= {policy.principal_id, policy.vault, policy.grant}
        if case.holder == "orphan" or person.get("deleted_on"):
            return PolicyDecision("orphan", {})
        question = self._question(case, names)
        if question or not policy.operations:
            return PolicyDecision(question or "unused", {})
        if word := self._in_full(case, person, names):
            return equal(case, word)
        needed = needed_of(case)
        if not needed:
            return equal(case, "young") if policy.vault in self._changed else PolicyDecision("unused", {})
        return PolicyDecision("", _narrow(case, needed, str(person.get("principal_type") or "")))

    def _question(self, case: PolicyCase, names: set[str]) -> str:
        policy = case.policy
        if policy.app_id:
            return "on_behalf"
        if names & self._excluded:
            return "excluded"
        if policy.unknown:
            return "unknown_permission"
        if OutOfCoverage.QUARANTINED.value in case.doubts.values():
            return "quarantined"
        return "" if self._has_roles else "no_roles"

    def _in_full(self, case: PolicyCase, person: Mapping[str, object], names: set[str]) -> str:
        if names & self._emergency:
            return "emergency_access"
        if person.get("owner_tenant_id") in first_party_tenants():
            return "first_party"
        made, vault = person.get("created_on"), self._made.get(case.policy.vault)
        is_new = isinstance(made, dt.datetime) and made >= self._young
        if is_new or (vault is not None and vault >= self._young.date()):
            return "young"
        if not case.is_covered:
            return "no_log"
        return "unresolved" if not person and not needed_of(case) else ""


def _narrow(case: PolicyCase, needed: frozenset[str], kind: str) -> dict[str, frozenset[str]]:
    """Return the needs at single secrets, keys and certificates where use is that narrow, else at the vault."""
    vault = case.policy.vault
    seen: dict[str, set[str]] = {}
    days: dict[str, set[dt.date]] = {}
    for uses in (case.used, case.earlier):
        for operation, use in uses.items():
            for scope, on in use.days_at.items():
                seen.setdefault(scope, set()).add(operation)
                days.setdefault(scope, set()).update(on)
    is_narrow = (
        kind in _WORKLOADS
        and set().union(*seen.values()) == needed
        and vault not in seen
        and len(seen) <= MOST_OBJECTS
        and all(len(found) >= _LEAST_DAYS for found in days.values())
        and not all(is_metadata_read(one) for one in needed)
    )
    return {scope: frozenset(ops) for scope, ops in sorted(seen.items())} if is_narrow else {vault: needed}
