"""Define the objects of a plan: proposals and their kinds, the roles that they introduce, and advice.

They are frozen and JSON-able. A new kind is one more entry of `PROPOSAL_KINDS`. Modules ask a kind what it does, such
as `kind.changes`, and never compare it with a name; only the stages of `propose` that decide on a kind name one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, Self, get_args

from rightsize.model.nouns import AssignmentState, Plane, RoleDefinition
from rightsize.model.text import Folded


class ProposalKind(str):
    """A kind of proposal: the text that plans, rows and columns have, and what is said of it.

    Attributes:
        step: The sentence on a change of this kind: `{today}` is the grant of today, `{comes}` what replaces it.
        keeps: Whether the assignment stays as it is.
        assigns: Whether it may make assignments.
        makes_role: Whether it needs a new role.
        makes_eligible: Whether the role stays, and its holder has to activate it.
        may_break: Whether its holder may miss what goes; what cannot break goes in the first wave.
        has_holder: Whether the holder of the assignment exists.
        needs_container: Whether an assignment that stays has to grant all of it.
    """

    step: str
    keeps: bool
    assigns: bool
    makes_role: bool
    makes_eligible: bool
    may_break: bool
    has_holder: bool
    needs_container: bool

    # No dataclass: polars would make a struct of it.
    def __new__(
        cls,
        word: str,
        *,
        step: str = "{today} becomes {comes}",
        keeps: bool = False,
        assigns: bool = True,
        makes_role: bool = False,
        makes_eligible: bool = False,
        may_break: bool = True,
        has_holder: bool = True,
        needs_container: bool = False,
    ) -> Self:
        """Return the kind of that text, as it stands in `plan.json`."""
        kind = super().__new__(cls, word)
        kind.step, kind.keeps, kind.assigns, kind.makes_role = step, keeps, assigns, makes_role
        kind.makes_eligible, kind.may_break, kind.has_holder = makes_eligible, may_break, has_holder
        kind.needs_container = needs_container
        return kind

    @property
    def changes(self) -> bool:
        """Return whether it changes access."""
        return not self.keeps

    @property
    def removes(self) -> bool:
        """Return whether it takes an assignment away and makes none."""
        return self.changes and not self.assigns


_REMOVE = "remove {today}"

CUSTOM = ProposalKind("custom", makes_role=True)
BUILTIN = ProposalKind("builtin")
NARROW_SCOPE = ProposalKind("narrow_scope", step="narrow {today}")
MAKE_ELIGIBLE = ProposalKind("make_eligible", step="{today} becomes {comes} (eligible)", makes_eligible=True)
REMOVE = ProposalKind("remove", step=_REMOVE, assigns=False)
REMOVE_DUPLICATE = ProposalKind("remove_duplicate", step=_REMOVE, assigns=False, may_break=False, needs_container=True)
REMOVE_ORPHAN = ProposalKind("remove_orphan", step=_REMOVE, assigns=False, may_break=False, has_holder=False)
MIGRATE_VAULT = ProposalKind("migrate_vault")
KEEP = ProposalKind("keep", step="keep {today}", keeps=True, assigns=False, may_break=False)

PROPOSAL_KINDS: Mapping[str, ProposalKind] = {
    kind: kind
    for kind in (
        CUSTOM,
        BUILTIN,
        NARROW_SCOPE,
        MAKE_ELIGIBLE,
        REMOVE,
        REMOVE_DUPLICATE,
        REMOVE_ORPHAN,
        MIGRATE_VAULT,
        KEEP,
    )
}
"""Every kind by its text, in the order in which pages list them."""


PLAN_FORMAT = 3
"""The version of `plan.json` that is written.

Version 1, which is still read, names the options `dials` and has all evidence in the proposals. Version 2 was in no
release, and is not read.
"""


class Columns(Protocol):
    """Rows in columns, in the form of Arrow's stream interface; a polars frame has it."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the rows as a stream of Arrow."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class PlannedAssignment:
    """A role assignment that the plan would make.

    `role` is the GUID of the definition. `end_on` is its end (`2026-12-31T00:00:00Z`), the same as that of the
    assignment that it replaces.
    """

    scope: str
    role: Folded
    principal_id: Folded
    condition: str | None = None
    state: AssignmentState = "active"
    end_on: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class Growth:
    """A role that may come to grant more though nobody changes its assignment.

    Its current grants are proved to be within the access that is granted today. `patterns` of a new role take in
    operations that Azure adds, as those of the replaced roles would have. Microsoft may change the grants of a
    `built_in` role.
    """

    role: str
    because: Literal["patterns", "built_in"]


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof by the algebra: the plan grants everything that was used, and nothing that was not granted before.

    `witness` names an operation that breaks one of the two, or is None where both hold. `tomorrow` names the assigned
    roles that may come to grant more.
    """

    used_subset: bool
    granted_superset: bool
    witness: str | None = None
    tomorrow: tuple[Growth, ...] = ()

    @property
    def holds(self) -> bool:
        """Return whether both halves hold."""
        return self.used_subset and self.granted_superset


@dataclass(frozen=True, slots=True)
class Proposal:
    """The change to one assignment of today, and the reason.

    `replaces` names that assignment. `evidence` holds only values that
    `rows.plain` takes; the use behind it stands in `Plan.uses`.
    """

    id: str
    plane: Plane
    principal_ids: tuple[str, ...]
    kind: ProposalKind
    replaces: tuple[str, ...]
    assignments: tuple[PlannedAssignment, ...]
    reason: str
    evidence: Mapping[str, Any]
    proof: Proof
    break_probability_30d: float
    excess_before: float
    excess_after: float
    risk_before: float
    risk_after: float

    @property
    def assignment(self) -> tuple[Folded, str]:
        """The id and state of the role assignment of Azure RBAC that it is about; the store folds these ids."""
        return Folded(self.replaces[0]), str(self.evidence["state"])

    @property
    def is_of_rbac(self) -> bool:
        """Return whether it is about a role assignment of Azure RBAC, and not about another plane."""
        return self.plane in ("control", "data")

    @property
    def comes_beyond(self) -> tuple[str, ...]:
        """Return the names of the permissions or directory roles that replace a grant beyond Azure RBAC.

        For a grant of several permissions of Microsoft Graph the permissions that stay are among them.
        """
        if self.is_of_rbac:
            return ()
        stays = [one for one in self.evidence.get("permissions") or () if one.get("decision") == "keep"]
        said = [*stays, *(self.evidence.get("comes") or ())]
        # Proposals for Microsoft Graph hold more about a permission than its name.
        return tuple(sorted({str(one["permission"] if isinstance(one, Mapping) else one) for one in said}))


@dataclass(frozen=True, slots=True)
class PlannedRole:
    """A custom role that the plan introduces, with the evidence for each of its strings.

    `slug` names its files: the role's name in lower-case letters, digits and dashes. `job` is the key of the job whose
    role it is, or empty; a plan that was read does not have it.
    """

    definition: RoleDefinition
    slug: str
    evidence: Mapping[str, Any]
    job: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Advice:
    """A step that only people can take: it changes nothing by itself."""

    subject: str
    text: str


AZURE_ROLES = "azure_roles"
"""The word for Azure RBAC where planes are counted; its proposals have the planes `control` and `data`."""


def count_by_plane(proposals: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Return how many proposals of each kind there are for Azure roles, then for each plane beyond them.

    Args:
        proposals: Plane and kind of each.
    """
    counts: dict[str, dict[str, int]] = {}
    for plane, kind in sorted(proposals, key=lambda one: (one[0] not in _OF_AZURE_ROLES, one)):
        of_plane = counts.setdefault(AZURE_ROLES if plane in _OF_AZURE_ROLES else plane, {})
        of_plane[kind] = of_plane.get(kind, 0) + 1
    return {plane: dict(sorted(kinds.items())) for plane, kinds in counts.items()}


_OF_AZURE_ROLES = ("control", "data")
PLANE_NAMES: Mapping[str, str] = {
    AZURE_ROLES: "Azure roles",
    "directory": "directory roles",
    "graph": "Microsoft Graph permissions",
    "trust": "federated credentials",
    "vault": "access policies of key vaults",
}
"""The names of Azure roles and of each plane beyond them in text for people."""
PLANES_BEYOND = tuple(plane for plane in get_args(Plane) if plane not in _OF_AZURE_ROLES)
"""The planes beyond Azure roles, in the order in which a plan is read."""


@dataclass(frozen=True, slots=True)
class PlanePart:
    """The part of a plan for a plane beyond Azure RBAC: Graph's permissions, directory roles, trust, or vaults.

    Attributes:
        plane: `graph`, `directory`, `trust` or `vault`.
        proposals: Sorted by id; `replaces` names grants of the plane, `role` of an assignment a permission or a role.
        window: `first_day`, `last_day`, `days` of the logs of the plane.
        replay: How many distinct uses end in which way under it.
        rests_on: The objects of the tenant that it read, as hashes by id, under a word for each kind of object.
        advice: Steps that only people can take.
        names: Display names by id, for people.
        files: Further files of the plan folder, by their name in the folder of the plane.
        reads: As `Plan.reads`, for the reads of the plane; empty where the option changes nothing.
    """

    plane: Plane
    proposals: tuple[Proposal, ...]
    window: Mapping[str, Any]
    replay: Mapping[str, int]
    rests_on: Mapping[str, Mapping[str, str]]
    advice: tuple[Advice, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole plan: sorted, and the same for the same inputs and options.

    Attributes:
        generated_from: Hashes of the inputs, the window and the options.
        proposals: One an assignment.
        roles: The roles that it introduces.
        advice: Steps that only people can take.
        replay: How many distinct calls of the window end in which way under it.
        verdicts: How many granted operations have which verdict, over all assignments.
        reads: The value of `--reads`, and the cost of each value: operations that stay without evidence, and the
            sensitive ones among them.
        curve: What fewer new roles would cost in excess: points with `custom_roles`, `excess` and `assignments`, most
            roles first.
        separation: With `--separate-layers`, who defeats several layers of defence without the split and with it, the
            cost of the split, and what stays standing; empty without.
        names: Display names of principals and roles by id, and of subscriptions and management groups by scope; they
            are for people, and no part of the agreed plan.
        rests_on: The objects of the tenant that it read, as hashes by id; `plan verify` finds changes by them.
        parts: The parts for planes beyond Azure RBAC; all other attributes are about RBAC alone.
        would_tell: What would decide the use that kept assignments leave undecided, by the words of `kept_unseen`.
        uses: The use behind the proposals, as the table `operations` of `plan_evidence`; None where there is none. In a
            plan that was read it holds the use of all planes.
    """

    generated_from: Mapping[str, Any]
    proposals: tuple[Proposal, ...]
    roles: tuple[PlannedRole, ...]
    advice: tuple[Advice, ...]
    replay: Mapping[str, int] = field(default_factory=dict)
    verdicts: Mapping[str, int] = field(default_factory=dict)
    reads: Mapping[str, Any] = field(default_factory=dict)
    curve: tuple[Mapping[str, Any], ...] = ()
    separation: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    rests_on: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parts: tuple[PlanePart, ...] = ()
    would_tell: Mapping[str, str] = field(default_factory=dict)
    uses: Columns | None = field(default=None, compare=False, repr=False)

    @property
    def all_proposals(self) -> tuple[Proposal, ...]:
        """Return the proposals of every plane, those of Azure RBAC first."""
        return (*self.proposals, *(proposal for part in self.parts for proposal in part.proposals))
