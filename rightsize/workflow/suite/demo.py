"""Run the demo: generate a tenant, load it, judge it, plan, and compare the plan with the planted truth."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rightsize.demo.code_files import write_code, write_pipeline
from rightsize.demo.generator import generate, write_exports
from rightsize.demo.tenant import TenantSpec
from rightsize.model.errors import InputError, UsageError
from rightsize.model.plan import Plan, Proposal
from rightsize.model.progress import step
from rightsize.propose.core.options import PlanOptions
from rightsize.store.connection import open_store
from rightsize.workflow.answers.report import read_sources, report_store
from rightsize.workflow.data.load import load_paths
from rightsize.workflow.plan.deploy import COMMENT_FORM
from rightsize.workflow.plan.propose import propose_plan
from rightsize.workflow.suite.judge import TruthCheck, check_plan

MARKER = "demo.json"
STORE = "demo.duckdb"
REPORT = "report.html"
CODE = "code"
TITLE = "Least privilege at a made-up hospital group"


@dataclass(frozen=True, slots=True)
class Example:
    """A proposal to show as an example: the principal, today's grant, and its change."""

    principal: str
    role: str
    scope_name: str
    scope: str
    proposal: Proposal


_MEASURED = ("principals", "assignments", "subscriptions", "days", "records")


@dataclass(frozen=True, slots=True)
class DemoResult:
    """The result of the demo.

    Attributes:
        principals: Number of principals in the store, the applications of Microsoft's included.
        assignments: Number of role assignments in the store: active, eligible and activated.
        subscriptions: Number of subscriptions; `days` is the number of days with logs.
        records: Number of records in all exports.
        kinds: Number of proposals of each kind for Azure RBAC, whose assignments the tenant counts.
        examples: The most telling proposals.
        truth: The comparison of the plan with what the tenant really needs.
    """

    folder: Path
    store: Path
    principals: int
    assignments: int
    subscriptions: int
    days: int
    records: int
    plan: Plan
    kinds: dict[str, int]
    examples: list[Example]
    truth: TruthCheck

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the numbers of the demo, one a row."""
        sections = {
            "tenant": {name: getattr(self, name) for name in _MEASURED},
            "verdicts": self.plan.verdicts,
            "proposals": self.kinds,
            "replay": self.plan.replay,
            "needs": self.truth.needs,
            "needs under the plan": self.truth.answers,
            "needs that no rule knows": self.truth.unruled,
        }
        for section, measures in sections.items():
            for measure, value in measures.items():
                yield {"section": section, "measure": measure, "value": value}

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "folder": str(self.folder),
            "store": str(self.store),
            **{name: getattr(self, name) for name in _MEASURED},
            "window": self.plan.generated_from["window"],
            "verdicts": dict(self.plan.verdicts),
            "proposals": self.kinds,
            "replay": dict(self.plan.replay),
            "truth": self.truth.document(),
            "examples": [
                {
                    "principal": one.principal,
                    "role": one.role,
                    "scope": one.scope,
                    "kind": one.proposal.kind,
                    "excess_before": one.proposal.excess_before,
                    "excess_after": one.proposal.excess_after,
                    "reason": one.proposal.reason,
                }
                for one in self.examples
            ],
        }


def make_demo(folder: Path, spec: TenantSpec, narrate: Callable[[str], None]) -> DemoResult:
    """Make a tenant in a folder, load it into a store there, and plan.

    Args:
        folder: New, empty, or an earlier demo, which is replaced.
        spec: The tenant.
        narrate: Is called with a sentence about each step.

    Raises:
        UsageError: The folder holds something else.
        InputError: The folder cannot be written.
    """
    step("writing the exports of a tenant")
    truth = write_demo(folder, spec)
    store = folder / STORE
    narrate(f"wrote {len(truth['files']):,} files of exports to {folder / 'exports'}")
    load_paths(store, [folder / "exports"])
    narrate(f"loaded them into {store}")
    result = propose_plan(store, PlanOptions(), folder, forms=[COMMENT_FORM])
    narrate(f"judged every assignment and wrote the plan to {folder / 'plan.json'}")
    report = report_store(read_sources(store, plan=folder, title=TITLE), folder / REPORT)
    narrate(f"wrote the report to {report.out}")
    plan = result.plan
    with open_store(store, read_only=True) as opened:
        principals, assignments = (opened.table(name).height for name in ("principals", "role_assignments"))
    return DemoResult(
        folder=folder,
        store=store,
        principals=principals,
        assignments=assignments,
        subscriptions=spec.subscriptions,
        days=spec.days,
        records=sum(counts["records"] for counts in truth["files"].values()),
        plan=plan,
        kinds=dict(sorted(Counter(one.kind for one in plan.proposals).items())),
        examples=list(_examples(plan, truth)),
        truth=check_plan(store, plan, truth["needs"]),
    )


def write_demo(folder: Path, spec: TenantSpec) -> dict[str, Any]:
    """Write a tenant's exports and its truth into a folder; return the truth.

    Raises:
        UsageError: The folder holds something else than an earlier demo.
        InputError: The folder cannot be written.
    """
    _require_own(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Written first, so that a demo that was stopped half-way is recognised as one.
        (folder / MARKER).write_text(_marker(spec), encoding="utf-8")
        if (folder / "exports").exists():
            shutil.rmtree(folder / "exports")
        for name in (STORE, f"{STORE}.wal", "truth.json"):
            (folder / name).unlink(missing_ok=True)
        tenant = generate(spec)
        truth = write_exports(tenant, folder / "exports")
        if (folder / CODE).exists():
            shutil.rmtree(folder / CODE)
        write_code(tenant, folder / CODE)
        write_pipeline(spec, folder)
        (folder / "truth.json").write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"`{folder}` cannot be written: {error.strerror or error}") from error
    return truth


def _marker(spec: TenantSpec) -> str:
    made = {
        "what": "a demo tenant of rightsize",
        "seed": spec.seed,
        "principals": spec.principals,
        "subscriptions": spec.subscriptions,
        "days": spec.days,
        "events": spec.events,
    }
    return json.dumps(made, indent=1) + "\n"


def _require_own(folder: Path) -> None:
    try:
        foreign = folder.exists() and any(folder.iterdir()) and not (folder / MARKER).is_file()
    except OSError as error:
        raise InputError(f"`{folder}` cannot be read: {error.strerror}") from error
    if foreign:
        raise UsageError(
            f"`{folder}` holds files and is not an earlier demo",
            hint="name a folder that is new or empty: `rightsize demo DIR`",
        )


def _examples(plan: Plan, truth: dict[str, Any]) -> Iterator[Example]:
    """Yield the largest cut in a used grant, the riskiest removed grant, and the largest undecidable grant."""
    assignments = {one["role_assignment_id"]: one for one in truth["assignments"]}
    pools: tuple[tuple[Callable[[Proposal, dict[str, Any]], bool], Callable[[Proposal], float]], ...] = (
        (_is_a_cut, lambda one: (one.excess_before - one.excess_after) ** 2 / max(one.excess_before, 1.0)),
        (lambda one, _: one.kind.removes, lambda one: one.risk_before),
        (_is_unknowable, lambda one: one.excess_before),
    )
    for belongs, weight in pools:
        pool = [one for one in plan.proposals if belongs(one, assignments[one.replaces[0]])]
        if pool:
            shown = max(pool, key=lambda one: (weight(one), one.id))
            assignment = assignments[shown.replaces[0]]
            scope = assignment["scope"]
            yield Example(assignment["principal_name"], assignment["role_name"], assignment["scope_name"], scope, shown)


def _is_a_cut(proposal: Proposal, assignment: dict[str, Any]) -> bool:
    """Return whether a used grant on a whole subscription is changed, as readers know it from their own tenant."""
    is_subscription = assignment["scope"].count("/") == 2 and assignment["scope"].startswith("/subscriptions/")
    return (
        proposal.kind.assigns
        and not proposal.kind.makes_eligible
        and is_subscription
        and assignment["needs"].get("used", 0) > 1
    )


def _is_unknowable(proposal: Proposal, assignment: dict[str, Any]) -> bool:
    return proposal.kind.keeps and assignment["state"] == "active" and assignment["excluded"] is None
