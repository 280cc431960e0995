"""Write patterns into new roles for `--wildcards`, and list roles that may grant more once Azure adds operations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace

from rightsize.model.plan import Growth
from rightsize.propose.core.role_catalog import Blocks, RoleBook, RoleChoice, RoleContent
from rightsize.propose.needs.drafts import Draft, Key, Placement
from rightsize.propose.selection.wildcard_compaction import Compactor
from rightsize.rbac.text import Folded


def with_wildcards(drafts: Mapping[Key, Draft], book: RoleBook) -> dict[Key, Draft]:
    """Return the drafts with patterns in their new roles, wherever these grant nothing more.

    A role that several drafts share is written once, within today's grant of each of them. The assignments are already
    settled, so the number of roles does not change.
    """
    today: dict[Placement, set[Folded]] = defaultdict(set)
    for draft in drafts.values():
        for placement in draft.placements:
            if placement.choice.content is not None:
                today[placement].add(draft.subject.role_definition_id)
    ceilings: dict[RoleContent, set[tuple[Folded, ...]]] = defaultdict(set)
    for placement, roles in today.items():
        if placement.choice.content is not None:
            ceilings[placement.choice.content].add(tuple(sorted(roles)))
    compactor = Compactor(book.index)
    written = {}
    for content, role_ids in ceilings.items():
        blocks: list[Blocks] = [book.blocks(ids) for ids in sorted(role_ids)]
        written[content] = compactor.compact(content, blocks)
    return {
        key: replace(draft, placements=tuple(_rewritten(one, written) for one in draft.placements))
        for key, draft in drafts.items()
    }


def _rewritten(placement: Placement, written: Mapping[RoleContent, RoleContent]) -> Placement:
    choice = placement.choice
    if choice.content is None or written[choice.content] == choice.content:
        return placement
    content = written[choice.content]
    return replace(placement, choice=RoleChoice(choice.kind, Folded(""), content, (content.block,), choice.granted))


def what_may_grow(placements: Iterable[tuple[Folded, RoleChoice]], book: RoleBook) -> tuple[Growth, ...]:
    """Return the assigned roles that may grant more in the future, sorted.

    Args:
        placements: (role id, role choice) of each role that is assigned.
        book: The roles.
    """
    found = set()
    for role_id, choice in placements:
        known = book.roles.get(role_id)
        if choice.content is not None and choice.content.wildcards:
            found.add(Growth(role_id, "patterns"))
        elif choice.content is None and known is not None and known.is_builtin:
            found.add(Growth(role_id, "built_in"))
    return tuple(sorted(found))
