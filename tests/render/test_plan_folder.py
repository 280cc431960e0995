"""The plan folder: its bytes, for any names, and the effect of a second run."""

from __future__ import annotations

import datetime as dt
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock
from rightsize.model.plan import BUILTIN, KEEP, REMOVE, Plan, PlanePart, count_by_plane
from rightsize.model.plan_file import SaidOnce, filled
from rightsize.model.role_forms import read_role_definitions
from rightsize.model.text import fold
from rightsize.render.folder import digest_of, prepared, write_folder
from rightsize.render.plan import plan_files, plan_texts
from rightsize.render.rows import indented, plain
from rightsize.render.sentences import short_scope
from rightsize.render.summary import write_summary
from rightsize.workflow.plan_folder import read_plan_folder
from tests.examples import SOME
from tests.golden_files import WRITES
from tests.propose.small_tenant import BLOB_READER, CONTRIBUTOR, DATA, READER, SUB, VM, SmallTenant, guid
from tests.propose.written_plans import contents_of

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
HOSTILE = "</td><script>alert(1)</script>|[x](javascript:y)\u202e\u200b`=cmd`\n\x1b[31m{{ 7*7 }}"
KEYS = {
    "id",
    "plane",
    "principal_ids",
    "kind",
    "reason",
    "replaces",
    "assignments",
    "evidence",
    "proof",
    "break_probability_30d",
    "excess_before",
    "excess_after",
    "risk_before",
    "risk_after",
}


def _hostile_plan() -> Plan:
    tenant = SmallTenant()
    tenant.roles[guid(77)] = (
        HOSTILE,
        [PermissionBlock(actions=("Microsoft.Compute/virtualMachines/*", "Microsoft.Network/*/read"))],
    )
    tenant.custom_roles.add(guid(77))
    user = tenant.principal(1, display_name=HOSTILE)
    other = tenant.principal(2, display_name="Åsa 漢字")
    group = tenant.group(3, [user, other], display_name=HOSTILE)
    tenant.assign(101, user, guid(77), f"{SUB}/resourceGroups/app<b>&\u202e")
    tenant.assign(102, group, CONTRIBUTOR, SUB, principal_type="Group")
    tenant.assign(103, other, BLOB_READER, DATA)
    tenant.assign(104, other, READER, SUB, created_on=dt.datetime(2026, 3, 1))
    vm = f"{SUB}/resourceGroups/app<b>&\u202e/providers/Microsoft.Compute/virtualMachines/v"
    tenant.use(user, "Microsoft.Compute/virtualMachines/restart/action", vm)
    tenant.use(other, "Microsoft.Compute/virtualMachines/write", VM, days=1)
    return tenant.plan(exclude=("<nobody>",))


@pytest.fixture(scope="module")
def hostile() -> Plan:
    """A plan in which every name is hostile."""
    return _hostile_plan()


@pytest.fixture(scope="module")
def files(hostile: Plan) -> dict[str, str]:
    """The files of that plan that hold text."""
    texts = {name: text for name, text in plan_files(hostile).items() if isinstance(text, str)}
    return texts | {"summary.html": write_summary(hostile)}


@pytest.mark.nightly
def test_every_byte_is_as_agreed(files: dict[str, str]) -> None:
    """`RIGHTSIZE_WRITE_GOLDEN=1` writes the files anew, for a person to look at the difference."""
    folder = GOLDEN / "plan"
    if WRITES:
        for path in sorted(folder.rglob("*.*")):
            path.unlink()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    found = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in folder.rglob("*.*")}
    assert sorted(found) == sorted(files)
    for name, text in files.items():
        assert found[name] == text, name


def test_the_plan_has_the_keys_that_other_programs_read(files: dict[str, str]) -> None:
    document = json.loads(files["plan.json"])
    assert set(document) == {
        "format_version",
        "generated_from",
        "proposals",
        "roles",
        "advice",
        "replay",
        "excess",
        "evidence",
        "would_tell",
        "grows",
        "reads",
        "curve",
        "planes",
    }
    assert set(document["generated_from"]) == {"content_hash", "catalogue_hash", "window", "options"}
    for proposal in (filled(one, SaidOnce.of(document)) for one in document["proposals"]):
        assert set(proposal) == KEYS
        assert set(proposal["proof"]) == {"used_subset", "granted_superset", "witness", "tomorrow"}
        for assignment in proposal["assignments"]:
            assert set(assignment) == {"role", "scope", "principal_id", "condition", "state"}


def test_roles_are_in_the_form_of_arm(files: dict[str, str]) -> None:
    """Each can be put as it is, and reads back as the role that the plan assigns."""
    document = json.loads(files["plan.json"])
    for role in document["roles"]:
        body = json.loads(files[role["file"]])
        assert body["name"] == role["role"]
        assert set(body["properties"]) == {"roleName", "description", "type", "permissions", "assignableScopes"}
        (read,) = read_role_definitions(body)
        assert (read.role_definition_id, read.role_type) == (role["role"], "CustomRole")
    named = {one["role"] for proposal in document["proposals"] for one in proposal["assignments"]}
    assert {role["role"] for role in document["roles"]} <= named


def test_every_action_of_a_role_has_its_evidence(files: dict[str, str]) -> None:
    names = [name for name in files if name.startswith("evidence/") and name.endswith(".json")]
    assert names
    for name in names:
        evidence = json.loads(files[name])
        role = json.loads(files[name.replace("evidence/", "roles/")])["properties"]["permissions"][0]
        assert [one["action"] for one in evidence["actions"]] == [*role["actions"], *role["dataActions"]]
        assert all(one["why"] for one in evidence["actions"])
        assert all(one["proof"]["used_subset"] for one in evidence["proposals"])


def test_the_folder_of_roles_holds_role_files_and_nothing_else(files: dict[str, str]) -> None:
    """Each role has its file there, and in the folder of evidence a page and its JSON under the same name."""
    listed = sorted(role["file"] for role in json.loads(files["plan.json"])["roles"])
    assert sorted(name for name in files if name.startswith("roles/")) == listed
    slugs = [name.removeprefix("roles/").removesuffix(".json") for name in listed]
    expected = sorted(f"evidence/{slug}.{form}" for slug in slugs for form in ("json", "md"))
    assert sorted(name for name in files if name.startswith("evidence/")) == expected
    for name, slug in zip(listed, slugs, strict=True):
        assert f"evidence/{slug}.json" in json.loads(files[name])["properties"]["description"]


def test_json_holds_no_character_that_hides(files: dict[str, str]) -> None:
    """A diff shows what is there: everything beyond ASCII is escaped."""
    assert all(text.isascii() for name, text in files.items() if name.endswith(".json"))


def test_file_names_say_nothing_that_people_chose(files: dict[str, str]) -> None:
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-./") for name in files)
    assert not any(".." in name or name.startswith("/") for name in files)


def test_hostile_names_stay_text_in_the_page(files: dict[str, str]) -> None:
    page = files["summary.html"]
    assert "<script" not in page.lower()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "{{ 7*7 }}" in page
    assert not set("\u202e\u200b\x1b") & set(page)
    assert "default-src 'none'; style-src 'unsafe-inline'" in page
    assert not any(word in page for word in ("http://", "https://", "url(", "@import", " src=", "onload", "onerror"))


def test_hostile_names_stay_text_in_a_review(files: dict[str, str]) -> None:
    reviews = [text for name, text in files.items() if name.endswith(".md")]
    assert reviews
    for text in reviews:
        assert "<script" not in text.replace("\\<script", "")
        assert not set("\u202e\u200b\x1b") & set(text)


def _tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_second_run_changes_no_byte(hostile: Plan, tmp_path: Path) -> None:
    names = write_folder(plan_files(hostile), tmp_path / "plan")
    first = _tree(tmp_path / "plan")
    assert sorted(first) == names
    write_folder(plan_files(_hostile_plan()), tmp_path / "plan")
    assert _tree(tmp_path / "plan") == first


@pytest.fixture(scope="module")
def small() -> Plan:
    """A plan that keeps the only assignment there is."""
    tenant = SmallTenant()
    tenant.assign(101, tenant.principal(1), READER, SUB)
    return tenant.plan()


@pytest.mark.nightly
def test_files_of_an_earlier_plan_go_and_others_stay(hostile: Plan, small: Plan, tmp_path: Path) -> None:
    """What a person put there, or changed, is not ours to take away."""
    write_folder(plan_files(hostile), tmp_path)
    roles = sorted((tmp_path / "roles").glob("*.json"))
    changed = roles[0]
    changed.write_text("{}", encoding="utf-8")
    (tmp_path / "roles" / "mine.json").write_text("mine", encoding="utf-8")
    write_folder(plan_files(small), tmp_path)
    assert sorted(path.name for path in (tmp_path / "roles").iterdir()) == sorted([changed.name, "mine.json"])


def test_evidence_that_an_older_version_wrote_beside_the_roles_is_read_and_then_goes(
    hostile: Plan, tmp_path: Path
) -> None:
    files = plan_files(hostile)
    former = {
        f"roles/{name.removeprefix('evidence/').removesuffix('.json')}.evidence.json" if name.endswith(".json")
        else name.replace("evidence/", "roles/"): text
        for name, text in files.items()
        if name.startswith("evidence/") and isinstance(text, str)
    }  # fmt: skip
    kept = {name: text for name, text in files.items() if not (name.startswith("evidence/") and isinstance(text, str))}
    write_folder(kept | former, tmp_path)
    assert former and not list((tmp_path / "evidence").glob("*.json"))
    read = read_plan_folder(tmp_path)
    assert sorted(read.evidence) == sorted(fold(role.definition.role_definition_id) for role in hostile.roles)
    write_folder(files, tmp_path)
    assert {path.suffix for path in (tmp_path / "roles").iterdir()} == {".json"}
    assert not list((tmp_path / "roles").glob("*.evidence.json"))
    assert read_plan_folder(tmp_path).evidence == read.evidence


@pytest.mark.parametrize(
    "claim", ["../precious", "/etc/x", "roles/../../precious", "other/x.json", ".hidden", "roles/"]
)
def test_a_forged_manifest_takes_nothing_away(small: Plan, tmp_path: Path, claim: str) -> None:
    """It may claim only files that a plan folder can hold."""
    precious = tmp_path / "precious"
    precious.write_text("x", encoding="utf-8")
    folder = tmp_path / "plan"
    (folder / "other").mkdir(parents=True)
    for path in (folder / "other" / "x.json", folder / ".hidden"):
        path.write_text("x", encoding="utf-8")
    digest = hashlib.sha256(b"x").hexdigest()
    (folder / "manifest.json").write_text(json.dumps({claim: digest}), encoding="utf-8")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    write_folder(plan_files(small), folder)
    assert before <= set(tmp_path.rglob("*"))


def test_a_link_is_replaced_and_not_followed(small: Plan, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("untouched", encoding="utf-8")
    folder = tmp_path / "plan"
    folder.mkdir()
    (folder / "plan.json").symlink_to(target)
    write_folder(plan_files(small), folder)
    assert target.read_text(encoding="utf-8") == "untouched"
    assert not (folder / "plan.json").is_symlink()


@pytest.mark.parametrize("manifest", ["[]", "{", '{"a": 1}', "\udcff"])
def test_a_broken_manifest_claims_nothing(small: Plan, tmp_path: Path, manifest: str) -> None:
    (tmp_path / "manifest.json").write_bytes(manifest.encode("utf-8", "surrogateescape"))
    write_folder(plan_files(small), tmp_path)
    assert "plan.json" in json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))


def test_a_file_in_the_way_is_an_input_error(small: Plan, tmp_path: Path) -> None:
    (tmp_path / "plan").write_text("a file", encoding="utf-8")
    with pytest.raises(InputError, match="cannot be written"):
        write_folder(plan_files(small), tmp_path / "plan")


def test_a_plane_beyond_azure_roles_has_a_table_of_its_own(small: Plan) -> None:
    """Its counts are added to none of Azure's."""
    one = replace(small.proposals[0], id="g1", plane="graph", kind=REMOVE, reason="<b>nobody asked</b>")
    replayed = {"allowed": 7, "needs_activation": 0, "denied": 0, "unknown": 0}
    part = PlanePart("graph", (one,), {}, replayed, {}, names={one.principal_ids[0]: "<i>app"})
    page = write_summary(replace(small, parts=(part,)))
    assert "1 proposals, 1 of them changes. Replay: 7 distinct calls stay allowed" in page
    assert "&lt;b&gt;nobody asked" in page and "&lt;i&gt;app" in page and "<i>app" not in page


def test_a_plane_beyond_azure_roles_is_told_by_names(small: Plan) -> None:
    """Permissions that come as the proposal calls them, and holders whom the plane itself has no name for."""
    first = small.proposals[0]
    evidence = {
        **first.evidence,
        "permissions": [
            {"permission": "Mail.Send", "id": "b633e1c5", "decision": "keep"},
            {"permission": "Mail.ReadWrite", "id": "e2a3a72e", "decision": "remove"},
        ],
        "comes": [{"permission": "User.<b>Read</b>", "id": "f115b65e"}],
    }
    one = replace(first, id="g1", plane="graph", kind=BUILTIN, evidence=evidence)
    counted = {"allowed": 1, "needs_activation": 0, "denied": 0, "unknown": 0}
    part = PlanePart("graph", (one,), {}, counted, {}, names={})
    page = write_summary(replace(small, proposals=(), parts=(part,), names={one.principal_ids[0]: "maria<i>"}))
    assert "Mail.Send, User.&lt;b&gt;Read" in page and "Mail.ReadWrite" not in page
    assert "f115b65e" not in page and "b633e1c5" not in page
    assert "maria&lt;i&gt;" in page and one.principal_ids[0] not in page


def test_planes_are_counted_apart() -> None:
    found = count_by_plane([("graph", "keep"), ("data", "custom"), ("control", "keep"), ("graph", "keep")])
    assert found == {"azure_roles": {"custom": 1, "keep": 1}, "graph": {"keep": 2}}


def test_a_page_of_a_large_plan_has_what_weighs_most(small: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rightsize.render.summary.MOST_ROWS", 2)
    one = small.proposals[0]
    made = [
        replace(one, id=f"{kind}{n}", kind=kind, reason=f"{kind} {n}", excess_before=float(10 - n), excess_after=left)
        for kind, left in ((REMOVE, 0.0), (KEEP, 9.0))
        for n in (3, 1, 2)
    ]
    page = write_summary(replace(small, proposals=tuple(made)))
    assert "The 2 of 3 changes that remove the most excess" in page and "Kept as they are (3)" in page
    assert [page.count(f"{kind} {n}<") for kind in ("remove", "keep") for n in (1, 2, 3)] == [1, 1, 0, 1, 1, 0]
    assert page.index("remove 1<") < page.index("remove 2<")


@pytest.mark.nightly
def test_an_empty_plan_has_a_page() -> None:
    page = write_summary(SmallTenant().plan())
    assert "0 role assignments" in page


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("/", "/"),
        (SUB, "000000a1"),
        (DATA, "000000a1/data"),
        (VM, "000000a1/app/vm1"),
        ("/providers/Microsoft.Management/managementGroups/corp", "corp"),
        ("/subscriptions", "subscriptions"),
    ],
)
def test_scopes_are_said_shortly(scope: str, expected: str) -> None:
    assert short_scope(scope, {}) == expected


def test_a_subscription_is_called_by_its_name() -> None:
    assert short_scope(DATA, {SUB: "Payments"}) == "Payments/data"


class _BrokenError(Exception):
    pass


def test_what_could_not_be_finished_leaves_nothing_behind(hostile: Plan, tmp_path: Path) -> None:
    """`plan.json` of a large tenant is written before all else is known of the folder."""
    files = plan_files(hostile)
    with prepared(tmp_path, plan_texts(hostile)) as written:
        assert {name: digest_of(file) for name, file in written.items()} == {
            name: digest_of(text) for name, text in files.items()
        }
        write_folder(written, tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in files} == contents_of(files)
    before = _tree(tmp_path)
    with pytest.raises(_BrokenError), prepared(tmp_path, plan_texts(hostile)):
        raise _BrokenError
    with pytest.raises(_BrokenError), prepared(tmp_path, _texts_that_break()):
        pass
    assert _tree(tmp_path) == before
    with pytest.raises(InputError, match="cannot be written"), prepared(tmp_path / "plan.json", [("x", ["x"])]):
        pass


def test_a_file_that_the_disk_does_not_keep_is_an_input_error(
    hostile: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is asked for many files at a time, and tells of a full one only then."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"), prepared(tmp_path, plan_texts(hostile)):
        pass
    assert _tree(tmp_path) == {}


def _texts_that_break() -> Iterator[tuple[str, list[str]]]:
    yield "first", ["text"]
    raise _BrokenError


@SOME
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.datetimes() | st.dates(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_indented_text_is_what_the_standard_library_writes(value: object) -> None:
    assert indented(value) == json.dumps(plain(value), ensure_ascii=True, indent=2)


@pytest.mark.skipif(os.name != "posix", reason="elsewhere nobody can be asked whether a process lives")
def test_what_a_killed_run_left_goes_and_what_a_living_one_writes_stays(small: Plan, tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "roles").mkdir()
    left = [tmp_path / f".rightsize-{ended.pid}-a.tmp", tmp_path / "roles" / f".rightsize-{ended.pid}-b.tmp"]
    living = [tmp_path / f".rightsize-{os.getpid()}-a.tmp", tmp_path / ".rightsize-x-a.tmp"]
    for path in (*left, *living):
        path.touch()
    write_folder(plan_files(small), tmp_path)
    assert [path.exists() for path in (*left, *living)] == [False, False, True, True]
