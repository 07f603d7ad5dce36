"""What plain xarray did between two steps, as it was recorded -> the same done to an object again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import ReplayError, UsidError
from usidx.results.arguments import as_json, digest_coordinate
from usidx.results.verbs import DERIVED

__all__ = ["change_cells", "repeat_changes"]

_ONE_OPERAND: Final[Mapping[str, Callable[[Any], Any]]] = {
    "abs": abs,
    "neg": operator.neg,
    "real": lambda data: data.real,
    "imag": lambda data: data.imag,
}
_TWO_OPERANDS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
}


def repeat_changes(data: xr.DataArray | xr.Dataset, described: Mapping[str, Any]) -> xr.DataArray | xr.Dataset:
    """Do to an object what its record as an input tells; as lazy as the object is.

    Parameters
    ----------
    data : DataArray or Dataset
        As the step before made it.
    described : mapping
        Name, dims, units and changes, as :func:`usidx.results.verbs.describe_input` told them.

    Raises
    ------
    ReplayError
        It is not known what was done, or it does not fit the object.
    """
    try:
        repeated: xr.DataArray | xr.Dataset = _repeat(data, described)
    except UsidError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as err:  # of a record that is damaged
        raise ReplayError(f"the record of its input does not fit together ({err})") from err
    return repeated


def _repeat(data: Any, described: Mapping[str, Any]) -> Any:
    changed = _take_variable(data, described)
    since = described.get("since_last_step", "unknown")
    if since == "nothing":
        return changed
    if not isinstance(since, dict) or not isinstance(since.get("selection"), dict):
        raise ReplayError("it is not recorded what was done to its input by plain xarray")
    return _label(change_cells(changed, since), described)


def change_cells(data: Any, since: Mapping[str, Any]) -> Any:
    """Do to each cell what is recorded, and take the cells that were taken; all, where the record tells of none."""
    for one in since.get("operations", ()):
        data = _operate(data, one)
    if "selection" not in since:
        return data
    return _select(data, since["selection"], since.get("coordinates", {}), since.get("at", {}))


def _take_variable(data: Any, described: Mapping[str, Any]) -> Any:
    """Take the variable of a Dataset that was given, where it was an array."""
    if "dtype" not in described or DERIVED in described or isinstance(data, xr.DataArray):
        return data
    name = described.get("name")
    if name in data.data_vars:
        return data[name]
    if len(data.data_vars) == 1:
        return next(iter(data.data_vars.values()))
    raise ReplayError(f"its input is called {name!r}, and the step before it made {list(data.data_vars)}")


def _operate(data: Any, told: Any) -> Any:
    name = str(told.get("operation") if isinstance(told, dict) else told)
    if name in _ONE_OPERAND:
        return _ONE_OPERAND[name](data)
    if name == "astype":
        return data.astype(_read_dtype(told.get("dtype")))
    if name not in _TWO_OPERANDS:
        raise ReplayError(f"its input was changed in a way that is not known: {told!r}")
    number = _read_number(told)
    pair = (number, data) if told.get("number_first") else (data, number)
    return _TWO_OPERANDS[name](*pair)


def _read_dtype(text: Any) -> np.dtype[Any]:
    try:
        found = np.dtype(str(text))
    except TypeError as err:
        raise ReplayError(f"{text!r} is no type of numbers") from err
    if found.kind not in "biufc":
        raise ReplayError(f"{text!r} is no type of numbers")
    return found


def _read_number(told: Mapping[str, Any]) -> Any:
    recorded = told.get("number")
    try:
        if isinstance(recorded, dict):
            number: Any = complex(float(recorded["real"]), float(recorded["imag"]))
        else:
            number = float(recorded) if isinstance(recorded, str) else recorded
        if not isinstance(number, bool | int | float | complex):
            raise ValueError
        return number if told.get("dtype") is None else _read_dtype(told["dtype"]).type(number)
    except (ValueError, TypeError, KeyError) as err:
        raise ReplayError(f"its input was changed by {recorded!r}, which is no number") from err


def _select(data: Any, extents: Mapping[str, Any], digests: Mapping[str, Any], at: Mapping[str, Any]) -> Any:
    gone = [dim for dim in data.dims if dim not in extents]
    try:
        picked = {dim: _find_cell(data, str(dim), at) for dim in gone}
        cut = {dim: _find_cells(data, dim, extent, digests.get(dim)) for dim, extent in extents.items()}
    except (AttributeError, KeyError, TypeError) as err:
        raise ReplayError(f"the record of the selection does not fit its input, which has {dict(data.sizes)}") from err
    return data.isel({**picked, **cut})


def _find_cell(data: Any, dim: str, at: Mapping[str, Any]) -> int:
    """Return where a dim was cut that is gone: a coordinate of no dims tells it."""
    if dim not in at or dim not in data.coords:
        raise ReplayError(f"it is not recorded where along {dim!r} its input was taken")
    found = [n for n, value in enumerate(data[dim].values) if as_json(value) == at[dim]]
    if len(found) != 1:
        raise ReplayError(f"its input was taken at {dim} = {at[dim]!r}, which is not there")
    return found[0]


def _find_cells(data: Any, dim: str, extent: Mapping[str, Any], digest: str | None) -> slice:
    """Return the even stride of cells that has the recorded ends; the digest of the coordinate proves it."""
    size, whole = int(extent["size"]), data.sizes[dim]
    if "first" not in extent or dim not in data.coords:
        if size != whole:
            raise ReplayError(f"{size} of {whole} cells along {dim!r} were taken, and it is not recorded which")
        return slice(None)
    told = [as_json(value) for value in data[dim].values]
    ends = [[n for n, value in enumerate(told) if value == extent[end]] for end in ("first", "last")]
    for first in ends[0]:
        for last in ends[1]:
            found = _make_stride(first, last, size)
            if found is not None and _is_proven(data[dim].values[found], digest, whole):
                return found
    raise ReplayError(f"which {size} of {whole} cells along {dim!r} were taken is not recorded, or they are not there")


def _make_stride(first: int, last: int, size: int) -> slice | None:
    if size == 1:
        return slice(first, first + 1) if first == last else None
    step, rest = divmod(last - first, size - 1)
    if rest or not step:
        return None
    end = last + (1 if step > 0 else -1)
    return slice(first, end if end >= 0 else None, step)


def _is_proven(values: Any, digest: str | None, whole: int) -> bool:
    # A record of before has no digest; of all cells, or of one, the ends say enough.
    return len(values) in {1, whole} if digest is None else digest_coordinate(values) == digest


def _label(data: Any, described: Mapping[str, Any]) -> Any:
    """Put dims in their order, and give an array the name, quantity and units that were recorded."""
    order = [dim for dim in described.get("dims", {}) if dim in data.dims]
    if isinstance(data, xr.Dataset) or len(order) != data.ndim:
        return data
    told = {key: described[key] for key in ("long_name", "units") if key in described}
    changed = {key: value for key, value in told.items() if data.attrs.get(key, "") != value}
    return data.transpose(*order).rename(described.get("name")).assign_attrs(changed)
