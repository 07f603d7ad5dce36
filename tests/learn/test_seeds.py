"""What starts a verb: a whole number of any integer type, and nothing that would not be the same the next time."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.learn.conftest import Cube
from usidx.errors import ResultError

VERBS: dict[str, Callable[..., Any]] = {
    "svd": lambda data, seed: usidx.svd(data, 2, random_state=seed),
    "pca krylov": lambda data, seed: usidx.pca(data, 2, solver="krylov", random_state=seed),
    "nmf": lambda data, seed: usidx.nmf(data, 2, random_state=seed),
    "nmf compressed": lambda data, seed: usidx.nmf(data, 2, solver="compressed", random_state=seed),
    "ica": lambda data, seed: usidx.ica(data, 2, random_state=seed),
    "mcr_als": lambda data, seed: usidx.mcr_als(data, 2, random_state=seed),
    "nfindr": lambda data, seed: usidx.nfindr(data, 2, random_state=seed),
    "vca": lambda data, seed: usidx.vca(data, 2, random_state=seed),
    "kmeans": lambda data, seed: usidx.cluster(data, "kmeans", 2, random_state=seed),
    "gmm": lambda data, seed: usidx.cluster(data, "gmm", 2, random_state=seed),
    "suggest_k": lambda data, seed: usidx.suggest_k(data, 3, random_state=seed),
}


@pytest.mark.parametrize("verb", list(VERBS))
def test_a_seed_is_a_whole_number_of_any_type(verb: str, cube: Cube) -> None:
    data = cube(np.random.default_rng(0).random((4, 5, 1, 6)))
    plain, typed = (VERBS[verb](data, seed) for seed in (3, np.int64(3)))
    if isinstance(plain, xr.Dataset):
        xr.testing.assert_identical(plain, typed)
    assert isinstance(plain, xr.Dataset) or plain == typed


@pytest.mark.parametrize("seed", [None, -1, 1.5, True, 2**32])
@pytest.mark.parametrize("verb", list(VERBS))
def test_refuses_what_is_no_seed(verb: str, seed: Any, cube: Cube) -> None:
    with pytest.raises(ResultError, match=f"random_state={seed!r}: a seed is a whole number from 0"):
        VERBS[verb](cube(np.ones((4, 5, 1, 6))), seed)
