"""Simulated maps with known truth; the formulas here are written out anew, not taken from the package."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from tests.kit.truth import gaussian, oscillator

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]


def labelled(values: np.ndarray, truth: dict[str, np.ndarray], x: np.ndarray, units: str) -> tuple:  # type: ignore[type-arg]
    """Return a map with dims (Y, X, Energy) and its true parameters."""
    coords = {
        "Y": ("Y", np.arange(values.shape[0], dtype=float), {"usid_role": "position", "units": "m"}),
        "Energy": ("Energy", x, {"usid_role": "spectroscopic", "units": units, "long_name": "Energy"}),
    }
    data = xr.DataArray(
        values, dims=("Y", "X", "Energy"), coords=coords, attrs={"units": "V", "long_name": "Signal"}, name="Raw_Data"
    )
    return data, xr.Dataset({k: (("Y", "X"), v) for k, v in truth.items()})


@pytest.fixture
def peaks() -> Maker:
    """Return a maker of noisy Gaussian peaks on a constant."""

    def make(shape: tuple[int, int] = (8, 9), noise: float = 0.02, seed: int = 0, samples: int = 60) -> tuple:  # type: ignore[type-arg]
        rng = np.random.default_rng(seed)
        x = np.linspace(-5.0, 5.0, samples)
        ranges = {"amplitude": (1, 4), "center": (-2.5, 2.5), "sigma": (0.4, 1.2), "offset": (-1, 1)}
        truth = {name: rng.uniform(*limits, shape) for name, limits in ranges.items()}
        clean = gaussian(x, *(v[..., None] for v in truth.values()))
        return labelled(clean + noise * rng.normal(size=clean.shape), truth, x, "eV")

    return make


@pytest.fixture
def oscillators() -> Maker:
    """Return a maker of noisy complex resonances, in volts of 1e-5 over hertz of 3e5."""

    def make(shape: tuple[int, int] = (8, 9), noise: float = 2e-5, seed: int = 0, samples: int = 60) -> tuple:  # type: ignore[type-arg]
        rng = np.random.default_rng(seed)
        x = np.linspace(300e3, 340e3, samples)
        truth = {
            "amplitude": rng.uniform(1e-5, 4e-5, shape),
            "frequency": rng.uniform(312e3, 328e3, shape),
            "quality_factor": rng.uniform(40, 200, shape),
            "phase": rng.uniform(-3.1, 3.1, shape),
        }
        clean = oscillator(x, *(v[..., None] for v in truth.values()))
        both = rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape)
        return labelled(clean + noise * both, truth, x, "Hz")

    return make
