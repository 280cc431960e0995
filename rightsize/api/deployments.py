"""The part of the Python interface about deployments: what one takes, and what code declares for a principal."""

from __future__ import annotations

import datetime as dt

import polars as pl

from rightsize.api import frames
from rightsize.api.results import Day, Place, Places, day_of, explained, path_of, paths_of, warn
from rightsize.api.store_reads import ReadStore
from rightsize.workflow.answers import needs as workflow
from rightsize.workflow.data.declare import declare_needs


class DeploymentStore(ReadStore):
    """A store, with the calls about deployments."""

    def needs(
        self, files: Places, *, by: str | None = None, at: str = "", parameters: Place | None = None
    ) -> pl.DataFrame:
        """Return which operations a deployment takes, where, and why; with a principal, whether it may.

        Columns: `operation`, `scope`, `resource`, `rule`, `only_if`, `privilege` and `file`; with `by` also `allowed`
        (`yes`, `no`, `eligible`, `conditional` or `unknown`), `because`, `denied_by` and `unknown`, as `can` has them.
        In a scope, a name in braces is one that the code does not say.

        Args:
            files: ARM templates, Bicep files, what-if output, or `terraform show -json` of plans and states.
            by: Who deploys.
            at: The id of the scope that a template is deployed to.
            parameters: A file with the parameters of a template.

        Warns:
            EvidenceWarning: No rule knows a part of it, or something that an answer depends on is not loaded.

        Raises:
            EvidenceError: No role assignments are loaded, and a principal is asked about.
            InputError: A file cannot be read, or deploys nothing.
            UsageError: No loaded principal has the name, or several have.

        Examples:
            >>> import json, pathlib, rightsize
            >>> body = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            ...         "resources": [{"type": "Microsoft.Storage/storageAccounts", "name": "logs"}]}
            >>> _ = pathlib.Path("main.json").write_text(json.dumps(body))
            >>> store = rightsize.open("tenant.duckdb", read_only=True)
            >>> found = store.needs("main.json", at="/subscriptions/11111111-1111-4111-8111-111111111111")
            >>> "Microsoft.Storage/storageAccounts/write" in found["operation"].to_list()
            True
        """
        self._require()
        with explained():
            found = workflow.read_needs(paths_of(files), at=at, parameters=path_of(parameters))
            workflow.judge_vaults(self._path, found)
            if by is not None:
                workflow.answer_needs(self._path, found, by)
        for note in (*found.not_known, *found.notes):
            warn(note)
        return frames.frame_of(found.rows(), frames.NEEDED if by is None else frames.ANSWERED)

    def declare(self, files: Places, principal: str, *, until: Day | None = None, at: str = "") -> pl.DataFrame:
        """Store what code declares for a principal: evidence beside its use, which gives nothing (`load --declared`).

        What a file declared for the principal before is replaced. One row for each file: `path`, and the numbers of
        operations that were `read`, `new` and `duplicate`.

        Args:
            files: The files, as `needs` takes them.
            principal: Who deploys them.
            until: The last day on which they count, against the end of the window. Default: a year from today.
            at: The id of the scope that a template is deployed to.

        Warns:
            EvidenceWarning: No rule knows a part of a file, or its end has passed.

        Raises:
            InputError: A file cannot be read or declares nothing, or no principal has the name.
            UsageError: Several principals have the name, or a file does not say its subscription.

        Examples:
            >>> import json, pathlib, rightsize
            >>> body = {"$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
            ...         "resources": [{"type": "Microsoft.Storage/storageAccounts", "name": "logs"}]}
            >>> _ = pathlib.Path("main.json").write_text(json.dumps(body))
            >>> store = rightsize.open("tenant.duckdb")
            >>> place = "/subscriptions/11111111-1111-4111-8111-111111111111"
            >>> store.declare("main.json", "mei@example.com", until="2030-01-01", at=place).select("path", "new").rows()
            [('main.json', 6)]
        """
        self._require(writing=True)
        with explained():
            today = dt.datetime.now(dt.UTC).date()
            found = declare_needs(self._path, paths_of(files), principal, today=today, until=day_of(until), at=at)
        for note in found.notes:
            warn(note)
        return frames.frame_of(found.rows, frames.DECLARED)
