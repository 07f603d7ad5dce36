"""A user's function of one spectrum -> its result at every position; a verb -> its results for all mains of a tree."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from usidx.errors import ResultError, SelectionError, UsidError, UsidWarning
from usidx.label.blockwise import Output, along
from usidx.label.roles import Dims, position_dims, spectroscopic_dims, split
from usidx.results.arguments import as_json
from usidx.results.verbs import verb

__all__ = ["map_mains", "map_positions"]

Array = npt.NDArray[Any]

_FAILED: Mapping[str, Any] = {}
#: So many spectra of a lazy array are read at most, each by itself, to find one that the function does not fail at.
_MOST_TRIED = 200


@verb(source="data")
def map_positions(
    function: Callable[..., Any],
    data: xr.DataArray,
    *,
    dim: Dims | None = None,
    like: Any = None,
    units: str | Mapping[str, str] = "",
    parameters: Mapping[str, Any] | None = None,
    errors: Literal["raise", "nan"] = "raise",
) -> Any:
    """Apply a function to the spectrum at each position.

    Lazy data stays lazy, block by block; what is returned is computed when it is asked for, and is committed in
    batches and resumed when it is written. Only one spectrum is read at once, to see what the function returns, unless
    `like` says it; with ``errors="nan"`` others all over the array follow until the function does not fail.

    Parameters
    ----------
    function : callable
        Takes one spectrum, an array over the spectroscopic dims in the order of `data` that is its own to change, and
        returns a number, an array, or a dict of these. On a cluster it must pickle.
    data : DataArray, dims (*position, *spectroscopic)
        Any labelled array.
    dim : str or iterable of str, optional
        The dims of a spectrum; by default those with the role spectroscopic.
    like : number, array or dict of these, optional
        Something of the shape and type that the function returns.
    units : str or mapping of str, optional
        Unit of what is returned, or of each entry of a dict.
    parameters : mapping, optional
        Keyword arguments of the function; they are recorded.
    errors : {"raise", "nan"}
        What to do where the function raises an exception: end with it, or put NaN there and go on. With "nan" whole
        numbers become floats, which have a NaN. A function that fails at every position that is tried ends with its
        exception all the same, unless `like` says what it would return.

    Returns
    -------
    DataArray or Dataset
        A Dataset where the function returns a dict. Arrays get dims ``<name>_0``, ``<name>_1``; an array of the shape
        of a spectrum keeps its dims.

    Raises
    ------
    RoleError
        A dim is not there, or none is named and the array has no spectroscopic dim.
    ResultError
        The function returns no numbers, or at some position another shape or kind of number than at the first.

    Examples
    --------
    >>> import numpy as np, usidx
    >>> raw = usidx.open_main(usidx.example_file())
    >>> peak = usidx.map_positions(lambda spectrum: np.abs(spectrum).max(), raw, units="V")
    >>> peak.dims, peak.attrs["units"]
    (('Y', 'X'), 'V')
    """
    position, features = split(data, dim)
    if errors not in {"raise", "nan"}:
        raise ResultError(f"errors is {errors!r}; it can be 'raise' or 'nan'.")
    keywords = dict(parameters or {})
    if like is None:
        like = _try_positions(function, data.transpose(*position, *features), len(position), keywords, errors)
    returned = {
        name: value.astype(np.result_type(value, np.float32)) if errors == "nan" else value
        for name, value in _numbers(like).items()
    }
    each = _Each(function, keywords, {n: (v.shape, v.dtype) for n, v in returned.items()}, len(features), errors)
    outputs = {name: _output(name, value, data, features, units) for name, value in returned.items()}
    # Nobody knows how long a function of the user takes: parts of few spectra may be worth their tasks.
    return along(data, features, each, outputs.get("", outputs), as_stored=True, smallest_part=0)


def _try_positions(
    function: Callable[..., Any], data: xr.DataArray, rank: int, keywords: Mapping[str, Any], errors: str
) -> Any:
    """Return what the function returns at the first position, or with "nan" at another one where it does not fail."""
    shape = data.shape[:rank]
    count, failed = math.prod(shape), None
    if not count:
        raise ResultError(f"Array {data.name!r} has no position: pass like=<something of what the function returns>.")
    tries = 1 if errors == "raise" else count if data.chunks is None else min(count, _MOST_TRIED)
    for place in itertools.islice(_spread_places(count), tries):
        index = np.unravel_index(place, shape)
        spectrum = data.isel(dict(zip(data.dims, map(int, index), strict=False)))
        try:
            return function(np.array(spectrum.values), **keywords)
        except Exception as err:
            failed = failed or err
    assert failed is not None
    failed.add_note(
        "This was the first spectrum, which tells what map_positions returns. If others may do, pass errors='nan'."
        if errors == "raise"
        else f"This was the first of {tries} spectra that were tried to see what map_positions returns; the function "
        f"failed at all of them. Pass like=<something of that shape and type> if it does not fail everywhere."
    )
    raise failed


def _spread_places(count: int) -> Iterator[int]:
    """Give each number below `count` once, the first first, then from all over the range."""
    step = round(count * 0.618034)
    while math.gcd(step, count) > 1:
        step += 1
    return (k * step % count for k in range(count))


def _numbers(like: Any) -> dict[str, Array]:
    """Return what the function returns, by name; one thing has the name ''."""
    try:
        found = {str(k): np.asarray(v) for k, v in (like if isinstance(like, Mapping) else {"": like}).items()}
    except ValueError as err:
        raise ResultError(
            f"The function returns a {type(like).__name__} of things of several shapes; a dict names them, for example "
            "{'height': height, 'width': width}."
        ) from err
    for name, value in found.items():
        if value.dtype.kind not in "biufc":
            raise ResultError(
                f"The function returns {like!r}{f' as {name!r}' if name else ''}, which is no number and no array of "
                "numbers. NaN can stand for what is missing."
            )
    return found


def _output(
    name: str, value: Array, data: xr.DataArray, features: tuple[str, ...], units: str | Mapping[str, str]
) -> Output:
    """Say what becomes of what the function returns; an array of the shape of a spectrum is one."""
    is_spectrum = value.shape == tuple(data.sizes[d] for d in features)
    dims = features if is_spectrum else tuple(f"{name or 'output'}_{axis}" for axis in range(value.ndim))
    sizes = {} if is_spectrum else dict(zip(dims, value.shape, strict=True))
    unit = units if isinstance(units, str) else units.get(name, "")
    attrs = {"long_name": name or str(data.name or ""), "units": unit}
    return Output(dims=dims, sizes=sizes, dtype=value.dtype, attrs=attrs)


class _Each:
    """Call a function for each spectrum of a block; a class, so that it pickles with its function."""

    def __init__(
        self,
        function: Callable[..., Any],
        keywords: Mapping[str, Any],
        outputs: Mapping[str, tuple[tuple[int, ...], np.dtype[Any]]],
        rank: int,
        errors: str,
    ) -> None:
        self.function = function
        self.keywords = keywords
        self.outputs = outputs
        self.rank = rank
        self.errors = errors

    def __dask_tokenize__(self) -> Any:
        # What the function does, not what it is called: it may have been corrected since the last run.
        return as_json([self.function, self.keywords, str(self.outputs), self.rank, self.errors])

    def __call__(self, block: Array) -> Any:
        outer = block.shape[: block.ndim - self.rank]
        made = {name: np.empty(outer + shape, dtype) for name, (shape, dtype) in self.outputs.items()}
        for index in np.ndindex(*outer):
            # A copy, since other results may be made of the same block.
            returned = self._called(block[index].copy(), index)
            if returned is _FAILED:
                for array in made.values():
                    array[index] = np.nan
                continue
            entries = _numbers(returned)
            for name, (shape, dtype) in self.outputs.items():
                value = entries.get(name)
                if value is None or value.shape != shape or not np.can_cast(value.dtype, dtype, "same_kind"):
                    self._refuse(entries, index)
                made[name][index] = value
        return tuple(made.values()) if len(made) > 1 else next(iter(made.values()))

    def _called(self, spectrum: Array, index: tuple[int, ...]) -> Any:
        try:
            return self.function(spectrum, **self.keywords)
        except Exception as err:
            if self.errors == "nan":
                return _FAILED
            err.add_note(
                f"This was at entry {index} of a block of map_positions; errors='nan' puts NaN where a function fails."
            )
            raise

    def _refuse(self, entries: Mapping[str, Array], index: tuple[int, ...]) -> None:
        found = {name: _described(value.shape, value.dtype) for name, value in entries.items()}
        wanted = {name: _described(*output) for name, output in self.outputs.items()}
        raise ResultError(
            f"The function returned {_listed(found)} at entry {index} of a block, but {_listed(wanted)} at the first "
            f"position (or in like=). It must return the same everywhere; NaN can stand for what is missing, and "
            f"like=0.0 makes floats of whole numbers."
        )


def _described(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    return f"{dtype}" if shape == () else f"{dtype} of shape {shape}"


def _listed(described: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}".strip() for name, text in described.items())


def map_mains(
    function: Callable[..., Any],
    data: xr.DataTree,
    /,
    *args: Any,
    named: str | None = None,
    errors: Literal["raise", "skip"] = "raise",
    **options: Any,
) -> xr.DataTree:
    """Call a verb on each main of a tree: all measurements, all channels.

    Lazy where the mains are. ``tree.usid.map_mains(usidx.sho_fit).usid.write()`` writes each result beside its source.
    Verbs of families have a door of their own: ``tree.usid.modes.giv(200.0)`` is
    ``tree.usid.map_mains(usidx.modes.giv, 200.0)``.

    Parameters
    ----------
    function : callable
        A verb, or another function; takes an array, or a Dataset where a main has fields or is a result of several
        variables, and returns either.
    data : DataTree
        As :func:`usidx.open_tree` returns it, or this function itself. Results in a file do not count.
    *args : any
        Further arguments of the function.
    named : str, optional
        Only mains of this name, or whose path ends so, such as ``"Raw_Data"`` or ``"Channel_001/Raw_Data"``.
    errors : {"raise", "skip"}
        Whether a main that the function refuses, such as an image among spectra, ends the call, or is left out with a
        `UsidWarning` that says why.
    **options : any
        Keyword arguments of the function.

    Returns
    -------
    DataTree
        What the function returned for each main, at its place.

    Raises
    ------
    SelectionError
        There is no such main, or the function refuses each of them.
    UsidError
        What the function raises; a note says for which main.

    Examples
    --------
    >>> import usidx
    >>> tree = usidx.open_tree(usidx.example_file())
    >>> fits = tree.usid.map_mains(usidx.svd, 2)
    >>> [leaf.path for leaf in fits.leaves]
    ['/Measurement_000/Channel_000/Raw_Data']
    """
    if errors not in {"raise", "skip"}:
        raise UsidError(f"errors is {errors!r}; it can be 'raise' or 'skip'.")
    mains = {path: main for path, main in _list_mains(data) if named is None or f"/{path}".endswith(f"/{named}")}
    if not mains:
        known = [path for path, _ in _list_mains(data)]
        raise SelectionError(f"The tree has no main{'' if named is None else f' {named!r}'}; it has {known}.")
    made: dict[str, xr.Dataset] = {}
    refused: dict[str, UsidError] = {}
    for path, main in mains.items():
        try:
            found = function(main, *args, **options)
        except Exception as err:
            err.add_note(f"This was for {path!r}.")
            if errors == "raise" or not isinstance(err, UsidError):
                raise
            refused[path] = err
        else:
            made[path] = found if isinstance(found, xr.Dataset) else found.to_dataset(name=found.name or "data")
    _tell_refused(refused, bool(made))
    return xr.DataTree.from_dict(made)


def _tell_refused(refused: Mapping[str, UsidError], is_any_made: bool) -> None:
    if refused and not is_any_made:
        told = "; ".join(f"{path!r}: {err}" for path, err in refused.items())
        raise SelectionError(f"The function refuses each main. {told}") from next(iter(refused.values()))
    for path, err in refused.items():
        warnings.warn(f"{path!r} is left out: {err}", UsidWarning, stacklevel=4)


def _list_mains(tree: xr.DataTree) -> Iterator[tuple[str, xr.DataArray | xr.Dataset]]:
    """Yield path and data of each main that is not within a group of results."""
    for leaf in tree.leaves:
        within = itertools.takewhile(lambda node: node is not tree, leaf.parents)
        if any("tool" in node.attrs for node in within):
            continue
        found = leaf.to_dataset()
        if found.data_vars and (position_dims(found) or spectroscopic_dims(found)):
            one = next(iter(found.data_vars))
            yield leaf.path.removeprefix(tree.path).strip("/"), found[one] if len(found.data_vars) == 1 else found
