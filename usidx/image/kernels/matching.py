"""An image and a reference -> how far the one has moved from the other, between the samples, with the errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.image.kernels.moving import fill_nearest, find_coefficients, move_coefficients

__all__ = ["Frame", "Match", "Target", "prepare"]

Array = npt.NDArray[Any]
#: Samples: the gradient of a reference is that of one smoothed so, as far from its noise as from its details.
_SMOOTH: Final = 1.5
#: Samples beside an edge or a missing sample in which a spline is not to be trusted.
_MARGIN: Final = 2
#: Samples: with fewer nothing is said.
_FEWEST: Final = 16
_STEPS: Final = 20
_CLOSE: Final = 1e-4
#: Samples: farther from where the correlation is highest no step leads.
_FARTHEST: Final = 3.0
#: Below this part of the largest one, a direction shows nothing by which it could be told how far it has moved.
_FLAT: Final = 1e-6
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Match:
    """How far an image has moved, in samples; NaN where that cannot be told.

    Attributes
    ----------
    shift, variance : ndarray, shape (2,)
    """

    shift: Array
    variance: Array

    @classmethod
    def unknown(cls) -> Match:
        """Return that of an image that shows nothing."""
        return cls(np.full(2, np.nan), np.full(2, np.nan))


@dataclass(frozen=True, slots=True)
class Frame:
    """An image, ready to be looked at anywhere between its samples.

    Attributes
    ----------
    image : ndarray, shape (y, x)
        Around 0, without missing samples.
    counts : ndarray of bool
        Where samples are neither missing nor left out, nor beside such.
    coefficients : ndarray
        Of the spline.
    """

    image: Array
    counts: Array
    coefficients: Array

    def move_back(self, by: Array) -> tuple[Array, Array]:
        """Return the image that has moved so far as it was before, and where it is known."""
        return move_coefficients(self.coefficients, (float(by[0]), float(by[1]))), _move_counts(self.counts, by)


def prepare(image: Array, left_out: Array | None) -> Frame | None:
    """Return an image ready to be matched, None where it shows nothing."""
    from scipy.ndimage import binary_dilation

    missing = ~np.isfinite(image)
    missing = missing if left_out is None else missing | left_out
    if missing.all():
        return None
    given = fill_nearest(image, missing) if missing.any() else image
    given = given.astype(np.float64)
    counts = ~binary_dilation(missing, iterations=_MARGIN) if missing.any() else np.ones(image.shape, bool)
    edge = [min(_MARGIN, (n - 1) // 4) for n in image.shape]
    counts[: edge[0]] = counts[image.shape[0] - edge[0] :] = False
    counts[:, : edge[1]] = counts[:, image.shape[1] - edge[1] :] = False
    if not counts.any() or np.ptp(given[counts]) == 0:
        return None
    given = given - given[counts].mean()
    return Frame(given, counts, find_coefficients(given))


def _move_counts(counts: Array, by: Array) -> Array:
    """Return where both samples beside a place count, along both dims."""
    found = counts
    for axis in (0, 1):
        size, whole = counts.shape[axis], int(np.floor(by[axis] + _ROUNDING))
        places = np.arange(size) + whole
        within = ((places >= 0) & (places < size - (by[axis] > whole + _ROUNDING))).reshape(
            (-1, 1) if axis == 0 else (1, -1)
        )
        first = np.take(found, np.clip(places, 0, size - 1), axis=axis)
        second = np.take(found, np.clip(places + 1, 0, size - 1), axis=axis)
        found = first & second & within
    return found


@dataclass(frozen=True, slots=True)
class Target:
    """What images are matched with.

    Attributes
    ----------
    image : ndarray, shape (y, x)
        Around 0 where it is known.
    known : ndarray of bool
    """

    image: Array
    known: Array

    def search(self, frame: Frame, near: Array, most: Array) -> Array:
        """Return by how many whole samples the image has moved, at most so far from a first guess.

        What both show if the guess is right is cut out, faded towards its edges, and correlated.
        """
        from scipy.fft import irfft2, next_fast_len, rfft2

        guess = np.rint(near).astype(int)
        moved, known = frame.move_back(guess.astype(np.float64))
        both = known & self.known
        if not both.any():
            return near
        fade = _fade(both)
        shape = [next_fast_len(n + min(n, int(m) + 1), real=True) for n, m in zip(both.shape, most, strict=True)]
        first, second = (_centre(image, both) * fade for image in (self.image, moved))
        found = irfft2(np.conj(rfft2(first, shape)) * rfft2(second, shape), shape)
        lags = [np.arange(-min(int(m), n - 1), min(int(m), n - 1) + 1) for n, m in zip(both.shape, most, strict=True)]
        part = found[np.ix_(lags[0] % shape[0], lags[1] % shape[1])]
        row, column = np.unravel_index(np.argmax(part), part.shape)
        return np.asarray([guess[0] + lags[0][row], guess[1] + lags[1][column]], np.float64)

    def match(self, frame: Frame, start: Array) -> Match:
        """Return how far the image has moved, by steps of Gauss and Newton.

        Brightness and contrast are free. The equations are weighted by the gradients of a smoothed reference, which
        the noise of the image does not know of: so that they are right on the average, whatever the noise.
        """
        slopes = _find_slopes(self.image, self.known)
        found = np.array(start, np.float64)
        for _ in range(_STEPS):
            moved, known = frame.move_back(found)
            both = known & self.known
            if both.sum() < _FEWEST:
                return Match.unknown()
            step, spread, still = _solve(slopes, self.image, moved, both)
            found = np.clip(found - np.clip(step, -1, 1), start - _FARTHEST, start + _FARTHEST)
            if np.abs(step).max() < _CLOSE:
                break
        return Match(found, still / _keep_of_noise(found) * spread) if np.isfinite(found).all() else Match.unknown()


def _fade(both: Array) -> Array:
    """Return weights that fade from the middle of what is known to its edges, 0 elsewhere."""
    weights = [np.zeros(n) for n in both.shape]
    for axis, one in enumerate(weights):
        (within,) = np.nonzero(both.any(axis=1 - axis))
        size = within[-1] - within[0] + 1
        one[within[0] : within[-1] + 1] = np.hanning(size + 2)[1:-1]
    return np.asarray(weights[0][:, np.newaxis] * weights[1] * both)


def _centre(image: Array, both: Array) -> Array:
    return np.where(both, image - image[both].mean(), 0.0)


def _find_slopes(image: Array, known: Array) -> Array:
    """Return the gradients of an image that is smoothed over what is known."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.where(known, image, 0.0), _SMOOTH, mode="constant")
    weight = gaussian_filter(known.astype(np.float64), _SMOOTH, mode="constant")
    smooth = np.divide(smooth, weight, out=np.zeros_like(smooth), where=weight > 1e-3)
    return np.stack([np.gradient(smooth, axis=axis) if n > 1 else np.zeros_like(smooth)
                     for axis, n in enumerate(image.shape)])  # fmt: skip


def _solve(slopes: Array, target: Array, moved: Array, both: Array) -> tuple[Array, Array, float]:
    """Return a step, the variances of the shift for noise of 1, and the mean square of what is still different.

    What brightness and contrast make of the differences is taken off. How fast these change with the shift is told by
    the slopes of the moved image: its noise is not that of the reference, so both together are right on the average.
    Along what shows nothing there is no step, and the variance is infinite.
    """
    own = [np.gradient(moved, axis=axis) if n > 1 else np.zeros_like(moved) for axis, n in enumerate(moved.shape)]
    rows = np.stack([*slopes, *own, moved, target, np.ones_like(moved)]).reshape(7, -1)
    products = (rows * both.ravel()) @ rows.T
    products -= np.outer(products[:, 6], products[6]) / products[6, 6]  # brightness
    if products[5, 5] > 0:
        products -= np.outer(products[:, 5], products[5]) / products[5, 5]  # contrast
    normal, changes, right = products[:2, :2], products[:2, 2:4], products[:2, 4]
    sizes, axes = np.linalg.eigh(normal)
    shows = sizes > _FLAT * max(float(sizes[-1]), np.finfo(float).tiny)
    seen = axes[:, shows]
    inverse = seen @ np.linalg.pinv(seen.T @ changes @ seen) @ seen.T
    hidden = (axes[:, ~shows] ** 2).sum(axis=1) > 1e-12
    spread = np.where(hidden, np.inf, np.diag(inverse @ normal @ inverse.T))
    return inverse @ right, spread, max(float(products[4, 4]), 0.0) / max(int(both.sum()) - 4, 1)


def _keep_of_noise(shift: Array) -> float:
    """Return which part of the variance of white noise a spline keeps at places between the samples."""
    y, x = (round(float(one - np.floor(one)), 3) for one in shift)
    return _keep_along(y) * _keep_along(x)


@lru_cache(maxsize=1024)
def _keep_along(part: float) -> float:
    impulse = np.zeros((1, 65))
    impulse[0, 32] = 1
    return float((move_coefficients(find_coefficients(impulse), (0.0, part)) ** 2).sum())
