"""The rules of linked checks name existing operations, and agree with the facts on operations they omit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from rightsize.rules.operations import folded, matching_pairs
from rightsize.rules.resource_types import callable_checks, linked_pairs, linked_writes
from rightsize.rules.tables import rows_of


def test_the_writes_of_a_check_are_those_of_the_rules() -> None:
    """What no rule names has none; a plan looks for other evidence of it."""
    assert linked_writes("Microsoft.Web/serverFarms/Join/action")[0] == "Microsoft.Web/sites/write"
    assert linked_writes("Contoso.Things/things/join/action") == ()
    assert linked_writes("Microsoft.Web/sites/write") == ()


@pytest.mark.parametrize(
    ("checked", "write"),
    [
        ("Microsoft.Compute/disks/beginGetAccess/action", "Microsoft.Compute/snapshots/write"),
        ("Microsoft.Compute/disks/write", "Microsoft.Compute/virtualMachines/write"),
        ("Microsoft.OperationalInsights/workspaces/sharedKeys/action", "Microsoft.Insights/diagnosticSettings/write"),
        ("Microsoft.Storage/storageAccounts/listKeys/action", "Microsoft.Insights/diagnosticSettings/write"),
        (
            "Microsoft.EventHub/namespaces/authorizationRules/listkeys/action",
            "Microsoft.Insights/diagnosticSettings/write",
        ),
        ("Microsoft.OperationalInsights/workspaces/sharedKeys/action", "Microsoft.Insights/components/write"),
        (
            "Microsoft.Authorization/policyAssignments/exempt/action",
            "Microsoft.Authorization/policyExemptions/write",
        ),
        (
            "Microsoft.Resources/subscriptions/resourceGroups/write",
            "Microsoft.Resources/subscriptions/resourceGroups/moveResources/action",
        ),
        ("Microsoft.Compute/galleries/images/versions/read", "Microsoft.Compute/virtualMachineScaleSets/write"),
        ("Microsoft.Compute/diskEncryptionSets/read", "Microsoft.Compute/disks/write"),
    ],
)
def test_the_published_refusals_are_in_the_rules(checked: str, write: str) -> None:
    """Each pair is one that Azure answers LinkedAuthorizationFailed for, or documents."""
    names = pl.Series([checked.lower()]), pl.Series([write.lower()])
    assert linked_pairs(*names).rows() == [(checked.lower(), write.lower())]


@pytest.mark.slow
def test_both_sides_of_every_rule_are_operations_of_azure(shared_data: Path) -> None:
    """A misspelt pattern would match nothing and keep nothing."""
    catalogue = pl.read_csv(shared_data / "catalog" / "operations.csv")["operation"]
    names = folded(catalogue).unique()
    for side in ("checked", "write"):
        patterns = list(dict.fromkeys(row[side] for row in rows_of("linked_checks")))
        found = set(matching_pairs(names, patterns)["pattern"])
        assert [pattern for pattern in patterns if pattern not in found] == []


def test_no_pair_stands_twice_in_the_rules() -> None:
    """A second row could only disagree with the first about the source."""
    pairs = [(row["write"].lower(), row["checked"].lower()) for row in rows_of("linked_checks")]
    assert len(pairs) == len(set(pairs))


def test_what_is_called_by_itself_is_never_kept_for_any_write_at_all() -> None:
    """Such a rule would keep keys in every role that writes anything."""
    callable_too = callable_checks()
    assert callable_too
    assert not [pattern for pattern in callable_too if "*" in pattern]
    causes = {row["write"] for row in rows_of("linked_checks") if row["checked"] in callable_too}
    assert "*/write" not in causes
