"""Write plans of small tenants and read them back, for verification."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rightsize.analyze.inputs import Inputs
from rightsize.propose.verify.plan_reader import read_plan, read_roles
from rightsize.propose.verify.verify import Change, Verification, verify
from rightsize.render.plan import plan_files
from tests.propose.small_tenant import SmallTenant

Document = dict[str, Any]
_FILES: dict[str, dict[str, str]] = {}
"""The last plan that was written: tests of one tenant stand beside each other."""


@dataclass
class Written:
    """A plan as files; a test may alter them before it verifies."""

    files: dict[str, str] = field(default_factory=dict)

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

    def edit(self, change: Callable[[Document], object]) -> Written:
        """Return the plan with a plan.json that somebody changed."""
        document = self.document
        change(document)
        return Written(self.files | {"plan.json": json.dumps(document)})

    def verify(self, today: SmallTenant | Inputs) -> Verification:
        """Verify the plan against a tenant."""
        plan = read_plan(self.files["plan.json"].encode())
        roles = read_roles(plan, {name: text.encode() for name, text in self.files.items()})
        return verify(plan, roles, today.inputs() if isinstance(today, SmallTenant) else today)


def to_version_1(document: Document) -> None:
    """Change a document to version 1 of the format, which names the options `dials`."""
    document["format_version"] = 1
    document["generated_from"]["dials"] = document["generated_from"].pop("options")


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
