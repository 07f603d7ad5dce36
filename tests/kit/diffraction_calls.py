"""Calls of the verbs on diffraction patterns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import usidx
from tests.kit.calls import Call, make_mask, opened
from usidx.diffraction import Annulus, Disk, Mask

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name: a few patterns."""
    return {"patterns": usidx.simulate.diffraction((4, 5), (24, 28), radius=5.0, counts=2e4)[0]}


patterns = partial(opened, "patterns")
TURNED = ("detector_X", "detector_Y")
OTHERS: Mapping[str, Any] = {"mask": partial(make_mask), "dims": TURNED}


def _hot(data: xr.DataArray) -> xr.DataArray:
    hot = xr.zeros_like(data[0, 0], dtype=bool).compute().copy()  # dask may hand out what cannot be written
    hot[3, 4] = True
    return hot


def _deflected(folder: Path) -> Any:
    return usidx.diffraction.center_of_mass(patterns(folder))


WEIGHED = Mask(np.random.default_rng(0).random((24, 28)))
CALLS = [
    Call("diffraction.mean_pattern", patterns, {}, OTHERS),
    Call("diffraction.find_center", patterns, {}, {**OTHERS, "method": "mass"}),
    Call("diffraction.virtual_image", patterns, {"detector": Disk((0, 0), 4)}, {
        **OTHERS, "detector": {"bright": Annulus((0, 0), 1, 4), "weighed": WEIGHED},
    }),
    Call("diffraction.center_of_mass", patterns, {}, {
        **OTHERS, "annulus": Annulus((0, 0), 1, 8), "center": (0.5, 0.2),
    }),
    Call("diffraction.phase_contrast", _deflected, {}, {
        "rotation": 20.0, "flip": True, "edges": "periodic", "dims": ("X", "Y"),
    }),
    Call("diffraction.radial_mean", patterns, {}, {**OTHERS, "center": (1.0, 0.0), "bins": [0.0, 3.0, 9.0]}),
    Call("diffraction.calibrate", patterns, {}, {
        "center": (1.0, 2.0), "scale": 0.5, "units": "1/nm", "dims": TURNED,
    }),
    Call("diffraction.find_hot_pixels", patterns, {}, {"threshold": 3.0, "dims": TURNED}),
    Call("diffraction.remove_hot_pixels", patterns, {}, {"mask": partial(_hot), "threshold": 3.0, "dims": TURNED}),
]  # fmt: skip
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {}
