"""What a proposal for Azure roles leaves to tables comes back from them, and nothing else is taken for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.analyze.plan_evidence import empty_of, grant_tables, stays_inline, take_rows, with_grants
from rightsize.model.errors import InputError
from rightsize.model.plan import PROPOSAL_KINDS, PlannedAssignment, Proof, Proposal
from rightsize.model.plan_file import CHANCES, SaidOnce, filled, shortened
from rightsize.render.plan import proposal_document
from tests.examples import SOME

Tables = dict[str, pl.DataFrame]
TODAY = "/subscriptions/a/resourceGroups/b"
NEW = (PlannedAssignment(TODAY, "n", "u"),)
FULL: dict[str, Any] = {
    "role": "r",
    "scope": TODAY,
    "state": "active",
    "granted": 8,
    "used": 1,
    "used_before": 2,
    "covered_days": 70,
    "declared_by_user": ["azure_activity Administrative / 2026-01-01..2026-03-31"],
    "by_design": "last_owner",
    "enough": "a second Owner",
    "latent": {"before": 1.5, "after": 0.0},
    "kept_unseen": {"arm_read": 3, "linked_check": 1},
    "removed": {"covered": 4},
    "rests_on": ["b"],
}
TEXTS = st.sampled_from(["", "r", "a: b; c", "keeps 1 of 2 operations at 1 scope", '\u202e"\n', "x, and y at 3"])
COUNTS = st.dictionaries(st.sampled_from(["arm_read", "covered", "linked_check"]), st.integers(0, 9), min_size=1)
EVIDENCE = st.fixed_dictionaries(
    {"role": TEXTS, "scope": TEXTS, "state": st.sampled_from(["active", "eligible", "activated"])},
    optional={
        **{name: st.integers(0, 10) for name in ("granted", "used", "used_before", "covered_days")},
        "declared_by_user": st.lists(TEXTS, min_size=1, max_size=2),
        "by_design": TEXTS,
        "enough": TEXTS,
        "latent": st.fixed_dictionaries({name: st.sampled_from([0.0, 0.25, 1e9]) for name in ("before", "after")}),
        "kept_unseen": COUNTS,
        "removed": COUNTS,
        "rests_on": st.lists(TEXTS, max_size=2),
        "review": st.just({"by": "a"}),
    },
)


def _proposal(id_: str, kind: str, evidence: dict[str, Any], reason: str, plane: Any = "control") -> Proposal:
    found = PROPOSAL_KINDS[kind]
    made = NEW if found.assigns and not found.keeps else ()
    return Proposal(
        id_, plane, ("u",), found, ("a",), made, reason, evidence, Proof(True, True), 0.0, 8.0, 0.5, 0.0, 0.0
    )


def _written(*proposals: Proposal) -> tuple[list[dict[str, Any]], Tables]:
    """Return proposals as a reader of `plan.json` has them, and the tables beside them."""
    tables = take_rows((one.id, one.plane, one.evidence) for one in proposals) | grant_tables(proposals)
    texts = json.dumps([shortened(proposal_document(one), SaidOnce()) for one in proposals])
    return [filled(one, SaidOnce()) for one in json.loads(texts)], tables


@SOME
@given(st.lists(st.tuples(st.sampled_from(["keep", "remove", "custom"]), EVIDENCE, TEXTS), max_size=4))
def test_proposals_are_read_as_they_were(drawn: list[tuple[str, dict[str, Any], str]]) -> None:
    proposals = [_proposal(str(number), *one) for number, one in enumerate(drawn)]
    found = with_grants(*_written(*proposals))
    assert list(found) == [json.loads(json.dumps(proposal_document(one))) for one in proposals]


def test_a_kept_assignment_is_a_row_and_not_said_in_the_plan() -> None:
    kept = _proposal("p", "keep", FULL | {"break_probability": {"bound": 0.25}}, "last owner: without it")
    ((short,), tables) = _written(kept)
    assert (short["reason"], short["evidence"]) == ("last owner", {"state": "active", "rests_on": ["b"]})
    (row,) = tables["grants"].to_dicts()
    assert (row["reason"], row["role"], row["granted"], row["latent_before"]) == ("last owner: without it", "r", 8, 1.5)
    assert tables["counts"].rows() == [
        ("p", "kept_unseen", "arm_read", 3), ("p", "kept_unseen", "linked_check", 1), ("p", "removed", "covered", 4),
    ]  # fmt: skip
    (whole,) = with_grants([short], tables)
    assert whole["evidence"] == FULL | {"break_probability": {"bound": 0.25}}


def test_another_plane_needs_no_table() -> None:
    held = _proposal(
        "p", "remove", {"role": "r", "scope": "/", "granted": 3, "removed": {"covered": 3}}, "x: y", "graph"
    )
    proposals, tables = _written(held)
    assert (tables["grants"].height, tables["counts"].height) == (0, 0)
    (whole,) = with_grants(proposals, tables)
    assert (whole["reason"], whole["evidence"]) == ("x: y", {"state": "active", **stays_inline(held.evidence)})


def _say(**evidence: Any) -> Callable[[dict[str, Any], Tables], None]:
    return lambda short, _: short["evidence"].update(evidence)


def _put(table: str, **values: Any) -> Callable[[dict[str, Any], Tables], None]:
    def change(_: dict[str, Any], tables: Tables) -> None:
        frame = tables[table]
        tables[table] = frame.with_columns(
            pl.lit(value, frame.schema[name]).alias(name) for name, value in values.items()
        )

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_say(role="other"), "differs between"),
        (_say(scope="/"), "differs between"),
        (_say(state="eligible"), "differs between"),
        (_say(removed={"covered": 5}), "differs between"),
        (_say(break_probability={"bound": 0}), "differs between"),
        (lambda short, _: short.update(reason="another"), "differs between"),
        (lambda short, _: short.update(reason=3), "differs between"),
        (lambda short, _: short.update(evidence=[]), "differs between"),
        (_put("grants", reason=None), "differs between"),
        (_put("grants", proposal_id="q"), "no row for proposal `p`"),
        (_put("counts", fate="role"), "another fate"),
        (_put("counts", operations=None), "without a value"),
    ],
)
def test_a_proposal_that_its_tables_contradict_is_refused(
    change: Callable[[dict[str, Any], Tables], None], message: str
) -> None:
    """Who edits what a person reads does not change what programs do, and is found."""
    ((short,), tables) = _written(_proposal("p", "remove", FULL, "unused: no log"))
    list(with_grants([short], tables))
    change(short, tables)
    with pytest.raises(InputError, match=message):
        list(with_grants([short], tables))


def test_a_chance_without_a_bound_stays_one() -> None:
    """Estimates of early versions have no bound."""
    ((short,), tables) = _written(_proposal("p", "remove", FULL, "x"))
    tables[CHANCES.name] = pl.concat([empty_of(CHANCES), pl.DataFrame({"proposal_id": ["p"]})], how="diagonal")
    (whole,) = with_grants([short], tables)
    assert whole["evidence"]["break_probability"] == {}
