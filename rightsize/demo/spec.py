"""The options of a generated tenant: its size, its days, its seed and its attacks."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from rightsize.model.errors import UsageError

WINDOW_DAYS = 90
MIN_PRINCIPALS = 60
MIN_SUBSCRIPTIONS = 6
MAX_SUBSCRIPTIONS = 500
MIN_DAYS = 100
ATTACKS = (
    "user_takeover",
    "workload_takeover",
    "machine_takeover",
    "privilege_creep",
    "log_tampering",
    "role_handed_on",
    "night_activation",
)
"""A user's session and a workload's credential taken over, a machine's identity used by who runs code on it, privilege
gathered over weeks, monitoring switched off, a role given to somebody else who uses it, and an eligible role activated
at night, without the reason that was always given."""


@dataclass(frozen=True, slots=True)
class TenantSpec:
    """The options of a tenant. The same options give the same bytes, on every machine.

    Attributes:
        seed: Chooses ids, times and the work of generated staff; the cast and its story stay the same.
        principals: Number of principals; the first 60 are the cast.
        days: Days of exported activity, the last of which is `end_day`.
        end_day: The last day with activity.
        events: Approximate number of calls in the exports; None leaves it to the habits.
        subscriptions: Number of subscriptions; the first six are the cast's.
        attacks: The planted attacks, by their names in `ATTACKS`.
    """

    seed: int = 0
    principals: int = MIN_PRINCIPALS
    days: int = 120
    end_day: dt.date = dt.date(2026, 9, 30)
    events: int | None = None
    subscriptions: int = MIN_SUBSCRIPTIONS
    attacks: tuple[str, ...] = ("user_takeover",)

    def __post_init__(self) -> None:
        """Raise UsageError for a size that does not fit the story.

        Raises:
            UsageError: A size is out of its bounds, or an attack is not known.
        """
        unknown = sorted(set(self.attacks) - set(ATTACKS))
        if unknown:
            raise UsageError(f"`{unknown[0]}` is not an attack", hint=f"one of {', '.join(ATTACKS)}")
        if self.principals < MIN_PRINCIPALS:
            raise _too_small("principals", self.principals, MIN_PRINCIPALS)
        if self.days < MIN_DAYS:
            raise _too_small("days", self.days, MIN_DAYS)
        if self.subscriptions < MIN_SUBSCRIPTIONS:
            raise _too_small("subscriptions", self.subscriptions, MIN_SUBSCRIPTIONS)
        if self.subscriptions > MAX_SUBSCRIPTIONS:
            raise UsageError(
                f"a demo tenant of `{self.subscriptions}` subscriptions is too large: at most {MAX_SUBSCRIPTIONS}"
            )
        if self.events is not None and self.events < 1:
            raise _too_small("events", self.events, 1)

    @property
    def first_day(self) -> dt.date:
        """The first day with activity."""
        return self.end_day - dt.timedelta(days=self.days - 1)

    @property
    def window_start(self) -> dt.date:
        """The first day of the observation window that ends with `end_day`."""
        return self.end_day - dt.timedelta(days=WINDOW_DAYS - 1)

    def day_ago(self, days: int) -> dt.date:
        """Return the day that lies `days` before the last one."""
        return self.end_day - dt.timedelta(days=days)


def _too_small(what: str, given: int, least: int) -> UsageError:
    return UsageError(f"a demo tenant of `{given}` {what} is too small", hint=f"give --{what} at least {least}")
