"""Write plans of small tenants and read them back, for verification."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.plan_evidence import read_tables, with_grants
from rightsize.model.plan_file import SaidOnce, filled
from rightsize.propose.core.fingerprint import WHAT
from rightsize.propose.verify.plan_reader import read_plan, read_roles, with_readings
from rightsize.propose.verify.review import ReviewablePlan, read_reviewable
from rightsize.propose.verify.verify import Change, Verification, verify
from rightsize.render.plan import plan_files
from rightsize.render.rows import plain
from tests.propose.small_tenant import SmallTenant

Document = dict[str, Any]
_FILES: dict[str, dict[str, str | bytes]] = {}
"""The last plan that was written: tests of one tenant stand beside each other."""


@dataclass
class Written:
    """A plan as files; a test may alter them before it verifies."""

    files: dict[str, str | bytes] = field(default_factory=dict)

    @classmethod
    def of(cls, tenant: SmallTenant, **options: Any) -> Written:
        """Plan for a tenant, once for the same rows and options, and write the plan."""
        asked = repr((tenant, options))
        if asked not in _FILES:
            _FILES.clear()
            _FILES[asked] = plan_files(tenant.plan(**options))
        return cls(dict(_FILES[asked]))

    @property
    def document(self) -> Document:
        """The plan.json."""
        found: Document = json.loads(self.files["plan.json"])
        return found

    @property
    def rests_on(self) -> dict[str, dict[str, str]]:
        """The hashes that the plan rests on, by what they are of."""
        return rests_on(read_tables(read_plan(self.contents["plan.json"]).evidence, self.contents)["readings"])

    @property
    def contents(self) -> dict[str, bytes]:
        """The bytes of each file by its name."""
        return contents_of(self.files)

    def read(self) -> ReviewablePlan:
        """Read the plan as a reviewer sees it."""
        return read_reviewable(self.contents["plan.json"], self.contents)

    def edit(self, change: Callable[[Document], object]) -> Written:
        """Return the plan with a plan.json that somebody changed."""
        document = self.document
        change(document)
        return Written(self.files | {"plan.json": json.dumps(document)})

    def verify(self, today: SmallTenant | Inputs) -> Verification:
        """Verify the plan against a tenant."""
        plan = read_plan(self.contents["plan.json"])
        roles = read_roles(plan, self.contents)
        plan = with_readings(plan, read_tables(plan.evidence, self.contents))
        return verify(plan, roles, today.inputs() if isinstance(today, SmallTenant) else today)


def contents_of(files: Mapping[str, str | bytes]) -> dict[str, bytes]:
    """Return the bytes of each file by its name."""
    return {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}


def with_whole_proposals(document: Document, tables: Mapping[str, pl.DataFrame]) -> None:
    """Change a document so that its proposals have today's grant, the whole reason and all counts.

    Args:
        document: The document.
        tables: Its tables of evidence.
    """
    proposals = [filled(one, SaidOnce.of(document)) for one in document["proposals"]]
    document["proposals"] = list(with_grants(proposals, tables))
    document["evidence"] = [one for one in document["evidence"] if one["table"] not in ("grants", "counts")]


def to_version_1(document: Document, tables: Mapping[str, pl.DataFrame] = MappingProxyType({})) -> None:
    """Change a document to version 1 of the format: options are named `dials`, proposals have all keys and rows.

    Args:
        document: The document.
        tables: Its tables of evidence; without them the proposals have no rows.
    """
    if tables:
        with_whole_proposals(document, tables)
    document["format_version"] = 1
    options = document["generated_from"].pop("options")
    dials = {("exclusions" if name == "exclude_from" else name): found for name, found in options.items()}
    document["generated_from"]["dials"] = dials
    document.pop("evidence")
    document["proposals"] = [filled(one, SaidOnce.of(document)) for one in document["proposals"]]
    document["rests_on"] = rests_on(tables["readings"]) if tables else {}
    document.pop("grows", None)
    for one in document["proposals"] if tables else ():
        ours = {name: frame for name, frame in tables.items() if name not in ("readings", "grants", "counts")}
        mine = {name: frame.filter(pl.col("proposal_id") == one["id"]) for name, frame in ours.items()}
        for name, period in (("operations", "window"), ("used_before", "before")):
            rows = mine["operations"].filter(pl.col("period") == period).drop("proposal_id", "period")
            if name == "operations" or not rows.is_empty():
                one["evidence"][name] = plain(rows.to_dicts())
        proofs = mine["absence-proofs"].group_by("reason", maintain_order=True)
        absent = [_entry(mine["absent"].filter(pl.col("reason") == reason), rows) for (reason,), rows in proofs]
        one["evidence"] |= {"absent": plain(absent)} if absent else {}
        for row in mine["chances"].drop("proposal_id").iter_rows(named=True):
            one["evidence"]["break_probability"] = _chance(row)


def _entry(types: pl.DataFrame, proofs: pl.DataFrame) -> Document:
    """Return what a plan of version 1 says of the types that did not exist for one reason."""
    entry: Document = {"reason": types["reason"][0], "operations": types["operations"].sum()}
    entry["resource_types"] = dict(types.select("resource_type", "operations").iter_rows())
    first = proofs.row(0, named=True)
    if first["proof"] is not None:
        return entry | {"proof": first["proof"]}
    names = ("kind", "reader_id", "subscriptions", "read_from", "read_to")
    counts = {"subscriptions": first["of_subscriptions"], "log_days": first["log_days"]}
    return entry | counts | {"window_days": first["window_days"], "listings": proofs.select(names).to_dicts()}


def rests_on(readings: pl.DataFrame) -> dict[str, dict[str, str]]:
    """Return the hashes of the table `readings` as a plan of version 1 has them."""
    found: dict[str, dict[str, str]] = {word: {} for word in WHAT}
    for what, id_, content in readings.iter_rows():
        found[what][id_] = content
    return found


def _chance(row: Document) -> Document:
    """Return what a plan of version 1 says of a chance of breaking."""
    types = {name.removeprefix("types_"): value for name, value in row.items() if name.startswith("types_")}
    counts = {name.removesuffix("_of"): [row[name.removesuffix("of") + "came"], value] for name, value in row.items()
              if name.endswith("_of") and value is not None}  # fmt: skip
    said = {name: value for name, value in row.items() if not name.startswith("types_") and value is not None}
    said = {name: value for name, value in said.items() if not name.endswith(("_of", "_came"))}
    return said | {"counts": counts} | ({"new_types": types} if types["bound"] is not None else {})


def named(found: Verification) -> list[tuple[str, str, str]]:
    """Return what makes a plan stale, without the clauses for people."""
    return [(change.what, change.id, change.change) for change in found.changes]


def only(found: Verification) -> Change:
    """Return the only thing that makes a plan stale."""
    (change,) = found.changes
    return change


def proposal_of(document: Document, assignment: str) -> Document:
    """Return the proposal of a document that speaks of an assignment."""
    (found,) = [one for one in document["proposals"] if one["replaces"] == [assignment]]
    return dict(found)
