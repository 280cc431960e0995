"""A record with very many keys costs what its keys cost, not once more for each form of export or field."""

from __future__ import annotations

from pathlib import Path

import pytest

from rightsize.ingest.entities import shape
from tests.ingest.entity_records import guid, page, stage_document


def test_a_record_with_many_keys_is_folded_a_few_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = 5_000
    folded: list[str] = []
    fold = shape.fold

    def counted(text: str) -> str:
        folded.append(text)
        return fold(text)

    monkeypatch.setattr(shape, "fold", counted)
    record = {"ID": guid(1), "displayName": "Ann", "userPrincipalName": "ann@x"} | {f"k{n}": n for n in range(many)}
    staged = stage_document(tmp_path, page("users", record))
    assert staged.rows("principals", "principal_id", "display_name") == [(guid(1), "Ann")]
    assert len(folded) < 10 * many
