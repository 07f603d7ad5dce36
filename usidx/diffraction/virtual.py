"""Patterns and virtual detectors -> images of what they would have counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.diffraction.detectors import Detector
from usidx.diffraction.frame import Pixels, choose_result_type, leave_out, read_frame
from usidx.diffraction.kernels.pixels import count_frames, find_lines, find_runs, make_zero, work_through
from usidx.errors import UsidError
from usidx.label.blockwise import Options, Output, along
from usidx.label.roles import Dims
from usidx.label.unread import Unread
from usidx.results.verbs import add_choices, verb

__all__ = ["virtual_image"]

Array = npt.NDArray[Any]
#: What a detector is to a block: the runs of its pixels, and how much each of these counts, None where all alike.
_Part = tuple[Array, Array | None]


@overload
def virtual_image(
    data: xr.DataArray,
    detector: Detector | Sequence[Detector],
    *,
    mask: Pixels | None = None,
    dims: Dims | None = None,
) -> xr.DataArray: ...
@overload
def virtual_image(
    data: xr.DataArray,
    detector: Mapping[str, Detector],
    *,
    mask: Pixels | None = None,
    dims: Dims | None = None,
) -> xr.Dataset: ...
@verb("Virtual_Image")
def virtual_image(
    data: xr.DataArray,
    detector: Detector | Sequence[Detector] | Mapping[str, Detector],
    *,
    mask: Pixels | None = None,
    dims: Dims | None = None,
) -> xr.DataArray | xr.Dataset:
    """Sum each pattern over the pixels of virtual detectors.

    A lazy array stays lazy; all detectors are counted in one pass, and `usidx.compute` counts the center of mass in the
    same. Of each block only the pixels that count are looked at. A position where one of these is NaN becomes NaN.

    Parameters
    ----------
    data : DataArray, dims (*position, y, x)
        Patterns, of whole or real numbers; any number of position dims, or none.
    detector : Disk, Annulus or Mask, or several of them
        In the units of the detector's coordinates. Several as a sequence, or with names as a mapping.
    mask : DataArray or ndarray of bool, optional
        Over dims among those of `data`, or of the detector's shape: true where cells are left out, as of dead pixels.
    dims : iterable of str, optional
        The two dims of the detector, (y, x); by default the two spectroscopic ones, in the order of the array.

    Returns
    -------
    DataArray or Dataset, dims (*position)
        In the units of `data`: float64 of whole numbers, else as `data`. Of a sequence a DataArray with the dim
        `detector` last, of a mapping a Dataset with a variable for each.

    Raises
    ------
    RoleError
        It is not clear which dims the detector has, or a mask has other pixels.
    SelectionError
        The detector has no pixel.
    UnitsError
        A coordinate of the detector has no finite numbers.
    UsidError
        There is no detector, or the data is complex.

    Notes
    -----
    Whole numbers are summed as whole numbers, so sums are exact up to 2**53. Detectors that share no pixel and leave
    out none add up to the sum of the pattern.

    Examples
    --------
    >>> import usidx
    >>> from usidx.diffraction import Annulus, Disk
    >>> scan, truth = usidx.simulate.diffraction((8, 8), (32, 32))
    >>> images = scan.usid.diffraction.virtual_image({"bright": Disk((0, 0), 6), "dark": Annulus((0, 0), 6, 16)})
    >>> images.bright.dims, images.dark.units
    (('Y', 'X'), 'counts')
    """
    frame = read_frame(data, dims)
    named = _name_detectors(detector)
    given, counts = leave_out(data, mask, frame)
    parts = [_describe(one.weigh(frame), counts) for one in named.values()]
    dtype = choose_result_type(data)
    kernel = partial(_count, parts=parts, dtype=dtype)
    options: Options = {"as_stored": True, "unread": True}
    if isinstance(detector, Mapping):
        attrs = {k: data.attrs[k] for k in ("units",) if k in data.attrs}
        outputs = {n: Output(dims=(), dtype=dtype, attrs={"long_name": n, **attrs}) for n in named}
        image: Any = along(given, frame.dims, partial(_split, kernel=kernel), outputs, **options)
    elif isinstance(detector, Detector):
        image = along(given, frame.dims, partial(_split, kernel=kernel), Output(dims=(), dtype=dtype), **options)
    else:
        number = xr.DataArray(np.arange(len(parts)), dims="detector", name="detector")
        output = Output(dims=("detector",), coords={"detector": number}, dtype=dtype)
        image = along(given, frame.dims, kernel, output, **options)
    told: Any = {n: one.describe() for n, one in named.items()}
    if not isinstance(detector, Mapping):
        told = told[""] if isinstance(detector, Detector) else list(told.values())
    made: xr.DataArray | xr.Dataset = add_choices(image, dims=list(frame.dims), detector=told)
    return made


def _name_detectors(given: Any) -> dict[str, Detector]:
    if isinstance(given, Detector):
        return {"": given}
    try:
        named = dict(given) if isinstance(given, Mapping) else {str(n): one for n, one in enumerate(given)}
    except TypeError as err:
        raise UsidError(f"detector={given!r}; it should be a Disk, Annulus or Mask, or several of them.") from err
    strange = [one for one in named.values() if not isinstance(one, Detector)]
    if strange or not named:
        found = f"{strange[0]!r} is none" if strange else "there are none"
        raise UsidError(f"detector: {found}; Disk, Annulus and Mask are detectors.")
    return {str(name): one for name, one in named.items()}


def _describe(weights: Array, counts: Array) -> _Part:
    used = (weights != 0) & counts
    is_plain = weights.dtype == bool or np.array_equal(np.unique(weights[used]), [1.0])
    return find_runs(used), None if is_plain else weights[used]


def _count(block: Array | Unread, *, parts: Sequence[_Part], dtype: np.dtype[Any]) -> Array:
    """Return (*position, detector)."""
    from usidx.diffraction.kernels.sums import sum_runs, weigh_pixels

    zero, found = make_zero(block.dtype), np.empty((len(parts), count_frames(block)))

    def run(part: slice, frames: Array, first: int) -> None:
        for own, (runs, weights) in zip(found, parts, strict=True):
            if weights is None:
                sum_runs(frames, runs, first, zero, own[part])
            else:
                weigh_pixels(frames, runs, first, weights, own[part])

    work_through(run, block, find_lines([runs for runs, _ in parts]))
    return found.T.astype(dtype).reshape(*block.shape[:-2], len(parts))


def _split(block: Array | Unread, *, kernel: Any) -> Any:
    """Return an array for each detector."""
    found = kernel(block)
    parts = tuple(found[..., k].copy() for k in range(found.shape[-1]))
    return parts if len(parts) > 1 else parts[0]
