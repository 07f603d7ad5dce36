"""Heights of a surface -> its background: polynomials over the image, or along each line, and heights of terraces.

Which samples are ground is not known beforehand. Terraces are found where the surface is smooth, and each gets a height
of its own in the equations, so that steps between them bend nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["Model", "find_background"]

Array = npt.NDArray[Any]
#: Samples over which differences are taken that tell slopes.
_LAG: Final = 8
#: Samples: heights are smoothed so before edges are looked for.
_SMOOTH: Final = 1.5
_EDGE: Final = 4.0
#: Samples beside an edge that are left out, and half of what terraces may touch by without being one.
_APART: Final = 2
_OUTLIER: Final = 3.0
_ROUNDS: Final = 3
_CLIPS: Final = 4
#: Of the image: a smaller terrace says nothing.
_SMALLEST: Final = 1 / 500
#: Of a line: with fewer samples on terraces it is not known where it lies.
_FEW: Final = 0.05
_MOST: Final = 60
#: To a normal distribution's deviation, from the median of what is off.
_NORMAL: Final = 1.4826
#: The deviation below which a quarter of a normal distribution lies.
_QUARTER: Final = 0.3186
#: Of what counts: with less of it on terraces, it is not clear what is ground, and several ways are tried.
_CROWDED: Final = 0.5
#: Means of an exponential distribution within which one is told from what lies far off, and the mean of that part.
_WITHIN: Final = 4.0
_INSIDE: Final = 1 - _WITHIN / float(np.expm1(_WITHIN))
#: Deviations of the noise within which terraces are on one level.
_LEVEL: Final = 1.0


@dataclass(frozen=True, slots=True)
class Model:
    """What a background may be.

    Attributes
    ----------
    whole : ndarray, shape (term, y, x)
        Polynomials over the image, without the constant.
    along : ndarray, shape (term, x)
        What each line has of its own, a constant first; none where lines have nothing.
    beside : ndarray, shape (term, y, x)
        Polynomials that are fitted too, lest terraces that are bent spoil the lines, but belong to the surface.
    """

    whole: Array
    along: Array
    beside: Array


@dataclass(frozen=True, slots=True)
class _Way:
    """How ground is looked for: whether only by its flattest core, and whether terraces on a level are one."""

    is_strict: bool = False
    joins: bool = False


_OTHERS: Final = (_Way(joins=True), _Way(is_strict=True), _Way(is_strict=True, joins=True))


def find_background(image: Array, counts: Array, model: Model, *, finds_ground: bool) -> Array:
    """Return the background of an image.

    Parameters
    ----------
    image : ndarray of float64, shape (y, x)
        Finite where it counts.
    counts : ndarray of bool
        Samples that may be ground.
    model : Model
    finds_ground : bool
        Look for terraces; else all that counts is one.
    """
    given, rest = np.where(counts, image, 0.0), Model(model.whole, model.along, model.beside[:0])
    # What is robust is asked about what least squares leave: so what was added of its own kind changes nothing.
    first = _solve(given, counts.astype(int), rest).background
    find = _find_on_terraces if finds_ground else _find_on_all
    return np.asarray(first + find(given - first, counts, model))


def _find_on_all(image: Array, counts: Array, model: Model) -> Array:
    """Return the background where all that counts is ground."""
    has_offsets = len(model.along) == 1
    lines = _align_lines(image, counts, model.along) if has_offsets else np.zeros_like(image)
    rest = Model(model.whole, model.along[:0] if has_offsets else model.along, model.beside[:0])
    found = lines + _solve(image - lines, counts.astype(int), rest).background
    return np.asarray(found + (image - found)[counts].mean())


def _find_on_terraces(image: Array, counts: Array, model: Model) -> Array:
    """Return the background beside terraces: of several ways, where it is not clear what is ground, the best.

    A surface that is flat has all of its ground on a few heights.
    """
    found, terraces = _try(image, counts, model, _Way())
    if (terraces > 0).sum() >= _CROWDED * counts.sum() or min(image.shape) < 3:
        return found
    rough = np.diff(np.diff(np.where(counts, image, np.nan), axis=0), axis=1) / 2
    rough = rough[np.isfinite(rough)]
    noise = _NORMAL * float(np.median(np.abs(rough))) if rough.size else 0.0
    if noise < 1e-9 * np.ptp(image[counts]):
        return found
    ways = [found, *(_try(image, counts, model, way)[0] for way in _OTHERS)]
    return max(ways, key=lambda one: _measure_sharpness((image - one)[counts], noise))


def _measure_sharpness(values: Array, noise: float) -> float:
    """Return how likely two samples are as high as each other, to the noise."""
    count = np.unique(np.floor(values / noise), return_counts=True)[1].astype(np.float64)
    return float((count**2).sum())


def _try(image: Array, counts: Array, model: Model, way: _Way) -> tuple[Array, Array]:
    """Return a background, and the terraces that it was found by."""
    begin = _align_lines(image, counts, model.along) if len(model.along) else np.zeros_like(image)
    image = image - begin
    found = _guess(image, counts, model)
    for _ in range(_ROUNDS):
        flat = _find_terraces(image - found, counts, model.along, is_strict=way.is_strict)
        solved, terraces = _clip(image, flat if flat.any() else counts.astype(int), model)
        if way.joins and terraces.max() > 1:
            solved, terraces = _clip(image, _join(image, terraces, solved), model)
        found = solved.background + solved.beside
        if len(model.along):
            moved = _place_lines(image - found, counts, terraces)
            begin, image = begin + moved, image - moved
    # What was fitted beside belongs to the surface, of which the polynomials are to take what they can.
    rest = Model(model.whole, model.along[:0], model.beside[:0])
    found = solved.lines + _solve(image - solved.lines, terraces, rest).background
    return np.asarray(begin + found + _find_ground(image - found, terraces)), terraces


def _find_ground(rest: Array, terraces: Array) -> float:
    """Return the height of the largest terrace."""
    sizes = np.bincount(terraces.ravel())
    sizes[0] = 0
    return float(np.median(rest[terraces == int(np.argmax(sizes))])) if sizes.any() else 0.0


def _guess(image: Array, counts: Array, model: Model) -> Array:
    """Return a first background from differences, which a step is in few of."""
    terms = np.concatenate([model.whole, model.beside])
    pairs = [_take_differences(image, counts, terms, 1)]
    if not len(model.along):
        pairs.append(_take_differences(image, counts, terms, 0))
    rows, values = np.concatenate([p[0] for p in pairs], axis=1), np.concatenate([p[1] for p in pairs])
    if not values.size or not len(terms):
        return np.zeros_like(image)
    return np.asarray(np.tensordot(_fit_robustly(rows.T, values), terms, 1))


def _take_differences(image: Array, counts: Array, terms: Array, axis: int) -> tuple[Array, Array]:
    """Return the differences of terms and heights over some samples, where both ends count."""
    lag = max(min(_LAG, image.shape[axis] // 4), 1)
    far = [slice(None)] * 2
    near = [slice(None)] * 2
    far[axis], near[axis] = slice(lag, None), slice(None, -lag)
    both = counts[tuple(far)] & counts[tuple(near)]
    change = image[tuple(far)] - image[tuple(near)]
    slopes = terms[(slice(None), *far)] - terms[(slice(None), *near)]
    return slopes[:, both], change[both]


def _fit_robustly(rows: Array, values: Array) -> Array:
    """Return coefficients by least squares, over and over, of what is not off by much (Tukey's weights)."""
    weights = np.ones(values.size)
    found: Array = np.zeros(rows.shape[1])
    for _ in range(8):
        left = rows * weights[:, np.newaxis]
        found = np.linalg.lstsq(left.T @ rows, left.T @ values, rcond=1e-12)[0]
        off = values - rows @ found
        scale = _NORMAL * float(np.median(np.abs(off)))
        if scale == 0:
            break
        weights = np.clip(1 - (off / (4 * scale)) ** 2, 0, None) ** 2
    return np.asarray(found)


def _align_lines(image: Array, counts: Array, along: Array) -> Array:
    """Return what each line has of its own, from the differences between each and the one before."""
    steps = np.zeros((len(image), len(along)))
    for number in range(1, len(image)):
        both = counts[number] & counts[number - 1]
        change = (image[number] - image[number - 1])[both]
        if change.size > len(along):
            steps[number] = _fit_line(change, along[:, both])
    return np.asarray(np.cumsum(steps, axis=0) @ along)


def _find_terraces(rest: Array, counts: Array, along: Array, *, is_strict: bool) -> Array:
    """Return the number of the terrace that each sample is on, 0 for none."""
    from scipy.ndimage import binary_dilation, gaussian_filter, label

    smooth = gaussian_filter(np.where(counts, rest, 0.0), _SMOOTH)
    weight = gaussian_filter(counts.astype(np.float64), _SMOOTH)
    smooth = np.divide(smooth, weight, out=np.zeros_like(smooth), where=weight > 1e-3)
    slopes = []
    for axis in (axis for axis in (0, 1) if rest.shape[axis] > 1):
        slope = np.gradient(smooth, axis=axis)
        if axis == 0 and len(along):  # how lines lie beside each other says nothing of the surface
            slope = slope - _fit_lines(slope, counts, along)
        slopes.append(np.abs(slope - np.median(slope[counts])))
    steep = _measure_steepness(slopes, counts, is_strict=is_strict) if slopes else np.zeros(rest.shape)
    flat = counts & ~binary_dilation(steep > _EDGE**2, iterations=_APART)
    found, _ = label(flat)
    sizes = np.bincount(found.ravel())
    sizes[0] = 0
    kept = np.argsort(sizes)[::-1][:_MOST]
    kept = kept[sizes[kept] >= max(_SMALLEST * rest.size, 4)]
    number = np.zeros(sizes.size, int)
    number[kept] = np.arange(1, kept.size + 1)
    return np.asarray(number[found])


def _measure_steepness(slopes: list[Array], counts: Array, *, is_strict: bool) -> Array:
    """Return squares of how steep all is, beside the ground.

    Particles may cover most of an image: how steep the ground is, its flattest quarter tells. Where they cover still
    more, what is far steeper than that is left out, over and over, until what is left looks like noise.
    """
    usual = [float(np.quantile(off[counts], 0.25)) / _QUARTER for off in slopes]
    while True:
        # The ground may be all alike.
        steep = sum(np.minimum(off / max(u, 1e-150), 1e150) ** 2 for off, u in zip(slopes, usual, strict=True))
        inside = counts & (steep < len(slopes) * _WITHIN)
        if not is_strict or len(slopes) < 2 or not inside.any():
            return np.asarray(steep)
        less = [np.sqrt(np.mean(off[inside] ** 2) / _INSIDE) for off in slopes]
        shrunk = [min(float(one), u) for one, u in zip(less, usual, strict=True)]
        if all(one >= 0.98 * u for one, u in zip(shrunk, usual, strict=True)):
            return np.asarray(steep)
        usual = shrunk


def _join(image: Array, terraces: Array, solved: _Solved) -> Array:
    """Return terraces of which those on one level are one, around the largest first."""
    off, there = image - solved.background - solved.beside, terraces > 0
    noise = _NORMAL * float(np.median(np.abs((off - solved.heights)[there])))
    sizes = np.bincount(terraces.ravel())
    sizes[0] = 0
    heights = np.array([np.median(off[terraces == n]) if size else np.nan for n, size in enumerate(sizes)])
    number, left, level = np.zeros(sizes.size, int), sizes > 0, 0
    while left.any():
        level += 1
        one = heights[int(np.argmax(np.where(left, sizes, 0)))]
        near = left & (np.abs(heights - one) <= _LEVEL * noise)
        number[near] = level
        left &= ~near
    return np.asarray(number[terraces])


def _fit_lines(values: Array, counts: Array, along: Array) -> Array:
    """Return what each line has of its own, without what is off."""
    own = np.zeros((len(values), len(along)))
    for number, line in enumerate(values):
        here = counts[number]
        if here.sum() > len(along):
            own[number] = _fit_line(line[here], along[:, here])
    return np.asarray(own @ along)


def _fit_line(values: Array, along: Array) -> Array:
    if len(along) > 1:
        return _fit_robustly(along.T, values)
    middle = np.median(values, keepdims=True)
    return np.asarray(middle + _fit_robustly(along.T, values - middle))


def _place_lines(rest: Array, counts: Array, terraces: Array) -> Array:
    """Return by how much lines that are on no terrace lie off those beside them, (y, 1).

    On a line that is full of particles most of what agrees with the nearest terraces is ground still.
    """
    from scipy.ndimage import distance_transform_edt

    found = np.zeros((len(rest), 1))
    (lost,) = np.nonzero(counts.any(axis=1) & ((terraces > 0).mean(axis=1) < _FEW))
    if not lost.size or not terraces.any():
        return found
    sizes = np.bincount(terraces.ravel())
    heights = np.array([np.median(rest[terraces == n]) if n and sizes[n] else 0.0 for n in range(sizes.size)])
    nearest = distance_transform_edt(terraces == 0, return_distances=False, return_indices=True)
    off = rest - heights[terraces[tuple(nearest)]]
    for line in lost:
        found[line] = _find_mode(off[line, counts[line]])
    return found


def _find_mode(values: Array) -> float:
    """Return where values lie closest together: the half that does, of that the half, and so on."""
    found = np.sort(values)
    while found.size > 8:
        half = found.size // 2
        first = int(np.argmin(found[half:] - found[:-half]))
        found = found[first : first + half + 1] if half + 1 < found.size else found[first : first + half]
    return float(np.median(found))


def _clip(image: Array, terraces: Array, model: Model) -> tuple[_Solved, Array]:
    """Return the background, and the terraces without what lies off them."""
    kept = terraces
    for _ in range(_CLIPS):
        found = _solve(image, kept, model)
        off, there = image - found.background - found.beside - found.heights, kept > 0
        usual = float(np.median(off[there]))
        most = _OUTLIER * _NORMAL * float(np.median(np.abs(off[there] - usual)))
        still = np.where(there & (np.abs(off - usual) <= max(most, 1e-300)), kept, 0)
        if not still.any() or (still == kept).all():
            break
        kept = still
    return found, kept


@dataclass(frozen=True, slots=True)
class _Solved:
    """What was fitted, each (y, x): the background, of it that of the lines, what is beside it, and terraces."""

    background: Array
    lines: Array
    beside: Array
    heights: Array


def _solve(image: Array, terraces: Array, model: Model) -> _Solved:
    """Fit a background and the heights of terraces by least squares.

    The unknowns of the lines are eliminated line by line; what is left are the heights of the terraces and the
    polynomials over the image.
    """
    count, terms = int(terraces.max()), np.concatenate([model.whole, model.beside])
    size, own = count + len(terms), len(model.along)
    normal, right = np.zeros((size, size)), np.zeros(size)
    alone, coupled = np.full((len(image), own), np.nan), np.zeros((len(image), own, size))
    for number, line in enumerate(image):
        here = terraces[number] > 0
        shared = np.zeros((size, int(here.sum())))
        shared[terraces[number, here] - 1, np.arange(shared.shape[1])] = 1
        shared[count:] = terms[:, number, here]
        along, heights, free = model.along[:, here], line[here], shared
        if own and heights.size:
            inverse = np.linalg.pinv(along @ along.T, rcond=1e-10, hermitian=True) @ along
            alone[number], coupled[number] = inverse @ heights, inverse @ shared.T
            heights, free = heights - alone[number] @ along, shared - coupled[number].T @ along
        normal += free @ shared.T
        right += shared @ heights
    found = np.linalg.lstsq(normal, right, rcond=1e-10)[0]
    lines = _fill_lines(alone - coupled @ found) @ model.along if own else np.zeros_like(image)
    whole, beside = found[count : count + len(model.whole)], found[count + len(model.whole) :]
    return _Solved(
        lines + np.tensordot(whole, model.whole, 1), lines, np.tensordot(beside, model.beside, 1),
        np.concatenate([[0.0], found[:count]])[terraces],
    )  # fmt: skip


def _fill_lines(own: Array) -> Array:
    """Return what lines have of their own, of those that nothing tells of what lies between their neighbours."""
    known = np.isfinite(own).all(axis=1)
    if known.all() or not known.any():
        return np.nan_to_num(own)
    places = np.arange(len(own))
    return np.stack([np.interp(places, places[known], one[known]) for one in own.T], axis=1)
