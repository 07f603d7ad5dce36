"""Several results from one source, and results of results: how often each block is read, and that all stays right."""

from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.learn.nmf import nmf
from usidx.learn.reconstruct import reconstruct
from usidx.learn.svd import pca, svd

BLOCKS = 5


def source(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray, list[int]]:
    """Return the same cells in memory and lazily, and a list that grows with each block read."""
    rng = np.random.default_rng(seed)
    data = xr.DataArray(rng.random((20, 4, 9)), dims=("Y", "X", "Bias"), name="Raw_Data")
    lazy = data.chunk({"Y": 20 // BLOCKS})
    reads: list[int] = []

    def read(block: Any) -> Any:
        reads.append(1)
        return block

    return data, lazy.copy(data=lazy.data.map_blocks(read, dtype=float, meta=lazy.data._meta)), reads


def same(found: xr.Dataset, expected: xr.Dataset) -> None:
    for name in expected.data_vars:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9)


def test_two_verbs_share_both_passes() -> None:
    data, lazy, reads = source()
    plain, centred = usidx.compute(svd(lazy, 3, dim="Bias"), pca(lazy, 2, dim="Bias"), progress=False)
    assert len(reads) == 2 * BLOCKS
    same(plain, svd(data, 3, dim="Bias"))
    same(centred, pca(data, 2, dim="Bias"))


def test_three_verbs_and_a_mean_share_both_passes() -> None:
    data, lazy, reads = source()
    wanted = [svd(lazy, 3, dim="Bias"), pca(lazy, 2, dim="Bias"), svd(lazy, 5, dim="Bias"), lazy.mean("Bias")]
    found = usidx.compute(*wanted, progress=False)
    assert len(reads) == 2 * BLOCKS
    same(found[0], svd(data, 3, dim="Bias"))
    same(found[1], pca(data, 2, dim="Bias"))
    same(found[2], svd(data, 5, dim="Bias"))
    np.testing.assert_allclose(found[3], data.mean("Bias"))


@pytest.mark.parametrize("scale", ["std", "poisson"])
def test_scaled_data_is_read_for_each_pass_and_not_held_between(scale: str) -> None:
    """One pass for the scale, one for the components, one for the scores; blocks that were kept would spare one."""
    data, lazy, reads = source()
    found = usidx.compute(pca(lazy, 3, dim="Bias", scale=scale), progress=False)
    assert len(reads) == 3 * BLOCKS
    same(found, pca(data, 3, dim="Bias", scale=scale))


def test_a_pass_that_rests_on_another_is_not_merged_with_it() -> None:
    """The second decomposition is of what the first made, which reads the source again."""
    data, lazy, reads = source()
    first = svd(lazy, 3, dim="Bias")
    second = pca(reconstruct(first), 2, dim="Bias")
    found = usidx.compute(first, second, progress=False)
    same(found[0], svd(data, 3, dim="Bias"))
    same(found[1].drop_vars("component"), pca(reconstruct(svd(data, 3, dim="Bias")), 2, dim="Bias"))
    assert len(reads) <= 4 * BLOCKS


def test_different_sources_are_left_alone() -> None:
    data, lazy, reads = source()
    other, other_lazy, other_reads = source(1)
    found = usidx.compute(svd(lazy, 3, dim="Bias"), svd(other_lazy, 3, dim="Bias"), progress=False)
    assert len(reads) == len(other_reads) == 2 * BLOCKS
    same(found[0], svd(data, 3, dim="Bias"))
    same(found[1], svd(other, 3, dim="Bias"))


def test_masks_make_another_source() -> None:
    data, lazy, _ = source()
    mask = xr.DataArray(np.arange(4) == 1, dims="X")
    found = usidx.compute(svd(lazy, 3, dim="Bias"), svd(lazy, 3, dim="Bias", mask=mask), progress=False)
    same(found[0], svd(data, 3, dim="Bias"))
    same(found[1], svd(data, 3, dim="Bias", mask=mask))


@pytest.mark.parametrize("solver", ["hals", "compressed"])
def test_a_chain_of_verbs_reads_the_source_few_times(solver: str) -> None:
    """One pass to decompose, and one in which all that follows is held, small as it is."""
    data, lazy, reads = source()
    chain = nmf(abs(reconstruct(svd(lazy, 4, dim="Bias"))), 2, dim="Bias", solver=solver)
    assert not reads
    found = usidx.compute(chain, progress=False)
    assert len(reads) == 2 * BLOCKS
    expected = nmf(abs(reconstruct(svd(data, 4, dim="Bias"))), 2, dim="Bias", solver=solver)
    np.testing.assert_allclose(found.reconstruction_error, expected.reconstruction_error, rtol=1e-6)


def test_a_chain_on_much_data_reads_the_source_once_per_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scores are made anew in each pass: nothing of the size of the data is held."""
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    _, lazy, reads = source()
    chain = nmf(abs(reconstruct(svd(lazy, 4, dim="Bias"))), 2, dim="Bias", solver="compressed")
    usidx.compute(chain, progress=False)
    assert len(reads) <= (1 + 2 + 21) * BLOCKS
    assert len(reads) % BLOCKS == 0
