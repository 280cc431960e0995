"""One number, one concept, one name: where the demo tenant's numbers have the same label, they are the same number."""

from __future__ import annotations

import html
import io
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from rightsize.cli.commands.demo import write_page
from rightsize.cli.main import run
from rightsize.propose.verify.plan_reader import load_plan
from rightsize.store.connection import open_store
from rightsize.workflow.suite.demo import STORE, DemoResult

PAGES = {"report": "report.html", "summary": "summary.html"}
NUMBER = r"(\d[\d,]*)"

# Each label, and where it stands: the place and the words around its number. The label of a number of one plane
# names the plane, so that the unexplained operations of Azure roles and those of all planes are two labels.
LABELS: Mapping[str, Mapping[str, str]] = {
    "principals": {"demo": "{} principals", "status": "principals in listings: {}"},
    "principals with access": {"report": "{} principals with access", "report answer": '"principals_with_access": {}'},
    "principals that hold role assignments": {
        "report": "{} principals hold",
        "summary": "{} principals hold",
        "plan": "{} principals hold",
    },
    "role assignments": {
        "demo": "{} role assignments",
        "status": "role assignments: {}",
        "report": "hold {} role assignments",
        "summary": "hold {} role assignments",
        "report answer": '"assignments": {}',
        "comment": "Azure roles: [0-9,]+ of {} assignments change",
        "plan": "hold {} role assignments",
    },
    "changes to role assignments": {
        "report": "{} changes to role assignments",
        "summary": "{} changes to role assignments",
        "comment": "Azure roles: {} of [0-9,]+ assignments change",
        "plan": "{} changes to role assignments",
    },
    "granted": {"demo": "granted +{}", "report": "These grant {} operations", "summary": "{} operations granted"},
    "used": {"demo": "\\bused +{}", "report": "and {} of them were used", "summary": "{} used "},
    "unused": {"demo": "unused +{}", "report": "{} unused [(]", "summary": "{} unused:"},
    "unobservable": {"demo": "unobservable +{}", "report": "{} unobservable", "summary": "{} unobservable:"},
    "out of coverage": {"demo": "out of coverage +{}", "report": "{} out of coverage", "summary": "{} out of coverage"},
    "unexplained operations of Azure roles": {
        "demo": "unexplained +{}",
        "analyze": "Azure roles {}",
        "propose": "replay of Azure roles: .*? unexplained operations: {}",
        "report": "Unexplained operations: {},",
        "summary": "unexplained operations: {} \\(",
        "truth": "{} unexplained operations",
    },
    "unexplained operations of directory roles": {
        "analyze": "directory roles {}",
        "propose": "replay of directory roles: .*? unexplained operations: {}",
        "report": "Directory roles \\S+ to \\S+: [0-9,]+ assignments; unexplained operations: {}",
        "summary": "Directory roles .*?Unexplained operations: {}",
        "plan": "directory: {} unexplained operations",
    },
    "unexplained operations of Microsoft Graph permissions": {
        "analyze": "Microsoft Graph permissions {}",
        "propose": "replay of Microsoft Graph permissions: .*? unexplained operations: {}",
        "report": "Microsoft Graph permissions \\S+ to \\S+: [0-9,]+ assignments; unexplained operations: {}",
        "summary": "Microsoft Graph permissions .*?Unexplained operations: {}",
        "plan": "graph: {} unexplained operations",
    },
    "findings": {"analyze": "findings: {};", "store": "{} findings", "report data": "{} findings"},
    "distinct calls of Azure roles that stay allowed": {
        "demo": "replay: {} distinct calls stay allowed",
        "propose": "replay of Azure roles: {} distinct calls stay allowed",
        "report": "{} distinct calls stay allowed",
        "summary": "Replay of the window: {} distinct calls stay allowed",
        "comment": "Azure roles: {} distinct calls stay allowed",
        "plan": "azure_roles: {} distinct calls stay allowed",
    },
    **{
        f"{part} of all live excess, in per cent": dict.fromkeys(
            ("demo", "propose", "report", "summary", "comment"), f"Of all live excess the plan {text}"
        )
        for part, text in {
            "removed": "removes {} %",
            "by design": "removes [0-9]+ %, {} % stays by design",
            "left": "removes [0-9]+ %, [0-9]+ % stays by design \\([^)]*\\), {} % is left",
        }.items()
    },
    "live excess of today": dict.fromkeys(
        ("demo", "propose", "summary", "comment"), "(?i:live excess of Azure roles), weighed by risk: {} →"
    ),
    "principals that defeat several layers under the plan": {
        "report": "{} could under the plan",
        "propose": "{} principals could defeat several layers",
    },
}


@pytest.fixture(scope="module")
def db(demo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A copy of the demo's store."""
    return str(shutil.copy(demo_folder / STORE, tmp_path_factory.mktemp("numbers") / STORE))


@pytest.fixture(scope="module")
def analysed(db: str) -> str:
    """What `analyze` says, as one line."""
    return " ".join(_said("analyze", "--db", db).split())


@pytest.fixture(scope="module")
def texts(demo_made: DemoResult, demo_folder: Path, db: str, analysed: str) -> dict[str, str]:
    """What each command and page says about the demo tenant, by place, as one line."""
    tmp = Path(db).parent
    pages = {name: _page(demo_folder / file) for name, file in PAGES.items()}
    commands = {
        "analyze": analysed,
        "propose": _said("propose", "--db", db, "--out", str(tmp / "plan")),
        "status": _said("status", "--db", db),
        "report answer": _said(
            "report", "--db", db, "--plan", str(demo_folder), "--out", str(tmp / "r.html"), "-o", "json"
        ),
    }
    truth = json.loads((demo_folder / "truth.json").read_text(encoding="utf-8"))
    with open_store(Path(db), read_only=True) as store:
        findings = store.table("findings").height
    counted = {
        "demo": "\n".join(write_page(demo_made)),
        "comment": (demo_folder / "comment.md").read_text(encoding="utf-8"),
        "plan": _plan(load_plan((demo_folder / "plan.json").read_bytes())),
        "truth": f"{len(truth['unexplained'])} unexplained operations",
        "store": f"{findings} findings",
        "report data": f"{len(_data(demo_folder / PAGES['report'])['findings']['control'])} findings",
    }
    return {place: " ".join(text.split()) for place, text in {**pages, **commands, **counted}.items()}


def _page(path: Path) -> str:
    text = re.sub(r"(?s)<(style|script|svg)\b.*?</\1>", " ", path.read_text(encoding="utf-8"))
    return html.unescape(re.sub(r"<[^>]+>", " ", text))


def _data(path: Path) -> dict[str, Any]:
    found = re.search(r'(?s)<script type="application/json" id="data">(.*?)</script>', path.read_text(encoding="utf-8"))
    assert found is not None
    document: dict[str, Any] = json.loads(found[1])
    return document


def _said(*arguments: str) -> str:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        assert run(list(arguments)) == 0
    return err.getvalue() + out.getvalue()


def _plan(document: Mapping[str, Any]) -> str:
    """Return what `plan.json` counts, as sentences."""
    of_azure = [one for one in document["proposals"] if one["plane"] in ("control", "data")]
    holders = {holder for one in of_azure for holder in one["principal_ids"]}
    changes = sum(one["kind"] != "keep" for one in of_azure)
    parts = {plane: part["replay"]["unknown"] for plane, part in document["planes"].items()}
    return "; ".join(
        [
            f"{len(holders)} principals hold {len(of_azure)} role assignments; {changes} changes to role assignments",
            f"azure_roles: {document['replay']['allowed']} distinct calls stay allowed",
            *(f"{plane}: {number} unexplained operations" for plane, number in parts.items()),
        ]
    )


@pytest.mark.nightly
@pytest.mark.parametrize("label", LABELS)
def test_one_label_has_one_number(label: str, texts: dict[str, str]) -> None:
    """Every place says the label, and all say the same number beside it."""
    found = {}
    for place, words in LABELS[label].items():
        numbers = re.findall(words.replace("{}", NUMBER), texts[place])
        assert numbers, f"{place} does not say `{words}`"
        found[place] = int(numbers[0].replace(",", ""))
    assert len(found) > 1
    assert len(set(found.values())) == 1, found


@pytest.mark.slow
def test_the_unexplained_operations_add_up(analysed: str) -> None:
    """The total of `analyze` is the sum of Azure roles and the planes beyond them."""
    (found,) = re.findall(r"unexplained operations: (\d+) \(([^)]+)\)", analysed)
    assert int(found[0]) == sum(int(number) for number in re.findall(r"\d+", found[1])) > 0
