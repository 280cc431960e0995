"""Declare the kinds of proposals, and all that the other modules ask of a kind.

A new kind is one more entry of `PROPOSAL_KINDS`. Modules ask a kind what it does, such as `kind.changes`, and never
compare it with a name; only the stages of `propose` that decide on a kind name one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self


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
        KEEP,
    )
}
"""Every kind by its text, in the order in which pages list them."""
