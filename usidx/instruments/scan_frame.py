"""Where a scan lies on the sample -> axes within its frame, and coordinates that say where the frame is."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.format.layout import Array
from usidx.instruments.channel import Axis

__all__ = ["count_along", "describe_frame", "make_even_axis", "make_scan_axes"]


def describe_frame(
    units: str,
    *,
    center: tuple[float, float] | None = None,
    size: tuple[float, float] | None = None,
    angle: float | None = None,
) -> dict[str, xr.Variable]:
    """Return what is known of a scan as scalar coordinates; pairs are (Y, X), the angle is in degrees."""
    found: dict[str, xr.Variable] = {}
    for what, pair in (("center", center), ("size", size)):
        for dim, value in zip(("Y", "X"), pair or (), strict=False):
            if np.isfinite(value):
                found[f"scan_{what}_{dim}"] = xr.Variable((), float(value), {"units": units})
    if angle is not None and np.isfinite(angle):
        found["scan_angle"] = xr.Variable((), float(angle), {"units": "deg"})
    return found


def make_even_axis(
    name: str,
    count: int,
    step: float,
    units: str,
    *,
    start: float = 0.0,
    role: Literal["position", "spectroscopic", "unknown"] = "position",
    quantity: str = "",
) -> Axis:
    """Return an axis of even steps; without a step it counts."""
    if not np.isfinite(step) or step == 0:
        return Axis(name, np.arange(count, dtype="f8"), "", role, quantity)
    return Axis(name, start + step * np.arange(count), units, role, quantity)


def make_scan_axes(
    rows: int, columns: int, size: tuple[float, float], units: str = "m", *, flip_y: bool = False, flip_x: bool = False
) -> tuple[Axis, Axis]:
    """Return (Y, X) from the corner of a frame of that size (Y, X); an axis that the file runs back along falls."""
    y = count_along(rows, size[0], "Y")
    x = count_along(columns, size[1], "X")
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
