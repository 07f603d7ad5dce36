"""Real files, cell by cell: positions are (X index, Y index), read from the files by index, not by order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx

RealFiles = Callable[[str], Path]
PFM: dict[str, dict[tuple[int, int], float]] = {
    "Channel_000": {
        (0, 0): -2.7484903e-09, (1, 0): -2.7435219e-09, (0, 1): -2.597651e-09, (127, 0): 1.28047e-09,
        (0, 127): 4.1792703e-10, (17, 101): 2.6073295e-09, (127, 127): 1.8510207e-09,
    },
    "Channel_001": {
        (0, 0): 7.7703e-10, (1, 0): 5.382037e-10, (0, 1): 7.5572015e-10, (17, 101): 5.8680055e-10,
        (127, 127): 1.3201713e-10,
    },
    "Channel_002": {
        (0, 0): 2.4848699e-08, (1, 0): 2.4885892e-08, (0, 1): 2.4743795e-08, (17, 101): 2.5094629e-08,
        (127, 127): 2.4651289e-08,
    },
    "Channel_003": {
        (0, 0): 188.57768, (1, 0): 193.6514, (0, 1): 189.05423, (17, 101): -3.1131434, (127, 127): -45.428165,
    },
}  # fmt: skip
STEM = {(0, 0): 86, (1, 0): 96, (0, 1): 97, (255, 0): 62, (0, 255): 87, (17, 101): 104, (255, 255): 81}
FORCE = {
    0: (-1.71860464e-07, 5.46101774e-06), 1: (-1.72204253e-07, 5.4613015e-06),
    1000: (-1.59966703e-07, 5.74122987e-06), 1022: (-1.57872208e-07, 5.74293153e-06),
    2044: (-1.71002512e-07, 5.57749354e-06),
}  # fmt: skip


def look(image: xr.DataArray, cells: dict[tuple[int, int], Any]) -> None:
    assert image.dims == ("Y", "X")
    for (x, y), value in cells.items():
        assert float(image.isel(X=x, Y=y)) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize("channel", PFM)
@pytest.mark.parametrize("chunks", [{}, None], ids=str)
def test_pfm(real_files: RealFiles, channel: str, chunks: Any) -> None:
    image = usidx.open_main(real_files("usid/pyUSID_SingFreqPFM_0003.h5"), f"{channel}/Raw_Data", chunks=chunks)
    look(image, PFM[channel])
    np.testing.assert_allclose(image.X, np.linspace(0, 5e-6, 128), rtol=1e-5)
    np.testing.assert_allclose(image.Y, np.linspace(0, 5e-6, 128), rtol=1e-5)
    assert float(image.arb) == 1


def test_stem(real_files: RealFiles) -> None:
    image = usidx.open_main(real_files("usid/pyUSID_simulated_STEM_Image_a.h5"))
    look(image, STEM)
    assert image.dtype == np.uint8
    assert int(image.astype("i8").sum()) == 6710823
    assert float(image.coords["None"]) == 1
    assert float(image.X[-1]) == pytest.approx(5e-9)
    assert image.X.attrs["units"] == "nm"


@pytest.mark.parametrize("squeeze", [True, False])
def test_force_curve(real_files: RealFiles, squeeze: bool) -> None:
    curve = usidx.open_main(real_files("usid/pyUSID_AFM_Force_Curve_a.h5"), squeeze=squeeze)
    assert curve.dims == (("Z",) if squeeze else ("X", "Z"))
    for step, (deflection, height) in FORCE.items():
        assert float(curve.isel(Z=step).squeeze()) == pytest.approx(deflection, rel=1e-6)
        assert float(curve.Z[step]) == pytest.approx(height, rel=1e-6)
    assert (int(curve.Z.argmax("Z")), np.unique(curve.Z).size) == (1009, 2040)
    assert "Z" not in curve.xindexes


def test_trees_of_real_files(real_files: RealFiles) -> None:
    tree = usidx.open_tree(real_files("usid/pyUSID_SingFreqPFM_0003.h5"))
    assert len(tree["Measurement_000"].attrs) > 800
    assert tree.attrs["data_type"]
    assert len([n for n in tree.leaves if "Raw_Data" in n.data_vars]) == 4
    sparse = usidx.open_tree(real_files("usid/pyUSID_sparse_sampling_a.h5"))
    for node in sparse.subtree:
        for variable in node.data_vars.values():
            variable.load()


def test_results_of_real_files(real_files: RealFiles) -> None:
    path = real_files("usid/pyUSID_sparse_sampling_a.h5")
    assert len([m for m in usidx.list_mains(path) if "Simple_Process" in m]) == 5
    with pytest.warns(usidx.errors.UsidWarning, match="not finished: 'completed_positions' tells of 0 of 8 positions"):
        result = usidx.open_result(path, "Simple_Process_009")
    assert result.Filtered_Data.dims == ("position", "Frequency")
    np.testing.assert_array_equal(result.Filtered_Data, 0)
    grid = usidx.to_grid(usidx.open_main(path, "/Measurement_000/Channel_001/Raw_Data"))
    assert grid.sizes["Frequency"] == 3
    assert int(grid.measured.sum()) == 8
    assert float(grid.sel(X=150, Y=3.75)[0]) == pytest.approx(0.58964497)


@pytest.mark.parametrize(
    "name",
    ["pyUSID_AFM_Force_Curve_a", "pyUSID_SingFreqPFM_0003", "pyUSID_simulated_STEM_Image_a", "pyUSID_sparse_sampling_a",
     "pycroscopy_131017Spectroscopy002", "pycroscopy_chip", "pycroscopy_test_hdf_utils"],
)  # fmt: skip
def test_real_files_have_no_errors(real_files: RealFiles, name: str) -> None:
    problems = usidx.validate(real_files(f"usid/{name}.h5"))
    assert [str(p) for p in problems if p.is_error] == []
