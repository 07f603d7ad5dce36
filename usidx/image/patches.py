"""Images -> the same without noise, by what their small patches have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.image.kernels.blobs import estimate_noise, fill_missing
from usidx.image.plane import choose_image_dims, read_pair
from usidx.label.blockwise import over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import refuse_complex
from usidx.tasks.process.blas import limit_blas

__all__ = ["denoise_patches"]

Array = npt.NDArray[Any]
Counts = tuple[int, int]
_LEARNT: Final = 200_000  # patches from which components are learnt
_BYTES: Final = 4 * 2**20  # of patches at a time, which stay in the cache
_EDGE: Final = 1.02  # patches that overlap are no independent ones, and noise reaches a little farther


@verb()
def denoise_patches(
    data: xr.DataArray,
    size: int | tuple[int, int] = 16,
    n: int | Literal["auto"] = "auto",
    step: int | tuple[int, int] = 1,
    dims: Dims | None = None,
    *,
    sigma: float | None = None,
) -> xr.DataArray:
    """Clean images by the principal components of their patches, averaged where patches overlap.

    A lazy array stays lazy; each image is worked on by itself, in whole.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real. Whole numbers become float64, so nothing overflows. Pixels that are not finite stay NaN, and count as
        their nearest neighbour for those around them.
    size : int or pair of int
        Pixels along each side of a patch, even or odd: about the distance of atoms, or more.
    n : int or "auto"
        Components that are kept besides the mean patch. By default each counts as far as it stands out of the noise.
    step : int or pair of int
        Pixels from one patch to the next: more is faster, and less clean.
    dims : pair of str, optional
        By default the two position dims.
    sigma : float, optional
        Standard deviation of the noise, in the unit of `data`; by default that of each image, from differences of
        pixels, for noise that is white.

    Returns
    -------
    DataArray, dims of `data`
        In its unit.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    SelectionError
        A patch is larger than the image.
    UsidError
        The data is complex, or an option is not as above.

    Notes
    -----
    A component of variance l in the patches, where white noise of variance s alone would reach s (1 + sqrt(p/m))^2 at
    most in m patches of p pixels, counts with the weight (l - s) / l above that, and not at all below.

    References
    ----------
    C.-A. Deledalle, J. Salmon and A. Dalalyan, BMVC (2011); M. Gavish and D. Donoho, IEEE Trans. Inf. Theory 63,
    2137 (2017).

    Examples
    --------
    >>> import usidx
    >>> image, _ = usidx.simulate.atoms((64, 64), noise=0.2)
    >>> clean, _ = usidx.simulate.atoms((64, 64), noise=0.0)
    >>> found = usidx.image.denoise_patches(image, size=12)
    >>> float((found - clean).std() / (image - clean).std()) < 0.5
    True
    """
    refuse_complex(data)
    core = choose_image_dims(data, dims)
    sizes, steps = _read_counts(size, "size"), _read_counts(step, "step")
    for dim, wide in zip(core, sizes, strict=True):
        if wide > data.sizes[dim]:
            raise SelectionError(f"A patch of {wide} pixels is wider than {dim!r}, which has {data.sizes[dim]}.")
    if n != "auto" and (not isinstance(n, int | np.integer) or not 0 <= n <= sizes[0] * sizes[1]):
        raise UsidError(f"n={n!r}; it should be 'auto' or a number of components, {sizes[0] * sizes[1]} at most.")
    if sigma is not None and not 0 <= sigma < np.inf:
        raise UsidError(f"sigma={sigma!r}; it should be a standard deviation, 0 or more.")
    kept = None if n == "auto" else int(n)
    clean = partial(_clean_all, sizes=sizes, steps=steps, kept=kept, sigma=sigma)
    return add_choices(over(data, core, clean), size=list(sizes), step=list(steps), dims=list(core))


def _read_counts(value: Any, name: str) -> Counts:
    pair = read_pair(value, name, least=1)
    if any(one != int(one) for one in pair):
        raise UsidError(f"{name}={value!r}; it counts pixels, so it should be a whole number.")
    return int(pair[0]), int(pair[1])


def _clean_all(block: Array, *, sizes: Counts, steps: Counts, kept: int | None, sigma: float | None) -> Array:
    made = np.empty_like(block)
    for at in np.ndindex(*block.shape[:-2]):
        image = block[at]
        known = np.isfinite(image)
        filled = fill_missing(image).astype(np.float64, copy=False)
        # Around zero and of size one, single precision is precise enough.
        level, scale = float(filled.mean()), float(filled.std())
        made[at] = image
        if scale > 0:
            small = ((filled - level) / scale).astype(np.float32)
            noise = estimate_noise(small) if sigma is None else sigma / scale
            patches = _Patches(small, sizes, *_place_patches(image.shape, sizes, steps))
            with limit_blas():  # products of these sizes gain nothing by more threads
                found = _average(patches, _learn(patches, known, noise, kept))
            made[at] = np.where(known, level + scale * found, np.nan)
        made[at][~known] = np.nan
    return made


@dataclass(frozen=True, slots=True)
class _Patches:
    """The patches of an image: its pixels, their sizes, and where each line and column of them begins."""

    image: Array
    sizes: Counts
    lines: Array
    columns: Array

    def cut(self, lines: Array, of: Array | None = None) -> Array:
        """Return the patches of some lines, shape (pixel, patch), or the same of another image."""
        image, (high, wide) = self.image if of is None else of, self.sizes
        made = np.empty((high * wide, len(lines) * len(self.columns)), image.dtype)
        for pixel, (i, j) in enumerate(np.ndindex(high, wide)):
            made[pixel] = image[_pick(lines, i, self.columns, j)].ravel()
        return made

    def batch(self) -> list[Array]:
        """Return the lines in parts, so that the patches of a part take little memory."""
        at_once = max(1, _BYTES // (4 * self.sizes[0] * self.sizes[1] * len(self.columns)))
        return [self.lines[n : n + at_once] for n in range(0, len(self.lines), at_once)]


def _place_patches(shape: tuple[int, ...], sizes: Counts, steps: Counts) -> tuple[Array, Array]:
    """Return where lines and columns of patches begin; the last ends with the image, so each pixel is in one."""
    lines, columns = (
        np.unique(np.append(np.arange(0, whole - wide + 1, min(step, wide)), whole - wide))
        for whole, wide, step in zip(shape, sizes, steps, strict=True)
    )
    return lines, columns


def _pick(lines: Array, i: int, columns: Array, j: int) -> Any:
    """Return the index of one pixel of all patches: slices where that is possible, which are fast."""
    if lines[-1] - lines[0] == len(lines) - 1 and columns[-1] - columns[0] == len(columns) - 1:
        return slice(lines[0] + i, lines[-1] + i + 1), slice(columns[0] + j, columns[-1] + j + 1)
    return np.ix_(lines + i, columns + j)


def _learn(patches: _Patches, known: Array, noise: float, kept: int | None) -> tuple[Array, Array, Array]:
    """Return the mean patch, shape (pixel, 1), the components, shape (pixel, component), and their weights."""
    pixels, count = patches.sizes[0] * patches.sizes[1], 0
    total, square = np.zeros(pixels), np.zeros((pixels, pixels))
    every = max(1, -(-len(patches.lines) * len(patches.columns) // _LEARNT))
    for lines in _Patches(patches.image, patches.sizes, patches.lines[::every], patches.columns).batch():
        cut = patches.cut(lines)
        if not known.all():
            whole = patches.cut(lines, of=known).all(axis=0)
            cut = cut[:, whole] if whole.any() else cut
        total += cut.sum(axis=1, dtype=np.float64)
        square += cut @ cut.T
        count += cut.shape[1]
    mean = total / count
    found, vectors = np.linalg.eigh(square / count - np.outer(mean, mean))
    variance, vectors = np.maximum(found[::-1], 0), vectors[:, ::-1]
    if kept is None:
        edge = _EDGE * noise**2 * (1 + np.sqrt(len(mean) / count)) ** 2
        kept = int(np.count_nonzero(variance > max(edge, 1e-12)))
        weights = 1 - noise**2 / variance[:kept]
    else:
        weights = np.ones(kept)
    single = np.float32
    return mean[:, np.newaxis].astype(single), vectors[:, :kept].astype(single), weights[:, np.newaxis].astype(single)


def _average(patches: _Patches, learnt: tuple[Array, Array, Array]) -> Array:
    """Return the image made of the mean of all patches at each pixel, once components are weighed."""
    mean, vectors, weights = learnt
    total = np.zeros(patches.image.shape, np.float32)
    count = np.zeros(patches.image.shape, np.float32)
    # The mean takes part as one more component, of which every patch has as much.
    back, middle = np.concatenate([vectors, mean], axis=1), vectors.T @ mean
    for lines in patches.batch():
        scores = weights * (vectors.T @ patches.cut(lines) - middle)
        cleaned = back @ np.concatenate([scores, np.ones_like(scores, shape=(1, scores.shape[1]))])
        shape = len(lines), len(patches.columns)
        for pixel, (i, j) in enumerate(np.ndindex(*patches.sizes)):
            total[_pick(lines, i, patches.columns, j)] += cleaned[pixel].reshape(shape)
    for i, j in np.ndindex(*patches.sizes):
        count[_pick(patches.lines, i, patches.columns, j)] += 1
    return (total / count).astype(np.float64)
