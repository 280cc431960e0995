"""Compute the SHA-256 of each stored file of a load, while it is unpacked or in a thread beside the scan."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from rightsize.ingest.encoding import digest, plain_chunks
from rightsize.ingest.sources import SourceFile


class Digests:
    """The hashes of files. Hashing and verifying checksums run on a separate core while DuckDB reads."""

    def __init__(self) -> None:
        self._hasher = ThreadPoolExecutor(max_workers=1)
        self._found: dict[int, Future[str]] = {}

    def __enter__(self) -> Digests:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Stop hashing; raise the error of a damaged stream instead of the error that its bytes caused later."""
        self._hasher.shutdown(wait=True, cancel_futures=True)
        if kind is None or not issubclass(kind, Exception):
            return
        for future in self._found.values():
            damage = None if future.cancelled() else future.exception()
            if damage is not None:
                raise damage

    def begin(self, file: SourceFile) -> None:
        """Start to hash a file, and to verify it if it is compressed, unless that was done; return at once."""
        if file.number not in self._found:
            hashed = self._hasher.submit(digest, file.stored, file.stored_compression, file.name)
            self._found[file.number] = hashed

    def chunks(self, file: SourceFile) -> Iterator[bytes]:
        """Yield the decompressed bytes of a file, and store its hash after all bytes were read and verified.

        Raises:
            InputError: The file is damaged.
        """
        seen = hashlib.sha256()
        yield from plain_chunks(file.path, file.compression, file.name, seen.update)
        found: Future[str] = Future()
        found.set_result(seen.hexdigest())
        self._found[file.number] = found

    def of(self, file: SourceFile) -> str:
        """Return the digest of a file, in hexadecimal.

        Raises:
            InputError: The file is packed and damaged.
        """
        self.begin(file)
        return self._found[file.number].result()
