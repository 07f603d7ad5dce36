"""Stacks of images -> how far the picture has moved in each, and the stack with that undone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import RoleError, SelectionError, UsidError
from usidx.image.kernels.following import Found, Stack, finish, follow, refine, start
from usidx.image.moved import move_back
from usidx.image.plane import choose_image_dims, read_axes, read_mask, read_pair
from usidx.label.chunking import SMALLEST_PART, cut_single_block, join_along
from usidx.label.naming import refuse_taken
from usidx.label.roles import Dims, choose_dims, position_dims
from usidx.results.verbs import add_choices, verb
from usidx.signal.axis import Axis, refuse_complex
from usidx.tasks.graph import reshape_blocks
from usidx.tasks.passes import plan_passes

__all__ = ["correct_drift", "estimate_drift"]

Array = npt.NDArray[Any]
Reference = Literal["mean", "previous", "first"]
_REFERENCES: Final = ("mean", "previous", "first")


@verb()
def estimate_drift(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    reference: Reference = "mean",
    dims: Dims | None = None,
    mask: xr.DataArray | None = None,
    max_shift: float | tuple[float, float] | None = None,
) -> xr.Dataset:
    """Find how far the picture has moved in each frame of a stack since the first one.

    A lazy array stays lazy. Its frames are read one after the other, twice (with another reference once), and a few
    are in memory at a time. Missing samples do not count; a frame that shows nothing has no shift.

    Parameters
    ----------
    data : DataArray, dims (*any, dim, *dims)
        Real, with even axes. Along any further dims there are stacks that move each by itself.
    dim : str, optional
        Along which the frames lie; by default the only spectroscopic one.
    reference : {"mean", "previous", "first"}
        What each frame is compared with. The mean of the frames before it, moved back, and in the end that of all
        others: best in noise, for a picture that stays in view. The frame before, for a picture that moves on and on;
        errors add up. Or the first.
    dims : pair of str, optional
        Of an image; by default the two position dims, or what is left beside `dim` where none are marked.
    mask : DataArray of bool, dims among `dims`, optional
        True where samples are left out of all frames, such as a dead spot of the detector.
    max_shift : float or pair of float, optional
        In the units of the axes: farthest from one frame to the next. By default half of the image. On a lattice give
        half a spacing, if in doubt.

    Returns
    -------
    Dataset, dims (*any, dim)
        ``shift_Y`` and ``shift_X`` (named after `dims`), in the units of the axes, with ``shift_Y_stderr`` and
        ``shift_X_stderr``. They are NaN for a frame that shows nothing; along a direction in which nothing is to be
        seen, the standard error is infinite.

    Raises
    ------
    RoleError
        It is not clear which dims are meant, or `dim` is one of the image's.
    SelectionError
        There are fewer than two frames.
    UnitsError
        An axis is not even.
    UsidError
        An option is not as above, or the data is complex.

    See Also
    --------
    shift : Moves the picture back, of this or any other channel.
    correct_drift : Does both.

    Notes
    -----
    A cross-correlation, faded to the edges, starts near the frame before, so that it does not leap by the spacing of
    a lattice. Steps of Gauss and Newton refine it between the samples, brightness and contrast being free. Neither is a
    phase correlation, which is off by half a sample and more where images are smooth. Standard errors take the noise
    to be white.

    Examples
    --------
    >>> import usidx
    >>> stack, truth = usidx.simulate.drifting_stack((48, 64), frames=5)
    >>> found = usidx.image.estimate_drift(stack, "Frame")
    >>> bool(abs(found.shift_X - truth.shift_X).max() < 0.05 * 1e-9), found.shift_X.units
    (True, 'm')
    """
    frames, _, shifts = _find(data, dim, reference, dims, mask, max_shift)
    return add_choices(shifts, dim=frames.dim, dims=list(frames.core))


@verb()
def correct_drift(
    data: xr.DataArray,
    dim: str | None = None,
    *,
    reference: Reference = "mean",
    dims: Dims | None = None,
    mask: xr.DataArray | None = None,
    max_shift: float | tuple[float, float] | None = None,
    fill: float = np.nan,
) -> xr.Dataset:
    """Move the picture in each frame of a stack back to where it was in the first one.

    A lazy array stays lazy, and is read once more than by :func:`estimate_drift`, a few frames at a time. Nothing is
    cropped.

    Parameters
    ----------
    data : DataArray, dims (*any, dim, *dims)
        As for :func:`estimate_drift`.
    dim, reference, dims, mask, max_shift
        As for :func:`estimate_drift`.
    fill : float
        For what was not in view.

    Returns
    -------
    Dataset
        ``corrected``, dims of `data`, by cubic splines, and the shifts and standard errors of :func:`estimate_drift`.
        A frame whose shift is not known is NaN.

    Raises
    ------
    RoleError
        It is not clear which dims are meant, or `dim` is one of the image's.
    SelectionError
        There are fewer than two frames.
    UnitsError
        An axis is not even.
    UsidError
        An option is not as above, or the data is complex.

    Examples
    --------
    >>> import usidx
    >>> stack, truth = usidx.simulate.drifting_stack((48, 64), frames=5)
    >>> still = usidx.image.correct_drift(stack, "Frame").corrected
    >>> bool(still.std("Frame").mean() < 0.4 * stack.std("Frame").mean())
    True
    """
    frames, again, shifts = _find(data, dim, reference, dims, mask, max_shift)
    moved = move_back(again, frames.axes, [shifts[f"shift_{d}"] for d in frames.core], fill=fill)
    moved = moved.transpose(*data.dims)
    moved.attrs = {"long_name": str(data.name or "Corrected")} | {
        k: data.attrs[k] for k in ("long_name", "units") if k in data.attrs
    }
    made = xr.Dataset({"corrected": moved.variable, **shifts.data_vars}, coords=data.coords)
    return add_choices(made, dim=frames.dim, dims=list(frames.core))


@dataclass(frozen=True, slots=True)
class _Frames:
    """Frames as rows of a matrix, and how they become images again."""

    dim: str
    core: tuple[str, str]
    axes: tuple[Axis, Axis]
    variable: xr.Variable

    @classmethod
    def of(cls, data: xr.DataArray, dim: str | None, dims: Dims | None) -> _Frames:
        core = choose_image_dims(data, _name_images(data, dim) if dims is None else dims)
        (along,) = choose_dims(data, dim, 1)
        if along in core:
            raise RoleError(f"Frames lie along {along!r}, which is a dim of the images, {core}. Name other dims=[...].")
        if data.sizes[along] < 2:
            raise SelectionError(f"Drift is seen between frames, and there is {data.sizes[along]} along {along!r}.")
        other = [str(d) for d in data.dims if d not in (along, *core)]
        variable = data.variable.transpose(along, *other, *core)
        inside = (*map(str, other), *core)
        return cls(along, core, read_axes(data, core), cut_single_block(
            join_along(variable, inside), inside, SMALLEST_PART))  # fmt: skip

    @property
    def other(self) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Return dims and sizes between the frames and the images."""
        return tuple(map(str, self.variable.dims[1:-2])), self.variable.shape[1:-2]

    def flatten(self) -> Any:
        """Return the matrix, (frame, all samples)."""
        values = self.variable.data
        width = int(np.prod(self.variable.shape[1:]))
        if self.variable.chunks is None:
            return values.reshape(len(values), width)
        return reshape_blocks(values, (values.chunks[0], (width,)))

    def label(self, data: xr.DataArray, matrix: Any) -> xr.DataArray:
        """Return the labelled stack of a matrix."""
        if self.variable.chunks is None:
            return data
        made = xr.Variable(self.variable.dims, reshape_blocks(matrix, (matrix.chunks[0], *self.variable.chunks[1:])))
        return xr.DataArray(made, coords=data.coords, name=data.name)


def _name_images(data: xr.DataArray, dim: str | None) -> list[str] | None:
    """Return the two dims of the images where `dim` leaves no other choice."""
    places = [d for d in position_dims(data) if d != dim]
    others = places or [str(d) for d in data.dims if d != dim]
    return others if dim in data.dims and len(others) == 2 else None


def _find(
    data: xr.DataArray, dim: str | None, reference: str, dims: Dims | None, mask: xr.DataArray | None, max_shift: Any
) -> tuple[_Frames, xr.DataArray, xr.Dataset]:
    """Return the frames, the stack as a further pass reads it, and the shifts."""
    refuse_complex(data)
    if reference not in _REFERENCES:
        raise UsidError(f"reference={reference!r}; it should be one of {', '.join(map(repr, _REFERENCES))}.")
    frames = _Frames.of(data, dim, dims)
    refuse_taken(data, "corrected", *(f"shift_{d}{ending}" for d in frames.core for ending in ("", "_stderr")))
    names, sizes = frames.other
    shape = (frames.axes[0].size, frames.axes[1].size)
    stack = Stack(int(np.prod(sizes)), shape, _read_most(max_shift, frames.axes), reference,
                  None if mask is None else read_mask(mask, data, frames.core))  # fmt: skip
    matrix = frames.flatten()
    passes = plan_passes(matrix)
    found = passes.follow(partial(follow, stack=stack), start(stack))
    width = 4 * stack.count
    if reference == "mean":
        rows = passes.map_numbered(partial(refine, stack=stack), found, width, np.float64)
        done = passes.gather(finish, rows, stack)
    else:
        done = passes.call(_finish_found, found, stack)
    values = passes.pick_array(done, None, (len(matrix), *sizes, 4), np.float64)
    shifts = _label_shifts(data, frames, values, names)
    return frames, frames.label(data, passes.read_again(done)), shifts


def _finish_found(found: Found, stack: Stack) -> Array:
    return finish(found.rows, stack)


def _read_most(max_shift: Any, axes: tuple[Axis, Axis]) -> tuple[float, float]:
    if max_shift is None:
        return axes[0].size / 2, axes[1].size / 2
    first, second = read_pair(max_shift, "max_shift", least=0)
    return first / abs(axes[0].step), second / abs(axes[1].step)


def _label_shifts(data: xr.DataArray, frames: _Frames, values: Any, names: tuple[str, ...]) -> xr.Dataset:
    dims = (frames.dim, *names)
    kept = [str(d) for d in data.dims if d in dims]
    found: dict[str, xr.Variable] = {}
    for kind, ending in enumerate(("", "_stderr")):
        for number, axis in enumerate(frames.axes):
            size = axis.step if kind == 0 else abs(axis.step)
            attrs = {"long_name": f"{'Standard error of shift' if kind else 'Shift'} along {axis.dim}"}
            attrs |= {} if axis.unit is None else {"units": axis.unit}
            one = xr.Variable(dims, values[..., 2 * kind + number] * size, attrs)
            found[f"shift_{axis.dim}{ending}"] = one.transpose(*kept)
    coords = {n: c for n, c in data.coords.items() if set(c.dims) <= set(kept)}
    return xr.Dataset(found, coords=coords)
