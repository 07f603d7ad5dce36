"""Calls of the verbs over two dims."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

import usidx
from tests.kit.calls import Call, opened

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name: here a few frames of an image."""
    rng = np.random.default_rng(1)
    y, x, frame = np.arange(12)[:, None, None], np.arange(14)[:, None], np.arange(4)
    values = np.sin(0.7 * y + 0.1 * frame) * np.cos(0.5 * x) + 0.02 * rng.normal(size=(12, 14, 4))
    coords = {"Y": 0.5 * np.arange(12), "X": 0.5 * np.arange(14), "Frame": np.arange(4.0)}
    frames = xr.DataArray(values, coords, ("Y", "X", "Frame"), "Height", {"units": "nm", "long_name": "Height"})
    return {"frames": usidx.set_roles(frames, position=["Y", "X"], spectroscopic="Frame")}


frames = partial(opened, "frames")
CALLS = [
    Call("image.windows", frames, {"size": 4, "step": 2}, {"size": 3, "step": 1, "dims": ("X", "Y")}),
]
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {}
