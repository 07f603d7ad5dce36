"""Fields of a Dataset decomposed together, against the same cells side by side in one array."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from tests.learn.conftest import Backing
from usidx.errors import ResultError, UnitsError
from usidx.testing.files import build_main

Array = npt.NDArray[Any]


def fields(dtype: str = "float64", units: tuple[str, str] = ("V", "V")) -> xr.Dataset:
    rng = np.random.default_rng(0)
    cells = rng.random((2, 5, 6, 8)) + rng.random((5, 6, 1)) * np.arange(8)
    if dtype.startswith("complex"):
        cells = cells + 1j * rng.random(cells.shape)
    found = {
        name: (("Y", "X", "Bias"), part.astype(dtype), {"units": unit, "long_name": f"{name} of it"})
        for name, part, unit in zip(("Trace", "Retrace"), cells, units, strict=True)
    }
    data = xr.Dataset(found, {"Bias": ("Bias", np.arange(8.0), {"units": "V"})})
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="Bias")


def backed(data: xr.Dataset, backing: Backing) -> xr.Dataset:
    return data.map(backing)


def side_by_side(data: xr.Dataset) -> Array:
    return np.stack([v.values for v in data.data_vars.values()], axis=-1).reshape(30, -1)


@pytest.mark.parametrize("dtype", ["float64", "float32", "complex128"])
def test_svd_is_that_of_the_fields_side_by_side(dtype: str, backing: Backing) -> None:
    data = fields(dtype)
    found = usidx.svd(backed(data, backing), 3).compute()
    values = np.linalg.svd(side_by_side(data), compute_uv=False)
    np.testing.assert_allclose(found.singular_values, values[:3], rtol=1e-5)
    assert found.scores.dims == ("Y", "X", "component")
    assert found.components.dims == ("component", "Bias", "field")
    assert found.field.values.tolist() == ["Trace", "Retrace"]
    one = found.components.sel(field="Retrace")
    assert one.dims == ("component", "Bias")


@pytest.mark.parametrize("verb", ["svd", "pca", "nmf", "ica", "cluster"])
def test_every_verb_takes_fields(verb: str, backing: Backing) -> None:
    data = fields()
    joined = xr.DataArray(side_by_side(data).reshape(5, 6, 16), dims=("Y", "X", "cell"))
    found = getattr(usidx, verb)(backed(data, backing), n=2).compute()
    alone = getattr(usidx, verb)(joined, n=2, dim="cell")
    name = "distance" if verb == "cluster" else "scores"
    np.testing.assert_allclose(found[name], alone[name], atol=1e-6)


def test_all_components_make_the_fields_again(backing: Backing) -> None:
    data = fields(units=("V", "V"))
    again = usidx.reconstruct(usidx.pca(backed(data, backing), 16))
    assert isinstance(again, xr.Dataset)
    assert list(again) == ["Trace", "Retrace"]
    for name, field in data.items():
        assert again[name].dims == field.dims
        np.testing.assert_allclose(again[name], field, atol=1e-9)
        assert {k: again[name].attrs[k] for k in ("units", "long_name")} == field.attrs


def test_units_come_back_where_each_step_was_scaled() -> None:
    data = fields(units=("V", "A"))
    data["Retrace"] = data.Retrace * 1e-9
    data.Retrace.attrs = {"units": "A", "long_name": "Retrace of it"}
    result = usidx.svd(data, 16, scale="std")
    again = usidx.reconstruct(result)
    assert again.Retrace.attrs["units"] == "A"
    np.testing.assert_allclose(again.Retrace, data.Retrace, rtol=1e-6)
    np.testing.assert_allclose(again.Trace, data.Trace, rtol=1e-6)


def test_a_real_field_beside_a_complex_one_comes_back_real() -> None:
    data = fields("complex128")
    data["Trace"] = data.Trace.real.assign_attrs(data.Trace.attrs)
    again = usidx.reconstruct(usidx.svd(data, 16))
    assert [again[name].dtype.kind for name in again] == ["f", "c"]
    np.testing.assert_allclose(again.Trace, data.Trace, atol=1e-9)


def test_other_fields_are_projected() -> None:
    data = fields()
    result = usidx.pca(data, 3)
    np.testing.assert_allclose(usidx.project(result, data.isel(Y=[1])), result.scores.isel(Y=[1]), atol=1e-9)


def test_masked_and_missing_cells_are_left_out(backing: Backing) -> None:
    data = fields()
    data["Retrace"][2, 3, 4] = np.nan
    found = usidx.svd(backed(data, backing), 2, mask=xr.DataArray(np.arange(8) == 1, dims="Bias")).compute()
    assert np.isnan(found.scores).sum() == np.isnan(found.scores[2, 3]).sum() == 2
    kept = np.delete(side_by_side(data).reshape(30, 8, 2), 1, axis=1).reshape(30, -1)
    values = np.linalg.svd(np.delete(kept, 2 * 6 + 3, axis=0), compute_uv=False)
    np.testing.assert_allclose(found.singular_values, values[:2], rtol=1e-9)


def test_maps_of_fit_parameters_are_clustered() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 2, (6, 7))
    maps = {name: (("Y", "X"), 5.0 * groups + rng.random((6, 7))) for name in ("amplitude", "center", "width")}
    found = usidx.cluster(xr.Dataset(maps), "kmeans", 2)
    np.testing.assert_array_equal(found.labels, groups)
    assert found.mean_response.sel(field="center").dims == ("cluster",)


def test_a_compound_main_is_decomposed_written_and_opened_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cells = np.empty((4, 3, 5), np.dtype([("Amplitude [V]", "f4"), ("Noise [V]", "f4")]))
    for name in cells.dtype.names or ():
        cells[name] = rng.random(cells.shape)
    built = build_main(
        tmp_path / "scan.h5", cells, [("Y", "m", range(4)), ("X", "m", range(3))], [("Bias", "V", range(5))]
    )
    data = usidx.open_dataset(built.path, built.main)
    result = data.usid.svd(3)
    again = usidx.open_result(built.path, result.usid.write())
    flat = np.stack([cells["Amplitude [V]"], cells["Noise [V]"]], axis=-1).reshape(12, -1)
    np.testing.assert_allclose(again.singular_values, np.linalg.svd(flat, compute_uv=False)[:3], rtol=1e-5)
    assert again.field.values.tolist() == ["Amplitude", "Noise"]
    xr.testing.assert_allclose(again.components, result.components.compute(), atol=1e-6)
    made = again.usid.reconstruct()
    assert list(made) == ["Amplitude", "Noise"]
    xr.testing.assert_allclose(made.Noise, result.usid.reconstruct().Noise.compute(), atol=1e-5)
    assert made.Noise.attrs["units"] == "V"


def test_refuses_units_that_differ() -> None:
    data = fields(units=("V", "A"))
    with pytest.raises(UnitsError, match=r"different units, \{'Trace': 'V', 'Retrace': 'A'\}.*scale='std'"):
        usidx.svd(data, 2)
    with pytest.raises(UnitsError, match="numbers alike"):
        usidx.cluster(data, n=2)
    # What the message says to do works.
    alike = data.assign({n: (v / v.std()).assign_attrs(units="") for n, v in data.items()})
    assert usidx.cluster(alike, n=2).sizes["cluster"] == 2


def test_refuses_fields_over_other_dims() -> None:
    data = fields().assign(Topography=(("Y", "X"), np.zeros((5, 6)), {"units": "V"}))
    with pytest.raises(
        ResultError, match=r"'Topography' is float64 over \('Y', 'X'\), field 'Trace' is .*data\[\['Trace'"
    ):
        usidx.nmf(data, 2)


def test_refuses_what_is_no_number() -> None:
    data = fields().assign(good=(("Y", "X", "Bias"), np.ones((5, 6, 8), bool), {"units": "V"}))
    with pytest.raises(ResultError, match="Field 'good' is bool"):
        usidx.pca(data, 2)


def test_refuses_a_dataset_with_nothing_in_it() -> None:
    with pytest.raises(ResultError, match="has no variable"):
        usidx.svd(xr.Dataset(), 2)


def test_refuses_a_dim_of_the_name_field() -> None:
    with pytest.raises(ResultError, match="already has a dim or coordinate 'field'"):
        usidx.svd(fields().rename(Bias="field"), 2)
