"""Write a whole analysis as named frames, and read it back: what a report needs beyond the answers on one principal.

A frame is kept as Arrow IPC with zstd, which keeps its types and the order of its rows. The prepared tenant is left
out: it is prepared from the tables again.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import polars as pl

from rightsize.analyze.planes import PlaneAnalysis
from rightsize.analyze.tenant import Tenant
from rightsize.analyze.verdicts import Analysis
from rightsize.analyze.window import Window

ReadPart = Callable[[str], bytes]


def write_parts(
    analysis: Analysis, findings: pl.DataFrame, planes: Sequence[PlaneAnalysis]
) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of each frame, one after the other."""
    yield "findings", _written(findings)
    yield from _parts("rbac", analysis, Analysis)
    for plane in planes:
        yield from _parts(plane.plane, plane, PlaneAnalysis)


def read_parts(
    read: ReadPart, windows: dict[str, Window], tenant: Tenant
) -> tuple[Analysis, pl.DataFrame, list[PlaneAnalysis]]:
    """Return the analysis of Azure RBAC, its findings, and the analyses of the other planes.

    Args:
        read: Returns the content of a frame by name.
        windows: The windows, of Azure RBAC first, then of each other plane by its name.
        tenant: The prepared tenant.
    """
    (_, window), *beyond = windows.items()
    analysis: Analysis = _read("rbac", Analysis, read, {Window: window, Tenant: tenant})
    planes = [_read(name, PlaneAnalysis, read, {Window: days, "plane": name}) for name, days in beyond]
    return analysis, pl.read_ipc(read("findings")), planes


def _parts(name: str, value: Any, declared: Any) -> Iterator[tuple[str, bytes]]:
    hints = get_type_hints(declared)
    for one in fields(declared):
        part, kind = getattr(value, one.name), hints[one.name]
        if kind in (pl.DataFrame, pl.Series):
            yield f"{name}.{one.name}", _written(part if kind is pl.DataFrame else part.to_frame())
        elif is_dataclass(kind) and kind not in (Window, Tenant):
            yield from _parts(f"{name}.{one.name}", part, kind)


def _read(name: str, declared: Any, read: ReadPart, known: dict[object, object]) -> Any:
    """Return an object of a dataclass of frames; `known` has what is no frame, by its type or the name of its field."""
    hints = get_type_hints(declared)
    found: dict[str, Any] = {}
    for one in fields(declared):
        kind, place = hints[one.name], f"{name}.{one.name}"
        if kind in (pl.DataFrame, pl.Series):
            frame = pl.read_ipc(read(place))
            found[one.name] = frame if kind is pl.DataFrame else frame.to_series()
        elif kind in known or one.name in known:
            found[one.name] = known.get(kind, known.get(one.name))
        else:
            found[one.name] = _read(place, kind, read, known)
    return declared(**found)


def _written(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_ipc(buffer, compression="zstd")
    return buffer.getvalue()
