"""Compute reachability in a graph of named nodes: everything that a node reaches, and the shortest way to it.

The graph is condensed first. Nodes of one cycle reach the same nodes, and the set of a component is the union of the
sets of its successors, computed once, leaves first. A set is an integer with one bit for each thing, so a union is one
instruction a word; tens of thousands of nodes take seconds.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from itertools import accumulate, pairwise
from operator import or_

_LONG, _FEW = 8_192, 64
"""Bits from which on a set is long, and the most of them that are set in one that is nearly empty."""


@dataclass(frozen=True, slots=True)
class Step:
    """One edge of a way: its start, its end, why it can be taken, and whether that is certain."""

    start: str
    end: str
    why: str
    certain: bool


@dataclass(slots=True)
class ReachGraph:
    """A directed graph whose nodes are texts, numbered in order of arrival; of two equal edges the first counts."""

    names: list[str] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)
    out: list[dict[int, tuple[str, bool]]] = field(default_factory=list)
    reasons: dict[tuple[str, bool], tuple[str, bool]] = field(default_factory=dict)
    """Each reason of an edge once: all members of a group have the same."""

    def node(self, name: str) -> int:
        """Return the number of a node, new or not."""
        number = self.numbers.get(name)
        if number is None:
            number = self.numbers[name] = len(self.names)
            self.names.append(name)
            self.out.append({})
        return number

    def link(self, start: str, end: str, why: str, *, certain: bool = True) -> None:
        """Add an edge; a certain edge replaces one that is not certain."""
        numbers = self.numbers
        first, number = numbers.get(start), numbers.get(end)
        if first is None:
            first = self.node(start)
        if number is None:
            number = self.node(end)
        ends = self.out[first]
        known = ends.get(number)
        if known is None or (certain and not known[1]):
            reason = (why, certain)
            ends[number] = self.reasons.setdefault(reason, reason)

    def close(self, own: Callable[[int], int], bits: Mapping[int, int]) -> Iterator[tuple[int, int]]:
        """Yield each node with the union of its set and the sets of all nodes that it reaches, leaves first.

        A union is forgotten when all nodes that lead to it are done, so that few are in memory at once.

        Args:
            own: Returns the set that a node has by itself.
            bits: The position of the bit that stands for a node in the sets of the others that reach it.
        """
        component, order, firsts = self._components()
        leading, leader = array("I", bytes(4 * len(firsts))), array("I", bytes(4 * len(firsts)))
        for start, ends in enumerate(self.out):
            for end in ends:
                if component[start] != component[end]:
                    leading[component[end]] += 1
                    leader[component[end]] = component[start]
        kept: dict[int, int | tuple[tuple[int, int], ...]] = {}
        # A set that one component alone waits for is joined at once: one that leads to all users has a million.
        begun: dict[int, int] = {}
        # Tarjan's components come leaves first, so all successors are done.
        for number, (first, after) in enumerate(pairwise((*firsts, len(order)))):
            nodes = order[first:after]
            whole = begun.pop(number, 0)
            for node in nodes:
                whole = _joined(whole, own(node))
                ends = self.out[node]
                for at in [component[end] for end in ends if component[end] != number]:
                    if (found := kept.get(at)) is not None:
                        whole = _joined(whole, _unpacked(found))
                        leading[at] -= 1
                        if not leading[at]:
                            del kept[at]
                if seen := [bits[end] for end in ends if end in bits and end != node]:
                    whole |= set_of(seen)
            if leading[number] == 1:
                begun[leader[number]] = _joined(begun.get(leader[number], 0), whole)
            elif leading[number]:
                kept[number] = _packed(whole)
            for node in nodes:
                yield node, whole & ~(1 << bits[node]) if len(nodes) > 1 and node in bits else whole

    def reachable(self, starts: Iterable[str]) -> frozenset[str]:
        """Return the nodes that some nodes reach, with those of the start nodes that exist."""
        return frozenset(self.names[node] for node in self.after(starts))

    def after(self, starts: Iterable[str]) -> set[int]:
        """Return the numbers of the nodes that some nodes reach, with those of the start nodes that exist."""
        seen = {self.numbers[start] for start in starts if start in self.numbers}
        waiting = list(seen)
        while waiting:
            new = self.out[waiting.pop()].keys() - seen
            seen |= new
            waiting += new
        return seen

    def shortest(self, start: str, ends: Iterable[str]) -> dict[str, list[Step]]:
        """Return the shortest way from a node to each of `ends` that it reaches; certain steps go first."""
        if start not in self.numbers:
            return {}
        wanted = {self.numbers[end] for end in ends if end in self.numbers}
        source = self.numbers[start]
        before: dict[int, int] = {source: source}
        waiting = deque([source])
        missing = len(wanted - before.keys())
        while waiting and missing:
            node = waiting.popleft()
            for end, (_, _) in sorted(self.out[node].items(), key=lambda item: (not item[1][1], self.names[item[0]])):
                if end not in before:
                    before[end] = node
                    missing -= end in wanted
                    waiting.append(end)
        ways: dict[int, list[Step]] = {source: []}
        return {self.names[end]: self._way(end, before, ways) for end in sorted(wanted & before.keys())}

    def distances(self, ends: Iterable[str], counts: Callable[[str, str], bool]) -> list[int | None]:
        """Return for each node the fewest steps from it to any of `ends`, None where it reaches none.

        Args:
            ends: Nodes; those that do not exist are left out.
            counts: Returns whether an edge between two names is a step; edges that only bundle are none.
        """
        # The edges into each node, in arrays: a large graph has millions. The last bit says whether one is a step.
        firsts = array("Q", bytes(8 * (len(self.names) + 1)))
        for found in self.out:
            for end in found:
                firsts[end + 1] += 1
        firsts = array("Q", accumulate(firsts))
        into, free = array("Q", bytes(8 * firsts[-1])), firsts[:]
        for start, found in enumerate(self.out):
            for end in found:
                into[free[end]] = start << 1 | counts(self.names[start], self.names[end])
                free[end] += 1
        fewest: list[int | None] = [None] * len(self.names)
        waiting = deque((self.numbers[end], 0) for end in ends if end in self.numbers)
        while waiting:
            node, steps = waiting.popleft()
            known = fewest[node]
            if known is not None and known <= steps:
                continue
            fewest[node] = steps
            for edge in into[firsts[node] : firsts[node + 1]]:
                # Edges without cost go first, so that nodes come in the order of their distance.
                (waiting.append if edge & 1 else waiting.appendleft)((edge >> 1, steps + (edge & 1)))
        return fewest

    def _way(self, end: int, before: Mapping[int, int], ways: dict[int, list[Step]]) -> list[Step]:
        """Return the way to a node, and keep in `ways` those to the nodes between: ways share their beginnings."""
        missing = []
        while end not in ways:
            missing.append(end)
            end = before[end]
        for node in reversed(missing):
            why, certain = self.out[end][node]
            ways[node] = [*ways[end], Step(self.names[end], self.names[node], why, certain)]
            end = node
        return ways[end]

    def _components(self) -> tuple[array[int], array[int], array[int]]:
        """Return the component of each node, the nodes by component, leaves first, and where each component begins.

        Source: Tarjan 1972, without recursion.
        """
        count = len(self.names)
        index, low, component = (array("q", [-1]) * count for _ in range(3))
        order, firsts = array("q"), array("q")
        stack: list[int] = []
        clock = 0
        for root in range(count):
            if index[root] >= 0:
                continue
            index[root] = low[root] = clock
            clock += 1
            stack.append(root)
            work = [(root, iter(self.out[root]))]
            while work:
                node, ends = work[-1]
                for end in ends:
                    if index[end] < 0:
                        index[end] = low[end] = clock
                        clock += 1
                        stack.append(end)
                        work.append((end, iter(self.out[end])))
                        break
                    if component[end] < 0:
                        low[node] = min(low[node], index[end])
                else:
                    work.pop()
                    if work:
                        low[work[-1][0]] = min(low[work[-1][0]], low[node])
                    if low[node] == index[node]:
                        firsts.append(len(order))
                        for one in _cut(stack, node):
                            component[one] = len(firsts) - 1
                            order.append(one)
        return component, order, firsts


def set_of(bits: Collection[int]) -> int:
    """Return the set with these bits."""
    marks = bytearray(max(bits, default=-1) // 8 + 1)
    for bit in bits:
        marks[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(marks, "little")


def _joined(whole: int, more: int) -> int:
    """Return the union of two sets; equal sets share one integer, since each may have kilobytes."""
    both = whole | more
    return more if both == more else whole if both == whole else both


def _packed(whole: int) -> int | tuple[tuple[int, int], ...]:
    """Return the few bytes of a long set that is nearly empty, each after its position; other sets as they are."""
    if whole.bit_length() < _LONG or whole.bit_count() > _FEW:
        return whole
    found = []
    while whole:
        at = whole.bit_length() - 1 >> 3 << 3
        found.append((at, whole >> at))
        whole &= (1 << at) - 1
    return tuple(found)


def _unpacked(kept: int | tuple[tuple[int, int], ...]) -> int:
    return kept if isinstance(kept, int) else reduce(or_, (bits << at for at, bits in kept), 0)


def _cut(stack: list[int], node: int) -> list[int]:
    """Remove the component of `node` from the stack, and return it."""
    found = []
    while True:
        found.append(stack.pop())
        if found[-1] == node:
            return found


_VISIBLE = "prsaxdo"


def visible_ways(graph: ReachGraph, start: str, ends: Iterable[str]) -> dict[str, list[Step]]:
    """Return the shortest way from a node to each of the ends, without the nodes that only bundle."""
    return {end: _shortened(steps) for end, steps in graph.shortest(start, ends).items() if steps}


def _shortened(steps: list[Step]) -> list[Step]:
    """Join the steps through nodes that only bundle into those between nodes that mean something to people."""
    found: list[Step] = []
    start, said, certain = steps[0].start, [], True
    for step in steps:
        said += [step.why] if step.why else []
        certain = certain and step.certain
        if step.end[0] in _VISIBLE:
            found.append(Step(start, step.end, ", ".join(said), certain))
            start, said, certain = step.end, [], True
    return found
