"""Sets of operations as integers: bit i is the i-th operation of the catalogue.

Roles and needs are compared by the thousand; on integers of a few kilobytes, containment, difference and size are
single machine-speed steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from rightsize.model.nouns import PermissionBlock
from rightsize.rbac.algebra import grants
from rightsize.rbac.text import fold

OperationKey = tuple[str, str]
"""(plane, operation)."""


@dataclass(frozen=True, slots=True)
class OperationIndex:
    """The catalogue in a fixed order: by plane, then by folded name.

    Attributes:
        names: (plane, operation in ARM's spelling), one for each bit.
        bits: (plane, folded operation) to its bit.
        control: All operations that the control plane has.
        reads: Those of them that end in `/read`.
    """

    names: tuple[OperationKey, ...]
    bits: dict[OperationKey, int]
    control: int
    reads: int

    def mask(self, keys: Iterable[OperationKey]) -> int:
        """Return the set of those (plane, operation) that the catalogue knows, whatever their case."""
        return _mask_of(
            (bit for plane, name in keys if (bit := self.bits.get((plane, fold(name)))) is not None), len(self.names)
        )

    def mask_of_bits(self, bits: Iterable[int]) -> int:
        """Return the set with those bits."""
        return _mask_of(bits, len(self.names))

    def bit(self, plane: str, operation: str) -> int | None:
        """Return the bit of an operation, or None where the catalogue lacks it on that plane."""
        return self.bits.get((plane, fold(operation)))

    def granted_by(self, blocks: Sequence[PermissionBlock]) -> int:
        """Return the operations that blocks grant without a condition."""
        return self.mask_of_bits(
            bit for bit, (plane, operation) in enumerate(self.names) if grants(blocks, operation, plane) == "yes"
        )

    def members(self, mask: int) -> Iterator[OperationKey]:
        """Yield the (plane, operation) of a set, in the order of the index."""
        for bit in bits_of(mask):
            yield self.names[bit]

    def spelling(self, plane: str, operation: str) -> str | None:
        """Return the operation as the catalogue spells it, or None where the catalogue lacks it on that plane."""
        bit = self.bits.get((plane, fold(operation)))
        return None if bit is None else self.names[bit][1]


def index_operations(role_operations: pl.DataFrame, operations: pl.DataFrame) -> OperationIndex:
    """Number every operation of the catalogue on the planes where it may be granted.

    Args:
        role_operations: The table of that name; it says on which plane a role grants an operation.
        operations: The table of that name.
    """
    catalogue = pl.concat(
        [
            operations.select(
                "operation",
                plane=pl.when(pl.col("is_data_action")).then(pl.lit("data")).otherwise(pl.lit("control")),
            ),
            role_operations.select("operation", "plane"),
        ]
    ).unique()
    spelling: dict[OperationKey, str] = {}
    for operation, plane in catalogue.iter_rows():
        key = (plane, fold(operation))
        spelling[key] = min(operation, spelling.get(key, operation))
    keys = sorted(spelling)
    size = len(keys)
    return OperationIndex(
        names=tuple((key[0], spelling[key]) for key in keys),
        bits={key: bit for bit, key in enumerate(keys)},
        control=_mask_of((bit for bit, key in enumerate(keys) if key[0] == "control"), size),
        reads=_mask_of(
            (bit for bit, key in enumerate(keys) if key[0] == "control" and key[1].endswith("/read")), size
        ),
    )


def bits_of(mask: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, lowest first."""
    for position, byte in enumerate(mask.to_bytes((mask.bit_length() + 7) // 8, "little")):
        if byte:
            for bit in range(8):
                if byte >> bit & 1:
                    yield position * 8 + bit


def _mask_of(bits: Iterable[int], size: int) -> int:
    buffer = bytearray(size // 8 + 1)
    for bit in bits:
        buffer[bit >> 3] |= 1 << (bit & 7)
    return int.from_bytes(buffer, "little")
