"""What cannot be meant gives an error that says what to do; what is empty gives what is empty."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

from tests.fitting.conftest import Maker
from usidx.errors import RoleError, SelectionError, UsidError
from usidx.fitting.evaluate import evaluate
from usidx.fitting.fit import fit
from usidx.models import Constant, Exponential, Gaussian, Linear, Model

PEAK = Gaussian() + Constant()


def test_what_is_no_array_or_no_model_is_refused(peaks: Maker) -> None:
    data: Any = peaks(shape=(2, 2))[0]
    wrong: Any = Gaussian
    with pytest.raises(UsidError, match=r"of a DataArray, and this is a Dataset. Choose one .*'Raw_Data'"):
        fit(data.to_dataset(), PEAK)
    with pytest.raises(UsidError, match="A ndarray where a DataArray is expected"):
        fit(data.values, PEAK)
    with pytest.raises(UsidError, match=r"Gaussian'> is no model. Write Gaussian\(\)"):
        fit(data, wrong)
    with pytest.raises(UsidError, match=r"'Gaussian' is no model. See usidx.models"):
        fit(data, "Gaussian")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unsupported operand"):
        Gaussian() + 1  # type: ignore[operator]
    with pytest.raises(TypeError, match="unsupported operand"):
        Gaussian() * 2.0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tolerance": -1.0}, "tolerance is -1.0; it should be a number above zero"),
        ({"loss_scale": "0.1"}, "loss_scale is '0.1'; it should be a number"),
        ({"max_evaluations": np.inf}, "max_evaluations is inf"),
        ({"tolerance": np.nan}, "tolerance is nan"),
        ({"max_evaluations": 0}, "max_evaluations is 0"),
        ({"loss": "huber", "loss_scale": 0.0}, "loss_scale is 0.0"),
        ({"bounds": {"sigma": (1.0,)}}, r"bounds: 'sigma' has \(1.0,\); write \(low, high\)"),
        ({"bounds": {"sigma": (None, 2.0)}}, r"bounds: 'sigma' has \(None, 2.0\)"),
        ({"bounds": 3.0}, "bounds: 3.0 says nothing of parameters"),
        ({"fixed": ["sigma"]}, r"fixed: \['sigma'\] says nothing of parameters. Write {'amplitude'"),
        ({"sigma": "a"}, "sigma: found dtype <U1, wanted real numbers"),
        ({"start": {"sigma": 1 + 1j}}, "start: found dtype complex128, wanted real numbers"),
    ],
)
def test_wrong_options_are_refused(peaks: Maker, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsidError, match=told):
        fit(peaks(shape=(1, 1))[0], PEAK, **options)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"retry": "neighbours"}, {"covariance": True}, {"tied": {"offset": "2 * amplitude"}}]
)
def test_no_spectra_give_no_fits(options: dict[str, Any], lazy: bool) -> None:
    data = xr.DataArray(np.zeros((0, 60)), dims=("p", "x"), coords={"x": np.arange(60.0)})
    found = fit(data.chunk() if lazy else data, PEAK, "x", **options).compute()
    assert found.center.shape == (0,)
    assert evaluate(found).shape == (0, 60)


def test_no_spectra_of_other_solvers() -> None:
    data = xr.DataArray(np.zeros((0, 60)), dims=("p", "x"), coords={"x": np.arange(60.0)})
    line = Model.from_function(lambda x, a=1.0, b=1.0: a * x + b)
    for model in (line, Exponential() + Constant(), Linear()):
        assert fit(data, model, "x").converged.shape == (0,)


def test_no_samples_are_refused() -> None:
    with pytest.raises(RoleError, match=r"'Raw' has no samples to fit: its sizes are {'p': 3, 'x': 0}"):
        fit(xr.DataArray(np.zeros((3, 0)), dims=("p", "x"), name="Raw"), PEAK, "x")


def test_a_sigma_of_zero_is_refused() -> None:
    x = np.linspace(0.0, 10.0, 50)
    data = xr.DataArray(3.0 * np.exp(-x / 2.0) + 0.0 * x, dims="t", coords={"t": x})
    with pytest.raises(UsidError, match="sigma: 50 samples have a standard deviation of zero or less"):
        fit(data, Exponential(), "t", sigma=0.0)


def test_what_is_held_at_nothing_known_is_not_fitted(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 3))
    held = xr.DataArray([0.8, np.nan, 0.8], dims="X")
    found, plain = fit(data, PEAK, fixed={"sigma": held}), fit(data, PEAK, fixed={"sigma": 0.8})
    assert (found.status[:, 1] == -4).all()
    assert np.isnan(found.center[:, 1]).all()
    assert (found.center[:, ::2] == plain.center[:, ::2]).all()


def test_functions_may_not_write_into_their_argument(peaks: Maker) -> None:
    def shifted(x: Any, a: float = 1.0, tau: float = 1.0) -> Any:
        x -= 1.0
        return a * np.exp(-x / tau)

    with pytest.raises(ValueError, match="read-only"):
        fit(peaks(shape=(1, 1))[0], Model.from_function(shifted))


def test_formulas_need_their_coordinate() -> None:
    with pytest.raises(SelectionError, match=r"has no coordinate 'x', only \('a', 't', 'tau'\). Say which"):
        Model.from_expression("a * exp(-t / tau)")
    assert Model.from_expression("a * exp(-t / tau)", "t").names == ("a", "tau")
    with pytest.raises(SelectionError, match=r"A formula is a text, .*; found None"):
        Model.from_expression(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [1e-150, 1e-30, 1e30, 1e140])
def test_data_of_any_size_ends(size: float) -> None:
    # Squares leave the range of numbers: what cannot be fitted is flagged, and nothing goes on for ever.
    x = np.linspace(-5, 5, 60)
    data = xr.DataArray(size * np.exp(-0.5 * (x - 0.5) ** 2 / 0.49), dims="x", coords={"x": x})
    found = fit(data, Gaussian("height") + Constant())
    if found.converged:
        assert float(found.center) == pytest.approx(0.5, rel=1e-6)
    function = Model.from_function(lambda x, a=size, c=0.4, s=0.6: a * np.exp(-0.5 * ((x - c) / s) ** 2))
    assert int(fit(data, function).status) != 0


def test_factors_share_the_units_of_the_data() -> None:
    model = Exponential() * Linear(prefix="line_") * Gaussian(prefix="peak_")
    units = [p.unit("V", "s") for p in model.parameters]
    assert units == ["V", "s", "1/s", "", "s", "s", "s"]
