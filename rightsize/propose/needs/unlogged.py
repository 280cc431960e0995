"""Find the operations that stay though no log shows them: reads, and operations on types that were touched.

Reads of Resource Manager stay by the option `--reads`, and to follow long-running operations. Azure answers a
long-running write with the address of a status. A client that may not read the status reports the deployment as failed,
although the write was allowed. The status is below the type that is written, or at a location of its provider. The rule
file `operation_polls` lists the reads of this kind.

Other operations of the control plane have no log either, so their own use is never known. Whoever works with a type
leaves other calls on it that are logged. `--unobservable touched` therefore keeps them only on the very types that were
used: by the holder, under any of its assignments or those of its groups, or by a member through the group that holds
the assignment. Who lists the keys of a storage account works with the account, and not with its containers. Who works
with data, such as blobs, or may do so where no log would show it, keeps what reads the containers of that data, and
opens them.

A token for a service whose resources alone take it (`rules/endpoint_audiences.csv`) touches their type, and all types
below it, where no use of that type explains the token: a pipeline that works on a storage endpoint alone leaves a
sign-in for Azure Storage. It touches the type for the principal and for the groups through which it works. A token is
not use: a holder with nothing but tokens counts as one without use.

A person who used nothing touched nothing: these operations go, and the plan asks the owner of the assignment. A
workload without observed use keeps them all, since it may work on an endpoint alone.

Whoever changes what runs images (`rules/image_runners.csv`), and a workload that deploys or works on a registry, keeps
what pulls and pushes images (`IMAGES`): a registry shows that only in a log of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache

import polars as pl

from rightsize.analyze.inputs import Inputs, folded
from rightsize.analyze.reasons import UnobservableReason
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts.judge import Analysis
from rightsize.analyze.window import Window
from rightsize.mining.bitsets import bits_of, mask_of, union
from rightsize.model.nouns import PermissionBlock
from rightsize.model.options import Reads
from rightsize.model.text import READ, Folded, fold, is_read
from rightsize.propose.core.operation_sets import FoldedKey, OperationIndex
from rightsize.propose.core.role_catalog import KnownRole, Need, RoleBook
from rightsize.propose.core.role_patterns import PatternPart, met, reading_parts
from rightsize.propose.needs.assignments import KEY, Key, Use, masks_of
from rightsize.rules.operations import endpoint_audiences, status_reads
from rightsize.rules.tables import rows_of

SIBLING_READ = "sibling_read"
NAMESPACE_READ = "namespace_read"
_GROUP_READ = Folded("microsoft.resources/subscriptions/resourcegroups/read")
_LOCATIONS = "/locations"
_OF_TYPE = "type"


def type_of(name: Folded) -> Folded:
    """Return the resource type of a folded operation: the segments before its verb."""
    segments = name.split("/")
    return Folded("/".join(segments[:-2] if segments[-1] == "action" else segments[:-1]))


def types_around(kind: Folded) -> list[Folded]:
    """Return the provider of a type, its parent types and the type itself, from the top."""
    segments = kind.split("/")
    return [Folded("/".join(segments[:length])) for length in range(1, len(segments) + 1)]


def provider_of(name: Folded) -> Folded:
    """Return the folded resource provider of a folded operation."""
    return Folded(name.split("/", 1)[0])


def sibling_reads(names: Iterable[FoldedKey]) -> list[FoldedKey]:
    """Return the read operations of the types that operations name, of their parent types, and of resource groups."""
    found = {("control", _GROUP_READ)}
    for _, name in names:
        found |= {("control", Folded(kind + READ)) for kind in types_around(type_of(name))[1:]}
    return sorted(found)


@dataclass(frozen=True, slots=True)
class ReadsByOption:
    """The reads that an option keeps.

    Attributes:
        here: The operations that stay at the scope of the assignment.
        parts: The patterns that stay there.
        by_scope: The operations that stay where something was used.
        why: The operations for each reason word.
    """

    here: int = 0
    parts: tuple[PatternPart, ...] = ()
    by_scope: Mapping[Folded, int] = field(default_factory=dict)
    why: Mapping[str, int] = field(default_factory=dict)


def reads_by_option(
    choice: Reads, role: KnownRole, reads: int, use: Mapping[Folded, Use], linked: int, book: RoleBook
) -> ReadsByOption:
    """Return the unlogged reads of an assignment that an option keeps.

    Args:
        choice: The option.
        role: The role of today.
        reads: Its unlogged reads.
        use: The use, by the folded scope at which it has to be granted.
        linked: The linked checks that stay; their types are read as those of used operations.
        book: The roles.
    """
    index = book.index
    if choice is Reads.NONE:
        return ReadsByOption()
    if choice is Reads.ALL:
        return _as_granted(reading_parts(role.blocks), reads, UnobservableReason.ARM_READ, book)
    names = {target: [*index.folded_members(part.operations), *part.unlisted] for target, part in use.items()}
    if choice is Reads.SIBLING:
        by_scope = {target: index.mask(sibling_reads(named)) & reads for target, named in names.items()}
        here = index.mask(sibling_reads(index.folded_members(linked))) & reads if use else 0
        return ReadsByOption(here, (), by_scope, {SIBLING_READ: here | union(by_scope.values())})
    providers = sorted({provider_of(name) for named in names.values() for _, name in named})
    parts = [part for name in providers for part in reading_parts(role.blocks, within=_spelled(name, index))]
    near = index.mask(key for key in index.folded_members(reads) if provider_of(key[1]) in providers)
    return _as_granted(parts, near, NAMESPACE_READ, book)


def _as_granted(parts: Iterable[PatternPart], reads: int, word: str, book: RoleBook) -> ReadsByOption:
    """Return reads by the patterns that grant them, and as operations where no pattern does so for certain."""
    said = Need(0, _matching(parts, book))
    return ReadsByOption(reads & ~book.certain(said), said.parts, {}, {word: reads | book.mask(said)})


def _matching(parts: Iterable[PatternPart], book: RoleBook) -> tuple[PatternPart, ...]:
    """Return the reading parts without patterns that certainly match no operation of the catalogue."""
    found = []
    for part in parts:
        kept = tuple(text for text in part.patterns if book.certain_mask(PatternPart((text,), (), part.plane)))
        if kept:
            found.append(part if kept == part.patterns else PatternPart(kept, met(part.not_patterns, kept), part.plane))
    return tuple(sorted(found))


def _spelled(provider: Folded, index: OperationIndex) -> str:
    """Return the name of a resource provider in the catalogue's spelling."""
    named = zip(index.keys, index.names, strict=True)
    return next((name.split("/", 1)[0] for (_, key), (_, name) in named if provider_of(key) == provider), provider)


class Polls:
    """An index of the status reads of a catalogue by the operations that need them."""

    def __init__(self, index: OperationIndex) -> None:
        self._index = index
        # A tenant has hundreds of thousands of assignments, but few distinct sets of used operations.
        self._asked_by = lru_cache(maxsize=4_096)(self._ask)

    @cached_property
    def _of_type(self) -> dict[str, int]:
        """The status reads of each folded type or provider."""
        patterns = [pattern for pattern, asked_by in status_reads() if asked_by == _OF_TYPE]
        found: dict[str, list[int]] = defaultdict(list)
        for bit in bits_of(self._reads(*patterns)):
            above = type_of(self._index.keys[bit][1]).rpartition("/")[0]
            found[above.removesuffix(_LOCATIONS)].append(bit)
        return {kind: mask_of(bits) for kind, bits in found.items()}

    @cached_property
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        """Pairs (operations, status reads): each of the operations needs all of the status reads."""
        changes = self._index.control & ~self._index.reads
        askers: dict[str, list[int]] = defaultdict(list)
        for bit in bits_of(changes):
            for kind in types_around(type_of(self._index.keys[bit][1])):
                if kind in self._of_type:
                    askers[kind].append(bit)
        pairs = [(mask_of(bits), self._of_type[kind]) for kind, bits in sorted(askers.items())]
        for pattern, asked_by in status_reads():
            if asked_by != _OF_TYPE:
                asking = self._index.granted_by([PermissionBlock(actions=(asked_by,))])
                pairs.append((asking & changes, self._reads(pattern)))
        return tuple(pairs)

    def asked(self, operations: int, unknown: Iterable[Folded] = ()) -> int:
        """Return the status reads that operations need; read operations need none.

        Args:
            operations: Operations of the catalogue.
            unknown: Folded names of control-plane operations that the catalogue lacks; they need the status reads of
                their type and its parents.
        """
        found = self._asked_by(operations)
        for name in unknown:
            if not is_read(name):
                for kind in types_around(type_of(name)):
                    found |= self._of_type.get(kind, 0)
        return found

    def _ask(self, operations: int) -> int:
        return union(reads for asking, reads in self._pairs if asking & operations)

    def _reads(self, *patterns: str) -> int:
        return self._index.granted_by([PermissionBlock(actions=patterns)]) & self._index.reads


IMAGES = (
    Folded("microsoft.containerregistry/registries/pull/read"),
    Folded("microsoft.containerregistry/registries/push/write"),
)
"""The folded operations of the built-in role AcrPush: a registry shows them only in a log of its own."""

_DEPLOYMENT = "microsoft.resources/deployments/write"
_REGISTRY = "microsoft.containerregistry/registries"
_TOP = 2
"""The number of segments of a top-level resource type: provider and type."""
_EXACT, _ABOVE, _DATA, _TOKEN, _IMAGES = "exact", "above", "data", "token", "images"
"""The kinds of touch: a call on a type, and on the types above it by what manages one below; a call on data of a type,
a token for a top-level type, and work with images.
"""


def top_level_type(name: pl.Expr) -> pl.Expr:
    """Return the top-level resource type of folded operations; of one without a type, the provider."""
    return _type_segments(name).list.head(_TOP).list.join("/")


def exact_type(name: pl.Expr) -> pl.Expr:
    """Return the resource type of folded operations: all segments before the verb."""
    return _type_segments(name).list.join("/")


def _type_segments(name: pl.Expr) -> pl.Expr:
    segments = name.str.split("/")
    verb = pl.when(name.str.ends_with("/action")).then(2).otherwise(1)
    return segments.list.head(pl.max_horizontal(segments.list.len().cast(pl.Int64) - verb, 1))


def masks_by_type(index: OperationIndex, kind: pl.Expr | None = None) -> dict[str, int]:
    """Return the operations of each folded type, on both planes: top-level types, if no other expression is given."""
    found = top_level_type(pl.col("name")) if kind is None else kind
    return dict(masks_of(index.frame().with_columns(type=found), "type"))


class Touched:
    """What the holders of assignments touched, as the operations that it keeps; equal touches are read once.

    `stays` has these operations for each assignment of a holder with observed use, and for each that only people hold.

    Args:
        placed: As `assignments.place_uses` returns it: the use of the window, and use before it that still counts.
        inputs: The tables.
        analysis: The window and the memberships.
        book: The roles.
        risky: Changes that no use of another operation brings along, such as deletes.
        secrets: What reads secrets: work on a type below brings it along no more.
        on_endpoints: The operations of the control plane that run on a service's own endpoint.
    """

    def __init__(
        self,
        placed: pl.DataFrame,
        inputs: Inputs,
        analysis: Analysis,
        book: RoleBook,
        risky: int,
        secrets: int,
        on_endpoints: int,
    ) -> None:
        index = book.index
        self._index, self._roles, self._risky, self._on_endpoints = index, book.roles, risky, on_endpoints
        self._exact = masks_by_type(index, exact_type(pl.col("name")))
        self._tops = masks_by_type(index)
        changes = (name.endswith(("/write", "/delete")) for _, name in index.keys)
        self._mild = mask_of(bit for bit, changing in enumerate(changes) if not changing)
        self._safe = self._mild & ~secrets
        self._found: dict[tuple[tuple[str, str], ...], int] = {}
        self.stays: Mapping[Key, int] = self._stays(placed, inputs, analysis)

    def untouched(self, hidden: int, stays: int) -> int:
        """Return which hidden operations of an assignment with an entry in `stays` are on types that nobody touched.

        What opens the containers of data on which hidden data actions act, and reads them, is on a touched type.
        """
        if stays:
            data = bits_of(hidden & ~self._index.control)
            stays |= self._of((_DATA, kind) for kind in sorted({type_of(self._index.keys[bit][1]) for bit in data}))
        return hidden & self._index.control & ~(stays & ~self._risky)

    def _stays(self, placed: pl.DataFrame, inputs: Inputs, analysis: Analysis) -> dict[Key, int]:
        people = _held_by_people(inputs, analysis.tenant)
        held = inputs.role_assignments.select(*KEY, holder=folded(pl.col("principal_id")))
        calls = placed.select(*KEY, "plane", "name").unique()
        # What a member of a group used through it is use of the group, and of that member.
        own = pl.concat(
            [
                calls.join(held, on=KEY).select("plane", "name", person="holder"),
                placed.select("plane", "name", person=folded(pl.col("principal_id"))).drop_nulls("person"),
            ]
        ).unique()
        name = pl.col("name")
        tops = own.select("person", type=top_level_type(name)).unique()
        # A call on an endpoint touches nothing else there: the log that shows it shows the others, too. A write or
        # delete may have been made at Resource Manager.
        at_endpoint = pl.DataFrame(
            [*self._index.folded_members(self._on_endpoints & self._mild)],
            schema=dict.fromkeys(["plane", "name"], pl.String),
            orient="row",
        )
        exact = own.join(at_endpoint, on=["plane", "name"], how="anti").select("person", type=exact_type(name)).unique()
        workloads = inputs.principals.filter(pl.col("principal_type") == "ServicePrincipal")
        managed = (
            own.filter(pl.col("plane") == "control")
            .join(workloads.select(person=folded(pl.col("principal_id"))), on="person", how="anti")
            .select("person", type=exact_type(name))
            .unique()
        )
        runners = sorted({fold(row["resource_type"]) for row in rows_of("image_runners")})
        tokens = self._unexplained(_tokens(inputs, analysis.window), tops, inputs, analysis.tenant)
        touches = [
            (exact, _EXACT),
            (managed, _ABOVE),
            (tokens, _TOKEN),
            (exact.filter(pl.col("type").is_in(runners)), _IMAGES),
        ]
        of_holder = self._masks(touches, "person")
        at_work = (name == _DEPLOYMENT) | (top_level_type(name) == _REGISTRY)
        by_people = pl.DataFrame(sorted(people), schema=dict.fromkeys(KEY, pl.String), orient="row")
        typed = calls.with_columns(type=exact_type(name))
        members = placed.select(*KEY, person=folded(pl.col("principal_id"))).drop_nulls("person").unique()
        touches = [
            (members.join(tokens, on="person"), _TOKEN),
            (typed.filter(pl.col("plane") == "data"), _DATA),
            (typed.filter(at_work).join(by_people, on=KEY, how="anti"), _IMAGES),
        ]
        of_assignment = self._masks(touches, *KEY)
        users = set(own["person"].drop_nulls())
        return {
            (id_, state): of_holder.get((holder,), 0) | of_assignment.get((id_, state), 0)
            for id_, state, holder in held.iter_rows()
            if holder in users or (id_, state) in people
        }

    def _unexplained(self, tokens: pl.DataFrame, tops: pl.DataFrame, inputs: Inputs, tenant: Tenant) -> pl.DataFrame:
        """Return the tokens but those for a type that a log shows at work, or of which the holder has data actions."""
        kinds, data = sorted(set(tokens["type"])), []
        for id_, role in self._roles.items():
            granted = role.granted & ~self._index.control
            data += [(id_, kind) for kind in kinds if granted & self._tops.get(kind, 0)]
        of_role = pl.DataFrame(data, schema={"role": pl.String, "type": pl.String}, orient="row")
        held = inputs.role_assignments.select(
            role=folded(pl.col("role_definition_id")), holder=folded(pl.col("principal_id"))
        ).join(of_role, on="role")
        reach = tenant.may_reach.select(person=folded(pl.col("principal_id")), holder=folded(pl.col("holder")))
        explained = held.join(reach, on="holder").select("person", "type").unique()
        return tokens.join(pl.concat([tops, explained]), on=["person", "type"], how="anti")

    def _masks(self, touches: Iterable[tuple[pl.DataFrame, str]], *by: str) -> dict[tuple[str, ...], int]:
        """Return the operations that touches keep, by some columns; each frame of touches is of one word."""
        said = pl.concat([rows.select(*by, "type", word=pl.lit(word)) for rows, word in touches])
        rows = said.group_by(by).agg(pl.struct("word", "type").unique().sort())
        return {tuple(key): self._of((one["word"], one["type"]) for one in found) for *key, found in rows.iter_rows()}

    def _of(self, touches: Iterable[tuple[str, str]]) -> int:
        alike = tuple(touches)
        if alike not in self._found:
            self._found[alike] = union(self._of_one(word, kind) for word, kind in alike)
        return self._found[alike]

    def _of_one(self, word: str, kind: str) -> int:
        if word == _TOKEN:
            return self._tops.get(kind, 0)
        if word == _EXACT:
            return self._exact.get(kind, 0)
        if word == _IMAGES:
            return self._index.mask(("control", name) for name in IMAGES)
        segments = kind.split("/")
        top = _TOP if word == _ABOVE else _TOP + 1
        above = ("/".join(segments[:length]) for length in range(top, len(segments)))
        return union(self._exact.get(one, 0) for one in above) & (self._safe if word == _ABOVE else self._mild)


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
    held = inputs.role_assignments.select(*KEY, holder=folded(pl.col("principal_id")))
    return frozenset(held.join(human, on="holder", how="semi").select(KEY).iter_rows())


def _tokens(inputs: Inputs, window: Window) -> pl.DataFrame:
    """Return `(type, person)`: the types for which principals got a token in the window."""
    given = inputs.sign_ins.filter(window.holds("day") & (pl.col("succeeded").fill_null(0) > 0))
    apps = given.select(pl.col("resource_id").drop_nulls().unique()).with_columns(app_id=folded(pl.col("resource_id")))
    known = apps.join(endpoint_audiences(), on="app_id").select("resource_id", "type")
    # A principal gets a token for the same resource on many days: each pair is folded once.
    pairs = given.filter(pl.col("resource_id").is_in(known["resource_id"].unique().implode()))
    named = pairs.select("resource_id", "principal_id").unique().join(known, on="resource_id")
    return named.select("type", person=folded(pl.col("principal_id"))).drop_nulls().unique()
