"""The kinds of proposals are texts that say what they do."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import polars as pl
import pytest

from rightsize.model.plan import PROPOSAL_KINDS, ProposalKind

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("kind", PROPOSAL_KINDS.values())
def test_a_kind_is_its_text(kind: ProposalKind) -> None:
    """JSON, columns and copies hold it as the text, which leads back to the kind."""
    word = str(kind)
    assert json.dumps([kind]) == f'["{word}"]'
    assert pl.Series([kind]).to_list() == [word]
    assert PROPOSAL_KINDS[word] is kind
    assert copy.deepcopy(kind).removes is kind.removes


@pytest.mark.parametrize("kind", PROPOSAL_KINDS.values())
def test_what_a_kind_does_fits_together(kind: ProposalKind) -> None:
    assert kind.step.format(today="T", comes="C").count("T") == 1
    assert not (kind.keeps and (kind.assigns or kind.may_break))
    assert kind.assigns or not (kind.makes_role or kind.makes_eligible)


def test_the_docs_explain_every_kind() -> None:
    text = (DOCS / "proposals.md").read_text(encoding="utf-8")
    assert [kind for kind in PROPOSAL_KINDS if f"`{kind}`" not in text] == []
