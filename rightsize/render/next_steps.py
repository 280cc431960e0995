"""Write the steps of `next` as rows, and in short for the report, the comment and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES
from rightsize.model.plan_totals import WAVES, LeftOut, NextStep, NextSteps
from rightsize.model.progress import counted
from rightsize.render.sentences import chance_text
from rightsize.render.summary import describe_grant

COLUMNS = (
    "rank", "wave", "proposal", "plane", "kind", "principal_id", "principal", "role", "scope", "does",
    "excess_removed", "latent_removed", "share", "running_share", "new_roles", "roles_to_create", "people", "workloads",
    "break_probability_30d", "break_bound_30d", "reason", "also", "together_with", "command",
)  # fmt: skip
_ROLES = 2


def step_row(step: NextStep, names: Mapping[str, str], look: Callable[[str], str]) -> dict[str, Any]:
    """Return a step as a row, for people and programs.

    Args:
        step: The step.
        names: Display names of principals, roles and high scopes.
        look: Returns the command that shows a principal.
    """
    return {
        "rank": step.rank,
        "wave": step.wave,
        "proposal": step.proposal,
        "plane": step.plane,
        "kind": step.kind,
        "principal_id": step.principal_id,
        "principal": names.get(step.principal_id, step.principal_id),
        "role": names.get(step.role, step.role),
        "scope": step.scope,
        "does": describe_step(step, names),
        "excess_removed": step.removes,
        "latent_removed": step.latent,
        "share": round(step.share, 6),
        "running_share": round(step.total, 6),
        "new_roles": [names.get(role, role) for role in step.new_roles],
        "roles_to_create": len(step.makes_roles),
        "people": step.reached.people,
        "workloads": step.reached.workloads,
        "break_probability_30d": step.chance,
        "break_bound_30d": step.bound,
        "reason": step.reason,
        "also": list(step.also),
        "together_with": list(step.together_with),
        "command": look(step.principal_id),
    }


def left_row(one: LeftOut, names: Mapping[str, str]) -> dict[str, Any]:
    """Return an assignment that is not worth a role as a row."""
    return {
        "proposal": one.proposal,
        "principal_id": one.principal_id,
        "principal": names.get(one.principal_id, one.principal_id),
        "role": names.get(one.role, one.role),
        "scope": one.scope,
        "excess": one.excess,
        "saves": one.saves,
    }


def describe_step(step: NextStep, names: Mapping[str, str]) -> str:
    """Return what a step does, such as `Contributor at Sandbox becomes Reader`."""
    today = describe_grant(names.get(step.role, step.role), step.scope, step.plane, names)
    if step.kind.makes_eligible and (step.plane == "directory" or set(step.becomes) == {step.role}):
        return f"{today} becomes eligible"
    comes = [names.get(role, role) for role in step.becomes]
    more = f" and {len(comes) - _ROLES} more" if len(comes) > _ROLES else ""
    return step.kind.step.format(today=today, comes=f"{', '.join(comes[:_ROLES])}{more}")


def describe_effort(step: NextStep, *, with_chance: bool = True) -> str:
    """Return the effort of a step, whom it touches and its new roles, and its risk: the chance of breaking."""
    parts = [describe_reached(step)]
    if step.new_roles:
        made = len(step.makes_roles)
        earlier = len(step.new_roles) - made
        said = [counted(made, "new role")] if made else []
        said += [f"{counted(earlier, 'role')} of earlier steps"] if earlier else []
        parts.append(", ".join(said))
    if with_chance:
        parts.append(f"may break {chance_text(step.chance, step.bound)}")
    if step.together_with:
        parts.append(f"goes together with {counted(len(step.together_with), 'other change')}")
    return "; ".join(parts)


def describe_share(step: NextStep) -> str:
    """Return such as `4.7% of what can be removed, 15.7% with the steps before`."""
    before = f", {step.total:.1%} with the steps before" if step.total - step.share > _SEEN else ""
    return f"{step.share:.1%} of what can be removed{before}"


def describe_reached(step: NextStep) -> str:
    """Return such as `touches 12 people and 1 workload`."""
    people, workloads = step.reached.people, step.reached.workloads
    said = [counted(people, "person", "people")] if people else []
    said += [counted(workloads, "workload")] if workloads else []
    return f"touches {' and '.join(said) or 'nobody'}"


def wave_rows(steps: NextSteps) -> list[dict[str, Any]]:
    """Return a row for each wave and plane that has steps: their number, and their share of what can be removed."""
    rows = []
    for wave, name in WAVES.items():
        for plane in PLANE_NAMES:
            found = [step for step in steps.of_wave(wave) if step.plane == plane]
            if found:
                rows.append(
                    {
                        "wave": wave,
                        "name": name,
                        "plane": plane,
                        "steps": len(found),
                        "share": round(sum(step.share for step in found), 6),
                        "running_share": round(max(step.total for step in found), 6),
                        "roles_to_create": sum(len(step.makes_roles) for step in found),
                    }
                )
    return rows


def describe_wave(row: Mapping[str, Any]) -> str:
    """Return a wave in a line, such as `5 steps remove 61.5% (76.1% with the waves before)`."""
    what = f"{counted(row['steps'], 'step')} {'removes' if row['steps'] == 1 else 'remove'} {row['share']:.1%}"
    before = f" ({row['running_share']:.1%} so far)" if row["running_share"] - row["share"] > _SEEN else ""
    roles = f", {counted(row['roles_to_create'], 'new role')}" if row["roles_to_create"] else ""
    return f"{what}{before}{roles}"


_SEEN = 0.0005
"""The least share that shows in a line."""


def next_lines(steps: NextSteps) -> Iterator[str]:
    """Yield a line for each wave: the steps for Azure roles and their share, and the number for other planes."""
    if not steps.steps:
        return
    yield "What to do first, with shares of the live excess that the plan can remove:"
    rows = wave_rows(steps)
    for wave, name in WAVES.items():
        found = [row for row in rows if row["wave"] == wave]
        if found:
            said = "; ".join(
                describe_wave(row) if row["plane"] == AZURE_ROLES else f"{PLANE_NAMES[row['plane']]}: {row['steps']}"
                for row in found
            )
            yield f"  {wave} {name}: {said}"


def left_out_line(steps: NextSteps) -> str:
    """Return how many assignments are not worth a role, and their live excess; empty where there is none."""
    if not steps.left_out:
        return ""
    excess = sum(one.excess for one in steps.left_out)
    return (
        f"not worth a role: {counted(len(steps.left_out), 'assignment')} with a live excess of {excess:,.0f}, the most "
        "that `--roles max` could free"
    )
