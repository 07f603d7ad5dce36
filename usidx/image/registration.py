"""Images, and others of the same thing -> the images on the grid of the others."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, UnitsError, UsidError
from usidx.image.kernels.warping import Grid, find_by_landmarks, find_transform, warp
from usidx.image.plane import choose_image_dims, read_axes
from usidx.label import units
from usidx.label.blockwise import Output, over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, refuse_complex

__all__ = ["register", "resample_onto"]

Array = npt.NDArray[Any]
Model = Literal["translation", "rigid", "affine"]
_MODELS: Final = {"translation": 1, "rigid": 2, "affine": 3}


@verb()
def register(
    data: xr.DataArray,
    onto: xr.DataArray,
    *,
    model: Model = "translation",
    landmarks: Any = None,
    dims: Dims | None = None,
    fill: float = np.nan,
) -> xr.DataArray:
    """Lay images over another image of the same thing.

    A lazy array stays lazy; one with further dims is read twice. All of its images are moved alike, by what the mean
    of them shows.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real, or complex with landmarks. With even axes.
    onto : DataArray, dims (*dims)
        What it is laid over, with even axes in the same units; of any size.
    model : {"translation", "rigid", "affine"}
        A shift; a shift and a rotation; or any matrix besides the shift.
    landmarks : array-like, shape (points, 2, 2), optional
        Pairs of coordinates (y, x), each in `data` and then in `onto`, instead of what the images show: one pair at
        least for a shift, two for a rotation, three for any matrix.
    dims : pair of str, optional
        By default the two position dims.
    fill : float
        For what was not in view.

    Returns
    -------
    DataArray, dims (*any, *dims)
        As `data`, floating, by cubic splines, on the axes of `onto`. NaN if one of both images shows nothing.

    Raises
    ------
    RoleError
        It is not clear which dims are meant, or `onto` has others.
    UnitsError
        An axis is not even, or units differ.
    UsidError
        An option is not as above, there are too few landmarks, or the data is complex.

    Notes
    -----
    Several rotations up to 20 degrees are tried, with a cross-correlation at each; the best is refined by steps of
    Gauss and Newton, from coarse to fine, brightness and contrast being free. Beyond that give landmarks.

    Examples
    --------
    >>> import numpy as np, usidx
    >>> stack, truth = usidx.simulate.drifting_stack((64, 64), 2, drift=2.0, noise=0.02)
    >>> over = usidx.image.register(stack[1], stack[0])
    >>> bool(np.nanstd(over - stack[0]) < 0.1)
    True
    """
    core = choose_image_dims(data, dims)
    if model not in _MODELS:
        raise UsidError(f"model={model!r}; it should be one of {', '.join(map(repr, _MODELS))}.")
    own, wanted, other = _read_grids(data, onto, core)
    if landmarks is not None:
        transform = xr.DataArray(find_by_landmarks(_read_landmarks(landmarks, model), model, wanted), dims="transform")
    else:
        refuse_complex(data)
        refuse_complex(other)
        bare = data.drop_vars(list(data.coords)).astype(np.float64)  # or the sum would depend on the blocks
        mean = bare.where(np.isfinite(bare)).mean([d for d in data.dims if d not in core])
        find = partial(_find, model=model, own=own, wanted=wanted)
        output = Output(dims=("transform",), sizes={"transform": 6}, dtype=np.float64)
        transform = over(mean, core, find, output, beside=[_rename(other, core)])
    return add_choices(_warp(data, core, onto, transform, own, wanted, fill), dims=list(core))


@verb()
def resample_onto(
    data: xr.DataArray,
    other: xr.DataArray,
    *,
    method: Literal["cubic", "linear", "nearest"] = "cubic",
    dims: Dims | None = None,
    fill: float = np.nan,
) -> xr.DataArray:
    """Interpolate images at the samples of another image, which has the same coordinates.

    A lazy array stays lazy.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real or complex, with even axes.
    other : DataArray
        With the same two dims, their axes even and in the same units. Its values do not matter.
    method : {"cubic", "linear", "nearest"}
        By which splines.
    dims : pair of str, optional
        By default the two position dims.
    fill : float
        For what was not in view.

    Returns
    -------
    DataArray, dims (*any, *dims)
        As `data`, floating, on the axes of `other`. What a missing sample is beside is missing.

    Raises
    ------
    RoleError
        It is not clear which dims are meant, or `other` has others.
    UnitsError
        An axis is not even, or units differ.
    UsidError
        There is no such method.

    Notes
    -----
    The values are those of `scipy.ndimage.map_coordinates`. Where the new samples are farther apart than the old ones,
    smooth first.

    Examples
    --------
    >>> import numpy as np, usidx, xarray as xr
    >>> line = xr.DataArray([[0.0, 2.0, 4.0]] * 2, coords={"Y": [0, 1], "X": [0, 1, 2]}, dims=("Y", "X"))
    >>> fine = xr.DataArray(np.zeros((2, 5)), coords={"Y": [0, 1], "X": np.linspace(0, 2, 5)}, dims=("Y", "X"))
    >>> usidx.image.resample_onto(line, fine, method="linear").values[0]
    array([0., 1., 2., 3., 4.])
    """
    core = choose_image_dims(data, dims)
    orders = {"cubic": 3, "linear": 1, "nearest": 0}
    if method not in orders:
        raise UsidError(f"method={method!r}; it should be one of {', '.join(map(repr, orders))}.")
    own, wanted, _ = _read_grids(data, other, core, is_image=False)
    same = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])
    transform = xr.DataArray(same, dims="transform")
    made = _warp(data, core, other, transform, own, wanted, fill, order=orders[method])
    return add_choices(made, dims=list(core))


def _read_grids(
    data: xr.DataArray, other: xr.DataArray, core: tuple[str, str], *, is_image: bool = True
) -> tuple[Grid, Grid, xr.DataArray]:
    if not set(core) <= set(other.dims) or (is_image and other.ndim != 2):
        raise RoleError(f"The other image has the dims {other.dims}; it should have {core}.")
    axes, others = read_axes(data, core), read_axes(other, core)
    for one, two in zip(axes, others, strict=True):
        if one.unit and two.unit and not units.is_same(one.unit, two.unit):
            raise UnitsError(f"Along {one.dim!r} there are {one.unit!r}, and in the other image {two.unit!r}.")
    return _make_grid(axes), _make_grid(others), other.transpose(*core, ...)


def _make_grid(axes: tuple[Axis, Axis]) -> Grid:
    return Grid((axes[0].first, axes[1].first), (axes[0].step, axes[1].step), (axes[0].size, axes[1].size))


def _read_landmarks(landmarks: Any, model: str) -> Array:
    try:
        found = np.asarray(landmarks, np.float64)
    except (TypeError, ValueError) as err:
        raise UsidError("Landmarks are pairs of coordinates: [((y, x), (y, x)), ...].") from err
    if found.ndim != 3 or found.shape[1:] != (2, 2) or not np.isfinite(found).all():
        raise UsidError(f"Landmarks of shape {found.shape}; finite ones of shape (points, 2, 2) are wanted.")
    if len(found) < _MODELS[model]:
        raise UsidError(f"{len(found)} landmark(s); model={model!r} needs {_MODELS[model]} at least.")
    return found


def _rename(other: xr.DataArray, core: tuple[str, str]) -> xr.DataArray:
    """Return the other image under dims of its own, since its sizes may differ."""
    return other.drop_vars(list(other.coords)).rename({d: f"{d}_onto" for d in core})


def _find(mean: Array, onto: Array, *, model: str, own: Grid, wanted: Grid) -> Array:
    return find_transform(np.asarray(mean, np.float64), np.asarray(onto, np.float64), model, own, wanted)


def _warp(
    data: xr.DataArray, core: tuple[str, str], other: xr.DataArray, transform: xr.DataArray, own: Grid, wanted: Grid,
    fill: float, order: int = 3,
) -> xr.DataArray:  # fmt: skip
    coords = {
        d: other.coords[d] if d in other.coords else xr.DataArray(np.arange(other.sizes[d]), dims=d) for d in core
    }
    coords = {d: xr.DataArray(c.values, dims=d, attrs=c.attrs) for d, c in coords.items()}
    kernel = partial(_warp_images, own=own, wanted=wanted, fill=fill, order=order)
    return over(data, core, kernel, Output(coords=coords), beside=[transform])


def _warp_images(block: Array, transform: Array, *, own: Grid, wanted: Grid, fill: float, order: int) -> Array:
    made = np.empty((*block.shape[:-2], *wanted.shape), block.dtype)
    flat = np.asarray(transform).reshape(-1)
    for place in np.ndindex(block.shape[:-2]):
        made[place] = warp(block[place], flat, own, wanted, order=order, fill=fill)
    return made
