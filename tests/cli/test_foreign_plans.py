"""Plans from strangers: whatever stands in a plan folder, a command works or says what is wrong, and never breaks."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.main import run
from tests.cli.foreign_texts import changed, odd_bytes, written
from tests.rollout.demo_rollout import emergency_words

pytestmark = pytest.mark.slow

Ask = Callable[..., tuple[int, str]]
INTERNAL = 1
COMMANDS: dict[str, tuple[str, ...]] = {
    "next": ("next", "PLAN"),
    "next -o json": ("next", "PLAN", "-o", "json"),
    "plan comment": ("plan", "comment", "PLAN"),
    "review list": ("review", "list", "PLAN", "-o", "json"),
    "plan files": ("plan", "files", "PLAN", "--format", "bicep", "--out", "OUT"),
    "verify": ("plan", "verify", "PLAN"),
    "rollout plan": ("rollout", "plan", "PLAN", "--out", "OUT", "--emergency-access", "EMERGENCY"),
    "watch": ("watch", "--applied", "PLAN"),
    "layers": ("reach", "layers", "--plan", "PLAN"),
    "reach": ("reach", "PRINCIPAL", "--plan", "PLAN"),
    "report": ("report", "--plan", "PLAN", "--out", "OUT.html"),
    "propose": ("propose", "--previous", "PLAN", "--out", "OUT"),
}
QUICK = ("next", "next -o json", "plan comment", "review list", "plan files")
SHORT_ROUNDS = [pytest.param(seed, marks=() if seed < 1 else pytest.mark.nightly) for seed in range(24)]
ROUNDS = SHORT_ROUNDS[:12]


@pytest.fixture(scope="module")
def small(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's plan with one proposal of each plane and kind, without chain and manifest."""
    ignored = shutil.ignore_patterns("exports", "*.html", "chain.json", "manifest.json")
    folder = Path(shutil.copytree(demo_folder, tmp_path_factory.mktemp("small") / "plan", ignore=ignored))
    document = json.loads((folder / "plan.json").read_bytes())
    kinds = {(one["plane"], one["kind"]): one for one in document["proposals"]}
    document["proposals"] = list(kinds.values())
    (folder / "plan.json").write_text(json.dumps(document), encoding="utf-8")
    return folder


@pytest.fixture
def plan(small: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(small, tmp_path / "plan", ignore=shutil.ignore_patterns("demo.duckdb")))


@pytest.fixture
def ask(small: Path, plan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    copied = 0

    def asked(command: str, *more: str | Path) -> tuple[int, str]:
        nonlocal copied
        proposals = json.loads((small / "plan.json").read_bytes())["proposals"]
        values = {"PLAN": plan, "OUT": tmp_path / "out", "OUT.html": tmp_path / "out.html"}
        values |= {"PRINCIPAL": proposals[0]["principal_ids"][0], "EMERGENCY": ""}
        words = [str(values.get(word, word)) for word in COMMANDS[command]]
        if "--emergency-access" in words:
            words = [*words[: words.index("--emergency-access")], *emergency_words(small)]
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        store = tmp_path / "demo.duckdb"
        if not store.exists() or store.stat().st_mtime_ns != copied:
            shutil.copyfile(small / "demo.duckdb", store)
            copied = store.stat().st_mtime_ns
        capsys.readouterr()
        code = run([*words, *map(str, more), "--db", str(store)])
        return code, capsys.readouterr().err

    return asked


def _holds(code: int, said: str) -> bool:
    return code != INTERNAL and "Traceback" not in said and "internal" not in said


@pytest.mark.nightly
@pytest.mark.parametrize("seed", SHORT_ROUNDS)
@pytest.mark.parametrize("command", QUICK)
def test_no_value_of_a_plan_breaks_a_command(ask: Ask, plan: Path, command: str, seed: int) -> None:
    document = json.loads((plan / "plan.json").read_bytes())
    assert ask(command)[0] in (0, 6)
    drawn = random.Random(f"{command} {seed}")  # noqa: S311  the same each time
    for _ in range(10):
        foreign = changed(document, drawn)
        (plan / "plan.json").write_bytes(written(foreign))
        code, said = ask(command)
        assert _holds(code, said), written(foreign)[:2000]


@pytest.mark.nightly
@pytest.mark.parametrize("seed", ROUNDS)
@pytest.mark.parametrize("command", [one for one in COMMANDS if one not in QUICK])
def test_no_value_of_a_plan_breaks_a_command_that_analyses(ask: Ask, plan: Path, command: str, seed: int) -> None:
    document = json.loads((plan / "plan.json").read_bytes())
    drawn = random.Random(f"{command} {seed}")  # noqa: S311  the same each time
    for _ in range(3):
        foreign = changed(document, drawn)
        (plan / "plan.json").write_bytes(written(foreign))
        code, said = ask(command)
        assert _holds(code, said), written(foreign)[:2000]


@pytest.mark.nightly
@pytest.mark.parametrize("command", ["next", pytest.param("verify", marks=pytest.mark.slow)])
def test_no_other_text_in_place_of_a_plan_breaks_a_command(ask: Ask, plan: Path, command: str) -> None:
    """Other encodings, deep nesting, huge numbers, repeated keys, no JSON at all."""
    for text in odd_bytes((plan / "plan.json").read_bytes()):
        (plan / "plan.json").write_bytes(text)
        code, said = ask(command)
        assert _holds(code, said), text[:200]


@pytest.mark.nightly
@pytest.mark.parametrize("seed", ROUNDS)
@pytest.mark.parametrize("pattern", ["roles/*.json", "evidence/*.json"])
def test_no_value_of_a_role_file_breaks_a_command(ask: Ask, plan: Path, pattern: str, seed: int) -> None:
    drawn = random.Random(f"{pattern} {seed}")  # noqa: S311  the same each time
    file = sorted(plan.glob(pattern))[0]
    text = file.read_bytes()
    texts = [written(changed(json.loads(text), drawn)) for _ in range(15)]
    for foreign in texts if seed else [*texts, *odd_bytes(text)]:
        file.write_bytes(foreign)
        code, said = ask("plan comment")
        assert _holds(code, said), foreign[:2000]


@pytest.mark.parametrize("command", COMMANDS)
def test_an_edited_plan_is_refused_by_every_command(ask: Ask, plan: Path, demo_folder: Path, command: str) -> None:
    """By its chain, which every command reads; without its chain, by the manifest that names one."""
    for name in ("plan.json", "chain.json", "manifest.json", "summary.html"):
        shutil.copyfile(demo_folder / name, plan / name)
    document = json.loads((plan / "plan.json").read_bytes())
    document["proposals"][0]["excess_before"] = 1
    (plan / "plan.json").write_bytes(written(document))
    code, said = ask(command)
    assert (code, "not what the chain of the plan says: `plan.json`" in said) == (5, True), said
    (plan / "chain.json").unlink()
    code, said = ask(command)
    assert (code, "lacks its `chain.json`" in said) == (5, True), said


def _chain_anew(plan: Path) -> None:
    """Make the chain fit a changed plan, as somebody would who forges one."""
    document: dict[str, Any] = json.loads((plan / "chain.json").read_bytes())
    last = ""
    for one in document["links"]:
        if one["of"] == "plan":
            one["sha256"] = hashlib.sha256((plan / "plan.json").read_bytes()).hexdigest()
        last = one["link"] = hashlib.sha256(f"{last}\n{one['of']}\n{one['sha256']}\n".encode()).hexdigest()
    (plan / "chain.json").write_text(json.dumps(document))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("needs ssh-keygen")
    path = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "mei", "-f", str(path)], check=True)
    return path


@pytest.mark.nightly
@pytest.mark.parametrize(
    "command",
    [pytest.param(one, marks=() if one in ("next", "rollout plan") else pytest.mark.slow) for one in COMMANDS],
)
def test_a_signature_is_checked_by_every_command(
    ask: Ask, plan: Path, demo_folder: Path, key: Path, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signed plan whose risk was changed and whose chain was made anew is refused, with and without signers."""
    for name in ("plan.json", "chain.json", "manifest.json", "summary.html"):
        shutil.copyfile(demo_folder / name, plan / name)
    signers = key.with_name("signers")
    signers.write_text(f"mei@example.com {key.with_name('key.pub').read_text()}")
    monkeypatch.setenv("RIGHTSIZE_SIGNERS", str(signers))
    code, said = ask(command)
    assert (code, "the plan is not signed" in said) == (3, True), said
    assert run(["plan", "sign", str(plan), "--key", str(key)]) == 0
    code, said = ask(command)
    assert "not signed" not in said and _holds(code, said)
    document = json.loads((plan / "plan.json").read_bytes())
    document["proposals"][0]["risk_before"] = 1
    (plan / "plan.json").write_bytes(written(document))
    _chain_anew(plan)
    for _ in ("by whom it must be signed", "by anybody"):
        code, said = ask(command)
        assert (code, "the signature of the plan does not hold" in said) == (3, True), said
        monkeypatch.delenv("RIGHTSIZE_SIGNERS", raising=False)


@pytest.mark.many(6)
@pytest.mark.parametrize("name", ["plan.json", "roles", "chain.json", "chain.json.sig"])
@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_only_regular_files_of_a_plan_folder_are_read(ask: Ask, plan: Path, name: str, kind: str) -> None:
    """A link, a pipe that nobody writes to, a link to a device: each is refused at once."""
    place = next(plan.glob("roles/*.json")) if name == "roles" else plan / name
    outside = plan.with_name("outside")
    if place.exists():
        place.rename(outside)
    if kind == "pipe":
        os.mkfifo(place)
    else:
        place.symlink_to("/dev/zero" if kind == "device" else outside)
    code, said = ask("next")
    assert code in (3, 5) and _holds(code, said), said
    assert name == "chain.json.sig" or "not a regular file" in said or "a link" in said


def test_a_typed_plan_may_be_a_link_or_a_pipe(ask: Ask, plan: Path, tmp_path: Path) -> None:
    """What a person types is meant: a link to the folder, a link to the file beside its roles."""
    (tmp_path / "elsewhere").symlink_to(plan)
    assert run(["next", str(tmp_path / "elsewhere"), "--db", str(tmp_path / "none")]) == 0
    (plan / "plan.json").rename(tmp_path / "moved.json")
    (plan / "latest.json").symlink_to(tmp_path / "moved.json")
    assert run(["next", str(plan / "latest.json"), "--db", str(tmp_path / "none")]) == 0
