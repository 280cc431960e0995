"""Read the arguments of the Python interface, and make its results that are more than a frame.

Days, times and lists come in the forms that people have them. What an answer lacks is said by Python's warnings.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from rightsize.model.errors import RightsizeError, UsageError
from rightsize.model.nouns import Reason
from rightsize.model.times import read_day, read_instant

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class LoadAnswer:
    """The result of `Store.load`.

    Attributes:
        files: One row for each file, in the order of reading: `path`, `source` (the kind of export; `unknown` if it is
            not an export), and the numbers of records `read`, `new`, `duplicate`, `rejected`, `unused_record` and
            `late`. `read` is the sum of the others.
        rejects: One row for each record of these files that could not be used: `path`, `line`, `reason`, `source`,
            `raw` (its text, at most 64 KiB).
        notes: Sentences on what the files do not tell.

    Examples:
        >>> import rightsize
        >>> store = rightsize.open("new.duckdb", create=True)
        >>> loaded = store.load("exports/assignments.json")
        >>> loaded.files.select("path", "source", "read", "new").rows()
        [('exports/assignments.json', 'role_assignments', 2, 2)]
        >>> loaded.new, loaded.rejects.height
        (2, 0)
    """

    files: pl.DataFrame
    rejects: pl.DataFrame
    notes: tuple[str, ...]

    @property
    def new(self) -> int:
        """The number of records that changed something."""
        return int(self.files["new"].sum())


@dataclass(frozen=True, slots=True)
class AccessAnswer:
    """The answer of `Store.can`.

    It has no truth value, since five answers are possible: compare `allowed`.

    Attributes:
        principal_id: The principal that the question names.
        operation: The operation.
        scope: The scope.
        plane: `control` or `data`.
        allowed: `yes`; `no`; `eligible`, after an activation; `conditional`, where a condition holds; `unknown`, where
            nothing loaded allows it and a listing is not complete that may, or where roles decide nothing.
        because: The assignments that decide it, the nearest holder first.
        denied_by: The ids of deny assignments that refuse it.
        depends_on_reading: Whether the answer holds only if `/*/` in a role matches `/`, which Azure does not document.
        unknown: Why it is unknown: the listing to blame and the command that gets it, or what decides in the place of
            roles; None for other answers.
        lacks: These listings, each as `{listing, of, why, command}`.
        notes: Sentences on what the answer lacks, such as a role definition that is not loaded.

    Examples:
        >>> import rightsize
        >>> store = rightsize.open("tenant.duckdb", read_only=True)
        >>> answer = store.can("mei@example.com", "Microsoft.Compute/virtualMachines/write", "Production")
        >>> answer.allowed, [reason.role_name for reason in answer.because]
        ('yes', ['Contributor'])
        >>> bool(answer)
        Traceback (most recent call last):
        TypeError: an answer is yes, no, eligible, conditional or unknown: compare `allowed`
    """

    principal_id: str
    operation: str
    scope: str
    plane: Literal["control", "data"]
    allowed: Literal["yes", "no", "eligible", "conditional", "unknown"]
    because: tuple[Reason, ...]
    denied_by: tuple[str, ...]
    depends_on_reading: bool
    unknown: str | None
    lacks: tuple[Mapping[str, str | None], ...]
    notes: tuple[str, ...]

    def __bool__(self) -> NoReturn:
        """Refuse to be true or false.

        Raises:
            TypeError: Always.
        """
        raise TypeError("an answer is yes, no, eligible, conditional or unknown: compare `allowed`")


Rows = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, eq=False)
class ReachAnswer:
    """What an attacker gains from one principal or resource, in any number of steps: the answer of `Store.reach`.

    Attributes:
        subject: Its id, with its `kind` and `name`.
        kind: `principal`, `resource` or `outsider`.
        name: Its display name.
        counts: What is reached today, as columns of the table `reach`: `identities`, `resources`, `secrets`, `cells`
            (layers of defence in subscriptions), `takes_tenant` and others.
        ways: Each thing that can be gained: `target`, `kind`, `name`, `certain`, and the `steps` of the shortest way.
        after: The same counts under the plan; None where no plan was given.
        lacks: Listings that are not complete, each as `{listing, of, why, command}`. What they lack is not reached
            here, and is unknown.
        notes: Sentences on what the answer rests on.

    Examples:
        >>> import rightsize
        >>> found = rightsize.open("tenant.duckdb", read_only=True).reach("mei@example.com")
        >>> found.kind, found.counts["cells"], found.after
        ('principal', 2, None)
        >>> [(way["name"], way["steps"][0]["why"]) for way in found.ways]
        [('vm1 (virtualmachines)', 'has Contributor at Production, runs commands on the machine')]
    """

    subject: str
    kind: str
    name: str
    counts: Mapping[str, Any]
    ways: Rows
    after: Mapping[str, Any] | None
    lacks: tuple[Mapping[str, str | None], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class ExplainAnswer:
    """What is known about one principal: the answer of `Store.explain`, with the fields of `rightsize explain -o json`.

    Attributes:
        identity: The principal, under the columns of the table `principals`.
        window: The first and last day of the observation of Azure roles, and others.
        planes: The days of each plane beyond Azure roles.
        groups: The groups that contain it, the nearest first.
        assignments: The assignments that reach it, with the counts of their verdicts.
        scores: Counts and scores for each plane.
        verdicts: How many operations have which verdict, and why.
        used: Each use, with the assignment that allowed it.
        used_earlier: Use before the window alone.
        declared: What loaded code declares, and nothing shows as used.
        unexplained: Use that no assignment explains, with the reason.
        denied: Refused calls: demand, and never use.
        sign_ins: Tokens for each kind of sign-in and resource.
        other_access: Requests that no Azure role decided.
        findings: Findings about it and its assignments.
        activations: Its activations, the latest first.
        tokens: Calls made with the tokens of its sign-ins.
        reach: What an attacker gains from it: counts as in the table `reach`, and the shortest `ways`.
        agent: What `rightsize agents` shows of it; None where it is no AI agent.
        notes: Sentences on what the answer rests on.

    Examples:
        >>> import rightsize
        >>> found = rightsize.open("tenant.duckdb", read_only=True).explain("mei@example.com")
        >>> [(row["role_name"], row["scope"]) for row in found.assignments]
        [('Contributor', '/subscriptions/11111111-1111-4111-8111-111111111111')]
        >>> [(row["operation"], row["events"]) for row in found.used]
        [('Microsoft.Compute/virtualMachines/start/action', 3)]
    """

    identity: Mapping[str, Any]
    window: Mapping[str, Any]
    planes: Any
    groups: Rows
    assignments: Rows
    scores: Rows
    verdicts: Rows
    used: Rows
    used_earlier: Rows
    declared: Rows
    unexplained: Rows
    denied: Rows
    sign_ins: Rows
    other_access: Rows
    findings: Rows
    activations: Rows
    tokens: Rows
    reach: Mapping[str, Any]
    agent: Mapping[str, Any] | None
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class CheckAnswer:
    """The result of `Store.check`.

    It has no truth value: whether findings fail a gate is asked by `fail_on`, and `refusal` has the answer.

    Attributes:
        controls: One row for each control, the most severe first: `severity`, `control`, `status` (`pass`, `fail` or
            `unknown`), `failing`, `unknown`, `passed`, `exempt`, `known` and `title`.
        findings: One row for each finding: `severity`, `control`, `status`, `subject`, `resource`, `scope`,
            `principal_id`, `reason`, `exempt_until`, `known` and `fingerprint`.
        refusal: The error that `rightsize check` ends with; None where the gate holds, and where none was asked for.
        notes: Sentences on exemptions, the baseline, and what is not loaded.

    Examples:
        >>> import rightsize
        >>> found = rightsize.open("tenant.duckdb", read_only=True).check(fail_on="low")
        >>> found.controls["status"].unique().sort().to_list()
        ['fail', 'pass', 'unknown']
        >>> type(found.refusal).__name__, found.findings.filter(status="fail").height
        ('GateError', 4)
    """

    controls: pl.DataFrame
    findings: pl.DataFrame
    refusal: RightsizeError | None
    notes: tuple[str, ...]

    def __bool__(self) -> NoReturn:
        """Refuse to be true or false.

        Raises:
            TypeError: Always.
        """
        raise TypeError("a check passes or fails by `fail_on`: compare `refusal` with None")


@dataclass(frozen=True, slots=True, eq=False)
class JobsAnswer:
    """The result of `Store.jobs`: frames with the columns of the tables of these names.

    Attributes:
        jobs: One row for each job, as in the table `jobs`; the most holders first.
        operations: One row for each job and operation, as in the table `job_operations`.
        holders: One row for each job and holder, as in the table `job_holders`, and the `name` of the holder.

    Examples:
        >>> import rightsize
        >>> found = rightsize.open("tenant.duckdb", read_only=True).jobs()
        >>> found.jobs.height, found.holders.columns[:2]
        (0, ['job', 'principal_id'])
    """

    jobs: pl.DataFrame
    operations: pl.DataFrame
    holders: pl.DataFrame


@dataclass(frozen=True, slots=True, eq=False)
class LogsAnswer:
    """The result of `Store.logs`.

    Attributes:
        covered: One row for each log and scope: `source`, `category`, `scope`, `first_day`, `last_day`, `events`, and
            the numbers of its days by their state: `observed` (with records), `declared_empty` (a person or a manifest
            says that the log is complete), `quiet` (at most two days without records, between others) and `missing`.
        missing: One row for each log, listing or setting that is missing, first the one that would decide most. The
            columns are those of the table `observability_options`.
        first_day: The first day of the observation window.
        last_day: The last day of the window.

    Examples:
        >>> import rightsize
        >>> logs = rightsize.open("tenant.duckdb").logs()
        >>> logs.covered.select("source", "observed", "declared_empty", "missing").rows()
        [('activity_log', 3, 87, 0)]
        >>> logs.missing.select("rank", "item", "decides_on").rows()
        [(1, 'sign_ins:user', datetime.date(2026, 5, 31))]
    """

    covered: pl.DataFrame
    missing: pl.DataFrame
    first_day: dt.date
    last_day: dt.date


@dataclass(frozen=True, slots=True, eq=False)
class VerifyAnswer:
    """The result of `Plan.verify`: true if the plan holds on the store of today.

    Attributes:
        is_stale: Whether the tenant or its use has changed so that the plan no longer fits.
        faults: One row for each fault, first what makes it stale, then what cannot be proved: `what`, `id`, `name`,
            `change`, `operation`, `plane`, `scope`, `role_assignment_ids`, `detail`.
        refusal: The error that `rightsize plan verify` ends with; None where the plan holds.
        summary: One sentence on what was proved.
        notes: Sentences on the chain of hashes and the signature.

    Examples:
        >>> import rightsize
        >>> answer = rightsize.read_plan("plan", rightsize.open("tenant.duckdb", read_only=True)).verify()
        >>> bool(answer), answer.is_stale, answer.faults.height
        (True, False, 0)
        >>> answer.summary
        '1 changes proved, 1 calls of 2025-02-25 to 2026-03-31 allowed, 0 need an activation'
    """

    is_stale: bool
    faults: pl.DataFrame
    refusal: RightsizeError | None
    summary: str
    notes: tuple[str, ...]

    def __bool__(self) -> bool:
        """Return whether the plan holds."""
        return self.refusal is None


Place = str | os.PathLike[str]
Texts = str | Iterable[str]
Places = Place | Iterable[Place]
Day = dt.date | str


def day_of(day: Day | None) -> dt.date | None:
    """Return a day, also of a time or a text in ISO 8601, in UTC."""
    if isinstance(day, dt.datetime):
        return _in_utc(day).date()
    return read_day(day) if isinstance(day, str) else day


def time_of(time: Day | None) -> dt.datetime | None:
    """Return a time in UTC without an offset, also of a day, which begins at midnight, or of a text in ISO 8601."""
    if isinstance(time, dt.datetime):
        return _in_utc(time)
    if isinstance(time, dt.date):
        return dt.datetime.combine(time, dt.time())
    return None if time is None else read_instant(time)


def texts_of(texts: Texts) -> tuple[str, ...]:
    """Return texts; one text is a list of itself."""
    return (texts,) if isinstance(texts, str) else tuple(texts)


def paths_of(places: Places) -> list[Path]:
    """Return paths; one path is a list of itself."""
    return [Path(places)] if isinstance(places, str | os.PathLike) else [Path(one) for one in places]


def path_of(place: Place | None) -> Path | None:
    """Return a path, or None."""
    return None if place is None else Path(place)


def require_least(least: float, **numbers: float | None) -> None:
    """Check that numbers are finite and not below the least that their options take.

    Raises:
        UsageError: A number is below it, or not finite.
    """
    for name, number in numbers.items():
        if number is not None and not (math.isfinite(number) and number >= least):
            raise UsageError(f"`{name}={number}` is not a number from {least:g} up")


@contextmanager
def explained() -> Iterator[None]:
    """Raise the error of the program where the engine finds a store that is damaged.

    Raises:
        InputError: The store is damaged.
    """
    try:
        yield
    except RightsizeError:
        raise
    except Exception as error:
        from rightsize.store.limits import explain_damage  # noqa: PLC0415  only where something went wrong

        damage = explain_damage(error)
        if damage is None:
            raise
        raise damage from error


def _in_utc(time: dt.datetime) -> dt.datetime:
    return time if time.tzinfo is None else time.astimezone(dt.UTC).replace(tzinfo=None)


class EvidenceWarning(UserWarning):
    """An answer rests on less than it could; the message says what is missing.

    Examples:
        >>> import warnings
        >>> import rightsize
        >>> warnings.simplefilter("error", rightsize.EvidenceWarning)  # raise it instead of the answer
        >>> warnings.simplefilter("default", rightsize.EvidenceWarning)
    """


def warn(text: str) -> None:
    """Warn whoever called the method of the interface that calls this."""
    warnings.warn(text, EvidenceWarning, stacklevel=3)
