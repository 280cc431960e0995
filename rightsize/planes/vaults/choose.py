"""Decide what becomes of each access policy, and choose the roles that replace it.

A policy gets roles by its use, roles that equal it, nothing, or a question. Roles are the smallest built-in ones, else
a custom one of its operations. A built-in role fits if it has all that is needed, and no secret value, key operation or
change that the policy lacks; reads of metadata that it adds are listed. Where the log says what is unused, a fitting
role has to take at least `LEAST_REMOVED` of it, or all but one operation; a custom role takes all of it.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import polars as pl

from rightsize.analyze.reasons import OutOfCoverage
from rightsize.analyze.window import Window
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import Folded, fold
from rightsize.planes.vaults.judge import PolicyCase
from rightsize.planes.vaults.tables import VaultTables, known_vaults
from rightsize.propose.assembly.purposes import RoleUse, name_purposes
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.selection.role_names import unique_names
from rightsize.rbac.permissions import is_granted, read_permissions
from rightsize.rules.operations import first_party_tenants
from rightsize.rules.role_names import is_for_service
from rightsize.rules.vaults import is_metadata_read, spellings

LEAST_REMOVED = 0.8
_MOST_TOGETHER = 3
_NAMESPACE = uuid.UUID("b7e3c1f4-6f0a-4a0e-9a53-0a8f3f6c2d11")
_OF_VAULTS = "microsoft.keyvault/"


@dataclass(frozen=True, slots=True)
class VaultRole:
    """A role that may replace a policy or a part of it.

    Attributes:
        id: Its GUID.
        name: Its name.
        operations: The folded data actions of vaults that it has.
        control: Its actions of Resource Manager that are no reads, as it writes them.
        definition: The definition of a new role; None for a built-in one.
    """

    id: Folded
    name: str
    operations: frozenset[str]
    control: tuple[str, ...] = ()
    definition: RoleDefinition | None = None


def built_in_roles(roles: pl.DataFrame) -> list[VaultRole]:
    """Return the built-in roles for people and workloads that have data actions of key vaults and of nothing else."""
    found = []
    rows = roles.filter((pl.col("role_type") == "BuiltInRole") & pl.col("permissions").str.contains("(?i)keyvault"))
    columns = ("role_definition_id", "role_name", "description", "permissions")
    for id_, name, description, text in rows.select(columns).sort("role_definition_id").iter_rows():
        blocks = permissions_from_json(text)
        data = [fold(one) for block in blocks for one in block.data_actions]
        if not data or not all(one.startswith(_OF_VAULTS) for one in data) or any(one.condition for one in blocks):
            continue
        control = sorted({one for block in blocks for one in block.actions if not fold(one).endswith("/read")})
        gives_more = any(fold(one).startswith((_OF_VAULTS, "microsoft.authorization/", "*")) for one in control)
        if gives_more or is_for_service(name or "", description or ""):
            continue
        read = read_permissions(blocks).of_plane("data")
        operations = frozenset(one for one in spellings() if is_granted(read, one))
        found.append(VaultRole(Folded(fold(id_)), name or id_, operations, tuple(control)))
    return found


@dataclass(frozen=True, slots=True)
class RoleNeed:
    """The folded operations that a policy's holder needs at one scope, and those that the policy allows."""

    needed: frozenset[str]
    granted: frozenset[str]


class RoleChooser:
    """Chooses roles; equal needs share one new role, in every subscription that has them."""

    def __init__(self, roles: pl.DataFrame) -> None:
        """Read the tenant's roles, from the table `role_definitions`."""
        self._known = built_in_roles(roles)
        self._taken = roles["role_name"].drop_nulls().to_list()
        self._found: dict[RoleNeed, tuple[VaultRole, ...]] = {}
        self._new: dict[Folded, VaultRole] = {}
        self._places: dict[Folded, set[str]] = {}

    @property
    def has_roles(self) -> bool:
        """Return whether any built-in role of key vaults is loaded."""
        return bool(self._known)

    def choose(self, need: RoleNeed, subscription: str) -> tuple[VaultRole, ...]:
        """Return the fewest and smallest roles for a need in a subscription; none where nothing is needed."""
        if need not in self._found:
            fitting = self._fitting(need) if need.needed else ()
            self._found[need] = fitting or ((self._custom(need),) if need.needed else ())
        for role in self._found[need]:
            if role.definition is not None:
                self._places.setdefault(role.id, set()).add(subscription)
        return self._found[need]

    def named(self) -> Mapping[Folded, VaultRole]:
        """Return the new roles with their names, by id."""
        uses = {
            id_: RoleUse(tuple(("data", spellings()[one]) for one in sorted(role.operations)))
            for id_, role in self._new.items()
        }
        names = unique_names(name_purposes(uses), self._taken)
        return {id_: _called(role, names[id_], sorted(self._places[id_])) for id_, role in self._new.items()}

    def _fitting(self, need: RoleNeed) -> tuple[VaultRole, ...]:
        useful = [one for one in self._known if one.operations & need.needed and _fits(one.operations, need)]
        best: tuple[VaultRole, ...] = ()
        for number in range(1, _MOST_TOGETHER + 1):
            for roles in combinations(useful, number):
                has = _all_of(roles)
                if (
                    need.needed <= has
                    and _takes_enough(has, need)
                    and (not best or _cost(roles, need) < _cost(best, need))
                ):
                    best = roles
        return best

    def _custom(self, need: RoleNeed) -> VaultRole:
        actions = tuple(spellings()[one] for one in sorted(need.needed))
        id_ = Folded(str(uuid.uuid5(_NAMESPACE, json.dumps(actions))))
        definition = RoleDefinition(id_, "", (PermissionBlock(data_actions=actions),))
        return self._new.setdefault(id_, VaultRole(id_, "", need.needed, (), definition))


def _fits(operations: frozenset[str], need: RoleNeed) -> bool:
    return all(is_metadata_read(one) for one in operations - need.granted)


def _takes_enough(has: frozenset[str], need: RoleNeed) -> bool:
    unused = {one for one in need.granted - need.needed if not is_metadata_read(one)}
    return len(unused & has) <= 1 or len(unused - has) >= LEAST_REMOVED * len(unused)


def _cost(roles: Sequence[VaultRole], need: RoleNeed) -> tuple[object, ...]:
    """Return what is worse about roles: changes beyond the need first, then metadata, actions, number and names."""
    beyond = _all_of(roles) - need.needed
    reads = sum(is_metadata_read(one) for one in beyond)
    return len(beyond) - reads, len(roles), reads, sum(len(one.control) for one in roles), [one.name for one in roles]


def _all_of(roles: Iterable[VaultRole]) -> frozenset[str]:
    return frozenset().union(*(one.operations for one in roles))


def _called(role: VaultRole, name: str, places: Sequence[str]) -> VaultRole:
    text = (
        "Data actions of key vaults that an access policy gave and its holders need. Evidence: the plan's vault part."
    )
    made = role.definition and replace(
        role.definition, role_name=name, description=text, assignable_scopes=tuple(places)
    )
    return replace(role, name=name, definition=made)


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
