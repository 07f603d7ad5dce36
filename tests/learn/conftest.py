from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx

Backing = Callable[[xr.DataArray], xr.DataArray]
Cube = Callable[..., xr.DataArray]

CHUNKS: dict[str, Any] = {
    "numpy": None,
    "one chunk": -1,
    "ragged": {"Y": (1, 3), "X": (2, 3)},
    "cut spectra": {"Y": 2, "X": 2, "Bias": 3},
    "single positions": {"Y": 1, "X": 1, "Bias": 4},
}


@pytest.fixture(params=list(CHUNKS))
def backing(request: pytest.FixtureRequest) -> Backing:
    """The same array in memory, and lazily in chunks of every kind."""
    chunks = CHUNKS[request.param]
    return lambda data: (
        data if chunks is None else data.chunk(chunks if not isinstance(chunks, dict) else _known(data, chunks))
    )


def _known(data: xr.DataArray, chunks: dict[str, Any]) -> dict[str, Any]:
    fits = {d: c for d, c in chunks.items() if d in data.dims}
    return {d: c if not isinstance(c, tuple) or sum(c) == data.sizes[d] else 2 for d, c in fits.items()}


@pytest.fixture
def cube() -> Cube:
    """A labelled array with traps: coordinates over both kinds of dims, without an index, scalar."""

    def make(values: Any, name: str = "Raw_Data", units: str = "V") -> xr.DataArray:
        sizes = dict(zip(("Y", "X", "Cycle", "Bias"), values.shape, strict=True))
        coords: dict[str, Any] = {d: (d, np.arange(n) * 0.5, {"units": "m"}) for d, n in sizes.items() if d != "Bias"}
        data = xr.DataArray(values, coords, tuple(sizes), name, {"units": units, "long_name": "Current", "other": "x"})
        bias = xr.Variable("Bias", np.abs(np.linspace(-1, 1, sizes["Bias"])), {"units": "V"})
        data = data.assign_coords(xr.Coordinates({"Bias": bias}, indexes={}))
        data = data.assign_coords(
            time=(("Y", "Bias"), np.arange(sizes["Y"] * sizes["Bias"], dtype=float).reshape(sizes["Y"], -1)), field=3.0
        )
        return usidx.set_roles(data, position=["Y", "X"], spectroscopic=["Cycle", "Bias"])

    return make


@pytest.fixture(params=["held", "streamed"])
def iteration(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Lazy arrays held during an iteration, and read anew in each pass."""
    if request.param == "streamed":
        monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    return str(request.param)
