"""Members of groups: the context of a page, its file or its folder names the group; else they are rejects."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest

from rightsize.ingest.entities.pages import classify_page
from tests.ingest.entity_records import GRAPH, USER, guid, page, stage_files, typed
from tests.ingest.test_entities_directory import write_pages


@pytest.mark.parametrize(
    ("context", "place", "expected"),
    [
        ("directoryObjects", f"group-members/{guid(11)}.json", ("members", guid(11))),
        ("directoryObjects", f"a.zip/groupMembers/{guid(11).upper()}.json.gz", ("members", guid(11))),
        ("directoryObjects", f"members/Finance {guid(11)} 2.json", ("members", guid(11))),
        ("directoryObjects", f"group-members/{guid(11)}/page-1.json", ("members", guid(11))),
        ("directoryObjects", f"members-{guid(11)}/1.json", ("members", guid(11))),
        ("directoryObjects", f"groups/{guid(11)}/members.json", ("members", guid(11))),
        ("directoryObjects", f"groups/{guid(11)}/transitiveMembers.json", ("transitiveMembers", guid(11))),
        ("directoryObjects", f"transitive-members/{guid(11)}.json", ("transitiveMembers", guid(11))),
        ("directoryObjects", f"administrativeUnits/{guid(11)}/members.json", ("unitMembers", guid(11))),
        ("users", f"group-members/{guid(11)}.json", ("members", guid(11))),
        ("directoryObjects", f"tenant/{guid(11)}/members.json", ("unnamed members", "")),
        ("directoryObjects", "group-members/finance.json", ("unnamed members", "")),
        ("directoryObjects", f"members-{guid(11)}-{guid(12)}.json", ("unnamed members", "")),
        ("directoryObjects", f"groups/{guid(11)}.json", ("unnamed members", "")),
        ("directoryObjects", f"group-members/{guid(11)}/owners.json", ("", "")),
        ("directoryObjects", f"group-owners/{guid(11)}.json", ("", "")),
        ("directoryObjects", f"{guid(11)}.json", ("", "")),
        ("directoryObjects", "board-members-2026/objects.json", ("", "")),
        ("users", "board-members-2026/users.json", ("users", "")),
        ("groups", f"groups/{guid(11)}.json", ("groups", "")),
    ],
)
def test_the_file_or_its_folder_names_the_group_of_members(context: str, place: str, expected: tuple[str, str]) -> None:
    found = classify_page(GRAPH + context, place)
    assert found is not None and (found.listing, found.of) == expected


def test_members_of_one_type_in_a_folder_of_members_end_no_list_of_users() -> None:
    found = classify_page(GRAPH + "users", "group-members/finance.json")
    assert found is not None and not found.whole


@pytest.mark.slow
def test_members_in_a_folder_or_an_archive_fill_their_groups(tmp_path: Path) -> None:
    """They used to be answers to getByIds: all of them known already, and the groups stayed empty."""
    folder = tmp_path / "group-members"
    folder.mkdir()
    listed = page("directoryObjects", typed("user", USER), typed("group", {"id": guid(12), "displayName": "g"}))
    write_pages(folder, f"{guid(11)}.json", listed)
    with zipfile.ZipFile(tmp_path / "exports.zip", "w") as archive:
        archive.writestr(f"graph/group-members/{guid(21)}.json", json.dumps(listed))
        archive.writestr(f"group-members\\{guid(22)}.json", json.dumps(listed))
    staged = stage_files(folder, tmp_path / "exports.zip")
    assert {file.source for file in staged.report.files} == {"group_members"} and staged.rejects == []
    assert sorted(staged.rows("group_members", "group_id", "member_id")) == [
        (guid(group), guid(member)) for group in (11, 21, 22) for member in (10, 12)
    ]
    assert {of for of, complete in staged.rows("listings", "of", "complete") if complete} == {
        guid(11),
        guid(21),
        guid(22),
    }


@pytest.mark.slow
def test_members_of_no_known_group_are_rejects_and_no_principals(tmp_path: Path) -> None:
    folder = tmp_path / "group-members"
    folder.mkdir()
    staged = stage_files(write_pages(folder, "finance.json", page("directoryObjects", typed("user", USER))))
    assert [file.source for file in staged.report.files] == ["group_members"]
    ((_, reason),) = staged.rejects
    assert "the group of these members is unknown" in reason
    assert any("the group of these members is unknown" in note for note in staged.report.notes)


@pytest.mark.slow
def test_a_file_is_the_same_from_within_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "group-members"
    folder.mkdir()
    path = write_pages(folder, f"{guid(11)}.json", page("directoryObjects", typed("user", USER)))
    monkeypatch.chdir(folder)
    assert stage_files(Path(path.name)).rows("group_members", "group_id") == [guid(11)]


@pytest.mark.slow
def test_no_name_of_a_file_names_two_groups_or_breaks_a_load() -> None:
    said = random.Random(11)  # noqa: S311  odd names, not secrets
    words = [
        "members",
        "group",
        "Member",
        "of",
        "/",
        "\\",
        ":",
        "-",
        "..",
        guid(11),
        guid(12),
        "\udcff",
        "\u0130",
        "'",
        "\n",
    ]
    for _ in range(3000):
        place = "".join(said.choices(words, k=said.randint(0, 9)))
        for context in ("", GRAPH + "directoryObjects", GRAPH + "users"):
            found = classify_page(context, place)
            assert found is not None and found.of in ("", guid(11), guid(12))
            assert (found.of != "") == (found.listing in ("members", "transitiveMembers", "unitMembers"))
            assert not (found.of and {guid(11), guid(12)} <= set(place.rpartition("/")[2].split("-")))
