"""Hand what a plan rests on to Z3, a solver of SMT that knows nothing of this project, and compare the answers.

Roles become regular expressions over folded strings: a string of a role is its text with any characters for each `*`; a
block is the union of its strings less the union of its not-strings. *The new role stays inside today's roles* is true
exactly if no string is in the first and not in the second, and *the new role grants what was used* exactly if no used
operation is outside it. The solver gets such a question as SMT-LIB text (theory of Unicode strings, version 2.6), and
answers with a string or with a proof that there is none. None of the code of `rbac` takes part.

It is not known whether `X/*/y` matches `X/y`. One string means the same wherever it stands. A meaning of all strings by
which the new role exceeds today's may leave generous, of the new role, the one action that matches and no not-action,
and of today's roles only that same action and the not-actions that the new role does not have: every other choice
grants the new role less, or today's more. So each block is one question with strict actions, and one for each action
that has such a star. Only of a string that today's roles have among actions and among not-actions this is not known:
each such question is asked for every choice of their meanings.

Conditions count as in `rbac.algebra`: a block of today with a condition counts only against one with the same.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from rightsize.model.errors import UsageError, install_extra
from rightsize.model.nouns import PermissionBlock
from rightsize.model.progress import through
from rightsize.model.text import Folded, fold

Blocks = Sequence[PermissionBlock]
PLANES = ("control", "data")

MOST_STEPS = 200_000_000
"""The most steps that the solver takes for one question (its `rlimit`): about half a minute.

The pairs of built-in roles, and what the plans of the suite rest on, take a hundredth of it.
"""
MOST_CHOICES = 256
"""The most choices of meanings for which a question is asked."""
_LARGEST_CHARACTER = 0x2FFFF
"""The last character that SMT-LIB's strings have."""
_NOTHING = "re.none"


@dataclass(frozen=True, slots=True)
class Contained:
    """The claim that roles of today together grant all that a role grants, with our own answer.

    Attributes:
        big: The blocks of today's roles.
        small: The blocks of the planned role.
        witness: An operation against it by our own answer; None where we say that it holds.
        about: The claim in words, for messages.
    """

    big: Blocks
    small: Blocks
    witness: str | None
    about: str


@dataclass(frozen=True, slots=True)
class Granted:
    """The claim that a role grants each of some folded operations by every reading of its strings.

    `by` has the blocks of the roles that allow them today, where these do so by one reading only; then the role has to
    grant them by each reading by which those do.
    """

    role: Blocks
    plane: str
    operations: Collection[str]
    about: str
    by: Blocks = ()


Claim = Contained | Granted


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A claim on which the solver and this project differ.

    Attributes:
        about: The claim in words.
        ours: Our own answer: `holds`, or an operation against it.
        theirs: The solver's answer, in the same form.
    """

    about: str
    ours: str
    theirs: str


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the solver says of the claims of a plan.

    Attributes:
        prover: Name and version of the solver.
        agreed: The number of claims on which the solver agrees.
        disagreements: Those on which it does not.
        undecided: In words, the claims that it could not decide within `MOST_STEPS`.
    """

    prover: str
    claims: int
    agreed: int
    disagreements: tuple[Disagreement, ...] = ()
    undecided: tuple[str, ...] = ()


class UndecidedError(Exception):
    """The solver could not decide a question, or there are too many of them."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verification found true or false of roles, by their ids.

    Attributes:
        contained: For roles of today and a planned role, an operation that only the planned role grants, or None.
        granted: For a role and a plane, the operations that it grants by every reading.
        alike: For a role, one that it replaces and a plane, the operations that both grant by the same readings.
        roles: Permission blocks by role.
    """

    contained: Mapping[tuple[tuple[Folded, ...], Folded], str | None]
    granted: Mapping[tuple[Folded, str], Collection[Folded]]
    alike: Mapping[tuple[Folded, Folded, str], Collection[Folded]]
    roles: Mapping[Folded, Blocks]

    def listed(self, names: Mapping[str, str]) -> list[Claim]:
        """Return the claims, sorted; `names` has the names of roles for messages."""

        def called(role: Folded) -> str:
            return names.get(role, role)

        found: list[Claim] = []
        for (big, small), witness in sorted(self.contained.items()):
            together = [block for role in big for block in self.roles.get(role, ())]
            about = f"{called(small)} is inside {' and '.join(map(called, big)) or 'nothing'}"
            found.append(Contained(together, self.roles.get(small, ()), witness, about))
        for (role, plane), operations in sorted(self.granted.items()):
            about = f"{called(role)} grants what was used"
            found.append(Granted(self.roles.get(role, ()), plane, operations, about))
        for (role, by, plane), operations in sorted(self.alike.items()):
            about = f"{called(role)} grants what was used of {called(by)}"
            blocks, today = self.roles.get(role, ()), self.roles.get(by, ())
            found.append(Granted(blocks, plane, operations, about, today))
        return found


def certify(claims: Sequence[Claim]) -> Certificate:
    """Return what the solver says of each claim.

    Raises:
        UsageError: The solver is not installed.
    """
    prover = version_of_solver()
    agreed = 0
    disagreements, undecided = [], []
    for claim in through(claims, "asking the solver", "claims"):
        ours = claim.witness if isinstance(claim, Contained) else None
        try:
            theirs = refute(claim)
        except UndecidedError:
            undecided.append(claim.about)
            continue
        if (theirs is None) is (ours is None):
            agreed += 1
        else:
            disagreements.append(Disagreement(claim.about, _in_words(ours), _in_words(theirs)))
    return Certificate(prover, len(claims), agreed, tuple(disagreements), tuple(undecided))


def _in_words(witness: str | None) -> str:
    return "it holds" if witness is None else f"it does not hold for `{witness}`"


def refute(claim: Claim) -> str | None:
    """Return an operation against the claim, or None if the solver proves that there is none.

    Raises:
        UndecidedError: The solver gave up, or the claim has characters that SMT-LIB lacks.
    """
    for expression in _expressions_of(claim):
        found = _ask(expression)
        if found is not None:
            return found
    return None


def _expressions_of(claim: Claim) -> Iterator[str]:
    """Yield the expressions of the strings against a claim: it holds where they have none."""
    if isinstance(claim, Contained):
        for plane in PLANES:
            yield _exceeding(claim.big, claim.small, plane)
        return
    used = _union(_literal(operation) for operation in sorted(claim.operations))
    if claim.by:
        yield f"(re.inter {used} {_exceeding(claim.role, claim.by, claim.plane)})"
    else:
        yield _union(_less(used, least) for least in _least(claim.role, claim.plane))


def _exceeding(big: Blocks, small: Blocks, plane: str) -> str:
    """Return the expression of all strings that `small` grants by a meaning by which `big` does not."""
    found = []
    for block in small:
        actions, nots = _strings(block, plane)
        without = _language(nots)
        usable = [other for other in big if _condition(other) in (None, _condition(block))]
        granted = _less(_language(actions), without)
        found += [_less(granted, least) for least in _least(usable, plane, strict=nots)]
        for action in actions:
            if "/*/" in action and action not in nots:
                granted = _less(_expression(action, generous=True), without)
                found += [_less(granted, least) for least in _least(usable, plane, generous=(action,), strict=nots)]
    return _union(found)


def _least(
    blocks: Blocks, plane: str, *, generous: Collection[str] = (), strict: Collection[str] = ()
) -> Iterator[str]:
    """Yield the expressions of the least that blocks grant: one for each choice of the meanings that matter both ways.

    Args:
        blocks: The blocks; their conditions count as true.
        plane: The plane.
        generous: The strings in which `/*/` may stand for `/`.
        strict: The strings in which it may not.

    Raises:
        UndecidedError: There are more than `MOST_CHOICES` choices.
    """
    read = [_strings(block, plane) for block in blocks]
    actions, nots = ({text for strings in read for text in strings[kind]} for kind in (0, 1))
    both = sorted(text for text in actions & nots if "/*/" in text and text not in generous and text not in strict)
    if 2 ** len(both) > MOST_CHOICES:
        raise UndecidedError
    for size in range(len(both) + 1):
        for chosen in combinations(both, size):
            by = {*generous, *chosen}
            cutting = by | (nots - actions - set(strict))
            yield _union(_less(_language(one, generous=by), _language(not_, generous=cutting)) for one, not_ in read)


def _condition(block: PermissionBlock) -> str | None:
    return (block.condition or "").strip() or None


def _strings(block: PermissionBlock, plane: str) -> tuple[list[str], list[str]]:
    """Return the folded actions and not-actions of a block, sorted, with runs of stars as one star."""
    both = (block.actions, block.not_actions) if plane == "control" else (block.data_actions, block.not_data_actions)
    actions, nots = (sorted({re.sub(r"\*+", "*", fold(text)) for text in texts}) for texts in both)
    return actions, nots


def _language(texts: Iterable[str], *, generous: Collection[str] = ()) -> str:
    return _union(_expression(text, generous=text in generous) for text in texts)


def _expression(text: str, *, generous: bool) -> str:
    """Return the expression of a string of a role; generous, `/*/` stands for `/` or for what it says."""
    pieces = re.split(r"((?<=/)\*/|\*)" if generous else r"(\*)", text)
    words = {"*": "re.all", "*/": '(re.opt (re.++ re.all (str.to_re "/")))'}
    found = [words.get(piece) or _literal(piece) for piece in pieces if piece]
    return found[0] if len(found) == 1 else f"(re.++ {' '.join(found)})" if found else _literal("")


def _union(expressions: Iterable[str]) -> str:
    found = [one for one in dict.fromkeys(expressions) if one != _NOTHING]
    return _NOTHING if not found else found[0] if len(found) == 1 else f"(re.union {' '.join(found)})"


def _less(expression: str, without: str) -> str:
    """Return the strings of an expression that another does not have."""
    if _NOTHING in (expression, without):
        return expression
    return f"(re.inter {expression} (re.comp {without}))"


_NOT_SAYABLE = "\0"
"""Stands in an expression for a character that SMT-LIB does not have."""


def _literal(text: str) -> str:
    return f'(str.to_re "{"".join(map(_character, text))}")'


def _character(one: str) -> str:
    if one == '"':
        return '""'
    if " " <= one <= "~" and one != "\\":
        return one
    return f"\\u{{{ord(one):x}}}" if ord(one) <= _LARGEST_CHARACTER else _NOT_SAYABLE


def version_of_solver() -> str:
    """Return the name and version of the solver.

    Raises:
        UsageError: It is not installed.
    """
    try:
        import z3  # noqa: PLC0415  an extra
    except ImportError:
        raise UsageError("the prover `smt` needs Z3, which is not installed", hint=install_extra("prover")) from None
    return f"Z3 {z3.get_version_string()}"


def _ask(expression: str) -> str | None:
    """Return a string of an expression, or None if it has none.

    Raises:
        UndecidedError: The solver gave up, or a string has characters that SMT-LIB lacks.
    """
    import z3  # noqa: PLC0415  an extra

    if _NOT_SAYABLE in expression:
        raise UndecidedError
    context = z3.Context()
    solver = z3.Solver(ctx=context)
    solver.set("rlimit", MOST_STEPS)
    solver.from_string(f"(declare-const operation String)\n(assert (str.in_re operation {expression}))")
    answer = solver.check()
    if answer == z3.unsat:
        return None
    if answer != z3.sat:
        raise UndecidedError
    found = solver.model().eval(z3.Const("operation", z3.StringSort(context)), model_completion=True)
    return _read(found.as_string())


def _read(text: str) -> str:
    r"""Return a string as it is, of which the solver wrote some characters as `\u{…}`."""
    return re.sub(r"\\u\{([0-9a-f]+)\}", lambda found: chr(int(found[1], 16)), text)
