"""Calls of the verbs on force curves and on contact Kelvin probe spectra."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

import usidx
from tests.kit.calls import Call, Together, opened

__all__ = ["ALIKE", "CALLS", "make_sources"]


def make_sources() -> dict[str, xr.DataArray]:
    """Return the arrays that are written to files, by name: here a small force map, and a Kelvin probe map."""
    kelvin, _ = usidx.simulate.ckpfm((3, 3), 16, write_steps=3, read_steps=4)
    return {"force": usidx.simulate.force_map((3, 3), 60)[0], "kelvin": kelvin}


force = partial(opened, "force")


def _marks(data: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = (data.segment > 0).astype("i2").compute().rename("marks")
    return found


def _lower(data: xr.DataArray) -> xr.DataArray:
    found: xr.DataArray = (data.height - 1e-7).assign_attrs(units="m").compute().rename("lower")
    return found


def probed(folder: Path) -> Any:
    return opened("kelvin", folder).usid.sho_fit()


CALLS = [
    Call("modes.force_curves", force, {}, {
        "spring_constant": 0.3, "model": "jkr", "radius": 1e-6, "half_angle": Together(model="cone", half_angle=20.0),
        "poisson": 0.3, "height": partial(_lower), "segments": partial(_marks), "baseline": "flat",
        "sensitivity": Together(sensitivity=2e-8, model=None),
    }),
    Call("modes.jcpd", probed, {}, {"dim": "write_bias", "offset": 0.3}),
]  # fmt: skip
#: Parameters that have no other value beside what is given, with the reason.
ALIKE: Mapping[tuple[str, str], str] = {
    ("modes.force_curves", "dim"): "the one dim that is meant is recorded, named or not",
    ("modes.jcpd", "coordinate"): "there is one read voltage",
}
