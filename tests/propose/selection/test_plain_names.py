"""Names of roles are harmless whatever the tenant's names are, unique, and stay while those stay."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.propose.selection.role_names import LONGEST, comparable, file_names, plain_name, role_names, unique_names
from tests.examples import FEW, MANY

_PLACES = ("Patient Portal", "patient portal", "Portal", "rg-web", "")
_PURPOSES = ("VM Operator", "VM Editor", "Reader")


@MANY
@given(st.text(max_size=200), st.integers(1, LONGEST))
def test_a_display_name_gives_only_letters_digits_and_separators(text: str, longest: int) -> None:
    name = plain_name(text, longest)
    assert len(name) <= longest
    assert plain_name(name, longest) == name
    assert name == name.strip()
    for character in name:
        assert character in " -_" or unicodedata.category(character)[0] in "LM" or character.isdigit()
    assert not set(name) & set("$`{}<>=+@/\\|*\"'%;:\n\r\t\0\u202e\u200b\u3164")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('=HYPERLINK("http://x")', "HYPERLINK http x"),
        ("${jndi:ldap://x}", "jndi ldap x"),
        ("../../etc/passwd", "etc passwd"),
        ("Prod\u202egnp\u2066 \u200bWest", "Prod gnp West"),
        ("[click](javascript:x) **bold**", "click javascript x bold"),
        ("Cafe\u0301 \u6f22\u5b57 \u05e9\u05dc\u05d5\u05dd", "Caf\xe9 \u6f22\u5b57 \u05e9\u05dc\u05d5\u05dd"),
        ("a" + "\u0301" * 50 + "b", "\xe1\u0301\u0301b"),
        ("\u3164\u115f", ""),
        ("rg-web_01", "rg-web_01"),
        ("-_-", ""),
    ],
)
def test_hostile_names_become_plain(text: str, name: str) -> None:
    assert plain_name(text) == name


def test_a_long_name_is_cut_at_a_word() -> None:
    assert plain_name("Regional Data Platform for Imaging Research", 30) == "Regional Data Platform for"
    assert plain_name("x" * 100_000, 30) == "x" * 30


_wishes = st.lists(st.sampled_from(_PURPOSES), min_size=1, max_size=3, unique=True).flatmap(
    lambda purposes: st.lists(st.sampled_from(_PLACES[:-1]), max_size=2, unique=True).map(
        lambda places: role_names(purposes, places)
    )
)


@pytest.mark.slow
@MANY
@given(
    st.dictionaries(st.sampled_from("abcdefghij"), _wishes, max_size=8),
    st.lists(st.sampled_from(["VM Operator", "vm operator 2", "READER", "VM Editor \u2013 Portal"]), max_size=3),
)
def test_no_two_roles_have_one_name_and_none_has_the_tenants(
    wanted: dict[str, tuple[str, ...]], taken: list[str]
) -> None:
    names = unique_names(wanted, taken)
    assert names.keys() == wanted.keys()
    folded = [comparable(name) for name in names.values()]
    assert len({*folded}) == len(folded)
    assert not {*folded} & {comparable(name) for name in taken}
    assert all(0 < len(name) <= LONGEST for name in names.values())
    assert unique_names(dict(reversed(list(wanted.items()))), reversed(taken)) == names
    files = file_names(names)
    assert len({*files.values()}) == len(files)
    assert all(name.isascii() and name.replace("-", "").isalnum() and name == name.lower() for name in files.values())


@FEW
@given(st.dictionaries(st.sampled_from("abcdefgh"), _wishes, min_size=2, max_size=6))
def test_a_role_with_wishes_of_its_own_changes_no_name(wanted: dict[str, tuple[str, ...]]) -> None:
    """A name stays while purpose, place and the tenant's names stay, whatever else the plan makes."""
    names = unique_names(wanted, [])
    assert {**names, "z": "Key Vault Editor"} == unique_names({**wanted, "z": ("Key Vault Editor",)}, [])


def test_roles_of_one_purpose_are_told_apart_by_place_then_purpose_then_number() -> None:
    wanted = {
        "a": role_names(["VM Operator", "VM Start Operator"], ["Portal", "rg-web"]),
        "b": role_names(["VM Operator", "VM Start Operator"], ["Portal", "rg-db"]),
        "c": role_names(["VM Editor", "VM and Disk Editor"], ["Portal"]),
        "d": role_names(["VM Editor", "VM and NIC Editor"], ["Portal"]),
        "e": role_names(["Reader"], []),
        "f": role_names(["Reader"], []),
    }
    assert unique_names(wanted, ["Reader"]) == {
        "a": "VM Operator \u2013 rg-web",
        "b": "VM Operator \u2013 rg-db",
        "c": "VM and Disk Editor \u2013 Portal",
        "d": "VM and NIC Editor \u2013 Portal",
        "e": "Reader 2",
        "f": "Reader 3",
    }


def test_an_earlier_plan_keeps_its_names_where_they_are_free() -> None:
    wanted = {"a": ("VM Operator",), "b": ("VM Operator",), "c": ("Reader",)}
    earlier = {"b": "VM Operator", "a": "VM Operator 2", "c": "Taken", "gone": "Gone"}
    assert unique_names(wanted, ["taken"], earlier) == {"a": "VM Operator 2", "b": "VM Operator", "c": "Reader"}


def test_a_place_that_says_nothing_more_or_has_no_room_is_left_out() -> None:
    assert role_names(["Network Reader"], ["network"]) == ("Network Reader",)
    assert role_names(["x" * 62], ["Patient Portal"]) == ("x" * 62,)
    assert role_names(
        ["Storage Blob Data Contributor"], ["A very long name of a place in the west of the country"]
    ) == ("Storage Blob Data Contributor \u2013 A very long name of a place in",)


@pytest.mark.parametrize(
    ("earlier", "name"),
    [
        ("VM Operator \u2013 Patient Portal", "VM Operator \u2013 Patient Portal"),
        ('=cmd|"/c calc" \u2013 ${jndi:x}', "cmd c calc \u2013 jndi x"),
        ("\u202e\u2066", "VM Operator"),
        ("x" * 300, "x" * LONGEST),
    ],
)
def test_a_name_of_an_earlier_plan_is_kept_and_made_harmless(earlier: str, name: str) -> None:
    """The file of an earlier plan is an input like any other."""
    assert unique_names({"a": ["VM Operator"]}, (), {"a": earlier}) == {"a": name}
