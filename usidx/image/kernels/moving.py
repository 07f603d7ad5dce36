"""Images -> the same at places between their samples, by splines whose weights are the same everywhere."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["METHODS", "find_coefficients", "move", "move_coefficients"]

Array = npt.NDArray[Any]
METHODS: Final = ("cubic", "linear", "nearest")
_ROUNDING: Final = 1e-9


def find_coefficients(images: Array) -> Array:
    """Return the coefficients of the cubic splines through images, (*any, y, x), all finite."""
    from scipy.ndimage import spline_filter1d

    found = images
    for axis in (-2, -1):
        if found.shape[axis] > 2:
            # A ufunc of whole arrays: SciPy makes float64 of what it is not told about.
            kind = np.complex128 if images.dtype.kind == "c" else np.float64
            found = spline_filter1d(found, 3, axis=axis, output=kind, mode="mirror")
    return np.asarray(found)


def move_coefficients(coefficients: Array, by: tuple[float, float]) -> Array:
    """Return the values of a spline of one image at so much beyond each sample; beyond the ends it is mirrored."""
    return _take(_take(coefficients, by[0], 0, _weigh_cubic), by[1], 1, _weigh_cubic)


def _weigh_cubic(t: float) -> tuple[int, tuple[float, ...]]:
    """Return the place of the first of four coefficients, from the sample before, and their weights."""
    return -1, ((1 - t) ** 3 / 6, (4 - 6 * t**2 + 3 * t**3) / 6, (1 + 3 * t + 3 * t**2 - 3 * t**3) / 6, t**3 / 6)


def _weigh_linear(t: float) -> tuple[int, tuple[float, ...]]:
    return 0, (1 - t, t)


def _weigh_nearest(t: float) -> tuple[int, tuple[float, ...]]:
    return int(t >= 0.5), (1.0,)


_WEIGHTS: Final = {"linear": _weigh_linear, "nearest": _weigh_nearest}


def _take(image: Array, by: float, axis: int, weigh: Any) -> Array:
    size = image.shape[axis]
    whole = int(np.floor(by + _ROUNDING))
    first, weights = weigh(max(by - whole, 0.0))
    if size < 3 and len(weights) > 2:  # too short to be a spline
        first, weights = _weigh_linear(max(by - whole, 0.0))
    found: Array | None = None
    for number, weight in enumerate(weights):
        if weight == 0:
            continue
        rows = _mirror(np.arange(size) + whole + first + number, size)
        part = weight * np.take(image, rows, axis=axis)
        found = part if found is None else found + part
    assert found is not None
    return found


def _mirror(places: Array, size: int) -> Array:
    """Return places within an axis, those beyond its ends thrown back."""
    period = max(2 * (size - 1), 1)
    within = np.abs(places) % period
    return np.minimum(within, period - within) if size > 1 else np.zeros_like(places)


def _is_inside(size: int, by: float) -> Array:
    places = np.arange(size) + by
    return np.asarray((places >= -1e-6) & (places <= size - 1 + 1e-6))


def move(image: Array, by: tuple[float, float], *, method: str = "cubic", fill: Any = np.nan) -> Array:
    """Return one image at so many samples beyond each sample.

    Parameters
    ----------
    image : ndarray, shape (y, x)
        Of floating numbers; what a missing sample takes part in is missing.
    by : pair of float
        Finite.
    method : {"cubic", "linear", "nearest"}
        By whole numbers of samples it is copied, whatever the method.
    fill : number
        For what comes from beyond the ends.
    """
    nearest = (float(np.rint(by[0])), float(np.rint(by[1])))
    if abs(nearest[0] - by[0]) + abs(nearest[1] - by[1]) < _ROUNDING:
        by, method = nearest, "nearest"
    found = _interpolate(image, by, method)
    inside = _is_inside(image.shape[0], by[0])[:, np.newaxis] & _is_inside(image.shape[1], by[1])
    return np.where(inside, found, fill).astype(image.dtype, copy=False)


def _interpolate(image: Array, by: tuple[float, float], method: str) -> Array:
    if method != "cubic":
        weigh = _WEIGHTS[method]
        return _take(_take(image, by[0], 0, weigh), by[1], 1, weigh)
    missing = ~np.isfinite(image)
    if not missing.any():
        return move_coefficients(find_coefficients(image), by)
    # A spline through what is missing would miss everything, so it goes through the nearest sample there is.
    found = move_coefficients(find_coefficients(fill_nearest(image, missing)), by)
    touched = _take(_take(missing.astype(np.float64), by[0], 0, _weigh_linear), by[1], 1, _weigh_linear)
    return np.where(touched > _ROUNDING, np.nan, found)


def fill_nearest(image: Array, missing: Array) -> Array:
    """Return an image with each missing sample replaced by the nearest that is not; 0 where there is none."""
    from scipy.ndimage import distance_transform_edt

    if missing.all():
        return np.zeros_like(image)
    places = distance_transform_edt(missing, return_distances=False, return_indices=True)
    return np.asarray(image[tuple(places)])
