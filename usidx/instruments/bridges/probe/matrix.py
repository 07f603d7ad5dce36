"""Omicron MATRIX files -> channels: images forward and backward, up and down, and curves.

By access2theMatrix, which finds the scales in the parameter file that must lie beside the data (``..._0001.mtrx``).
Rows come from the top, as it turns them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.reader import Confidence, FormatReader, Package
from usidx.instruments.scan_frame import describe_frame, make_even_axis

__all__ = ["READER"]


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(b"ONTMATRX0101"):
        return Confidence(0.97, "begins with 'ONTMATRX0101'")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    from access2thematrix import MtrxData

    if path.suffix.lower() == ".mtrx":
        raise TranslationError("it holds the parameters of a measurement; read one of the data files beside it")
    held = MtrxData()
    traces, message = held.open(str(path))
    if not traces:
        raise TranslationError(f"its data or the parameter file beside it cannot be read: {message}")
    told = {str(name): _show(value, unit) for name, value, unit in held.get_experiment_element_parameters()[0]}
    return build_tree(list(_list_channels(held, traces)), told)


def _list_channels(held: Any, traces: dict[Any, str]) -> Iterator[Channel]:
    for trace in traces.values():
        image, _ = held.select_image(trace)
        if np.ndim(image.data) == 2 and np.size(image.data):
            yield _describe_image(trace, image)
            continue
        curve, _ = held.select_curve(trace)
        if np.ndim(curve.data) == 2 and len(curve.data) == 2 and np.size(curve.data):
            yield _describe_curve(trace, curve)


def _describe_image(trace: str, image: Any) -> Channel:
    data = np.asarray(image.data)
    rows, columns = data.shape
    height, width = float(image.height), float(image.width)
    axes = (
        make_even_axis("Y", rows, -height / rows, "m", start=height * (rows - 1) / rows),
        make_even_axis("X", columns, width / columns, "m"),
    )
    frame = describe_frame(
        "m",
        center=(float(image.y_offset), float(image.x_offset)),
        size=(height, width),
        angle=float(getattr(image, "angle", 0.0)),
    )
    name, units = image.channel_name_and_unit
    # What was not scanned is NaN; an aborted scan keeps what it has.
    attrs = {"trace": trace, "measured": f"{int(np.isfinite(data).all(axis=1).sum())} of {rows} rows"}
    return Channel(f"{name}/{trace.replace('/', '_')}", data, axes, name, units, frame, attrs)


def _describe_curve(trace: str, curve: Any) -> Channel:
    x_name, x_units = curve.x_data_name_and_unit
    name, units = curve.y_data_name_and_unit
    axis = Axis(x_name or "Ramp", np.asarray(curve.data[0], dtype="f8"), x_units, "spectroscopic")
    # The library takes the attribute away where it knows no place.
    place = getattr(curve, "referenced_by", {}).get("Location (m)", ())
    coords = {name_: xr.Variable((), float(v), {"units": "m"}) for name_, v in zip("XY", place, strict=False)}
    return Channel(f"{name}/{trace}", np.asarray(curve.data[1], dtype="f8"), (axis,), name, units, coords)


def _show(value: Any, unit: str) -> Any:
    """Return a parameter as a number or a text, with its unit where it has one."""
    if unit not in {"", "--"}:
        return f"{value} {unit}"
    return value if isinstance(value, int | float | str | bool) else str(value)


READER: Final = FormatReader(
    name="matrix",
    opens="Omicron MATRIX files (.*_mtrx)",
    recognize=_recognize,
    parse=_parse,
    licence="BSD-3-Clause",
    package=Package("access2thematrix", "matrix", "access2theMatrix"),
)
