"""Say figures of a plan in words: chances, excess, split layers, and the price of logs.

Write the chance that a change breaks something: the expected chance, and its upper bound beside it.

Say in one sentence and one bar how much of all live excess a plan removes, what stays by design, and what is left.

Describe in sentences what a plan's split by layers of defence gains, costs and leaves.

Say in short which scope, grant or plane is meant.

Write what a missing log would take and cost a month, for the terminal and the report.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rightsize.model.plan import PLANE_NAMES
from rightsize.model.plan_totals import Change, ExcessTotals


def short_scope(scope: str, names: Mapping[str, str]) -> str:
    """Return a short name of a scope: the names in it without the fixed words, at most the last three.

    Args:
        scope: The scope.
        names: Display names of subscriptions and management groups, by scope as it is spelled or in lower case.
    """
    return "/".join(_named_parts(scope, names)[-3:])


def full_path(scope: str, names: Mapping[str, str]) -> str:
    """Return all names in a scope without the fixed words, of which `short_scope` has the last three."""
    return "/".join(_named_parts(scope, names))


def _named_parts(scope: str, names: Mapping[str, str]) -> list[str]:
    parts = [part for part in scope.split("/") if part]
    if not parts:
        return ["/"]
    if len(parts) > 1 and parts[0].lower() == "subscriptions":
        place = "/".join(("", *parts[:2]))
        subscription = names.get(place, names.get(place.lower(), parts[1][-8:]))
        return [subscription, *(parts[3:4] + parts[7::2] if len(parts) > 3 else [])]
    return [names.get(scope, names.get(scope.lower(), parts[-1]))]


_ROOTS = {"graph": "", "directory": "the directory", "trust": ""}


def describe_grant(role: str, scope: str, plane: str, names: Mapping[str, str]) -> str:
    """Return such as `Contributor at Sandbox`; a permission of Graph has no place.

    Args:
        role: The name of a role or permission.
        scope: Its scope.
        plane: Its plane.
        names: Display names of subscriptions and management groups.
    """
    place = _ROOTS.get(plane, "/") if scope == "/" else short_scope(scope, names)
    return f"{role} at {place}" if place else role


def plane_title(plane: str) -> str:
    """Return the name of Azure roles, or of a plane beyond them, as a heading."""
    name = PLANE_NAMES[plane]
    return name[0].upper() + name[1:]


def bound_of(evidence: Mapping[str, Any]) -> float | None:
    """Return the upper bound of a proposal's chance of breaking something; None where its evidence has none."""
    bound = (evidence.get("break_probability") or {}).get("bound")
    return None if bound is None else float(bound)


def describe_chance(expected: float, evidence: Mapping[str, Any]) -> str:
    """Return such as `4.2 % (≤ 9.1 %)` for a proposal; without the bound where its evidence has none."""
    return chance_text(expected, bound_of(evidence))


def chance_text(expected: float, bound: float | None) -> str:
    """Return such as `4.2 % (≤ 9.1 %)`; without the bound where there is none."""
    return f"{100 * expected:.1f} %" + ("" if bound is None else f" (≤ {100 * bound:.1f} %)")


BAR: Mapping[str, str] = {"removed": "█", "by_design": "▒", "left": "░"}
"""The block of each part of the live excess in a bar of text."""
_BAR_CELLS = 40


def excess_lines(totals: ExcessTotals) -> Iterator[str]:
    """Yield the sentence on all live excess and its bar, then the numbers; only the numbers where there is none."""
    if totals.all_live.before:
        yield live_sentence(totals)
        yield live_bar(totals)
    yield excess_text(totals)


def live_sentence(totals: ExcessTotals) -> str:
    """Return how much of all live excess of Azure roles goes, stays by design and why, and is left, in per cent.

    The per cents sum up to 100. This is the one sentence on it in commands, pages and comments.
    """
    of = whole_percents(totals.parts_of_live())
    ranked = sorted(totals.reasons.items(), key=lambda one: (-one[1], one[0]))
    reasons = ", ".join(f"{count:,} {word.replace('_', ' ')}" for word, count in ranked)
    design = f"{of['by_design']} % stays by design ({reasons}), " if reasons else ""
    link = "" if design else "and "
    return f"Of all live excess the plan removes {of['removed']} %, {design}{link}{of['left']} % is left"


def live_bar(totals: ExcessTotals) -> str:
    """Return the parts of all live excess as blocks, with their meaning."""
    widths = whole_percents(totals.parts_of_live(), _BAR_CELLS)
    blocks = "".join(BAR[name] * width for name, width in widths.items())
    said = ", ".join(f"{BAR[name]} {name.replace('_', ' ')}" for name, width in widths.items() if width)
    return f"{blocks}  {said}"


def excess_facts(totals: ExcessTotals) -> dict[str, Any]:
    """Return what pages show of it: `sentence`, `parts` (name, start and width in per cent), `shares` and `numbers`."""
    parts, start = [], 0.0
    for name, share in totals.parts_of_live().items():
        parts.append((name, round(start, 1), round(100 * share, 1)))
        start += 100 * share
    return {
        "sentence": live_sentence(totals) if parts else "",
        "parts": parts,
        "shares": whole_percents(totals.parts_of_live()),
        "numbers": excess_text(totals),
    }


def whole_percents(parts: Mapping[str, float], whole: int = 100) -> dict[str, int]:
    """Return parts that sum up to 1 as whole numbers that sum up to `whole`: the largest remainders are rounded up."""
    exact = {name: part * whole for name, part in parts.items()}
    found = {name: int(value) for name, value in exact.items()}
    spare = round(sum(exact.values())) - sum(found.values())
    for name in sorted(exact, key=lambda one: found[one] - exact[one])[:spare]:
        found[name] += 1
    return found


def excess_text(totals: ExcessTotals) -> str:
    """Return the live and the latent excess of Azure roles today and under the plan, as numbers."""
    live, latent = totals.all_live, totals.latent
    there = f"; latent, on resource types that do not exist there: {change_text(latent)}" if latent.before else ""
    return f"live excess of Azure roles, weighed by risk: {change_text(live)}{there}"


def change_text(change: Change) -> str:
    """Return an excess today and under the plan."""
    return f"{change.before:,.0f} → {change.after:,.0f}"


def as_sentences(lines: Iterable[str]) -> list[str]:
    """Return lines of the terminal as sentences of a page, with a capital letter and a full stop."""
    return [f"{line[:1].upper()}{line[1:]}." for line in lines]


def short_lines(window: Mapping[str, Any]) -> list[str]:
    """Return as sentences what a window of `plan.json` says of a short log; nothing where the log is long enough."""
    return as_sentences(window.get("short", {}).get("said", ()))


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


_CENT, _TENTH = 0.01, 0.1


def price_text(row: Mapping[str, Any]) -> str:
    """Return the price of a row of `observability_options`: `unknown`, `paid`, `free`, or an amount with its currency.

    `~` stands before an amount that rests on an assumed number of records.
    """
    price = row["price_per_month"]
    if price is None:
        return "unknown"
    if row["is_sent"]:
        return "paid"
    if price == 0:
        return "free"
    mark = "~" if row["is_assumed"] else ""
    return mark + (f"{price:,.2f} {row['currency']}" if price >= _CENT else f"<{_CENT} {row['currency']}")


def gigabytes_text(gigabytes: float | None) -> str:
    """Return a number of gigabytes with one decimal, `0`, or `unknown`."""
    if gigabytes is None:
        return "unknown"
    if gigabytes == 0:
        return "0"
    return f"{gigabytes:,.1f}" if gigabytes >= _TENTH else f"<{_TENTH}"


def volume_text(row: Mapping[str, Any]) -> str:
    """Return the gigabytes of a row, with `~` where they rest on an assumed number of records."""
    text = gigabytes_text(row["gb_per_month"])
    return f"~{text}" if row["is_assumed"] and row["gb_per_month"] else text


_WHY_ALLOWED = {
    "needed": "used there {times} times outside the suspect time, last on {last}",
    "brought_along": "comes with what was used outside the suspect time",
    "stays": "its assignment stays, as said above",
    "group": "held through the group {holder}: leave it by a request below",
    "beyond": "no suspect call went through this assignment, and it leads nowhere",
}


def what_ends(one: Mapping[str, Any]) -> str:
    """Return what ends an operation that no role of Azure allows, as one clause."""
    used = f"; it was also used {one['times']} times outside the suspect time" if one["times"] else ""
    if one["ended_by"]:
        return f"ended by {', '.join(one['ended_by'])}{used}"
    return (
        "no request ends it: nothing blocks a managed identity, and no loaded listing has its permissions; load them, "
        f"or remove the identity from its resources{used}"
    )


def why_allowed(one: Mapping[str, Any]) -> str:
    """Return why a suspect operation is still allowed, as one clause."""
    return _WHY_ALLOWED[one["why"]].format(times=one["times"], last=one["last"], holder=one["holder"])
