"""What is no labelled array, or no result, is refused in words by every verb."""

import inspect
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import UsidError

OF_DATA = (
    "svd", "pca", "nmf", "ica", "cluster", "suggest_k", "mcr_als", "nfindr", "vca", "fcls", "decompose", "fit",
    "fit_references", "sho_fit", "relaxation_fit", "didv", "normalized_conductance", "gap", "to_grid",
    "project_loops", "loop_fit", "write", "explore", "history", "position_dims", "spectroscopic_dims", "plot_map",
    "plot_maps", "plot_spectra", "plot_fit", "summary", "summary_html",
)  # fmt: skip
OF_RESULTS = (
    "reconstruct", "project", "rotate", "scree", "suggest_n", "evaluate", "residual", "plot_scree", "plot_clusters",
    "plot_dendrogram",
)  # fmt: skip
OF_ARRAYS = (
    "fit", "fit_references", "sho_fit", "relaxation_fit", "didv", "normalized_conductance", "gap", "to_grid",
    "plot_map", "plot_spectra", "plot_fit",
)  # fmt: skip
ALSO_NEEDED = {"n": 2, "model": usidx.models.Linear(), "estimator": object(), "broadening": 1.0}
VALUES = np.zeros((4, 5, 6))


def call(verb: str, given: Any) -> None:
    function = getattr(usidx, verb)
    needed = [p.name for p in inspect.signature(function).parameters.values() if p.default is p.empty][1:]
    function(given, **{name: ALSO_NEEDED.get(name, VALUES) for name in needed})


@pytest.mark.parametrize("verb", [*OF_DATA, *OF_RESULTS])
def test_plain_arrays_are_refused(verb: str) -> None:
    with pytest.raises(UsidError, match="ndarray"):
        call(verb, VALUES)


@pytest.mark.parametrize("verb", OF_RESULTS)
def test_arrays_are_no_results(verb: str) -> None:
    with pytest.raises(UsidError):
        call(verb, xr.DataArray(VALUES, dims=("Y", "X", "Bias")))


@pytest.mark.parametrize("verb", OF_ARRAYS)
def test_results_are_no_arrays(verb: str) -> None:
    with pytest.raises(UsidError, match=r"Dataset"):
        call(verb, xr.Dataset({"a": (("Y", "X", "Bias"), VALUES)}))


def test_map_positions_takes_labelled_arrays() -> None:
    with pytest.raises(UsidError, match=r"A Dataset where a DataArray is expected"):
        usidx.map_positions(np.mean, xr.Dataset())  # type: ignore[arg-type]
