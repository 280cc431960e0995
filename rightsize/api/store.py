"""Open a store, and ask it: every method is the command of its name."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Literal

import polars as pl

from rightsize.api import frames, results
from rightsize.api.deployments import DeploymentStore
from rightsize.api.frames import Plan, open_plan
from rightsize.model.errors import UsageError
from rightsize.model.options import ROLE_WORTH, Reads, Unobservable, WindowOptions, choice
from rightsize.propose.core.options import PlanOptions
from rightsize.render.deploy.files import PLAN_FORMS
from rightsize.store.connection import open_store
from rightsize.workflow.analysis.analyze import analyze_store
from rightsize.workflow.answers import logs
from rightsize.workflow.data import load
from rightsize.workflow.data.status import read_coverage
from rightsize.workflow.plan import propose
from rightsize.workflow.plan.deploy import COMMENT_FORM
from rightsize.workflow.plan.propose import read_exclusion_file


class Store(DeploymentStore):
    """A store: one DuckDB file with the exports of a tenant and what was concluded from them. `open` gives one.

    It keeps no connection. Each call opens the file, and releases it when it returns, so that commands and other
    processes can use the store between calls. One process may write, or several may read: while another process holds
    the store, a call raises InputError and changes nothing. `load`, `declare`, `analyze`, `propose` and `logs` write;
    each stores all of its result, or nothing. Make one call at a time in a process.

    Options have the names and defaults of the command's options. A day is a `datetime.date`, a time or a text in any
    form of ISO 8601, in UTC. Where the command's option is repeatable, the argument is one text or several.

    Names in answers come from the tenant, and whoever made an object chose its name: escape them in HTML and Markdown.

    Examples:
        >>> import rightsize
        >>> with rightsize.open("tenant.duckdb", read_only=True) as store:
        ...     store.sql("SELECT count(*) AS assignments FROM role_assignments").item()
        2
    """

    def load(
        self,
        paths: results.Places,
        *,
        covers: str | None = None,
        source: str | None = None,
        scope: str | None = None,
        inventory_by: str | None = None,
        inventory_on: str | None = None,
        trust_collections: bool = False,
        memory_limit: str | None = None,
        spill_folder: results.Place | None = None,
    ) -> results.LoadAnswer:
        """Load exports, recognised by their content, in one transaction; the same export again changes nothing.

        Args:
            paths: Files, folders and archives.
            covers: `FROM..TO`, the UTC days for which the log `source` was exported completely, for `scope` and
                everything below it.
            source: The log that `covers` is about, such as `activity_log`.
            scope: The scope that `covers` is about. Leave it out for a log of the whole tenant.
            inventory_by: Who read the listings of resources and providers that have no manifest. You declare that
                these listings are complete.
            inventory_on: The UTC time when this reading began.
            trust_collections: Accept what a collection from another machine says: which of its logs and listings are
                complete.
            memory_limit: The memory for tables and queries, such as `2GiB`.
            spill_folder: A folder for data that does not fit in memory.

        Raises:
            InputError: A path cannot be read, is damaged, or is not an export, or the disk is full; the store is
                unchanged. Also raised if no file in a folder is an export.
            UsageError: Options make no sense, or the store is read-only.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("new.duckdb", create=True)
            >>> loaded = store.load(
            ...     "exports", covers="2026-01-01..2026-03-31", source="activity_log",
            ...     scope="/subscriptions/11111111-1111-4111-8111-111111111111",
            ... )
            >>> loaded.files.group_by("source").len().sort("source")["source"].to_list()
            ['activity_log', 'operations', 'role_assignments', 'role_definitions', 'subscriptions', 'users']
            >>> loaded.rejects.height
            0
        """
        self._require(writing=True)
        with results.explained():
            report = load.load_paths(
                self._path,
                results.paths_of(paths),
                covers=covers,
                source=source,
                scope=scope,
                inventory_by=inventory_by,
                inventory_on=inventory_on,
                memory_limit=memory_limit,
                spill_folder=results.path_of(spill_folder),
                trusts=lambda _: trust_collections,
            )
            load.require_recognised(report)
            rejects = load.read_rejects(self._path, report)
        return results.LoadAnswer(frames.files_of(report.rows), rejects, report.all_notes)

    def analyze(
        self,
        *,
        by: Literal["principal", "assignment"] = "principal",
        as_of: results.Day | None = None,
        min_window: int | None = None,
        min_days: int | None = None,
        forget_days: int = 400,
    ) -> pl.DataFrame:
        """Judge each granted operation, write the verdicts into the store, and return how many there are, with scores.

        Columns by principal: `principal_id`, `plane`, `granted`, `used`, `unused`, `unobservable`, `out_of_coverage`
        (numbers of operations), `creep` (0 to 100), `risk`, `bucket` (of the creep), `name`, `principal_type`. By
        assignment: `role_assignment_id`, `state`, `plane`, the same numbers and scores, `principal_id`, `name`,
        `role_name`, `scope`. Scores are null where a role definition or the catalogue of operations is missing. The
        highest creep comes first. The verdicts are in the tables `verdicts` and `verdict_operations`, for `sql`.

        Args:
            by: Return one row for each principal and plane, or for each assignment and plane.
            as_of: The day after the observation window; without it the window ends with the newest covered day.
            min_window: The days of the window; without it 90, or fewer if the logs cover fewer.
            min_days: Days that a log has to cover to be evidence; without it two thirds of the window, at most 60.
            forget_days: Keep what was last used before the window but within this many days.

        Warns:
            EvidenceWarning: The window is a preview, or there is no catalogue of operations.

        Raises:
            EvidenceError: The store has neither assignments nor usage.
            UsageError: Options make no sense, or the store is read-only.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb")
            >>> store.analyze().select("name", "granted", "used", "unused").rows()
            [('mei@example.com', 7, 1, 4), ('pat@example.com', 2, 0, 0)]
        """
        self._require(writing=True)
        if by not in frames.ANALYSED:
            raise UsageError(f"`by={by}` is not one of {', '.join(frames.ANALYSED)}")
        asked = WindowOptions(
            as_of=results.day_of(as_of), min_window=min_window, min_days=min_days, forget_days=forget_days
        )
        with results.explained():
            result = analyze_store(self._path, asked, by=by)
        if result.window.preview is not None:
            results.warn(f"this is a preview: {result.window.preview}")
        if not result.has_catalogue:
            results.warn("no catalogue of operations is loaded, so only use is counted")
        return frames.frame_of(result.rows, frames.ANALYSED[by])

    def propose(
        self,
        *,
        out: results.Place | None = None,
        reads: Literal["none", "sibling", "namespace", "all"] = "all",
        unobservable: Literal["keep", "touched", "drop"] = "touched",
        max_break: float | None = None,
        roles: Literal["auto", "max"] | int = "auto",
        role_worth: int = ROLE_WORTH,
        previous: Plan | results.Place | None = None,
        grace_days: int = 14,
        split_groups: bool = False,
        standing_hours: float = 0.0,
        separate_layers: bool = False,
        exclude: results.Texts = (),
        exclude_from: results.Places = (),
        standby: results.Texts = (),
        emergency_access: results.Texts = (),
        format: results.Texts = (),
        review: results.Place | None = None,
        as_of: results.Day | None = None,
        min_window: int | None = None,
        min_days: int | None = None,
        forget_days: int = 400,
    ) -> Plan:
        """Return the plan of the smallest role assignments that would have allowed the observed use, with proof.

        The verdicts, the proposals and the steps are written into the store, for `sql`. The options are those of
        `rightsize propose`.

        Args:
            out: The plan folder; without it a temporary folder, which is deleted with the returned object.
            reads: Which reads of Azure and of the directory to keep; no log shows them.
            unobservable: Which other operations to keep that no log can show.
            max_break: Keep an assignment if the bound of the chance that its change breaks something is above this.
            roles: How many new roles: `auto` makes those that are worth a role, `max` all, a number at most that many.
            role_worth: The live excess that a new role has to save over all its holders, with `roles="auto"`.
            previous: An earlier plan. Its new roles are kept while they are worth at least half as much as a new role.
            grace_days: Keep what was created within this many days.
            split_groups: Give operations that only few members of a group use to these members.
            standing_hours: Make changes by people eligible if their access is used fewer hours a month; 0 for never.
            separate_layers: Split roles by layer of defence where a principal could defeat several.
            exclude: Principals, scopes and roles to leave alone.
            exclude_from: Files that list what to leave alone, each entry with reason, owner and last day.
            standby: Scopes that are used only after a failure elsewhere.
            emergency_access: Emergency access accounts.
            format: Further forms to write, such as `bicep` and `terraform`: those of `rightsize propose --format`.
            review: A file of review decisions: rejected changes are not made.
            as_of: As for `analyze`, and so are the next three.
            min_window: See there.
            min_days: See there.
            forget_days: See there.

        Warns:
            EvidenceWarning: A decision is on a proposal that no longer exists.

        Raises:
            EvidenceError: Nothing is loaded, a log without a catalogue of operations, or no loaded log covers the
                window.
            InputError: A file or the folder cannot be used.
            UsageError: Options make no sense, or the store is read-only.

        Examples:
            >>> import rightsize
            >>> store = rightsize.open("tenant.duckdb")
            >>> plan = store.propose(reads="sibling", exclude="pat@example.com")
            >>> plan.options["reads"], plan.options["exclude"]
            ('sibling', ['pat@example.com'])
            >>> store.propose(reads="some")
            Traceback (most recent call last):
            rightsize.model.errors.UsageError: `--reads some` is not one of none, sibling, namespace, all
        """
        self._require(writing=True)
        forms = results.texts_of(format)
        unknown = next((form for form in forms if form not in (*PLAN_FORMS, COMMENT_FORM)), None)
        if unknown is not None:
            known = ", ".join((*PLAN_FORMS, COMMENT_FORM))
            raise UsageError(f"`format={unknown}` is not a form of a plan", hint=f"one of {known}")
        earlier = previous if isinstance(previous, Plan) or previous is None else open_plan(previous, None)
        options = PlanOptions(
            reads=choice(Reads, "--reads", reads),
            unobservable=choice(Unobservable, "--unobservable", unobservable),
            max_break=max_break,
            roles=roles,
            role_worth=role_worth,
            previous=earlier.roles if earlier is not None else (),
            grace_days=grace_days,
            split_groups=split_groups,
            standing_hours=standing_hours,
            separate_layers=separate_layers,
            exclude=results.texts_of(exclude),
            exclusions=tuple(one for path in results.paths_of(exclude_from) for one in read_exclusion_file(path)),
            standby=results.texts_of(standby),
            emergency_access=results.texts_of(emergency_access),
            as_of=results.day_of(as_of),
            min_window=min_window,
            min_days=min_days,
            forget_days=forget_days,
        )
        folder = Path(tempfile.mkdtemp(prefix="rightsize-plan-")) if out is None else Path(out)
        # The object owns the private folder before anything can fail.
        plan = Plan(folder, self._path, is_private=out is None)
        with results.explained():
            result = propose.propose_plan(self._path, options, folder, forms=forms, review=results.path_of(review))
        for one in result.unmatched:
            results.warn(f"decision on a proposal that no longer exists: {one.proposal}, {one}")
        return plan

    def logs(
        self,
        *,
        budget: float | None = None,
        prices: results.Place | None = None,
        plan: str = "analytics",
        region: str = "us",
        records_per_day: int | None = None,
        bicep: results.Place | None = None,
        as_of: results.Day | None = None,
        min_window: int = 90,
        min_days: int | None = None,
        forget_days: int = 400,
    ) -> results.LogsAnswer:
        """Return which days each log covers, and which missing logs, listings and settings would decide most.

        Args:
            budget: Choose the best set that costs at most this much a month (column `chosen`).
            prices: A CSV file of prices that replaces the built-in ones.
            plan: The plan or destination of the prices.
            region: The region of the prices.
            records_per_day: The records that a resource writes a day if its log is missing and no similar log is
                loaded.
            bicep: A folder to write the diagnostic settings into.
            as_of: As for `analyze`, and so are the next three.
            min_window: See there.
            min_days: See there.
            forget_days: See there.

        Raises:
            EvidenceError: The store has neither assignments nor usage.
            InputError: The file of prices cannot be used, or a folder cannot be written.
            UsageError: Options make no sense, or the store is read-only.

        Examples:
            >>> import rightsize
            >>> logs = rightsize.open("tenant.duckdb").logs(budget=10)
            >>> logs.missing.select("rank", "item", "price_per_month", "chosen").head(1).rows()
            [(1, 'sign_ins:user', 0.0499, True)]
        """
        self._require(writing=True)
        results.require_least(0, budget=budget, records_per_day=records_per_day)
        asked = WindowOptions(
            as_of=results.day_of(as_of), min_window=min_window, min_days=min_days, forget_days=forget_days
        )
        with results.explained():
            result = logs.find_missing(
                self._path,
                asked,
                prices=results.path_of(prices),
                plan=plan,
                region=region,
                budget=budget,
                templates=results.path_of(bicep),
                records_per_day=records_per_day,
            )
            covered = read_coverage(self._path)
        missing = frames.frame_of_table(result.rows(), "observability_options")
        return results.LogsAnswer(covered, missing, result.window.first_day, result.window.last_day)


def open(path: results.Place, *, create: bool = False, read_only: bool = False) -> Store:
    """Open a store, and check that the file is one.

    A store that an older version of rightsize wrote is brought up to date, unless it is opened read-only. The check
    holds the file for a moment: open it read-only if other processes read it at the same time. Of the environment only
    `RIGHTSIZE_MEMORY_LIMIT`, `RIGHTSIZE_SPILL_FOLDER` and `RIGHTSIZE_TIME_LIMIT` count; `rightsize.toml` is not read.

    Args:
        path: The file.
        create: Make an empty store where there is none.
        read_only: Refuse calls that write; several processes may read a store at once.

    Raises:
        InputError: There is no store, the file is not a store or holds what no store holds, it is in use, or a newer
            version wrote it.
            Also raised if an older version wrote it and it is opened read-only.
        UsageError: Both `create` and `read_only` are given.

    Examples:
        >>> import rightsize
        >>> rightsize.open("tenant.duckdb", read_only=True)
        <Store 'tenant.duckdb'>
        >>> rightsize.open("none.duckdb")
        Traceback (most recent call last):
        rightsize.model.errors.InputError: there is no store at `none.duckdb`
    """
    if create and read_only:
        raise UsageError("a store cannot be made read-only", hint="give `create` or `read_only`")
    with results.explained():
        open_store(Path(path), read_only=read_only, existing=not create).close()
    return Store(Path(path), read_only=read_only)


def read_plan(folder: results.Place, store: Store | None = None) -> Plan:
    """Return the plan in a folder.

    Args:
        folder: The plan folder, or its `plan.json`.
        store: The store with the names of its principals; `Plan.verify` proves the plan on it.

    Raises:
        InputError: There is no plan, the file is not a plan, or its role files are missing or altered.

    Examples:
        >>> import rightsize
        >>> rightsize.read_plan("plan").window
        (datetime.date(2026, 1, 1), datetime.date(2026, 3, 31))
    """
    return open_plan(folder, store.path if store is not None else None)
