"""Copy files of JSON lines for DuckDB: many small files into one, compressed files into plain ones."""

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
    """Return whether log records of such a file are read from an unpacked copy; it is hashed during the copy."""
    return form == "lines" and compression != "none"


@dataclass(frozen=True, slots=True)
class Copies:
    """A maker of copies, with the scratch folder for them and the digests of the copied files.

    Attributes:
        scratch: The folder for copies.
        digests: The hashes of the files.
    """

    scratch: Scratch
    digests: Digests

    def of(self, batch: Batch) -> AbstractContextManager[Generator[Batch]]:
        """Return a context with the batches to read in place of a batch, in order; itself where a copy is no better.

        Raises:
            NoRoomError: There is no space for copies; this may happen after some were yielded.
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
