"""What DuckDB reads in place of files of lines: one copy of many small ones, plain copies of packed ones."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass

from rightsize.ingest.digests import Digests
from rightsize.ingest.encoding import Compression
from rightsize.ingest.joined import is_small, joined
from rightsize.ingest.readers import Batch
from rightsize.ingest.sniff import Form
from rightsize.ingest.sources import Scratch
from rightsize.ingest.unpacked import unpacked


def is_unpacked(form: Form, compression: Compression) -> bool:
    """Tell whether the log records of such a file are read from a copy, and it is hashed while that is made."""
    return form == "lines" and compression != "none"


@dataclass(frozen=True, slots=True)
class Copies:
    """Where copies are made, and what is learnt on the way.

    Attributes:
        scratch: The folder.
        digests: What the files hash to.
    """

    scratch: Scratch
    digests: Digests

    def of(self, batch: Batch) -> AbstractContextManager[Generator[Batch]]:
        """Give what is read in place of a batch, in order: the batch itself where no copy is better.

        Raises:
            NoRoomError: There is no room for copies, which may show after some were given.
            InputError: A compressed file is damaged.
        """
        return closing(self._of(batch))

    def _of(self, batch: Batch) -> Generator[Batch]:
        if len(batch.files) > 1 and all(is_small(file, batch.form) for file in batch.files):
            yield from joined(batch, self.scratch, self.digests)
        elif is_unpacked(batch.form, batch.compression):
            yield from unpacked(batch, self.scratch, self.digests)
        else:
            yield batch
