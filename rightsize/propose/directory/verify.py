"""Verify the directory part of a written plan: find changed assignments and roles, and use that it does not cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.propose.directory.choose import read_catalogue
from rightsize.propose.directory.holders import read_holders
from rightsize.propose.directory.plan import read_grants, read_roles
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from rightsize.propose.verify.verify import Change, changed_since
from rightsize.rbac.text import fold
from rightsize.rules.directory import custom_actions


def verify_directory(part: WrittenPart, today: DirectoryAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed assignments or roles, and use that the plan does not allow."""
    read = part.rests_on
    return [
        *changed_since(
            "grant",
            read.get("grants", {}),
            read_grants(today.tables),
            "its holder, role, scope or end changed since the plan",
        ),
        *changed_since(
            "role_definition",
            read.get("role_definitions", {}),
            read_roles(today.tables),
            "its actions changed since the plan",
        ),
        *_uncovered(part, today),
    ]


def _uncovered(part: WrittenPart, today: DirectoryAnalysis) -> Iterator[Change]:
    catalogue = read_catalogue(today.tables)
    members = read_holders(today.tables).members
    spoken: dict[str, list[WrittenProposal]] = {}
    for proposal in part.proposals:
        for grant in proposal.replaces:
            spoken.setdefault(fold(grant), []).append(proposal)
    columns = ("role_assignment_id", "principal_id")
    held = {a: (fold(id_), holder) for a, id_, holder in today.tables.assignments.select("a", *columns).iter_rows()}
    rows = today.used.select("a", "principal_id", "operation", "name", "way", "place")
    for a, principal, operation, name, way, place in rows.sort(rows.columns).iter_rows():
        grant, holder = held[a]
        proposals = spoken.get(grant, [])
        # What stays or can be activated is allowed.
        if not proposals or any(one.kind.keeps or one.kind.makes_eligible for one in proposals):
            continue
        allowed = _allowed(proposals, place, catalogue.allows) | (catalogue.default if holder in members else set())
        if not {name, way} & allowed:
            detail = "today's role allows it, and the planned roles do not"
            yield Change("use", principal or "", "not_covered", detail, operation, "directory", place)


def _allowed(proposals: list[WrittenProposal], place: str, allows: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Return the actions that the planned roles allow at a place."""
    given = [one for proposal in proposals for one in proposal.assignments]
    roles = [one.role for one in given if one.scope == "/" or fold(one.scope) == place]
    # The actions of a new custom role are in its file, and are among those that custom roles may hold.
    new = custom_actions() if any(role not in allows for role in roles) else frozenset()
    return frozenset().union(new, *(allows.get(role, frozenset()) for role in roles))
