"""A call logged with a display name: mapped if the catalogue knows it, else no change of its type is unused."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

from rightsize.analyze.inputs import is_unnamed, type_of
from tests.analyze.tiny import MG, RG, SUB, VM, Tiny

START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
READ = "Microsoft.Compute/virtualMachines/read"
RUN = "Microsoft.Compute/virtualMachines/extensions/write"
NIC = "Microsoft.Network/networkInterfaces/write"
SHOWN, LOCAL = "Start Virtual Machine", "Virtuellen Computer starten"
UNNAMED = ("out_of_coverage", "unnamed_operation")
UNUSED = ("unused", "covered")


@pytest.fixture
def owner(tiny: Tiny) -> Tiny:
    tiny.add("operations", operation=RUN, is_data_action=False, is_guess=False)
    for row in tiny.rows["operations"]:
        row["display_name"] = {START: SHOWN, WRITE: "Create or Update", RUN: "Create or Update"}.get(row["operation"])
    return tiny.role("owner", "*").assign("a", "p", "owner").cover()


@pytest.mark.slow
def test_a_display_name_of_the_catalogue_is_its_operation(owner: Tiny) -> None:
    owner.use("p", " START virtual machine ")
    assert owner.judged("a")[START] == ("used", "elimination")
    assert owner.judged("a")[WRITE] == UNUSED


@pytest.mark.slow
def test_the_type_that_was_acted_on_tells_equal_names_apart(owner: Tiny) -> None:
    owner.use("p", "Create or Update", f"{VM}/extensions/e")
    assert (owner.judged("a")[RUN][0], owner.judged("a")[WRITE]) == ("used", UNUSED)


def test_a_name_that_two_operations_of_a_type_have_is_read_as_neither(owner: Tiny) -> None:
    for row in owner.rows["operations"]:
        row["display_name"] = SHOWN if row["operation"] in (START, WRITE) else None
    owner.use("p", SHOWN)
    assert owner.judged("a")[START] == owner.judged("a")[WRITE] == UNNAMED


@pytest.mark.parametrize("is_whole", [True, False])
def test_the_one_operation_of_a_provider_with_a_name_is_meant(owner: Tiny, is_whole: bool) -> None:
    """An entry may name the parent of what was changed; without all names of a provider, another may have it too."""
    for row in owner.rows["operations"]:
        row["display_name"] = "Add extension" if row["operation"] == RUN else f"Do {row['operation']}"
        if row["operation"] == START and not is_whole:
            row["display_name"] = None
    owner.use("p", "Add extension")
    assert owner.judged("a")[RUN] == (("used", "elimination") if is_whole else UNNAMED)
    assert owner.judged("a")[WRITE] == (UNUSED if is_whole else UNNAMED)


@pytest.mark.slow
@pytest.mark.parametrize("text", [LOCAL, "Créer/mettre à jour une machine", "Erstellen/Aktualisieren", "?"])
def test_a_text_that_nothing_knows_leaves_no_change_of_the_type_unused(owner: Tiny, text: str) -> None:
    """Changes of what lies inside a resource count too; reads are never logged, and other types are not touched."""
    owner.use("p", text)
    judged = owner.judged("a")
    assert [judged[name] for name in (START, WRITE, RUN, READ, NIC)] == [
        UNNAMED,
        UNNAMED,
        UNNAMED,
        ("unobservable", "arm_read"),
        UNUSED,
    ]
    (row,) = owner.analyse().verdicts.filter(verdict="unexplained").to_dicts()
    assert (row["operation"], row["scope"], row["reason"], row["events"]) == (text, VM, "not_mapped", 1)


@pytest.mark.slow
def test_it_concerns_what_its_caller_holds_around_the_resource(owner: Tiny) -> None:
    owner.assign("b", "q", "owner").assign("c", "p", "owner", f"{SUB}/resourceGroups/other")
    owner.assign("g", "group", "owner", RG).member("group", "p").use("p", LOCAL)
    held = {name: owner.judged(name)[START] for name in "abcg"}
    assert held == {"a": UNNAMED, "b": UNUSED, "c": UNUSED, "g": UNNAMED}


@pytest.mark.slow
def test_of_an_unknown_caller_it_may_be_anybodys(owner: Tiny) -> None:
    owner.assign("b", "q", "owner").use(None, LOCAL, principal_name="someone@example.com")
    assert owner.judged("a")[START] == owner.judged("b")[START] == UNNAMED


@pytest.mark.slow
def test_in_a_group_it_may_be_any_change_of_the_group(owner: Tiny) -> None:
    group = "Microsoft.Resources/subscriptions/resourceGroups/write"
    owner.add("operations", operation=group, is_data_action=False, is_guess=False).use("p", LOCAL, RG)
    assert (owner.judged("a")[group], owner.judged("a")[START]) == (UNNAMED, UNUSED)


@pytest.mark.slow
def test_a_refusal_is_demand_and_a_suspect_call_is_quarantined(owner: Tiny) -> None:
    owner.use("p", LOCAL, succeeded=0, denied=2)
    assert owner.judged("a")[START] == UNUSED
    assert owner.analyse().verdicts.filter(verdict="unexplained").is_empty()
    owner.use("p", LOCAL, suspect=1)
    assert owner.judged("a")[START] == ("out_of_coverage", "quarantined")


@pytest.mark.slow
def test_days_before_the_window_count_until_they_are_forgotten(owner: Tiny) -> None:
    assert owner.use("p", LOCAL, day=dt.date(2025, 10, 10)).judged("a")[START] == UNNAMED


@pytest.mark.slow
def test_named_use_beside_it_is_used(owner: Tiny) -> None:
    owner.use("p", LOCAL).use("p", START)
    assert (owner.judged("a")[START][0], owner.judged("a")[WRITE]) == ("used", UNNAMED)


@pytest.mark.slow
def test_a_star_does_not_make_a_text_an_operation_of_the_role(owner: Tiny) -> None:
    """`*` matches every string; taken for use, the text would keep the whole role."""
    owner.use("p", "Erstellen/Aktualisieren virtueller Computer")
    assert owner.analyse().verdicts.filter(verdict="used").is_empty()


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        (VM.lower(), "microsoft.compute/virtualmachines"),
        (f"{VM}/extensions/e".lower(), "microsoft.compute/virtualmachines/extensions"),
        (f"{VM}/providers/Microsoft.Insights/diagnosticSettings/d".lower(), "microsoft.insights/diagnosticsettings"),
        (f"{SUB}/providers/Microsoft.Compute/locations/west", "microsoft.compute/locations"),
        (RG.lower(), "microsoft.resources/subscriptions/resourcegroups"),
        (SUB, "microsoft.resources/subscriptions"),
        (MG.lower(), "microsoft.management/managementgroups"),
        ("/", ""),
    ],
)
def test_the_type_of_a_scope(place: str, kind: str) -> None:
    found = pl.DataFrame({"place": [place]}).select(type_of(pl.col("place").str.to_lowercase())).item()
    assert found == kind


def test_what_is_an_operation() -> None:
    texts = [START, "84codes.CloudAMQP/servers/write", SHOWN, "a/b", "A.B/c d", "", "Microsoft.Compute", "A. B/c"]
    assert pl.DataFrame({"x": texts}).select(is_unnamed(pl.col("x"))).to_series().to_list() == [
        False,
        False,
        *[True] * 6,
    ]
