"""Files that pyUSID writes open here; files that are written here open in pyUSID."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.kit.pyusid import accepts, main_datasets, old_numpy, open_with_pyusid

Array = npt.NDArray[Any]


def cube() -> Array:
    return np.arange(3 * 4 * 2 * 5, dtype="f4").reshape(3, 4, 2, 5)  # (Y, X, Cycle, Bias)


def pyusid_file(path: Path) -> str:
    """Have pyUSID's own translator write a raster; it lists the fastest dim first."""
    with old_numpy() as pyusid:
        dims = pyusid.Dimension
        pyusid.ArrayTranslator().translate(
            str(path),
            "Made_By_pyUSID",
            cube().reshape(12, 10),
            "Current",
            "nA",
            [dims("X", "um", np.arange(4.0)), dims("Y", "um", np.arange(3) * 2.0)],
            [dims("Bias", "V", np.linspace(-1, 1, 5)), dims("Cycle", "", np.arange(2.0))],
            extra_dsets={"noise": np.arange(3.0)},
        )
    return usidx.list_mains(path)[0]


def test_a_file_that_pyusid_wrote_opens(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    raw = usidx.open_main(path, pyusid_file(path))
    assert raw.dims == ("Y", "X", "Cycle", "Bias")
    np.testing.assert_array_equal(raw, cube())
    np.testing.assert_allclose(raw.Y, [0, 2, 4])
    np.testing.assert_allclose(raw.Bias, np.linspace(-1, 1, 5))
    assert (raw.attrs["long_name"], raw.attrs["units"], raw.X.attrs["units"]) == ("Current", "nA", "um")
    tree = usidx.open_tree(path)
    found = [node for node in tree.subtree if "noise" in node.data_vars]
    np.testing.assert_array_equal(found[0].noise, [0, 1, 2])


def test_results_go_into_a_file_that_pyusid_wrote(tmp_path: Path) -> None:
    path = tmp_path / "old.h5"
    raw = usidx.open_main(path, pyusid_file(path))
    group = raw.usid.svd(2).usid.write()
    assert {f"{group}/U", f"{group}/V"} <= set(main_datasets(path))
    seen = open_with_pyusid(path, f"{group}/U")
    scores = usidx.open_result(path, group).scores / usidx.open_result(path, group).singular_values
    np.testing.assert_allclose(seen.in_order("Y", "X", "Principal Component"), scores, atol=1e-6)
    with old_numpy() as pyusid, h5py.File(path) as file:
        found = pyusid.hdf_utils.find_results_groups(file[usidx.list_mains(path)[0]], "SVD")
        assert [g.name for g in found] == [group]


@pytest.mark.parametrize("verb", ["svd", "pca", "nmf", "cluster", "fit"])
def test_pyusid_accepts_every_main_of_every_result(tmp_path: Path, verb: str) -> None:
    path = tmp_path / "scan.h5"
    data, _ = usidx.simulate.band_excitation((5, 4), 32)
    usidx.write(data, path)
    raw = usidx.open_main(path)
    if verb == "fit":
        result: xr.Dataset = raw.usid.fit(usidx.models.SHO(), dim="Frequency")
    elif verb == "cluster":
        result = raw.usid.cluster("kmeans", 3)
    else:
        result = getattr(abs(raw).usid, verb)(3)
    group = result.usid.write()
    with h5py.File(path) as file:
        mains = [d.name for d in file[group].values() if "Position_Indices" in d.attrs]
    assert mains
    assert all(accepts(path, main) for main in mains)


@pytest.mark.parametrize("order", ["raster", "other order of dims"])
def test_pyusid_reads_what_is_written(tmp_path: Path, order: str) -> None:
    array = xr.DataArray(
        cube(),
        dims=("Y", "X", "Cycle", "Bias"),
        coords={"Y": np.arange(3.0), "X": np.arange(4.0), "Cycle": [0.0, 1.0], "Bias": np.arange(5.0)},
        name="Raw_Data",
        attrs={"long_name": "Current", "units": "nA"},
    )
    array = usidx.set_roles(array, position=["Y", "X"], spectroscopic=["Cycle", "Bias"])
    array = array if order == "raster" else array.transpose("Bias", "X", "Cycle", "Y")
    main = usidx.write(array, tmp_path / "new.h5")
    seen = open_with_pyusid(tmp_path / "new.h5", main)
    np.testing.assert_array_equal(seen.in_order("Y", "X", "Cycle", "Bias"), cube())
    assert (seen.quantity, seen.unit) == ("Current", "nA")
    np.testing.assert_array_equal(seen.values["Bias"], np.arange(5.0))
