"""Check a drafted role against one principal: what it grants beyond the principal's use and access, and what it lacks.

The algebra of roles decides for all possible operations; the catalogue gives real examples, and the stored analysis the
verdict on each. Nothing is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from rightsize.analyze.reasons import Verdict, sentence
from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import PLANES, PermissionBlock, Planes, RoleDefinition
from rightsize.model.options import USUAL
from rightsize.model.progress import counted
from rightsize.model.text import Folded, fold, is_read
from rightsize.rbac.algebra import grants
from rightsize.rbac.expand import GrantedOperation, expand_roles
from rightsize.rbac.permissions import Reading
from rightsize.rbac.scopes import Scope, is_within, parse_scope
from rightsize.rules.attacks import escalation_rules
from rightsize.rules.tables import risk_weights
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.attack_paths import AnalysedNames, find_principal
from rightsize.workflow.analysis.find_analysis import find_analysis, require_content
from rightsize.workflow.answers.explain import explain_principal, judged_operations
from rightsize.workflow.names import AskedScopes
from rightsize.workflow.roles.findings import AskedByUse, HeldAccess, describe_strings, some_witnesses
from rightsize.workflow.tenant_access import TenantAccess, read_tenant_access

Rows = list[dict[str, Any]]
RoleVerdict = Literal[
    "wider_than_today", "makes_permanent", "lacks_use", "no_use_seen", "covers_use", "covers_use_with_excess"
]
Key = tuple[str, Folded]
"""(plane, folded operation)."""

_UNDECIDED = (Verdict.UNOBSERVABLE.value, Verdict.OUT_OF_COVERAGE.value)
NOT_HELD, USED = "not_held", "used"
"""Verdicts on operations that a role grants: the principal does not hold it today, or it was used."""
_GRAVE = ("privilege", "secret", "code_execution")


def check_role(
    db: Path,
    roles: Sequence[RoleDefinition],
    principal: str,
    scopes: Sequence[str] = (),
    *,
    beside: Sequence[str] = (),
    eligible: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Return what roles would mean for a principal that got them in the place of its access of today.

    Args:
        db: The store; it is only read.
        roles: The drafted roles, which are judged together.
        principal: An id, UPN, application id or name.
        scopes: Where they would be assigned; none stands for the scopes of the principal's assignments of today.
        beside: Names or ids of loaded roles that would be assigned beside them at the same scopes, such as Reader.
        eligible: Whether they would be eligible, so that what is held after an activation today is nothing more.
        note: Called with a sentence where no stored analysis answers.

    Returns:
        verdict: The first `RoleVerdict` that is true.
        is_wider, covers_use: The two halves of it; `covers_use` is None where no use was seen.
        principal, window, scopes: Whom, over which days and where.
        wider: What they grant at a scope that the principal does not hold there: `held_otherwise` says that it holds
            all of it, but only after an activation or under a condition; `operations` counts those of the catalogue.
        excess: What they grant and the principal did not use, by `verdict`, a row each operation, gravest first.
        lacks: Used operations that they do not grant where they were used, the newest first, with `why`.
        may_lack: Operations that the principal holds, of which no log says whether they are needed, and that they do
            not grant: `asked_by_use` names those that Azure or clients ask for beside what was used.
        strings: How many operations of the catalogue each string of the roles matches, and what is wrong with it.
        privileged: Operations in them that give privilege, secrets or code execution.
        used_at: Where the use was, by resource group.
        reasons: The sentence on each reason of a verdict in `excess`.
        remarks: What a reader has to know beside them, one sentence each.

    Raises:
        UsageError: Several principals have the name, or it holds nothing and no scope is given.
        InputError: No principal has it, nothing knows a scope or a role that stands beside, or there is no role.
        EvidenceError: The store has no assignments, or nothing that could be analysed.
    """
    with open_store(db, read_only=True) as store:
        require_content(store)
        analysed = find_analysis(store, USUAL, note)
        found = find_principal(store, AnalysedNames(analysed), principal)
        tenant = read_tenant_access(store.table)
        asked = AskedScopes(store)
        answer = explain_principal(analysed, found)
        holders = {found, *(row["group_id"] for row in answer["groups"])}
        places = [asked.find(one) for one in scopes] or tenant.held.scopes_of(holders)
        judged = judged_operations(analysed, found)
    if not roles:
        raise InputError("there is no role definition to check")
    if not places:
        raise UsageError(
            "the principal holds no Azure role, so nothing says where this one would be assigned",
            hint="name the scopes",
        )
    whole = RoleDefinition(
        Folded(""),
        roles[0].role_name,
        (
            *(block for one in roles for block in one.permissions),
            *(b for name in beside for b in tenant.blocks_called(name)),
        ),
        assignable_scopes=tuple(dict.fromkeys(scope for one in roles for scope in one.assignable_scopes)),
    )
    risks = dict(tenant.inputs.operations.select("operation", "risk").sort("operation").iter_rows())
    there = [parse_scope(one) for one in places]
    return _Check(whole, found, there, eligible, tenant, answer, risks, judged).document()


@dataclass(frozen=True)
class _Check:
    """A role, a principal, scopes, and all that the store says of them.

    Attributes:
        role: The drafted roles and those beside them, as one.
        principal_id: The principal that would get it.
        places: Where it would be assigned.
        is_eligible: Whether it would be eligible.
        tenant: The access of today.
        answer: What `explain_principal` says of the principal.
        risks: The operations of the catalogue with their class of risk, sorted; None where it has none.
        judged: The verdict on each operation that the principal holds, of `judged_operations`.
    """

    role: RoleDefinition
    principal_id: str
    places: list[Scope]
    is_eligible: bool
    tenant: TenantAccess
    answer: dict[str, Any]
    risks: dict[str, str | None]
    judged: Rows

    def document(self) -> dict[str, Any]:
        """Return the answer."""
        wider, lacks, excess = self._wider(), self._lacks(), self._excess()
        identity = self.answer["identity"]
        is_wider = any(not one["held_otherwise"] for one in wider)
        has_excess = bool(excess["operations"] or excess["witnesses"])
        covers = not lacks if self._explained else None
        return {
            "verdict": _verdict(is_wider, bool(wider), covers, has_excess),
            "is_wider": is_wider,
            "covers_use": covers,
            "principal": {
                "principal_id": self.principal_id,
                "principal_type": identity["principal_type"],
                "name": identity["user_principal_name"] or identity["display_name"],
            },
            "window": self.answer["window"],
            "scopes": [place.text for place in self.places],
            "wider": wider,
            "excess": excess,
            "lacks": lacks,
            "may_lack": self._may_lack(),
            "strings": describe_strings(self.role.permissions, self._known, self._used),
            "privileged": self._privileged(),
            "used_at": self._used_at,
            "reasons": {row["reason"]: sentence(row["reason"]) for row in excess["rows"] if row["reason"] is not None},
            "remarks": self._remarks(),
        }

    @cached_property
    def _uses(self) -> Rows:
        """The use that is evidence: of the window, kept from before it, and what no assignment explains."""
        every = [
            {**row, "kind": kind}
            for kind in ("used", "used_earlier", "declared", "unexplained")
            for row in self.answer[kind]
            if row["plane"] in PLANES
        ]
        return sorted(every, key=lambda row: (row["plane"], fold(row["operation"]), row["scope"] or ""))

    @property
    def _explained(self) -> Rows:
        """The use that access of today allowed, which is what a smaller role has to allow, too."""
        return [row for row in self._uses if row["kind"] != "unexplained"]

    @cached_property
    def _used(self) -> set[Key]:
        return {_key(row) for row in self._uses}

    @cached_property
    def _granted(self) -> list[GrantedOperation]:
        """The operations of the catalogue that the role grants, the highest risk first."""
        weights = risk_weights()
        return sorted(
            expand_roles({"": self.role.permissions}, self._known),
            key=lambda one: (-weights[self._risk(one.plane, one.operation)], one.operation, one.plane),
        )

    @cached_property
    def _known(self) -> list[tuple[str, Planes]]:
        """The operations of the catalogue with their known planes; a guessed plane counts as unknown."""
        return [(name, self.tenant.known_planes.get(fold(name), ())) for name in self.risks]

    @cached_property
    def _verdicts(self) -> dict[Key, tuple[str, str]]:
        return {_key(row): (row["verdict"], row["reason"]) for row in self.judged}

    def _verdict_on(self, key: Key) -> tuple[str, str | None]:
        """Return the verdict on an operation that was not used, and its reason."""
        return self._verdicts.get(key, (NOT_HELD, None))

    def _grants(self, plane: str, operation: str) -> bool:
        """Return whether the role grants an operation for certain, without a condition."""
        return grants(self.role.permissions, operation, plane, Reading.LEAST) == "yes"

    def _wider(self) -> Rows:
        """Return what the role grants at each scope that the principal does not hold there."""
        held = HeldAccess(self.tenant, self.principal_id, self.is_eligible)
        every = (held.find_wider(self.role.permissions, self._granted, place) for place in self.places)
        return [one for one in every if one is not None]

    def _lacks(self) -> Rows:
        """Return the used operations that the role does not grant where they were used, the newest first."""
        found: dict[tuple[Key, str], dict[str, Any]] = {}
        for row in self._explained:
            why = self._why_lacking(row["plane"], row["operation"], row["scope"])
            if why is None:
                continue
            known = found.setdefault(
                (_key(row), why),
                {
                    **{name: row[name] for name in ("operation", "plane")},
                    **{"why": why, "kind": row["kind"], "events": 0, "last_seen": row["last_seen"], "scopes": set()},
                },
            )
            known["events"] += row["events"]
            known["last_seen"] = max(known["last_seen"], row["last_seen"])
            known["scopes"].add(row["scope"] or "/")
        rows = ({**one, "scopes": sorted(one["scopes"])} for one in found.values())
        return sorted(rows, key=lambda row: (row["last_seen"], row["operation"]), reverse=True)

    def _why_lacking(self, plane: str, operation: str, scope: str | None) -> str | None:
        answer = grants(self.role.permissions, operation, plane, Reading.LEAST)
        if answer == "no":
            most = grants(self.role.permissions, operation, plane)
            return "not_granted" if most == "no" else "depends_on_reading"
        if answer == "conditional":
            return "under_a_condition"
        at = _place(scope)
        if at is None:
            return None  # Where it was used is not known, so nothing says that it was elsewhere.
        return None if any(is_within(at, place, self.tenant.tree) for place in self.places) else "outside_the_scopes"

    def _excess(self) -> dict[str, Any]:
        """Return what the role grants and the principal did not use."""
        rows = []
        for one in self._granted:
            key = one.plane, fold(one.operation)
            if key not in self._used:
                verdict, reason = self._verdict_on(key)
                row = {"operation": one.operation, "plane": one.plane, "verdict": verdict, "reason": reason}
                rows.append(row | {"risk": self._risk(one.plane, one.operation)})
        used = PermissionBlock(
            actions=tuple(name for plane, name in sorted(self._used) if plane == "control"),
            data_actions=tuple(name for plane, name in sorted(self._used) if plane == "data"),
        )
        return {
            "operations": len(rows),
            "by_verdict": dict(sorted(Counter(row["verdict"] for row in rows).items())),
            "rows": rows,
            "witnesses": [] if rows else some_witnesses([used], self.role.permissions),
        }

    def _risk(self, plane: str, operation: str) -> str:
        known = self.risks.get(operation)
        if known:
            return known
        return "data_access" if plane == "data" else "read" if is_read(operation) else "change"

    def _may_lack(self) -> dict[str, Any]:
        """Return what the principal holds, no log decides, and the role does not grant."""
        lacking = [
            row
            for row in self.judged
            if row["verdict"] in _UNDECIDED
            and _key(row) not in self._used
            and not self._grants(row["plane"], row["operation"])
        ]
        rules = AskedByUse(row["operation"] for row in self._uses if row["plane"] == "control")
        asked = [
            row | {"because": why}
            for row in lacking
            if row["plane"] == "control" and (why := rules.reason_for(row["operation"])) is not None
        ]
        names = {_key(row) for row in asked}
        rest = Counter((row["verdict"], row["reason"]) for row in lacking if _key(row) not in names)
        return {
            "operations": len(lacking),
            "asked_by_use": asked,
            "undecided": [
                {"verdict": verdict, "reason": reason, "meaning": sentence(reason), "operations": number}
                for (verdict, reason), number in sorted(rest.items(), key=lambda item: (-item[1], item[0]))
            ],
        }

    def _privileged(self) -> Rows:
        """Return the operations of the role that give more than they do, gravest first."""
        rules = escalation_rules("control").select("permission", "what").iter_rows()
        gains: dict[str, str] = {}
        for permission, what in rules:
            gains.setdefault(permission, what)
        rows = []
        for one in self._granted:
            name, risk = fold(one.operation), self._risk(one.plane, one.operation)
            gain = gains.get(name) if one.plane == "control" else None
            if gain is None and risk not in _GRAVE:
                continue
            key = one.plane, name
            rows.append(
                {
                    "operation": one.operation,
                    "plane": one.plane,
                    "risk": risk,
                    "gives": gain,
                    "verdict": USED if key in self._used else self._verdict_on(key)[0],
                }
            )
        return rows

    @cached_property
    def _used_at(self) -> Rows:
        """The resource groups, or wider scopes, at which there was use, most operations first."""
        found: dict[str, set[Key]] = {}
        spelt: dict[str, str] = {}
        for row in self._uses:
            place = _place(row["scope"])
            if place is not None:
                group = _group_of(place)
                spelt.setdefault(fold(group), group)
                found.setdefault(fold(group), set()).add(_key(row))
        rows = [{"scope": spelt[group], "operations": len(names)} for group, names in found.items()]
        return sorted(rows, key=lambda row: (-row["operations"], row["scope"]))

    def _remarks(self) -> list[str]:
        self.tenant.unread.update(
            assignment.role_assignment_id
            for place in self.places
            for assignment, _ in self.tenant.access.reaching(self.principal_id, place)
            if fold(assignment.role_definition_id) not in self.tenant.roles
        )
        said = list(self.tenant.notes())
        strange = len({_key(row) for row in self._uses if row["kind"] == "unexplained"})
        if strange:
            said.append(
                f"{counted(strange, 'used operation')} no assignment of today explains, so nothing says that a role "
                "needs them: `explain` has them"
            )
        if not self.risks:
            said.append(
                "no catalogue of operations is loaded, so there are no real examples: `rightsize catalog import`"
            )
        if self._used_at and all(parse_scope(row["scope"]).resource_group for row in self._used_at):
            wide = [place.text for place in self.places if place.resource_group is None]
            if wide:
                groups = counted(len(self._used_at), "resource group")
                said.append(f"all use was in {groups}, see `used_at`; the role reaches beyond, at {wide[0]}")
        if self.role.assignable_scopes:
            allowed = [parse_scope(one) for one in self.role.assignable_scopes]
            for place in self.places:
                if not any(is_within(place, one, self.tenant.tree) for one in allowed):
                    said.append(f"the role is not assignable at `{place.text}`")
        return said


def _verdict(is_wider: bool, is_held_otherwise: bool, covers: bool | None, has_excess: bool) -> RoleVerdict:
    """Return the first word of the answer that is true."""
    if is_wider:
        return "wider_than_today"
    if is_held_otherwise:
        return "makes_permanent"
    if covers is None:
        return "no_use_seen"
    return "lacks_use" if not covers else "covers_use_with_excess" if has_excess else "covers_use"


def _key(row: Mapping[str, Any]) -> Key:
    return row["plane"], fold(row["operation"])


def _place(scope: str | None) -> Scope | None:
    """Return a scope of a log; None where it is missing, or none that Azure has."""
    try:
        return None if scope is None else parse_scope(scope)
    except InputError:
        return None


def _group_of(scope: Scope) -> str:
    """Return the resource group of a scope, or the scope itself above groups, in its own spelling."""
    if scope.resource_group is None:
        return scope.text
    return "/".join(scope.text.split("/")[:5])
