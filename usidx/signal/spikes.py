"""Spectra with the hits of cosmic rays -> which samples they are, or the spectra without them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.label.blockwise import Output, along
from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import choose_dim, read_steps, refuse_complex
from usidx.signal.kernels.outliers import find_reference, find_spike_samples
from usidx.tasks.pool import share_slices

__all__ = ["find_spikes", "remove_spikes"]

Array = npt.NDArray[Any]
Ranges = Iterable[tuple[float, float]] | tuple[float, float] | None

#: Standard deviations above which noise alone is hardly ever among some thousand spectra.
_NOISE: Final = 5.2


@verb()
def find_spikes(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    threshold: float | Literal["noise"] = "noise",
    neighbours: bool = True,
    protect: Ranges = None,
) -> xr.DataArray:
    """Find samples that stand out above the spectra around them, and are too sharp for a line.

    A lazy array stays lazy; blocks see one position beyond their edges.

    Parameters
    ----------
    data : DataArray, dims (*position, dim)
        Real.
    dim : str, optional
        By default the only spectroscopic one.
    threshold : float or "noise"
        How far a spike stands out, in standard deviations of the noise; by default 5.2.
    neighbours : bool
        Compare with the same sample at the positions around; where no dim has a role, the one or two dims beside `dim`
        are taken for those of positions. False, or where there are none: with the samples around in the same spectrum.
    protect : (low, high), or several of them, optional
        Ranges of the coordinate in which nothing is a spike.

    Returns
    -------
    DataArray of bool
        True where there is a spike.

    Raises
    ------
    RoleError
        It is not clear which dim is meant.
    UsidError
        `threshold` or `protect` is not as above, or the data is complex.

    Notes
    -----
    The noise is found for each spectrum from what is left over beside its neighbours, as a constant part and one that
    grows with the signal, as of counts. More than 0.4 of a spike's height comes or goes from one sample to the next,
    which no line does whose full width at half maximum is 4 samples or more, even at a single position. Samples
    beside a spike that stand out by 2.85 standard deviations belong to it. Where there are few counts, below about
    twenty a sample, noise itself has spikes: raise `threshold` there.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> counts = np.random.default_rng(0).poisson(100, (8, 8, 200))
    >>> spectra = usidx.set_roles(xr.DataArray(counts, dims=("Y", "X", "E")), position=["Y", "X"], spectroscopic="E")
    >>> spectra[3, 4, 50] += 500
    >>> found = usidx.signal.find_spikes(spectra, threshold=8)
    >>> int(found.sum()), bool(found[3, 4, 50])
    (1, True)
    """
    name, kernel, depth = _prepare(data, dim, threshold, neighbours, protect)
    output = Output(dtype=np.bool_, name="spikes", attrs={"long_name": "Spikes", "units": ""})
    return add_choices(along(data, name, partial(kernel, removes=False), output, overlap=depth), dim=name)


@verb()
def remove_spikes(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    threshold: float | Literal["noise"] = "noise",
    neighbours: bool = True,
    protect: Ranges = None,
) -> xr.DataArray:
    """Put in place of spikes what the spectra around them have there; all else stays as it is.

    A lazy array stays lazy; blocks see one position beyond their edges.

    Parameters
    ----------
    data, dim, threshold, neighbours, protect
        As of :func:`find_spikes`.

    Returns
    -------
    DataArray
        As `data`, floating.

    Raises
    ------
    RoleError, UsidError
        As by :func:`find_spikes`.

    Notes
    -----
    What is put in is the median of the neighbours, raised or lowered so that it meets the samples on both sides.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> counts = np.random.default_rng(0).poisson(100, (8, 8, 200))
    >>> spectra = usidx.set_roles(xr.DataArray(counts, dims=("Y", "X", "E")), position=["Y", "X"], spectroscopic="E")
    >>> spectra[3, 4, 50] += 500
    >>> bool(usidx.signal.remove_spikes(spectra)[3, 4, 50] < 150)
    True
    """
    name, kernel, depth = _prepare(data, dim, threshold, neighbours, protect)
    return add_choices(along(data, name, partial(kernel, removes=True), overlap=depth), dim=name)


def _prepare(
    data: xr.DataArray, dim: str | None, threshold: float | str, neighbours: bool, protect: Ranges
) -> tuple[str, partial[Array], dict[str, int]]:
    refuse_complex(data)
    name = choose_dim(data, dim)
    if threshold != "noise" and not (isinstance(threshold, int | float) and threshold > 0):
        raise UsidError(f"threshold={threshold!r}; it should be 'noise', or standard deviations, more than 0.")
    places = [d for d in _list_places(data, name) if data.sizes[d] > 1][:2] if neighbours else []
    sigmas = _NOISE if threshold == "noise" else float(threshold)
    kernel = partial(_work, near=len(places), sigmas=sigmas, open_to=~_find_protected(data, name, protect))
    return name, kernel, dict.fromkeys(places, 1)


def _list_places(data: xr.DataArray, dim: str) -> list[str]:
    """Return the dims along which neighbours lie; where no dim has a role the one or two beside the spectrum's."""
    others = [str(d) for d in data.dims if d != dim]
    is_marked = bool(position_dims(data) or spectroscopic_dims(data))
    return [d for d in position_dims(data) if d != dim] if is_marked or len(others) > 2 else others


def _find_protected(data: xr.DataArray, dim: str, protect: Ranges) -> Array:
    place, _ = read_steps(data, dim)
    try:
        pairs = np.asarray([] if protect is None else list(protect), np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as err:
        raise UsidError(f"protect={protect!r}; it should be a pair (low, high), or several of them.") from err
    low, high = pairs.min(axis=1, initial=np.inf), pairs.max(axis=1, initial=-np.inf)
    return np.asarray(((place[:, np.newaxis] >= low) & (place[:, np.newaxis] <= high)).any(axis=1))


def _work(block: Array, *, near: int, sigmas: float, open_to: Array, removes: bool) -> Array:
    own = block[(slice(1, -1),) * near]
    rows = own.reshape(-1, block.shape[-1])
    beside = find_reference(block, near).reshape(rows.shape) if near else None
    found = np.empty(rows.shape, rows.dtype if removes else np.bool_)

    def run(part: slice) -> None:
        reference = find_reference(rows[part], 0) if beside is None else beside[part]
        mask = find_spike_samples(rows[part], reference, sigmas, alone=near == 0) & open_to
        found[part] = _fill(rows[part], reference, mask) if removes else mask

    share_slices(run, len(rows), at_once=max(1, 2**18 // max(1, rows.shape[1] * rows.itemsize)))
    return found.reshape(own.shape)


def _fill(rows: Array, beside: Array, mask: Array) -> Array:
    """Put the reference in place of spikes, raised by what the samples on both sides are above theirs."""
    filled, place = rows.copy(), np.arange(rows.shape[1])
    for row in np.flatnonzero(mask.any(axis=1)):
        good = ~mask[row] & np.isfinite(rows[row]) & np.isfinite(beside[row])
        if good.any():
            above = np.interp(place[mask[row]], place[good], (rows[row] - beside[row])[good])
            filled[row, mask[row]] = np.where(np.isfinite(beside[row]), beside[row], 0)[mask[row]] + above
    return filled
