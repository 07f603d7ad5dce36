"""Patterns -> where the beam hits the detector."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.frame import Frame, Pixels, name_pair, read_frame
from usidx.diffraction.patterns import average
from usidx.errors import UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb

__all__ = ["find_center"]

Array = npt.NDArray[Any]
_EDGE: Final = 0.25, 0.75  # of the way from dark to bright: between these the edge of a disk counts in part


@verb("Beam_Center")
def find_center(
    data: xr.DataArray,
    method: Literal["disk", "mass", "inversion"] = "disk",
    *,
    mask: Pixels | None = None,
    dims: Dims | None = None,
) -> xr.Dataset:
    """Find where the beam hits the detector, from the mean pattern.

    A lazy array stays lazy and is read once. What is returned can be handed on as `center` to the other verbs.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, or their mean.
    method : {"disk", "mass", "inversion"}
        The middle of the bright disk; the center of mass of everything; or the point about which the pattern is most
        like itself turned by 180 degrees, where there is no disk but a pattern of spots or rings: this needs an even
        axis, and a center that is not far from the middle of the detector.
    mask : DataArray or ndarray of bool, optional
        Over dims among those of `data`, or of the detector's shape: true where cells are left out.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    Dataset
        `y` and `x`, numbers in the units of the detector's coordinates; of "disk" its `radius`, too. Of a pattern that
        was taken at a `y` and `x`, they are `center_y` and `center_x`.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or the mask has other pixels.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        There is no such method, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32), center=(1.5, -2.0))
    >>> found = usidx.diffraction.find_center(scan)
    >>> bool(abs(found.y - 1.5) < 0.2), bool(abs(found.x + 2.0) < 0.2)
    (True, True)
    """
    if method not in _METHODS:
        raise UsidError(f"method={method!r}; it should be one of {', '.join(_METHODS)}.")
    frame = read_frame(data, dims)
    mean = average(data, mask, frame)
    names = (*name_pair(mean, frame, "center_"), *(["radius"] if method == "disk" else []))
    outputs = {n: Output(dims=(), dtype=np.float64, attrs=_make_attrs(n, frame)) for n in names}
    found = along(mean, frame.dims, partial(_METHODS[method], frame=frame), outputs)
    return add_choices(found, dims=list(frame.dims))


def _make_attrs(name: str, frame: Frame) -> dict[str, str]:
    if name == "radius":
        long_name, unit = "Radius of the disk", frame.find_unit()
    else:
        long_name, unit = f"Center along {name[-1]}", frame.units["yx".index(name[-1])]
    return {"long_name": long_name, **({} if unit is None else {"units": unit})}


def _find_mass(pattern: Array, frame: Frame) -> tuple[Any, Any]:
    weights = np.where(np.isfinite(pattern), pattern, 0.0).astype(np.float64)
    total = weights.sum() or np.nan
    return (weights.sum(axis=1) @ frame.y) / total, (weights.sum(axis=0) @ frame.x) / total


def _find_disk(pattern: Array, frame: Frame) -> tuple[Any, Any, Any]:
    from scipy.ndimage import median_filter

    known = np.isfinite(pattern)
    if not known.any():
        return (np.nan,) * 3
    # Single hot pixels do not say what is bright.
    level = median_filter(np.where(known, pattern, np.min(pattern[known])), 3, mode="nearest")
    bright = level[level > (level.max() + level.min()) / 2]
    height = (np.median(bright) if bright.size else level.max()) - level.min()
    part = (level - level.min()) / height if height else np.zeros_like(level)
    inside = np.clip((part - _EDGE[0]) / (_EDGE[1] - _EDGE[0]), 0, 1)
    y, x = _find_mass(inside, frame)
    area = float(np.abs(np.gradient(frame.y)).mean() * np.abs(np.gradient(frame.x)).mean()) if _is_area(frame) else 1.0
    return y, x, np.sqrt(inside.sum() * area / np.pi)


def _is_area(frame: Frame) -> bool:
    return min(frame.shape) > 1


def _find_inversion(pattern: Array, frame: Frame) -> tuple[Any, Any]:
    """Return the point of inversion: half of where the pattern, folded with itself, is largest."""
    import scipy.fft

    known = np.isfinite(pattern)
    if not known.any():
        return np.nan, np.nan
    level = np.where(known, pattern - pattern[known].mean(), 0.0)
    size = [scipy.fft.next_fast_len(2 * n, real=True) for n in frame.shape]
    folded = scipy.fft.irfft2(scipy.fft.rfft2(level, size) ** 2, s=size)[
        : 2 * frame.shape[0] - 1, : 2 * frame.shape[1] - 1
    ]
    at = np.unravel_index(int(np.argmax(folded)), folded.shape)
    places = [(k + _find_summit(np.take(folded, at[1 - n], axis=1 - n), int(k))) / 2 for n, k in enumerate(at)]
    return tuple(np.interp(p, np.arange(c.size), c) for p, c in zip(places, (frame.y, frame.x), strict=True))  # type: ignore[return-value]


def _find_summit(line: Array, at: int) -> float:
    """Return how far beside a sample the parabola through it and its neighbours is highest."""
    if not 0 < at < line.size - 1:
        return 0.0
    before, here, after = line[at - 1 : at + 2]
    bend = before - 2 * here + after
    return float((before - after) / (2 * bend)) if bend < 0 else 0.0


_METHODS: Final = {"disk": _find_disk, "mass": _find_mass, "inversion": _find_inversion}
