"""Compute the numbers of the page's summary and tables, for readers without scripts.

The inputs of a report, and the functions that make their texts harmless.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rightsize.analyze.overview import COUNTS, Overview
from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.reasons import sentence
from rightsize.analyze.window import Window
from rightsize.model.nouns import LAYERS, RoleDefinition
from rightsize.model.plan import PROPOSAL_KINDS, count_by_plane
from rightsize.model.plan_totals import Change, NextSteps, total_excess_of
from rightsize.model.text import fold
from rightsize.render.escape import for_terminal
from rightsize.render.role_summary import SERVICE_COLUMNS, SummaryText, summary_text
from rightsize.render.sentences import describe_chance, plane_title, short_scope

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Undecided:
    """The listings and logs that a store lacks, as `status logs` answers.

    Attributes:
        options: Rows as in the table `observability_options`, the greatest promise first.
        decidable: The share of the undecided excess that all options together decide at most, 0 to 1.
        region: The region of the prices.
        unlisted: The number of assignments whose operations are not known, so that nothing bounds them.
    """

    options: tuple[Mapping[str, Any], ...] = ()
    decidable: float = 0.0
    region: str = ""
    unlisted: int = 0


@dataclass(frozen=True, slots=True)
class Sources:
    """All data that the page shows.

    Attributes:
        title: The title of the page.
        window: The days that were analysed.
        overview: Counts and scores of the tenant.
        coverage: As the table `coverage`.
        findings: As the table `findings`.
        scope_names: Display names of subscriptions and management groups, by scope.
        proposals: The proposals for Azure RBAC as `plan.json` has them, or None where there is no plan.
        beyond: The proposals for other planes, whose counts are not added to these.
        plan: The rest of `plan.json`: `generated_from`, `advice`, `replay`, `curve`.
        planned_roles: The roles that the plan assigns, by folded id.
        evidence: The evidence of its new roles, by folded id, as in the files beside the roles.
        layers: The layers of defence that each principal can defeat: as the table `layer_defeats`.
        violations: The principals that can defeat several layers of one subscription: as the table `layer_violations`.
        planes: The analyses of the planes beyond Azure RBAC.
        reach: The reach of each principal and resource, widest first, as `reach` shows it.
        blasts: The blast radius of the first subjects of each kind, as `workflow.analysis.reach` returns it.
        activations: As the table `activations`, for every plane.
        steps: The order in which the changes of the plan are best made.
        undecided: What is missing, and what it would decide.
        jobs: The tables `jobs`, `job_operations` and `job_holders`, by name.
        stale: Why the plan does not fit the present store, or None.
        short: Where absence of use decides nothing yet: why, from when on it does, and what would tell.
    """

    title: str
    window: Window
    overview: Overview
    coverage: pl.DataFrame
    findings: pl.DataFrame
    scope_names: Mapping[str, str]
    layers: pl.DataFrame
    violations: pl.DataFrame
    proposals: Sequence[Mapping[str, Any]] | None = None
    beyond: Sequence[Mapping[str, Any]] = ()
    plan: Mapping[str, Any] = field(default_factory=dict)
    planned_roles: Mapping[str, RoleDefinition] = field(default_factory=dict)
    evidence: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    planes: Sequence[PlaneAnalysis] = ()
    reach: Sequence[Mapping[str, Any]] = ()
    blasts: Sequence[Mapping[str, Any]] = ()
    activations: Sequence[Mapping[str, Any]] = ()
    steps: NextSteps = field(default_factory=NextSteps)
    undecided: Undecided = field(default_factory=Undecided)
    jobs: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    stale: str | None = None
    short: Sequence[str] = ()


def clean(text: object) -> str:
    """Return text without invisible and direction-changing characters, cut to a readable length.

    Markup in it is unchanged: the template engine escapes it, and the script only writes text nodes.
    """
    shown = for_terminal("" if text is None else str(text))
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 1] + "…"


def name_of(name: str | None, id_: str) -> str:
    """Return a name that can be shown as a link: the id where the name is blank."""
    shown = clean(name).strip()
    return shown or clean(id_)


def summaries_of(sources: Sources) -> dict[str, SummaryText]:
    """Return the summary of each new role in words, by folded id; a plan of an older version has none."""
    overview = sources.overview
    names = dict(overview.principals.select("principal_id", "name").iter_rows())
    names |= dict(overview.roles.select("role", "role_name").iter_rows())
    names |= {id_: role.role_name for id_, role in sources.planned_roles.items()}
    names = {id_: name for id_, name in names.items() if name} | dict(sources.scope_names)
    return {
        fold(id_): summary_text(evidence["summary"], names)
        for id_, evidence in sorted(sources.evidence.items())
        if evidence.get("summary")
    }


VERDICTS = COUNTS[1:]
BASES = ("granted", "used", "proposed")
"""The bases on which a principal can defeat a layer."""
_MATRIX = 16
MATTERING = 10
SHOWN = 100
"""The most rows of a table without scripts."""
SHOWN_ROLES = 12
"""The most summaries of new roles without scripts: each is a screen."""
_NAMED = 1
_REASONS = 4
_LEAST_SHARE = 1.5
BY_DESIGN = "by design"
_RBAC_TITLES = {"control": "Azure control plane", "data": "Azure data plane"}


class Figures:
    """Computes the template's numbers from `Sources`; removes harmful characters, while the engine escapes markup."""

    def __init__(self, sources: Sources) -> None:
        self.sources = sources
        overview = sources.overview
        self.names = dict(overview.principals.select("principal_id", "name").iter_rows())
        self.roles = dict(overview.roles.select("role", "role_name").iter_rows())
        self.roles |= {fold(id_): role.role_name for id_, role in sources.planned_roles.items()}
        self.proposals = list(sources.proposals or ())

    def totals(self) -> dict[str, int]:
        """Return the counts of all assignments together, `unexplained`, and the calls behind it."""
        overview = self.sources.overview
        return overview.totals | {"unexplained_calls": int(overview.unexplained["events"].sum())}

    def exposure(self) -> dict[str, dict[str, float]] | None:
        """Return all live excess, the latent one if there is any, and the risk; None where there is no plan.

        Each has `before`, `after`, the share that is `left` and the share `removed`, of all that there is today.
        """
        if self.sources.proposals is None:
            return None
        excess = total_excess_of(self.proposals)
        risk = Change(*(sum(one[f"risk_{when}"] for one in self.proposals) for when in ("before", "after")))
        shown = {"excess": excess.all_live, "latent": excess.latent, "risk": risk}
        if not excess.latent.before:
            del shown["latent"]
        return {
            name: {
                "before": one.before,
                "after": one.after,
                "left": 100 * (1 - one.removed),
                "removed": 100 * one.removed,
            }
            for name, one in shown.items()
        }

    def plane_bars(self) -> list[dict[str, Any]]:
        """Return the counts and the bar of each plane; planes without any grant are left out."""
        counted = {_RBAC_TITLES[plane]: counts for plane, counts in self.sources.overview.by_plane.items()}
        for one in sorted(self.sources.planes, key=lambda one: one.plane):
            counted[plane_title(one.plane)] = {name: int(one.assignments[name].sum()) for name in COUNTS}
        return [
            {name: counts[name] for name in COUNTS} | {"title": title, "bar": bar(counts)}
            for title, counts in counted.items()
            if counts["granted"]
        ]

    def by_design_word(self, proposal: Mapping[str, Any]) -> str:
        """Return why an assignment stays by design; empty where it does not."""
        return str(proposal["evidence"].get("by_design") or "")

    def kinds(self) -> list[tuple[str, int]]:
        """Return the number of proposals of each kind; what stays by design is a kind of its own."""
        counted: Counter[str] = Counter(
            BY_DESIGN if self.by_design_word(one) else one["kind"] for one in self.proposals
        )
        return [(kind, counted[kind]) for kind in (*PROPOSAL_KINDS, BY_DESIGN) if counted[kind]]

    def reasons(self) -> list[dict[str, Any]]:
        """Return the most frequent reasons why use cannot be decided, with what would tell, by the plan."""
        tells = self.sources.plan.get("would_tell", {})
        rows = self.sources.overview.reasons.filter(pl.col("verdict").is_in(["unobservable", "out_of_coverage"]))
        return [
            {
                "operations": row["operations"],
                "text": sentence(row["reason"]),
                "tells": clean(tells.get(row["reason"], "")),
            }
            for row in rows.head(_REASONS).iter_rows(named=True)
        ]

    def mattering(self) -> list[dict[str, Any]]:
        """Return the ten principals with the most excess today; without a plan, those with the most creep.

        Excess that stays by design is left out.
        """
        rows = {row["principal_id"]: row for row in self.sources.overview.principals.to_dicts()}
        before, after = self._excess_by_principal()
        order = sorted(rows, key=lambda id_: (-before[id_], -rows[id_]["creep"], -rows[id_]["risk"], id_))
        most = max((before[id_] for id_ in order[:MATTERING]), default=0.0) or 1.0
        return [
            self._principal(rows[id_])
            | {
                "before": before[id_],
                "after": after[id_],
                "before_share": round(100 * before[id_] / most, 1),
                "after_share": round(100 * after[id_] / most, 1),
            }
            for id_ in order[:MATTERING]
        ]

    def _excess_by_principal(self) -> tuple[Counter[str], Counter[str]]:
        before: Counter[str] = Counter()
        after: Counter[str] = Counter()
        for one in self.proposals:
            for name in () if self.by_design_word(one) else one["principal_ids"]:
                before[fold(name)] += one["excess_before"]
                after[fold(name)] += one["excess_after"]
        return before, after

    def principals(self) -> list[dict[str, Any]]:
        """Return the first principals, most creep first."""
        return [self._principal(row) for row in self.sources.overview.principals.head(SHOWN).to_dicts()]

    def _principal(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return dict(row) | {"name": name_of(row["name"], row["principal_id"]), "bar": bar(row)}

    def assignments(self) -> list[dict[str, Any]]:
        """Return the first assignments, most creep first."""
        return [
            row
            | {
                "principal": self.principal_name(row["principal_id"]),
                "role_name": self.role_name(row["role"]),
                "at": self.place(row["scope"]),
                "bar": bar(row),
            }
            for row in self.sources.overview.assignments.head(SHOWN).to_dicts()
        ]

    def role_rows(self) -> list[dict[str, Any]]:
        """Return the first roles, most granted first."""
        rows = self.sources.overview.roles.head(SHOWN).to_dicts()
        return [row | {"role_name": name_of(row["role_name"], row["role"]), "bar": bar(row)} for row in rows]

    def scope_rows(self) -> list[dict[str, Any]]:
        """Return the first scopes, most granted first."""
        rows = self.sources.overview.scopes.head(SHOWN).to_dicts()
        return [row | {"at": self.place(row["scope"]), "bar": bar(row)} for row in rows]

    def changes(self) -> list[dict[str, Any]]:
        """Return the first proposals that change something, the largest removals first."""
        changed = [one for one in self.proposals if PROPOSAL_KINDS[one["kind"]].changes]
        changed.sort(key=lambda one: (one["excess_after"] - one["excess_before"], one["id"]))
        return [self._proposal(one) for one in changed[:SHOWN]]

    def kept(self) -> list[dict[str, Any]]:
        """Return the first proposals that keep an assignment, not by design, the largest excess first."""
        kept = [one for one in self.proposals if PROPOSAL_KINDS[one["kind"]].keeps and not self.by_design_word(one)]
        kept.sort(key=lambda one: (-one["excess_before"], one["id"]))
        return [self._proposal(one) for one in kept[:SHOWN]]

    def new_roles(self) -> list[dict[str, Any]]:
        """Return the summaries of the new roles, those for the most assignments first."""
        found = summaries_of(self.sources)
        evidence: dict[str, Mapping[str, Any]] = {fold(id_): one for id_, one in self.sources.evidence.items()}
        order = sorted(found, key=lambda id_: (-evidence[id_]["summary"]["assignments"], self.role_name(id_)))
        return [
            {
                "name": self.role_name(id_),
                "lines": [(label, clean(line)) for label, line in found[id_].lines],
                "services": [[clean(row[name]) for name in SERVICE_COLUMNS] for row in found[id_].services],
            }
            for id_ in order[:SHOWN_ROLES]
        ]

    def beyond(self) -> list[dict[str, Any]]:
        """Return the planes beyond Azure roles: counts of their proposals, and the largest removals first."""
        found = []
        for plane, kinds in count_by_plane((one["plane"], one["kind"]) for one in self.sources.beyond).items():
            changed = [
                one for one in self.sources.beyond if one["plane"] == plane and PROPOSAL_KINDS[one["kind"]].changes
            ]
            changed.sort(key=lambda one: (one["excess_after"] - one["excess_before"], one["id"]))
            rows = [self._proposal(one) for one in changed[:SHOWN]]
            part = {"plane": plane, "title": plane_title(plane), "kinds": list(kinds.items())}
            found.append(part | {"changes": len(changed), "rows": rows})
        return found

    def _proposal(self, one: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "principal": self.principal_name(one["principal_ids"][0]),
            "kind": one["kind"],
            "role": self.role_name(one["evidence"]["role"]),
            "at": self.place(one["evidence"]["scope"]),
            "becomes": list(self._becomes(one)),
            "reason": clean(one["reason"]),
            "breaks": describe_chance(one["break_probability_30d"], one["evidence"]),
            "before": one["excess_before"],
            "after": one["excess_after"],
            "holds": one["proof"]["used_subset"] and one["proof"]["granted_superset"],
        }

    def _becomes(self, one: Mapping[str, Any]) -> Iterator[dict[str, str]]:
        places: dict[str, list[str]] = {}
        for place in one["assignments"]:
            places.setdefault(place["role"], []).append(self.place(place["scope"]))
        for role, found in list(places.items())[:_NAMED]:
            more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
            yield {"role": self.role_name(role), "at": ", ".join(found[:_NAMED]) + more}
        if len(places) > _NAMED:
            yield {
                "role": "",
                "at": f"and {len(places) - _NAMED} more role" + ("s" if len(places) - _NAMED > 1 else ""),
            }

    def layer_rows(self) -> list[dict[str, Any]]:
        """Return for each of the six layers how many principals can defeat it, as granted, used and proposed."""
        counted = self._standing().group_by("layer", "basis").agg(pl.col("principal_id").n_unique().alias("people"))
        found = {(layer, basis): number for layer, basis, number in counted.iter_rows()}
        most = max([1, *found.values()])
        return [
            {"layer": layer, **{basis: found.get((layer, basis), 0) for basis in BASES}}
            | {"bars": [(basis, 100 * found.get((layer, basis), 0) / most) for basis in BASES]}
            for layer in LAYERS
        ]

    def matrix(self) -> list[dict[str, Any]]:
        """Return the principals that can defeat the most layers in the most subscriptions, with a cell a layer."""
        standing = self._standing()
        counted = standing.group_by("principal_id", "layer", "basis").agg(scopes=pl.col("scope").n_unique())
        whole = max(1, standing.filter(pl.col("scope").str.starts_with("/subscriptions/"))["scope"].n_unique())
        cells: dict[str, dict[tuple[str, str], int]] = {}
        for principal, layer, basis, number in counted.iter_rows():
            cells.setdefault(principal, {})[layer, basis] = min(number, whole)
        reach = {id_: sum(n for (_, basis), n in found.items() if basis == "granted") for id_, found in cells.items()}
        order = sorted(cells, key=lambda id_: (-reach[id_], id_))[:_MATRIX]
        return [
            {
                "principal_id": id_,
                "principal": self.principal_name(id_),
                "cells": [
                    [(basis, 100 * cells[id_].get((layer, basis), 0) / whole, cells[id_].get((layer, basis), 0))
                     for basis in BASES]
                    for layer in LAYERS
                ],
            }
            for id_ in order
        ]  # fmt: skip

    def _standing(self) -> pl.DataFrame:
        """Return the rows that need no activation and no condition."""
        return self.sources.layers.filter((pl.col("state") == "active") & ~pl.col("conditional"))

    def independence(self) -> dict[str, int]:
        """Return the number of principals that can defeat several layers of one subscription, by basis."""
        table = self.sources.violations.filter(pl.col("state") == "active")
        counted = table.group_by("basis").agg(pl.col("principal_id").n_unique().alias("people"))
        return dict.fromkeys(BASES, 0) | dict(counted.iter_rows())

    def findings(self) -> list[dict[str, Any]]:
        """Return the first findings, the severest first."""
        rank = {"high": 0, "medium": 1, "low": 2}
        rows = sorted(
            self.sources.findings.to_dicts(),
            key=lambda row: (rank.get(row["severity"], 3), row["control"], row["subject"]),
        )
        return [
            {
                "severity": row["severity"],
                "control": row["control"],
                "principal": self.principal_name(row["principal_id"] or row["subject"]),
                "reason": clean(row["reason"]),
            }
            for row in rows[:SHOWN]
        ]

    def advice(self) -> list[dict[str, str]]:
        """Return the advice: changes that only people can make."""
        return [
            {"subject": self.principal_name(one["subject"]), "text": clean(one["text"])}
            for one in self.sources.plan.get("advice", ())[:SHOWN]
        ]

    def principal_name(self, id_: str) -> str:
        """Return the display name of a principal, or its id where no name is known."""
        return name_of(self.names.get(fold(id_)), id_)

    def role_name(self, id_: str) -> str:
        """Return the name of a role, or its id where no name is known."""
        return name_of(self.roles.get(fold(id_)), id_)

    def place(self, scope: str) -> str:
        """Return a short name of a scope."""
        return clean(short_scope(scope, self.sources.scope_names))


def bar(row: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """Return the segments of a bar of 100: (verdict, from, width); used permissions always stay visible."""
    whole = sum(row[name] for name in VERDICTS)
    if not whole:
        return []
    widths = {name: max(100 * row[name] / whole, _LEAST_SHARE) for name in VERDICTS if row[name]}
    scale = 100 / sum(widths.values())
    found, at = [], 0.0
    for name, width in widths.items():
        found.append((name, round(at, 2), round(width * scale, 2)))
        at += width * scale
    return found
