"""Secrets of further resources are no price for a wider scope: which moves would read more."""

from __future__ import annotations

import polars as pl
import pytest

from rightsize.model.text import Folded, fold
from rightsize.propose.selection.fewer_scopes import SecretPlaces

SUB = "/subscriptions/s"
APP, DATA = f"{SUB}/resourceGroups/app", f"{SUB}/resourceGroups/app-data"
ACCOUNTS = f"{APP}/providers/Microsoft.Storage/storageAccounts"
KEYS, SETTINGS = 1, 2


def _reads_more(listed: list[str], operations: int, place: str, wider: str) -> bool:
    secrets = {"microsoft.storage/storageaccounts": KEYS, "microsoft.web/sites": SETTINGS}
    return SecretPlaces.of(pl.DataFrame({"scope": listed}, schema={"scope": pl.String}), secrets).reads_more(
        operations, fold(place), fold(wider)
    )


@pytest.mark.parametrize(
    ("listed", "wider", "more"),
    [
        ([f"{ACCOUNTS}/one"], APP, False),
        ([f"{ACCOUNTS}/one", f"{ACCOUNTS}/one2"], APP, True),
        ([f"{ACCOUNTS}/one", f"{DATA}/providers/Microsoft.Storage/storageAccounts/x"], APP, False),
        ([f"{ACCOUNTS}/one", f"{DATA}/providers/Microsoft.Storage/storageAccounts/x"], SUB, True),
        ([f"{ACCOUNTS}/one", f"{APP}/providers/Microsoft.Web/sites/x"], SUB, False),
        ([f"{ACCOUNTS}/one", f"{ACCOUNTS}/one/blobServices/default"], SUB, False),
        ([], APP, True),
        ([f"{ACCOUNTS}/one"], "/providers/Microsoft.Management/managementGroups/m", True),
    ],
    ids=["alone", "beside", "like name", "other group", "other type", "below", "not listed", "management group"],
)
def test_keys_read_no_further_account(listed: list[str], wider: str, *, more: bool) -> None:
    assert _reads_more(listed, KEYS, f"{ACCOUNTS}/one", wider) == more


def test_what_reads_no_secret_may_move_anywhere() -> None:
    assert not _reads_more([], 4, f"{ACCOUNTS}/one", Folded("/providers/microsoft.management/managementgroups/m"))
