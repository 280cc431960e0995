"""Use at one place proves nothing about places that no log shows, and linked checks are asked of the caller."""

from __future__ import annotations

import polars as pl

from rightsize.propose.linked import Writes, writes_within_reach


def _membership(*pairs: tuple[str, str]) -> pl.DataFrame:
    return pl.DataFrame(pairs, schema={"principal_id": pl.String, "holder": pl.String}, orient="row")


def test_a_write_through_another_assignment_of_the_same_principal_counts() -> None:
    """Contributor in one resource group keeps the join that Network Contributor grants in another."""
    found = writes_within_reach(
        [("aks", Writes(0b01)), ("aks", Writes(0b10, frozenset({"new/write"})))], _membership(("aks", "aks"))
    )
    assert found["aks"] == Writes(0b11, frozenset({"new/write"}))


def test_a_write_of_a_member_counts_for_the_group() -> None:
    """What a member keeps directly can reference what the group's assignment lets it join."""
    found = writes_within_reach(
        [("group", Writes(0b001)), ("anna", Writes(0b010)), ("bert", Writes(0b100))],
        _membership(("anna", "anna"), ("anna", "group"), ("bert", "bert")),
    )
    assert found["group"].operations == 0b011
    assert found["anna"].operations == 0b011
    assert found["bert"].operations == 0b100


def test_a_holder_without_a_row_of_membership_reaches_itself() -> None:
    """An assignment of a principal that no listing has keeps its own writes."""
    assert writes_within_reach([("ghost", Writes(1))], _membership())["ghost"].operations == 1
