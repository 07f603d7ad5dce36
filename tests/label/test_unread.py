"""Blocks are handed on as they are, and those of files unread to who asks for them so."""

from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

from usidx.label.blockwise import Output, along

Array = npt.NDArray[Any]


@pytest.mark.parametrize("writeable", [True, False])
def test_a_kernel_gets_the_block_itself(writeable: bool) -> None:
    """As a copy each block would be in memory twice; but what may not be written to is copied."""
    made, same = [], []

    def make() -> Array:
        made.append(np.ones((2, 8)))
        made[-1].flags.writeable = writeable
        return made[-1]

    def look(block: Array) -> Array:
        same.append(any(np.shares_memory(block, one) for one in made))
        return np.asarray(block.sum(-1))

    blocks = [da.from_delayed(dask.delayed(make, pure=False)(), (2, 8), float) for _ in range(3)]
    data = xr.DataArray(da.concatenate(blocks), dims=("x", "t"))
    assert (along(data, "t", look, Output(dims=())).compute(scheduler="sync") == 8).all()
    assert same == [writeable] * 3
