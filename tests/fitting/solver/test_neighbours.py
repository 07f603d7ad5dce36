"""Second tries from the parameters of neighbours: who gets one, who does not, and that blocks do not matter."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose, assert_array_equal

from usidx.errors import SelectionError
from usidx.fitting.fit import fit
from usidx.fitting.solver.neighbours import gather_neighbours, list_offsets
from usidx.models import Constant, Expression, Gaussian, Model

Maker = Callable[..., tuple[xr.DataArray, xr.Dataset]]


def hill(x: Any, h: Any, x0: Any, s: Any, c: Any) -> Any:
    # A function that cannot be followed is fitted from its start alone; for a formula other starts are tried as well.
    return h * np.exp(-0.5 * ((np.asarray(x, dtype=float) - x0) / s) ** 2) + c


HILL = Model.from_function(hill)


def spoilt(peaks: Maker) -> tuple[xr.DataArray, dict[str, Any], xr.DataArray]:
    """Return a map, start values that lead some spectra nowhere, and which."""
    data, truth = peaks(shape=(6, 7))
    # Neighbours resemble each other.
    data = data * 0 + data[0, 0].drop_vars("Y") + 0.02 * np.random.default_rng(1).normal(size=data.shape)
    lost = xr.zeros_like(truth.center, dtype=bool)
    for cell in ((0, 0), (2, 3), (2, 4), (5, 6)):
        lost[cell] = True
    start = truth.center * 0 + float(truth.center[0, 0])
    return data, {"x0": start.where(~lost, 400.0), "s": 0.8, "h": 1.0, "c": 0.0}, lost


def test_failed_spectra_are_fitted_from_their_neighbours(peaks: Maker) -> None:
    model = HILL
    data, start, lost = spoilt(peaks)
    once = fit(data, model, start=start)
    assert_array_equal(once.converged, ~lost)
    assert "second_try" not in once
    again = fit(data, model, start=start, retry="neighbours")
    assert bool(again.converged.all())
    assert_array_equal(again.second_try, lost)
    right = fit(data, model, start=start | {"x0": float(start["x0"][0, 1])})
    assert_allclose(again.x0, right.x0, rtol=1e-5)
    assert_allclose(again.x0_stderr, right.x0_stderr, rtol=1e-4)
    assert (again.nfev > once.nfev).where(lost, True).all()
    for name in once.data_vars:
        assert_array_equal(again[name].where(~lost), once[name].where(~lost))


def test_garbage_stays_garbage_and_touches_no_other(peaks: Maker) -> None:
    data, start, lost = spoilt(peaks)
    data[1, 1] = np.random.default_rng(2).normal(size=60) * 1e30
    data[3, 3], data[4, 4] = np.nan, 3.0
    once, again = (fit(data, HILL, start=start, retry=retry) for retry in (None, "neighbours"))
    assert not again.converged[3, 3]
    assert not again.converged[4, 4]
    assert again.x0.where(~again.converged).isnull().all()
    for name in once.data_vars:
        kept = once.converged
        assert_array_equal(again[name].where(kept), once[name].where(kept))
    assert_array_equal(again.second_try, lost & again.converged)


@pytest.mark.parametrize("chunks", [{"Y": 1, "X": 1}, {"Y": 2, "X": 3, "Energy": 11}, {"Y": -1, "X": 5}])
def test_any_chunking_gives_the_same_bits(peaks: Maker, chunks: dict[str, int]) -> None:
    data, start, _ = spoilt(peaks)
    data[3, 3] = np.nan
    eager = fit(data, HILL, start=start, retry="neighbours", covariance=True)
    lazy = fit(data.chunk(chunks), HILL, start=start, retry="neighbours", covariance=True)
    turned = fit(data.transpose("Energy", "X", "Y").chunk(chunks), HILL, start=start, retry="neighbours")
    assert lazy.x0.chunks is not None
    assert int(eager.second_try.sum()) == 4
    for name in eager.data_vars:
        assert_array_equal(eager[name], lazy[name].compute())
    assert_array_equal(eager.status, turned.status.T)


def test_neighbours_are_those_beside_a_cell() -> None:
    assert list_offsets(1) == [(-1,), (1,)]
    assert list_offsets(2)[:4] == [(-1, 0), (0, -1), (0, 1), (1, 0)]
    assert len(list_offsets(2)) == 8
    assert len(list_offsets(3)) == 6
    table = np.zeros((3, 4, 6 + 2))
    table[..., 0] = np.arange(12.0).reshape(3, 4)
    table[..., 6] = 1
    table[1, 2, 6] = -3
    found = gather_neighbours(table, 1, 2)[..., 0]
    assert sorted(found[1, 1][np.isfinite(found[1, 1])]) == [0, 1, 2, 4, 8, 9, 10]
    assert sorted(found[0, 0][np.isfinite(found[0, 0])]) == [1, 4, 5]
    assert_array_equal(found[1, 2][:4], [2, 5, 7, 10])


def test_only_positions_are_neighbours(peaks: Maker) -> None:
    data, start, _ = spoilt(peaks)
    # One position dim: cells along X, which has no role, are no neighbours.
    alone = start | {"x0": start["x0"].where(start["x0"].X != 2, 400.0)}
    found = fit(data, HILL, start=alone, retry="neighbours")
    assert not found.converged[:, 2].any()
    assert bool(found.converged[:, 1].all())
    assert bool(found.converged[0, 0])
    bare = data.drop_vars("Y").drop_attrs()
    assert bool(fit(bare, HILL, "Energy", start=alone, retry="neighbours").converged.all())


def test_no_second_try_where_none_failed_and_no_other_kind(peaks: Maker) -> None:
    data, _ = peaks(shape=(2, 3))
    found = fit(data, Gaussian() + Constant(), retry="neighbours")
    assert not found.second_try.any()
    with pytest.raises(SelectionError, match=r"No retry 'again'; choose one of \('neighbours',\), or None"):
        fit(data, Gaussian(), retry="again")


@pytest.mark.parametrize("name", ["r2", "x_stderr"])
def test_names_of_figures_of_merit_are_refused(peaks: Maker, name: str) -> None:
    data, _ = peaks(shape=(1, 2))
    with pytest.raises(SelectionError, match=f"The parameter '{name}' of .* Give the parameter another name"):
        fit(data, Expression(f"{name} * E", "E"))


@pytest.mark.parametrize("name", ["Y", "X"])
def test_parameters_called_as_a_dim_stand_apart(peaks: Maker, name: str) -> None:
    data, _ = peaks(shape=(1, 2))
    found = fit(data, Expression(f"{name} * E", "E"))
    e = data.Energy
    # The line through the origin that least squares give.
    assert_allclose(found[f"fit_{name}"], (data * e).sum("Energy") / (e**2).sum(), rtol=1e-9)
    assert f"fit_{name}_stderr" in found
    assert f"{name}_stderr" not in found
    assert_array_equal(found[name], data[name])
