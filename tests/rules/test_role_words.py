"""Each operation of Azure's catalogue has words for the name of a role, from a rule or from its own spelling."""

from __future__ import annotations

import csv
import itertools
from pathlib import Path

import polars as pl
import pytest

from rightsize.model.text import fold
from rightsize.rules.operations import first_match
from rightsize.rules.role_names import READER, RoleWords, read_words, singular, words_of
from rightsize.rules.tables import rows_of

Known = dict[tuple[str, str], RoleWords]


@pytest.fixture(scope="module")
def catalogue(shared_data: Path) -> list[tuple[str, str]]:
    """Azure's operations with their planes."""
    with (shared_data / "catalog" / "operations.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [("data" if row["is_data_action"] == "true" else "control", row["operation"]) for row in rows]


@pytest.fixture(scope="module")
def known(catalogue: list[tuple[str, str]]) -> Known:
    """The words of Azure's whole catalogue."""
    return words_of(catalogue)


@pytest.mark.nightly
def test_every_operation_of_azure_has_decent_words(known: Known) -> None:
    """No namespace shows through: words are letters and digits, and none stands twice in a row."""
    assert len(known) > 20_000
    for key, words in known.items():
        for text in (words.service, words.top, words.thing, words.detail, words.agent):
            assert text and text == text.strip() and "  " not in text, key
            assert all(part.replace("-", "").isalnum() for part in text.split()), (key, text)
            lower = text.lower().split()
            assert all(one != two for one, two in itertools.pairwise(lower)), (key, text)
        assert "Microsoft" not in words.service, key
        assert words.rank > 0, key


@pytest.mark.slow
def test_only_reads_are_a_readers(known: Known) -> None:
    """A name with `Reader` promises that nothing can be changed: no write, no delete, and no key or secret."""
    for (_, name), words in known.items():
        if words.agent == READER:
            end = fold(name).rsplit("/", 1)[-1]
            allowed = (
                "search/action",
                "query/action",
                "getsecret/action",
                "readmetadata/action",
                "checknameavailability/action",
            )
            listed = ("config/list/action", "exporttemplate/action")
            assert end == "read" or name.lower().endswith((*allowed, *listed)), name


@pytest.mark.slow
def test_every_rule_names_something(catalogue: list[tuple[str, str]]) -> None:
    """A row that no operation, type or provider meets would be dead; so would one whose plane is wrong."""
    of_plane = {plane: {fold(name) for known, name in catalogue if known == plane} for plane in ("control", "data")}
    tops = {plane: {"/".join([*name.split("/")[:2], ""]) for name in names} for plane, names in of_plane.items()}
    wide = {fold(name) for _, name in catalogue} | tops["control"]
    texts = {plane: pl.Series("name", sorted(of_plane[plane] | tops[plane])) for plane in of_plane}
    texts[""] = pl.Series("name", sorted(wide))
    for row in rows_of("role_words"):
        assert first_match(texts[row["plane"] or ""], [row["pattern"]]).is_not_null().any(), row


@pytest.mark.parametrize(
    ("operation", "plane", "thing", "agent"),
    [
        ("Microsoft.Network/networkSecurityGroups/securityRules/write", "control", "NSG Rule", "Editor"),
        ("Microsoft.Sql/servers/elasticPools/delete", "control", "SQL Elastic Pool", "Remover"),
        ("Microsoft.Storage/storageAccounts/listKeys/action", "control", "Storage", "Key Reader"),
        ("Microsoft.KeyVault/vaults/secrets/getSecret/action", "data", "Key Vault Secret", "Reader"),
        ("Microsoft.IoTCentral/IoTApps/write", "control", "IoT Central App", "Editor"),
        ("Microsoft.Fictitious/flyingCarpets/weave/action", "control", "Fictitious Flying Carpet", "Operator"),
        ("Contoso.Ovens/bakeries/ovens/read", "control", "Contoso Ovens", "Reader"),
        ("*/read", "control", "Resource", "Reader"),
    ],
)
def test_operations_that_no_rule_knows_are_read_from_their_spelling(
    operation: str, plane: str, thing: str, agent: str
) -> None:
    words = words_of([(plane, operation)])[plane, operation]
    assert (words.thing, words.agent) == (thing, agent)


def test_an_extension_is_named_by_its_own_type() -> None:
    operation = "Microsoft.Logic/workflows/providers/Microsoft.Insights/diagnosticSettings/write"
    assert words_of([("control", operation)])["control", operation].thing == "Diagnostic Setting"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("iotHubs", ["IoT", "Hub"]),
        ("policies", ["Policy"]),
        ("publicIPAddresses", ["Public", "IP", "Address"]),
        ("analytics", ["Analytics"]),
        ("p2sVpnGateways", ["P2S", "VPN", "Gateway"]),
    ],
)
def test_a_type_is_spelled_as_people_spell_it(name: str, words: list[str]) -> None:
    assert " ".join(singular(read_words(name))) == " ".join(words)
