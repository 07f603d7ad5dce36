"""From a result back to curves: at once, after a reload, and on another coordinate."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from tests.kit.truth import gaussian, oscillator
from usidx.errors import ResultError, SelectionError
from usidx.fitting.compare import compare
from usidx.fitting.evaluate import evaluate, evaluate_terms, model_of, residual
from usidx.fitting.fit import fit
from usidx.fitting.models.composite import name_terms, select_terms
from usidx.fitting.results import find_variable
from usidx.models import SHO, Constant, Exponential, Expression, Gaussian, Linear
from usidx.modes.switching.relaxation_fit import relaxation_fit
from usidx.results.provenance import find_last_step, read_steps

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]
PEAK = Gaussian() + Constant()


def reloaded(result: xr.Dataset, folder: Path) -> xr.Dataset:
    result.to_netcdf(folder / "result.nc", engine="h5netcdf")
    return xr.open_dataset(folder / "result.nc", engine="h5netcdf").load()


@pytest.mark.parametrize("name", ["peaks", "oscillators"])
def test_evaluate_after_a_reload(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> None:
    data, _ = request.getfixturevalue(name)(shape=(3, 4))
    model, formula = (PEAK, gaussian) if name == "peaks" else (SHO(), oscillator)
    data[0, 1] = np.nan
    result = reloaded(fit(data, model), tmp_path)
    assert model_of(result) == model
    values = evaluate(result)
    assert values.dims == data.dims
    assert values.units == "V"
    assert values.name == "Raw_Data"
    assert_array_equal(values.Energy, data.Energy)
    assert values.Y.attrs["usid_role"] == "position"
    expected = formula(data.Energy.values, *(result[n].values[..., None] for n in model.names))
    assert_allclose(values, expected, rtol=1e-10)
    assert np.isnan(values[0, 1]).all()
    left = residual(result, data.transpose("Energy", "Y", "X"))
    assert left.dims == ("Energy", "Y", "X")
    assert_allclose(left.transpose(*data.dims), data - expected, atol=1e-12)
    assert left.attrs["units"] == "V"
    assert [s["tool"] for s in read_steps(left)] == ["fit", "residual"]


@pytest.mark.parametrize("verb", ["fit", "relaxation_fit"])
def test_a_fit_is_evaluated_where_nobody_has_named_its_model_yet(tmp_path: Path, verb: str) -> None:
    """A model is known once its module is loaded, which a session that only reads has no other reason to do."""
    times = np.arange(1.0, 9.0)
    data = xr.DataArray(2.0 * np.exp(-times / 3.0) + 1.0, {"time": times}, dims="time", attrs={"units": "V"})
    model = Exponential() + Constant()
    made = fit(data, model, dim="time") if verb == "fit" else relaxation_fit(data, dim="time")
    made.to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    code = f"""import numpy as np, usidx, xarray as xr
result = xr.open_dataset({str(tmp_path / "result.nc")!r}, engine="h5netcdf").load()
np.testing.assert_allclose(usidx.evaluate(result), {data.values.tolist()}, rtol=1e-6)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_evaluate_stays_lazy(peaks: Maker) -> None:
    data, _ = peaks(shape=(4, 4))
    result = fit(data.chunk({"Y": 2}), PEAK)
    values = evaluate(result)
    assert values.chunks == ((2, 2), (4,), (60,))
    assert residual(result, data).chunks is not None
    assert_array_equal(values.compute(), evaluate(fit(data, PEAK)))


def test_evaluate_elsewhere(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 3))
    result = fit(data, PEAK)
    finer = xr.DataArray(np.linspace(-1, 1, 7), dims="Energy", name="Energy", attrs={"units": "eV"})
    values = evaluate(result, finer)
    assert values.sizes == {"Y": 2, "X": 3, "Energy": 7}
    expected = gaussian(finer.values, *(result[n].values[..., None] for n in PEAK.names))
    assert_allclose(values, expected, rtol=1e-10)
    assert evaluate(result, xr.DataArray([0.0, 1.0], dims="fine")).dims == ("Y", "X", "fine")
    assert evaluate(result.isel(Y=0, X=1), finer).dims == ("Energy",)


def test_evaluate_where_there_is_no_coordinate_or_one_that_changes() -> None:
    line = xr.DataArray(np.arange(12.0).reshape(3, 4) ** 1.0, dims=("p", "x"))
    assert_allclose(evaluate(fit(line, Linear(), "x")), line, atol=1e-12)
    own = line.assign_coords(own=(("p", "x"), np.arange(12.0).reshape(3, 4)))
    result = fit(own, Linear(), "x", coordinate="own")
    assert_allclose(result.slope, 1.0)
    assert_allclose(evaluate(result), line, atol=1e-12)
    with pytest.raises(ResultError, match="does not hold the coordinate 'own' any more; pass it as x="):
        evaluate(result.drop_vars("own"))


def test_recipe_is_recorded(peaks: Maker) -> None:
    data, _ = peaks(shape=(1, 2))
    step = find_last_step(fit(data, PEAK, bounds={"sigma": (0.1, 2.0)}), "fit")
    assert step is not None
    assert step["parameters"]["model"]["name"] == "Gaussian Constant"
    assert step["parameters"]["dim"] == ["Energy"]
    assert step["parameters"]["bounds"] == {"sigma": [0.1, 2.0]}
    assert step["input"]["units"] == "V"


def test_errors_say_what_to_do(peaks: Maker) -> None:
    data, _ = peaks(shape=(1, 2))
    result = fit(data, PEAK)
    with pytest.raises(ResultError, match="does not come from a fit: none of the steps"):
        evaluate(xr.Dataset())
    with pytest.raises(ResultError, match="lacks the parameter 'sigma'; it has"):
        evaluate(result.drop_vars("sigma"))
    with pytest.raises(ResultError, match=r"The fit has the dims .* they should agree"):
        residual(result, data.isel(X=[0]))


def measured() -> tuple[xr.DataArray, xr.Dataset]:
    x = np.linspace(-4, 4, 50)
    values = np.stack([gaussian(x, 3.0, c, 0.8) + 0.2 * x + 1.0 for c in (-1.0, 0.5, 1.0)])
    coords = {"Energy": ("Energy", x, {"units": "eV"}), "p": [10, 20, 30]}
    data = xr.DataArray(values, dims=("p", "Energy"), coords=coords, attrs={"units": "V", "operator": "Ada"})
    return data, fit(data, Gaussian() + Linear(), "Energy")


@pytest.mark.parametrize(
    "make",
    [
        np.asarray, list, tuple, pd.Index, da.from_array, np.float32,
        lambda v: xr.Variable("Energy", v), lambda v: xr.DataArray(v, dims="Energy"),
    ],
)  # fmt: skip
def test_coordinate_may_be_any_array(make: Callable[..., Any]) -> None:
    _, found = measured()
    at = np.array([-1.0, 0.0, 2.5])
    curve = evaluate(found, make(at))
    assert curve.dims == ("p", "Energy")
    assert_array_equal(curve.Energy, at)
    assert curve.Energy.attrs["units"] == "eV"
    expected = [gaussian(at, 3.0, c, 0.8) + 0.2 * at + 1.0 for c in (-1.0, 0.5, 1.0)]
    assert_allclose(curve, expected, rtol=1e-6)


def test_a_number_takes_the_dim_away() -> None:
    _, found = measured()
    for at in (0.5, np.float64(0.5), np.array(0.5), xr.DataArray(0.5)):
        value = evaluate(found, at)
        assert value.dims == ("p",)
        assert float(value.Energy) == 0.5
        assert_allclose(value, [gaussian(0.5, 3.0, c, 0.8) + 1.1 for c in (-1.0, 0.5, 1.0)], rtol=1e-6)
    assert evaluate_terms(found, 0.5).gaussian.dims == ("p",)


def test_several_coordinates_come_as_a_tuple() -> None:
    y, x = np.linspace(-1, 1, 12), np.linspace(0, 2, 15)
    image = xr.DataArray(2 * y[:, None] + 3 * x + 0.5, dims=("Y", "X"), coords={"Y": y, "X": x})
    found = fit(image, Expression("a * y + b * x + c", ("y", "x")), ("Y", "X"))
    assert_allclose(evaluate(found, ([0.0, 0.5], [1.0, 2.0, 4.0])), [[3.5, 6.5, 12.5], [4.5, 7.5, 13.5]])
    assert evaluate(found, (0.0, [1.0, 2.0])).dims == ("X",)
    with pytest.raises(ResultError, match=r"x should be 2 coordinates, for the dims \['Y', 'X'\]"):
        evaluate(found, [1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 3)), r"x has 2 axes and no names of dims; say by xr.DataArray"),
        (["a", "b"], r"x is of dtype <U1; the model needs numbers"),
    ],
)
def test_what_is_no_coordinate_is_refused(x: Any, message: str) -> None:
    with pytest.raises(ResultError, match=message):
        evaluate(measured()[1], x)


def test_terms_by_name() -> None:
    data, found = measured()
    peak = np.stack([gaussian(data.Energy.values, 3.0, c, 0.8) for c in (-1.0, 0.5, 1.0)])
    line = 0.2 * data.Energy.values + 1.0
    assert_allclose(evaluate(found, terms="gaussian"), peak, atol=1e-6)
    assert_allclose(evaluate(found, terms=["linear"]), np.tile(line, (3, 1)), atol=1e-6)
    assert_allclose(evaluate(found, terms=("Gaussian", "linear")), data, atol=1e-6)
    parts = evaluate_terms(found.chunk(p=1))
    assert parts.chunks
    assert list(parts) == ["gaussian", "linear"]
    assert_allclose(parts.gaussian, peak, atol=1e-6)
    assert parts.linear.attrs["units"] == "V"
    assert parts.attrs["operator"] == "Ada"
    with pytest.raises(SelectionError, match=r"terms: no term 'peak'; the terms .* are \('gaussian', 'linear'"):
        evaluate(found, terms="peak")
    with pytest.raises(SelectionError, match="terms: none is named"):
        evaluate(found, terms=())


def test_names_of_terms_that_are_alike() -> None:
    model = Gaussian() + Gaussian() + Gaussian(prefix="d_") + Constant()
    assert name_terms(model) == ("gaussian_1", "gaussian_2", "d", "constant")
    assert select_terms(model, ["d_", "constant"]).names == ("d_amplitude", "d_center", "d_sigma", "offset")
    assert name_terms(Gaussian()) == ("gaussian",)
    assert name_terms(Exponential() + Exponential()) == ("exponential_1", "exponential_2")
    with pytest.raises(SelectionError, match="terms: 3 terms are a 'Gaussian'"):
        select_terms(model, ["Gaussian"])


def test_terms_of_complex_sums_are_complex() -> None:
    w = np.linspace(1, 3, 60)
    values = oscillator(w, 2.0, 1.7, 20.0, 0.6) + 0.5
    found = fit(xr.DataArray(values, dims="w", coords={"w": w}), SHO() + Constant())
    parts = evaluate_terms(found)
    assert {v.dtype.kind for v in parts.data_vars.values()} == {"c"}
    # Beside a complex model a constant is a complex one, and is called so.
    assert list(parts) == ["sho", "complex_constant"]
    assert_allclose(parts.complex_constant, 0.5, rtol=1e-6)
    assert_allclose(parts.sho + parts.complex_constant, values, rtol=1e-6)


def test_attributes_of_the_user_survive() -> None:
    data, found = measured()
    assert found.attrs["operator"] == "Ada"
    found.attrs["grade"] = 2
    curve = evaluate(found)
    assert (curve.attrs["operator"], curve.attrs["grade"], curve.attrs["units"]) == ("Ada", 2, "V")
    assert residual(found, data).attrs["operator"] == "Ada"


@pytest.mark.parametrize("where", ["dim", "labelled dim", "coordinate", "scalar"])
@pytest.mark.parametrize(
    "name",
    ["samples", "status", "chi2", "converged", "r2", "center", "sigma_stderr", "covariance", "parameter"],
)
def test_any_name_of_dims_and_coordinates_goes(name: str, where: str) -> None:
    plain, _ = measured()
    plain = plain.drop_vars("p")
    data = plain if where in ("coordinate", "scalar") else plain.rename(p=name)
    extra: Any = {"labelled dim": (name, [1, 2, 3]), "coordinate": ("p", [1, 2, 3]), "scalar": 7.0}
    data = data.assign_coords({name: extra[where]}) if where in extra else data
    expected = fit(plain, Gaussian() + Linear(), "Energy", covariance=True)
    found = fit(data, Gaussian() + Linear(), "Energy", covariance=True)
    for variable in ("amplitude", "center", "center_stderr", "status", "samples", "chi2", "converged", "covariance"):
        own = find_variable(found, variable)
        assert own in (variable, f"fit_{variable}")
        assert_allclose(found[own].values, expected[variable].values)
    assert found.sizes[name if "dim" in where else "p"] == 3
    if where in extra:
        assert_array_equal(found[name], data[name])
    assert_allclose(evaluate(found), data, atol=1e-6)
    assert evaluate(found).dims == data.dims
    assert compare(found, found, names=["a", "b"]).sizes["model"] == 2
