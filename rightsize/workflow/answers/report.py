"""Write the report of a store, and of a plan where one is given: as one page, or its tables as whole files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.overview import Overview, survey
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reach.facts import read_facts
from rightsize.analyze.reach.layers import measure_layers
from rightsize.analyze.requirements import require_rbac
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import short_log
from rightsize.model.access_answers import LETTERS
from rightsize.model.errors import InputError, UsageError
from rightsize.model.nouns import RoleDefinition
from rightsize.model.options import USUAL, WindowOptions
from rightsize.model.plan import PLANES_BEYOND, Plan
from rightsize.model.plan_totals import NextSteps
from rightsize.model.progress import step
from rightsize.model.role_forms import permissions_from_json
from rightsize.model.text import fold
from rightsize.propose.assembly.next_steps import rank_steps
from rightsize.propose.verify.review import ReviewablePlan, plan_of
from rightsize.render.report.figures import Sources, Undecided
from rightsize.render.report.page import write_report
from rightsize.render.report.sections import BLASTS_OF
from rightsize.render.rows import write_separated, write_workbook
from rightsize.rules.prices import known_prices
from rightsize.store.connection import Store, open_store
from rightsize.store.stored_analysis import digest_content, has_current_answers, kept_digests, kept_steps
from rightsize.workflow.analysis.analyze import all_findings
from rightsize.workflow.analysis.behaviour import find_behaviour, with_holds
from rightsize.workflow.analysis.find_analysis import require_content
from rightsize.workflow.analysis.keep_analysis import options_of, reach_of, whole_analysis
from rightsize.workflow.analysis.layers import measure_plan
from rightsize.workflow.analysis.reach import blast_of, planned_reach, rank_reach, views_of
from rightsize.workflow.answers.log_options import Tariff
from rightsize.workflow.answers.logs import rank_missing
from rightsize.workflow.names import read_names, scope_names
from rightsize.workflow.plan.jobs import tables_of
from rightsize.workflow.plan.questions import say_short
from rightsize.workflow.plan.review import reached_by
from rightsize.workflow.plan_folder import PlanFolder, open_plan_folder
from rightsize.workflow.signatures import ANYBODY, Signers


def find_undecided(
    inputs: Inputs,
    coverage: pl.DataFrame,
    analysis: Analysis,
    findings: pl.DataFrame,
    planes: Sequence[PlaneAnalysis],
) -> Undecided:
    """Return what `status logs` answers for the same window, with its default prices and without a budget.

    Args:
        inputs: The tables.
        coverage: The whole table `coverage`, logs of the tenant among them.
        analysis: The analysis.
        findings: Its findings.
        planes: The analyses of the planes beyond Azure RBAC.
    """
    tariff = Tariff(known_prices())
    result, _ = rank_missing(inputs, coverage, analysis, findings, planes, tariff)
    rows = tuple(result.rows())
    decided = result.decides([row["item"] for row in rows])
    unlisted = sum(result.unlisted.values())
    return Undecided(options=rows, decidable=result.share(decided), region=tariff.region, unlisted=unlisted)


TITLE = "Least privilege for this tenant"
_CHANGED = (
    "The loaded data has changed since this plan was made. The numbers are new, the proposals are not; "
    "`rightsize plan verify` says whether the plan still holds."
)


@dataclass(frozen=True, slots=True)
class ReportResult:
    """The result of `report`.

    Attributes:
        out: The file.
        size: Its length in bytes.
        principals_with_access: Number of principals that a role assignment reaches, directly or through groups.
        assignments: Number of role assignments.
        proposals: Number of proposals for them; None without a plan.
        is_stale: Whether the plan was made from another state of the store.
    """

    out: Path
    size: int
    principals_with_access: int
    assignments: int
    proposals: int | None
    is_stale: bool

    def document(self) -> dict[str, Any]:
        """Return the result as plain values."""
        return {
            "file": str(self.out),
            "bytes": self.size,
            "principals_with_access": self.principals_with_access,
            "assignments": self.assignments,
            "proposals": self.proposals,
            "plan_is_of_this_store": None if self.proposals is None else not self.is_stale,
        }


def report_store(sources: Sources, out: Path) -> ReportResult:
    """Write the report of what `read_sources` returns; raise InputError where the file cannot be written."""
    step("writing the page")
    text = write_report(sources).encode()
    _write(out, text)
    return ReportResult(
        out=out,
        size=len(text),
        principals_with_access=sources.overview.principals.height,
        assignments=sources.overview.assignments.height,
        proposals=len(sources.proposals) if sources.proposals is not None else None,
        is_stale=sources.stale is not None,
    )


def read_sources(
    db: Path,
    *,
    plan: Path | None = None,
    signers: Signers = ANYBODY,
    title: str = TITLE,
    asked: WindowOptions | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Sources:
    """Return the inputs of a report of a store, and of a plan where one is given, whose window is then used.

    `note` is called with a sentence where no stored analysis is of this content and window.

    Raises:
        UsageError: Both a plan and a window are named.
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: The plan cannot be read.
    """
    if plan is not None and asked is not None:
        raise UsageError(
            "a plan has its own window, and the command names another one",
            hint="leave out --as-of, --min-window, --min-days and --forget-days",
        )
    folder = open_plan_folder(plan, signers) if plan is not None else None
    read = folder.read if folder is not None else None
    asked = options_of(read.written.window) if read is not None else asked or USUAL
    with open_store(db, read_only=True) as store:
        require_content(store)
        inputs = Inputs.read(with_holds(store))
        require_rbac(inputs)
        analysis, findings, planes = whole_analysis(store, inputs, asked, note)
        names = _all_names(store)
        planned = plan_of(read) if read is not None else None
        is_current = has_current_answers(store)
        reach = store.table("reach") if is_current else reach_of(store, inputs, analysis)[1]["reach"]
        if planned is not None and not _is_kept(store, folder):
            after, _ = planned_reach(store, inputs, analysis, planned)
            reach = pl.concat([reach.filter(pl.col("basis") != "proposed"), after])
        ranked = rank_reach(reach, names)
        blasts = _first_blasts(ranked, inputs, analysis, store, planned, names)
        jobs = tables_of(store, inputs, analysis).named()
        undecided = find_undecided(inputs, store.table("coverage"), analysis, findings, planes)
        findings = all_findings(analysis.window, findings, find_behaviour(store), planes)
        is_stale = read is not None and read.document["generated_from"]["content_hash"] != digest_content(
            store, known=kept_digests(store)
        )
    steps = (
        rank_steps(planned, reached_by(planned, inputs.principals, inputs.group_closure)) if planned else NextSteps()
    )
    overview = survey(inputs, analysis)
    short = short_log(inputs, analysis.window, analysis.verdicts)
    layers = measure_layers(analysis) if planned is None else measure_plan(inputs, analysis, planned)
    activations = [analysis.activations, *(one.activations for one in planes)]
    return Sources(
        title=title,
        window=analysis.window,
        overview=overview,
        coverage=inputs.coverage,
        findings=findings,
        scope_names=scope_names(inputs.scopes),
        layers=layers.defeats,
        violations=layers.violations,
        planes=planes,
        reach=ranked,
        blasts=blasts,
        activations=[row for table in activations for row in table.to_dicts()],
        steps=steps,
        undecided=undecided,
        jobs=jobs,
        stale=_CHANGED if is_stale else None,
        short=say_short(short, inputs, names) if short is not None else (),
        **_of_plan(read, inputs, overview),
    )


def _is_kept(store: Store, folder: PlanFolder | None) -> bool:
    """Return whether the answers of the store are of this plan and of the present content."""
    return folder is not None and folder.chain is not None and kept_steps(store, folder.chain.head) is not None


def _first_blasts(
    ranked: Sequence[Mapping[str, Any]],
    inputs: Inputs,
    analysis: Analysis,
    store: Store,
    plan: Plan | None,
    names: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the blast radius of the subjects with the widest reach, machines and outside subjects among them."""
    wide = [row for row in ranked if (row["cells"] or row["takes_tenant"]) and row["state"] == "active"]
    chosen = [row for kind, most in BLASTS_OF.items() for row in [one for one in wide if one["kind"] == kind][:most]]
    if not chosen:
        return []
    table_of = cache(store.table)
    views = views_of(read_facts(inputs, table_of), inputs, analysis, table_of, plan, eligible=False)
    return [blast_of(f"{LETTERS[row['kind']]}:{row['subject']}", views, names) for row in chosen]


def _of_plan(read: ReviewablePlan | None, inputs: Inputs, overview: Overview) -> dict[str, Any]:
    if read is None:
        return {}
    proposals = [one for one in read.document["proposals"] if one["plane"] not in PLANES_BEYOND]
    assigned: set[str] = {fold(place["role"]) for one in proposals for place in one["assignments"]}
    return {
        "proposals": proposals,
        "beyond": [one for one in read.document["proposals"] if one["plane"] in PLANES_BEYOND],
        "plan": {key: value for key, value in read.document.items() if key != "proposals"},
        "planned_roles": _existing_roles(inputs, assigned - set(overview.roles["role"])) | dict(read.roles),
        "evidence": read.evidence,
    }


def _all_names(store: Store) -> dict[str, str]:
    names, places = read_names(store)
    return names | places


def _existing_roles(inputs: Inputs, wanted: set[str]) -> dict[str, RoleDefinition]:
    """Return the existing roles that a plan assigns and nobody holds today."""
    found = inputs.role_definitions.with_columns(key=folded(inputs.role_definitions["role_definition_id"])).filter(
        pl.col("key").is_in(list(wanted))
    )
    return {
        row["key"]: RoleDefinition(
            role_definition_id=row["key"],
            role_name=row["role_name"] or row["key"],
            permissions=permissions_from_json(row["permissions"]),
            role_type="BuiltInRole" if row["role_type"] == "BuiltInRole" else "CustomRole",
        )
        for row in found.iter_rows(named=True)
    }


def _write(out: Path, text: bytes) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_bytes(text)
    except OSError as error:
        raise InputError(f"`{out}` cannot be written: {error.strerror}") from error


Format = Literal["csv", "xlsx"]
Table = tuple[Sequence[str], Sequence[Mapping[str, Any]]]
WORKBOOK = "rightsize.xlsx"
_PROPOSALS = (
    "id", "plane", "principal_id", "principal", "kind", "role_assignment_id", "state", "role", "scope", "assigns",
    "excess_before", "excess_after", "risk_before", "risk_after", "break_probability_30d", "proved", "reason",
)  # fmt: skip
_ASSIGNS = ("proposal_id", "principal_id", "principal", "role_id", "role", "scope", "state", "condition", "end_on")


@dataclass(frozen=True, slots=True)
class ExportResult:
    """The result of `export`: `{table, file, rows}`, and whether the plan was made from another state of the store."""

    rows: list[dict[str, Any]]
    is_stale: bool


def export_store(db: Path, out: Path, form: Format, plan: Path | None = None) -> ExportResult:
    """Write the tables of a store, and of a plan where one is given, into a folder.

    Raises:
        EvidenceError: Nothing is loaded that could be analysed.
        InputError: The plan cannot be read, or a file cannot be written.
    """
    sources = read_sources(db, plan=plan)
    tables = dict(_tables(sources))
    if form == "xlsx":
        files = {WORKBOOK: write_workbook(tables)}
        names = dict.fromkeys(tables, WORKBOOK)
    else:
        names = {name: f"{name}.csv" for name in tables}
        files = {names[name]: write_separated(rows, columns, ",").encode() for name, (columns, rows) in tables.items()}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
    except OSError as error:
        raise InputError(f"`{out}` cannot be written: {error.strerror}") from error
    exported = [
        {"table": name, "file": str(out / names[name]), "rows": len(rows)} for name, (_, rows) in tables.items()
    ]
    return ExportResult(exported, sources.stale is not None)


def _tables(sources: Sources) -> Iterator[tuple[str, Table]]:
    overview = sources.overview
    names = dict(overview.principals.select("principal_id", "name").iter_rows())
    roles = dict(overview.roles.select("role", "role_name").iter_rows())
    roles |= {id_: role.role_name for id_, role in sources.planned_roles.items()}
    principal = pl.col("principal_id").replace_strict(names, default=None).alias("principal")
    role = pl.col("role").replace_strict(roles, default=None).alias("role_name")
    yield "principals", _of(overview.principals)
    yield "assignments", _of(overview.assignments.with_columns(principal, role))
    yield "roles", _of(overview.roles)
    yield "scopes", _of(overview.scopes)
    yield "uses", _of(overview.uses.with_columns(principal))
    yield "unexplained", _of(overview.unexplained.with_columns(principal))
    yield "layers", _of(sources.layers.with_columns(principal))
    yield (
        "coverage",
        _of(sources.coverage.filter(sources.window.holds("day")).sort("source", "category", "scope", "day")),
    )
    yield "findings", _of(sources.findings.with_columns(principal))
    if sources.proposals is not None:
        yield "proposals", (_PROPOSALS, [_proposal(one, names, roles) for one in sources.proposals])
        yield "proposed", (_ASSIGNS, [row for one in sources.proposals for row in _assigned(one, names, roles)])


def _of(frame: pl.DataFrame) -> Table:
    return frame.columns, frame.to_dicts()


def _proposal(one: Mapping[str, Any], names: Mapping[str, str], roles: Mapping[str, str]) -> dict[str, Any]:
    evidence, proof = one["evidence"], one["proof"]
    principal = one["principal_ids"][0]
    copied = ("id", "plane", "kind", "excess_before", "excess_after", "risk_before", "risk_after", "reason")
    return {name: one[name] for name in (*copied, "break_probability_30d")} | {
        "principal_id": principal,
        "principal": names.get(fold(principal)),
        "role_assignment_id": one["replaces"][0],
        "state": evidence.get("state"),
        "role": roles.get(fold(evidence["role"]), evidence["role"]),
        "scope": evidence["scope"],
        "assigns": len(one["assignments"]),
        "proved": proof["used_subset"] and proof["granted_superset"],
    }


def _assigned(one: Mapping[str, Any], names: Mapping[str, str], roles: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    for place in one["assignments"]:
        yield {
            "proposal_id": one["id"],
            "principal_id": place["principal_id"],
            "principal": names.get(fold(place["principal_id"])),
            "role_id": place["role"],
            "role": roles.get(fold(place["role"])),
            "scope": place["scope"],
            "state": place["state"],
            "condition": place["condition"],
            "end_on": place.get("end_on"),
        }
