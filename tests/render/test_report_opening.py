"""The first pictures of the report: shares, planes, danger and jobs, on tenants made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from rightsize.model.plan_totals import NextSteps
from rightsize.render.report.danger import danger_cards
from rightsize.render.report.figures import Figures
from rightsize.render.report.sections import job_picture
from rightsize.render.report.sources import Sources

HOSTILE = "\u202e\x1b[2J<img src=x>"
NO_FINDING = {"control": [], "subject": [], "principal_id": [], "severity": [], "reason": []}
COUNTS = {"granted": 10, "used": 1, "unused": 4, "unobservable": 5, "out_of_coverage": 0}


def proposal(id_: str, who: str, kind: str = "remove", plane: str = "control", **more: Any) -> dict[str, Any]:
    evidence = {"role": "Owner", "scope": "/", **more.pop("evidence", {})}
    numbers = dict.fromkeys(("excess_before", "excess_after", "risk_before", "risk_after"), 1.0)
    return {"id": id_, "kind": kind, "plane": plane, "principal_ids": [who], "replaces": [f"a-{id_}"],
            "reason": "it is unused", "evidence": evidence, **numbers, **more}  # fmt: skip


def reached(subject: str, steps: int, **more: Any) -> dict[str, Any]:
    known = {"kind": "principal", "state": "active", "takes_tenant": True, "cells_used": 0, "name": subject}
    return known | {"subject": subject, "tenant_steps": steps} | more


def finding(subject: str, who: str, **more: Any) -> dict[str, Any]:
    return {
        "control": "c",
        "subject": subject,
        "principal_id": who,
        "severity": "high",
        "reason": "gives rights",
    } | more


def figures_of(
    *, proposals: Any = (), beyond: Any = (), reach: Any = (), findings: Any = (), jobs: Any = None, **more: Any
) -> Figures:
    overview = SimpleNamespace(
        principals=pl.DataFrame(schema={"principal_id": pl.String, "name": pl.String}),
        roles=pl.DataFrame(schema={"role": pl.String, "role_name": pl.String}),
        by_plane={"control": COUNTS, "data": dict.fromkeys(COUNTS, 0)},
    )
    table = pl.DataFrame(list(findings)) if findings else pl.DataFrame(NO_FINDING, schema_overrides=dict.fromkeys(
        NO_FINDING, pl.String))  # fmt: skip
    known = {"planned_roles": {}, "scope_names": {}, "blasts": (), "steps": NextSteps(), "planes": ()}
    sources = SimpleNamespace(
        overview=overview, proposals=proposals, beyond=beyond, reach=reach, findings=table, jobs=jobs or {},
        **known | more,
    )  # fmt: skip
    return Figures(cast("Sources", sources))


def names(figures: Figures) -> list[str]:
    return [card["name"] for card in danger_cards(figures)["cards"]]


def test_who_takes_the_tenant_in_fewer_steps_is_more_dangerous() -> None:
    """What can be changed goes before what the plan keeps, and the severe findings of others come last."""
    reach = [reached("far", 3), reached("kept", 1), reached("near", 1), reached("vm", 1, kind="resource")]
    own = [proposal("1", "far"), proposal("2", "kept", "keep"), proposal("3", "near"), proposal("4", "rated")]
    figures = figures_of(proposals=own, reach=reach, findings=[finding("a-4", "rated")])
    assert names(figures) == ["near", "kept", "far", "rated"]


def test_an_outside_subject_that_is_trusted_too_widely_comes_first() -> None:
    """It shares its step with the principal that trusts it, so the step has one card."""
    trust = {"issuer": "https://i", "subject": "pull", "risk": "high"}
    step = proposal("1", "app", plane="trust", evidence={"trust": trust, "role": "pull requests"})
    reach = [reached("near", 1), reached("app", 2), reached("https://i pull", 4, kind="outsider", name="pull (i)")]
    figures = figures_of(proposals=[proposal("2", "near")], beyond=[step], reach=reach)
    assert names(figures) == ["pull", "near"]


@pytest.mark.parametrize(
    "more",
    [
        {"findings": [finding("safe", "safe", control="emergency_access_account", severity="low")]},
        {"proposals": [proposal("1", "safe", "keep", evidence={"by_design": "emergency_access"})]},
        {"beyond": [proposal("1", "safe", "keep", "directory", reason="emergency_access: its holder is one")]},
    ],
)
def test_an_emergency_access_account_is_named_and_never_a_step(more: dict[str, Any]) -> None:
    found = danger_cards(figures_of(reach=[reached("safe", 1), reached("other", 2)], **more))
    assert [card["name"] for card in found["cards"]] == ["other"]
    assert found["stays"] == ["safe"]


def test_what_the_plan_keeps_is_a_question_with_its_reason() -> None:
    kept = proposal("1", "ann", "keep", reason=f"waits: 28 of 230 {HOSTILE}; what would tell: a log")
    (card,) = danger_cards(figures_of(proposals=[kept], reach=[reached("ann", 1)]))["cards"]
    assert card["does"].startswith("ask its owner whether Owner at / is needed; the plan keeps it: waits: 28 of 230")
    assert "what would tell" not in card["does"]
    assert not {"\u202e", "\x1b"} & set(card["does"])
    assert card["back"] == "nothing changes yet"


def test_the_worst_of_what_a_subject_holds_is_on_its_card() -> None:
    """A severe finding first, and its reason is told."""
    own = [proposal("1", "ann", "keep"), proposal("2", "ann", "keep", evidence={"role": "Rated", "scope": "/x"})]
    findings = [finding("a-2", "ann", reason="it can give anybody rights")]
    (card,) = danger_cards(figures_of(proposals=own, reach=[reached("ann", 1)], findings=findings))["cards"]
    assert "Rated" in card["does"]
    assert card["because"] == "it can give anybody rights"
    assert card["takes"] == "whole tenant in 1 step"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (None, ""),
        ([], "The plan leaves no way."),
        ([{"to": "x"}] * 3, "Under the whole plan, a way of 3 steps is left."),
    ],
)
def test_a_card_says_what_the_whole_plan_leaves(after: Any, said: str) -> None:
    """A step that closes one way of several is no promise."""
    way = {"to": "tenant", "today": [{"why": "is admin", "to": "tenant"}], "after": after}
    blasts = [{"subject": "ann", "name": "ann", "way": way}]
    (card,) = danger_cards(figures_of(reach=[reached("ann", 1)], blasts=blasts))["cards"]
    assert (card["because"], card["left"]) == ("is admin: tenant", said)


def test_the_first_five_of_many_are_shown() -> None:
    found = danger_cards(figures_of(reach=[reached(f"p{number}", 1) for number in range(9)]))
    assert (len(found["cards"]), found["whole"]) == (5, 9)


def test_each_plane_with_grants_has_a_bar() -> None:
    graph = SimpleNamespace(plane="graph", assignments=pl.DataFrame([COUNTS, COUNTS]))
    bars = figures_of(planes=[graph]).plane_bars()
    assert [(one["title"], one["granted"], one["used"]) for one in bars] == [
        ("Azure control plane", 10, 1), ("Microsoft Graph permissions", 20, 2)
    ]  # fmt: skip
    assert all(round(sum(width for *_, width in one["bar"])) == 100 for one in bars)


def tables(holders: list[tuple[int, str, list[str]]], jobs: int) -> dict[str, pl.DataFrame]:
    held = [{"job": job, "principal_id": who, "alone_operations": alone} for job, who, alone in holders]
    types = {"job": pl.Int64, "principal_id": pl.String, "alone_operations": pl.List(pl.String)}
    named = [{"job": job, "name": f"job {job}", "holder_count": 1} for job in range(jobs)]
    return {"jobs": pl.DataFrame(named), "job_holders": pl.DataFrame(held, schema=types)}


def test_holders_of_the_same_jobs_share_a_row() -> None:
    found = job_picture(figures_of(jobs=tables([(0, "b", []), (0, "a", ["x"]), (1, "c", []), (0, "c", [])], 2)))
    assert found is not None
    assert [(row["name"], row["holders"], row["cells"]) for row in found["rows"]] == [
        ("a", 2, ["alone", ""]),
        ("c", 1, ["shared", "shared"]),
    ]
    assert job_picture(figures_of()) is None


def test_the_picture_of_jobs_says_what_it_leaves_out() -> None:
    many = [(job, f"p{job}-{who}", []) for job in range(25) for who in range(2)]
    wide = [(job, f"q{job}", []) for job in range(20)] + [(19 - job, f"q{job}", []) for job in range(20)]
    found = job_picture(figures_of(jobs=tables(many + wide, 25)))
    assert found is not None
    assert (len(found["jobs"]), found["more_jobs"]) == (20, 5)
    assert len(found["rows"]) + found["more_rows"] == 30
    deep = [(job, f"r{job}-{other}", []) for job in range(20) for other in range(job)]
    deep += [(other, f"r{job}-{other}", []) for job in range(20) for other in range(job)]
    found = job_picture(figures_of(jobs=tables(deep, 20)))
    assert found is not None
    assert (len(found["rows"]), found["more_rows"]) == (30, 160)
