"""Fixtures that every part of the suite shares."""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pickle
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from tests.tiers import mark_tiers

if TYPE_CHECKING:
    from rightsize.demo.tenant import SampleTenant
    from rightsize.workflow.suite.demo import DemoResult

MadeOnce = Callable[[str, Callable[[Path], None]], Path]

# Workers stand side by side, one for each core; set before polars is imported. Where order could have a say, tests
# give a process of its own more.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

# The same tree gives the same answer, however slow the machine; `fresh` draws other examples each time. Tests say by
# `tests.examples` whether they draw fewer or more than a profile has.
_REPEATED = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fast", _REPEATED, max_examples=12)
settings.register_profile("full", _REPEATED, max_examples=24)
settings.register_profile("nightly", _REPEATED, max_examples=240)
settings.register_profile("fresh", _REPEATED, max_examples=60, derandomize=False)


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile that `HYPOTHESIS_PROFILE` names; without it `full` where every test runs, otherwise `fast`."""
    every = "fast" if config.option.markexpr else "full"
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or every)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Search for no garbage while tests are collected, nor later in what was collected: a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    """Let every second worker collect folders from their end, so that each compiles one half of the files for both."""
    report = yield
    if isinstance(collector, pytest.Directory) and _WORKER and int(_WORKER.removeprefix("gw")) % 2:
        report.result = report.result and report.result[::-1]
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give all workers the same order, and sort the tests into tiers before pytest selects by marker."""
    if _WORKER:
        items.sort(key=lambda item: item.path)
    mark_tiers(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """Let the thread of a test take its steps of polars: a plan of a test takes thousands, over few rows."""
    from tests.small_steps import in_small_steps  # noqa: PLC0415  not every run of tests wants polars

    runner: Any = item.config.pluginmanager.get_plugin("runner")

    def work() -> BaseException | None:
        try:
            runner.pytest_runtest_protocol(item, nextitem)
        except BaseException as error:
            return error
        return None

    if error := in_small_steps(work):
        raise error
    return True


_SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real exports beside the checkout; tests that need it are skipped where it is absent."""
    if not _SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data beside the checkout")
    return _SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def state_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a machine remembers stays away from the user's own; all workers are one machine."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(shared / "state"))
        yield


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Gives a folder by its name, filled by whichever worker wants it first. Read only."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def of(name: str, fill: Callable[[Path], None]) -> Path:
        folder, whole = shared / f"once-{name}", shared / f"once-{name}.whole"
        with (shared / f"once-{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                whole.touch()
        return folder

    return of


def _state_of(file: Path) -> tuple[object, ...]:
    """Return what changes whenever somebody writes a store."""
    parts = [part.stat() for part in (file, file.with_name(f"{file.name}.wal")) if part.exists()]
    return (str(file), *((one.st_ino, one.st_size, one.st_mtime_ns) for one in parts))


@pytest.fixture(scope="session", autouse=True)
def _stores_of_one(made_once: MadeOnce) -> Iterator[None]:
    """A store that is new is a copy of one without content: to make each takes a quarter of a second.

    One that is as it was when it was compared with the schema is not compared again, which is half of an opening.
    """
    from rightsize.store import connection  # noqa: PLC0415  not every run of tests wants DuckDB

    really = connection.reserve_store
    made = made_once("store", lambda folder: connection.open_store(folder / "new.duckdb", read_only=False).close())
    comparisons = ("refuse_programs", "require_schema")
    compared: set[tuple[object, ...]] = set()

    def reserve(file: Path) -> None:
        really(file)
        shutil.copy(made / "new.duckdb", file)
        compared.update((name, *_state_of(file)) for name in comparisons)

    def once(name: str, compare: Callable[[Any, Path], None]) -> Callable[[Any, Path], None]:
        def compare_once(opened: Any, file: Path) -> None:
            state = (name, *_state_of(file))
            if state not in compared:
                compare(opened, file)
                compared.add(state)

        return compare_once

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(connection, "reserve_store", reserve)
        for name in comparisons:
            patched.setattr(connection, name, once(name, getattr(connection, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _plans_pass_their_schema() -> Iterator[None]:
    """Every plan that a test writes is held against the published schema."""
    from rightsize.render import plan as written  # noqa: PLC0415  not every run of tests wants polars

    really = written.plan_parts

    def checked(*given: Any) -> Iterator[str]:
        from tests.plan_schema import check_plan  # noqa: PLC0415  not every test writes a plan

        texts = []
        for text in really(*given):
            texts.append(text)
            yield text
        check_plan(json.loads("".join(texts)))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(written, "plan_parts", checked)
        yield


@pytest.fixture(scope="session", autouse=True)
def _written_files_pass_their_schema() -> Iterator[None]:
    """Every exemption, exclusion, decision and price that a test reads without an error passes the published schema."""
    from rightsize.analyze import controls  # noqa: PLC0415  not every run of tests wants polars
    from rightsize.model import decisions  # noqa: PLC0415
    from rightsize.propose.core import options  # noqa: PLC0415
    from rightsize.rules import prices  # noqa: PLC0415

    def checked(really: Callable[..., Any], schema: str) -> Callable[..., Any]:
        def read(entry: Any, where: str) -> Any:
            from tests.file_schemas import check_entry  # noqa: PLC0415  not every test reads such a file

            found = really(entry, where)
            check_entry(schema, entry)
            return found

        return read

    with pytest.MonkeyPatch.context() as patched:
        for module, name, schema in (
            (controls, "read_exemption", "exemptions"),
            (options, "read_exclusion", "exclusions"),
            (decisions, "read_decision", "review"),
            (prices, "read_price", "prices"),
        ):
            patched.setattr(module, name, checked(getattr(module, name), schema))
        yield


@pytest.fixture(scope="session", autouse=True)
def _commands_end_as_their_help_says() -> Iterator[None]:
    """Every command that a test runs in its own process ends with an exit code that its help lists."""
    from rightsize.cli import exit_codes, main  # noqa: PLC0415  not every run of tests wants the command line
    from rightsize.cli.registry import COMMANDS  # noqa: PLC0415

    really, names = main.run_command, {one.name for one in COMMANDS if one.function}

    def checked(arguments: list[str]) -> int:
        code = really(arguments)
        called = next((one for n in (2, 1) if (one := " ".join(arguments[:n])) in names), None)
        assert called is None or code in exit_codes.codes_of(called), f"`{called}` ended with {code}"
        return code

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(main, "run_command", checked)
        yield


def _write_tenant(tenant: SampleTenant, folder: Path) -> None:
    from rightsize.demo.generator import write_exports  # noqa: PLC0415  polars is not wanted by every test

    truth = write_exports(tenant, folder / "exports")
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")


@pytest.fixture(scope="session")
def demo_exports(made_once: MadeOnce) -> Path:
    """The default demo tenant's folder of exports; its truth stands beside the folder in `truth.json`. Read only."""
    from rightsize.demo.generator import generate  # noqa: PLC0415

    return made_once("exports", lambda folder: _write_tenant(generate(), folder)) / "exports"


@pytest.fixture(scope="session")
def demo_made(made_once: MadeOnce) -> DemoResult:
    """What making the default demo gave, and the folder that it made. Read only."""
    from rightsize.demo.tenant import TenantSpec  # noqa: PLC0415
    from rightsize.workflow.suite.demo import make_demo  # noqa: PLC0415

    def fill(folder: Path) -> None:
        made = make_demo(folder / "demo", TenantSpec(), lambda _: None)
        (folder / "made.pickle").write_bytes(pickle.dumps(made))

    found: DemoResult = pickle.loads((made_once("demo", fill) / "made.pickle").read_bytes())  # noqa: S301  our own
    return found


@pytest.fixture(scope="session")
def demo_folder(demo_made: DemoResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the default demo, as the command makes it. Read only: whoever writes takes a copy."""
    return Path(shutil.copytree(demo_made.folder, tmp_path_factory.mktemp("made") / "demo"))


@pytest.fixture(scope="session")
def demo_truth(demo_exports: Path) -> dict[str, Any]:
    """The planted truth of `demo_exports`."""
    truth: dict[str, Any] = json.loads((demo_exports.parent / "truth.json").read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="session")
def hostile_exports(made_once: MadeOnce) -> Path:
    """Exports of a tenant with attacker-chosen names; its truth stands beside the folder. Read only."""
    from tests.tenants.hostile import hostile_tenant  # noqa: PLC0415

    return made_once("hostile", lambda folder: _write_tenant(hostile_tenant(), folder)) / "exports"


@pytest.fixture(scope="session")
def hostile_truth(hostile_exports: Path) -> dict[str, Any]:
    """The planted truth of `hostile_exports`."""
    truth: dict[str, Any] = json.loads((hostile_exports.parent / "truth.json").read_text(encoding="utf-8"))
    return truth


@pytest.fixture(scope="session")
def hostile_planned(made_once: MadeOnce, hostile_exports: Path) -> Path:
    """A folder with the hostile tenant's `store.duckdb` and its `plan`. Read only: whoever writes takes a copy."""
    from rightsize.propose.core.options import PlanOptions  # noqa: PLC0415
    from rightsize.workflow.data.load import load_paths  # noqa: PLC0415
    from rightsize.workflow.plan.propose import propose_plan  # noqa: PLC0415

    def fill(folder: Path) -> None:
        load_paths(folder / "store.duckdb", [hostile_exports])
        propose_plan(folder / "store.duckdb", PlanOptions(), folder / "plan")

    return made_once("hostile-planned", fill)
