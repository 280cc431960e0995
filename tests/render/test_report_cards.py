"""The report's card of what stays unknown, and its section of what stays by design, on proposals made by hand."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from rightsize.render.report.figures import Figures, Sources, Undecided
from rightsize.render.report.sections import by_design_part, unknown_card

HOSTILE = "\u202e\x1b[2J<img src=x>"


def proposal(number: int, before: float, after: float, reason: str, **more: Any) -> dict[str, Any]:
    evidence = {"role": "r", "scope": "/subscriptions/s", **more.pop("evidence", {})}
    known = {"id": f"p{number}", "kind": "keep", "plane": "control", "principal_ids": ["ann"], "reason": reason}
    known |= {"assignments": [], "break_probability_30d": 0, "proof": {"used_subset": True, "granted_superset": True}}
    weights = {"excess_before": before, "excess_after": after, "risk_before": before, "risk_after": after}
    return known | weights | {"evidence": evidence} | more


OWNER = proposal(
    9, 900, 900, "last owner: nobody else; enough would be two",
    evidence={"by_design": "last_owner", "enough": "two `Owner`s"},
)  # fmt: skip
PROPOSALS = [
    proposal(1, 60, 10, "keeps 3 of 9", kind="custom"),
    proposal(2, 30, 30, "cannot narrow: 0 of 9 were used", evidence={"latent": {"before": 10, "after": 10}}),
    proposal(3, 10, 10, f"young{HOSTILE}: it is new"),
    proposal(4, 10, 0, "nobody used it", kind="remove"),
    OWNER,
]


def option(rank: int, **more: Any) -> dict[str, Any]:
    known = {
        "rank": rank, "title": f"log {rank}", "excess": 50, "share": 0.5, "expected": 49, "operations": 7,
        "assignments": 1, "needs": [], "gb_per_month": None, "price_per_month": 0.0, "currency": "USD",
        "plan": "analytics", "price_as_of": None, "is_sent": False, "is_assumed": False, "licence": None,
        "decides_on": dt.date(2026, 10, 1), "commands": ["rightsize load x"],
    }  # fmt: skip
    return known | more


def figures_of(*options: dict[str, Any], beyond: tuple[dict[str, Any], ...] = ()) -> Figures:
    nothing = {"name": pl.String}
    overview = SimpleNamespace(
        principals=pl.DataFrame(schema={"principal_id": pl.String, **nothing}),
        roles=pl.DataFrame(schema={"role": pl.String, "role_name": pl.String}),
    )
    undecided = Undecided(options, decidable=0.6, region="us")
    sources = SimpleNamespace(
        overview=overview, planned_roles={}, proposals=PROPOSALS, beyond=beyond, undecided=undecided, scope_names={}
    )
    return Figures(cast("Sources", sources))


def test_what_stays_is_a_share_of_all_live_excess() -> None:
    """With what stays by design, which has no row; a share for each reason, the largest first."""
    stays = unknown_card(figures_of())["stays"]
    whole = 60 + 20 + 10 + 10 + 900
    assert [(one["excess"], one["share"], one["assignments"]) for one in stays] == [
        (left, 100 * left / whole, 1) for left in (20, 10, 10)
    ]
    assert stays[0]["text"] == "kept whole: no log shows most of it"
    assert {one["text"] for one in stays[1:]} > {"kept without evidence in new or smaller roles"}
    assert not any({"\u202e", "\x1b"} & set(one["text"]) for one in stays)


def test_every_share_on_the_page_counts_what_stays_by_design() -> None:
    figures = figures_of()
    exposure = figures.exposure()
    assert exposure is not None
    assert exposure["risk"]["before"] == 60 + 30 + 10 + 10 + 900
    assert exposure["excess"]["before"] == 60 + 20 + 10 + 10 + 900
    assert dict(figures.kinds()) == {"custom": 1, "remove": 1, "keep": 2, "by design": 1}
    assert [one["before"] for one in figures.kept()] == [30, 10]


def test_what_stays_by_design_is_listed_with_what_would_be_enough() -> None:
    """Other planes too, without their excess, which has other units."""
    directory = proposal(5, 7, 7, "emergency_access: its holder is one", plane="directory")
    judged = proposal(6, 7, 7, "young: it is new", plane="directory")
    part = by_design_part(figures_of(beyond=(directory, judged)))
    assert [(row["word"], row["excess"], row["enough"]) for row in part["rows"]] == [
        ("last_owner", 900, "two `Owner`s"),
        ("emergency_access", None, ""),
    ]
    assert part["rows"][0]["why"] == "nobody else"
    assert part["fact"] == "1 assignment with 90 % of all live excess (1 last owner), 1 assignment beyond Azure roles"


@pytest.mark.parametrize(
    ("row", "price", "volume", "share"),
    [
        ({}, "free", "unknown volume", "50.0 %"),
        ({"price_per_month": None, "gb_per_month": 0.0, "share": 0.0004}, "unknown", "no volume", "<0.1 %"),
        ({"price_per_month": 4.5, "gb_per_month": 0.04, "share": 0.0}, "4.50 USD", "<0.1 GB a month", "0.0 %"),
        ({"price_per_month": 0.001, "gb_per_month": 12.0}, "<0.01 USD", "12.0 GB a month", "50.0 %"),
        ({"price_per_month": 2.0, "is_assumed": True}, "~2.00 USD", "unknown volume", "50.0 %"),
        ({"is_sent": True}, "paid", "unknown volume", "50.0 %"),
    ],
)
def test_an_option_says_its_price_as_logs_does(row: dict[str, Any], price: str, volume: str, share: str) -> None:
    (shown,) = unknown_card(figures_of(option(1, **row)))["options"]
    assert (shown["price"], shown["volume"], shown["share"]) == (price, volume, share)


def test_the_card_has_the_first_options_and_its_list_all_of_them() -> None:
    """With every command up to a limit, and the number of those beyond it; texts are harmless."""
    day = dt.date(2026, 11, 28)
    many = [option(rank, price_as_of=day) for rank in range(1, 51)]
    many[0] |= {"title": HOSTILE, "commands": [HOSTILE] * 15, "needs": ["inventory"], "licence": "P1"}
    card = unknown_card(figures_of(*many))
    assert [len(card["options"]), len(card["all"]), card["count"]] == [4, 40, 50]
    first = card["all"][0]
    assert (len(first["commands"]), first["more"]) == (12, 3)
    assert first["notes"] == [
        "7 operations of 1 assignment", "98 % of it unused in like scopes", "needs also inventory", "licence: P1"
    ]  # fmt: skip
    assert not {"\u202e", "\x1b"} & set(first["title"] + first["commands"][0])
    assert card["prices"] == {"plan": "analytics", "region": "us", "as_of": day}
