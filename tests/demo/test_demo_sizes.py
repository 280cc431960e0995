"""Tenant sizes are options, and the demo's story fits each size."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.demo.generator import generate, write_exports
from rightsize.demo.tenant import MAX_SUBSCRIPTIONS, TenantSpec
from rightsize.model.errors import UsageError
from tests.examples import FEW
from tests.tenants.oracle import Oracle


@pytest.mark.parametrize(
    "sizes",
    [{"principals": 59}, {"days": 99}, {"subscriptions": 5}, {"subscriptions": MAX_SUBSCRIPTIONS + 1}, {"events": 0}],
)
def test_a_size_in_which_the_story_would_not_fit_is_refused(sizes: dict[str, int]) -> None:
    """The message names the size, and the hint the least one."""
    with pytest.raises(UsageError, match=f"`{next(iter(sizes.values()))}`"):
        TenantSpec(**sizes)


@pytest.mark.nightly
def test_a_larger_tenant_has_the_size_that_was_asked_for(tmp_path: Path) -> None:
    """Principals, subscriptions and days exactly, calls about."""
    spec = TenantSpec(principals=300, subscriptions=9, days=130, events=20_000)
    truth = write_exports(generate(spec), tmp_path)
    assert sum(truth["events"]["activity_log"].values()) + truth["events"]["storage_log"] == pytest.approx(
        20_000, rel=0.05
    )
    assert truth["first_day"] == (spec.end_day - dt.timedelta(days=129)).isoformat()
    oracle = Oracle(tmp_path)
    assert len([scope for scope in oracle.above if scope.startswith("/subscriptions/")]) == 9
    refused = [
        need
        for need in truth["needs"]
        if not oracle.grants(
            need["role_assignment_id"], need["principal_id"], need["operation"], need["scope"], need["plane"]
        )
    ]
    assert refused == []


@pytest.mark.slow
@given(
    seed=st.integers(0, 2**32),
    principals=st.integers(60, 200),
    days=st.integers(100, 150),
    events=st.none() | st.integers(1, 6000),
    subscriptions=st.integers(6, 12),
)
@FEW
def test_every_tenant_is_whole(seed: int, principals: int, days: int, events: int | None, subscriptions: int) -> None:
    """Ids are unique, habits point at people who exist, and calls fall on days of the spec."""
    spec = TenantSpec(seed, principals, days, events=events, subscriptions=subscriptions)
    tenant = generate(spec)
    listed = [p for p in tenant.principals if "gone" not in p.options]
    assert len(listed) == principals
    assert len({p.principal_id for p in tenant.principals}) == len(tenant.principals)
    assert len({g.grant_id for g in tenant.grants}) == len(tenant.grants)
    assert {h.principal_id for h in tenant.habits} <= {p.principal_id for p in tenant.principals}
    assert tenant.calls.select(pl.col("day").is_between(0, days - 1).all()).item()
    dates = tenant.calls.select((pl.col("time").dt.date() - spec.first_day).dt.total_days() == pl.col("day"))
    assert dates.to_series().all()


@pytest.mark.slow
def test_habits_of_one_bundle_are_one_request() -> None:
    """They happen within seconds of each other, on the same days."""
    tenant = generate()
    bundled = [index for index, habit in enumerate(tenant.habits) if habit.bundle == "release"]
    assert len(bundled) > 3
    calls = (
        tenant.calls.filter(pl.col("habit").is_in(bundled))
        .group_by("call")
        .agg(pl.len().alias("habits"), (pl.col("time").max() - pl.col("time").min()).dt.total_seconds().alias("apart"))
    )
    assert calls["habits"].unique().to_list() == [len(bundled)]
    assert calls["apart"].max() < 20  # type: ignore[operator]


@pytest.mark.slow
def test_what_happens_at_all_happens_in_the_window() -> None:
    """However few calls are asked for, each habit of today keeps one near the end of its days."""
    spec = TenantSpec(events=1)
    tenant = generate(spec)
    last = dict(tenant.calls.group_by("habit").agg(pl.col("day").max()).iter_rows())
    start = spec.days - 90
    late = [index for index, habit in enumerate(tenant.habits) if habit.last_ago == 0]
    assert all(last[index] >= start for index in late)
