"""Make the changes that the suite judges: the trivial plans, a plan of ours, and a plan that anybody wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rightsize.analyze.plan_evidence import read_tables
from rightsize.demo.suite.model import SuiteGrant, SuiteNeed, SuiteTenant
from rightsize.demo.writing import guid
from rightsize.model.errors import InputError
from rightsize.model.file_reading import LARGE, is_found, read_found
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan import KEEP, PLANES_BEYOND, Plan, PlannedAssignment
from rightsize.model.plan_file import CHANCES, SaidOnce, filled
from rightsize.model.role_forms import load_json, read_role_definitions
from rightsize.model.text import fold
from rightsize.propose.core.operation_sets import OperationIndex
from rightsize.propose.verify.plan_reader import evidence_files
from rightsize.rbac.algebra import grants
from rightsize.rbac.scopes import parse_scope
from rightsize.workflow.plan_folder import plan_file, plan_text

Key = tuple[str, str]
"""A plane and a folded operation."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """The chance that a proposal breaks something within 30 days, as the plan says it."""

    replaced: tuple[str, ...]
    bound: float
    expected: float
    basis: str
    new_weeks: int


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody would do with the assignments of a tenant.

    Attributes:
        replaced: Ids of the assignments that go.
        made: The assignments that come.
        roles: The new roles that they need.
        forecasts: What the plan says about breaking, if it does.
    """

    replaced: frozenset[str] = frozenset()
    made: tuple[PlannedAssignment, ...] = ()
    roles: tuple[RoleDefinition, ...] = ()
    forecasts: tuple[Forecast, ...] = ()


def change_of(plan: Plan) -> Change:
    """Return the change of a plan of Azure roles."""
    changed = [one for one in plan.proposals if one.kind.changes]
    return Change(
        frozenset(id_ for one in changed for id_ in one.replaces),
        tuple(new for one in changed for new in one.assignments),
        tuple(role.definition for role in plan.roles),
        tuple(
            _forecast(one.replaces, one.break_probability_30d, one.evidence["break_probability"])
            for one in changed
            if "break_probability" in one.evidence
        ),
    )


def needs_and_reads(tenant: SuiteTenant, index: OperationIndex) -> Change:
    """Return the change that leaves every assignment exactly what is needed, and whatever reads it grants.

    Who needs something on the control plane has a token for Azure Resource Manager, so that nobody can know what else
    it reads. No plan that knew the truth, and kept all reading of such holders, could remove more. What has to stay by
    design stays.
    """
    needs: dict[str, list[SuiteNeed]] = {}
    for need in tenant.needs:
        needs.setdefault(need.principal_id, []).append(need)
    below = _containment(tenant)
    made: list[PlannedAssignment] = []
    roles: dict[str, RoleDefinition] = {}
    changed = [grant for grant in tenant.grants if not grant.by_design]
    for grant in changed:
        holders = tenant.members.get(grant.principal_id, (grant.principal_id,))
        own = [one for who in holders for one in needs.get(who, ())]
        kept: set[Key] = {
            (one.plane, fold(one.operation))
            for one in own
            if below(fold(one.scope), grant.scope) and grants(grant.role.permissions, one.operation, one.plane) != "no"
        }
        if any(one.plane == "control" for one in own):
            reads = index.granted_by(grant.role.permissions) & index.reads
            kept |= {(plane, fold(name)) for plane, name in index.members(reads)}
        if kept:
            role = _role_of(sorted(kept))
            roles[role.role_definition_id] = role
            made.append(
                PlannedAssignment(grant.scope, role.role_definition_id, fold(grant.principal_id), state=grant.state)
            )
    return Change(frozenset(grant.grant_id for grant in changed), tuple(made), tuple(roles.values()))


def used_only(tenant: SuiteTenant) -> Change:
    """Return the change that leaves every assignment exactly the operations that the log shows under it."""
    return _rewritten(tenant, lambda used, _: used)


def siblings(tenant: SuiteTenant, index: OperationIndex) -> Change:
    """Return the change that leaves every assignment also all that it grants on the types of these operations."""
    by_type: dict[Key, list[Key]] = {}
    for plane, name in index.names:
        by_type.setdefault((plane, _type_of(name)), []).append((plane, fold(name)))

    def widen(used: frozenset[Key], grant: SuiteGrant) -> frozenset[Key]:
        near = {key for plane, name in used for key in by_type.get((plane, _type_of(name)), ())}
        return used | {key for key in near if grants(grant.role.permissions, key[1], key[0]) == "yes"}

    return _rewritten(tenant, widen)


def _rewritten(tenant: SuiteTenant, keep: Callable[[frozenset[Key], SuiteGrant], frozenset[Key]]) -> Change:
    """Return the change that replaces every assignment by a role of some operations, at its own scope."""
    recorded = recorded_calls(tenant.needs)
    below = _containment(tenant)
    made: list[PlannedAssignment] = []
    roles: dict[str, RoleDefinition] = {}
    for grant in tenant.grants:
        holders = tenant.members.get(grant.principal_id, (grant.principal_id,))
        used = frozenset(
            (plane, operation)
            for holder in holders
            for plane, operation, scope in recorded.get(holder, ())
            if below(scope, grant.scope) and grants(grant.role.permissions, operation, plane) == "yes"
        )
        kept = sorted(keep(used, grant)) if used else []
        if kept:
            role = _role_of(kept)
            roles[role.role_definition_id] = role
            made.append(
                PlannedAssignment(grant.scope, role.role_definition_id, fold(grant.principal_id), state=grant.state)
            )
    return Change(frozenset(one.grant_id for one in tenant.grants), tuple(made), tuple(roles.values()))


def recorded_calls(needs: Iterable[SuiteNeed]) -> dict[str, list[tuple[str, str, str]]]:
    """Return (plane, folded operation, folded scope) of the calls that the log shows, by principal."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for need in needs:
        if need.is_recorded:
            found.setdefault(need.principal_id, []).append((need.plane, fold(need.operation), fold(need.scope)))
    return found


def _containment(tenant: SuiteTenant) -> Callable[[str, str], bool]:
    parents: dict[str, str] = {fold(one.scope): fold(one.parent) for one in tenant.scopes}

    def is_below(scope: str, above: str) -> bool:
        top, place = fold(above), "/".join(scope.split("/")[:3])
        while place in parents and place != top:
            place = parents[place]
        return place == top or f"{scope}/".startswith(f"{top}/")

    return is_below


def _role_of(kept: Sequence[Key]) -> RoleDefinition:
    block = PermissionBlock(
        actions=tuple(name for plane, name in kept if plane == "control"),
        data_actions=tuple(name for plane, name in kept if plane == "data"),
    )
    return RoleDefinition(fold(guid("suite role", *kept)), f"{len(kept)} operations", (block,))


def _type_of(operation: str) -> str:
    words = fold(operation).split("/")
    return "/".join(words[: -2 if words[-1] == "action" else -1])


@dataclass(frozen=True, slots=True)
class WrittenChange:
    """A plan that somebody wrote: its change, and the ids of the roles that it assigns without bringing them."""

    file: Path
    change: Change
    named: frozenset[str] = field(default_factory=frozenset)


def read_change(path: Path) -> WrittenChange:
    """Read a plan from its folder or its `plan.json`; its new roles are in the files of the folder `roles` beside it.

    Of each proposal `replaces` and `assignments` are read, with `role`, `scope`, `principal_id` and, where given,
    `state` and `condition`. A proposal of the kind `keep` changes nothing. `break_probability_30d` is optional.

    Raises:
        InputError: The plan or a role cannot be read.
    """
    file = plan_file(path)
    document = load_json(plan_text(path))
    proposals = document.get("proposals") if isinstance(document, dict) else None
    if (
        not isinstance(document, dict)
        or not isinstance(proposals, list)
        or not all(isinstance(one, dict) for one in proposals)
    ):
        raise InputError(
            f"`{file}` is not a plan: it has no list `proposals`", hint="give what `rightsize propose` wrote"
        )
    once = SaidOnce.of(document)
    whole = [filled(one, once) for one in proposals]
    changed = [one for one in whole if one.get("kind") != KEEP and one.get("plane") not in PLANES_BEYOND]
    chances = _chances_beside(file, document)
    try:
        change = Change(
            frozenset(fold(id_) for one in changed for id_ in _texts(one, "replaces")),
            tuple(_assignment(new) for one in changed for new in one.get("assignments", ())),
            tuple(_roles_beside(file)),
            tuple(
                _forecast(_texts(one, "replaces"), float(one["break_probability_30d"]), chances.get(one.get("id"), {}))
                for one in changed
                if one.get("break_probability_30d")
            ),
        )
    except KeyError as error:
        raise InputError(f"`{file}` has a proposal or assignment without `{error.args[0]}`") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise InputError(f"`{file}` has a proposal that cannot be read: {error}") from None
    brought = {fold(role.role_definition_id) for role in change.roles}
    return WrittenChange(file, change, frozenset({one.role for one in change.made} - brought))


def _roles_beside(file: Path) -> list[RoleDefinition]:
    names = sorted(f"roles/{one.name}" for one in (file.parent / "roles").glob("*.json"))
    texts = [read_found(file.parent, name) for name in names if is_found(file.parent, name)]
    return [role for text in texts for role in read_role_definitions(load_json(text))]


def _assignment(fields: Mapping[str, Any]) -> PlannedAssignment:
    state = fields.get("state", "active")
    if state not in ("active", "eligible"):
        raise ValueError(f"the state `{state}` of an assignment is not active or eligible")
    return PlannedAssignment(
        parse_scope(str(fields["scope"])).key,
        fold(str(fields["role"]).rsplit("/", 1)[-1]),
        fold(str(fields["principal_id"])),
        fields.get("condition"),
        state,
    )


def _texts(fields: Mapping[str, Any], name: str) -> tuple[str, ...]:
    return tuple(str(one) for one in fields[name])


def _chances_beside(file: Path, document: Mapping[str, Any]) -> dict[object, dict[str, Any]]:
    """Return how the chances of breaking of a plan were estimated, by proposal; a plan that lists no table has none.

    Raises:
        InputError: The table is missing, damaged, or another one than the plan lists.
    """
    try:
        listed = [one for one in evidence_files(document) if one.table == CHANCES.name]
    except (KeyError, TypeError):
        raise InputError(f"`{file}` lists a table of evidence that cannot be read") from None
    files = {one.file: read_found(file.parent, one.file, most=LARGE) for one in listed}
    return {row["proposal_id"]: row for row in read_tables(listed, files)[CHANCES.name].iter_rows(named=True)}


def _forecast(replaced: Iterable[str], expected: float, said: Mapping[str, Any]) -> Forecast:
    return Forecast(
        tuple(map(fold, replaced)),
        float(said.get("bound", expected)),
        expected,
        str(said.get("basis", "unknown")),
        int(said.get("new_weeks", 0)),
    )
