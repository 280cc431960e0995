"""Find days on which a principal does what attackers seek on many more resources than before, as reading all keys.

Whoever lists the keys of one account every day is no surprise, and a list of forty is. The number of resources beyond
the first is compared with a geometric distribution, whose tail is heavier than Poisson's. Its mean is that of the
principal's own days with such calls. While there are few of them, it is drawn to that of the days on which its kind had
more than one resource, since principals differ. A day below twice the busiest one of its past does not count. Neither
does a resource that the principal created itself in the two weeks before: whoever sets up an environment reads its
keys. Such a resource does count if the call that created it is of the class itself, as that of a snapshot is.
"""

from __future__ import annotations

import polars as pl

from rightsize.analyze.behaviour.context_signals import log2

CLASSES = ("secret", "exfiltration", "destruction")
"""The classes of which many resources a day are tested; whoever deploys writes to many every day."""
LEAST = 5
"""The fewest resources of a day that is tested."""
FRESH = 14
"""The days after its creation in which the use of a resource by its creator does not count."""
ALONE = 18.0
"""Bits from which on the number of resources is a finding without any other fact."""

_PRIOR = 10.0
"""Days of the kind that count beside those of the principal."""
_MOST = 20.0


def find_breadth(breadth: pl.DataFrame, judged: pl.DataFrame) -> pl.DataFrame:
    """Return the days with calls on far more resources than before, of the class that surprises most.

    Args:
        breadth: `principal_id, risk, day, resources, made, days, total, kind_days, kind_total`, as
            `store.habits.BREADTH` has them.
        judged: The days that are judged: `principal_id, day`.
    """
    among = (pl.col("kind_total") - pl.col("kind_days") + 2 * _PRIOR) / (pl.col("kind_days") + _PRIOR)
    mean = (pl.col("total") - pl.col("days") + _PRIOR * among) / (pl.col("days") + _PRIOR)
    left = pl.col("resources") - pl.col("made")
    return (
        breadth.join(judged.select("principal_id", "day"), on=["principal_id", "day"])
        .filter(left >= LEAST)
        .with_columns(
            bits=pl.min_horizontal((left - 1) * (log2(1 + mean) - log2(mean)), _MOST), kind=pl.lit("breadth"),
            what=pl.concat_str(left.cast(pl.String), pl.col("risk"), separator="\x1f"),
        )
        .sort("bits", "risk", descending=[True, False])
        .unique(["principal_id", "day"], keep="first", maintain_order=True)
    )  # fmt: skip
