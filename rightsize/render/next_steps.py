"""Write the steps of `next` as rows, and in short for the report, the comment and the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.analyze.lacks import Lack
from rightsize.model.plan import AZURE_ROLES, PLANE_NAMES
from rightsize.model.plan_totals import TODAY, WAVES, LeftOut, NextStep, NextSteps
from rightsize.model.progress import counted
from rightsize.render.escape import for_shell
from rightsize.render.plane_requests import slug_of
from rightsize.render.sentences import chance_text, describe_grant
from rightsize.render.vault_requests import file_name

COLUMNS = (
    "rank", "wave", "proposal", "plane", "kind", "principal_id", "principal", "role", "scope", "does",
    "gives_away", "undo", "excess_removed", "latent_removed", "share", "running_share", "share_of_all", "new_roles",
    "roles_to_create", "people", "workloads",
    "break_probability_30d", "break_bound_30d", "reason", "also", "together_with", "command",
)  # fmt: skip
_ROLES = 2
_WITH_ELIGIBLE = (AZURE_ROLES, "directory")
_CREDENTIAL = "/federatedidentitycredentials/"


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
        "gives_away": describe_danger(step, names),
        "undo": describe_undo(step),
        "excess_removed": step.removes,
        "latent_removed": step.latent,
        "share": round(step.share, 6),
        "running_share": round(step.total, 6),
        "share_of_all": round(step.of_all, 6),
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
    """Return what a step does, such as `Contributor at Sandbox becomes Reader`; a question where the plan keeps it."""
    today = describe_grant(names.get(step.role, step.role), step.scope, step.plane, names)
    if step.kind.keeps:
        if stays_for_emergency(step):
            return f"stays, emergency access: {today}"
        may_sleep = step.plane in _WITH_ELIGIBLE and step.state == "active" and not step.reached.workloads
        return f"ask whether {today} is needed" + (", or whether eligible is enough" if may_sleep else "")
    if step.kind.makes_eligible and (step.plane == "directory" or set(step.becomes) == {step.role}):
        return f"{today} becomes eligible"
    comes = [names.get(role, role) for role in step.becomes]
    more = f" and {len(comes) - _ROLES} more" if len(comes) > _ROLES else ""
    return step.kind.step.format(today=today, comes=f"{', '.join(comes[:_ROLES])}{more}")


def describe_danger(step: NextStep, names: Mapping[str, str]) -> str:
    """Return what gives the tenant away, and who else can do it as an owner; empty where nothing does."""
    if step.danger is None:
        return ""
    owners = [names.get(owner, owner) for owner in step.danger.owners]
    more = f" and {len(owners) - _ROLES} more" if len(owners) > _ROLES else ""
    return step.danger.what + (f"; so can its owner {', '.join(owners[:_ROLES])}{more}" if owners else "")


def stays_for_emergency(step: NextStep) -> bool:
    """Return whether a step only says that an emergency access account stays."""
    return step.kind.keeps and step.danger is not None and step.danger.is_emergency


def describe_undo(step: NextStep) -> str:
    """Return the way back from a step: a command, a script of the plan folder, or what to do; empty for a question."""
    if step.kind.keeps:
        return ""
    if step.plane == AZURE_ROLES:
        return "rightsize rollout rollback FOLDER"
    if step.plane == "trust":
        return f"trust/{slug_of(step.grant.partition(_CREDENTIAL)[0])}-rollback.sh of the plan"
    if step.plane == "vault":
        return f"vault/{file_name(step.grant.partition('/accesspolicies/')[0])}-rollback.sh of the plan"
    if step.plane == "graph":
        return "an administrator grants it again"
    return "make its holder eligible again" if step.state == "eligible" else "assign it again"


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
    """Return such as `4.7% of all live excess, 15.7% with the steps before`."""
    before = f", {step.total_of_all:.1%} with the steps before" if step.total_of_all - step.of_all > _SEEN else ""
    return f"{step.of_all:.1%} of all live excess{before}"


def describe_reached(step: NextStep) -> str:
    """Return such as `touches 12 people and 1 workload`."""
    people, workloads = step.reached.people, step.reached.workloads
    said = [counted(people, "person", "people")] if people else []
    said += [counted(workloads, "workload")] if workloads else []
    return f"touches {' and '.join(said) or 'nobody'}"


def wave_rows(steps: NextSteps) -> list[dict[str, Any]]:
    """Return a row for each wave and plane that has steps: their number, and their shares.

    `share` and `running_share` are of what the plan can remove, those with `of_all` of all live excess of the plane.
    """
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
                        "kept": sum(step.kind.keeps for step in found),
                        "share": round(sum(step.share for step in found), 6),
                        "running_share": round(max(step.total for step in found), 6),
                        "share_of_all": round(sum(step.of_all for step in found), 6),
                        "running_share_of_all": round(max(step.total_of_all for step in found), 6),
                        "roles_to_create": sum(len(step.makes_roles) for step in found),
                    }
                )
    return rows


def describe_wave(row: Mapping[str, Any]) -> str:
    """Return a wave of a plane in a line, such as `5 steps remove 61.5% (76.1% so far)`, of all live excess."""
    share, total = row["share_of_all"], row["running_share_of_all"]
    what = f"{counted(row['steps'], 'step')} {'removes' if row['steps'] == 1 else 'remove'} {share:.1%}"
    before = f" ({total:.1%} so far)" if total - share > _SEEN else ""
    roles = f", {counted(row['roles_to_create'], 'new role')}" if row["roles_to_create"] else ""
    return f"{what}{before}{roles}"


_SEEN = 0.0005
"""The least share that shows in a line."""


def wave_title(wave: int) -> str:
    """Return a wave by its number and name; that of today by its name alone."""
    return WAVES[wave].capitalize() if wave == TODAY else f"Wave {wave}, {WAVES[wave]}"


def wave_line(wave: int, rows: Sequence[Mapping[str, Any]], *, is_short: bool = False) -> str:
    """Return a wave in a line: the steps for Azure roles and their share, and the number for other planes.

    Of the wave of today it has the number of changes, and of what the plan keeps.

    Args:
        wave: The wave.
        rows: Its rows, as `wave_rows` returns them.
        is_short: Whether the other planes have one number.
    """
    if wave == TODAY:
        kept = sum(row["kept"] for row in rows)
        changes = counted(sum(row["steps"] for row in rows) - kept, "change")
        return f"{wave_title(wave)}: {changes}" + (f", {kept:,} that the plan keeps" if kept else "")
    said = [describe_wave(row) for row in rows if row["plane"] == AZURE_ROLES]
    beyond = {PLANE_NAMES[row["plane"]]: row["steps"] for row in rows if row["plane"] != AZURE_ROLES}
    if is_short and len(beyond) > 1:
        beyond = {"other planes": sum(beyond.values())}
    return f"{wave_title(wave)}: {'; '.join([*said, *(f'{name}: {number}' for name, number in beyond.items())])}"


def next_lines(steps: NextSteps) -> Iterator[str]:
    """Yield a line for each wave, after a title."""
    if not steps.steps:
        return
    yield "What to do first, with shares of all live excess of Azure roles:"
    rows = wave_rows(steps)
    for wave in WAVES:
        found = [row for row in rows if row["wave"] == wave]
        if found:
            yield f"  {wave_line(wave, found)}"


def left_out_line(steps: NextSteps) -> str:
    """Return how many assignments are not worth a role, and their live excess; empty where there is none."""
    if not steps.left_out:
        return ""
    excess = sum(one.excess for one in steps.left_out)
    return (
        f"not worth a role: {counted(len(steps.left_out), 'assignment')} with a live excess of {excess:,.0f}, the most "
        "that `--roles max` could free"
    )


@dataclass(frozen=True, slots=True)
class NextResult:
    """The steps of a plan, with display names.

    Attributes:
        names: Display names of principals, roles and high scopes.
        look: Returns the command that shows a principal.
        short: A short id for each proposal of a step.
        lacks: The listings that are not complete: no step is about what they lack.
        is_stale: Whether the store has other content than the plan was made from.
    """

    steps: NextSteps
    names: Mapping[str, str]
    look: Callable[[str], str]
    short: Mapping[str, str]
    lacks: Sequence[Lack]
    is_stale: bool = False

    def rows(self, wave: int | None = None) -> list[dict[str, Any]]:
        """Return a row for each step, or for those of one wave."""
        chosen = self.steps.steps if wave is None else self.steps.of_wave(wave)
        return [step_row(step, self.names, self.look) for step in chosen]

    def document(self, wave: int | None = None) -> dict[str, Any]:
        """Return the steps, the waves, and what is not worth a role, as plain values."""
        return {
            "removable": dict(self.steps.removable),
            "waves": [row for row in wave_rows(self.steps) if wave in (None, row["wave"])],
            "steps": self.rows(wave),
            "not_worth_a_role": [left_row(one, self.names) for one in self.steps.left_out],
            "complete": not self.lacks,
            "stale": self.is_stale,
            "lacks": [one.row() for one in self.lacks],
        }


def look_closer(db: Path | None, options: Mapping[str, Any]) -> Callable[[str], str]:
    """Return a function from a principal to the command that shows it by the window of a plan.

    Args:
        db: The store that the command names; None for none.
        options: The options of the plan.
    """
    more = "" if db is None else f" --db {for_shell(str(db))}"
    window = options.get("min_window", 90)
    more += f" --min-window {window}" if type(window) is int and window > 0 and window != 90 else ""
    days = options.get("min_days")
    more += f" --min-days {days}" if type(days) is int and days > 0 else ""
    return lambda principal: f"rightsize explain {for_shell(principal)}{more}"
