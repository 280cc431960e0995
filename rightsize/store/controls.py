"""Run the controls of `queries/controls/` on the store, with a status for each resource.

A control names the data that it needs (`needs`, each a row of `queries/controls/needs.sql`) and the parts that it
shares with others (`with`, files of `queries/controls/parts/`). If data is not loaded, its status is `unknown`, never
`pass`.

A control is a file of `queries/controls/`, or a row of the rule file `held_operations`: those rows share one query and
differ in the operations that few may hold.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rightsize.analyze.controls import SEVERITIES, SUBJECTS, ControlFinding, Severity, Subject, Tag
from rightsize.analyze.lacks import Lack, sentence_of
from rightsize.analyze.listings import Listings
from rightsize.model.errors import InternalError, UsageError
from rightsize.rules.tables import rows_of
from rightsize.store.connection import Store
from rightsize.store.queries import SavedQuery, bind_parameters, queries_folder, query_text, question_of, read_header

_LABELS = ("severity", "subject", "needs", "with", "tags")
_NEEDS = "needs"
_TABLE = "held_operations"
_COLUMNS = ("resource", "status", "reason")
_OF_ACCESS = frozenset({"assignments", "eligibility"})
"""The needs of controls that judge assignments."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control: its query, the severity of a failure, the kind of resource, and the data that it needs."""

    question: SavedQuery
    severity: Severity
    subject: Subject
    needs: tuple[str, ...]
    parts: tuple[str, ...]
    tags: tuple[Tag, ...]

    @property
    def name(self) -> str:
        """Return the name of the control."""
        return self.question.name


@dataclass(frozen=True, slots=True)
class ControlResult:
    """The result of a control: the number of resources that pass, and each that fails or is unknown.

    `lacks` are the listings that are not complete, so that more resources may fail; each is a finding too.
    """

    control: Control
    passed: int
    findings: tuple[ControlFinding, ...]
    lacks: tuple[Lack, ...] = ()


def control_names() -> tuple[str, ...]:
    """Return the names of the controls, sorted."""
    files = {path.stem for path in (queries_folder() / "controls").glob("*.sql")} - {_NEEDS}
    return tuple(sorted(files.union(_rows_by_name())))


def read_control(name: str) -> Control:
    """Return the control of that name, or raise UsageError with similar names."""
    names = control_names()
    if name not in names:
        close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
        meant = " or ".join(f"`{candidate}`" for candidate in close)
        hint = f"did you mean {meant}?" if meant else "`rightsize check --list` names them all"
        raise UsageError(f"there is no control `{name}`", hint=hint)
    return parse_control(name, _text_of(name))


def _text_of(name: str) -> str:
    row = _rows_by_name().get(name)
    if row is None:
        return query_text(f"controls/{name}")
    filled = row | {"pattern": row["pattern"].replace("'", "''")}
    return query_text(f"controls/shared/{_TABLE}").format_map(filled)


def _rows_by_name() -> dict[str, dict[str, str]]:
    return {row["control"]: row for row in rows_of(_TABLE)}


def parse_control(name: str, text: str) -> Control:
    """Return the control that a header describes; raises InternalError if a field is missing, invalid or unknown."""
    fields = read_header(text, _LABELS)
    question = question_of(name, text, fields)
    severity, subject = ("".join(fields[label]) for label in ("severity", "subject"))
    if severity not in SEVERITIES or subject not in SUBJECTS or question.columns != _COLUMNS:
        raise InternalError(f"the header of the control `{name}` has an unknown severity, subject or list of columns")
    return Control(
        question=question,
        severity=severity,
        subject=subject,
        needs=_words(fields["needs"]),
        parts=_words(fields["with"]),
        tags=tuple(_tag(name, words) for words in _words(fields["tags"])),
    )


def _words(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(word.strip() for value in values for word in value.split(",") if word.strip())


def _tag(name: str, words: str) -> Tag:
    framework, _, requirement = words.partition(" ")
    for row in rows_of("frameworks"):
        if (row["framework"], row["id"]) == (framework, requirement):
            return Tag(framework, requirement, row["title"], row["source"])
    raise InternalError(f"the control `{name}` has the tag `{words}`, which no framework has")


def whole_statement(control: Control) -> str:
    """Return a control with its parts as one statement that `rightsize sql` can run."""
    parts = "".join(f"{name} AS (\n{query_text(f'controls/parts/{name}')}),\n" for name in control.parts)
    return (
        f"WITH {parts}judged AS (\n{control.question.text})\nSELECT * FROM judged ORDER BY status, resource, reason\n"
    )


def judge(store: Store, controls: Iterable[Control], given: Mapping[str, Mapping[str, str]]) -> list[ControlResult]:
    """Return the results of controls on a store.

    Args:
        store: The store, open for reading; temporary tables are created in it and vanish with the connection.
        controls: The controls.
        given: Values of parameters, by the name of the control.

    Raises:
        UsageError: A parameter is missing, unknown, or not of its type.
    """
    known = {control.name: control for control in controls}
    bound = {name: bind_parameters(one.question, given.get(name, {})) for name, one in known.items()}
    lacking = tuple(Listings(store.table("listings"), {}).every())
    unmet = {need: reason for need, met, reason in _rows(store, query_text("controls/needs")) if not met}
    made: set[str] = set()
    found = []
    for name, control in known.items():
        missing = [str(unmet[need]) for need in control.needs if need in unmet]
        if missing:
            found.append(ControlResult(control, 0, (_finding(control, "/", "unknown", "; ".join(missing)),)))
            continue
        for part in control.parts:
            if part not in made:
                store.connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE {part} AS {query_text(f'controls/parts/{part}')}"
                )
                made.add(part)
        found.append(_with_lacks(_judged(store, control, bound[name]), lacking))
    return found


def _with_lacks(judged: ControlResult, lacking: tuple[Lack, ...]) -> ControlResult:
    """Return a result with a finding for each listing that may have further resources: what passes is unknown there."""
    if not lacking or _OF_ACCESS.isdisjoint(judged.control.needs):
        return judged
    by_place: dict[str, list[Lack]] = {}
    for lack in lacking:
        by_place.setdefault(lack.of if lack.of.startswith("/") else "/", []).append(lack)
    more = (
        ControlFinding(
            control=judged.control.name,
            severity=judged.control.severity,
            subject="tenant" if place == "/" else "scope",
            resource=place,
            status="unknown",
            reason=sentence_of(lacks),
        )
        for place, lacks in sorted(by_place.items())
    )
    return replace(judged, findings=(*judged.findings, *more), lacks=lacking)


def _judged(store: Store, control: Control, values: Mapping[str, object]) -> ControlResult:
    # A resource with several rows (an assignment in several states) has the worst of their statuses.
    statement = (
        f"WITH judged AS (\n{control.question.text}),\n"
        "ranked AS (SELECT *, CASE status WHEN 'fail' THEN 0 WHEN 'unknown' THEN 1 ELSE 2 END AS rank FROM judged),\n"
        "single AS (SELECT resource, min(rank) AS rank, arg_min(reason, (rank, reason)) AS reason FROM ranked "
        "GROUP BY resource)\n"
        "SELECT rank, count(*) AS number, NULL AS resource, NULL AS reason FROM single WHERE rank = 2 GROUP BY rank\n"
        "UNION ALL SELECT rank, 1, resource, reason FROM single WHERE rank < 2 ORDER BY rank, resource, reason"
    )
    passed, findings = 0, []
    for rank, number, resource, reason in _rows(store, statement, values):
        if rank == 2:
            passed = number
        else:
            findings.append(_finding(control, resource, "unknown" if rank else "fail", reason))
    return ControlResult(control, passed, tuple(findings))


def _finding(control: Control, resource: str, status: str, reason: str) -> ControlFinding:
    return ControlFinding(
        control=control.name,
        severity=control.severity,
        subject="tenant" if resource == "/" else control.subject,
        resource=resource,
        status="fail" if status == "fail" else "unknown",
        reason=reason,
    )


def _rows(store: Store, sql: str, values: Mapping[str, object] | None = None) -> list[tuple[Any, ...]]:
    return store.connection.execute(sql, dict(values) if values else None).fetchall()
