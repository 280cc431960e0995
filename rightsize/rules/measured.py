"""Look up how often plans broke something on generated tenants, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

from rightsize.rules.tables import rows_of

_UNLOGGED = "unlogged"


@dataclass(frozen=True, slots=True)
class MeasuredRate:
    """The number of proposals that broke something, or of needs that were lost, as `docs/figures.md` has it.

    Attributes:
        what: The basis of the estimate of the proposals, or `unlogged`: needs that no log shows.
        new_weeks: The weeks with a novelty that no other week has; the largest number means that and more. None for
            any number.
        broke: The number that broke.
        of: The number of all.
        measured: The day of the measurement.
    """

    what: str
    new_weeks: int | None
    broke: int
    of: int
    measured: str


def measured_proposals() -> tuple[MeasuredRate, ...]:
    """Return the measured rates of proposals, by the basis of their estimate and the weeks that brought something."""
    return tuple(one for one in _rates() if one.what != _UNLOGGED)


def measured_unlogged() -> MeasuredRate:
    """Return the measured rate of lost needs that no log shows."""
    (rate,) = (one for one in _rates() if one.what == _UNLOGGED)
    return rate


def describe_unlogged() -> str:
    """Return the sentence that says what a chance of breaking does not cover, with the rate that was measured."""
    rate = measured_unlogged()
    return (
        "The chance of breaking leaves out needs that no log shows. On generated tenants, plans with default options "
        f"lost {rate.broke} of {rate.of} of them ({100 * rate.broke / rate.of:.1f} %, measured {rate.measured})."
    )


def _rates() -> tuple[MeasuredRate, ...]:
    return tuple(
        MeasuredRate(
            row["what"],
            int(row["new_weeks"]) if row["new_weeks"] else None,
            int(row["broke"]),
            int(row["of"]),
            row["measured"],
        )
        for row in rows_of("measured_breaks")
    )
