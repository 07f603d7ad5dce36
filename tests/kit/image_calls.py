"""Calls of the verbs over two dims."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import xarray as xr

import usidx
from tests.kit.calls import Call, Together, opened

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name: here a few frames of an image."""
    rng = np.random.default_rng(1)
    y, x, frame = np.arange(12)[:, None, None], np.arange(14)[:, None], np.arange(4)
    values = np.sin(0.7 * y + 0.1 * frame) * np.cos(0.5 * x) + 0.02 * rng.normal(size=(12, 14, 4))
    coords = {"Y": 0.5 * np.arange(12), "X": 0.5 * np.arange(14), "Frame": np.arange(4.0)}
    frames = xr.DataArray(values, coords, ("Y", "X", "Frame"), "Height", {"units": "nm", "long_name": "Height"})
    frames = usidx.set_roles(frames, position=["Y", "X"], spectroscopic="Frame")
    channel = xr.DataArray([1.0, -1.0], {"Channel": [0, 1]}, ("Channel",))
    pairs = usidx.set_roles((frames * channel).assign_attrs(frames.attrs), spectroscopic="Channel")
    where = {n: ("position", rng.uniform(0, 4, 40)) for n in ("Y", "X")}
    places = xr.DataArray(rng.normal(size=(40, 4)), {**where, "Frame": np.arange(4.0)}, ("position", "Frame"), "Height")
    scattered = usidx.set_roles(places, position=["position", "Y", "X"], spectroscopic="Frame")
    return {"frames": frames, "pairs": pairs, "scattered": scattered.assign_attrs(frames.attrs)}


frames, pairs = partial(opened, "frames"), partial(opened, "pairs")
scattered = partial(opened, "scattered", chunks={"position": 20})


def _mask(data: xr.DataArray, first: int = 0) -> xr.DataArray:
    return xr.DataArray(np.arange(data.sizes["Y"]) == first, dims="Y", name="mask")


def _frame(data: xr.DataArray, number: int = 0) -> xr.DataArray:
    return data.isel(Frame=number).compute() + number


DRIFT = {"reference": "first", "dims": ("X", "Y"), "mask": partial(_mask), "max_shift": 1.0, "dim": "Channel"}
CALLS = [
    Call("image.estimate_drift", pairs, {"dim": "Frame"}, DRIFT),
    Call("image.correct_drift", pairs, {"dim": "Frame"}, {**DRIFT, "fill": 0.0}),
    Call(
        "image.flatten",
        frames,
        {"mask": None},
        {
            "method": "lines",
            "order": Together(method="polynomial", order=2),
            "dims": ("X", "Y"),
            "mask": partial(_mask),
        },
    ),
    Call(
        "image.shift",
        frames,
        {"shifts": {"Y": 0.3, "X": 1.0}},
        {
            "shifts": {"Y": 0.3},
            "method": "linear",
            "fill": 0.0,
        },
    ),
    Call("image.remove_scars", frames, {}, {"threshold": 3.0, "length": 4, "width": 1, "dims": ("X", "Y")}),
    Call(
        "image.profile",
        frames,
        {"start": (0.5, 0.5), "end": (4.0, 5.0)},
        {
            "start": (1.0, 0.5),
            "end": (4.0, 4.0),
            "width": 1.5,
            "method": "nearest",
            "dims": ("X", "Y"),
        },
    ),
    Call("image.radial_mean", frames, {}, {"center": (2.0, 2.5), "bins": 4, "dims": ("X", "Y")}),
    Call(
        "image.register",
        frames,
        {"onto": partial(_frame)},
        {
            "onto": partial(_frame, number=1),
            "model": "affine",
            "landmarks": [((1.0, 1.0), (1.5, 1.0))],
            "dims": ("X", "Y"),
            "fill": 0.0,
        },
    ),
    Call(
        "image.resample_onto",
        frames,
        {"other": partial(_frame)},
        {
            "other": partial(_frame, number=1),
            "method": "linear",
            "dims": ("X", "Y"),
            "fill": 0.0,
        },
    ),
    Call("image.regrid", scattered, {"shape": (5, 6)}, {"shape": 4, "method": "linear", "dims": ("X", "Y")}),
    Call("image.windows", frames, {"size": 4, "step": 2}, {"size": 3, "step": 1, "dims": ("X", "Y")}),
]
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {
    ("image.shift", "dims"): "the shifts name them, in whatever order",
}
