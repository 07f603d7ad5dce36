"""Dims and coordinates that are called as what a result adds are refused, others go."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

from usidx.errors import ResultError
from usidx.learn.cluster import cluster
from usidx.learn.ica import ica
from usidx.learn.mcr import mcr_als
from usidx.learn.nmf import nmf
from usidx.learn.svd import pca, svd
from usidx.learn.unmix import nfindr, vca

VERBS: dict[str, Callable[..., Any]] = {
    "svd": svd, "pca": pca, "nmf": nmf, "ica": ica, "mcr_als": mcr_als, "vca": vca, "nfindr": nfindr,
    "kmeans": lambda data, n, dim: cluster(data, "kmeans", n, dim=dim),
}  # fmt: skip
NAMES = ["scores", "components", "labels", "mean", "cluster", "component", "samples", "status", "chi2", "converged"]


def spectra() -> xr.DataArray:
    values = np.random.default_rng(0).random((6, 3)) @ np.random.default_rng(1).random((3, 20))
    return xr.DataArray(values, dims=("p", "E"))


@pytest.mark.parametrize("where", ["dim", "labelled dim", "step", "coordinate", "coordinate of steps", "scalar"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("verb", VERBS)
def test_a_name_goes_or_is_refused(verb: str, name: str, where: str) -> None:
    plain = spectra()
    data = {
        "dim": plain.rename(p=name),
        "labelled dim": plain.rename(p=name).assign_coords({name: np.arange(6.0)}),
        "step": plain.rename(E=name),
        "coordinate": plain.assign_coords({name: ("p", np.arange(6.0))}),
        "coordinate of steps": plain.assign_coords({name: ("E", np.arange(20.0))}),
        "scalar": plain.assign_coords({name: 3.0}),
    }[where]
    dim, expected = name if where == "step" else "E", VERBS[verb](plain, 3, dim="E")
    if name in expected or name in expected.dims:
        with pytest.raises(ResultError, match=f"already has a dim or coordinate '{name}', which the result adds"):
            VERBS[verb](data, 3, dim=dim)
        return
    found = VERBS[verb](data, 3, dim=dim)
    for variable in expected.data_vars:
        np.testing.assert_allclose(found[variable].values, expected[variable].values)
