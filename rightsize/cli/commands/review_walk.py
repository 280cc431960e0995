"""Walk through the proposals of a plan in a terminal: one proposal or new role a screen, one key a decision.

Read single keys and whole lines from a terminal, without losing what was typed ahead.
"""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import typer
from rich.console import Console, Group
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from rightsize.cli.narration import erase_progress
from rightsize.cli.output import has_color
from rightsize.model.errors import UsageError
from rightsize.model.plan import PlannedRole
from rightsize.model.plan_totals import WAVES
from rightsize.model.progress import counted
from rightsize.model.times import read_day
from rightsize.propose.verify.review import STATES, ReviewStatus
from rightsize.render.escape import for_terminal
from rightsize.render.next_steps import describe_effort, describe_share
from rightsize.render.role_summary import SERVICE_COLUMNS, summary_text
from rightsize.render.rows import cell
from rightsize.render.sentences import describe_chance, short_scope
from rightsize.workflow.plan.review import Review

if sys.platform != "win32":  # the console of Windows returns single keys itself
    import termios
    import tty

_ESCAPE, _ENOUGH = b"\x1b", 0.05


class Keyboard:
    """A terminal that returns each key at once while it is open; closing restores its former mode."""

    def __enter__(self) -> Keyboard:
        """Switch the terminal to single keys."""
        self._descriptor = sys.stdin.fileno()
        if sys.platform != "win32":
            self._before = termios.tcgetattr(self._descriptor)
        self._take_keys()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Restore the terminal's former mode."""
        self._take_lines()

    def key(self) -> str:
        """Return the next key; an arrow is its whole sequence, and an empty text means that the terminal is gone."""
        if sys.platform == "win32":
            return typer.getchar()
        found = os.read(self._descriptor, 1)
        while found == _ESCAPE or (found.startswith(_ESCAPE) and not found[-1:].isalpha()):
            if not select.select([self._descriptor], [], [], _ENOUGH)[0]:
                break
            found += os.read(self._descriptor, 1)
        while (
            found and found[0] > 0xBF and len(found) < 1 + (found[0] >= 0xC0) + (found[0] >= 0xE0) + (found[0] >= 0xF0)
        ):
            found += os.read(self._descriptor, 1)
        return found.decode(errors="replace")

    def line(self, prompt: str) -> str:
        """Return the line that a person types after a prompt, without surrounding spaces."""
        self._take_lines()
        try:
            sys.stderr.write(prompt)
            sys.stderr.flush()
            return sys.stdin.readline().strip() if sys.platform == "win32" else self._read_line()
        finally:
            self._take_keys()

    def _read_line(self) -> str:
        found = b""
        while not found.endswith(b"\n"):
            more = os.read(self._descriptor, 4096)
            if not more:
                break
            found += more
        return found.decode(errors="replace").strip()

    def _take_keys(self) -> None:
        if sys.platform != "win32":
            tty.setcbreak(self._descriptor, termios.TCSANOW)

    def _take_lines(self) -> None:
        if sys.platform != "win32":
            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)


KEYS = (
    ("a", "accept"),
    ("r", "reject"),
    ("d", "defer"),
    ("e", "evidence"),
    ("s", "new role"),
    ("n", "next"),
    ("p", "back"),
    ("/", "search"),
    ("q", "leave"),
    ("?", ""),
)
MORE = (
    "s shows each new role of the proposal in turn; o removes a decision; * shows all proposals, or only undecided "
    "ones; arrows, space, j and k move; each decision is written at once"
)
_FORWARD, _BACK = ("n", "j", " ", "\x1b[C", "\x1b[B"), ("p", "k", "\x1b[D", "\x1b[A")
_DECISIONS: Mapping[str, Any] = {"a": "accept", "r": "reject", "d": "defer"}
_LEFT = ("open", "outdated", "expired")
_OPERATIONS, _PLACES = 8, 4


class Walk:
    """The state of a person's walk through a review."""

    def __init__(self, review: Review, by: str) -> None:
        self._review = review
        self._by = by
        self._keyboard = Keyboard()
        self._console = Console(stderr=True, highlight=False, color_system="auto" if has_color(sys.stderr) else None)
        self._searched = ""
        self._all = False
        self._evidence = False
        self._role = 0
        self._said = ""
        self._at = 0
        self._steps = review.steps.by_proposal()
        self._ids = self._chosen()

    def run(self) -> None:
        """Show proposals and handle keys until the person quits."""
        erase_progress()
        with self._keyboard:
            while True:
                self._draw()
                try:
                    key = self._keyboard.key()
                    if key in ("q", "", "\x03", "\x04"):
                        return
                    self._said = ""
                    self._take(key)
                except KeyboardInterrupt:
                    return
                except UsageError as error:
                    self._said = error.message

    def _take(self, key: str) -> None:
        if key in _FORWARD:
            self._move(1)
        elif key in _BACK:
            self._move(-1)
        elif key in _DECISIONS and self._ids:
            self._decide(key)
        elif key == "o" and self._ids:
            self._review.reopen([self._ids[self._at]])
            self._said = "open again"
        elif key == "e":
            self._evidence = not self._evidence
        elif key == "s" and self._ids:
            roles = self._new_roles(self._review.find(self._ids[self._at]))
            self._role = (self._role + 1) % (len(roles) + 1)
            self._said = "" if roles else "the proposal assigns no new role"
        elif key == "/":
            self._role = 0
            self._searched = self._keyboard.line("Search (empty shows all): ").lower()
            self._ids, self._at = self._chosen(), 0
        elif key == "*":
            self._all = not self._all
            self._ids, self._at = self._chosen(), 0
        elif key == "?":
            self._said = MORE

    def _chosen(self) -> list[str]:
        """Return the proposals to walk through: those without a decision, or all, if they match the search."""
        return [
            one.proposal.id
            for one in self._review.found
            if (self._all or one.state in _LEFT) and self._searched in self._text_of(one).lower()
        ]

    def _text_of(self, one: ReviewStatus) -> str:
        names, proposal = self._review.names, one.proposal
        ids = (*proposal.principal_ids, proposal.evidence["role"], *(made.role for made in proposal.assignments))
        named = " ".join(names.get(id_, id_) for id_ in ids)
        return " ".join((proposal.id, proposal.kind, proposal.reason, proposal.evidence["scope"], one.state, named))

    def _move(self, step: int) -> None:
        self._role = 0
        if self._ids:
            self._at = (self._at + step) % len(self._ids)

    def _decide(self, key: str) -> None:
        before = self._review.totals()
        reason = self._keyboard.line("Reason (may be empty): " if key == "a" else "Reason: ")
        if key != "a" and not reason:
            self._said = "a reason is needed: nothing was decided"
            return
        until = self._keyboard.line("Last day (empty for no end): ")
        try:
            expires = read_day(until) if until else None
        except UsageError as error:
            self._said = f"{error.message}: nothing was decided"
            return
        (now,) = self._review.decide([self._ids[self._at]], _DECISIONS[key], self._by, reason, expires)
        after = self._review.totals()
        self._said = (
            f"{self._review.short[now.proposal.id]} is {now.state}: "
            f"excess {after.excess_accepted - before.excess_accepted:+,.0f}, "
            f"new roles {after.roles - before.roles:+d}, new assignments {after.made - before.made:+d}, "
            f"removed assignments {after.gone - before.gone:+d}, beyond Azure roles {after.beyond - before.beyond:+d}"
        )
        self._move(1)

    def _draw(self) -> None:
        console = self._console
        console.clear()
        for line in totals_lines(self._review):
            console.print(Text(line, style="dim"))
        if not self._ids:
            console.print(Rule(style="dim"))
            console.print(Text("no proposals are left: * shows all, / searches, q leaves"))
        else:
            one = self._review.find(self._ids[self._at])
            place = f"{self._at + 1} of {len(self._ids)}" + (f", found by {self._searched}" if self._searched else "")
            console.print(Rule(Text(for_terminal(f"{self._review.short[one.proposal.id]} · {place}")), style="dim"))
            if self._role:
                console.print(role_screen(self._new_roles(one)[self._role - 1], self._review.names))
            else:
                console.print(_table(self._facts(one)))
            if self._evidence and not self._role:
                console.print(Rule(Text("evidence"), style="dim"))
                console.print(_table(self._shown_evidence(one)))
        console.print(Rule(style="dim"))
        if self._said:
            console.print(Text(for_terminal(self._said), style="bold"))
        console.print(Text("  ".join(f"{name} {what}" for name, what in KEYS), style="dim"))

    def _new_roles(self, one: ReviewStatus) -> list[PlannedRole]:
        """Return the new roles of a proposal that the plan has a summary of."""
        made = {place.role for place in one.proposal.assignments}
        known = [role for role in self._review.plan.roles if "summary" in role.evidence]
        return [role for role in known if role.definition.role_definition_id in made]

    def _facts(self, one: ReviewStatus) -> Iterator[tuple[str, str]]:
        names, proposal = self._review.names, one.proposal
        more = len(proposal.principal_ids) - 1
        yield (
            "principal",
            names.get(proposal.principal_ids[0], proposal.principal_ids[0]) + (f" and {more} more" if more else ""),
        )
        role, scope = proposal.evidence["role"], proposal.evidence["scope"]
        yield "removes", f"{names.get(role, role)} at {self._place(scope)}"
        places: dict[tuple[str, str], list[str]] = {}
        for made in proposal.assignments if proposal.is_of_rbac else ():
            places.setdefault((made.role, made.state), []).append(self._place(made.scope))
        for (role, state), found in places.items():
            rest = f" and {len(found) - _PLACES} more" if len(found) > _PLACES else ""
            eligible = " (eligible)" if state == "eligible" else ""
            yield "adds", f"{names.get(role, role)} at {', '.join(found[:_PLACES])}{rest}{eligible}"
        for name in proposal.comes_beyond:
            yield "adds", name
        if not proposal.assignments:
            yield "adds", "nothing"
        yield "why", f"{proposal.kind}: {proposal.reason}"
        yield "excess", f"{proposal.excess_before:,.0f} → {proposal.excess_after:,.0f}"
        step = self._steps.get(proposal.id)
        if step is not None:
            yield "step", f"{step.rank}, wave {step.wave} ({WAVES[step.wave]}): {describe_share(step)}"
            yield "effort", describe_effort(step, with_chance=False)
        proof = "used ⊆ proposed ⊆ granted" if proposal.proof.holds else f"FAILS: {proposal.proof.witness}"
        yield (
            "proof",
            proof + ("; may grant more later (wildcards, or built-in roles)" if proposal.proof.tomorrow else ""),
        )
        chance = describe_chance(proposal.break_probability_30d, proposal.evidence)
        yield "breaks", f"{chance} within 30 days (logged operations only)"
        decided = str(one.decision or "")
        yield (
            "state",
            decided if decided.startswith(one.state) else f"{one.state} {decided and f'({decided})'}".strip(),
        )

    def _place(self, scope: str) -> str:
        return short_scope(scope, self._review.names)

    def _shown_evidence(self, one: ReviewStatus) -> Iterator[tuple[str, str]]:
        evidence = one.proposal.evidence
        yield "id", one.proposal.id
        yield "replaces", f"{', '.join(one.proposal.replaces)} at {evidence['scope']}"
        operations = self._review.uses(one)
        for found in operations[:_OPERATIONS]:
            last = str(found["last_seen"] or "")[:10]
            seen = f"{found['events'] or 0:,} times on {found['days'] or 0} days, last {last}"
            yield "used", f"{found['operation']}: {seen}"
        if len(operations) > _OPERATIONS:
            yield "", f"and {len(operations) - _OPERATIONS} more operations that were used"
        for word, key in (("removed", "removed"), ("kept", "kept_unseen")):
            counts = evidence.get(key) or {}
            if counts:
                yield word, ", ".join(f"{number:,} {reason.replace('_', ' ')}" for reason, number in counts.items())


def role_screen(role: PlannedRole, names: Mapping[str, str]) -> Group:
    """Return the summary of a new role, as its page has it, and today's access beside what stays, by service."""
    text = summary_text(role.evidence["summary"], names)
    services = Table(box=None, pad_edge=False, header_style="dim")
    for name in SERVICE_COLUMNS:
        services.add_column(name, justify="left" if name == SERVICE_COLUMNS[0] else "right", overflow="fold")
    for row in text.services:
        services.add_row(*(Text(for_terminal(cell(row[name]))) for name in SERVICE_COLUMNS))
    title = Rule(Text(for_terminal(role.definition.role_name)), style="dim")
    return Group(title, _table(iter(text.lines), width=max(len(label) for label, _ in text.lines)), services)


def _table(rows: Iterator[tuple[str, str]], width: int = 9) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(width=width, style="dim")
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(Text(for_terminal(name)), Text(for_terminal(text)))
    return table


def totals_lines(found: Review) -> list[str]:
    """Return the totals of a review, as lines for people."""
    all_ = found.totals()
    return [
        ", ".join(f"{all_.states.get(state, 0)} {state}" for state in STATES),
        f"excess {all_.excess_today:,.0f} today, {all_.excess_accepted:,.0f} with the accepted proposals, "
        f"{all_.excess_all:,.0f} with all but the rejected ones",
        f"accepted: {counted(all_.roles, 'new role')}, {counted(all_.made, 'new assignment')}, "
        f"{counted(all_.gone, 'removed assignment')}, "
        f"{counted(all_.beyond, 'change')} beyond Azure roles",
    ]
