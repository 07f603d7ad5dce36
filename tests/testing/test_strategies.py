"""What the strategies promise, and that they reach each kind of array."""

from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from usidx.label.roles import POSITION, ROLE, SPECTROSCOPIC, position_dims, spectroscopic_dims
from usidx.testing.strategies import DTYPES, acquisition_orders, labelled_arrays


@given(labelled_arrays())
def test_position_dims_come_first_and_each_coordinate_has_a_role(array: xr.DataArray) -> None:
    assert array.dims == position_dims(array) + spectroscopic_dims(array)
    assert all(coord.attrs[ROLE] in {POSITION, SPECTROSCOPIC} for coord in array.coords.values())
    assert 1 not in array.shape
    assert max(array.shape, default=0) <= 5
    assert array.dtype.str.lstrip("<|=").replace("b1", "?") in DTYPES


@given(labelled_arrays())
def test_only_values_that_tell_steps_apart_are_indexed(array: xr.DataArray) -> None:
    for name in array.xindexes:
        values = array.coords[name].values
        assert len(np.unique(values)) == values.size
    assert all(
        array[d].ndim > 1 or len(np.unique(array[d])) < array.sizes[d] for d in array.dims if d not in array.xindexes
    )


@given(labelled_arrays(sparse=False, dependent=False, dtypes=("f8",), max_size=3))
def test_options_narrow_what_is_drawn(array: xr.DataArray) -> None:
    assert array.dtype == "f8"
    assert "position" not in array.dims
    assert all(coord.dims in {(), (name,)} for name, coord in array.coords.items())
    assert max(array.shape, default=0) <= 3


# The first find will do; shrinking it takes long.
FIRST = settings(phases=[Phase.generate], max_examples=2000, database=None)

KINDS: dict[str, Callable[[xr.DataArray], bool]] = {
    "no dim": lambda a: a.ndim == 0,
    "five dims": lambda a: a.ndim >= 5,
    "sparse": lambda a: "position" in a.dims,
    "no spectroscopic coordinate": lambda a: all(c.attrs[ROLE] == POSITION for c in a.coords.values()),
    "one position, one spectrum": lambda a: a.ndim == 1 and a.dims == spectroscopic_dims(a),
    "repeated values": lambda a: any(d not in a.xindexes and a[d].ndim == 1 for d in a.dims),
    "values that vary with another dim": lambda a: any(a[d].ndim == 2 for d in a.dims),
    "coordinate beside a dim": lambda a: any(c.ndim == 1 and n not in a.dims for n, c in a.coords.items()),
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_reached(kind: str) -> None:
    find(labelled_arrays(max_size=3), KINDS[kind], settings=FIRST)


def test_any_order_turns_dims_round() -> None:
    arrays = labelled_arrays(any_order=True)
    find(arrays, lambda a: a.dims != position_dims(a) + spectroscopic_dims(a), settings=FIRST)


@given(st.integers(0, 8).flatmap(acquisition_orders))
def test_acquisition_orders_are_permutations(order: np.ndarray) -> None:
    assert sorted(order.tolist()) == list(range(len(order)))
