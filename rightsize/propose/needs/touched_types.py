"""Find the unlogged operations of the control plane on resource types that a holder did not use.

No log shows these operations, so their own use is never known. Whoever works with a type leaves other calls on it that
are logged. `--unobservable touched` therefore keeps them only on the very types that were used: by the holder, under
any of its assignments or those of its groups, or by a member through the group that holds the assignment. Who lists the
keys of a storage account works with the account, and not with its containers. Who works with data, such as blobs, or
may do so where no log would show it, keeps what reads the containers of that data, and opens them.

A token for a service whose resources alone take it (`rules/endpoint_audiences.csv`) touches their type, and all types
below it, where no use of that type explains the token: a pipeline that works on a storage endpoint alone leaves a
sign-in for Azure Storage. A token is not use: a holder with nothing but tokens counts as one without use.

A person who used nothing touched nothing: these operations go, and the plan asks the owner of the assignment. A
workload without observed use keeps them all, since it may work on an endpoint alone.

Whoever changes what runs images (`rules/image_runners.csv`), and a workload that deploys or works on a registry, keeps
what pulls and pushes images (`IMAGES`): a registry shows that only in a log of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import replace

import polars as pl

from rightsize.analyze.inputs import Inputs
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.text import folded
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window
from rightsize.propose.core.bitsets import OperationIndex, bits_of, union
from rightsize.propose.needs.drafts import Key
from rightsize.propose.needs.images import IMAGES
from rightsize.propose.needs.needs import Profile
from rightsize.propose.needs.status_reads import type_of
from rightsize.rbac.text import fold
from rightsize.rules.operations import endpoint_audiences
from rightsize.rules.tables import rows_of

_DEPLOYMENT = "microsoft.resources/deployments/write"
_REGISTRY = "microsoft.containerregistry/registries"
_TOP = 2
"""The number of segments of a top-level resource type: provider and type."""


def top_level_type(name: pl.Expr) -> pl.Expr:
    """Return the top-level resource type of folded operations; of one without a type, the provider."""
    segments = name.str.split("/")
    verb = pl.when(name.str.ends_with("/action")).then(2).otherwise(1)
    return (
        segments.list.head(pl.max_horizontal(segments.list.len().cast(pl.Int64) - verb, 1))
        .list.head(_TOP)
        .list.join("/")
    )


def exact_type(name: pl.Expr) -> pl.Expr:
    """Return the resource type of folded operations: all segments before the verb."""
    segments = name.str.split("/")
    verb = pl.when(name.str.ends_with("/action")).then(2).otherwise(1)
    return segments.list.head(pl.max_horizontal(segments.list.len().cast(pl.Int64) - verb, 1)).list.join("/")


def with_untouched(
    profiles: Mapping[Key, Profile],
    placed: pl.DataFrame,
    inputs: Inputs,
    analysis: Analysis,
    index: OperationIndex,
    risky: int,
) -> dict[Key, Profile]:
    """Return the profiles with `untouched` set; of a workload without observed use nothing is untouched.

    Args:
        profiles: The profile of each assignment.
        placed: As `assignments.place_uses` returns it: the use of the window, and use before it that still counts.
        inputs: The tables.
        analysis: The window and the memberships.
        index: The operations.
        risky: Changes that no use of another operation brings along, such as deletes.
    """
    people = _held_by_people(inputs, analysis.tenant)
    masks = _TouchMasks(index)
    touched = _touched(placed, inputs, analysis, people, masks)
    made: dict[tuple[int, int], Profile] = {}
    found = dict(profiles)
    for key, profile in profiles.items():
        stays = touched.get(key, 0 if key in people else None)
        if stays is None or not profile.hidden & index.control:
            continue
        shared = id(profile), stays
        if shared not in made:
            stays |= masks.beside_data(profile.hidden & ~index.control) if stays else 0
            made[shared] = replace(profile, untouched=profile.hidden & index.control & ~(stays & ~risky))
        found[key] = made[shared]
    return found


def _held_by_people(inputs: Inputs, tenant: Tenant) -> frozenset[Key]:
    """Return the assignments of users, and of groups of which every known member is a user."""
    stated = inputs.role_assignments.select("principal_id", "principal_type")
    kinds = (
        pl.concat([inputs.principals.select("principal_id", "principal_type"), stated])
        .drop_nulls("principal_type")
        .select(person=folded(pl.col("principal_id")), kind="principal_type")
        .unique("person", keep="first", maintain_order=True)
    )
    reach = (
        tenant.may_reach.select(person=folded(pl.col("principal_id")), holder=folded(pl.col("holder")))
        .join(kinds, on="person", how="left")
        .filter(pl.col("kind").is_null() | (pl.col("kind") != "Group"))
    )
    human = reach.group_by("holder").agg(human=(pl.col("kind") == "User").fill_null(False).all()).filter("human")
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    return frozenset(held.join(human, on="holder", how="semi").select("role_assignment_id", "state").iter_rows())


def masks_by_type(index: OperationIndex) -> dict[str, int]:
    """Return the operations of each folded top-level type, on both planes."""
    rows = index.frame().group_by(type=top_level_type(pl.col("name"))).agg("bit").iter_rows()
    return {kind: index.mask_of_bits(bits) for kind, bits in rows}


def _tokens(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(type, person)`: the types for which principals got a token in the window."""
    given = inputs.sign_ins.filter(window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    named = given.select(app_id=folded(pl.col("resource_id")), person=folded(pl.col("principal_id"))).unique()
    return named.join(endpoint_audiences(), on="app_id").select("type", "person").drop_nulls().unique()


def _touched(
    placed: pl.DataFrame, inputs: Inputs, analysis: Analysis, people: Set[Key], masks: _TouchMasks
) -> dict[Key, int]:
    """Return the operations on what was touched, for each assignment of holders with observed use, and in `people`."""
    held = inputs.role_assignments.select("role_assignment_id", "state", holder=folded(pl.col("principal_id")))
    calls = placed.select("role_assignment_id", "state", "plane", "name").unique()
    # What a member of a group used through it is use of the group, and of that member.
    own = pl.concat(
        [
            calls.join(held, on=["role_assignment_id", "state"]).select("name", person="holder"),
            placed.select("name", person=folded(pl.col("principal_id"))).drop_nulls("person"),
        ]
    ).unique()
    tops = own.select("person", type=top_level_type(pl.col("name"))).unique()
    tokens = _tokens(inputs, analysis.window).join(tops, on=["person", "type"], how="anti")
    touched = pl.concat(
        [
            own.select("person", type=exact_type(pl.col("name")), word=pl.lit(_EXACT)),
            tokens.select("person", "type", word=pl.lit(_TOKEN)),
        ]
    ).unique()
    rows = touched.group_by("person").agg(pl.struct("word", "type").unique().sort())
    data = (
        calls.filter(pl.col("plane") == "data")
        .with_columns(type=exact_type(pl.col("name")), word=pl.lit(_DATA))
        .group_by("role_assignment_id", "state")
        .agg(pl.struct("word", "type").unique().sort())
    )
    runners = {fold(row["resource_type"]) for row in rows_of("image_runners")}
    pushes = masks.index.mask(("control", name) for name in IMAGES)
    of_holder = {holder: masks.of(kinds) for holder, kinds in rows.iter_rows()}
    of_data = {(id_, state): masks.of(kinds) for id_, state, kinds in data.iter_rows()}
    human = pl.DataFrame(sorted(people), schema={"role_assignment_id": pl.String, "state": pl.String}, orient="row")
    active = pl.concat(
        [
            held.join(own.select(holder="person").unique(), on="holder", how="semi"),
            held.join(human, on=["role_assignment_id", "state"], how="semi"),
        ]
    ).unique()
    running = set(own.filter(exact_type(pl.col("name")).is_in(sorted(runners)))["person"])
    at_work = (pl.col("name") == _DEPLOYMENT) | (top_level_type(pl.col("name")) == _REGISTRY)
    deploys = calls.filter(at_work).select("role_assignment_id", "state").unique()
    working = set(deploys.iter_rows()) - people
    return {
        (id_, state): of_holder.get(holder, 0)
        | of_data.get((id_, state), 0)
        | (pushes if holder in running or (id_, state) in working else 0)
        for id_, state, holder in active.iter_rows()
    }


_EXACT, _DATA, _TOKEN = "exact", "data", "token"
"""The kinds of touch: a call on a type, a call on data of a type, and a token for a top-level type."""


class _TouchMasks:
    """A reader of the operations that touches keep; equal touches are read once.

    Args:
        index: The operations.
    """

    def __init__(self, index: OperationIndex) -> None:
        self.index = index
        frame = index.frame().with_columns(type=exact_type(pl.col("name")))
        self._exact = {kind: index.mask_of_bits(bits) for kind, bits in frame.group_by("type").agg("bit").iter_rows()}
        self._tops = masks_by_type(index)
        name = pl.col("name")
        changes = name.str.ends_with("/write") | name.str.ends_with("/delete")
        self._mild = index.mask_of_bits(frame.filter(~changes)["bit"])
        self._found: dict[tuple[tuple[str, str], ...], int] = {}

    def of(self, touches: Iterable[Mapping[str, str]]) -> int:
        """Return the operations that some touches, each with `word` and `type`, keep together."""
        alike = tuple((one["word"], one["type"]) for one in touches)
        if alike not in self._found:
            self._found[alike] = union(self._of(word, kind) for word, kind in alike)
        return self._found[alike]

    def beside_data(self, operations: int) -> int:
        """Return what opens the containers of data on which some operations act, and reads them."""
        kinds = sorted({type_of(self.index.keys[bit][1]) for bit in bits_of(operations)})
        return self.of([{"word": _DATA, "type": kind} for kind in kinds])

    def _of(self, word: str, kind: str) -> int:
        if word == _TOKEN:
            return self._tops.get(kind, 0)
        if word == _EXACT:
            return self._exact.get(kind, 0)
        segments = kind.split("/")
        above = ("/".join(segments[:length]) for length in range(_TOP + 1, len(segments)))
        return union(self._exact.get(one, 0) for one in above) & self._mild
