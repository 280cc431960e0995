"""Lay out a reach as the bits of an integer: layers and planes by subscription, then the things that can be gained.

A subscription has a byte, and a thing that can be gained a bit. A tenant has thousands of subscriptions and a million
nodes, so what a node has by itself in one subscription is kept as the position and its byte.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from rightsize.analyze.inputs import once
from rightsize.analyze.reach.closure import ReachGraph
from rightsize.analyze.reach.facts import Facts
from rightsize.analyze.reach.layers import harmful
from rightsize.analyze.tenant import Tenant
from rightsize.model.access_answers import COUNTS
from rightsize.model.nouns import LAYERS
from rightsize.rules.operations import LAYER_BITS, only_reads

CROWDS = ("x:users", "x:all_users")
"""The nodes that stand for the users of the directory."""
PLANES = ("control", "data", "graph", "directory")
_STRIDE = 8
CONTROL, DATA = 1 << len(LAYERS), 1 << (len(LAYERS) + 1)
"""The bits of planes in a subscription, after those of the layers."""
_ALL_HERE = (1 << _STRIDE) - 1
_ALL_LAYERS = (1 << len(LAYERS)) - 1
_GRAPH, _DIRECTORY, _TENANT = 1, 2, 4
_HEAD = 3
_PLANES_HERE = 2
"""Planes that a subscription has bits of: the first of `PLANES`."""
NAMED = {
    "layers": [[layer for layer, bit in LAYER_BITS.items() if bits & bit] for bits in range(1 << len(LAYERS))],
    "planes": [
        [plane for number, plane in enumerate(PLANES) if bits >> number & 1] for bits in range(1 << len(PLANES))
    ],
}
"""The lists of layers and of planes, by the bits of a reach."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The layout of the bits of a reach.

    Attributes:
        subscriptions: Folded scope to its position.
        things: Nodes that can be gained, from the first bit after the subscriptions on.
        first: That bit.
        kinds: The bits of the things of a kind, by the letter of their nodes.
        lanes: For each bit of a subscription, that bit of all subscriptions, from the first subscription on.
    """

    subscriptions: Mapping[str, int]
    things: Mapping[int, int]
    first: int
    kinds: Mapping[str, int]
    lanes: tuple[int, ...]


def described(frame: Frame, reached: int, own: int) -> dict[str, object]:
    """Return the columns of the table `reach` for one reach."""
    found = dict(zip(COUNTS, counted(frame, reached, own), strict=True))
    return found | {name: names[found[name]] for name, names in NAMED.items()}


def counted(frame: Frame, reached: int, own: int) -> tuple[int, ...]:
    """Return `COUNTS` of one reach, with positions in `NAMED` in place of lists."""
    kinds = frame.kinds
    # The bits of all subscriptions are taken at once: thousands of them are one operation on a long integer.
    bits = reached >> _HEAD
    found = bits & frame.lanes[0] * _ALL_LAYERS
    here = sum(1 << bit for bit, lane in enumerate(frame.lanes) if bits & lane)
    any_layer = found | found >> 4
    any_layer |= any_layer >> 2
    any_layer |= any_layer >> 1
    return (
        (reached & kinds["p"]).bit_count(),
        (reached & kinds["r"]).bit_count(),
        (reached & kinds["s"]).bit_count(),
        (any_layer & frame.lanes[0]).bit_count(),
        here & _ALL_LAYERS,
        here >> len(LAYERS) | (reached & (_GRAPH | _DIRECTORY)) << _PLANES_HERE,
        found.bit_count(),
        (own >> _HEAD & found).bit_count(),
        bool(reached & _TENANT),
    )


def subscription_bits(frame: Frame, reached: int) -> dict[str, int]:
    """Return the bits of layers and planes by subscription, without subscriptions that have none."""
    found = {scope: reached >> (_HEAD + _STRIDE * position) & _ALL_HERE
             for scope, position in frame.subscriptions.items()}  # fmt: skip
    return {scope: bits for scope, bits in found.items() if bits}


def frame_of(graph: ReachGraph, where: pl.DataFrame) -> Frame:
    """Lay out the bits: subscriptions, then things to gain; users reached only through the directory come last."""
    order = {scope: position for position, scope in enumerate(where["scope"].unique().sort())}
    first = _HEAD + _STRIDE * len(order)
    had: dict[int, bool] = {}
    for start, ends in enumerate(graph.out):
        is_crowd = graph.names[start] in CROWDS
        for end in ends:
            if graph.names[end][0] in "prs":
                had[end] = had.get(end, True) and is_crowd
    things = sorted(had, key=lambda node: (had[node], graph.names[node]))
    bits = {node: first + position for position, node in enumerate(things)}
    kinds = dict.fromkeys("prs", 0)
    for node, bit in bits.items():
        kinds[graph.names[node][0]] |= 1 << bit
    lowest = int.from_bytes(b"\x01" * len(order))
    return Frame(order, bits, first, kinds, tuple(lowest << bit for bit in range(_STRIDE)))


def own_bits(
    graph: ReachGraph, frame: Frame, where: pl.DataFrame, grants: pl.DataFrame, tenant: Tenant, facts: Facts
) -> Callable[[int], int]:
    """Return a function that gives the bits which a node has by itself."""
    scopes: dict[str, list[int]] = {}
    for place, scope in where.select("place", "scope").iter_rows():
        scopes.setdefault(place, []).append(frame.subscriptions[scope])
    roles = bits_of_roles(grants, tenant)
    # What is in one subscription is its bits and their position, since the integer may have kilobytes.
    single: dict[int, int] = {}
    several: dict[int, int] = {}
    spread: dict[tuple[str, int], int] = {}

    def at(place: str, bits: int) -> int:
        if (place, bits) not in spread:
            spread[place, bits] = sum(bits << _HEAD + _STRIDE * one for one in scopes.get(place, ()))
        return spread[place, bits]

    def have(number: int, place: str, bits: int) -> None:
        within = scopes.get(place, ())
        if len(within) == 1:
            single[number] = _HEAD + _STRIDE * within[0] << _STRIDE | bits
        elif within:
            several[number] = at(place, bits)

    for number, name in enumerate(graph.names):
        kind = name[:2]
        if kind == "g:":
            role, place, condition = name[2:].split("|", 2)
            firm, planes = roles.get(role, (0, 0))
            have(number, place, planes if condition else firm | planes)
        elif kind == "a:":
            have(number, name[2:], _ALL_HERE)
            if name == "a:/":
                several[number] = at("/", _ALL_HERE) | _TENANT
                single.pop(number, None)
        elif kind == "s:":
            have(number, name[2:], DATA)
        elif name == "x:tenant":
            several[number] = _GRAPH | _DIRECTORY | _TENANT
    for held, bit in ((facts.permissions, _GRAPH), (facts.roles, _DIRECTORY), (facts.scoped, _DIRECTORY)):
        for principal in held["principal_id"].unique():
            node = graph.numbers.get(f"h:{principal}")
            if node is not None:
                several[node] = several.get(node, 0) | bit
    policies = facts.policies.select(
        role=pl.format("{} {}", "principal_id", "scope"), name="permission", plane=pl.lit("data"),
        conditional=~pl.col("certain"),
    )  # fmt: skip
    for policy, (firm, planes) in bits_of_roles(policies, tenant).items():
        principal, _, scope = policy.partition(" ")
        node = graph.numbers.get(f"h:{principal}")
        if node is not None:
            several[node] = several.get(node, 0) | at(scope, firm | planes)

    def own(number: int) -> int:
        found = single.get(number)
        return several.get(number, 0) if found is None else (found & _ALL_HERE) << (found >> _STRIDE)

    return own


def bits_of_roles(grants: pl.DataFrame, tenant: Tenant) -> dict[str, tuple[int, int]]:
    """Return for each role the layers that it defeats, and the planes on which it does more than read."""
    acting = pl.when(pl.col("plane") == "data").then(DATA).when(~only_reads(pl.col("name"))).then(CONTROL)
    planes = grants.select("role", bits=acting).drop_nulls().unique().group_by("role").agg(planes=pl.col("bits").sum())
    masks = (
        grants.filter(~pl.col("conditional"))
        .join(_harm(tenant), on=["name", "plane"])
        .select("role", "mask")
        .unique()
        .group_by("role")
        .agg(firm=pl.col("mask").bitwise_or())
    )
    both = planes.join(masks, on="role", how="left").with_columns(pl.col("firm").fill_null(0))
    return {role: (firm, bits) for role, firm, bits in both.select("role", "firm", "planes").iter_rows()}


@once("operations")
def _harm(tenant: Tenant) -> pl.DataFrame:
    """Return `(name, plane, mask)` of the operations that defeat anything."""
    return harmful(tenant.operations).select("name", "plane", "mask")


def layers_of_sets(sets: Mapping[int, int], frame: Frame) -> pl.DataFrame:
    """Return `(set, scope, layer)` of numbered sets."""
    size = len(frame.subscriptions)
    cells = [
        (number, position, here & _ALL_LAYERS)
        for bits, number in sets.items()
        for position, here in enumerate((bits >> _HEAD).to_bytes(size, "little"))
        if here & _ALL_LAYERS
    ]
    rows = pl.DataFrame(cells, schema={"set": pl.Int64, "scope": pl.Int64, "layer": pl.Int64}, orient="row")
    scopes = pl.Series(list(frame.subscriptions), dtype=pl.String)
    return rows.with_columns(
        pl.lit(scopes).gather("scope").alias("scope"),
        pl.lit(pl.Series(NAMED["layers"])).gather("layer").alias("layer"),
    ).explode("layer")
