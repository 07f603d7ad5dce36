"""From a result back to curves: at once, after a reload, and on another coordinate."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from tests.kit.truth import gaussian, oscillator
from usidx.errors import ResultError
from usidx.fitting.evaluate import evaluate, model_of, residual
from usidx.fitting.fit import fit
from usidx.models import SHO, Constant, Exponential, Gaussian, Linear
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
    with pytest.raises(ResultError, match="x should be one coordinate with a dim"):
        evaluate(result, xr.DataArray(1.0))
