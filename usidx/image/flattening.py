"""Images of a tilted, bent, shifting surface -> the surface alone."""

from __future__ import annotations

from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.image.kernels.leveling import Model, find_background
from usidx.image.plane import choose_image_dims, read_mask, read_places
from usidx.label.blockwise import over
from usidx.label.roles import Dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import refuse_complex

__all__ = ["flatten"]

Array = npt.NDArray[Any]
Method = Literal["plane", "polynomial", "lines", "differences"]
_METHODS: Final = ("plane", "polynomial", "lines", "differences")
_HIGHEST: Final = 8
#: By so much of the order more are fitted while the ground is looked for.
_BESIDE: Final = 2


@verb()
def flatten(
    data: xr.DataArray,
    method: Method = "plane",
    order: int = 1,
    mask: Literal["auto"] | xr.DataArray | None = "auto",
    dims: Dims | None = None,
) -> xr.DataArray:
    """Take the background off images: a tilt, a bow, or what each scanned line has of its own.

    A lazy array stays lazy. Missing samples do not count, and stay missing.

    Parameters
    ----------
    data : DataArray, dims (*any, *dims)
        Real.
    method : {"plane", "polynomial", "lines", "differences"}
        A plane; a polynomial of both coordinates; a polynomial along each line by itself; or an offset of each line,
        by which it differs from the lines beside it, and a polynomial of both coordinates.
    order : int
        Of the polynomials, at most 8; of a plane 1. ``"differences"`` takes 0, for nothing but offsets.
    mask : "auto", None or DataArray of bool, dims among `dims`
        Samples that are left out where it is True. With "auto" the ground is found: terraces between edges, each with
        a height of its own, without particles or what else lies off them. With None all samples count.
    dims : pair of str, optional
        First across the lines, then along them; by default the two position dims in the order of the array.

    Returns
    -------
    DataArray
        As `data`, floating, around 0: the largest terrace with "auto", the mean of what counts else.

    Raises
    ------
    RoleError
        It is not clear which dims are meant.
    UnitsError
        A coordinate has no finite numbers.
    UsidError
        An option is not as above, or the data is complex.

    Notes
    -----
    With "auto" differences over some samples give a first background, in which a step is an outlier. What is smooth
    beside it is cut into terraces; background and the heights of all terraces are then fitted together, without
    samples that are off by more than three standard deviations, and again. Polynomials of the lines alone bend
    wherever a line crosses a step; these do not.

    Examples
    --------
    >>> import usidx
    >>> image, truth = usidx.simulate.stepped_surface((96, 128), particles=4)
    >>> off = usidx.image.flatten(image, "differences", 2) - truth.surface
    >>> bool((off - off.median()).std() < 0.1)
    True
    """
    refuse_complex(data)
    core = choose_image_dims(data, dims)
    if method not in _METHODS:
        raise UsidError(f"method={method!r}; it should be one of {', '.join(map(repr, _METHODS))}.")
    least = 0 if method in ("lines", "differences") else 1
    most = 1 if method == "plane" else _HIGHEST
    if order != int(order) or not least <= order <= most:
        raise UsidError(f"order={order!r}; with method={method!r} it should be {least} to {most}.")
    left_out = None if mask is None or isinstance(mask, str) else read_mask(mask, data, core)
    if isinstance(mask, str) and mask != "auto":
        raise UsidError(f"mask={mask!r}; it should be 'auto', None or a DataArray.")
    y, x = (_scale(place) for place in read_places(data, core))
    kernel = partial(
        _flatten, model=_build_model(y, x, method, int(order)), left_out=left_out, finds_ground=isinstance(mask, str)
    )
    return add_choices(over(data, core, kernel), dims=list(core))


def _scale(place: Array) -> Array:
    """Return coordinates from -1 to 1."""
    low, high = place.min(), place.max()
    return (2 * place - low - high) / (high - low) if high > low else np.zeros_like(place)


def _build_model(y: Array, x: Array, method: str, order: int) -> Model:
    has_lines = method in ("lines", "differences")
    own = {"lines": order + 1, "differences": 1}.get(method, 0)
    along = np.array([x**power for power in range(own)]).reshape(own, x.size)
    whole = [] if method == "lines" else _list_terms(1, order)
    # A polynomial across the lines alone could not be told from what the lines have of their own.
    beside = (
        [] if method == "lines" else [(n, m) for n, m in _list_terms(order + 1, order + _BESIDE) if m or not has_lines]
    )
    return Model(_evaluate(whole, y, x), along, _evaluate(beside, y, x))


def _list_terms(first: int, last: int) -> list[tuple[int, int]]:
    """Return the powers of both coordinates of polynomials of these total degrees."""
    return [(total - power, power) for total in range(first, last + 1) for power in range(total + 1)]


def _evaluate(terms: list[tuple[int, int]], y: Array, x: Array) -> Array:
    return np.array([np.outer(y**n, x**m) for n, m in terms]).reshape(len(terms), y.size, x.size)


def _flatten(block: Array, *, model: Model, left_out: Array | None, finds_ground: bool) -> Array:
    made = np.empty_like(block)
    for place in np.ndindex(block.shape[:-2]):
        image = block[place].astype(np.float64)
        counts = np.isfinite(image) if left_out is None else np.isfinite(image) & ~left_out
        if counts.any():
            made[place] = image - find_background(image, counts, model, finds_ground=finds_ground)
        else:
            made[place] = np.nan
    return made
