"""Derivatives of measured curves against the lock-in amplifier that measured them at the same time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import xarray as xr

import usidx


def grid_of(path: Path) -> xr.Dataset:
    """Read a grid of spectra: 30 x 30 points, ten parameters and then 200 samples of four channels each."""
    _, _, data = path.read_bytes().partition(b":HEADER_END:\r\n")
    blocks = np.frombuffer(data, ">f4").reshape(30, 30, 10 + 4 * 200)
    start, end = blocks[0, 0, :2].astype("f8")
    channels = blocks[..., 10:].reshape(30, 30, 4, 200).astype("f8")
    bias = ("Bias", np.linspace(start, end, 200), {"units": "V"})
    named = {"current": (("Y", "X", "Bias"), channels[:, :, 0]), "lock_in": (("Y", "X", "Bias"), channels[:, :, 1])}
    return xr.Dataset(named, coords={"Bias": bias})


def test_the_derivative_is_what_the_lock_in_measures(real_files: Callable[[str], Path]) -> None:
    grid = grid_of(real_files("nanonis_3ds/STS_grid_lockin.3ds"))
    by_pixel = xr.corr(usidx.didv(grid.current, "Bias", window=15), grid.lock_in, "Bias")
    assert float(by_pixel.median()) > 0.98
    assert float(by_pixel.quantile(0.05)) > 0.97
