"""Spectra of energy losses -> the same without the power law before an edge."""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError
from usidx.label.blockwise import along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_steps, refuse_complex
from usidx.signal.rows import blank_missing, map_rows
from usidx.signal.scaling import find_inside

__all__ = ["remove_power_law"]

Array = npt.NDArray[Any]
_ROUNDS: Final = 20


@verb()
def remove_power_law(data: xr.DataArray, window: tuple[float, float] | slice, dim: str | None = None) -> xr.DataArray:
    """Fit a power law to a range before an edge, and take it off.

    A lazy array stays lazy. A spectrum with a sample that is not finite becomes NaN, as does what lies at losses of 0
    and below, where there is no power law.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real; its coordinate is the energy loss.
    window : (low, high)
        Range of the coordinate before the edge, both ends included, above 0.
    dim : str, optional
        By default the only spectroscopic one.

    Returns
    -------
    DataArray
        As `data`, floating.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    SelectionError
        There are fewer than two samples above 0 in the range.
    UsidError
        The data is complex.

    Notes
    -----
    :math:`A E^{-r}` is fitted to the data itself, each sample weighted as counts are, not to its logarithm, which
    low and negative counts would bias.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> loss = xr.DataArray(np.arange(200.0, 400.0), dims="Loss")
    >>> edge = xr.where(loss > 284, 50.0, 0.0)
    >>> spectrum = (1e9 * loss**-3 + edge).assign_coords(Loss=loss)
    >>> found = usidx.signal.remove_power_law(spectrum, (210, 280), "Loss")
    >>> bool(abs(found - edge).max() < 1e-6)
    True
    """
    refuse_complex(data)
    name = choose_dim(data, dim)
    place, _ = read_steps(data, name)
    inside = find_inside(place, window, name) & (place > 0)
    if inside.sum() < 2:
        raise SelectionError(f"window={window!r} has {inside.sum()} samples of {name!r} above 0; 2 or more are needed.")
    return add_choices(along(data, name, partial(_remove, place=place, inside=inside)), dim=name)


def _remove(block: Array, *, place: Array, inside: Array) -> Array:
    middle = float(np.exp(np.log(place[inside]).mean()))
    ratio = np.log(np.where(place > 0, place, np.nan) / middle)

    def run(rows: Array) -> Array:
        height, power = _fit(rows[:, inside].astype(np.float64), ratio[inside])
        law = height[:, np.newaxis] * np.exp(-power[:, np.newaxis] * ratio)
        return blank_missing((rows - law).astype(rows.dtype, copy=False), rows, where=place > 0)

    return map_rows(run, block)


def _fit(rows: Array, ratio: Array) -> tuple[Array, Array]:
    """Return height at ratio 0 and power of each row: weighted steps of Gauss and Newton from the logarithms."""
    with np.errstate(all="ignore"):
        logs, weight = np.log(np.maximum(rows, 1e-3 * np.abs(rows).max(axis=1, keepdims=True))), np.abs(rows)
        mean_x = (weight * ratio).sum(axis=1) / weight.sum(axis=1)
        mean_y = (weight * logs).sum(axis=1) / weight.sum(axis=1)
        apart = ratio - mean_x[:, np.newaxis]
        power = -(weight * apart * logs).sum(axis=1) / (weight * apart**2).sum(axis=1)
        height = np.exp(mean_y + power * mean_x)
        for _ in range(_ROUNDS):
            shape = np.exp(-power[:, np.newaxis] * ratio)
            law = height[:, np.newaxis] * shape
            weight, left = 1 / law, rows - law
            # Relative changes of the height, and changes of the power.
            a, b, c = (np.sum(law * law * weight * ratio**n, axis=1) for n in range(3))
            u, v = (np.sum(law * left * weight * ratio**n, axis=1) for n in range(2))
            det = a * c - b * b
            grow, turn = (c * u - b * v) / det, (a * v - b * u) / det
            height, power = height * np.exp(np.clip(grow, -1, 1)), power - np.clip(turn, -5, 5)
            if not (np.abs(grow) + np.abs(turn) > 1e-12).any():
                break
    empty = ~rows.any(axis=1)
    return np.where(empty, 0.0, height), np.where(empty, 0.0, power)
