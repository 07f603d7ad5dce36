"""Places that lie on no grid, as of spiral and sparse scans -> images."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import GridError, RoleError, UsidError
from usidx.image.plane import read_pair
from usidx.label.blockwise import Output, along
from usidx.label.gridding import find_axes, find_flat_dim
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb

__all__ = ["regrid"]

Array = npt.NDArray[Any]


@verb()
def regrid(
    data: xr.DataArray,
    shape: int | tuple[int, int],
    method: Literal["nearest", "linear", "cubic"] = "nearest",
    *,
    dims: Dims | None = None,
) -> xr.DataArray:
    """Interpolate what was measured at scattered places on an even grid.

    A lazy array stays lazy. Places with a missing value, or one that is not finite, make missing what is
    interpolated from them.

    Parameters
    ----------
    data : DataArray, dims (position, *any)
        Real or complex, with two coordinates along ``position``, such as Y and X.
    shape : int or pair of int
        Samples along both, from the smallest to the largest coordinate.
    method : {"nearest", "linear", "cubic"}
        The value of the nearest place; linear in the triangles between places; or a smooth surface through all.
    dims : pair of str, optional
        The two coordinates, slowest first; by default those along ``position`` that have a role.

    Returns
    -------
    DataArray, dims (*dims, *any)
        As `data`, floating. Outside of the places ``"linear"`` and ``"cubic"`` give NaN.

    Raises
    ------
    RoleError
        There is no flat dim with two coordinates.
    GridError
        Coordinates are not finite, or all places lie on a line.
    UsidError
        An option is not as above.

    See Also
    --------
    usidx.to_grid : Where places lie on a grid with holes; nothing is interpolated there.

    Notes
    -----
    The values are those of `scipy.interpolate.griddata` with ``rescale=True``.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> turn = np.linspace(0, 40, 400)
    >>> where = {"Y": ("position", turn * np.sin(turn)), "X": ("position", turn * np.cos(turn))}
    >>> spiral = xr.DataArray(turn, dims="position", coords=where)
    >>> spiral = usidx.set_roles(spiral, position=["position", "Y", "X"])
    >>> dict(usidx.image.regrid(spiral, (20, 30)).sizes)
    {'Y': 20, 'X': 30}
    """
    if method not in ("nearest", "linear", "cubic"):
        raise UsidError(f"method={method!r}; it should be 'nearest', 'linear' or 'cubic'.")
    sizes = read_pair(shape, "shape", least=1)
    if any(size != int(size) for size in sizes):
        raise UsidError(f"shape={shape!r}; it counts samples, so it should be a whole number.")
    flat, names = _choose_places(data, dims)
    if len(names) != 2 or any(n not in data.coords or data.coords[n].dims != (flat,) for n in names):
        raise RoleError(f"Along {flat!r} there are the coordinates {names}; name two that are there by dims=[...].")
    points = np.stack([np.asarray(data.coords[n].values, np.float64) for n in names], axis=1)
    if not np.isfinite(points).all():
        raise GridError(f"Some of the coordinates {names} are not finite; leave these places out first.")
    axes = [np.linspace(p.min(), p.max(), int(n)) for p, n in zip(points.T, sizes, strict=True)]
    _refuse_line(points, method)
    kernel = partial(_interpolate, points=points, axes=axes, method=method)
    coords = {n: xr.DataArray(a, dims=n, attrs=data.coords[n].attrs) for n, a in zip(names, axes, strict=True)}
    made = along(data.drop_vars([n for n, c in data.coords.items() if flat in c.dims and n != flat]), flat, kernel,
                 Output(dims=(names[0], names[1]), coords=coords))  # fmt: skip
    order = [d for d in made.dims if d not in names]
    return add_choices(made.transpose(*names, *order), dims=names)


def _choose_places(data: xr.DataArray, dims: Dims | None) -> tuple[str, list[str]]:
    """Return the dim of the places, and the names of their coordinates; who names those needs no roles."""
    if dims is None:
        flat = find_flat_dim(data)
        return flat, list(find_axes(data, flat))
    names = [dims] if isinstance(dims, str) else list(dims)
    along = [str(d) for n in names if n in data.coords for d in data.coords[n].dims]
    return along[0] if along else find_flat_dim(data), names


def _refuse_line(points: Array, method: str) -> None:
    spread = np.ptp(points, axis=0)
    if method != "nearest" and (len(points) < 3 or (spread == 0).any() or _is_line(points / spread)):
        raise GridError(f"The {len(points)} places lie on a line, and there is nothing to interpolate between them.")


def _is_line(points: Array) -> bool:
    return bool(np.linalg.svd(points - points.mean(axis=0), compute_uv=False)[1] < 1e-9)


def _interpolate(block: Array, *, points: Array, axes: list[Array], method: str) -> Array:
    from scipy.interpolate import griddata

    rows = block.reshape(-1, len(points)).T
    rows = np.where(np.isfinite(rows), rows, np.nan)
    wanted = tuple(np.meshgrid(*axes, indexing="ij"))
    bad = np.flatnonzero(np.isnan(rows).any(axis=0)) if method == "cubic" else np.array([], int)
    found = griddata(points, np.nan_to_num(rows) if bad.size else rows, wanted, method=method, rescale=True)
    for column in bad:
        found[..., column] = _pass_by(points, rows[:, column], wanted)
    return np.asarray(np.moveaxis(found, -1, 0).reshape(*block.shape[:-1], *wanted[0].shape))


def _pass_by(points: Array, row: Array, wanted: tuple[Array, ...]) -> Array:
    """Return a smooth surface without places that are missing: through all of them it would miss everywhere."""
    from scipy.interpolate import griddata

    known = np.isfinite(row)
    around: Array = np.isnan(griddata(points, row, wanted, method="linear", rescale=True))
    if known.sum() < 3 or _is_line(points[known] / np.ptp(points, axis=0)):
        return np.full(around.shape, np.nan)
    found = griddata(points[known], row[known], wanted, method="cubic", rescale=True)
    return np.where(around, np.nan, found)
