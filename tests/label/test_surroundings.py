"""Blocks with the cells around them: what a kernel sees of them, and how many are kept."""

import weakref
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

import usidx
from usidx.label import surroundings
from usidx.label.blockwise import along
from usidx.label.surroundings import surround
from usidx.tasks import passes

Array = npt.NDArray[Any]


def total(block: Array, depth: tuple[int, ...]) -> Array:
    """Return the sums over windows, of (cells and twice the depth, *other)."""
    windows = np.lib.stride_tricks.sliding_window_view(block, [2 * d + 1 for d in depth], tuple(range(len(depth))))
    return np.asarray(np.nansum(windows, axis=tuple(range(-len(depth), 0))))


@given(data=st.data())
def test_windows_over_blocks_are_those_over_all(data: st.DataObject) -> None:
    sizes = {"y": 7, "x": 5, "e": 2}
    dims = data.draw(st.sampled_from([("y",), ("x", "y"), ("y", "x", "e")]))
    depth = {d: data.draw(st.integers(0, 3)) for d in dims}
    array = xr.DataArray(np.arange(70.0).reshape(7, 5, 2), dims=sizes)
    array = array.expand_dims(sample=3)
    chunks = {d: data.draw(st.integers(1, n)) for d, n in sizes.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(surroundings, "_PIECE_BYTES", data.draw(st.integers(1, 200)))
        found = [
            along(one, "sample", lambda block: total(block, tuple(depth.values())), overlap=depth, smallest_part=0)
            for one in (array, array.chunk(chunks))
        ]
        plain, lazy = dask.compute(*found, scheduler="sync")
    expected = np.empty((7, 5, 2))
    for y, x, e in np.ndindex(*expected.shape):
        place = {"y": y, "x": x, "e": e}
        window = {d: slice(max(0, k - depth.get(d, 0)), k + depth.get(d, 0) + 1) for d, k in place.items()}
        expected[y, x, e] = array[0].isel(window).sum()
    np.testing.assert_array_equal(plain[1], expected)
    xr.testing.assert_identical(lazy, plain)


def test_a_block_is_kept_as_it_is_and_of_others_only_edges_are() -> None:
    blocks = da.from_array(np.arange(60.0).reshape(6, 10), chunks=(2, 10)) + 0
    made = surround(xr.Variable(("y", "e"), blocks), (1,)).data
    before, after = (made.blocks[k].compute(scheduler="sync") for k in (0, 1))
    assert [one.nbytes for one in (before, after)] == [8 * 30, 8 * 40]
    assert all(part.base is None for one in (before, after) for part in one.around.values())
    np.testing.assert_array_equal(after.take([slice(0, 1)], np.dtype("f4"))[:, 3], [13, 23, 33])
    np.testing.assert_array_equal(before.take([slice(0, 1)], np.dtype("f4"))[:, 3], [np.nan, 3, 13])


class Watched:
    """Blocks of which it is counted how many there are at once."""

    def __init__(self) -> None:
        self.alive = self.most = 0

    def make(self, block: Array) -> Array:
        made = block.copy()
        self.alive += 1
        self.most = max(self.most, self.alive)
        weakref.finalize(made, self.drop)
        return made

    def drop(self) -> None:
        self.alive -= 1


@pytest.mark.parametrize("kind", ["nmf", "written"])
def test_few_blocks_are_there_at_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "_HELD_BYTES", 1)
    watched = Watched()
    spectra = da.from_array(np.random.default_rng(0).random((96, 3, 12), dtype="f4"), chunks=(2, 3, 12))
    blocks = spectra.map_blocks(watched.make, dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    raw = usidx.set_roles(xr.DataArray(blocks, dims=("Y", "X", "E")), position=["Y", "X"], spectroscopic="E")
    clean = usidx.signal.remove_spikes(raw)
    lazy = clean if kind == "written" else usidx.nmf(clean, 2, solver="compressed").components
    with dask.config.set(scheduler="sync"):
        usidx.compute(lazy, progress=False)
    # Two are worked on, and dask begins in several places: of 48 blocks dask's own overlaps keep seven or more.
    assert watched.most <= 6
