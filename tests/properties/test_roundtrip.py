"""What is written opens as it was; what is encoded decodes as it was."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
import xarray as xr
from hypothesis import Phase, given, settings

import usidx
from usidx.label.coding import decode_array
from usidx.label.encoding import encode
from usidx.testing.assertions import assert_same
from usidx.testing.strategies import labelled_arrays

# Files are synced to the disk, so examples are few and a failure is not explained line by line.
QUICK = settings(max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink])


@given(array=labelled_arrays(any_order=True))
def test_decode_undoes_encode(array: xr.DataArray) -> None:
    encoded = encode(array)
    assert encoded.left_out == ()
    assert_same(decode_array(encoded.layout, np.asarray(encoded.data)), array)


@QUICK
@given(array=labelled_arrays(any_order=True))
def test_open_undoes_write(array: xr.DataArray) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        main = usidx.write(array, path)
        assert_same(usidx.open_main(path, main).compute(), array)


@QUICK
@given(array=labelled_arrays(any_order=True))
def test_what_is_written_twice_is_written_once(array: xr.DataArray) -> None:
    with TemporaryDirectory() as folder:
        first, second = Path(folder) / "first.h5", Path(folder) / "second.h5"
        usidx.write(array, first)
        usidx.write(usidx.open_main(first), second)
        assert_same(usidx.open_main(second).compute(), array)


@QUICK
@given(array=labelled_arrays())
def test_blocks_of_any_shape_land_where_they_belong(array: xr.DataArray) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        usidx.write(array.chunk(dict.fromkeys(array.dims, 2)), path)
        assert_same(usidx.open_main(path).compute(), array)


@QUICK
@given(array=labelled_arrays(dtypes=("f4", "c8")))
def test_pyusid_accepts_what_is_written(array: xr.DataArray) -> None:
    simple = pytest.importorskip("pyUSID.io.hdf_utils.simple")
    import h5py

    with TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        main = usidx.write(array, path)
        with h5py.File(path) as file:
            assert simple.check_if_main(file[main], verbose=True)
