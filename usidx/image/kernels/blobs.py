"""Images -> bright round spots in them: how wide they are, and where they are brightest; pixels throughout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.errors import UsidError

__all__ = ["Blobs", "Width", "estimate_noise", "estimate_width", "fill_missing", "find_blobs", "measure_width"]

Array = npt.NDArray[Any]
#: Widths of a spot along lines and columns.
Width = tuple[float, float]
_NOISE: Final = 5.0  # standard deviations
_FAINTEST: Final = 0.1  # of the brighter ones
_NOISY: Final = 0.25  # of the brighter ones: a higher floor is that of noise which is still there
_BESIDE: Final = 4.0  # widths from a spot, where its response has ended
_FEW_DIPS: Final = 10
_ABOVE_DIPS: Final = 1.5  # the largest of some hundred bumps, beside the deepest of as many dips
_PER_MAD: Final = 1.4826
_CORNERS: Final = ((1, -2, 1), (-2, 4, -2), (1, -2, 1))  # blind to what is smooth; noise comes out six times as large
_FINE: Final = (0.5, 0.7)  # of the width, where the noise allows it: what lies close is told apart
_SAMPLED: Final = 400  # spots from which a width is measured
_CROP: Final = 1024  # pixels a side from which it is estimated


@dataclass(frozen=True, slots=True)
class Blobs:
    """Spots, all arrays of shape (spot,).

    Attributes
    ----------
    y, x : ndarray
        Where, in pixels.
    height, ground : ndarray
        Of a Gaussian of the width that was looked for, and what lies below it.
    """

    y: Array
    x: Array
    height: Array
    ground: Array

    def take(self, which: Array) -> Blobs:
        """Return some of them."""
        return Blobs(self.y[which], self.x[which], self.height[which], self.ground[which])


def fill_missing(image: Array) -> Array:
    """Return the image with the nearest finite pixel in place of each that is not finite; zeros where there is none."""
    from scipy.ndimage import distance_transform_edt

    missing = ~np.isfinite(image)
    if not missing.any():
        return image
    if missing.all():
        return np.zeros_like(image)
    at = distance_transform_edt(missing, return_distances=False, return_indices=True)
    filled: Array = image[tuple(at)]
    return filled


def estimate_noise(image: Array) -> float:
    """Return the standard deviation of white noise, from what is left of a filled image by second differences."""
    from scipy.ndimage import correlate

    if min(image.shape) < 3:
        return 0.0
    rough = correlate(image, np.array(_CORNERS, image.dtype) / 6)[1:-1, 1:-1]
    seen = np.abs(rough[rough != 0])  # parts that are flat, cut out or saturated, tell nothing of the noise
    noise = float(_PER_MAD * np.median(seen)) if seen.size else 0.0
    # Whole counts and flat parts have no noise that this sees; rounding has.
    return max(noise, 1e-6 * float(np.ptp(image)), float(np.finfo(np.float32).eps) * float(np.abs(image).max()))


def _respond(image: Array, scale: Width) -> Array:
    """Return minus the Laplacian of the smoothed image, scaled: 2 s^2 w^2 / (s^2 + w^2)^2 on a spot of width w."""
    from scipy.ndimage import gaussian_filter

    down = scale[0] ** 2 * gaussian_filter(image, scale, order=(2, 0), mode="nearest")
    across = scale[1] ** 2 * gaussian_filter(image, scale, order=(0, 2), mode="nearest")
    found: Array = -down - across
    return found


def _measure_gain(scale: float, width: float) -> float:
    return 2 * (scale * width / (scale**2 + width**2)) ** 2


def _find_maxima(response: Array, least: float) -> Array:
    """Return the pixels, shape (spot, 2), that are above all beside them and no less than so much; none at the edge."""
    from scipy.ndimage import maximum_filter

    peaks = (response == maximum_filter(response, 3, mode="nearest")) & (response > least)
    peaks[[0, -1]] = False
    peaks[:, [0, -1]] = False
    return np.argwhere(peaks)


def find_blobs(image: Array, width: Width, least: float | None) -> Blobs:
    """Return the spots of a width, in the order of their lines.

    Parameters
    ----------
    image : ndarray, shape (line, column)
        Spots whose brightest pixel is not finite are left out.
    width : pair of float
        Of the spots that are looked for.
    least : float, optional
        How high a spot is at least; by default five standard deviations of the noise, and a tenth of the brighter ones.

    Returns
    -------
    Blobs
    """
    from scipy.ndimage import gaussian_filter

    filled = fill_missing(image).astype(np.float64, copy=False)
    noise = estimate_noise(filled)
    level = float(np.median(filled))  # the weights of narrow derivatives do not quite add up to 0
    filled = filled - level
    factor = 1.0 if least is not None else _choose_fineness(filled, width, noise)
    scale, gain = (factor * width[0], factor * width[1]), _measure_gain(factor, 1.0)
    response = _respond(filled, scale)
    floor = _NOISE * noise / np.sqrt(2 * np.pi * scale[0] * scale[1]) if least is None else gain * least
    at = _find_maxima(response, floor)
    if least is None and len(at):
        at = at[response[tuple(at.T)] >= _find_faintest(response, at, floor, width)]
    at = _drop_doubles(at[np.isfinite(image[tuple(at.T)])], response, scale)
    height = response[tuple(at.T)] / gain
    smooth = gaussian_filter(filled, scale, mode="nearest")[tuple(at.T)]
    y, x = _refine_maxima(response, at)
    return Blobs(y, x, height, level + smooth - height / (1 + factor**2))


def _find_faintest(response: Array, at: Array, floor: float, width: Width) -> float:
    """Return how strong a spot is at least: a tenth of the brighter ones, and more than ripples would be.

    Where an image was smoothed or cleaned pixels tell no noise, but what is left of it makes dips as deep as bumps are
    high; spots have none.
    """
    from scipy.spatial import cKDTree

    strong = response[tuple(at.T)]
    bright = float(np.quantile(strong, 0.9))
    least = _FAINTEST * bright
    if floor >= _NOISY * bright:  # noise decides, and is known
        return least
    dips = _find_maxima(-response, 0.0)
    spots = cKDTree(at[strong >= 0.5 * bright] / np.array(width))
    far = dips[spots.query(dips / np.array(width))[0] > _BESIDE] if len(dips) else dips
    if len(far) < _FEW_DIPS:
        return least
    deepest = float(-response[tuple(far.T)].min())
    return max(least, min(_ABOVE_DIPS * deepest, 0.5 * bright))


def _choose_fineness(image: Array, width: Width, noise: float) -> float:
    """Return the scale to look at, in parts of the width: a fine one where spots stand far out of the noise."""
    response = _respond(image, width)
    at = _find_maxima(response, _NOISE * noise / np.sqrt(2 * np.pi * width[0] * width[1]))
    if not len(at):
        return 1.0
    bright = float(np.median(response[tuple(at.T)])) / _measure_gain(1.0, 1.0)
    for fine in _FINE:
        floor = 3 * _NOISE * noise / np.sqrt(2 * np.pi * width[0] * width[1]) / fine
        if bright * _measure_gain(fine, 1.0) > floor:
            return fine
    return 1.0


def _drop_doubles(at: Array, response: Array, scale: Width) -> Array:
    """Leave out spots that are as good as at the place of a brighter one: flat tops have several maxima."""
    from scipy.spatial import cKDTree

    if len(at) < 2:
        return at
    kept = np.ones(len(at), bool)
    strong = response[tuple(at.T)]
    for i, j in sorted(cKDTree(at / np.array(scale)).query_pairs(1.0)):
        if kept[i] and kept[j]:
            kept[j if strong[i] >= strong[j] else i] = False
    return at[kept]


def _refine_maxima(response: Array, at: Array) -> tuple[Array, Array]:
    """Return the tops of the parabolas through each maximum and the pixels beside it."""
    found = []
    for axis in (0, 1):
        beside = np.eye(2, dtype=int)[axis]
        before, top, after = (response[tuple((at + k * beside).T)] for k in (-1, 0, 1))
        bend = before - 2 * top + after
        shift = np.divide(before - after, 2 * bend, out=np.zeros_like(top), where=bend < 0)
        found.append(at[:, axis] + np.clip(shift, -0.5, 0.5))
    return found[0], found[1]


def estimate_width(image: Array, ratio: float, name: str) -> Width:
    """Return the width of most spots of an image.

    Parameters
    ----------
    image : ndarray, shape (line, column)
    ratio : float
        How much wider they are along columns than along lines, in pixels.
    name : str
        Of the image, for the message.

    Returns
    -------
    pair of float

    Raises
    ------
    UsidError
        There is nothing that looks like a spot.
    """
    cut = tuple(slice(max(0, (n - _CROP) // 2), max(0, (n - _CROP) // 2) + _CROP) for n in image.shape)
    filled = fill_missing(image[cut]).astype(np.float64, copy=False)
    parts = np.array([1 / np.sqrt(ratio), np.sqrt(ratio)])
    noise = estimate_noise(filled)
    filled = filled - float(np.median(filled))
    small, shrunk, best = filled, 1, (0.0, (0.0, 0.0))
    while min(small.shape) >= 8:
        for step in (1.0, np.sqrt(2)):
            strong = _list_strengths(small, (step * parts[0], step * parts[1]), noise)
            if strong.size:
                scale = (shrunk * step * parts[0], shrunk * step * parts[1])
                best = max(best, (float(strong.sum()), scale))
        small, noise, shrunk = _halve(small), noise / 2, 2 * shrunk
    if best[0] <= 0:
        raise UsidError(f"Nothing in {name} stands out of the noise as an atom would. Name their width by sigma=.")
    found = best[1]
    for _ in range(3):  # narrower once the atoms of pairs are told apart, which shows them better
        spots = find_blobs(filled, found, None)
        before, found = found, measure_width(filled, spots.y, spots.x, found) if spots.y.size else found
        if abs(found[0] / before[0] - 1) < 0.05:
            break
    return found


def _list_strengths(image: Array, scale: Width, noise: float) -> Array:
    """Return the responses of all spots that stand out of the noise at a scale."""
    response = _respond(image, scale)
    at = _find_maxima(response, _NOISE * noise / np.sqrt(2 * np.pi * scale[0] * scale[1]))
    strong: Array = response[tuple(at.T)]
    return strong


def _halve(image: Array) -> Array:
    """Return the means of two by two pixels."""
    high, wide = image.shape[0] // 2, image.shape[1] // 2
    halved: Array = image[: 2 * high, : 2 * wide].reshape(high, 2, wide, 2).mean(axis=(1, 3))
    return halved


def measure_width(image: Array, y: Array, x: Array, guess: Width) -> Width:
    """Return the width of the spots at given places, of which all are thought to be alike: that of the mean spot."""
    from scipy.optimize import minimize_scalar
    from scipy.spatial import cKDTree

    some = np.linspace(0, len(y) - 1, min(len(y), _SAMPLED)).astype(int)
    scaled = np.stack([y / guess[0], x / guess[1]], axis=1)
    apart = np.median(cKDTree(scaled).query(scaled[some], 2)[0][:, 1]) if len(y) > 1 else np.inf
    reach = max(min(2.5, 0.5 * float(apart)), 1.5 / min(guess), 1.0)
    far, values = _collect_pixels(image, y[some], x[some], guess, reach)

    def tell_misfit(log_width: float) -> float:
        basis = np.stack([np.exp(-0.5 * far * np.exp(-2 * log_width)), np.ones_like(far)])
        normal, right = basis @ basis.T, basis @ values
        return float(values @ values - right @ np.linalg.lstsq(normal, right, rcond=None)[0])

    found = float(np.exp(minimize_scalar(tell_misfit, bounds=(-0.9, 0.9), method="bounded").x))
    return found * guess[0], found * guess[1]


def _collect_pixels(image: Array, y: Array, x: Array, scale: Width, reach: float) -> tuple[Array, Array]:
    """Return squares of the scaled distances from the nearest spot, and values, of the pixels around spots."""
    far, values = [], []
    high, wide = (int(np.ceil(reach * s)) + 1 for s in scale)
    for one, other in zip(y, x, strict=True):
        lines = np.arange(max(0, round(one) - high), min(image.shape[0], round(one) + high + 1))
        columns = np.arange(max(0, round(other) - wide), min(image.shape[1], round(other) + wide + 1))
        square = ((lines - one) / scale[0])[:, np.newaxis] ** 2 + ((columns - other) / scale[1]) ** 2
        inside = square <= reach**2
        far.append(square[inside])
        values.append(image[lines[0] : lines[-1] + 1, columns[0] : columns[-1] + 1][inside])
    return np.concatenate(far), np.concatenate(values)
