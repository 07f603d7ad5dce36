"""Lines of a scan as they were digitised -> the pixels that each line was."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError
from usidx.label.blockwise import Output, along
from usidx.label.roles import POSITION, ROLE, choose_dims, find_role
from usidx.results.verbs import add_choices, verb

__all__ = ["lines_to_pixels"]

Array = npt.NDArray[Any]


@verb("Reshape")
def lines_to_pixels(
    data: xr.DataArray,
    n: int,
    dim: str | None = None,
    *,
    name: str = "X",
    spacing: float | None = None,
    units: str | None = None,
) -> xr.DataArray:
    """Cut each line of a general-mode scan into its pixels.

    A lazy array stays lazy, and whole numbers stay whole. While a line was scanned the response was digitised without a
    break; all pixels took equally long. Filter before: by :func:`usidx.signal.fft_filter` of whole lines, whose
    spectra are finer than those of pixels.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Of any type; `dim` runs along the line, through all of its pixels.
    n : int
        Pixels of a line.
    dim : str, optional
        By default the only spectroscopic one.
    name : str
        Of the dim of the pixels.
    spacing : float, optional
        From a pixel to the next. By default pixels are counted.
    units : str, optional
        Of `spacing`; by default those of the one position dim that there is.

    Returns
    -------
    DataArray, dims (*any, name, dim)
        As `data`, with its units; `dim` has the coordinates of the first pixel. A further coordinate along `dim`, which
        does not repeat from pixel to pixel, as a time that runs on, lies over both.

    Raises
    ------
    RoleError
        It is not clear which dim is meant, or there is a dim `name`.
    SelectionError
        The line is no whole multiple of `n`.

    Notes
    -----
    The values are those of pycroscopy's ``reshape_from_lines_to_pixels``, which takes the samples of a pixel in the
    place of the number of pixels.

    Examples
    --------
    >>> import usidx
    >>> lines, _ = usidx.simulate.gmode_lines((4, 8), 64)
    >>> lines.dims, usidx.modes.lines_to_pixels(lines, 8, spacing=10e-9).dims
    (('Y', 'Time'), ('Y', 'X', 'Time'))
    """
    (swept,) = choose_dims(data, dim, 1)
    if name in data.dims or name in data.coords:
        raise RoleError(f"There is a {name!r} here already; call the dim of the pixels something else, name=.")
    size = data.sizes[swept]
    if n < 1 or int(n) != n or size % n or not size:
        raise SelectionError(f"{size} samples along {swept!r} do not make n={n!r} pixels of the same length.")
    pixels = _make_pixel_coordinate(data, int(n), name, spacing, units)
    within = xr.DataArray(data[swept].variable[: size // int(n)])
    output = Output(dims=(name, swept), coords={name: pixels, swept: within}, dtype=data.dtype)
    cut = along(data, swept, partial(_cut, n=int(n)), output, as_stored=True)
    others = {c: v for c, v in data.coords.items() if swept in v.dims and c != swept}
    cut = cut.assign_coords({c: _cut_coordinate(v, swept, pixels) for c, v in others.items()})
    if swept not in data.coords:
        cut = cut.drop_vars(swept)
    order = [d for one in map(str, data.dims) for d in ((name, one) if one == swept else (one,))]
    return add_choices(cut.transpose(*order), dim=swept)


def _cut(block: Array, *, n: int) -> Array:
    return block.reshape(*block.shape[:-1], n, block.shape[-1] // n)


def _make_pixel_coordinate(
    data: xr.DataArray, n: int, name: str, spacing: float | None, units: str | None
) -> xr.DataArray:
    places = [d for d in map(str, data.dims) if find_role(data, d) == POSITION]
    known = {u for d in places if isinstance(u := data.coords[d].attrs.get("units"), str)}
    if units is None and spacing is not None and len(known) == 1:
        units = known.pop()
    attrs = {"long_name": name} | ({} if units is None else {"units": units})
    attrs |= {ROLE: POSITION} if any(find_role(data, d) for d in data.dims) else {}
    return xr.DataArray(np.arange(n) * (1 if spacing is None else spacing), dims=name, attrs=attrs)


def _cut_coordinate(coordinate: xr.DataArray, dim: str, pixels: xr.DataArray) -> xr.Variable:
    """Return a coordinate over the samples of a pixel where it repeats, else over pixels and samples."""
    name, bare = str(pixels.dims[0]), coordinate.variable.transpose(..., dim)
    dims = tuple(str(d) for d in bare.dims[:-1])
    cells = bare.data.reshape(*bare.shape[:-1], pixels.size, -1)
    if bare.chunks is None and _repeats(cells):
        return xr.Variable((*dims, dim), cells[..., 0, :], bare.attrs)
    return xr.Variable((*dims, name, dim), cells, bare.attrs)


def _repeats(cells: Array) -> bool:
    """Say whether all pixels are alike, to rounding."""
    first = cells[..., :1, :]
    if cells.dtype.kind not in "iuf":
        return bool((cells == first).all())
    return bool(np.allclose(cells, first, rtol=0, atol=1e-9 * np.abs(first).max()))
