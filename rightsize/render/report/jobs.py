"""Compute the report's section of jobs: who shares what, and who does what nobody else of the job does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rightsize.model.tables.answers import DONE_BY
from rightsize.render.report.figures import SHOWN, Figures
from rightsize.render.report.sources import clean

_NAMED = 6


def job_rows(figures: Figures) -> list[dict[str, Any]]:
    """Return a row a job, the most holders first: its holders, what all, most and few of them do, and who is alone.

    Each list names the first few, with the number of the `more`.
    """
    tables = figures.sources.jobs
    if not tables:
        return []
    operations, holders = (tables[name].rows_by_key("job", named=True) for name in ("job_operations", "job_holders"))
    rows = []
    for row in tables["jobs"].head(SHOWN).iter_rows(named=True):
        those = holders[row["job"]]
        alone = [one for one in those if one["alone_operations"]]
        done = {
            word: _first([one["operation"] for one in operations[row["job"]] if one["done_by"] == word])
            for word in DONE_BY
        }
        rows.append(
            {
                "name": clean(row["name"]),
                "role": figures.role_name(row["role"]) if row["role"] else "",
                "holder_count": row["holder_count"],
                "holders": _first([figures.principal_name(one["principal_id"]) for one in those]),
                "done": done,
                "alone": [
                    (figures.principal_name(one["principal_id"]), _first(one["alone_operations"]))
                    for one in alone[:_NAMED]
                ],
                "more_alone": max(0, len(alone) - _NAMED),
            }
        )
    return rows


def _first(texts: Sequence[str]) -> dict[str, Any]:
    return {"shown": [clean(text) for text in texts[:_NAMED]], "more": max(0, len(texts) - _NAMED)}
