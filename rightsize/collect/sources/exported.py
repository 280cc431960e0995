"""Declare the sources for logs that diagnostic settings export to storage containers, blob by blob.

A blob has the records received in one hour, and the blob of the current hour still grows. So a blob is identified by
its name and entity tag, and a blob that was fetched before is not fetched again.
Source: Microsoft Learn, "Diagnostic settings in Azure Monitor", "Destinations", Azure Storage.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from urllib.parse import quote

from rightsize.azure.wire import WireRequest
from rightsize.collect.forms import read_blob, read_pages
from rightsize.collect.listing import CollectionUnit, Known, Right, Source
from rightsize.model.errors import UsageError

_CONTAINER = re.compile(r"(?P<account>[a-z0-9]{3,24})/(?P<container>\$?[a-z0-9](?:[a-z0-9-]{1,61}[a-z0-9]))")
_HOUR = re.compile(r"/y=(\d{4})/m=(\d{2})/d=(\d{2})/h=(\d{2})/")
_RIGHT = Right(
    "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
    "Storage Blob Data Reader",
    is_data_action=True,
)


def _containers(known: Known) -> Iterator[CollectionUnit]:
    for text in known.question.containers:
        found = _CONTAINER.fullmatch(text)
        if found is None:
            raise UsageError(f"`{text}` is not a container of a storage account", hint="write it as ACCOUNT/CONTAINER")
        yield CollectionUnit(text, (WireRequest("storage", f"/{text}?prefix="),))


def _blobs(known: Known) -> Iterator[CollectionUnit]:
    since, until = known.question.since, known.question.until
    for container, records in known.parts("exported_blobs"):
        for record in records:
            name, size = record.get("name"), record.get("size")
            if not isinstance(name, str) or not size or not _is_within(name, since, until):
                continue
            key = f"{container}/{name}@{record.get('etag')}"
            if not known.is_held("exported_logs", key):
                yield CollectionUnit(key, (WireRequest("storage", f"/{container}/{quote(name, safe='')}"),))


def _is_within(name: str, since: dt.datetime, until: dt.datetime) -> bool:
    """Return whether a blob may have rows of the window; a blob without an hour in its name may.

    Records arrive after their events, so blobs of the day after the window may have some too.
    """
    found = _HOUR.search(name)
    if found is None:
        return True
    try:
        hour = dt.datetime.strptime("".join(found.groups()), "%Y%m%d%H").replace(tzinfo=dt.UTC)
    except ValueError:
        return True
    return since <= hour < until + dt.timedelta(days=1)


EXPORTED_SOURCES = (
    Source("exported_blobs", "storage", "blobs of exported logs", _RIGHT, _containers, form=read_pages, is_raw=True),
    Source(
        "exported_logs", "storage", "exported logs", _RIGHT, _blobs, ("exported_blobs",), form=read_blob
    ),
)  # fmt: skip
"""Blobs are listed first, and then fetched."""
