"""Plans of both released formats are read: version 1 has all of its evidence in its proposals.

The folder `plan_version_1` is a plan of `_tenant` as the last program with that version wrote it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from polars.testing import assert_frame_equal
from typer.main import get_command

from rightsize.cli.main import app, run
from rightsize.guard.watch.detect import read_applied
from rightsize.model.errors import InputError
from rightsize.model.nouns import PermissionBlock, RoleDefinition
from rightsize.model.plan_file import SaidOnce, filled
from rightsize.propose.core.options import PlanOptions
from rightsize.propose.verify.plan_reader import read_plan
from rightsize.propose.verify.review import plan_of
from rightsize.workflow.plan_folder import read_plan_folder
from tests.propose.small_tenant import CONTRIBUTOR, READER, SUB, VM, SmallTenant, guid
from tests.propose.written_plans import Written, named, to_version_1
from tests.rollout.demo_rollout import emergency_words

OLD = Path(__file__).parent / "plan_version_1"
OPTIONS: dict[str, Any] = {"min_window": 60, "unobservable": "drop", "reads": "none"}
START = "Microsoft.Compute/virtualMachines/start/action"
WRITE = "Microsoft.Compute/virtualMachines/write"
DEALLOCATE = "Microsoft.Compute/virtualMachines/deallocate/action"


def _tenant(*, writes: bool = True) -> SmallTenant:
    tenant = SmallTenant()
    user = tenant.principal(1)
    tenant.assign(101, user, CONTRIBUTOR, SUB)
    tenant.assign(102, tenant.principal(2), READER, SUB)
    tenant.use(user, START, VM)
    if writes:
        tenant.use(user, WRITE, VM, days=1, start=-200)
    return tenant


def _old() -> Written:
    return Written({str(path.relative_to(OLD)): path.read_bytes() for path in OLD.rglob("*.*")})


def _new() -> Written:
    return Written.of(_tenant(), roles="max", **OPTIONS)


@pytest.fixture(params=[1, 3])
def written(request: pytest.FixtureRequest) -> Written:
    """The same plan in each version of the format."""
    found = _new() if request.param == 3 else _old()
    assert found.document["format_version"] == request.param
    return found


@pytest.mark.slow
def test_a_plan_is_written_in_version_3() -> None:
    document = _new().document
    assert (document["format_version"], document["generated_from"]["options"]["min_window"]) == (3, 60)
    assert "dials" not in document["generated_from"]


def test_options_have_the_names_of_the_command_line() -> None:
    """What decides the plan is named like its option, and nothing else is there; the window has the day."""
    command = get_command(app).commands["propose"]  # type: ignore[attr-defined]
    names = {option.name for option in command.params}
    role = RoleDefinition(guid(77), "earlier", (PermissionBlock(actions=(READER,)),))
    every = PlanOptions(separate_layers=True, min_days=60, standby=("/subscriptions/a",), previous=(role,)).as_json()
    shown = {"out", "forms", "review", "output", "verbose", "quiet", "no_input", "every", "color", "signers", "signer"}
    others = shown | {"db", "as_of", "config"}
    assert names - others == set(every)


@pytest.mark.nightly
def test_the_ids_of_proposals_and_roles_are_those_of_version_1() -> None:
    """Neither a key nor a role's name decides an id: what was deployed from an older plan is found again.

    A plan of today makes fewer roles for this tenant. What it would make of the start alone is a role of both.
    """
    old, new, starting = _old(), _new(), Written.of(_tenant(writes=False), roles="max", **OPTIONS)
    (one,) = starting.document["roles"]
    (before,) = (other for other in old.document["roles"] if other["role"] == one["role"])
    grants = [json.loads(plan.files[role["file"]])["properties"] for plan, role in ((old, before), (starting, one))]
    assert grants[0]["permissions"] == grants[1]["permissions"]
    assert grants[0]["assignableScopes"] == grants[1]["assignableScopes"]
    for key in ("id", "replaces"):
        found = [filled(proposal, SaidOnce())[key] for proposal in new.document["proposals"]]
        assert [proposal[key] for proposal in old.document["proposals"]] == found


@pytest.mark.slow
def test_all_versions_hold_against_their_tenant(written: Written) -> None:
    found = written.verify(_tenant())
    assert (found.changes, found.failed) == ((), ())
    assert [proof.role_assignment_id for proof in found.proofs] == [guid(101), guid(102)]


@pytest.mark.slow
def test_all_versions_remember_use_from_before_the_window(written: Written) -> None:
    """Use 200 days before the window makes the plan stale only if `forget_days` was read from it."""
    later = _tenant()
    later.use(guid(1), DEALLOCATE, VM, days=1, start=-200)
    assert named(written.verify(later)) == [("use", guid(1), "not_covered")]


@pytest.mark.slow
def test_a_plan_reads_the_same_from_all_versions() -> None:
    """After reading, nobody can tell the version: options, proposals, roles, evidence and its tables are equal."""
    new = _new().read()
    old = _new().edit(lambda document: to_version_1(document, new.tables)).read()
    assert (len(old.written.evidence), len(new.written.evidence)) == (0, 5)
    assert {**old.document, "evidence": None} == {**new.document, "evidence": None}
    assert plan_of(old) == plan_of(new)
    for name, frame in new.tables.items():
        if name not in ("grants", "counts"):
            assert_frame_equal(old.tables[name], frame)
    assert new.tables["operations"]["period"].to_list() == ["window", "before"]
    assert plan_of(old).generated_from["options"]["forget_days"] == 400


@pytest.mark.slow
def test_the_folder_of_an_old_version_is_read_from_disk() -> None:
    """The readers of folders take it too: review, plan files, reports, layers, and the drift of applied roles."""
    read = read_plan_folder(OLD)
    assert set(read_applied([OLD])) == set(read.roles) != set()
    assert_frame_equal(
        read.tables["operations"].drop("proposal_id"), _new().read().tables["operations"].drop("proposal_id")
    )


@pytest.mark.slow
@pytest.mark.parametrize("version", [0, 2, 4, "3", 2.5, True, None, [2], {"\x1b[31m": 1}])
def test_another_version_is_refused_with_the_versions_that_can_be_read(version: object) -> None:
    document = _new().document | {"format_version": version}
    with pytest.raises(InputError, match="versions 1 and 3 can be read") as raised:
        read_plan(json.dumps(document).encode())
    assert "rightsize propose" in (raised.value.hint or "")
    assert json.dumps(version) in raised.value.message
    assert "\x1b" not in raised.value.message


@pytest.mark.slow
@pytest.mark.parametrize(("version", "key"), [(1, "options"), (3, "dials")])
def test_the_key_of_the_other_version_is_not_read(version: int, key: str) -> None:
    """A plan of today needs its options; in one of version 1 a key `options` means nothing."""
    document = _new().document
    document["format_version"] = version
    document["generated_from"][key] = document["generated_from"].pop("options")
    if version == 3:
        with pytest.raises(InputError, match="options"):
            read_plan(json.dumps(document).encode())
    else:
        document["proposals"] = [filled(one, SaidOnce.of(document)) for one in document["proposals"]]
        document["rests_on"] = _new().rests_on
        assert read_plan(json.dumps(document).encode()).window.forget_days == 0


@pytest.fixture(scope="module")
def demo_plans(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The demo's plan folder in all versions, without the chain, which binds every byte."""
    made = {}
    for version in (1, 3):
        folder = made[version] = Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp(f"v{version}") / "plan"))
        (folder / "chain.json").unlink()
        (folder / "manifest.json").unlink()
        document = json.loads((folder / "plan.json").read_bytes())
        if version == 1:
            to_version_1(document, read_plan_folder(folder).tables)
            for file in (folder / "evidence").glob("*.parquet"):
                file.unlink()
        (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    return made


@pytest.mark.nightly
@pytest.mark.parametrize(
    "command",
    [
        ("plan", "verify", "-o", "json"),
        ("review", "list"),
        ("plan", "comment"),
        ("reach", "layers", "--plan"),
        ("rollout", "plan"),
    ],
    ids=" ".join,
)
def test_commands_answer_the_same_for_all_versions(
    command: tuple[str, ...], demo_plans: dict[int, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {}
    for version, folder in demo_plans.items():
        words = [*command, str(folder)]
        if command[0] == "rollout":
            words += ["--out", str(tmp_path / str(version)), *emergency_words(folder)]
        if command != ("review", "list"):
            words += ["--db", str(folder / "demo.duckdb")]
        capsys.readouterr()
        answers[version] = (run(words), capsys.readouterr().out)
    assert answers[1] == answers[3]
    assert answers[1][0] == 0 and answers[1][1]
