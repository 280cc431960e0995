"""Find where Terraform makes the assignments that a plan changes, and return the edits that are proved.

An address is believed where a state says it, and nowhere else. What two addresses could be is nobody's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from rightsize.iac.patch.grants import Change, Grant, Offer, Quote, Refused, Roles, new_roles
from rightsize.iac.patch.proof import Subject, id_of, refutation
from rightsize.iac.patch.repository import Bound, Repository
from rightsize.iac.patch.terraform_assignments import DEFINITION
from rightsize.iac.patch.terraform_edits import Site, Writer
from rightsize.model.nouns import RoleDefinition


@dataclass(slots=True)
class Patch:
    """The edits of a language that are proved, and the changes without one.

    Attributes:
        offers: The edits.
        refused: The changes that code makes and no edit is offered for.
        missing: The changes that no code is found for.
        notes: What to know before the edits are deployed.
    """

    offers: list[Offer] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    missing: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def patch_terraform(
    repository: Repository,
    changes: Sequence[Change],
    roles: Roles,
    definitions: Mapping[str, RoleDefinition],
    blocks: Mapping[str, str],
    quote: Quote,
) -> Patch:
    """Return the proved edits of the Terraform of a repository.

    Args:
        repository: Its configurations with their states.
        changes: The changes of the plan.
        roles: The roles of the tenant and the plan.
        definitions: The new roles by their GUID.
        blocks: Their blocks as Terraform.
        quote: Returns a text as Terraform has it between quotes.
    """
    subject = Subject(repository.code, repository.bound, roles, definitions)
    made = Patch()
    sites: dict[tuple[str, str], list[Site]] = defaultdict(list)
    found = _addresses(repository, changes, made)
    for bound in repository.bound:
        for address, instance in bound.instances.items():
            block = (instance.path, instance.block.labels[-1])
            sites[block].append(Site(bound, instance, found.get((bound.environment.name, address))))
    changed = {block: own for block, own in sites.items() if any(one.change for one in own)}
    homes, declared = _homes(repository.bound, changed, definitions)
    writer = Writer(repository.code, quote, blocks, homes, declared)
    proposed: list[Offer] = []
    reasons: dict[str, str] = {}
    granted: set[Grant] = set()
    for block, own in sorted(changed.items()):
        proposed += _trials(own, block, writer, subject, repository, granted, reasons)
    while proposed != made.offers:
        made.offers = _proved(subject, proposed, reasons)
        proposed = _with_all_grants(made.offers, changes)
    made.notes += _notes(made.offers, homes)
    done = {change.old for offer in made.offers for change in offer.changes}
    for block, own in sorted(changed.items()):
        for site in own:
            if site.change is not None and site.change.old not in done:
                why = reasons.get(site.change.old, "no edit does exactly this")
                line = repository.code.line(block[0], site.instance.block.start)
                made.refused.append(Refused(site.change, why, block[0], line))
    return made


def _addresses(repository: Repository, changes: Sequence[Change], made: Patch) -> dict[tuple[str, str], Change]:
    """Return the change of each address; one that has none or several, or that a state tells otherwise, has no edit."""
    by_id = {change.old: change for change in changes}
    eligible = [change for change in changes if change.today.state == "eligible"]
    places: dict[str, list[tuple[Bound, str]]] = defaultdict(list)
    for bound in repository.bound:
        for address in bound.instances:
            id_ = id_of(bound, address, eligible)
            if id_ in by_id:
                places[id_].append((bound, address))
    found = {}
    for change in changes:
        own = places.get(change.old, [])
        if not own:
            made.missing.append(change)
            continue
        bound, address = own[0]
        instance = bound.instances[address]
        line = repository.code.line(instance.path, instance.block.start)
        if len(own) > 1:
            others = " and ".join(f"`{where}`" for _, where in own[:3])
            made.refused.append(Refused(change, f"it could be {others}", instance.path, line))
        elif instance.grant is None or replace(instance.grant, end_on="") != replace(change.today, end_on=""):
            why = f"the state of `{address}` grants something else than what is loaded"
            made.refused.append(Refused(change, why, instance.path, line))
        else:
            found[bound.environment.name, address] = change
    return found


def _homes(
    bound: Sequence[Bound], changed: Mapping[tuple[str, str], Sequence[Site]], definitions: Mapping[str, RoleDefinition]
) -> tuple[dict[str, str], dict[tuple[str, str], str]]:
    """Return the configuration that makes each new role, and the roles that configurations make already."""
    environments: dict[str, int] = defaultdict(int)
    declared: dict[tuple[str, str], str] = {}
    for one in bound:
        folder = one.environment.folder
        environments[folder] += 1
        for held in one.environment.state.values():
            if held.kind == DEFINITION and not held.module and held.key is None:
                declared[folder, str(held.values.get("role_definition_id", "")).lower()] = held.name
    homes: dict[str, str] = {}
    folders = sorted(
        (site.bound.environment.folder, wanted.grant.role)
        for own in changed.values()
        for site in own
        if site.change is not None
        for wanted in site.change.wanted
    )
    for folder, role in folders:
        if role in definitions and environments[folder] == 1:
            homes.setdefault(role, folder)
    return homes, declared


def _trials(
    sites: Sequence[Site],
    block: tuple[str, str],
    writer: Writer,
    subject: Subject,
    repository: Repository,
    granted: set[Grant],
    reasons: dict[str, str],
) -> Iterator[Offer]:
    """Yield the first edits of a block that do what the plan says, as far as the block itself tells."""
    done: set[str] = set()
    # What an edit before this one grants already is not granted twice.
    pending = [site if site.change is None else replace(site, change=_without(site.change, granted)) for site in sites]
    for offer in writer.offers(pending):
        olds = {change.old for change in offer.changes}
        if olds & done:
            continue
        why = _not_covered(offer, repository)
        if why is None and not offer.is_last:
            why = refutation(subject, [offer], {block}, is_trial=True)
        if why is None:
            done |= olds
            granted |= {wanted.grant for change in offer.changes for wanted in change.wanted}
            yield replace(offer, block=block)
        else:
            for old in olds:
                reasons[old] = why
    if len(sites) > 1 and not done:
        for site in sites:
            if site.change is not None:
                reasons.setdefault(site.change.old, "the block makes other assignments, too, which change otherwise")


def _without(change: Change, granted: set[Grant]) -> Change:
    return replace(change, wanted=tuple(one for one in change.wanted if one.grant not in granted))


def _not_covered(offer: Offer, repository: Repository) -> str | None:
    """Return which configuration uses an edited file and has no state here, or None."""
    for edit in offer.both:
        if edit.path.endswith(".tf"):
            lacks = repository.uncovered.get(edit.path.rpartition("/")[0], [])
            if lacks:
                return f"{lacks[0]} uses this code, too, and no state of it was given"
    return None


def _proved(subject: Subject, offers: Sequence[Offer], reasons: dict[str, str]) -> list[Offer]:
    """Return the edits that hold together; what refutes one is its reason."""
    if not offers or refutation(subject, offers) is None:
        return list(offers)
    # The quick part of the proof for each by itself finds nearly all that do not hold.
    alone = [(offer, refutation(subject, [offer], {offer.block})) for offer in offers]
    reasons.update({change.old: why for offer, why in alone if why is not None for change in offer.changes})
    return _together(subject, [offer for offer, why in alone if why is None], reasons)


def _together(subject: Subject, offers: Sequence[Offer], reasons: dict[str, str]) -> list[Offer]:
    why = refutation(subject, offers) if offers else None
    if why is None:
        return list(offers)
    if len(offers) == 1:
        reasons.update({change.old: why for change in offers[0].changes})
        return []
    half = len(offers) // 2
    kept, rest = _together(subject, offers[:half], reasons), _together(subject, offers[half:], reasons)
    if refutation(subject, [*kept, *rest]) is None:
        return [*kept, *rest]
    for offer in rest:
        together = refutation(subject, [*kept, offer])
        if together is None:
            kept.append(offer)
        else:
            reasons.update({change.old: together for change in offer.changes})
    return kept


def _notes(offers: Sequence[Offer], homes: Mapping[str, str]) -> Iterator[str]:
    """Yield which roles have to be there before an edit is applied that names one by its id or its name."""
    wanted = new_roles(change for offer in offers for change in offer.changes)
    for role, one in sorted(wanted.items()):
        texts = [
            edit.text
            for offer in offers
            if any(one.grant.role == role for change in offer.changes for one in change.wanted)
            for edit in offer.add
            if not edit.text.startswith(f'resource "{DEFINITION}"')
        ]
        if role not in homes:
            yield f"make the role {one.role_name} first, with `rightsize plan files`: several states use it"
        elif not all(f"{DEFINITION}." in text for text in texts):
            yield f"apply the role {one.role_name} first: some code names it by its id or its name"


def _with_all_grants(offers: Sequence[Offer], changes: Sequence[Change]) -> list[Offer]:
    """Leave out edits that rest on what another one grants, where that one is not offered."""
    wanted = {change.old: {one.grant for one in change.wanted} for change in changes}
    kept = list(offers)
    while True:
        granted = {one.grant for offer in kept for change in offer.changes for one in change.wanted}
        lasting = [offer for offer in kept if all(wanted[change.old] <= granted for change in offer.changes)]
        if len(lasting) == len(kept):
            return kept
        kept = lasting
