"""Serve the tenant's Activity Log: the rows of its exports, with no more detail than the best export has."""

from __future__ import annotations

import datetime as dt
import re
import threading
from typing import TYPE_CHECKING

import polars as pl

from rightsize.demo.activity_files import outside_silence, routes
from rightsize.demo.activity_shapes import ADMINISTRATIVE, RowTexts, Shapes, activity_rows, homes
from rightsize.demo.activity_texts import write_texts
from rightsize.demo.tenant import WINDOW_DAYS, SampleTenant
from tests.loopback.wire import Answer, RefusalError, Request, arm_error, offset_of, skip_token

if TYPE_CHECKING:
    from tests.loopback.content import Content

# Their records always have claims.
_DIAGNOSTIC = ("blobs", "zip", "event_hub", "lines")
_TIME = re.compile(r"eventTimestamp\s+(ge|gt|le|lt)\s+'([^']+)'", re.IGNORECASE)


class Activity:
    """The rows as numbers, and their texts on demand.

    An export without evidence (the CLI's) or with whole milliseconds only (the portal's) has its rows told that way
    here too, unless another export tells the same row better: what is collected is then what the exports hold.
    """

    def __init__(self, tenant: SampleTenant) -> None:
        self._texts = write_texts(tenant)
        self.names = homes(self._texts)
        self._row_texts = RowTexts(tenant, self._texts)
        self._shapes = Shapes(tenant)
        rows = outside_silence(tenant, activity_rows(tenant, self._texts), self.names)
        held = dict.fromkeys(("told", "rich", "short", "diagnostic"), pl.lit(False))
        for route in routes(tenant):
            if route.home in self.names:
                home = self.names.index(route.home)
                here = (pl.col("home") == home) & pl.col("day").is_between(route.first_day, route.last_day)
                held["told"] |= here
                if route.shape != "cli":
                    held["rich"] |= here
                if route.shape == "portal":
                    held["short"] |= here
                if route.shape in _DIAGNOSTIC:
                    held["diagnostic"] |= here
        self.rows = rows.with_columns(**held).filter("told").drop("told")

    def common(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the texts that every shape of them is written from."""
        return self._shapes.common(self._frame(rows))

    def records(self, rows: pl.DataFrame) -> list[str]:
        """Return rows as the REST interface answers them."""
        return self._shapes.rest(self._frame(rows)).to_list()

    def _frame(self, rows: pl.DataFrame) -> pl.DataFrame:
        frame = self._row_texts.of(rows)
        poor = ~pl.col("rich") & (pl.col("category") == ADMINISTRATIVE)
        return frame.with_columns(
            pl.when(poor).then("authorization_plain").otherwise("authorization").alias("authorization"),
            pl.when("short").then(pl.col("row_time").dt.truncate("1ms")).otherwise("row_time").alias("row_time"),
            pl.when("short").then(pl.lit("0")).otherwise("digit").alias("digit"),
            (pl.col("has_claims") | pl.col("diagnostic")).alias("has_claims"),
        )


class ActivityOnce:
    """Makes the rows when they are first asked for, once, whichever thread asks."""

    def __init__(self, tenant: SampleTenant) -> None:
        self._tenant = tenant
        self._lock = threading.Lock()
        self._made: Activity | None = None

    def get(self) -> Activity:
        """Return the rows."""
        with self._lock:
            if self._made is None:
                self._made = Activity(self._tenant)
            return self._made


def activity_page(content: Content, request: Request, scope: str, size: int) -> Answer:
    """Answer `eventtypes/management/values` of a subscription, a management group or the tenant, newest first.

    Raises:
        RefusalError: The filter names no time, or one that is longer ago than the log is kept.
    """
    tenant = content.tenant
    conditions = _TIME.findall(request.query.get("$filter", ""))
    if not conditions:
        raise RefusalError(arm_error(400, "BadRequest", "The $filter must have a condition on eventTimestamp."))
    oldest = dt.datetime.combine(tenant.spec.day_ago(WINDOW_DAYS), dt.time(), dt.UTC)
    activity = content.activity.get()
    mine = activity.names.index(scope) if scope in activity.names else -1
    rows = activity.rows.filter(pl.col("home") == mine)
    for word, text in conditions:
        try:
            time = dt.datetime.fromisoformat(text)
        except ValueError:
            raise RefusalError(arm_error(400, "BadRequest", f"'{text}' is no time.")) from None
        time = time.replace(tzinfo=dt.UTC) if time.tzinfo is None else time.astimezone(dt.UTC)
        if word.lower() in ("ge", "gt") and time < oldest:
            raise RefusalError(arm_error(400, "BadRequest", "The start time cannot be more than 90 days in the past."))
        compare = {"ge": pl.Expr.ge, "gt": pl.Expr.gt, "le": pl.Expr.le, "lt": pl.Expr.lt}[word.lower()]
        rows = rows.filter(compare(pl.col("row_time"), pl.lit(time.replace(tzinfo=None))))
    token = request.query.get("$skiptoken", "")
    start = offset_of(token) if token else 0
    shown = rows.reverse()[start : start + size]
    link = (
        f',"nextLink":{_quoted(request.link(skiptoken=skip_token(start + size)))}' if start + size < rows.height else ""
    )
    text = '{"value":[' + ",".join(activity.records(shown) if shown.height else []) + "]" + link + "}"
    return Answer(document=text.encode())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
