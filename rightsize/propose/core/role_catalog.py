"""Index the tenant's role definitions by the operations that they grant, and write needs as contents of new roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.mining.bitsets import mask_of, union, without
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import Folded, fold
from rightsize.propose.core.operation_sets import FoldedKey, OperationIndex
from rightsize.propose.core.role_patterns import PatternPart, strings_in
from rightsize.rbac.algebra import contains, grants, intersects
from rightsize.rbac.conditions import may_restrict, restricted, unrestricted
from rightsize.rules.role_names import is_for_service

ChoiceKind = Literal["own", "builtin", "custom"]
Blocks = tuple[PermissionBlock, ...]


@dataclass(frozen=True, slots=True)
class KnownRole:
    """A role definition of the tenant.

    Attributes:
        granted: The operations that it grants without a condition, as a set, by the reading `MOST`.
        is_builtin: Whether it is a built-in role.
        is_conditional: Whether one of its blocks has a condition.
        is_for_service: Whether it is a built-in role for a service of Azure, which nobody else should get.
        assignable: Folded scopes where a custom role may be assigned, sorted.
        doubtful: The part of `granted` that the reading `LEAST` does not grant.
        strings: (plane, folded string) of every string in it; Azure has already accepted these strings.
        providers: Folded names of the resource providers that its actions and dataActions name, with their patterns.
    """

    role_definition_id: Folded
    role_name: str
    blocks: tuple[PermissionBlock, ...]
    granted: int
    is_builtin: bool
    is_conditional: bool
    assignable: tuple[Folded, ...] = ()
    doubtful: int = 0
    strings: frozenset[FoldedKey] = frozenset()
    providers: frozenset[Folded] = frozenset()
    is_for_service: bool = False

    @property
    def certain(self) -> int:
        """The operations that it grants by every reading."""
        return self.granted & ~self.doubtful


@dataclass(frozen=True, slots=True)
class Need:
    """The access needed at one scope: explicit operations, and patterns that stay as they were granted."""

    operations: int
    parts: tuple[PatternPart, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.operations or self.parts)

    def without(self, operations: int) -> Need:
        """Return the need without some operations: itself where it has none of them, since a set takes kilobytes."""
        left = without(self.operations, operations)
        return self if left is self.operations else replace(self, operations=left)


@dataclass(frozen=True, slots=True, order=True)
class RoleContent:
    """The permissions of a new role, one block, sorted."""

    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()
    not_data_actions: tuple[str, ...] = ()

    @classmethod
    def of(cls, role: RoleDefinition) -> RoleContent:
        """Return the content of a new role, which has one block."""
        (block,) = role.permissions
        return cls(block.actions, block.not_actions, block.data_actions, block.not_data_actions)

    @property
    def block(self) -> PermissionBlock:
        """The content as a permission block."""
        return PermissionBlock(self.actions, self.not_actions, self.data_actions, self.not_data_actions)

    @property
    def wildcards(self) -> int:
        """The number of its actions and dataActions that are patterns."""
        return sum("*" in text for text in (*self.actions, *self.data_actions))


@dataclass(frozen=True, slots=True)
class RoleSaving:
    """What a new role saves against the best roles without it, over all its holders, and what is asked of it.

    Attributes:
        live: The live excess.
        share: The share of what one of its holders has today.
        least_live: The live excess that is asked; 0 where the number of roles is given.
        least_share: The share that is asked.
    """

    live: int
    share: float
    least_live: int = 0
    least_share: float = 0.0

    @property
    def is_enough(self) -> bool:
        """Whether it saves what is asked."""
        return self.live >= self.least_live and self.share >= self.least_share

    def as_json(self) -> dict[str, float]:
        """Return the numbers as the evidence of a role has them."""
        return {
            "live": self.live,
            "share": round(self.share, 6),
            "least_live": self.least_live,
            "least_share": round(self.least_share, 6),
        }


@dataclass(frozen=True, slots=True)
class RoleChoice:
    """One role that grants a part of a need: an existing one by its id, or a new one by its content.

    If a need takes several new roles, `granted` is the union of what they grant. `job` is the key of the job whose role
    a new one is, or empty; `is_add_on` says that it keeps risky changes apart from the jobs of its holders; `saves` is
    what it saves, or None for an add-on beside another new role.
    """

    kind: ChoiceKind
    role_definition_id: Folded
    content: RoleContent | None
    blocks: tuple[PermissionBlock, ...]
    granted: int
    job: str = field(default="", compare=False)
    is_add_on: bool = field(default=False, compare=False)
    saves: RoleSaving | None = field(default=None, compare=False)


@dataclass(slots=True)
class RoleBook:
    """An index of the loaded roles that answers which operations and patterns they grant, with cached answers."""

    index: OperationIndex
    roles: dict[Folded, KnownRole]
    _contained: dict[tuple[Folded, tuple[Folded, ...]], bool] = field(default_factory=dict)
    _part_masks: dict[PatternPart, int] = field(default_factory=dict)
    _certain_masks: dict[PatternPart, int] = field(default_factory=dict)
    _granted_parts: dict[tuple[Blocks, PatternPart], bool] = field(default_factory=dict)
    _restricted_by: dict[str | None, int] = field(default_factory=dict)

    def granted(self, role_id: Folded) -> int:
        """Return the operations that a role grants by the reading `MOST`; none for a role that is not loaded."""
        return self.roles[role_id].granted if role_id in self.roles else 0

    def is_contained(self, small: KnownRole, ceiling: tuple[Folded, ...]) -> bool:
        """Return whether a ceiling's roles together grant all that `small` does, for all strings and readings."""
        key = (small.role_definition_id, ceiling)
        if key not in self._contained:
            self._contained[key] = contains(self.blocks(ceiling), small.blocks) is None
        return self._contained[key]

    def unrestricted(self, role_id: Folded, condition: str | None) -> Folded:
        """Return the id of the part of a role that a condition of its assignment never restricts.

        The part is entered as a role that no assignment can have: it only limits what may replace the assignment.
        """
        part_id = Folded(f"{role_id} outside {condition}")
        if part_id not in self.roles:
            role = self.roles[role_id]
            blocks = unrestricted(role.blocks, condition)
            granted = role.granted & ~self._restricted(condition)
            self.roles[part_id] = replace(
                role,
                role_definition_id=part_id,
                role_name="",
                blocks=blocks,
                granted=granted,
                is_conditional=True,
                doubtful=granted & self.index.doubtful_of(blocks),
            )
        return part_id

    def by_condition(self, need: Need, condition: str | None) -> tuple[Need, Need]:
        """Return the part of a need that a condition of an assignment may restrict, and the part that it never does."""
        if condition is None:
            return Need(0), need
        mask = self._restricted(condition)
        parts = tuple(part for part in need.parts if may_restrict(condition, [part.block]))
        free = Need(need.operations & ~mask, tuple(part for part in need.parts if part not in parts))
        return Need(need.operations & mask, parts), free

    def _restricted(self, condition: str | None) -> int:
        if condition not in self._restricted_by:
            patterns = restricted(condition)
            texts = ("*",) if patterns is None else patterns
            block = PermissionBlock(actions=texts, data_actions=texts)
            self._restricted_by[condition] = self.index.granted_by([block])
        return self._restricted_by[condition]

    def blocks(self, role_ids: Iterable[Folded]) -> Blocks:
        """Return the permission blocks of several roles."""
        return tuple(block for role_id in role_ids for block in self.roles[role_id].blocks)

    def grants_part(self, blocks: Blocks, part: PatternPart) -> bool:
        """Return whether blocks grant everything that a pattern part grants, for all strings and readings."""
        key = (blocks, part)
        if key not in self._granted_parts:
            self._granted_parts[key] = contains(blocks, [part.block]) is None
        return self._granted_parts[key]

    def part_mask(self, part: PatternPart) -> int:
        """Return the catalogue operations that a pattern part may grant: by the reading `MOST`."""
        if part not in self._part_masks:
            self._part_masks[part] = self.index.granted_by([part.block])
        return self._part_masks[part]

    def certain_mask(self, part: PatternPart) -> int:
        """Return the catalogue operations that a pattern part grants by every reading."""
        if part not in self._certain_masks:
            self._certain_masks[part] = self.part_mask(part) & ~self.index.doubtful_of([part.block])
        return self._certain_masks[part]

    def mask(self, need: Need) -> int:
        """Return the catalogue operations of a need, including all that its patterns may grant."""
        return union((need.operations, *map(self.part_mask, need.parts)))

    def certain(self, need: Need) -> int:
        """Return the catalogue operations that a grant of the need certainly includes: by every reading."""
        return union((need.operations, *map(self.certain_mask, need.parts)))


def open_role_book(inputs: Inputs, index: OperationIndex) -> RoleBook:
    """Build the book from the tables of role definitions, role permissions and role operations."""
    blocks = blocks_by_role(inputs.role_permissions)
    unconditional = inputs.role_operations.filter(~pl.col("conditional").fill_null(False))
    names = unconditional.select(pl.col("operation").unique()).with_columns(name=folded(pl.col("operation")))
    bits = unconditional.join(names, on="operation").join(index.frame(), on=["plane", "name"])
    granted: dict[str, list[int]] = dict(bits.group_by("role_definition_id").agg("bit").iter_rows())
    definitions = inputs.role_definitions.select(
        "role_definition_id", "role_name", "role_type", "assignable_scopes", "description"
    )
    unlisted = list(index.folded_members(mask_of(range(len(index.names))) & ~index.listed))
    roles: dict[Folded, KnownRole] = {}
    for role_id, name, kind, scopes, description in definitions.iter_rows():
        own = blocks.get(role_id, ())
        named = (key for key in unlisted if grants(own, key[1], key[0]) == "yes")
        granted.setdefault(role_id, []).extend(bit for key in named if (bit := index.bit(*key)) is not None)
        roles[role_id] = KnownRole(
            role_id,
            name or "",
            own,
            mask_of(granted.get(role_id, ())),
            kind == "BuiltInRole",
            any(block.condition for block in own),
            tuple(sorted({_assignable(scope) for scope in scopes or ()})),
            index.doubtful_of(own),
            strings_in(own),
            frozenset(
                Folded(fold(text).split("/", 1)[0]) for block in own for text in (*block.actions, *block.data_actions)
            ),
            kind == "BuiltInRole" and is_for_service(name or "", description or ""),
        )
    return RoleBook(index, roles)


def _assignable(scope: str) -> Folded:
    """Return a folded scope of a role without slashes at its end."""
    return Folded(fold(scope).rstrip("/") or "/")


def blocks_by_role(role_permissions: pl.DataFrame) -> dict[str, tuple[PermissionBlock, ...]]:
    """Return the permission blocks of each role from the table `role_permissions`."""
    grouped = (
        role_permissions.sort("role_definition_id", "block", "kind", "pattern")
        .group_by("role_definition_id", "block", maintain_order=True)
        .agg("kind", "pattern", pl.col("condition").first())
    )
    blocks: dict[str, list[PermissionBlock]] = {}
    for role_id, _, kinds, patterns, condition in grouped.iter_rows():
        strings: dict[str, list[str]] = {"action": [], "not_action": [], "data_action": [], "not_data_action": []}
        for kind, pattern in zip(kinds, patterns, strict=True):
            strings[kind].append(pattern)
        actions, not_actions, data_actions, not_data_actions = map(tuple, strings.values())
        block = PermissionBlock(actions, not_actions, data_actions, not_data_actions, condition)
        blocks.setdefault(role_id, []).append(block)
    return {role_id: tuple(found) for role_id, found in blocks.items()}


def write_contents(need: Need, index: OperationIndex) -> list[RoleContent]:
    """Return a need as the contents of new roles: several if one role's not-pattern would remove needed operations."""
    explicit: dict[str, list[str]] = {"control": [], "data": []}
    for plane, operation in index.members(need.operations):
        explicit[plane].append(operation)
    for part in need.parts:
        if not part.not_patterns:
            explicit[part.plane].extend(part.patterns)
    contents = [{plane: PatternPart(tuple(texts), (), plane) for plane, texts in explicit.items()}]
    for part in need.parts:
        if part.not_patterns:
            _add_part(contents, part)
    written = [RoleContent(*_texts_of(one, "control"), *_texts_of(one, "data")) for one in contents]
    return [content for content in written if content != RoleContent()]


def _add_part(contents: list[dict[str, PatternPart]], part: PatternPart) -> None:
    """Add a part to the first content whose own patterns and not-patterns of that plane it leaves as they are."""
    for content in contents:
        patterns, taken = _texts_of(content, part.plane)
        if taken == part.not_patterns or not (_meet(part.not_patterns, patterns) or _meet(taken, part.patterns)):
            both = PatternPart((*patterns, *part.patterns), (*taken, *part.not_patterns), part.plane)
            content[part.plane] = both
            return
    contents.append({part.plane: part})


def _texts_of(content: Mapping[str, PatternPart], plane: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the distinct patterns and not-patterns of a plane, sorted."""
    part = content.get(plane, PatternPart(()))
    return tuple(sorted(set(part.patterns))), tuple(sorted(set(part.not_patterns)))


def _meet(left: Sequence[str], right: Sequence[str]) -> bool:
    return bool(left and right) and intersects(
        [PermissionBlock(actions=tuple(left))], [PermissionBlock(actions=tuple(right))]
    )
