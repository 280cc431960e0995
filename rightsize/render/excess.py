"""Say in words how much excess a plan removes, and what stays by design."""

from __future__ import annotations

from collections.abc import Iterator

from rightsize.model.plan_totals import Change, ExcessTotals


def excess_lines(totals: ExcessTotals) -> Iterator[str]:
    """Yield a line on live and latent excess, and one on what stays by design if anything does."""
    live, latent = (f"{name} {change_text(one)}" for name, one in (("live", totals.live), ("latent", totals.latent)))
    yield f"excess of Azure roles: {live}; {latent}"
    if totals.reasons:
        yield by_design_text(totals)


def change_text(change: Change) -> str:
    """Return an excess today and under the plan, with the share that goes."""
    share = f" ({change.removed:.0%} removed)" if change.before else ""
    return f"{change.before:,.0f} → {change.after:,.0f}{share}"


def by_design_text(totals: ExcessTotals) -> str:
    """Return what stays by design: its share of all excess, the assignments, and the reasons by number."""
    number = sum(totals.reasons.values())
    ranked = sorted(totals.reasons.items(), key=lambda one: (-one[1], one[0]))
    reasons = ", ".join(f"{count} {word.replace('_', ' ')}" for word, count in ranked)
    return (
        f"stays by design, and is not counted above: {totals.by_design:,.0f} ({totals.share_by_design:.0%} of all), "
        f"in {number:,} assignment{'s' if number != 1 else ''}: {reasons}"
    )
