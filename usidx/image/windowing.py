"""Images -> the small windows that they are covered with, as a view."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from usidx.errors import SelectionError, UsidError
from usidx.image.plane import choose_image_dims, read_pair
from usidx.label.roles import ROLE, SPECTROSCOPIC, Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import read_steps

__all__ = ["windows"]


@verb()
def windows(
    data: xr.DataArray, size: int | tuple[int, int], step: int | tuple[int, int] = 1, dims: Dims | None = None
) -> xr.DataArray:
    """Show each small window of an image, at even steps, as an image of its own.

    Nothing is copied: of an array in memory this is a view, which is not to be written to; a lazy one stays lazy.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Any numbers, which stay as they are.
    size : int or pair of int
        Samples along each side of a window.
    step : int or pair of int
        Samples from one window to the next. What is left at the ends is in no window.
    dims : pair of str, optional
        By default the two position dims.

    Returns
    -------
    DataArray, dims (*any, *dims, *dims_window)
        Along ``Y`` and ``X`` there are windows, by the coordinate of their centers; ``Y_window`` and ``X_window``,
        which are spectroscopic, run inside them, by the distance from the center where the axis is even.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    SelectionError
        The windows are larger than the image, or there is a dim of such a name already.
    UsidError
        A size or a step is no whole number of 1 or more.
    UnitsError
        A coordinate has no finite numbers.

    See Also
    --------
    usidx.svd : Of windows, or of their Fourier transforms, it tells where an image has which structure.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> image = xr.DataArray(np.arange(30.0).reshape(5, 6), dims=("Y", "X"))
    >>> found = usidx.image.windows(image, size=3, step=2)
    >>> dict(found.sizes), found.X.values
    ({'Y': 2, 'X': 2, 'Y_window': 3, 'X_window': 3}, array([1., 3.]))
    """
    core = choose_image_dims(data, dims)
    sizes, steps = (_read_counts(value, name) for value, name in ((size, "size"), (step, "step")))
    new = tuple(f"{dim}_window" for dim in core)
    for dim, wide, made in zip(core, sizes, new, strict=True):
        if wide > data.sizes[dim]:
            raise SelectionError(f"A window of {wide} samples is wider than {dim!r}, which has {data.sizes[dim]}.")
        if made in data.dims or made in data.coords:
            raise SelectionError(f"{made!r} is there already; rename it, or the dim {dim!r}.")
    cut = _cut_windows(data, core, sizes, steps)
    coords = {
        n: c.variable for n, c in data.coords.items() if not set(core) & set(c.dims) and n not in core
    } | _build_coordinates(data, core, sizes, steps)
    attrs = {k: data.attrs[k] for k in ("long_name", "units") if k in data.attrs}
    made_of = xr.DataArray(cut, coords, (*data.dims, *new), data.name, attrs)
    return add_choices(made_of, size=list(sizes), step=list(steps), dims=list(core))


def _cut_windows(data: xr.DataArray, core: tuple[str, str], sizes: tuple[int, int], steps: tuple[int, int]) -> Any:
    axes = tuple(int(axis) for axis in data.get_axis_num(core))
    slide = (np if data.chunks is None else da).lib.stride_tricks.sliding_window_view
    view = slide(data.data, sizes, axes)
    taken = dict(zip(axes, steps, strict=True))
    return view[tuple(slice(None, None, taken.get(axis, 1)) for axis in range(view.ndim))]


def _read_counts(value: Any, name: str) -> tuple[int, int]:
    pair = read_pair(value, name, least=1)
    if any(one != int(one) for one in pair):
        raise UsidError(f"{name}={value!r}; it counts samples, so it should be a whole number.")
    return int(pair[0]), int(pair[1])


def _build_coordinates(
    data: xr.DataArray, core: tuple[str, str], sizes: tuple[int, int], steps: tuple[int, int]
) -> dict[str, xr.Variable]:
    """Return the centers of the windows, and the places inside them."""
    made = {}
    for dim, wide, apart in zip(core, sizes, steps, strict=True):
        place, _ = read_steps(data, dim)
        attrs = dict(data.coords[dim].attrs) if dim in data.coords else {}
        inside = np.lib.stride_tricks.sliding_window_view(place, wide)[::apart]
        made[dim] = xr.Variable(dim, inside.mean(axis=1), attrs)
        from_center = inside - inside.mean(axis=1, keepdims=True)
        even = np.allclose(from_center, from_center[0], rtol=0, atol=1e-6 * np.ptp(inside[0]) if wide > 1 else 1)
        values = from_center[0] if even else np.arange(wide) - (wide - 1) / 2
        told = {k: v for k, v in attrs.items() if k == "long_name" or (k == "units" and even)}
        made[f"{dim}_window"] = xr.Variable(f"{dim}_window", values, told | {ROLE: SPECTROSCOPIC})
    return made
