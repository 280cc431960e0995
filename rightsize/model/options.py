"""The options of an analysis and of a plan, each declared once: its type, its default, its limits and its help.

The command line takes its options from here, and so the environment, configuration files and their schema. Workflows
and the Python interface take the objects.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints

from rightsize.model.errors import UsageError

DEFAULT_FORGET_DAYS = 400
AUTO, MAX = "auto", "max"
"""The words for the number of new roles: those that are worth a role, or all jobs, add-ons and roles of holders."""
ROLE_WORTH = 5_000
"""The live excess that a new role has to save over all its holders, unless an option says otherwise."""
Word = TypeVar("Word", bound=StrEnum)


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
class DeclaredOption:
    """What an option says beside its name, type and default: its help, limits, the name of its value, other names."""

    help: str
    least: float | None = None
    most: float | None = None
    metavar: str | None = None
    names: tuple[str, ...] = ()

    def check(self, name: str, value: float | None) -> None:
        """Raise UsageError where a number is outside the limits; None is no number."""
        if value is None or self.least is None or self.least <= value <= (math.inf if self.most is None else self.most):
            return
        limits = f"from {self.least:g} up" if self.most is None else f"from {self.least:g} to {self.most:g}"
        raise UsageError(f"`--{name.replace('_', '-')} {value}` is not a number {limits}")


def declared(kind: Any) -> dict[str, DeclaredOption]:
    """Return the options of a class of this module by the names of their fields."""
    return _declared(kind)


@cache
def _declared(kind: Any) -> dict[str, DeclaredOption]:
    hints = get_type_hints(kind, include_extras=True)
    said = {one.name: getattr(hints[one.name], "__metadata__", ()) for one in fields(kind)}
    return {name: found for name, metadata in said.items() for found in metadata if isinstance(found, DeclaredOption)}


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowOptions:
    """The options of the observation window, which change verdicts."""

    as_of: Annotated[
        dt.date | None,
        DeclaredOption(
            "End the window before this day, or the day of this time, in UTC. Default: with the newest day that a log "
            "covers."
        ),
    ] = None
    min_window: Annotated[
        int | None,
        DeclaredOption(
            "Length of the observation window in days. Default: 90, or the longest that the logs cover, at least 30.",
            least=1,
        ),
    ] = None
    min_days: Annotated[
        int | None,
        DeclaredOption(
            "Days of the window that a log has to cover to be evidence. Default: two thirds of it, at most 60.", least=1
        ),
    ] = None
    forget_days: Annotated[
        int,
        DeclaredOption(
            "Keep operations that were last used before the window but within this many days, if that use is loaded; "
            "0 keeps none.",
            least=0,
        ),
    ] = DEFAULT_FORGET_DAYS

    def __post_init__(self) -> None:
        for name, option in declared(type(self)).items():
            option.check(name, getattr(self, name))

    @property
    def span(self) -> tuple[int | None, int, int | None]:
        """Return `min_window`, `forget_days` and `min_days`, as `choose_window` takes them after the day."""
        return self.min_window, self.forget_days, self.min_days


USUAL = WindowOptions()
"""The options where nobody chooses any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeWindowOptions(WindowOptions):
    """The options of a window that is not shortened where the logs cover fewer days."""

    min_window: Annotated[
        int | None,
        DeclaredOption("Length of the observation window in days, also where the logs cover fewer.", least=1),
    ] = 90


WHOLE = WholeWindowOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChoices(WindowOptions):
    """The options of a plan that need no file."""

    reads: Annotated[Reads, DeclaredOption("Which reads of Azure and of the directory stay; no log shows them.")] = (
        Reads.ALL
    )
    unobservable: Annotated[
        Unobservable,
        DeclaredOption(
            "Which other operations stay that no log can show: all (keep); data actions, and what is on resource "
            "types that the holder used (touched); none (drop)."
        ),
    ] = Unobservable.TOUCHED
    max_break: Annotated[
        float | None,
        DeclaredOption(
            "Keep an assignment if the upper bound of the chance that its change breaks something within 30 days is "
            "above this.",
            least=0,
            most=1,
        ),
    ] = None
    roles: Annotated[
        str | int,
        DeclaredOption(
            "Number of new custom roles: those worth a role (auto), those of all jobs (max), or at most N; fewer "
            "leave more excess.",
            metavar="auto|max|N",
            names=("--max-custom-roles",),
        ),
    ] = AUTO
    role_worth: Annotated[
        int,
        DeclaredOption(
            "With `--roles auto`: the live excess that a new role has to save over all its holders.",
            least=0,
            metavar="N",
        ),
    ] = ROLE_WORTH
    split_groups: Annotated[
        bool, DeclaredOption("Give operations that only few members of a group use to these members, not to the group.")
    ] = False
    grace_days: Annotated[
        int,
        DeclaredOption(
            "Keep what was created within the last N days, and always what was created within the window.", least=0
        ),
    ] = 14
    standing_hours: Annotated[
        float,
        DeclaredOption(
            "Make changes by people eligible if their access is used fewer hours a month; 0 for never.",
            least=0,
            most=744,
        ),
    ] = 0.0
    separate_layers: Annotated[
        bool,
        DeclaredOption(
            "Split roles by layer of defence for principals that could defeat several layers of a subscription."
        ),
    ] = False
    exclude: Annotated[
        tuple[str, ...],
        DeclaredOption("Leave this alone: a principal, a scope or a role, by id or as tables print it. Repeatable."),
    ] = ()
    standby: Annotated[
        tuple[str, ...],
        DeclaredOption("A scope that waits for a failure elsewhere: what does not exist there stays. Repeatable."),
    ] = ()
    emergency_access: Annotated[
        tuple[str, ...],
        DeclaredOption(
            "An emergency access account: an id, a UPN, or the beginning of a name. Name all of them. Repeatable.",
            names=("--emergency-account",),
        ),
    ] = ()

    def __post_init__(self) -> None:
        WindowOptions.__post_init__(self)
        object.__setattr__(self, "reads", choice(Reads, "--reads", self.reads))
        object.__setattr__(self, "unobservable", choice(Unobservable, "--unobservable", self.unobservable))
        object.__setattr__(self, "roles", _number_of_roles(self.roles))
        for name in ("exclude", "standby", "emergency_access"):
            # The command line has lists, and None where nothing is given.
            object.__setattr__(self, name, tuple(getattr(self, name) or ()))
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


def choice(kind: type[Word], option: str, value: str) -> Word:
    """Return the member of an enumeration by its word; raise UsageError, which names the option, if there is none."""
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f"`{option} {value}` is not one of {', '.join(kind)}") from None


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
