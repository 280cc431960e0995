"""Verify the directory part of a written plan: find changed assignments and roles, and use that it does not cover."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.analyze.directory.judge import DirectoryAnalysis
from rightsize.propose.directory.choose import read_catalogue
from rightsize.propose.directory.plan import read_grants, read_roles
from rightsize.propose.verify.plan_reader import WrittenPart, WrittenProposal
from rightsize.propose.verify.verify import Change
from rightsize.rbac.text import fold
from rightsize.rules.directory import custom_actions


def verify_directory(part: WrittenPart, today: DirectoryAnalysis) -> list[Change]:
    """Return the changes that make a part stale: changed assignments or roles, and use that the plan does not allow."""
    read, now = part.rests_on.get("grants", {}), read_grants(today.tables)
    changes = list(_changed("grant", read, now, "its holder, role, scope or end changed since the plan"))
    read, now = part.rests_on.get("role_definitions", {}), read_roles(today.tables)
    changes += _changed("role_definition", read, now, "its actions changed since the plan")
    return [*changes, *_uncovered(part, today)]


def _changed(what: str, read: Mapping[str, str], now: Mapping[str, str], detail: str) -> Iterator[Change]:
    today = {fold(one): value for one, value in now.items()}
    for identifier, value in sorted(read.items()):
        found = today.get(fold(identifier))
        if found is None:
            yield Change(what, identifier, "gone", "the plan read it, and it no longer exists")
        elif found != value:
            yield Change(what, identifier, "changed", detail)


def _uncovered(part: WrittenPart, today: DirectoryAnalysis) -> Iterator[Change]:
    catalogue = read_catalogue(today.tables)
    spoken = {fold(grant): proposal for proposal in part.proposals for grant in proposal.replaces}
    held = {a: fold(id_) for a, id_ in today.tables.assignments.select("a", "role_assignment_id").iter_rows()}
    rows = today.used.select("a", "principal_id", "operation", "name", "way", "place")
    for a, principal, operation, name, way, place in rows.sort(rows.columns).iter_rows():
        proposal = spoken.get(held[a])
        if proposal is None or proposal.kind.keeps or proposal.kind.makes_eligible:
            continue
        allowed = _allowed(proposal, catalogue.allows)
        inside = all(one.scope == "/" or fold(one.scope) == place for one in proposal.assignments)
        if not inside or not {name, way} & allowed:
            detail = "today's role allows it, and the planned roles do not"
            yield Change("use", principal or "", "not_covered", detail, operation, "directory", place)


def _allowed(proposal: WrittenProposal, allows: Mapping[str, frozenset[str]]) -> frozenset[str]:
    roles = [one.role for one in proposal.assignments]
    # The actions of a new custom role are in its file, and are among those that custom roles may hold.
    new = custom_actions() if any(role not in allows for role in roles) else frozenset()
    return frozenset().union(new, *(allows.get(role, frozenset()) for role in roles))
