"""Say which operations Azure or its clients ask for beside operations that were used, by the rules.

No log shows these, so a draft that leaves one out may break what was used.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from rightsize.propose.needs.unlogged import sibling_reads, type_of, types_around
from rightsize.rbac.patterns import parse_pattern
from rightsize.rbac.text import Folded, fold
from rightsize.rules.operations import status_reads
from rightsize.rules.resource_types import linked_writes, names_a_write, rules_out

_LOCATIONS = "/locations"


class AskedByUse:
    """The operations of the control plane that a principal used.

    Args:
        used: Their names, in any spelling.
    """

    def __init__(self, used: Iterable[str]) -> None:
        self._spelt = {fold(name): name for name in sorted(used)}
        self._writes = sorted(name for name in self._spelt if not name.endswith("/read"))

    def reason_for(self, operation: str) -> str | None:
        """Return why an operation may be needed beside what was used; None where no rule says so.

        Returns:
            `checked_inside WRITE`: Azure checks it inside a used write. `read_of_a_used_type`: it reads a type that was
            used, a parent of one, or resource groups. `status_of_a_used_write`: clients follow a used write by it.
        """
        name = fold(operation)
        for text in linked_writes(name):
            pattern, is_known = parse_pattern(text), names_a_write(text)
            causes = (one for one in self._writes if pattern.matches(one) and (is_known or not rules_out(name, one)))
            inside = next(causes, None)
            if inside is not None:
                return f"checked_inside {self._spelt[inside]}"
        if name in self._reads:
            return "read_of_a_used_type"
        above = type_of(name).rpartition("/")[0].removesuffix(_LOCATIONS)
        is_status = any(parse_pattern(pattern).matches(name) for pattern, _ in status_reads())
        return "status_of_a_used_write" if is_status and above in self._types else None

    @cached_property
    def _reads(self) -> set[Folded]:
        used = [("control", name) for name in sorted(self._spelt)]
        return {name for _, name in sibling_reads(used)} if used else set()

    @cached_property
    def _types(self) -> set[str]:
        return {kind for name in self._writes for kind in types_around(type_of(name))}
