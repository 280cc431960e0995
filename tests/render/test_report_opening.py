"""The first pictures of the report: shares, planes, danger and jobs, on tenants made by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from rightsize.model.plan import PROPOSAL_KINDS
from rightsize.model.plan_totals import TODAY, Danger, NextStep, NextSteps, Reached
from rightsize.render.report.figures import Figures, Sources
from rightsize.render.report.page import danger_cards
from rightsize.render.report.sections import job_picture

HOSTILE = "\u202e\x1b[2J<img src=x>"
COUNTS = {"granted": 10, "used": 1, "unused": 4, "unobservable": 5, "out_of_coverage": 0}


def step(rank: int, who: str, kind: str = "remove", *, is_emergency: bool = False, **more: Any) -> NextStep:
    known: dict[str, Any] = {
        "wave": TODAY, "plane": "directory", "proposal": f"p{rank}", "also": (), "together_with": (), "role": "Owner",
        "scope": "/", "becomes": (), "removes": 1.0, "latent": 0.0, "share": 0.1, "total": 0.1, "new_roles": (),
        "makes_roles": (), "reached": Reached(people=1), "chance": 0.01, "bound": None, "reason": "it is unused",
        "grant": f"a-{rank}", "state": "active", "of_all": 0.1, "total_of_all": 0.1,
        "danger": Danger(is_emergency, 1, False, "assigns itself any role"),
    }  # fmt: skip
    return NextStep(rank=rank, principal_id=who, kind=PROPOSAL_KINDS[kind], **known | more)


def reached(subject: str, steps: int | None, **more: Any) -> dict[str, Any]:
    return {"state": "active", "takes_tenant": True, "subject": subject, "tenant_steps": steps} | more


def figures_of(*steps: NextStep, jobs: Any = None, **more: Any) -> Figures:
    overview = SimpleNamespace(
        principals=pl.DataFrame({"principal_id": ["ann"], "name": [f"Ann{HOSTILE}"]}),
        roles=pl.DataFrame(schema={"role": pl.String, "role_name": pl.String}),
        by_plane={"control": COUNTS, "data": dict.fromkeys(COUNTS, 0)},
    )
    known: dict[str, Any] = {
        "planned_roles": {},
        "scope_names": {},
        "reach": (),
        "blasts": (),
        "planes": (),
        "proposals": (),
    }
    sources = SimpleNamespace(overview=overview, jobs=jobs or {}, steps=NextSteps(steps), **known | more)
    return Figures(cast("Sources", sources))


def test_the_first_five_steps_of_today_are_cards_in_their_order() -> None:
    """Later waves have none, and nor has a report without a plan."""
    found = danger_cards(figures_of(*(step(rank, f"p{rank}") for rank in range(1, 8)), step(8, "later", wave=1)))
    assert [card["name"] for card in found["cards"]] == ["p1", "p2", "p3", "p4", "p5"]
    assert found["whole"] == 7
    assert danger_cards(figures_of()) == {"cards": [], "whole": 0, "stays": []}


def test_a_change_says_what_it_takes_away_its_effort_and_its_way_back() -> None:
    (card,) = danger_cards(figures_of(step(1, "ann")))["cards"]
    assert (card["does"], card["gives"]) == ("remove Owner at the directory", "assigns itself any role")
    assert (card["effort"], card["back"]) == ("touches 1 person; may break 1.0 %", "assign it again")
    assert (card["takes"], card["left"], card["kept"]) == ("", "", "")
    assert not {"\u202e", "\x1b"} & set(card["name"])


def test_only_a_principal_of_the_page_is_a_link() -> None:
    cards = danger_cards(figures_of(step(1, "ANN"), step(2, "unlisted")))["cards"]
    assert [card["principal_id"] for card in cards] == ["ANN", ""]


def test_an_emergency_access_account_is_named_and_never_a_card() -> None:
    stays = [step(rank, "safe", "keep", is_emergency=True) for rank in (2, 3)]
    found = danger_cards(figures_of(step(1, "other"), *stays))
    assert [card["name"] for card in found["cards"]] == ["other"]
    assert (found["whole"], found["stays"]) == (1, ["safe"])


def test_what_the_plan_keeps_is_a_question_with_its_reason() -> None:
    """Of a long reason only the beginning, and nothing is undone."""
    reasons = (f"waits: 28 of 230{HOSTILE} (27 on days without a log). To decide: a log", "word " * 60)
    kept = (step(rank, "ann", "keep", reason=reason) for rank, reason in enumerate(reasons, 1))
    first, second = danger_cards(figures_of(*kept))["cards"]
    assert first["does"] == "ask whether Owner at the directory is needed, or whether eligible is enough"
    assert first["kept"].startswith("waits: 28 of 230") and "27 on days" not in first["kept"]
    assert not {"\u202e", "\x1b"} & set(first["kept"])
    assert len(second["kept"]) <= 110 and second["kept"].endswith("word …")
    assert first["back"] == "" and "may break" not in first["effort"]


def test_who_takes_the_whole_tenant_is_told_for_the_state_of_the_assignment() -> None:
    reach = [
        reached("ann", 1, state="eligible"),
        reached("ann", 5),
        reached("safe", None, takes_tenant=False),
    ]
    steps = step(1, "ANN", state="eligible"), step(2, "ann"), step(3, "safe")
    assert [card["takes"] for card in danger_cards(figures_of(*steps, reach=reach))["cards"]] == [
        "whole tenant in 1 step, once activated", "whole tenant in 5 steps", ""
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (None, ""),
        ([], "The plan leaves no way."),
        ([{"to": "x"}] * 3, "Under the whole plan, a way of 3 steps is left."),
    ],
)
def test_a_card_says_what_the_whole_plan_leaves(after: Any, said: str) -> None:
    """A step that closes one way of several is no promise; the ways drawn are of what is active."""
    blasts = [{"subject": "ann", "way": {"after": after}}]
    reach = [reached("ann", 1), reached("ann", 1, state="eligible")]
    steps = step(1, "ann"), step(2, "ann", state="eligible")
    cards = danger_cards(figures_of(*steps, reach=reach, blasts=blasts))["cards"]
    assert [card["left"] for card in cards] == [said, ""]


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
