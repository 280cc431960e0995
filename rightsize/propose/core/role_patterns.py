"""Write the strings of custom roles as Azure accepts them: the read-only part of patterns, and Azure's limits.

No log shows reads of Azure Resource Manager, so they stay as they were granted: `*` becomes `*/read`,
`Microsoft.Compute/*` becomes `Microsoft.Compute/*/read`. Only `actions` are treated so; each data action is judged by
itself.

Sources: learn.microsoft.com, role-based-access-control/custom-roles (roles per tenant, assignable scopes, one wildcard
a string, data actions and management groups) and troubleshoot-limits (assignments per subscription and management
group). Where two pages disagree, the stricter one holds here: a name has at most 128 characters, and a role with data
actions lists no management group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.text import READ, Folded, fold, is_read
from rightsize.propose.core.operation_sets import FoldedKey
from rightsize.rbac.algebra import contains, intersects
from rightsize.rbac.assignments import (
    ASSIGNMENTS_PER_MANAGEMENT_GROUP,
    ASSIGNMENTS_PER_SUBSCRIPTION,
    CUSTOM_ROLES_PER_TENANT,
)


@dataclass(frozen=True, slots=True, order=True)
class PatternPart:
    """Patterns of one permission block with its not-patterns, sorted; kept as they were granted."""

    patterns: tuple[str, ...]
    not_patterns: tuple[str, ...] = ()
    plane: str = "control"

    @property
    def text(self) -> str:
        """The pattern of a part that has one, as `strings_of` yields it."""
        (found,) = self.patterns
        return found

    @property
    def key(self) -> FoldedKey:
        """(plane, folded pattern) of a part that has one."""
        return self.plane, fold(self.text)

    @property
    def folded(self) -> tuple[Folded, ...]:
        """The folded patterns, one for each pattern."""
        return tuple(map(fold, self.patterns))

    @property
    def block(self) -> PermissionBlock:
        """The part as a permission block."""
        if self.plane == "data":
            return PermissionBlock(data_actions=self.patterns, not_data_actions=self.not_patterns)
        return PermissionBlock(actions=self.patterns, not_actions=self.not_patterns)


def by_plane(block: PermissionBlock) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Yield (plane, strings, not-strings) of both planes of a block."""
    yield "control", block.actions, block.not_actions
    yield "data", block.data_actions, block.not_data_actions


def strings_of(block: PermissionBlock) -> Iterator[PatternPart]:
    """Yield the actions of a block, then its dataActions, each with the not-strings beside it."""
    for plane, texts, taken_out in by_plane(block):
        for text in texts:
            yield PatternPart((text,), taken_out, plane)


def strings_in(blocks: Iterable[PermissionBlock]) -> frozenset[FoldedKey]:
    """Return (plane, folded string) of every string and not-string in permission blocks."""
    planes = [one for block in blocks for one in by_plane(block)]
    return frozenset((plane, fold(text)) for plane, texts, nots in planes for text in (*texts, *nots))


def in_order(texts: Iterable[str]) -> tuple[str, ...]:
    """Return distinct strings of a role, sorted without regard to case."""
    return tuple(sorted(set(texts), key=lambda text: (fold(text), text)))


@lru_cache(maxsize=4_096)
def reading_parts(blocks: tuple[PermissionBlock, ...], *, within: str | None = None) -> tuple[PatternPart, ...]:
    """Return the read-only part of permission blocks, one part for each distinct set of not-patterns.

    Args:
        blocks: The permission blocks of the role; those with a condition are left out.
        within: A resource provider: only its reads are returned. None returns all.
    """
    merged: dict[tuple[str, ...], set[str]] = {}
    for block in blocks:
        if block.condition is not None:
            continue
        patterns = {reading for pattern in block.actions if (reading := reading_pattern(pattern)) is not None}
        if within is not None:
            patterns = {narrow for pattern in patterns if (narrow := _of_provider(pattern, within)) is not None}
        if not patterns:
            continue
        taken_out = met((text.strip() for text in block.not_actions), patterns)
        merged.setdefault(taken_out, set()).update(patterns)
    return tuple(sorted(PatternPart(without_redundant(patterns), taken_out) for taken_out, patterns in merged.items()))


def reading_pattern(pattern: str) -> str | None:
    """Return the read-only part of a pattern with exactly one `*`, or None if it has no such part.

    `a/b/*` becomes `a/b/*/read`, which does not match `a/b/read`. Explicit operations cover the reads that one `*`
    cannot express, reads without a `*`, and all reads of a pattern with several `*`: such patterns are read, but never
    written.
    """
    text = pattern.strip()
    if text.count("*") != 1:
        return None
    if is_read(text):
        return text
    head, star, tail = text.partition("*")
    return f"{head}*{READ}" if star and READ.endswith(fold(tail)) else None


def without_redundant(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns that no other pattern contains, sorted by their folded text."""
    spelled: dict[str, str] = {}
    for text in sorted(patterns):
        spelled.setdefault(fold(text), text)
    wild = [text for text in spelled if "*" in text]
    kept = [text for text in spelled if not any(other != text and _pattern_contains(other, text) for other in wild)]
    return tuple(spelled[text] for text in sorted(kept))


def _pattern_contains(big: str, small: str) -> bool:
    return contains([PermissionBlock(actions=(big,))], [PermissionBlock(actions=(small,))]) is None


def met(not_patterns: Iterable[str], patterns: Iterable[str]) -> tuple[str, ...]:
    """Return the not-patterns that take something out of the patterns, sorted."""
    wanted = tuple(patterns)
    return in_order(text for text in not_patterns if _meets(text, wanted))


def _meets(not_pattern: str, patterns: Iterable[str]) -> bool:
    return intersects([PermissionBlock(actions=(not_pattern,))], [PermissionBlock(actions=tuple(patterns))])


def _of_provider(pattern: str, provider: str) -> str | None:
    lead = fold(provider) + "/"
    folded = fold(pattern)
    if folded.startswith(lead):
        return pattern
    head, star, _ = folded.partition("*")
    if star and lead.startswith(head):
        narrowed = f"{provider}/*{READ}"
        return narrowed if _pattern_contains(folded, narrowed) else None
    return None


_MANAGEMENT_GROUP = "/providers/microsoft.management/managementgroups/"
_SUBSCRIPTION = "/subscriptions/"


@dataclass(frozen=True, slots=True)
class AzureLimits:
    """Azure's limits as numbers; for a tenant in 21Vianet China, set `custom_roles` to 2,000."""

    custom_roles: int = CUSTOM_ROLES_PER_TENANT
    assignments_per_subscription: int = ASSIGNMENTS_PER_SUBSCRIPTION
    assignments_per_management_group: int = ASSIGNMENTS_PER_MANAGEMENT_GROUP
    assignable_scopes: int = 2_000
    role_name: int = 128
    description: int = 2_048
    headroom: float = 0.05
    """The share of roles and assignments that a plan leaves free for others."""

    @property
    def room_for_custom_roles(self) -> int:
        """The number of custom roles that a tenant may have after a plan."""
        return self._room(self.custom_roles)

    def room_at(self, anchor: str) -> int:
        """Return the number of assignments that a folded subscription or management group may have at once.

        Old and new assignments both count, since they exist side by side during a rollout.
        """
        return self._room(self._limit_at(anchor))

    def refusal_at(self, anchor: str, there: int, more: int) -> str:
        """Return the reason word and sentence for a need whose assignments exceed the limit of an anchor.

        Args:
            anchor: The folded subscription or management group.
            there: The number of assignments there: today's and those of this plan.
            more: The number of assignments that the need would add.
        """
        limit = self._limit_at(anchor)
        return (
            f"assignment_limit: during a rollout `{anchor}` has {there:,} of at most {limit:,} role assignments, old "
            f"and new ones; {limit - self._room(limit):,} are kept free, and this would add {more:,}"
        )

    def _limit_at(self, anchor: str) -> int:
        below = anchor.startswith(_SUBSCRIPTION)
        return self.assignments_per_subscription if below else self.assignments_per_management_group

    def _room(self, limit: int) -> int:
        return limit - int(limit * self.headroom)


@dataclass(frozen=True, slots=True)
class RoleRoom:
    """The maximum number of new roles in a plan, and the reason for it.

    Attributes:
        limits: Azure's limits.
        existing: The number of custom roles that the tenant has.
        option: The maximum number of new roles by `--roles`; None if the option is not set.
    """

    limits: AzureLimits
    existing: int
    option: int | None = None

    @property
    def most(self) -> int:
        """The maximum number of new roles."""
        free = self._free
        return free if self.option is None else min(free, self.option)

    def refusal(self, wanted: int) -> str:
        """Return the reason word and sentence for a need that gets no role because `wanted` new roles are too many."""
        if self.option is not None and self.option <= self._free:
            return (
                f"max_custom_roles: `--roles` allows {self.option:,} new roles, and a plan without excess "
                f"has {wanted:,}"
            )
        limit = self.limits.custom_roles
        return (
            f"custom_role_limit: the tenant has {self.existing:,} of at most {limit:,} custom roles, "
            f"{limit - self.limits.room_for_custom_roles:,} are kept free, and the plan would add {wanted:,}"
        )

    @property
    def _free(self) -> int:
        return max(0, self.limits.room_for_custom_roles - self.existing)


def refusals(
    role: RoleDefinition,
    known: Callable[[str, Folded], bool],
    inherited: frozenset[tuple[str, Folded]] = frozenset(),
    limits: AzureLimits | None = None,
) -> list[str]:
    """Return the reasons why Azure would refuse a custom role, one sentence each; empty if it would accept it.

    Args:
        role: The role.
        known: A predicate that tells whether the catalogue has (plane, folded operation).
        inherited: (plane, folded string) copied from an existing role, which Azure has accepted before.
        limits: The limits to check against; Azure's if none are given.
    """
    limits = limits or AzureLimits()
    found = list(_form_refusals(role, limits))
    if not any(block.actions or block.data_actions for block in role.permissions):
        found.append("it has neither actions nor data actions")
    for block in role.permissions:
        for plane, texts, taken_out in by_plane(block):
            for text in (*texts, *taken_out):
                if text.count("*") > 1:
                    found.append(f"`{text}` has {text.count('*')} wildcards, and Azure accepts 1")
                elif "*" not in text and not known(*(key := (plane, fold(text)))) and key not in inherited:
                    found.append(f"the catalogue has no operation `{text}` of the {plane} plane")
    return found


def _form_refusals(role: RoleDefinition, limits: AzureLimits) -> Iterator[str]:
    """Yield what is wrong about the name, the description and the assignable scopes of a role."""
    if not 0 < len(role.role_name) <= limits.role_name:
        yield f"its name has {len(role.role_name)} characters, and Azure accepts 1 to {limits.role_name}"
    if len(role.description) > limits.description:
        yield f"its description has {len(role.description)} characters, and Azure accepts {limits.description}"
    scopes = [fold(scope) for scope in role.assignable_scopes]
    groups = [scope for scope in scopes if scope.startswith(_MANAGEMENT_GROUP)]
    if not scopes:
        yield "it has no assignable scope"
    if len(scopes) > limits.assignable_scopes:
        yield f"it lists {len(scopes)} assignable scopes, and Azure accepts {limits.assignable_scopes}"
    if any(scope in ("/", "*") for scope in scopes):
        yield "a custom role cannot be assigned at the root"
    if any(not scope.startswith((_MANAGEMENT_GROUP, _SUBSCRIPTION)) for scope in scopes if scope not in ("/", "*")):
        yield "an assignable scope is neither a management group nor in a subscription"
    if len(groups) > 1:
        yield f"it lists {len(groups)} management groups, and Azure accepts 1"
    if groups and any(block.data_actions for block in role.permissions):
        yield "a role with data actions cannot list a management group"
