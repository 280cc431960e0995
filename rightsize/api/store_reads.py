"""The part of the Python interface that reads a store: access, steps of a plan, and SQL."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, overload

import polars as pl

from rightsize.analyze.inputs import schema_of
from rightsize.api import frames, results
from rightsize.api.frames import Plan
from rightsize.model.errors import UsageError
from rightsize.model.nouns import Reason
from rightsize.model.options import WindowOptions
from rightsize.model.text import OLD_PLAN
from rightsize.render import check_forms
from rightsize.store.sandbox import OLD_ANSWERS, run_statement
from rightsize.workflow.analysis import attack_paths
from rightsize.workflow.analysis import reach as blast
from rightsize.workflow.answers import access, check, explain
from rightsize.workflow.data import status
from rightsize.workflow.plan import jobs, next_steps, review
from rightsize.workflow.tenant_access import AccessQuestion

AskedPlane = Literal["control", "data"]


class ReadStore:
    """A store, with the calls that only read it."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._read_only = read_only
        self._is_closed = False

    def __repr__(self) -> str:
        """Return the path, as text."""
        return f"<Store {str(self._path)!r}>"

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the store."""
        self.close()

    def close(self) -> None:
        """Refuse further calls. The file needs no closing: no call keeps it open."""
        self._is_closed = True

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    @property
    def read_only(self) -> bool:
        """Whether calls that write are refused."""
        return self._read_only

    def can(
        self,
        principal: str,
        operation: str,
        scope: str,
        *,
        plane: AskedPlane | None = None,
        as_of: results.Day | None = None,
    ) -> results.AccessAnswer:
        """Return whether a principal may perform an operation at a scope, and the assignments that decide it.

        Args:
            principal: An object id, UPN, application id or display name, or the beginning of one if it is unique.
            operation: One operation, such as `Microsoft.Compute/virtualMachines/write`.
            scope: A resource id, `/`, or a scope as tables print it, such as `Production/rg-web`.
            plane: The plane of the operation, if the catalogue does not know it.
            as_of: Count only assignments that are in force at this time; without it all count.

        Raises:
            EvidenceError: No role assignments are loaded.
            InputError: Nothing that is loaded knows the principal, the operation or the scope; the hint has the nearest
                names.
            UsageError: Several principals have the name.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.can("pat@example.com", "Microsoft.Compute/virtualMachines/delete", "Production").allowed
            'no'
        """
        self._require()
        question = AccessQuestion(principal, operation, scope, plane)
        with results.explained():
            answers = access.can(self._path, [question], as_of=results.time_of(as_of), strict=True)
        row = answers.rows[0]
        because = tuple(Reason(**(one | {"via": tuple(one["via"])})) for one in row["because"])
        lists = {name: tuple(row[name]) for name in ("denied_by", "lacks")}
        return results.AccessAnswer(**(row | lists | {"because": because}), notes=tuple(answers.notes))

    def who_can(
        self, operation: str, scope: str, *, plane: AskedPlane | None = None, as_of: results.Day | None = None
    ) -> pl.DataFrame:
        """Return the principals that may perform an operation at a scope: groups, and also their members.

        Columns: `principal_id`, `principal_type`, `name`, `operation`, `scope`, `plane`, `allowed` (`yes`, `eligible`,
        `conditional`, or `unknown` where roles decide nothing), `because` (a list of `{role_assignment_id, role_name,
        scope, via, condition, state}`), `denied_by`, `depends_on_reading` and `unknown`, as in `AccessAnswer`. The
        strongest answers come first. Where a listing is not complete that may have others, the last row is `unknown`,
        without a principal.

        Warns:
            EvidenceWarning: Something that the answer depends on is not loaded.

        Raises:
            EvidenceError: No role assignments are loaded.
            InputError: Nothing that is loaded knows the operation or the scope.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.who_can("Microsoft.Compute/virtualMachines/write", "Production").select("name", "allowed").rows()
            [('mei@example.com', 'yes')]
        """
        self._require()
        with results.explained():
            answers = access.who_can(self._path, operation, scope, plane=plane, as_of=results.time_of(as_of))
        for note in answers.notes:
            results.warn(note)
        return frames.frame_of(answers.rows, frames.HOLDERS)

    def explain(
        self,
        principal: str,
        *,
        as_of: results.Day | None = None,
        min_window: int | None = None,
        min_days: int | None = None,
        forget_days: int = 400,
    ) -> results.ExplainAnswer:
        """Return what is known about one principal: what it holds, what it used, and the verdicts with their reasons.

        It is quick where `analyze` stored an analysis of the same content and options; else it analyses in memory.

        Args:
            principal: An object id, UPN, application id or display name, or the beginning of one if it is unique.
            as_of: As for `analyze`, and so are the next three.
            min_window: See there.
            min_days: See there.
            forget_days: See there.

        Raises:
            EvidenceError: Nothing is loaded that could be analysed.
            InputError: No principal has the name.
            UsageError: Several principals have it, or options make no sense.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> [(row["verdict"], row["operations"]) for row in store.explain("mei@example.com").verdicts]
            [('unobservable', 2), ('unused', 4), ('used', 1)]
        """
        self._require()
        asked = WindowOptions(
            as_of=results.day_of(as_of), min_window=min_window, min_days=min_days, forget_days=forget_days
        )
        notes: list[str] = []
        with results.explained():
            found = explain.explain(self._path, principal, asked, note=notes.append)
        rows = {name: tuple(value) for name, value in found.items() if isinstance(value, list)}
        return results.ExplainAnswer(**({"agent": None} | found | rows), notes=tuple(notes))

    @overload
    def reach(self) -> pl.DataFrame: ...

    @overload
    def reach(
        self, subject: str, *, plan: Plan | results.Place | None = None, eligible: bool = False
    ) -> results.ReachAnswer: ...

    def reach(
        self, subject: str | None = None, *, plan: Plan | results.Place | None = None, eligible: bool = False
    ) -> pl.DataFrame | results.ReachAnswer:
        """Return what an attacker gains from one principal or resource; without a subject, a row for each of them.

        The frame has the columns of the table `reach` as granted, `cells_used`, `cells_proposed` and
        `identities_proposed` beside them, `name`, and `complete`: false where listings may lack something. The widest
        reach comes first.

        Args:
            subject: A principal, a resource with a managed identity, or a trusted subject of an outside issuer.
            plan: A plan or its folder: also return the reach that it leaves.
            eligible: Count eligible assignments as activated.

        Raises:
            EvidenceError: Nothing was analysed yet.
            InputError: The name fits nothing, or the plan cannot be read.
            UsageError: The name fits several subjects, or a plan has no subject.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.reach().select("name", "cells").rows()
            [('mei@example.com', 2)]
            >>> store.reach("mei@example.com", plan="plan").after["cells"]
            0
        """
        self._require()
        if subject is None and (plan is not None or eligible):
            raise UsageError("`plan` and `eligible` need a subject", hint="name a principal or a resource")
        with results.explained():
            lacks = status.lacks_of(self._path)
            notes: list[str] = []
            if subject is None:
                rows = blast.show_reach(self._path, notes.append).rows
                return frames.frame_of([row | {"complete": not lacks} for row in rows], frames.REACHED)
            after: Mapping[str, Any] | None = None
            if plan is None:
                found = attack_paths.reach_from(self._path, subject, eligible=eligible, note=notes.append)
            else:
                folder = plan.folder if isinstance(plan, Plan) else Path(plan)
                found, drawn = blast.blast_from(self._path, subject, plan=folder, eligible=eligible, note=notes.append)
                after = drawn["after"]
        return results.ReachAnswer(
            found.subject,
            found.kind,
            found.name,
            found.counts,
            tuple(found.ways),
            after,
            tuple(one.row() for one in lacks),
            tuple(notes),
        )

    def check(
        self,
        *controls: str,
        fail_on: Literal["low", "medium", "high", "critical"] | None = None,
        fail_on_unknown: bool = False,
        exemptions: results.Place | None = None,
        baseline: results.Place | None = None,
        parameter: results.Texts = (),
        as_of: results.Day | None = None,
    ) -> results.CheckAnswer:
        """Judge the store by controls, such as too many owners, unused access, and ways to gain rights.

        Args:
            *controls: Names of controls; without them all.
            fail_on: The lowest severity of a finding that makes a `refusal`.
            fail_on_unknown: Whether data that is not loaded makes one, too.
            exemptions: A file of exemptions, each with reason, owner and last day.
            baseline: A file of known findings; only new ones count.
            parameter: Parameters of controls, as `CONTROL.NAME=VALUE`.
            as_of: The day by which exemptions end; without it today.

        Raises:
            EvidenceError: Nothing is loaded that any control could judge.
            InputError: A file has the wrong content.
            UsageError: A control or parameter does not exist.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.check("standing-contributor").findings.select("status", "principal_id").rows()
            [('fail', '11111111-1111-4111-8111-000000000001')]
        """
        self._require()
        notes: list[str] = []
        with results.explained():
            found = check.check_store(
                self._path,
                as_of=results.day_of(as_of) or dt.datetime.now(dt.UTC).date(),
                names=controls,
                parameters=results.texts_of(parameter),
                exemptions=results.path_of(exemptions),
                baseline=results.path_of(baseline),
                fail_on=fail_on,
                fail_on_unknown=fail_on_unknown,
                note=notes.append,
            )
        return results.CheckAnswer(
            frames.frame_of(check_forms.control_rows(found.report), frames.CONTROLS),
            frames.frame_of(check_forms.finding_rows(found.report), frames.FINDINGS),
            found.refusal,
            (*found.remarks, *notes),
        )

    def jobs(
        self,
        *,
        as_of: results.Day | None = None,
        min_window: int | None = None,
        min_days: int | None = None,
        forget_days: int = 400,
    ) -> results.JobsAnswer:
        """Return the jobs of the tenant: groups of changes that the same principals use.

        Members of groups count singly. Column `role` names the new role of the last plan that `propose` stored.

        Args:
            as_of: As for `analyze`, and so are the next three.
            min_window: See there.
            min_days: See there.
            forget_days: See there.

        Raises:
            EvidenceError: Nothing is loaded, there is no catalogue of operations, or no log covers the window.
            UsageError: Options make no sense.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.jobs().operations.filter(share=1.0).height
            0
        """
        self._require()
        asked = WindowOptions(
            as_of=results.day_of(as_of), min_window=min_window, min_days=min_days, forget_days=forget_days
        )
        with results.explained():
            found = jobs.find_jobs(self._path, asked)
        job_rows, operations, holders = (
            pl.DataFrame(rows, schema=schema_of(name), orient="row") for name, rows in found.tables.items()
        )
        named = holders.with_columns(
            name=pl.col("principal_id").replace_strict(
                found.names, default=pl.col("principal_id"), return_dtype=pl.String
            )
        )
        return results.JobsAnswer(job_rows, operations, named)

    def next_steps(self, plan: Plan | results.Place | None = None) -> pl.DataFrame:
        """Return the changes of a plan, the one to make first at the top.

        Columns are those of the table `next_steps`: `rank`, `wave`, `proposal_id`, `principal`,
        `does`, `share`, `people`, `break_probability_30d`, `reason` and others.

        Args:
            plan: The plan, or its folder; without it the last plan that was made from this store.

        Raises:
            EvidenceError: No plan was made from this store.
            EvidenceWarning: The loaded data has changed since the plan was made.
            InputError: The folder has no plan.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.next_steps().select("rank", "wave", "principal", "share").rows()
            [(1, 3, 'mei@example.com', 1.0)]
            >>> store.next_steps("plan").equals(store.next_steps())
            True
        """
        self._require()
        notes: list[str] = []
        with results.explained():
            if plan is None:
                steps = review.last_steps(self._path, notes.append)
            else:
                folder = plan.folder if isinstance(plan, Plan) else Path(plan)
                found = next_steps.next_of(self._path, folder, names_db=True)
                steps = review.step_frame(found)
                notes += [OLD_PLAN] * found.is_stale
        for note in notes:
            results.warn(note)
        return steps

    def sql(
        self, statement: str, /, *, max_rows: int = 1_000_000, timeout: float = 60.0, **parameters: object
    ) -> pl.DataFrame:
        """Return the rows of one SQL statement that reads the store.

        It runs in the sandbox of `rightsize sql`: in a process of its own, read-only, without files, network, settings
        and extensions, within limits of memory and time. `SHOW TABLES` lists tables, `DESCRIBE` columns. Values keep
        their types, but exact decimals become floats, and a column with only nulls has the type Null.

        Args:
            statement: One `SELECT`, `WITH`, `FROM`, `DESCRIBE`, `SHOW` or `EXPLAIN`.
            max_rows: More rows than this are an error, so that no answer is cut without notice.
            timeout: The seconds after which the statement is stopped.
            **parameters: The value of each `$name`: text, number, day, time, boolean, null, or a list of them. A
                parameter cannot be called `max_rows` or `timeout`.

        Raises:
            UsageError: The statement does not only read, cannot run, takes too long or too much memory, or has too many
                rows.
            InputError: The store cannot be read.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> store.sql("SELECT user_principal_name AS name FROM principals WHERE principal_id = $id",
            ...           id="11111111-1111-4111-8111-000000000001").rows()
            [('mei@example.com',)]
            >>> store.sql("DROP TABLE principals")
            Traceback (most recent call last):
            rightsize.model.errors.UsageError: cannot run a DROP statement: only statements that read are run
        """
        self._require()
        results.require_least(1, max_rows=max_rows)
        results.require_least(0.1, timeout=timeout)
        answer = run_statement(self._path, statement, parameters, max_rows=max_rows, timeout=timeout)
        if answer.is_old:
            results.warn(OLD_ANSWERS)
        if answer.cut:
            raise UsageError(
                f"the answer has more than {max_rows:,} rows", hint="write LIMIT, or give a higher max_rows"
            )
        return frames.frame_of_answer(answer.columns, answer.rows)

    def _require(self, *, writing: bool = False) -> None:
        if self._is_closed:
            raise UsageError(f"the store `{self._path}` was closed")
        if writing and self._read_only:
            raise UsageError(
                f"the store `{self._path}` was opened read-only", hint="open it without read_only to write into it"
            )
