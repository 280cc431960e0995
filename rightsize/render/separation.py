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
        f"one principal defeats several layers of a subscription {today} times today, {unsplit} times under the plan "
        f"without the split, {split} times with it"
    )
    yield "the numbers in brackets count the cases with identity control or monitoring among the layers"
    yield f"with the split, {sets[-1]['by_activation']:,} more cases need an activation"
    yield (
        f"the split of {told['assignments_split']:,} assignments costs {cost['roles']:+,} new roles, "
        f"{cost['assignments']:+,} active and {cost['eligible_assignments']:+,} eligible assignments"
    )
    words = Counter(row["meaning"] for row in told["standing"])
    for meaning, number in sorted(words.items(), key=lambda item: (-item[1], item[0])):
        parts = "part stays" if number == 1 else "parts stay"
        yield f"{number:,} {parts} active with identity control or monitoring: {meaning}"
    left = Counter(row["because"] for row in told["left_whole"])
    for reason, number in sorted(left.items(), key=lambda item: (-item[1], item[0])):
        yield f"{number:,} not split, because the plan would then keep the assignment unchanged: {reason}"
