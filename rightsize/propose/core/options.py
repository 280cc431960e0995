"""Define and validate the options of a plan that a person may choose."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from rightsize.analyze.window import DEFAULT_DAYS, DEFAULT_FORGET_DAYS, Window
from rightsize.model.errors import UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.role_forms import hash_of_role
from rightsize.propose.core.exclusions import Exclusion
from rightsize.rbac.text import fold

Word = TypeVar("Word", bound=StrEnum)
AUTO, MAX = "auto", "max"
"""The words for the number of new roles: those that are worth a role, or all jobs, add-ons and roles of holders."""
ROLE_WORTH = 5_000
"""The live excess that a new role has to save over all its holders, unless an option says otherwise."""
SEPARATE_LAYERS = "--separate-layers"
"""The subject of the advice to use this option."""


class Reads(StrEnum):
    """The share of today's read permissions that stays, since no log shows reads of Azure Resource Manager."""

    NONE = "none"
    """No unlogged read."""
    SIBLING = "sibling"
    """`<type>/read` of each used type, of its parent types, and of the types that it references."""
    NAMESPACE = "namespace"
    """The reads of each resource provider that was used."""
    ALL = "all"
    """All reads, at today's scope, as patterns."""


def price_list(chosen: Reads, totals: Mapping[Reads, Sequence[int]]) -> dict[str, Any]:
    """Return what each choice of `--reads` keeps without evidence, as `Plan.reads` has it.

    Args:
        chosen: The choice of the plan.
        totals: For each choice the number of operations, and of the sensitive ones among them.
    """
    return {
        "chosen": str(chosen),
        "choices": [
            {"reads": str(choice), "operations": operations, "sensitive": sensitive}
            for choice, (operations, sensitive) in totals.items()
        ],
    }


class Unobservable(StrEnum):
    """The share of all other operations that no log could have shown that stays."""

    KEEP = "keep"
    """All of them, at today's scope."""
    TOUCHED = "touched"
    """Data actions; and of the control plane, what is on a resource type that the holder used.

    A holder without observed use keeps all of them."""
    DROP = "drop"
    """None of them."""


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """The options of one run.

    Attributes:
        reads: Which unlogged reads of Azure Resource Manager stay.
        unobservable: Which other operations that no log could show stay.
        roles: Number of new custom roles: `auto` for those that are worth a role, `max` for those of all jobs, or the
            maximum number.
        role_worth: The live excess that a new role has to save over all its holders, with `auto`.
        previous: The new roles of an earlier plan: they stay as long as they are worth half of a new one.
        max_break: Keep an assignment whose change is likelier than this to break something within 30 days; None for
            no such check.
        min_window: Length of the observation window in whole UTC days; None for 90, or what the logs cover of them.
        min_days: Number of days of the window that a log has to cover to be evidence; None for two thirds of the
            window, at most 60.
        forget_days: Use before the window is evidence too, up to this many days before the end of the window.
        grace_days: Assignments and principals younger than this many days are left alone, and so are those younger
            than the window.
        split_groups: Give operations that only few members of a group use to these members, not to the group. Risky
            changes go to those members in any case.
        standing_hours: Changes that people make with access used fewer hours a month than this become eligible where
            possible; 0 for never.
        separate_layers: Split by layer of defence the roles of each principal that could defeat several layers of a
            subscription.
        exclude: Principals (id or UPN), scopes (with all below) and roles (id or name) that are left alone.
        exclusions: Further exclusions from files, each with its reason, owner and end.
        emergency_access: Emergency access accounts, by id or UPN.
        standby: Scopes that wait for a failure elsewhere: nothing at or below them goes for want of a resource.
        as_of: The first day after the window; None for the end of the newest covered day.
    """

    reads: Reads = Reads.ALL
    unobservable: Unobservable = Unobservable.TOUCHED
    roles: str | int = AUTO
    role_worth: int = ROLE_WORTH
    previous: tuple[RoleDefinition, ...] = ()
    max_break: float | None = None
    min_window: int | None = None
    min_days: int | None = None
    forget_days: int = DEFAULT_FORGET_DAYS
    grace_days: int = 14
    split_groups: bool = False
    standing_hours: float = 0.0
    separate_layers: bool = False
    exclude: tuple[str, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()
    emergency_access: tuple[str, ...] = ()
    standby: tuple[str, ...] = ()
    as_of: dt.date | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "reads", choice(Reads, "--reads", self.reads))
        object.__setattr__(self, "unobservable", choice(Unobservable, "--unobservable", self.unobservable))
        object.__setattr__(self, "roles", _number_of_roles(self.roles))
        if self.max_break is not None and not 0 <= self.max_break <= 1:
            raise UsageError(f"`--max-break {self.max_break}` is not a probability", hint="give a number from 0 to 1")
        for option, days in (("--min-window", self.min_window), ("--min-days", self.min_days)):
            if days is not None and days < 1:
                raise UsageError(f"`{option} {days}` is less than 1 day", hint="give 1 or more")
        least = {"--role-worth": self.role_worth, "--forget-days": self.forget_days, "--grace-days": self.grace_days}
        for option, number in least.items():
            if number < 0:
                raise UsageError(f"`{option} {number}` is below zero")
        if not 0 <= self.standing_hours <= 744:
            raise UsageError(
                f"`--standing-hours {self.standing_hours}` is not a number of hours in a month",
                hint="give a number from 0 to 744",
            )
        for option, names in (("--exclude", self.exclude), ("--emergency-access", self.emergency_access)):
            if not all(name.strip() for name in names):
                raise UsageError(
                    f"`{option}` has an empty name", hint="give a principal, for `--exclude` also a scope or role"
                )
        for name in self.standby:
            if not name.strip().startswith("/"):
                raise UsageError(f"`--standby {name}` is not a scope", hint="a scope begins with a slash")

    @property
    def most_roles(self) -> int | None:
        """The maximum number of new roles by option; None for no such maximum."""
        return self.roles if isinstance(self.roles, int) else None

    def young_from(self, window: Window) -> dt.datetime:
        """Return the time since which created things are too young: the start of the window or of a longer grace."""
        days = min(self.grace_days, (window.end - dt.datetime.min).days)
        return min(window.start, window.end - dt.timedelta(days=days))

    def excluded_names(self, window: Window) -> set[str]:
        """Return the folded names that are left alone: of `--exclude`, and principals of exclusions that still hold."""
        names: set[str] = {fold(name) for name in self.exclude}
        return names | {fold(one.name) for one in self.exclusions if one.kind == "principal" and one.holds(window)}

    def as_json(self, window_days: int = DEFAULT_DAYS) -> dict[str, object]:
        """Return the options in the form of `plan.json`, sorted and independent of the current time.

        Each has the name of its command-line option; `exclude_from` holds the entries of the files, not their names.
        `window_days` is the length of the chosen window, for where `min_window` leaves it open.
        """
        return {
            "emergency_access": sorted(set(self.emergency_access)),
            "exclude": sorted(set(self.exclude)),
            "exclude_from": [one.as_json() for one in sorted(set(self.exclusions))],
            "forget_days": self.forget_days,
            "grace_days": self.grace_days,
            "max_break": self.max_break,
            "min_window": self.min_window or window_days,
            "reads": str(self.reads),
            "role_worth": self.role_worth,
            "roles": self.roles,
            "split_groups": self.split_groups,
            "standing_hours": self.standing_hours,
            "unobservable": str(self.unobservable),
            # Written only when set: plans from before these options existed do not have the keys.
            **({"previous": sorted({hash_of_role(role) for role in self.previous})} if self.previous else {}),
            **({"separate_layers": True} if self.separate_layers else {}),
            **({"min_days": self.min_days} if self.min_days is not None else {}),
            **({"standby": sorted(set(self.standby))} if self.standby else {}),
        }


def _number_of_roles(value: str | int) -> str | int:
    """Return the number of new roles, or one of the words for it."""
    if value in (AUTO, MAX):
        return value
    try:
        number = int(value)
    except ValueError:
        number = -1
    if number < 0:
        raise UsageError(f"`--roles {value}` is not a number of roles", hint=f"give `{AUTO}`, `{MAX}` or a number")
    return number


def choice(kind: type[Word], option: str, value: str) -> Word:
    """Return the member of an enumeration by its word; raise UsageError, which names the option, if there is none."""
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"`{option} {value}` is not one of {', '.join(kind)}") from None
