"""Where a scan lies on the sample -> axes within its frame, and coordinates that say where the frame is."""

from __future__ import annotations

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis

__all__ = ["count_along", "describe_frame", "make_scan_axes"]


def describe_frame(
    center: tuple[float, float], size: tuple[float, float], angle: float, units: str = "m"
) -> dict[str, xr.Variable]:
    """Return scalar coordinates: centre, size (each X, Y) and angle in degrees of a scan."""
    told = {"units": units}
    return {
        "scan_center_X": xr.Variable((), center[0], told),
        "scan_center_Y": xr.Variable((), center[1], told),
        "scan_size_X": xr.Variable((), size[0], told),
        "scan_size_Y": xr.Variable((), size[1], told),
        "scan_angle": xr.Variable((), angle, {"units": "deg"}),
    }


def make_scan_axes(
    rows: int, columns: int, size: tuple[float, float], units: str = "m", *, flip_y: bool = False, flip_x: bool = False
) -> tuple[Axis, Axis]:
    """Return (Y, X) within the frame, from its corner; an axis along which the file runs backwards falls."""
    y = count_along(rows, size[1], "Y")
    x = count_along(columns, size[0], "X")
    return (
        Axis("Y", y[::-1].copy() if flip_y else y, units, "position"),
        Axis("X", x[::-1].copy() if flip_x else x, units, "position"),
    )


def count_along(count: int, size: float, name: str) -> Array:
    """Return where pixels begin, from 0 to a pixel below `size`."""
    if not 0 < size < np.inf:
        raise TranslationError(f"its scan is {size} wide along {name}")
    if not 0 < count < 2**24:
        raise TranslationError(f"its scan has {count} pixels along {name}")
    places: Array = np.arange(count) * (size / count)
    return places
