"""Daily passes over planted attacks report what hourly ones report, and passes that read less report the same."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from rightsize.guard.watch.conclude import WatchSettings
from rightsize.guard.watch.run import Outlets, run_pass
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.behaviour import behaviour_of_days
from rightsize.workflow.analysis.behaviour_inputs import Reader, read_news
from tests.bench.bench_signals import background
from tests.bench.planted_attacks import (
    START,
    Case,
    Cast,
    app_credential,
    moment,
    night_activation,
    night_on_call,
    role_handed_on,
    staged,
    stolen_token,
)
from tests.bench.planted_surfaces import keys_and_sas
from tests.bench.quiet_tenant import Made, load_frames, make_quiet, write_quiet

pytestmark = pytest.mark.nightly

SEED = 211
CASES = (stolen_token, app_credential, night_activation, role_handed_on, night_on_call, keys_and_sas)


class Days:
    """A quiet tenant in which some cases happen at once."""

    def __init__(self, made: Made, root: Path) -> None:
        self.made, self.db, self.cases = made, root / "begun.duckdb", list[Case]()
        early = pl.col("time") < moment(START, 0)
        write_quiet(replace(made, events=made.events.filter(early), sign_ins=made.sign_ins.filter(early)), self.db)
        cast = Cast(made, SEED)
        for number, maker in enumerate(CASES):
            cast.rng = np.random.default_rng([SEED, number])
            self.cases.append(maker(cast))
        # Each listing is loaded before: what a pass of the hour has seen of it is no question here.
        for case in self.cases:
            before = [{"event_rows": self.rows(case.history)}] if case.history is not None else []
            with open_store(self.db, read_only=False) as store:
                for frames in (case.listings, case.later, *before):
                    load_frames(store, frames, "before")
        run_pass(self.db, [], WatchSettings(), Outlets(list), collect=dict)

    @staticmethod
    def rows(calls: pl.DataFrame) -> pl.DataFrame:
        return staged(Case(calls), dt.datetime.max, dt.datetime.min)["event_rows"]

    def passes(self, db: Path, steps: Sequence[dt.datetime]) -> list[tuple[str, str, str]]:
        """Make a pass at each time over what came since the one before; return what was told, sorted.

        Made records of logs have keys that depend on how they are staged, so only behaviour is compared by its id.
        """
        shutil.copy(self.db, db)
        told: list[tuple[str, str, str]] = []
        outlets = Outlets(
            lambda rows: told.extend(
                (row["kind"], row["change_id"] if row["kind"] == "behaviour" else "", row["severity"]) for row in rows
            )
        )
        since = moment(START, 0)
        for step in steps:

            def collect(since: dt.datetime = since, step: dt.datetime = step) -> dict[str, str]:
                with open_store(db, read_only=False) as store:
                    parts = [background(self.made, since, step), *(staged(case, step, since) for case in self.cases)]
                    for number, frames in enumerate(parts):
                        if frames:
                            load_frames(store, frames, f"{step} {number}")
                return {}

            run_pass(db, [], WatchSettings(), outlets, collect=collect)
            since = step
        return sorted(told)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Days:
    return Days(make_quiet(SEED, START + 4), tmp_path_factory.mktemp("days"))


def test_daily_passes_report_what_hourly_ones_report(days: Days, tmp_path: Path) -> None:
    """Each finding once with its first severity, and once more where it became severer, by the same ids."""
    calls = pl.concat([case.calls["time"] for case in days.cases]).sort()
    ends = {moment(day, 24) for day in range(START, START + 4)}
    hours = {time.replace(minute=0, second=0) + dt.timedelta(hours=1) for time in calls}
    hourly = days.passes(tmp_path / "hourly.duckdb", sorted(hours | ends))
    daily = days.passes(tmp_path / "daily.duckdb", sorted(ends))
    assert sum(kind == "behaviour" for kind, *_ in hourly) >= len(CASES) - 1
    assert daily == hourly


def test_who_has_no_news_has_no_unusual_day(days: Days, tmp_path: Path) -> None:
    """Judged by what has any news alone, each day has the findings that it has judged by everything."""
    db = tmp_path / "all.duckdb"
    shutil.copy(days.db, db)
    with open_store(db, read_only=False) as store:
        end = moment(START + 4, 0)
        load_frames(store, background(days.made, moment(START, 0), end), "rest")
        for case in days.cases:
            load_frames(store, staged(case, end, moment(START, 0)), "case")
        found = 0
        for day in (START + 1, START + 2):
            some = [moment(day, 0).date()]
            news = read_news(Reader(store), some)
            whole = behaviour_of_days(Reader(store), some)
            assert_frame_equal(behaviour_of_days(Reader(store), some, news), whole)
            assert news["principal_id"].n_unique() < 30
            found += whole.height
    assert found >= len(CASES) - 1
