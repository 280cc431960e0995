"""Say why a plan proposes something for a directory role, and ask its holder about what no log shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rightsize.analyze.reasons import UnobservableReason, Unused
from rightsize.model.plan import BUILTIN, NARROW_SCOPE, Advice
from rightsize.model.progress import counted
from rightsize.model.text import is_directory_read, parse_pattern
from rightsize.planes.directory.cases import REASONS, DirectoryAssignmentCase
from rightsize.planes.directory.choose import WHY_KEPT, DirectoryChoice, DirectoryRoleCatalog
from rightsize.rbac.expand import patterns_of
from rightsize.rules.directory import side_actions

_NAMED = 3


def place_word(place: str) -> str:
    """Return what a narrower folded scope is."""
    return "administrative unit" if place.startswith("/administrativeunits/") else "application"


def lost_by(case: DirectoryAssignmentCase, choice: DirectoryChoice, default: frozenset[str]) -> Mapping[str, str]:
    """Return what might be needed and that the new roles lack, each with the reason why no log shows it."""
    if choice.kind.keeps or choice.kind.makes_eligible or choice.rest:
        return {}
    held = choice.allowed | default
    return {name: reason for name, reason in case.kept.items() if name not in held}


def asked_of(case: DirectoryAssignmentCase, choice: DirectoryChoice, default: frozenset[str]) -> Mapping[str, str]:
    """Return the lost actions to ask for: not `users/allProperties/allTasks`, whose parts were judged one by one."""
    lost = lost_by(case, choice, default)
    known = [*case.used, *case.gone]
    patterns = {name: [parse_pattern(one) for one in patterns_of(name)[1:]] for name in lost}
    return {
        name: lost[name]
        for name, wider in patterns.items()
        if not any(one.matches(part) for one in wider for part in known if part != name)
    }


def reason_of(
    case: DirectoryAssignmentCase, choice: DirectoryChoice, catalogue: DirectoryRoleCatalog, default: frozenset[str]
) -> str:
    """Return the reason of a proposal."""
    kind = choice.kind
    if case.left:
        return f"{case.left}: {REASONS[case.left]}"
    if kind.removes:
        return _removed(case, choice, default)
    if kind.makes_eligible:
        return _sleeps(case, choice)
    if kind.keeps:
        kept = WHY_KEPT[choice.why] if choice.why else f"no smaller role has {_staying(case)}"
        return kept + _enough(choice, catalogue)
    found = _comes(case, choice, catalogue)
    if choice.rest:
        return f"{found}; the rest can be activated: no log shows all that today's role is used for"
    return found + _lost_words(asked_of(case, choice, default))


def _removed(case: DirectoryAssignmentCase, choice: DirectoryChoice, default: frozenset[str]) -> str:
    reasons = set(case.gone.values())
    if reasons == {Unused.NEVER_ACTIVATED.value}:
        return "nobody activated it, and an activation would have been logged"
    if reasons == {Unused.NO_SIGN_IN.value}:
        return "none of its holders signed in"
    if not case.is_judged:
        return "no log shows a use of it, and `--unobservable drop` removes the actions that no log can show"
    lost = asked_of(case, choice, default)
    if not lost and reasons & {word.value for word in UnobservableReason}:
        return "none of its changes was used, and the options remove what no log can show"
    if not lost:
        return "none of its actions was used, and the audit log would have shown it"
    return "none of its changes was used, and the audit log would have shown them" + _lost_words(lost)


def _sleeps(case: DirectoryAssignmentCase, choice: DirectoryChoice) -> str:
    if choice.rest:
        return "what was used stays active by other roles; its holder can activate it for what no log shows"
    if case.is_idle:
        return "nobody was seen to use it: no change in the audit log, and reads are not logged; it can be activated"
    return "it is used a few hours a month, and its holder can activate it for them"


def _comes(case: DirectoryAssignmentCase, choice: DirectoryChoice, catalogue: DirectoryRoleCatalog) -> str:
    """Return the clause on the roles that come."""
    beside = f", beside {_and(catalogue.names[one] for one in choice.readers)} for reads" if choice.readers else ""
    if choice.place:
        every = f"every use was inside one {place_word(choice.place)}"
        if choice.kind is NARROW_SCOPE:
            return every + beside
        return f"{every}, and {_and(catalogue.names[one] for one in choice.roles)} has {_used(case)}{beside}"
    if choice.kind is BUILTIN and case.is_idle:
        return (
            "none of its changes was used, and the audit log would have shown them; "
            f"{_and(catalogue.names[one] for one in choice.roles)} comes for reads, which no log shows"
        )
    names = "a custom role" if choice.kind.makes_role else _and(catalogue.names[one] for one in choice.roles)
    many = not choice.kind.makes_role and len(choice.roles) > 1
    return f"{names} {'have' if many else 'has'} {_used(case)}{beside}"


def _used(case: DirectoryAssignmentCase) -> str:
    number = len(case.used)
    return f"all {number} used actions" if number > 1 else "the used action"


def _staying(case: DirectoryAssignmentCase) -> str:
    if not case.used:
        return f"the {counted(len(case.kept), 'action')} that cannot be decided"
    kept = f" and the {len(case.kept)} that cannot be decided" if case.kept else ""
    return _used(case) + kept


def _enough(choice: DirectoryChoice, catalogue: DirectoryRoleCatalog) -> str:
    if not choice.enough:
        return ""
    return f"; {_and(catalogue.names[one] for one in choice.enough)} would be enough for what was used"


def _lost_words(lost: Mapping[str, str]) -> str:
    if not lost:
        return ""
    goes = "goes" if len(lost) == 1 else "go"
    return f"; {counted(len(lost), 'action')} {goes} that no log can show ({_classes(lost)}): ask its holder"


def _classes(names: Mapping[str, str]) -> str:
    """Return how many actions are reads, support tickets and the like, and others."""
    reads = sum(1 for name in names if is_directory_read(name))
    side = sum(1 for name in names if name in side_actions())
    other = len(names) - reads - side
    words = [(reads, "read"), (other, "unlogged change")]
    told = [counted(number, word) for number, word in words if number]
    return ", ".join([*told, *([f"{side} for support and service health"] if side else [])])


def question(
    case: DirectoryAssignmentCase, choice: DirectoryChoice, catalogue: DirectoryRoleCatalog, default: frozenset[str]
) -> Iterator[Advice]:
    """Yield the question to the owner of an assignment about what no log can show, where there is one."""
    if case.left:
        return
    name = str(case.row["role_name"] or case.row["role"])
    subject = case.key[0]
    lost = asked_of(case, choice, default)
    if lost:
        told = [catalogue.spelt[one] for one in sorted(lost) if one not in side_actions()][:_NAMED]
        such = f", such as {', '.join(told)}" if told else ""
        yield Advice(
            subject,
            f"{name}: the plan takes {counted(len(lost), 'action')} that no log can show "
            f"({_classes(lost)}){such}: ask its holder what it needs",
        )
        return
    others = {one for one in case.kept if not one.startswith("microsoft.directory/") and not is_directory_read(one)}
    others -= side_actions()
    if choice.kind.keeps and others and len(case.used) < len(others):
        services = sorted({catalogue.spelt[one].partition("/")[0].removeprefix("microsoft.") for one in others})
        more = f" and {len(services) - _NAMED} more" if len(services) > _NAMED else ""
        yield Advice(
            subject,
            f"{name}: {len(others)} of its actions are checked by other services "
            f"({', '.join(services[:_NAMED])}{more}): ask its holder, and use `--unobservable drop` if they are not "
            f"needed{_enough(choice, catalogue)}",
        )
    elif case.is_idle and (choice.kind.makes_eligible or choice.kind.keeps) and choice.why != "only_reads":
        unseen = {one: reason for one, reason in case.kept.items() if one not in default}
        if unseen:
            yield Advice(
                subject,
                f"{name}: nobody was seen to use it, and no log can show {counted(len(unseen), 'action')} of it "
                f"({_classes(unseen)}): ask its holder what it is for",
            )


def _and(names: Iterator[str] | list[str]) -> str:
    listed = sorted(names)
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)
