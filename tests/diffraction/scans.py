"""Scans of patterns for the tests of the family, small and full of traps."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

import usidx

__all__ = ["BACKINGS", "DTYPES", "make_scan", "spread"]

DTYPES = ["u1", "u2", ">u2", "i2", "u4", "i8", "bool", "f4", "f8"]
BACKINGS: dict[str, Any] = {
    "memory": None,
    "blocks": {"Y": 2},
    "cut through": {"Y": 3, "X": 1, "ky": 5, "kx": 4},
    "one": {},
}


_DIMS = ("Y", "X", "ky", "kx")


def make_scan(dtype: str = "u2", backing: str = "memory", order: tuple[str, ...] = _DIMS) -> xr.DataArray:
    """Return patterns of 9 x 11 pixels at 4 x 3 positions; ky descends, kx is neither at 0 nor square to it."""
    rng = np.random.default_rng(3)
    most = {"u1": 255, "bool": 2, "i2": 2000}.get(dtype, 60000)
    values = rng.integers(0, most, (4, 3, 9, 11)).astype(dtype)
    coords = {
        "Y": ("Y", 0.5 * np.arange(4), {"units": "nm"}), "X": ("X", 0.5 * np.arange(3), {"units": "nm"}),
        "ky": ("ky", 3.0 - 0.5 * np.arange(9), {"units": "mrad"}),
        "kx": ("kx", 0.25 * np.arange(11), {"units": "mrad"}),
    }  # fmt: skip
    scan = xr.DataArray(values, coords, _DIMS, "Counts", {"units": "counts", "long_name": "Counts"})
    scan = usidx.set_roles(scan, position=["Y", "X"], spectroscopic=["ky", "kx"]).transpose(*order)
    return scan if BACKINGS[backing] is None else scan.chunk(BACKINGS[backing])


def spread(scan: xr.DataArray) -> tuple[Any, Any, Any]:
    """Return values (Y, X, ky, kx) in double precision, and the coordinates of ky, as a column, and kx."""
    ordered = scan.transpose("Y", "X", "ky", "kx")
    return ordered.values.astype("f8"), scan.ky.values[:, None], scan.kx.values
