"""Hysteresis loops with known truth, by the published equations in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy.special import erf

Array = npt.NDArray[Any]

#: The paper's parameters in order, by the names they have here.
NAMES = (
    "r_minus", "switchable_polarization", "v_minus", "v_plus", "slope",
    "falling_width_below", "falling_width_above", "rising_width_below", "rising_width_above",
)  # fmt: skip


def triangle(steps: int, highest: float = 8.0) -> Array:
    """One cycle of voltage: 0, highest, -highest, back to 0."""
    return highest * (4 * np.abs((np.arange(steps) / steps - 0.25) % 1 - 0.5) - 1)


def is_rising(steps: int) -> Array:
    """Say which samples of `triangle` lie on the rising branch."""
    turn = np.arange(steps) / steps
    return (turn < 0.25) | (turn >= 0.75)


def loops(voltage: Array, up: Array, parameters: Array, step: float = 1000.0) -> Array:
    """Return (*other, sample) of parameters (*other, 9): S. Jesse et al., RSI 77, 073702 (2006)."""
    a0, a1, a2, a3, a4, b0, b1, b2, b3 = np.moveaxis(parameters, -1, 0)[..., None]

    def branch(center: Array, below: Array, above: Array) -> Any:
        g = (above - below) / 2 * (erf((voltage - center) * step) + 1) + below
        return (g * erf((voltage - center) / g) + below) / (below + above)

    found: Array = a0 + a1 * np.where(up, branch(a3, b2, b3), branch(a2, b0, b1)) + a4 * voltage
    return found


def draw(shape: tuple[int, ...], seed: int, widths: tuple[float, float] = (0.5, 2.0)) -> Array:
    """Draw parameters (*shape, 9) of loops about 2 high, that switch between 1 and 4 V."""
    rng = np.random.default_rng(seed)
    ranges = [(-1.2, -0.8), (1.6, 2.4), (-4, -1), (1, 4), (-0.02, 0.02), *[widths] * 4]
    return np.stack([rng.uniform(*r, shape) for r in ranges], axis=-1)


def coordinates(**values: tuple[Any, str, str]) -> xr.Coordinates:
    """Make coordinates of name=(values, role, units), without an index, for voltages repeat."""
    made = {}
    for name, (numbers, role, units) in values.items():
        made[name] = xr.Variable((name,), numbers, {"usid_role": role, "units": units, "long_name": name})
    return xr.Coordinates(made, indexes={})


def scan(
    shape: tuple[int, int] = (5, 6), steps: int = 64, noise: float = 0.02, seed: int = 0, widths: Any = (0.5, 2.0)
) -> tuple[xr.DataArray, Array]:
    """Return complex responses (Y, X, DC_Offset) in pm, each turned and moved off its line, and the truth."""
    truth, rng = draw(shape, seed, widths), np.random.default_rng(seed + 1)
    clean = loops(triangle(steps), is_rising(steps), truth)
    noisy = clean + 0.4j + noise * (rng.normal(size=clean.shape) + 1j * rng.normal(size=clean.shape))
    turned = noisy * np.exp(1j * rng.uniform(-np.pi, np.pi, (*shape, 1)))
    coords = coordinates(
        Y=(np.arange(shape[0]) * 1e-7, "position", "m"),
        X=(np.arange(shape[1]) * 1e-7, "position", "m"),
        DC_Offset=(triangle(steps), "spectroscopic", "V"),
    )
    attrs = {"units": "pm", "long_name": "Response"}
    return xr.DataArray(turned, dims=("Y", "X", "DC_Offset"), coords=coords, attrs=attrs, name="response"), truth
