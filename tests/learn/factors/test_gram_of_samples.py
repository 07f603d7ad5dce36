"""The decomposition from the side of few samples, against the singular value decomposition of NumPy."""

from __future__ import annotations

from functools import reduce
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from numpy.testing import assert_allclose

import usidx
from usidx.errors import ResultError
from usidx.learn.factors import gram, gram_of_samples
from usidx.learn.factors.gram_of_samples import (
    decompose_projection,
    join_sample_moments,
    project_features,
    solve_sample_gram,
    sum_sample_moments,
)

Array = np.ndarray[Any, Any]


def decompose(features: Array, n: int, centred: bool) -> Any:
    """Return the components of an array (feature, sample), in three blocks."""
    blocks = np.split(features, [10, 25])
    moments = reduce(join_sample_moments, [sum_sample_moments(block, centred) for block in blocks])
    basis = solve_sample_gram(moments, n, centred)
    return decompose_projection(np.concatenate([project_features(block, basis) for block in blocks]), basis, n)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("centred", [False, True])
def test_components_scores_and_mean(dtype: str, centred: bool) -> None:
    rng = np.random.default_rng(5)
    features = np.asarray(rng.normal(size=(40, 6)) + 1j * dtype.startswith("c") * rng.normal(size=(40, 6)), complex)
    features = features.astype(dtype) if dtype == "c16" else features.real + 3.0
    found = decompose(features, 3, centred)
    samples = features.T
    about = samples - samples.mean(axis=0) if centred else samples
    left, values, right = np.linalg.svd(about, full_matrices=False)
    assert_allclose(found.values, values[:3], rtol=1e-10)
    assert_allclose(found.ratio, values[:3] ** 2 / (values**2).sum(), rtol=1e-10)
    assert found.scores is not None
    assert_allclose(found.scores.join() @ found.components, left[:, :3] * values[:3] @ right[:3], atol=1e-10)
    assert_allclose(found.components @ found.components.conj().T, np.eye(3), atol=1e-12)
    if centred:
        assert_allclose(found.mean, samples.mean(axis=0), rtol=1e-12, atol=1e-14)


def test_samples_and_features_that_are_not_known() -> None:
    rng = np.random.default_rng(6)
    features = rng.normal(size=(40, 6)) + 3.0
    features[7] = np.nan  # at no sample
    features[30, 4] = np.nan  # at one sample
    found = decompose(features, 2, True)
    known = np.delete(np.delete(features, 7, axis=0), 4, axis=1).T
    about = known - known.mean(axis=0)
    left, values, right = np.linalg.svd(about, full_matrices=False)
    assert_allclose(found.values, values[:2], rtol=1e-10)
    assert found.holes.nonzero()[0].tolist() == [7]
    assert found.scores is not None
    assert np.isnan(found.scores.join()).all(axis=1).nonzero()[0].tolist() == [4]
    kept = np.delete(found.scores.join(), 4, axis=0) @ np.delete(found.components, 7, axis=1)
    assert_allclose(kept, left[:, :2] * values[:2] @ right[:2], atol=1e-10)


@pytest.mark.parametrize("dtype", ["f8", "c16"])
@pytest.mark.parametrize("centred", [False, True])
def test_a_large_gram_matrix_is_summed_in_panels(dtype: str, centred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (gram, gram_of_samples):
        monkeypatch.setattr(module, "WIDE", 4)
    monkeypatch.setattr(gram, "_PANEL", 3)
    rng = np.random.default_rng(7)
    values = (rng.normal(size=(8, 40)) + 1j * dtype.startswith("c") * rng.normal(size=(8, 40))).astype(complex)
    values = values.astype(dtype) if dtype == "c16" else values.real + 3.0
    data = xr.DataArray(values, dims=("sample", "feature"))
    about = values - values.mean(axis=0) if centred else values
    expected = np.linalg.svd(about, compute_uv=False)[:3]
    for one in (data, data.chunk({"sample": 3, "feature": 16})):
        found = usidx.svd(one, 3, dim="feature", center=centred, solver="gram").compute()
        assert_allclose(found.singular_values, expected, rtol=1e-10)
        near = found.scores.values @ found.components.values
        assert_allclose(np.linalg.norm(about - near) ** 2, np.linalg.norm(about) ** 2 - sum(expected**2), rtol=1e-8)


def test_a_gram_matrix_that_nobody_can_hold_is_refused() -> None:
    data = xr.DataArray(da.zeros((9000, 9000), chunks=1000), dims=("sample", "feature"))
    with pytest.raises(ResultError, match="would hold a matrix of 9000 x 9000 numbers"):
        usidx.svd(data, 3, dim="feature", solver="gram")
    assert usidx.svd(data.isel(sample=slice(100)), 3, dim="feature", solver="gram").singular_values.size == 3
