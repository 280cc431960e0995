"""Define and validate the options of a plan that a person may choose, and the exclusions that a file names.

Each exclusion has a reason, an owner and the day on which it ends. An exclusion that has ended excludes nothing: it is
reported, so that its owner renews it or accepts the plan. Days are compared with the day of the plan, never with the
clock.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import polars as pl

from rightsize.analyze.inputs import Inputs, ScopeTree, containing, folded, place_of
from rightsize.analyze.window import DEFAULT_DAYS, Window
from rightsize.model.decisions import Form, day_of, known_fields, read_entries, text_of
from rightsize.model.errors import InputError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.options import PlanChoices, Reads, declared
from rightsize.model.plan import Advice
from rightsize.model.role_forms import hash_of_role
from rightsize.model.text import fold
from rightsize.rbac.scopes import parse_scope

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


SEPARATE_LAYERS = "--separate-layers"
"""The subject of the advice to use this option."""


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


_SAID_WHERE_SET = ("previous", "separate_layers", "min_days", "standby")
"""The options that a plan has only where they are set: plans from before these options existed do not have the keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOptions(PlanChoices):
    """The options of one run, with what the files say that they name.

    Attributes:
        previous: The new roles of an earlier plan: each stays while it saves half of what a new one has to save.
        exclusions: Further exclusions from files, each with its reason, owner and end.
    """

    previous: tuple[RoleDefinition, ...] = ()
    exclusions: tuple[Exclusion, ...] = ()

    @classmethod
    def of(
        cls, choices: PlanChoices, previous: Iterable[RoleDefinition] = (), exclusions: Iterable[Exclusion] = ()
    ) -> PlanOptions:
        """Return the options that a person chose, with what the named files say."""
        chosen = {one.name: getattr(choices, one.name) for one in fields(PlanChoices)}
        return cls(**chosen, previous=tuple(previous), exclusions=tuple(exclusions))

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
        said: dict[str, Any] = {name: getattr(self, name) for name in declared(PlanOptions) if name != "as_of"}
        said |= {
            "min_window": self.min_window or window_days,
            "exclude_from": [one.as_json() for one in sorted(set(self.exclusions))],
            "previous": tuple(hash_of_role(role) for role in self.previous),
        }
        plain = {name: sorted(set(one)) if isinstance(one, tuple) else one for name, one in said.items()}
        always = {name: plain[name] for name in sorted(plain) if name not in _SAID_WHERE_SET}
        return always | {name: plain[name] for name in _SAID_WHERE_SET if plain[name]}
