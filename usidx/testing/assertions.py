"""Comparisons that say more than equal: same values, dtype, labels, attributes, indexes."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

import xarray as xr

from usidx.results.provenance import PROVENANCE

__all__ = ["assert_same"]

Labelled = TypeVar("Labelled", xr.DataArray, xr.Dataset)


def assert_same(actual: Labelled, expected: Labelled) -> None:
    """Check that two objects are identical, whatever is recorded of where they came from.

    Computes both.

    Parameters
    ----------
    actual, expected : DataArray or Dataset
        Any dims.

    Raises
    ------
    AssertionError
        A value, name, dim, attribute, dtype, byte order aside, or the set of indexed coordinates differs.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> assert_same(xr.DataArray(np.zeros(2, "f4")), xr.DataArray(np.zeros(2, "f8")))
    Traceback (most recent call last):
        ...
    AssertionError: dtypes differ: {None: (dtype('float32'), dtype('float64'))}
    """
    actual, expected = _drop_provenance(actual), _drop_provenance(expected)
    xr.testing.assert_identical(actual, expected)
    found, wanted = _list_dtypes(actual), _list_dtypes(expected)
    differing = {name: (found[name], wanted[name]) for name in found if found[name] != wanted[name]}
    assert not differing, f"dtypes differ: {differing}"
    indexed, to_index = set(actual.xindexes), set(expected.xindexes)
    assert indexed == to_index, f"indexed coordinates differ: {indexed} and {to_index}"


def _drop_provenance(data: Labelled) -> Labelled:
    data = data.copy()
    data.attrs.pop(PROVENANCE, None)
    if isinstance(data, xr.Dataset):
        for variable in data.data_vars.values():
            variable.attrs.pop(PROVENANCE, None)
    return data


def _list_dtypes(data: xr.DataArray | xr.Dataset) -> dict[Hashable, object]:
    own = {data.name: data.dtype} if isinstance(data, xr.DataArray) else {n: v.dtype for n, v in data.items()}
    every = own | {name: coord.dtype for name, coord in data.coords.items()}
    return {name: dtype.newbyteorder("=") for name, dtype in every.items()}
