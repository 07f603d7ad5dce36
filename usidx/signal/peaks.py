"""Spectra -> their peaks: where, how high, how wide."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.label import units
from usidx.label.blockwise import Output, along
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_axis, read_steps, refuse_complex

__all__ = ["find_peaks"]

Array = npt.NDArray[Any]
_FIGURES: Final = ("position", "position_stderr", "height", "height_stderr", "width", "prominence", "area")
_NOISE: Final = 5.0  # standard deviations
_PER_MAD: Final = 1.4826
_SECOND: Final = 6.0**0.5  # of the noise, in second differences


@verb()
def find_peaks(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    prominence: float | Literal["noise"] | None = None,
    height: float | None = None,
    width: float | None = None,
    distance: float | None = None,
    n: int | None = None,
    sigma: float | None = None,
) -> xr.Dataset:
    """Find the peaks of each spectrum, and where they lie between the samples.

    A lazy array stays lazy where `n` is given; without it the peaks are counted first, in a pass over the data.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real. A spectrum with a sample that is not finite has no peaks.
    dim : str, optional
        By default the only spectroscopic one.
    prominence : float or "noise", optional
        How far a peak stands out above the ground between it and higher ones, at least; ``"noise"``: five standard
        deviations of the noise.
    height : float, optional
        At least.
    width, distance : float, optional
        Full width at half the prominence, and distance from a higher peak, at least; in the unit of the coordinate.
    n : int, optional
        Most peaks of a spectrum: the most prominent are kept. By default all.
    sigma : float, optional
        Standard deviation of the noise; by default that of each spectrum, from its second differences.

    Returns
    -------
    Dataset, dims (*any, peak)
        In the order of the coordinate, NaN where a spectrum has fewer: ``position``, ``height``, ``width``,
        ``prominence``, ``area``, and ``position_stderr``, ``height_stderr`` for the noise.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UnitsError
        The coordinate has no finite numbers; or `width` or `distance` is given and its steps differ.
    UsidError
        `n` is no number of peaks, or the data is complex.

    Notes
    -----
    Which samples are peaks is found as by `scipy.signal.find_peaks`. Position and height are those of the parabola
    through the highest sample and the two beside it. The area is what lies above the foot of the peak, which is its
    height less its prominence, as far as the valleys to the peaks beside it.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> shift = xr.DataArray(np.arange(200.0), dims="Raman", attrs={"units": "1/cm"})
    >>> line = 5 * np.exp(-(((shift - 80.3) / 9) ** 2))
    >>> found = usidx.signal.find_peaks(line.assign_coords(Raman=shift), prominence=1.0)
    >>> found.position.round(2).values, found.position.units
    (array([80.3]), '1/cm')
    """
    refuse_complex(data)
    name = choose_dim(data, dim)
    place, unit = read_steps(data, name)
    step = 1.0 if width is None and distance is None else abs(read_axis(data, name).step)
    limits = {"height": height, "distance": None if distance is None else max(distance / step, 1.0),
              "width": 0.0 if width is None else width / step}  # fmt: skip
    find = partial(_find_all, place=place, limits=limits, prominence=prominence, sigma=sigma)
    if n is None:
        count = Output(dims=(), dtype=np.int64)
        n = max(1, int(along(data, name, partial(_count, find=find), count).max())) if data.size else 1
    if not isinstance(n, int | np.integer) or n < 1:
        raise UsidError(f"n={n!r}; it should be a number of peaks, 1 or more.")
    outputs = {f: _describe(f, data, unit, int(n)) for f in _FIGURES}
    found = along(data, name, partial(_measure, find=find, n=int(n)), outputs)
    return add_choices(found.assign_coords(peak=np.arange(int(n))), dim=name)


def _describe(figure: str, data: xr.DataArray, unit: str | None, n: int) -> Output:
    known = data.attrs.get("units") if isinstance(data.attrs.get("units"), str) else None
    own = unit if figure.startswith(("position", "width")) else known
    if figure == "area":
        own = None if unit is None or known is None else units.multiply(known, unit)
    title = figure.removesuffix("_stderr").title()
    attrs = {"long_name": f"Standard Error of {title}" if figure.endswith("_stderr") else title}
    return Output(
        dims=("peak",), sizes={"peak": n}, dtype=np.float64, attrs=attrs | ({} if own is None else {"units": own})
    )


def _count(block: Array, *, find: Any) -> Array:
    rows = block.reshape(-1, block.shape[-1])
    return np.array([len(find(row)) for row in rows], np.int64).reshape(block.shape[:-1])


def _measure(block: Array, *, find: Any, n: int) -> tuple[Array, ...]:
    rows = block.reshape(-1, block.shape[-1])
    made = np.full((len(rows), n, len(_FIGURES)), np.nan)
    for out, row in zip(made, rows, strict=True):
        found = find(row)
        if len(found) > n:
            found = found[np.sort(np.argsort(-found[:, _FIGURES.index("prominence")], kind="stable")[:n])]
        out[: len(found)] = found
    whole = made.reshape(*block.shape[:-1], n, len(_FIGURES))
    return tuple(np.ascontiguousarray(whole[..., k]) for k in range(len(_FIGURES)))


def _find_all(row: Array, *, place: Array, limits: dict[str, Any], prominence: Any, sigma: float | None) -> Array:
    """Return the figures of all peaks of a spectrum, shape (peak, figure)."""
    from scipy.signal import find_peaks as find_samples
    from scipy.signal import peak_widths

    if not np.isfinite(row).all():
        return np.empty((0, len(_FIGURES)))
    y, x = (row, place) if place[-1] >= place[0] else (row[::-1], place[::-1])
    y = y.astype(np.float64)
    noise = _estimate_noise(y) if sigma is None else float(sigma)
    least = _NOISE * noise if prominence == "noise" else prominence or 0.0
    at, found = find_samples(y, prominence=least, **limits)
    feet = found["prominences"], found["left_bases"], found["right_bases"]
    low, high = peak_widths(y, at, 1.0, feet)[2:] if at.size else (at, at)
    index = np.arange(y.size)
    ends = [np.interp(found[f"{side}_ips"], index, x) for side in ("left", "right")]
    # Of two peaks each ends at the lowest sample between them.
    valleys = [a + float(np.argmin(y[a : b + 1])) for a, b in pairwise(at)]
    low, high = np.maximum(low, [-np.inf, *valleys][: at.size]), np.minimum(high, [*valleys, np.inf][: at.size])
    areas = [_integrate(y, x, peak) for peak in zip(y[at] - feet[0], low, high, strict=True)]
    return np.stack([*_refine(y, x, at, noise), ends[1] - ends[0], feet[0], np.array(areas, np.float64)], axis=1)


def _estimate_noise(y: Array) -> float:
    if y.size < 3:
        return 0.0
    bends = np.diff(y, 2)
    return float(_PER_MAD * np.median(np.abs(bends - np.median(bends))) / _SECOND)


def _refine(y: Array, x: Array, at: Array, noise: float) -> tuple[Array, Array, Array, Array]:
    """Return position and height of the parabolas through three samples, each with its standard error."""
    before, top, after = y[at - 1], y[at], y[at + 1]
    tilt, bend = before - after, before - 2 * top + after
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(bend < 0, tilt / bend, 0.0)
        spread = np.sqrt((1 - ratio) ** 2 + (1 + ratio) ** 2 + 4 * ratio**2) / (2 * np.abs(bend))
    beside = 2 * ratio, ratio**2
    lifts = np.stack([-(beside[0] - beside[1]) / 8, (beside[0] + beside[1]) / 8, 1 - beside[1] / 4])
    index = np.arange(y.size)
    step = 0.5 * (x[at + 1] - x[at - 1])
    position = np.interp(at + ratio / 2, index, x)
    return position, noise * spread * step, top - tilt * ratio / 8, noise * np.sqrt((lifts**2).sum(axis=0))


def _integrate(y: Array, x: Array, peak: tuple[float, float, float]) -> float:
    """Return the area above the foot, between where the spectrum crosses it."""
    foot, low, high = peak
    inside = np.arange(int(np.ceil(low)), int(np.floor(high)) + 1)
    at = np.concatenate([[low], inside, [high]])
    index = np.arange(y.size)
    return float(np.trapezoid(np.interp(at, index, y) - foot, np.interp(at, index, x)))
