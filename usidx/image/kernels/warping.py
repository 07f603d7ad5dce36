"""An image and a reference -> the transform that lays one over the other, and the image so transformed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from usidx.image.kernels.matching import Target, prepare
from usidx.image.kernels.moving import fill_nearest

__all__ = ["Grid", "find_by_landmarks", "find_transform", "warp"]

Array = npt.NDArray[Any]
#: Degrees at which a rotation is begun with.
_ANGLES: Final = (0, 4, -4, 8, -8, 12, -12, 16, -16, 20, -20)
#: Samples: images are smoothed so while steps are taken, coarse first.
_SCALES: Final = (4.0, 2.0, 1.0)
_STEPS: Final = 30
_CLOSE: Final = 1e-3
#: Samples at the edges of the reference that do not count.
_MARGIN: Final = 2
#: Samples: an axis counts as even so far, and what is no farther beyond its ends is at them.
_ROUNDING: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Grid:
    """The coordinates of an image: where each axis begins, its step and its size."""

    first: tuple[float, float]
    step: tuple[float, float]
    shape: tuple[int, int]

    @property
    def center(self) -> Array:
        """Return the coordinates of the middle, about which images are turned."""
        return np.asarray(np.asarray(self.first) + np.asarray(self.step) * (np.asarray(self.shape) - 1) / 2)

    def place(self) -> Array:
        """Return the coordinates of all samples from the middle, (2, samples)."""
        axes = [np.asarray(f + s * np.arange(n) - c) for f, s, n, c in
                zip(self.first, self.step, self.shape, self.center, strict=True)]  # fmt: skip
        return np.stack([one.ravel() for one in np.meshgrid(*axes, indexing="ij")])


def _move(transform: Array, own: Grid, wanted: Grid) -> Array:
    """Return the places in the image, counted from 0, of all samples of the wanted grid.

    A transform is what is taken of a place from the middle of the wanted grid: a matrix (2, 2), and a shift, flat.
    """
    found = transform[:4].reshape(2, 2) @ wanted.place() + (transform[4:] + wanted.center)[:, np.newaxis]
    return np.asarray((found - np.asarray(own.first)[:, np.newaxis]) / np.asarray(own.step)[:, np.newaxis])


def warp(image: Array, transform: Array, own: Grid, wanted: Grid, *, order: int = 3, fill: float = np.nan) -> Array:
    """Return an image on another grid; what a missing sample is beside is missing, and what lies beyond is `fill`."""
    from scipy.ndimage import map_coordinates

    if image.dtype.kind == "c":
        parts = [warp(part, transform, own, wanted, order=order, fill=fill) for part in (image.real, image.imag)]
        return np.asarray(parts[0] + 1j * parts[1])
    if not np.isfinite(transform).all():
        return np.full(wanted.shape, np.nan)
    places = _move(transform, own, wanted)
    missing = ~np.isfinite(image)
    given = fill_nearest(image, missing) if missing.any() else image
    found = map_coordinates(given, places, order=order if min(image.shape) > 3 else 1, mode="mirror", output=np.float64)
    if missing.any():
        found[map_coordinates(missing.astype(np.float64), places, order=1, mode="nearest") > 1e-6] = np.nan
    most = np.asarray(image.shape)[:, np.newaxis] - 1
    inside = ((places >= -_ROUNDING) & (places <= most + _ROUNDING)).all(axis=0)
    return np.where(inside, found, fill).reshape(wanted.shape)


def find_by_landmarks(landmarks: Array, model: str, wanted: Grid) -> Array:
    """Return the transform of least squares; landmarks are (point, (image, reference), (y, x))."""
    own, other = landmarks[:, 0] - wanted.center, landmarks[:, 1] - wanted.center
    middle, other_middle = own.mean(axis=0), other.mean(axis=0)
    matrix = np.eye(2)
    if model == "affine":
        matrix = np.linalg.lstsq(other - other_middle, own - middle, rcond=None)[0].T
    elif model == "rigid":
        left, _, right = np.linalg.svd((own - middle).T @ (other - other_middle))
        matrix = left @ np.diag([1, np.linalg.det(left @ right)]) @ right
    return np.concatenate([matrix.ravel(), middle - matrix @ other_middle])


def find_transform(image: Array, reference: Array, model: str, own: Grid, wanted: Grid) -> Array:
    """Return the transform; NaN where one of both shows nothing."""
    target = prepare(reference, None)
    if target is None or prepare(image, None) is None:
        return np.full(6, np.nan)
    known = Target(target.image, target.counts)
    starts = [
        _start(image, known, np.deg2rad(angle), own, wanted)
        for angle in _ANGLES[: 1 if model == "translation" else None]
    ]
    found = max(starts, key=lambda one: one[0])[1]
    for scale in _SCALES:
        found = _refine(found, image, target.image, target.counts, model, scale, own, wanted)
    return found


def _turn(angle: float) -> Array:
    return np.array([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)])


def _start(image: Array, target: Target, angle: float, own: Grid, wanted: Grid) -> tuple[float, Array]:
    """Return how alike both are at best, turned so far, and the transform."""
    transform = np.concatenate([_turn(angle), [0.0, 0.0]])
    frame = prepare(warp(image, transform, own, wanted, order=1), None)
    if frame is None:
        return -np.inf, transform
    moved = target.search(frame, np.zeros(2), np.asarray(wanted.shape) / 2)
    transform[4:] += transform[:4].reshape(2, 2) @ (moved * np.asarray(wanted.step))
    turned = warp(image, transform, own, wanted, order=1)
    both = np.isfinite(turned) & target.known
    if both.sum() < 16 or np.ptp(turned[both]) == 0 or np.ptp(target.image[both]) == 0:
        return -np.inf, transform
    # What lies over little of the other is alike by chance.
    return float(np.corrcoef(turned[both], target.image[both])[0, 1] * np.sqrt(both.mean())), transform


def _refine(
    start: Array, image: Array, reference: Array, counts: Array, model: str, scale: float, own: Grid, wanted: Grid
) -> Array:
    """Return the transform after steps of Gauss and Newton, brightness and contrast being free."""
    smooth, like = (
        _smooth(image, scale, np.abs(np.divide(wanted.step, own.step))),
        _smooth(reference, scale, np.ones(2)),
    )
    edge = np.zeros(wanted.shape, bool)
    edge[tuple(slice(min(_MARGIN, n // 4), n - min(_MARGIN, n // 4)) for n in wanted.shape)] = True
    places, found = wanted.place(), start.copy()
    reach = np.abs(places).max(axis=1)
    for _ in range(_STEPS):
        moved = warp(smooth, found, own, wanted)
        both = counts & edge & _has_neighbours(np.isfinite(moved))
        if both.sum() < 16:
            break
        step = _find_step(moved, like, both, places, found, model, wanted)
        found = _apply(found, step, model)
        change = np.abs(step[:4].reshape(2, 2)) @ reach + np.abs(step[4:])
        if (change < _CLOSE * np.abs(wanted.step)).all():
            break
    return found


def _has_neighbours(known: Array) -> Array:
    """Return what is known, and what its slopes are taken from too."""
    from scipy.ndimage import binary_erosion

    found: Array = binary_erosion(known, border_value=1)
    return found


def _smooth(image: Array, scale: float, samples: Array) -> Array:
    from scipy.ndimage import gaussian_filter

    missing = ~np.isfinite(image)
    found = gaussian_filter(fill_nearest(image, missing) if missing.any() else image, scale * samples)
    return np.where(missing, np.nan, found)


def _find_step(moved: Array, like: Array, both: Array, places: Array, found: Array, model: str, wanted: Grid) -> Array:
    """Return the change of the places, as a matrix less one and a shift, on the wanted grid."""
    filled = np.where(np.isfinite(moved), moved, 0.0)
    slopes = [np.gradient(filled, s, axis=a)[both] for a, s in enumerate(wanted.step)]
    here = places[:, both.ravel()]
    if model == "affine":
        columns = [slopes[0] * here[0], slopes[0] * here[1], slopes[1] * here[0], slopes[1] * here[1], *slopes]
    elif model == "rigid":
        columns = [slopes[1] * here[0] - slopes[0] * here[1], *slopes]
    else:
        columns = slopes
    rows = np.stack([*columns, like[both], np.ones(int(both.sum()))], axis=1)
    scale = np.sqrt((rows**2).sum(axis=0)) + 1e-300
    solved = np.linalg.lstsq(rows / scale, moved[both], rcond=1e-10)[0] / scale
    if model == "affine":
        return np.asarray(-solved[:6])
    if model == "rigid":
        return -np.array([0.0, -solved[0], solved[0], 0.0, solved[1], solved[2]])
    return -np.array([0.0, 0.0, 0.0, 0.0, solved[0], solved[1]])


def _apply(found: Array, step: Array, model: str) -> Array:
    """Return the transform after a change of the places that it starts from."""
    change = np.eye(2) + step[:4].reshape(2, 2)
    if model == "rigid":
        left, _, right = np.linalg.svd(change)
        change = left @ right
    matrix = found[:4].reshape(2, 2)
    return np.concatenate([(matrix @ change).ravel(), found[4:] + matrix @ step[4:]])
