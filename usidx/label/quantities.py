"""Arrays whose units travel with the values, as of pint -> the same with the units in their attributes."""

from __future__ import annotations

from typing import Any, TypeVar

import xarray as xr

__all__ = ["holds_quantities", "store_units"]

Anything = TypeVar("Anything")


def holds_quantities(data: object) -> bool:
    """Say whether values, or the index of a dim, are quantities of pint; nothing is computed and pint not imported."""
    if not isinstance(data, xr.DataArray | xr.Dataset):
        return False
    variables = list(data.coords.variables.values())
    variables += [data.variable] if isinstance(data, xr.DataArray) else list(data.variables.values())
    of_indexes = any(type(index).__name__ == "PintIndex" for index in data.xindexes.values())
    return of_indexes or any(_is_quantity(variable._data) for variable in variables)


def _is_quantity(values: Any) -> bool:
    return hasattr(values, "magnitude") and hasattr(values, "units")


def store_units(data: Anything) -> Anything:
    """Return bare values with ``units`` among the attributes, where there are quantities; all else as it is."""
    if not isinstance(data, xr.DataArray | xr.Dataset) or not holds_quantities(data):
        return data
    if hasattr(data, "pint"):  # pint-xarray knows its indexes too
        return data.pint.dequantify(format="~P")  # type: ignore[no-any-return]
    whole = data.to_dataset(name="_values") if isinstance(data, xr.DataArray) else data
    bare = {name: _strip(variable) for name, variable in whole.variables.items() if _is_quantity(variable._data)}
    stored = whole.assign(bare)
    return stored["_values"].rename(data.name) if isinstance(data, xr.DataArray) else stored  # type: ignore[return-value]


def _strip(variable: xr.Variable) -> xr.Variable:
    quantity: Any = variable._data
    return xr.Variable(variable.dims, quantity.magnitude, {**variable.attrs, "units": f"{quantity.units:~P}"})
