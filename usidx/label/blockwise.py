"""Function of NumPy blocks -> the same of labelled arrays, lazy or not: the gate of all work on spectra and images.

A kernel is all that a verb has to write. It gets NumPy blocks whose last dims are the spectrum's (or the image's),
whole; any other dims come before, and however many there are, one kernel call does them all. What it returns has the
same other dims first. The gate does the rest, for every verb in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypedDict, Unpack, overload

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import UsidError
from usidx.label.chunking import SMALLEST_PART, call_on_blocks, cut_single_block, join_along
from usidx.label.naming import refuse_taken
from usidx.label.roles import POSITION, ROLE, Dims, choose_dims, find_role
from usidx.label.surroundings import Surrounded, surround
from usidx.label.unread import leave_unread
from usidx.tasks.pool import do_each

__all__ = ["Kernel", "Options", "Output", "along", "over"]

Array = npt.NDArray[Any]
Kernel = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a kernel returns: one array, of the other dims of the data and these.

    Attributes
    ----------
    dims : tuple of str, optional
        After the other dims; by default those of the spectrum, () for a number.
    sizes : mapping of str to int
        Of dims that the data does not have, or has with another size. Coordinates along them no longer hold.
    coords : mapping of str to DataArray
        Coordinates of such dims, which give their sizes too. They take the role of the dim in whose place they come.
    dtype : dtype, optional
        By default that of the kernel's input: floating as the data, float64 for whole numbers.
    name : hashable, optional
        By default the data's.
    attrs : mapping, optional
        All that is known of the outcome, units above all. By default the data's ``long_name`` and ``units``; nothing
        else of the data is vouched for.
    """

    dims: tuple[str, ...] | None = None
    sizes: Mapping[str, int] = field(default_factory=dict)
    coords: Mapping[str, xr.DataArray] = field(default_factory=dict)
    dtype: npt.DTypeLike | None = None
    name: Hashable | None = None
    attrs: Mapping[str, Any] | None = None

    @property
    def new_sizes(self) -> dict[str, int]:
        """Return the sizes of dims that are not the data's."""
        return {**self.sizes, **{d: c.sizes[d] for d, c in self.coords.items()}}


class Options(TypedDict, total=False):
    """What else the gate can do; all are optional, and told at :func:`along`."""

    beside: Sequence[xr.DataArray]
    overlap: Mapping[str, int]
    as_stored: bool
    unread: bool
    smallest_part: int


_SAME: Final = Output()


@overload
def along(
    data: xr.DataArray, dim: Dims | None, kernel: Kernel, output: Output = ..., **options: Unpack[Options]
) -> xr.DataArray: ...
@overload
def along(
    data: xr.DataArray, dim: Dims | None, kernel: Kernel, output: Mapping[str, Output], **options: Unpack[Options]
) -> xr.Dataset: ...
def along(
    data: xr.DataArray,
    dim: Dims | None,
    kernel: Kernel,
    output: Output | Mapping[str, Output] = _SAME,
    **options: Unpack[Options],
) -> xr.DataArray | xr.Dataset:
    """Work on whole spectra.

    A lazy array stays lazy and nothing is computed: its blocks are joined along `dim` only, and each is read once. A
    single block is worked through in parts. Where there are no spectra the kernel is not called.

    Parameters
    ----------
    data : DataArray, dims (*other, *dim)
        Real, integer or complex.
    dim : str or iterable of str, optional
        The dims of a spectrum, in the order in which the kernel wants them; by default the only spectroscopic one.
    kernel : callable
        Takes a block (*other, *dim) of floating numbers, and those of `beside`; returns an array (*other, *dims of
        the output), or a tuple of arrays where there are several outputs. It may not change what it is given, sees
        NaN where samples are missing, and on a cluster must pickle: bind arguments with `functools.partial`.
    output : Output or mapping of str to Output
        What the kernel returns, in its order.
    **options
        beside : sequence of DataArray
            Further inputs. Those of their dims that are not other dims of `data` come last, whole; the rest
            broadcasts against the block.
        overlap : mapping of str to int
            How many cells around those that it works on the kernel is to see, along some of the other dims, which come
            first then. It gets a small piece of a block at a time, whatever the blocks, with so many cells more on
            each side, NaN beyond the ends of the data; and returns none for these. Not together with `beside` or
            `as_stored`.
        as_stored : bool
            Hand whole numbers on as they are.
        unread : bool
            Hand on blocks as `usidx.label.unread.Unread` where they come from a file as they are.
        smallest_part : int
            Bytes below which a single block is not cut into more parts.

    Returns
    -------
    DataArray or Dataset
        A Dataset of several outputs. The dims of `data` stay in its order, a new dim takes the place of one that went
        or comes last. Coordinates whose dims are all there still hold; the others go.

    Raises
    ------
    RoleError
        A dim is not there, or it is not clear which one is meant.
    UsidError
        The data is not numbers.

    Examples
    --------
    >>> import numpy as np, usidx
    >>> from usidx.label.blockwise import Output, along
    >>> raw = usidx.simulate.current_voltage((4, 4), 51)[0]
    >>> along(raw, "Bias", lambda block: np.ptp(block, axis=-1), Output(dims=())).dims
    ('Y', 'X')
    """
    return _work(data, choose_dims(data, dim, None if dim is not None else 1), kernel, output, **options)


@overload
def over(
    data: xr.DataArray, dims: Dims | None, kernel: Kernel, output: Output = ..., **options: Unpack[Options]
) -> xr.DataArray: ...
@overload
def over(
    data: xr.DataArray, dims: Dims | None, kernel: Kernel, output: Mapping[str, Output], **options: Unpack[Options]
) -> xr.Dataset: ...
def over(
    data: xr.DataArray,
    dims: Dims | None,
    kernel: Kernel,
    output: Output | Mapping[str, Output] = _SAME,
    **options: Unpack[Options],
) -> xr.DataArray | xr.Dataset:
    """Work on whole images.

    All is as in :func:`along`, but for the dims that are meant by default. Lazy blocks that hold whole spectra of few
    positions, as those of a file do, are turned into whole images of few samples, and kept until all are read.

    Parameters
    ----------
    data : DataArray, dims (*other, *dims)
        Real, integer or complex.
    dims : iterable of str, optional
        The two dims of the image, in the order in which the kernel wants them; by default those of the positions, in
        the order of the array. A kernel to which lines and columns are not the same needs them named.
    kernel, output, **options
        As in :func:`along`.

    Returns
    -------
    DataArray or Dataset
        As in :func:`along`.

    Raises
    ------
    RoleError
        A dim is not there, it is not two, or it is not clear which are meant.
    UsidError
        The data is not numbers.

    Examples
    --------
    >>> import numpy as np, usidx
    >>> from usidx.label.blockwise import over
    >>> raw = usidx.simulate.current_voltage((4, 4), 51)[0]
    >>> over(raw, None, lambda block: block - block.mean(axis=(-2, -1), keepdims=True)).dims
    ('Y', 'X', 'Bias')
    """
    return _work(data, choose_dims(data, dims, 2, role=POSITION), kernel, output, **options)


def _work(
    data: xr.DataArray,
    core: tuple[str, ...],
    kernel: Kernel,
    output: Output | Mapping[str, Output],
    *,
    beside: Sequence[xr.DataArray] = (),
    overlap: Mapping[str, int] | None = None,
    as_stored: bool = False,
    unread: bool = False,
    smallest_part: int = SMALLEST_PART,
) -> xr.DataArray | xr.Dataset:
    outputs = list(output.values()) if isinstance(output, Mapping) else [output]
    dtype = data.dtype if as_stored else _choose_working_dtype(data)
    shaped = [_Shape.of(o, data, core, dtype) for o in outputs]
    _refuse_taken_names(data, core, output)
    depth = overlap or {}
    if depth and (beside or as_stored):
        raise TypeError("Cells around a piece are seen of the data alone, and as floating numbers.")
    other = [str(d) for d in data.dims if d not in core and d not in depth]
    first = cut_single_block(join_along(data.variable, core), core, smallest_part).transpose(*depth, *other, *core)
    first = leave_unread(first) if unread else first
    cores = [core, *(_find_core_dims(array, data, core) for array in beside)]
    inputs = [first, *(join_along(a.variable, own) for a, own in zip(beside, cores[1:], strict=True))]
    found = _apply_call(_Call(kernel, len(core), dtype, tuple(shaped), tuple(depth.values())), inputs, cores)
    variables = [v.transpose(*_order(data, core, s.dims)) for v, s in zip(found, shaped, strict=True)]
    for variable, one in zip(variables, outputs, strict=True):
        variable.attrs = _choose_attrs(data) if one.attrs is None else dict(one.attrs)
    coords = _build_coordinates(data, core, variables, outputs)
    if isinstance(output, Mapping):
        return xr.Dataset(dict(zip(output, variables, strict=True)), coords=coords)
    return xr.DataArray(variables[0], coords=coords, name=data.name if output.name is None else output.name)


@dataclass(frozen=True, slots=True)
class _Shape:
    """Dims, sizes and dtype of what a kernel returns, after the other dims."""

    dims: tuple[str, ...]
    sizes: tuple[int, ...]
    new: tuple[str, ...]  # those of the dims whose sizes the data does not tell
    dtype: np.dtype[Any]

    @classmethod
    def of(cls, output: Output, data: xr.DataArray, core: tuple[str, ...], dtype: np.dtype[Any]) -> _Shape:
        dims = core if output.dims is None else output.dims
        sizes = {**{str(d): n for d, n in data.sizes.items()}, **output.new_sizes}
        own = dtype if output.dtype is None else np.dtype(output.dtype)
        return cls(dims, tuple(sizes[d] for d in dims), tuple(output.new_sizes), own)

    def allocate(self, outer: tuple[int, ...]) -> Array:
        return np.empty((*outer, *self.sizes), self.dtype)


@dataclass(frozen=True, slots=True)
class _Call:
    """Call a kernel with a block, and see to the types; a class, so that it pickles with its kernel."""

    kernel: Kernel
    rank: int
    dtype: np.dtype[Any]
    shapes: tuple[_Shape, ...]
    depth: tuple[int, ...]

    @property
    def __name__(self) -> str:
        """What dask shows while it works."""
        return str(getattr(getattr(self.kernel, "func", self.kernel), "__name__", type(self.kernel).__name__))

    def __call__(self, block: Array | Surrounded, *beside: Array) -> Any:
        outer = block.shape[: len(block.shape) - self.rank]
        if 0 in outer:
            made = tuple(shape.allocate(outer) for shape in self.shapes)
        elif isinstance(block, Surrounded):
            made = self._work_on_pieces(block, outer)
        elif self.depth:
            made = self._work_on_pieces(Surrounded(block, self.depth, {}), outer)
        else:
            parts = self._list_parts(self.kernel(block.astype(self.dtype, copy=False), *beside))
            made = tuple(
                _copy_if_view(np.asarray(p, s.dtype), block, *beside) for p, s in zip(parts, self.shapes, strict=True)
            )
        return made if len(made) > 1 else made[0]

    def _work_on_pieces(self, block: Surrounded, outer: tuple[int, ...]) -> tuple[Array, ...]:
        made = tuple(shape.allocate(outer) for shape in self.shapes)

        def work(piece: tuple[slice, ...]) -> None:
            for whole, part in zip(made, self._list_parts(self.kernel(block.take(piece, self.dtype))), strict=True):
                whole[piece] = part

        do_each(work, block.list_pieces())
        return made

    @staticmethod
    def _list_parts(found: Any) -> tuple[Any, ...]:
        return found if isinstance(found, tuple) else (found,)


def _refuse_taken_names(data: xr.DataArray, core: tuple[str, ...], output: Output | Mapping[str, Output]) -> None:
    """Refuse data of which a dim or coordinate that stays is called as a variable or a dim of the outcome."""
    outputs = output if isinstance(output, Mapping) else {"": output}
    new = {d for o in outputs.values() for d in o.new_sizes}
    kept = {d for o in outputs.values() for d in (core if o.dims is None else o.dims)} - new
    held = {d for d in data.dims if d not in core or d in kept}
    stays = held | {name for name, c in data.coords.items() if {*c.dims} <= held}
    refuse_taken(data, *(name for name in (*outputs, *new) if name in stays))


def _copy_if_view(part: Array, *given: Array) -> Array:
    """Return an array that is no view: of what the user has, or of much that would be kept for its sake."""
    is_part = part.base is not None and getattr(part.base, "nbytes", 0) > 2 * part.nbytes
    return part.copy() if is_part or any(np.may_share_memory(part, one) for one in given) else part


def _choose_working_dtype(data: xr.DataArray) -> np.dtype[Any]:
    """Return the type in which kernels see numbers of the data."""
    if data.dtype.kind not in "biufc":
        raise UsidError(f"Array {data.name!r} is of dtype {data.dtype}; numbers are wanted.")
    if data.dtype.kind in "biu":
        return np.dtype(np.float64)
    return np.result_type(data.dtype, np.float32) if data.dtype.itemsize < 4 else data.dtype.newbyteorder("=")


def _find_core_dims(array: xr.DataArray, data: xr.DataArray, core: tuple[str, ...]) -> tuple[str, ...]:
    """Return the dims of a further input that come last."""
    own = [d for d in core if d in array.dims]
    return (*own, *(str(d) for d in array.dims if d not in data.dims))


def _apply_call(call: _Call, inputs: list[xr.Variable], cores: list[tuple[str, ...]]) -> list[xr.Variable]:
    first = inputs[0]
    loop = tuple(str(d) for d in first.dims[: first.ndim - call.rank])
    spread = [_spread_dims(v, loop, core) for v, core in zip(inputs, cores, strict=True)]
    if all(v.chunks is None for v in inputs):
        made = call(*(v.data for v in spread))
        found = [made] if len(call.shapes) == 1 else list(made)
    else:
        if call.depth and 0 not in first.shape:
            spread = [surround(first, call.depth)]
        metas = [np.empty((0,) * (len(loop) + len(s.dims)), s.dtype) for s in call.shapes]
        found = call_on_blocks(call, spread, loop, metas, [s.sizes for s in call.shapes])
    return [xr.Variable((*loop, *s.dims), one) for s, one in zip(call.shapes, found, strict=True)]


def _spread_dims(variable: xr.Variable, loop: tuple[str, ...], core: tuple[str, ...]) -> xr.Variable:
    """Return an input with its dims in order, one long along those that the first input has between them."""
    own = [d for d in loop if d in variable.dims]
    between = loop[loop.index(own[0]) :] if own else ()
    wide: xr.Variable = variable.set_dims((*between, *core))  # type: ignore[no-untyped-call]
    return wide.transpose(*between, *core)


def _match_new_dims(core: tuple[str, ...], dims: tuple[str, ...]) -> dict[str, str]:
    """Return which new dim comes in place of which that went."""
    return dict(zip((d for d in core if d not in dims), (d for d in dims if d not in core), strict=False))


def _order(data: xr.DataArray, core: tuple[str, ...], dims: tuple[str, ...]) -> list[str]:
    """Return all dims of an output: those of the data in its order, new ones in place of those that went, or last."""
    place = _match_new_dims(core, dims)
    kept = [place.get(str(d), str(d)) for d in data.dims if d not in core or d in dims or d in place]
    return [*kept, *(d for d in dims if d not in kept)]


def _choose_attrs(data: xr.DataArray) -> dict[str, Any]:
    return {k: data.attrs[k] for k in ("long_name", "units") if k in data.attrs}


def _build_coordinates(
    data: xr.DataArray, core: tuple[str, ...], variables: Sequence[xr.Variable], outputs: Sequence[Output]
) -> xr.Coordinates:
    """Return the coordinates that still hold, and the new ones, with their roles."""
    changed = {d for o in outputs for d in o.new_sizes}
    held = {d for v in variables for d in v.dims} - changed
    gone = [name for name, c in data.coords.items() if not set(c.dims) <= held]
    new: dict[str, xr.Variable] = {}
    for one in outputs:
        before = {after: old for old, after in _match_new_dims(core, one.dims or core).items()}
        for dim, coordinate in one.coords.items():
            role = find_role(data, before.get(dim, dim))
            attrs = ({} if role is None else {ROLE: role}) | coordinate.attrs
            new[dim] = xr.Variable(coordinate.dims, coordinate.data, attrs)
    kept, fresh = data.coords.to_dataset().drop_vars(gone).coords, xr.Coordinates(new)
    # Put together by hand: assign_coords would align what fits, a third of the gate's time on little data.
    return xr.Coordinates({**kept.variables, **fresh.variables}, indexes={**kept.xindexes, **fresh.xindexes})
