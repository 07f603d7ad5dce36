"""Results are laid out under the names of the old tools, lazily, and nothing is lost."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.results.schema import StoredResult, find_title, to_stored
from usidx.results.verbs import record_step


def scan() -> xr.DataArray:
    array = xr.DataArray(np.random.default_rng(0).random((3, 4, 5)), dims=("Y", "X", "Bias"), name="Raw_Data")
    array.attrs = {"long_name": "Current", "units": "nA"}
    return usidx.set_roles(array, position=["Y", "X"], spectroscopic="Bias")


def svd_like(*, lazy: bool) -> xr.Dataset:
    source = scan()
    left, sizes, right = np.linalg.svd(source.values.reshape(12, 5), full_matrices=False)
    scores = source.isel(Bias=0, drop=True).expand_dims(component=5, axis=-1).copy()
    scores = scores.copy(data=(left * sizes).reshape(3, 4, 5))
    components = source.isel(Y=0, X=0, drop=True).expand_dims(component=5).copy(data=right)
    result = xr.Dataset(
        {"scores": scores, "components": components, "singular_values": ("component", sizes)},
        coords={"component": np.arange(5)},
    )
    return record_step(result.chunk(2) if lazy else result, source, "svd", {"n": 5, "note": None, "tol": 0.5})


def entry(stored: StoredResult, name: str) -> Any:
    return next(e for e in stored.entries if e.name == name)


@pytest.mark.parametrize("lazy", [False, True])
def test_svd_goes_to_disk_as_left_vectors(lazy: bool) -> None:
    result = svd_like(lazy=lazy)
    stored = to_stored(result)
    assert (stored.tool, stored.algorithm) == ("SVD", "usidx.svd")
    left = entry(stored, "U")
    assert left.is_main
    assert (left.data.chunks is None) is not lazy
    matrix = left.data.values.reshape(12, 5)
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(5), atol=1e-12)
    assert left.data.dims == ("Y", "X", "Principal Component")
    assert entry(stored, "V").data.dims == ("Principal Component", "Bias")
    assert not entry(stored, "S").is_main
    assert stored.parameters == {"num_components": 5, "tol": 0.5, "svd_method": "svd"}


def test_vanishing_singular_values_divide_nothing() -> None:
    result = svd_like(lazy=False)
    result["singular_values"] = ("component", [1.0, 1, 1, 0, 0])
    left = entry(to_stored(result), "U").data
    assert np.isfinite(left).all()
    np.testing.assert_array_equal(left.isel({"Principal Component": -1}), result["scores"].isel(component=-1))


@pytest.mark.parametrize(
    ("verb", "title"),
    [("svd", "SVD"), ("pca", "Decomposition"), ("nmf", "Decomposition"), ("cluster", "Cluster"), ("scree", "Scree")],
)
def test_titles(verb: str, title: str) -> None:
    assert find_title(record_step(scan(), scan(), verb, {})) == title


def test_results_without_a_verb() -> None:
    assert find_title(scan()) == "Derived"
    stored = to_stored(scan().to_dataset())
    assert [e.name for e in stored.entries] == ["Raw_Data"]


@pytest.mark.parametrize(
    ("model", "title"),
    [
        ({"name": "SHO"}, "SHO_Fit"),
        ({"name": "a b/c"}, "a_b_c_Fit"),
        ({}, "Model_Fit"),
        ("Gauss", "Gauss_Fit"),
        (3, "3_Fit"),
    ],
)
def test_titles_of_fits(model: Any, title: str) -> None:
    assert find_title(record_step(scan(), scan(), "fit", {"model": model})) == title


def fit_like(*, names: dict[str, str]) -> xr.Dataset:
    flat = scan().isel(Bias=0, drop=True)
    variables = {}
    for name, quantity in names.items():
        variables[name] = flat.assign_attrs(long_name=quantity, units="V")
        variables[f"{name}_stderr"] = flat.assign_attrs(long_name=quantity, units="V")
    variables["r2"] = flat.assign_attrs(long_name="R2", units="")
    variables["converged"] = flat > 0.5
    return record_step(xr.Dataset(variables), scan(), "fit", {"model": {"name": "SHO"}})


def test_fits_become_compound() -> None:
    stored = to_stored(fit_like(names={"amplitude": "Amplitude", "center": "Center"}))
    fit = entry(stored, "Fit").data
    assert fit.dtype.names == ("Amplitude [V]", "Center [V]", "R2 Criterion")
    np.testing.assert_array_equal(fit.values["Center [V]"], scan().values[..., 0])
    assert entry(stored, "Fit_Statistics").data.values["converged"].dtype == np.float64
    assert stored.hints["variables"]["converged"]["dtype"] == "|b1"
