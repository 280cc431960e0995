"""Write a demo tenant as a folder that fills up: listings and past logs first, then its Activity Log in pieces."""

from __future__ import annotations

import datetime as dt
import shutil
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from rightsize.demo.activity_shapes import RowTexts, Shapes, activity_rows, homes
from rightsize.demo.activity_texts import write_texts
from rightsize.demo.tenant import SampleTenant

_LISTINGS = ("access", "catalog", "directory", "scopes")


@dataclass(frozen=True)
class Stream:
    """Records of the Activity Log, one text a row, with the hour in which they are received."""

    rows: pl.DataFrame

    @classmethod
    def of(cls, tenant: SampleTenant) -> Stream:
        """Return all records of a tenant."""
        texts = write_texts(tenant)
        row_texts, shapes = RowTexts(tenant, texts), Shapes(tenant)
        assert homes(texts)
        parts = []
        for part in activity_rows(tenant, texts).iter_slices(20_000):
            written = row_texts.of(part)
            parts.append(written.select("row_time", shapes.diagnostic(written).alias("text")))
        return cls(pl.concat(parts).sort("row_time", "text"))

    def write(self, path: Path, first: dt.datetime, last: dt.datetime) -> int:
        """Write the records from one instant to before another; return how many there are."""
        found = self.rows.filter((pl.col("row_time") >= first) & (pl.col("row_time") < last))
        if found.is_empty():
            return 0
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(found["text"]) + "\n", encoding="utf-8")
        return len(found)


def copy_listings(exports: Path, folder: Path) -> None:
    """Copy what a demo's exports have beside logs."""
    for name in _LISTINGS:
        if (exports / name).is_dir():
            shutil.copytree(exports / name, folder / name, ignore=shutil.ignore_patterns("*audit*", "*Audit*"))
