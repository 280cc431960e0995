"""Define and validate the options of a plan that a person may choose, and the exclusions that a file names.

Each exclusion has a reason, an owner and the day on which it ends. An exclusion that has ended excludes nothing: it is
reported, so that its owner renews it or accepts the plan. Days are compared with the day of the plan, never with the
clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, TypeVar, get_args

import polars as pl

from rightsize.analyze.columns import ScopeTree, containing, folded, place_of
from rightsize.analyze.inputs import Inputs
from rightsize.analyze.window import DEFAULT_DAYS, DEFAULT_FORGET_DAYS, Window
from rightsize.model.decisions import Form, day_of, known_fields, read_entries, text_of
from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.plan import Advice
from rightsize.model.role_forms import hash_of_role
from rightsize.rbac.scopes import parse_scope
from rightsize.rbac.text import fold

ExclusionKind = Literal["principal", "role", "scope", "tag"]

_KINDS: tuple[ExclusionKind, ...] = get_args(ExclusionKind)
_TEXTS = ("reason", "owner")
_KEYS = frozenset({*_KINDS, *_TEXTS, "expires"})
_HINT = (
    "an entry is `[[exclude]]` with one of principal, role, scope and tag, and with reason, owner and expires (a day)"
)


@dataclass(frozen=True, slots=True, order=True)
class Exclusion:
    """One exclusion entry of a file.

    Attributes:
        kind: The kind of thing that `name` names.
        name: A principal (id or UPN), a role (id or name), a scope (with all below it), or a tag (`name` or
            `name=value`).
        reason: The reason for the exclusion.
        owner: The person or team responsible for it.
        expires: The last day on which it holds.
    """

    kind: ExclusionKind
    name: str
    reason: str
    owner: str
    expires: dt.date

    def holds(self, window: Window) -> bool:
        """Return whether the exclusion holds on the day of the plan, which is the day after the window."""
        return self.expires > window.last_day

    def as_json(self) -> dict[str, str]:
        """Return the entry as `plan.json` states it."""
        said = {self.kind: self.name, "reason": self.reason, "owner": self.owner}
        return said | {"expires": self.expires.isoformat()}

    def __str__(self) -> str:
        return f"{self.kind} `{self.name}` until {self.expires}: {self.reason} ({self.owner})"


def read_exclusions(content: bytes, form: Form, name: str) -> tuple[Exclusion, ...]:
    """Return the entries of a file, sorted and without repeats.

    TOML has tables `[[exclude]]`; JSON has the same list under `exclude`, or alone; CSV has a column for each key.

    Args:
        content: The bytes of the file.
        form: The format of the file.
        name: The name of the file.

    Raises:
        InputError: The content does not have that format, or an entry is invalid; the message names the entry.
    """
    entries = read_entries(content, form, name, key="exclude", hint=_HINT)
    found = {read_exclusion(entry, f"entry {number} of `{name}`") for number, entry in enumerate(entries, 1)}
    return tuple(sorted(found))


def read_exclusion(entry: object, where: str) -> Exclusion:
    """Return the exclusion of an entry, or raise InputError."""
    fields = known_fields(entry, _KEYS, where, _HINT)
    kinds = [kind for kind in _KINDS if kind in fields]
    if len(kinds) != 1:
        said = " and ".join(kinds) or "none"
        raise InputError(f"{where} names {said} instead of one of principal, role, scope and tag", hint=_HINT)
    name, reason, owner = (text_of(fields, key, where, _HINT) for key in (kinds[0], *_TEXTS))
    if kinds[0] == "scope":
        name = _scope(name, where)
    elif kinds[0] == "tag" and not fold(name.partition("=")[0]):
        raise InputError(f"`tag` of {where} has no name", hint=_HINT)
    return Exclusion(kinds[0], name, reason, owner, day_of(fields.get("expires"), where, _HINT))


def _scope(name: str, where: str) -> str:
    try:
        return parse_scope(name).text
    except InputError as error:
        raise InputError(f"`scope` of {where}: {error.message}", hint=_HINT) from None


def tagged_places(inputs: Inputs, tag: str) -> pl.Series:
    """Return the folded scopes that have a tag, given as `name` or `name=value`."""
    name, has_value, value = tag.partition("=")
    tags = inputs.scope_tags.filter(folded(pl.col("name")) == fold(name))
    if has_value:
        tags = tags.filter(pl.col("value").str.strip_chars(" ") == value.strip(" "))
    return tags.select(place=place_of(pl.col("scope")))["place"].unique().sort()


def related_places(tagged: pl.Series, places: pl.Series, tree: ScopeTree) -> pl.Series:
    """Return the places that lie at, below or above one of the tagged places.

    Below: a tag on a resource group also means the resources in it. Above: an assignment there reaches the tagged
    scope, and a narrower assignment would take that access away.
    """
    below = containing(places, tagged, tree)["place"]
    above = containing(tagged, places, tree)["assigned"]
    return pl.concat([below, above]).unique().sort()


def place_named(name: str) -> str:
    """Return the folded form of a scope that a person wrote, for comparison."""
    return str(place_of(pl.Series([name], dtype=pl.String)).item())


def names_scope(name: str, inputs: Inputs) -> bool:
    """Return whether a loaded scope or an assignment is at or below the named scope."""
    place = place_named(name)
    places = place_of(pl.concat([inputs.scopes["scope"], inputs.role_assignments["scope"]]))
    return place == "/" or bool(((places == place) | places.str.starts_with(f"{place}/")).any())


def advise_exclusions(
    exclusions: Sequence[Exclusion], inputs: Inputs, window: Window, known: Mapping[str, frozenset[str]]
) -> Iterator[Advice]:
    """Yield advice about entries that have ended and entries that name nothing that is loaded.

    Args:
        exclusions: The entries.
        inputs: The tables.
        window: The window of the plan.
        known: Folded names of the loaded principals and roles, by `principal` and `role`.
    """
    for one in exclusions:
        if not one.holds(window):
            text = f"ended on {one.expires}, so the plan may change it ({one.owner})"
            yield Advice("--exclude-from", f"the exclusion of {one.kind} `{one.name}` {text}")
        elif one.kind == "tag" and tagged_places(inputs, one.name).is_empty():
            yield Advice("--exclude-from", f"no loaded scope has the tag `{one.name}`")
        elif one.kind == "scope" and not names_scope(one.name, inputs):
            yield Advice("--exclude-from", f"no loaded scope or assignment is at or below `{one.name}`")
        elif one.kind in known and fold(one.name) not in known[one.kind]:
            yield Advice("--exclude-from", f"`{one.name}` is not a loaded {one.kind}")


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
        previous: The new roles of an earlier plan: each stays while it saves half of what a new one has to save.
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
