"""Compare what was opened with what the builder of the file says it holds."""

import inspect
from typing import Any

import numpy as np
import xarray as xr

from usidx.label.roles import ROLE
from usidx.testing.files import Expected

SIDES = {"position", "spectroscopic"}
#: Hands coordinates as they are to what xarray opens, where it can be told so: from 2025.7 on.
WITHOUT_INDEXES: dict[str, Any] = {
    name: False for name in inspect.signature(xr.open_dataset).parameters if name == "create_default_indexes"
}


def assert_opens(array: xr.DataArray, expected: Expected, *, squeeze: bool = True, ordered: bool = True) -> None:
    """Check dims, cells, coordinates, units, roles, name and quantity; `ordered` also checks the order of the dims."""
    dims, cells = expected.squeezed if squeeze else (expected.dims, expected.array)
    assert set(array.dims) == set(dims)
    if ordered:
        assert array.dims == dims
    assert array.dtype == cells.dtype.newbyteorder("=")
    np.testing.assert_array_equal(array.transpose(*dims).values, cells)
    assert array.name == expected.main.rsplit("/", 1)[-1]
    assert (array.attrs["long_name"], array.attrs["units"]) == (expected.quantity, expected.unit.strip())
    assert_coordinates(array, expected, squeeze=squeeze)


def assert_coordinates(array: xr.DataArray, expected: Expected, *, squeeze: bool = True) -> None:
    assert set(array.coords) - SIDES == set(expected.coords)
    for name, (dims, values) in expected.coords.items():
        sizes = dict(zip(dims, values.shape, strict=True))
        kept = {d: n for d, n in sizes.items() if n > 1 or not squeeze}
        coordinate = array.coords[name]
        assert set(coordinate.dims) == set(kept), name
        found = coordinate.transpose(*kept).values
        np.testing.assert_array_equal(found, values.reshape(tuple(kept.values())), err_msg=name)
        assert coordinate.attrs["units"] == expected.units[name]
        side = expected.position if name in {c.name for c in expected.position.columns} else expected.spectroscopic
        assert coordinate.attrs[ROLE] == side.role
