"""Laws of laziness: when an array is read, and in which blocks, changes nothing."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import usidx
from usidx.io.read.chunks.stored_array import StoredArray
from usidx.testing.files import build_main

SHAPE = {"Y": 4, "X": 5, "Cycle": 3, "F": 6}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Build one measurement in several orders of acquisition."""
    folder = tmp_path_factory.mktemp("scans")
    cells = np.random.default_rng(0).permutation(360).astype("c8").reshape(tuple(SHAPE.values()))
    where = [(n, "m", range(SHAPE[n])) for n in ("Y", "X")]
    swept = [(n, "", range(SHAPE[n])) for n in ("Cycle", "F")]
    return {
        order: build_main(
            folder / f"{order}.h5", cells, where, swept, row_order=order, step_order=order, storage={"chunks": (3, 4)}
        ).path
        for order in ("raster", "snake", "random", "reversed")
    }


def indexers(sizes: dict[str, int]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw an index per dim: none, a number, a slice with any step, numbers with repeats, a mask."""

    def one(size: int) -> st.SearchStrategy[Any]:
        place = st.integers(-size, size - 1)
        return st.one_of(
            place,
            st.slices(size),
            st.lists(place, max_size=size + 1).map(lambda found: np.array(found, dtype=int)),
            st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
        )

    return st.fixed_dictionaries({}, optional={d: one(n) for d, n in sizes.items()})


blocks = st.fixed_dictionaries({}, optional={d: st.integers(1, n) for d, n in SHAPE.items()})
orders = st.sampled_from(["raster", "snake", "random", "reversed"])


@settings(max_examples=40)
@given(order=orders, chunks=st.none() | blocks, indexer=indexers(SHAPE), turned=st.permutations(list(SHAPE)))
def test_selecting_before_and_after_loading(
    scans: dict[str, Path], order: str, chunks: dict[str, int] | None, indexer: dict[str, Any], turned: list[str]
) -> None:
    lazy = usidx.open_main(scans[order], chunks=chunks).transpose(*turned)
    eager = usidx.open_main(scans["raster"]).compute().transpose(*turned)
    xr.testing.assert_equal(lazy.isel(indexer).compute(), eager.isel(indexer))


@settings(max_examples=30)
@given(first=indexers(SHAPE), chunks=st.none() | blocks, data=st.data())
def test_selecting_twice(
    scans: dict[str, Path], first: dict[str, Any], chunks: dict[str, int] | None, data: st.DataObject
) -> None:
    lazy = usidx.open_main(scans["random"], chunks=chunks).transpose(*SHAPE).isel(first)
    eager = usidx.open_main(scans["raster"]).compute().isel(first)
    left = {str(d): n for d, n in eager.sizes.items() if n}
    second = data.draw(indexers(left))
    xr.testing.assert_equal(lazy.isel(second).compute(), eager.isel(second))


@settings(max_examples=20)
@given(order=orders, chunks=blocks, data=st.data())
def test_picking_points(scans: dict[str, Path], order: str, chunks: dict[str, int], data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(list(SHAPE)), unique=True, min_size=1))
    count = data.draw(st.integers(0, 5))
    points = {}
    for dim in names:
        place = st.integers(-SHAPE[dim], SHAPE[dim] - 1)
        drawn = data.draw(st.lists(place, min_size=count, max_size=count))
        points[dim] = xr.DataArray(np.array(drawn, dtype=int), dims="point")
    eager = usidx.open_main(scans["raster"]).compute().isel(points)
    for chosen in (chunks, None):
        lazy = usidx.open_main(scans[order], chunks=chosen).transpose(*SHAPE)
        xr.testing.assert_equal(lazy.isel(points).compute(), eager)


@given(order=orders, indexer=indexers(SHAPE))
def test_no_more_is_read_than_is_shown(scans: dict[str, Path], order: str, indexer: dict[str, Any]) -> None:
    """Rows and columns asked of the storage are those of the selection, each once, in one read."""
    array = usidx.open_main(scans[order], chunks=None).transpose(*SHAPE)
    asked: list[int] = []
    read = StoredArray.read

    def counted(self: StoredArray, *selectors: Any) -> Any:
        block = read(self, *selectors)
        asked.append(block.size)
        return block

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StoredArray, "read", counted)
        shown = array.isel(indexer).compute()
    assert sum(asked) <= max(1, shown.size)
    assert len(asked) <= 1


@given(chunks=blocks)
@settings(max_examples=10)
def test_arithmetic_in_any_blocks(scans: dict[str, Path], chunks: dict[str, int]) -> None:
    eager = usidx.open_main(scans["raster"]).compute()
    lazy = usidx.open_main(scans["snake"], chunks=chunks)
    xr.testing.assert_allclose(abs(lazy).mean(("Y", "F")).compute(), abs(eager).mean(("Y", "F")))


@settings(max_examples=25)
@given(cells=st.integers(2, 20), chunk=st.integers(1, 7), fill=st.sampled_from([None, 0, np.nan]))
def test_gridding_in_any_blocks(cells: int, chunk: int, fill: float | None) -> None:
    with TemporaryDirectory() as folder:
        where = [("Y", "m", range(4)), ("X", "m", range(5))]
        built = build_main(Path(folder) / "a.h5", np.arange(20.0).reshape(4, 5, 1), where, row_order=range(cells))
        lazy, eager = usidx.open_main(built.path, chunks=chunk), usidx.open_main(built.path, chunks=None)
        if lazy.dims == ("position",):
            xr.testing.assert_equal(usidx.to_grid(lazy, fill).compute(), usidx.to_grid(eager.compute(), fill))
