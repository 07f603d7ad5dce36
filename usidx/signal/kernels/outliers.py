"""Spectra and what they should be like -> the samples that stand out and are sharp."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = ["find_reference", "find_spike_samples"]

Array = npt.NDArray[Any]
_WINDOW: Final = 9  # samples of the running median: a spike of four of them is in the minority
_SMOOTH: Final = 5  # samples over which the level of the signal is averaged, as far as the noise goes
_PER_MAD: Final = 1.4826
_BESIDE: Final = 2.85  # standard deviations, for samples beside a spike
_REACH: Final = 2  # samples: so far on each side they belong to it
#: Of the height of a line: one whose full width is 4 samples changes by 0.36 of it from one sample to the next.
_SHARP: Final = 0.4
_UNSURE: Final = 1.5  # standard deviations by which a spike should change more
_ROUNDS: Final = 3
_ALL: Final = 8  # neighbours of a position inside a map
_AROUND: Final = 3
_LEAST_PART: Final = 0.25  # of the variance of a spectrum, below which no sample's is taken to be


def find_reference(block: Array, near: int) -> Array:
    """Return what each sample is compared with.

    Parameters
    ----------
    block : ndarray, shape (*position, *other, sample)
        With one position more at each end, whose neighbours are not asked for.
    near : int
        How many dims of positions come first, of which the neighbours are taken: 1 or 2. With 0 the samples around in
        the same spectrum are taken.

    Returns
    -------
    ndarray
        Of the shape of the block without its first and last positions, NaN where there is nothing to compare with.
    """
    if near == 0:
        return _take_running_median(block)
    inner = tuple(n - 2 for n in block.shape[:near])
    found = np.empty((*inner, *block.shape[near:]), block.dtype)
    offsets = [o for o in np.ndindex(*(3,) * near) if any(k != 1 for k in o)]
    step = max(1, block.shape[-1] // (2 * len(offsets)))
    # A few samples at a time: all neighbours of a block are many blocks.
    for start in range(0, block.shape[-1], step):
        here = slice(start, start + step)
        moved = [tuple(slice(k, k + n) for k, n in zip(o, inner, strict=True)) for o in offsets]
        part = [block[(*places, ..., here)] for places in moved]  # type: ignore[arg-type]
        found[..., here] = _take_middle(np.stack(part))
    return found


def _take_middle(stacked: Array) -> Array:
    """Return the middle over the first axis of what is not NaN: of two, the one without a spike."""
    stacked.sort(axis=0)
    count = np.isfinite(stacked).sum(axis=0)
    middle: Array = np.take_along_axis(stacked, np.maximum(count - 1, 0)[np.newaxis] // 2, axis=0)[0]
    if len(stacked) < _ALL:
        return middle
    # Less noise than of a median, and no more than two of eight are hit.
    return np.where(count == _ALL, stacked[2:6].mean(axis=0), middle)


def _take_running_median(block: Array) -> Array:
    from usidx.signal.kernels.running_median import find_medians

    rows = block.reshape(-1, block.shape[-1])
    known = np.isfinite(rows)
    clean = np.where(known, rows, np.nan_to_num(_find_middles(np.where(known, rows, np.nan))))
    padded = np.pad(clean, ((0, 0), (_WINDOW // 2, _WINDOW // 2)), mode="symmetric")
    return find_medians(padded, _WINDOW).reshape(block.shape)


def _find_middles(rows: Array) -> Array:
    """Return the median of each row's numbers, (row, 1): NaN where there are none, without a warning."""
    if not np.isnan(rows).any():
        return np.asarray(np.median(rows, axis=1, keepdims=True))
    ordered = np.sort(rows, axis=1)  # NaN last
    count = np.isfinite(ordered).sum(axis=1, keepdims=True)
    middle = [np.take_along_axis(ordered, np.maximum(count - 1 + k, 0) // 2, axis=1) for k in (0, 1)]
    return np.asarray((middle[0] + middle[1]) / 2)


def find_spike_samples(rows: Array, reference: Array, sigmas: float, *, alone: bool) -> Array:
    """Return which samples are spikes, for rows of spectra and what they are compared with: others, or themselves."""
    left = np.where(np.isfinite(rows) & np.isfinite(reference), rows - reference, 0.0)
    left -= np.median(left, axis=1, keepdims=True)
    noise = _find_noise(left, np.where(np.isfinite(reference), reference, 0.0))
    found = np.zeros(left.shape, bool)
    for _ in range(_ROUNDS):  # what lies beside a higher spike is sharp only without that
        rest = np.where(found, 0.0, left)
        shape = np.where(found | ~np.isfinite(rows), reference, rows) if alone else rest
        core = (rest > sigmas * noise) & _is_sharp(shape, noise, alone=alone)
        if not core.any():
            break
        near = core.copy()
        for k in range(1, _REACH + 1):
            near[:, k:] |= core[:, :-k]
            near[:, :-k] |= core[:, k:]
        found |= core | (near & (left > _BESIDE * noise))
    return found


def _find_noise(left: Array, reference: Array) -> Array:
    """Return the standard deviation of each sample: of noise that is constant, and of counts, which grows."""
    level = _average(reference)
    overall = _measure(left, np.ones(left.shape, bool))
    low, high = np.quantile(level, [0.5, 0.85], axis=1)[..., np.newaxis]
    below, above = level <= low, level > high
    variances = [_measure(left, part) for part in (below, above)]
    counts = [part.sum(axis=1, keepdims=True) for part in (below, above)]
    sums = [level.sum(axis=1, where=part, keepdims=True) for part in (below, above)]
    places = [np.where(n > 0, total / np.maximum(n, 1), low) for n, total in zip(counts, sums, strict=True)]
    apart = np.where(np.isfinite(places[1]), places[1] - places[0], 0.0)
    slope = np.divide(variances[1] - variances[0], apart, out=np.zeros_like(apart), where=apart > 0)
    slope = np.where(np.isfinite(slope), np.maximum(slope, 0), 0.0)
    found = np.maximum(variances[0] + slope * (level - places[0]), _LEAST_PART * overall)
    return np.asarray(np.sqrt(np.where(np.isfinite(found), found, overall)))


def _measure(left: Array, part: Array) -> Array:
    """Return the variance of each row's samples that are in the part, whatever spikes are among them."""
    return np.asarray((_PER_MAD * _find_middles(np.where(part, np.abs(left), np.nan))) ** 2)


def _average(values: Array) -> Array:
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(values, _SMOOTH, axis=1))


def _is_sharp(left: Array, noise: Array, *, alone: bool) -> Array:
    """Say whether more of the height nearby comes or goes beside a sample than of a line, noise allowed for.

    A spectrum that is looked at alone still has its lines, whose flanks count as height too.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d

    change = np.abs(np.diff(left, axis=1, prepend=left[:, :1]))  # to the sample before
    steps = np.maximum(change, np.concatenate([change[:, 1:], np.zeros((len(left), 1))], axis=1))
    height = maximum_filter1d(left, 2 * _AROUND + 1, axis=1)
    if alone:
        height -= minimum_filter1d(left, 2 * _AROUND + 1, axis=1)
    return np.asarray(steps > _SHARP * height + _UNSURE * noise)
