"""Array over time -> which of its coordinates is the bias that was applied meanwhile."""

from __future__ import annotations

from typing import Final

import xarray as xr

__all__ = ["find_waveform"]

_CALLED: Final = ("bias", "excitation", "voltage")


def find_waveform(data: xr.DataArray, dim: str) -> str | None:
    """Return the coordinate along a dim that is called as a bias, None where there is none beside the dim's own."""
    along = [str(name) for name, c in data.coords.variables.items() if c.dims == (dim,) and name != dim]
    return next((name for name in along if name.lower() in _CALLED), None)
