"""Where a scan lies and how finely it was sampled -> axes and scalar coordinates, the same for every format."""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from usidx.instruments.channel import Axis

__all__ = ["describe_frame", "make_even_axis"]


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
