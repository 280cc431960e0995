"""Read which operations attackers seek beyond the risk classes of the catalogue, and how long first uses are held."""

from __future__ import annotations

from functools import cache

import polars as pl

from rightsize.rules.matching import first_match
from rightsize.rules.tables import rows_of


def sought_classes(names: pl.Series) -> pl.Series:
    """Return for each folded operation the class that attackers seek it for, null where no rule names one.

    The rules are those for operations of Azure that carry data away, and those for actions of the directory.
    """
    rules = [(row["pattern"], row["risk"]) for row in rows_of("behaviour_risks") if not row["only_breadth"]]
    rules += [(f"microsoft.directory/{row['pattern'].removeprefix('*/')}", row["risk"])
              for row in rows_of("directory_risk") if row["pattern"].startswith("*/")]  # fmt: skip
    return _classes(names, rules)


def breadth_classes(names: pl.Series) -> pl.Series:
    """Return for each folded operation the class in which its resources of a day are counted, null for its own class.

    Access to a disk reads its secrets, and on many disks a day it carries data away as a snapshot does.
    """
    return _classes(names, [(row["pattern"], row["risk"]) for row in rows_of("behaviour_risks") if row["only_breadth"]])


def _classes(names: pl.Series, rules: list[tuple[str, str]]) -> pl.Series:
    found = first_match(names, [pattern for pattern, _ in rules])
    return pl.DataFrame({"rule": found}).select(
        pl.col("rule").replace_strict(range(len(rules)), [risk for _, risk in rules], default=None,
                                      return_dtype=pl.String)
    )["rule"]  # fmt: skip


@cache
def hold_days(basis: str) -> int:
    """Return for how many days a use is held without a decision: after unusual `behaviour`, or after a `signal`."""
    return next(int(row["days"]) for row in rows_of("behaviour_holds") if row["basis"] == basis)
