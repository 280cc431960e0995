"""Describe in sentences what a plan's split by layers of defence gains, costs and leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any


def separation_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences about the `separation` of a plan; none where the plan has no separation."""
    if not told:
        return
    counts, cost = told["violations"], told["cost"]
    sets = [counts[word] for word in ("granted", "unsplit", "split")]
    today, unsplit, split = (f"{one['standing']:,} ({one['standing_with_guards']:,})" for one in sets)
    yield (
        "one identity defeats several layers of a subscription, in brackets with identity control or monitoring among "
        f"them: {today} times today, {unsplit} under the plan without the split, {split} with it, and "
        f"{sets[-1]['by_activation']:,} more after an activation"
    )
    yield (
        f"to split {told['assignments_split']:,} assignments takes {cost['roles']:+,} new roles, "
        f"{cost['assignments']:+,} standing and {cost['eligible_assignments']:+,} eligible assignments"
    )
    words = Counter(row["meaning"] for row in told["standing"])
    for meaning, number in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        parts = "part" if number == 1 else "parts"
        yield f"{number:,} {parts} of identity control and monitoring standing: {meaning}"
    left = Counter(row["because"] for row in told["left_whole"])
    for reason, number in sorted(left.items(), key=lambda item: (-item[1], item[0])):
        yield f"{number:,} left whole, since split it would be kept as it is: {reason}"
