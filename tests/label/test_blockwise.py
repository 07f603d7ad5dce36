"""The gate: a running mean that goes through it, the laws that hold for whatever does, and each thing it decides."""

import pickle
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import assume, given
from hypothesis import strategies as st

import usidx
from usidx.errors import ResultError, RoleError, UsidError
from usidx.label.blockwise import Output, along, over
from usidx.label.roles import find_role
from usidx.testing.strategies import labelled_arrays

Array = npt.NDArray[Any]
Counted = tuple[xr.DataArray, list[Any]]


def running_mean(data: xr.DataArray, dim: str | None = None, *, window: int = 3) -> xr.DataArray:
    """Average each sample with those around it.

    A lazy array stays lazy. Beyond the ends the last sample is taken again and again; where a sample is missing, all
    averages that it takes part in are.

    Parameters
    ----------
    data : DataArray, dims (*any, dim)
        Real or complex.
    dim : str, optional
        By default the only spectroscopic one.
    window : int
        Samples that take part, odd.

    Returns
    -------
    DataArray
        Dims, units and type as in `data`; float64 for whole numbers.

    Raises
    ------
    RoleError
        The dim is not there, or it is not clear which one is meant.
    UsidError
        `window` is not odd.

    Examples
    --------
    >>> running_mean(xr.DataArray([0.0, 3.0, 0.0], dims="x")).values
    array([1., 1., 1.])
    """
    if window % 2 != 1:
        raise UsidError(f"window={window}; it should be an odd number of samples.")
    return along(data, dim, partial(_average, window=window))


def _average(block: Array, window: int) -> Array:
    half = window // 2
    padded = np.pad(block, [(0, 0)] * (block.ndim - 1) + [(half, half)], mode="edge")
    total = sum((padded[..., k : k + block.shape[-1]] for k in range(window)), np.zeros_like(block))
    return np.asarray(total / window)


def cube(*, dtype: Any = float) -> xr.DataArray:
    """Return an array with traps: dims in another order, attributes that do not hold later, coordinates over two."""
    values = np.random.default_rng(0).normal(size=(4, 6, 3)) * 100
    data = xr.DataArray(
        values.astype(dtype),
        dims=("Y", "E", "X"),
        name="cube",
        attrs={"units": "V", "long_name": "Current", "valid_max": 3.0},
        coords={
            "Y": ("Y", np.arange(4.0), {"units": "nm"}),
            "E": ("E", np.linspace(-1, 1, 6), {"units": "eV"}),
            "step": ("E", np.arange(6)),
            "drift": (("Y", "E"), np.ones((4, 6))),
            "height": (("Y", "X"), np.ones((4, 3))),
            "field": ((), 2.0),
        },
    )
    return usidx.set_roles(data, position=["Y", "X"], spectroscopic="E")


def counted(chunks: Any = (2, 3, 3)) -> Counted:
    """Return a lazy cube and a list of the blocks that were read."""
    reads: list[Any] = []

    def read(block: Array) -> Array:
        reads.append(block.shape)
        return block.copy()

    data = cube()
    source = da.from_array(data.values, chunks=chunks).map_blocks(read, meta=np.empty((0, 0, 0)))
    return data.copy(data=source), reads


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", ">f4", "f2", "i2", "?"])
@pytest.mark.parametrize("chunks", [None, {"Y": 3, "E": 4, "X": 2}])
def test_a_filter_is_its_kernel(dtype: str, chunks: Any) -> None:
    data = cube(dtype="f8").astype(dtype)
    found = running_mean(data if chunks is None else data.chunk(chunks), window=3)
    wide = np.pad(data.values.astype("c16"), [(0, 0), (1, 1), (0, 0)], mode="edge")
    expected = (wide[:, :-2] + wide[:, 1:-1] + wide[:, 2:]) / 3
    np.testing.assert_allclose(found.values, expected, rtol=2e-6)
    assert found.dtype == {"f2": "f4", "i2": "f8", "?": "f8", ">f4": "f4"}.get(dtype, dtype)
    assert (found.chunks is None) == (chunks is None)
    assert found.dims == data.dims
    assert found.name == "cube"
    assert found.attrs == {"units": "V", "long_name": "Current"}
    assert set(found.coords) == set(data.coords)
    xr.testing.assert_identical(found.coords.to_dataset(), data.coords.to_dataset())


@given(data=st.data(), array=labelled_arrays(dtypes=("i2", "f4", "f8", "c8", "c16"), any_order=True))
def test_laws(data: st.DataObject, array: xr.DataArray) -> None:
    assume(array.ndim > 0)
    dim = data.draw(st.sampled_from([str(d) for d in array.dims]))
    chunks = {d: data.draw(st.integers(1, max(n, 1)), label=f"chunks of {d}") for d, n in array.sizes.items()}
    order = data.draw(st.permutations(array.dims))
    with np.errstate(all="ignore"):
        eager = running_mean(array, dim)
        lazy = running_mean(array.chunk(chunks), dim)
        assert lazy.dtype == eager.dtype
        xr.testing.assert_identical(lazy.compute(), eager)
        xr.testing.assert_identical(running_mean(array.transpose(*order), dim), eager.transpose(*order))
        for place in np.ndindex(*(array.sizes[d] for d in array.dims if d != dim)):
            one = dict(zip((d for d in array.dims if d != dim), place, strict=True))
            xr.testing.assert_identical(running_mean(array.isel(one), dim), eager.isel(one))


def test_nothing_is_computed_before_it_is_asked_for_and_blocks_are_read_once() -> None:
    data, reads = counted()
    calls: list[Any] = []

    def ends(block: Array, shift: Array) -> tuple[Array, Array, Array]:
        calls.append(block.shape)
        return block[..., 0] + shift, block[..., -1], block

    outputs = {"first": Output(dims=()), "last": Output(dims=()), "same": Output()}
    shift = data.isel(E=0).reset_coords(drop=True)
    found = along(data, "E", ends, outputs, beside=[shift])
    assert isinstance(found, xr.Dataset)
    assert not reads
    assert not calls
    with dask.config.set(scheduler="synchronous"):
        made = found.compute()
    assert reads == [(2, 3, 3)] * 4
    assert calls == [(2, 3, 6)] * 2
    np.testing.assert_array_equal(made["first"], 2 * cube().isel(E=0))
    np.testing.assert_array_equal(made["last"], cube().isel(E=-1))
    np.testing.assert_array_equal(made["same"], cube())
    assert (made["first"].dims, made["same"].dims) == (("Y", "X"), ("Y", "E", "X"))


def test_a_single_block_is_worked_through_in_parts_and_let_go() -> None:
    alive, most = [0], [0]

    def watched(block_info: Any) -> Array:
        block = np.ones((1, 2, 8))
        alive[0] += 1
        weakref.finalize(block, lambda: alive.__setitem__(0, alive[0] - 1))
        return block

    def last(block: Array) -> Array:
        most[0] = max(most[0], alive[0])
        return np.asarray(block[..., -1])  # a view, which would keep the whole block

    source = da.map_blocks(watched, chunks=((1,) * 20, (2,), (8,)), dtype=float, meta=np.empty((0, 0, 0)))
    data = xr.DataArray(source, dims=("Y", "X", "E"))
    with dask.config.set(scheduler="synchronous"):
        assert float(along(data, "E", last, Output(dims=())).sum("X").compute().sum()) == 40
    assert most[0] <= 2
    single = along(cube().chunk(), "E", last, Output(dims=()), smallest_part=0)
    assert single.chunks == ((1, 1, 1, 1), (3,))


def test_what_comes_out_is_no_view_of_what_went_in() -> None:
    data = cube()
    for kernel in (lambda block: block, lambda block: block[..., ::-1]):
        found = along(data, "E", kernel)
        found[:] = 0
        assert (data != 0).all()


def spectrum_of(block: Array) -> Array:
    return np.abs(np.fft.rfft(block, axis=-1))


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "E": 4}])
def test_a_dim_is_replaced_by_another(chunks: Any) -> None:
    data = cube() if chunks is None else cube().chunk(chunks)
    time = xr.DataArray(np.arange(4.0), dims="time", attrs={"units": "1/eV"})
    found = along(data, "E", spectrum_of, Output(dims=("time",), coords={"time": time}, attrs={"units": "V eV"}))
    assert found.dims == ("Y", "time", "X")
    np.testing.assert_allclose(found, np.abs(np.fft.rfft(cube().values, axis=1)))
    assert set(found.coords) == {"Y", "X", "height", "field", "time"}
    assert found.time.attrs == {"units": "1/eV", "usid_role": "spectroscopic"}
    assert found.attrs == {"units": "V eV"}
    assert find_role(found, "Y") == "position"


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "E": 4}])
def test_a_dim_gets_another_size(chunks: Any) -> None:
    data = cube() if chunks is None else cube().chunk(chunks)
    every_other = data.E[::2].drop_attrs()
    output = Output(coords={"E": every_other})
    found = along(data, "E", lambda block: block[..., ::2], output)
    xr.testing.assert_equal(found, cube()[:, ::2].drop_vars(["step", "drift"]))
    assert found.E.attrs == {"usid_role": "spectroscopic"}
    bare = along(data, "E", lambda block: block[..., ::2], Output(sizes={"E": 3}))
    assert "E" not in bare.coords


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "E": 4}])
def test_further_dims_come_last(chunks: Any) -> None:
    data = cube() if chunks is None else cube().chunk(chunks)
    found = along(
        data,
        "E",
        lambda block: np.stack([block, -block], axis=-1),
        Output(dims=("E", "sign"), sizes={"sign": 2}, name="both"),
    )
    assert found.dims == ("Y", "E", "X", "sign")
    assert found.name == "both"
    np.testing.assert_array_equal(found.isel(sign=1), -cube())
    assert set(found.coords) == set(data.coords)


@pytest.mark.parametrize("kind", ["numpy", "dask", "dask beside numpy"])
def test_further_inputs_may_change_from_place_to_place(kind: str) -> None:
    data, weight = cube(), cube().isel(X=0) ** 2
    table = xr.DataArray(np.arange(8.0).reshape(2, 4), dims=("term", "Y"))
    if kind != "numpy":
        data = data.chunk({"Y": 1, "E": 4, "X": 2})
    if kind == "dask":
        weight, table = weight.chunk({"Y": 3, "E": 1}), table.chunk({"term": 1})

    def weighted(block: Array, weight: Array, table: Array) -> Array:
        assert (weight.shape[-1], table.shape[-1]) == (6, 2)
        return np.asarray(np.sum(block * weight, axis=-1) + table.sum(axis=-1))

    found = along(data, "E", weighted, Output(dims=()), beside=[weight, table])
    expected = (cube() * cube().isel(X=0, drop=True) ** 2).sum("E") + np.arange(8.0).reshape(2, 4).sum(0)[:, None]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("chunks", [None, {"Y": 3, "E": 4}])
def test_two_dims_in_the_order_that_is_asked_for(chunks: Any) -> None:
    data = cube() if chunks is None else cube().chunk(chunks)
    found = along(data, ["X", "E"], lambda block: block[..., 1, 0] - block[..., 2, 5], Output(dims=()))
    np.testing.assert_array_equal(found, cube().values[:, 0, 1] - cube().values[:, 5, 2])
    assert set(found.coords) == {"Y", "field"}


def smoothed(block: Array) -> Array:
    """Subtract from an image (*other, Y, X) its mean, and twice the mean of the first row."""
    left = block - block.mean(axis=(-2, -1), keepdims=True) - 2 * block[..., :1, :].mean(axis=-1, keepdims=True)
    return np.asarray(left)


@pytest.mark.parametrize("prepare", [lambda a: a, lambda a: a.chunk({"Y": 1, "E": 4}), lambda a: a.transpose()])
def test_images(prepare: Callable[[xr.DataArray], xr.DataArray]) -> None:
    data = prepare(cube())
    found = over(data, ("Y", "X"), smoothed)
    expected = cube() - cube().mean(["Y", "X"]) - 2 * cube().isel(Y=0, drop=True).mean("X")
    xr.testing.assert_allclose(found, expected.transpose(*data.dims))
    assert found.dims == data.dims
    assert (found.chunks is None) == (data.chunks is None)
    total = over(data, None, lambda block: block.sum(axis=(-2, -1)), Output(dims=()))
    xr.testing.assert_allclose(total, cube().sum(["Y", "X"]).assign_attrs(units="V", long_name="Current"))
    assert set(total.coords) == {"E", "step", "field"}


def test_which_images_are_meant_is_clear_or_asked_for() -> None:
    with pytest.raises(RoleError, match=r"has the position dims \('Y', 'X', 'Z'\), and 2 should be worked along"):
        over(usidx.set_roles(cube().expand_dims(Z=2), position="Z").transpose(..., "Z"), None, smoothed)
    with pytest.raises(RoleError, match=r"dim=\['Y'\] names 1 dim\(s\), and 2 should be named"):
        over(cube(), "Y", smoothed)
    plain = xr.DataArray(np.eye(3), dims=("row", "column"))
    np.testing.assert_allclose(over(plain, None, smoothed), smoothed(np.eye(3)))
    assert over(cube().isel(Y=slice(1)), None, smoothed).sizes == {"Y": 1, "E": 6, "X": 3}


def middle(block: Array) -> Array:
    """Return the middle of three neighbours along the first dim, of (cell and two more, *other, sample)."""
    return np.asarray(np.nanmedian(np.stack([block[:-2], block[1:-1], block[2:]]), axis=0))


@given(data=st.data())
def test_neighbours_are_seen_where_that_is_asked_for(data: st.DataObject) -> None:
    dim, other = data.draw(st.permutations(["Y", "X"]))
    array = cube().chunk({d: data.draw(st.integers(1, n)) for d, n in cube().sizes.items()})
    found = along(array, "E", middle, overlap={dim: 1}, smallest_part=0)
    xr.testing.assert_identical(found.compute(), along(cube(), "E", middle, overlap={dim: 1}))
    values = cube().transpose(dim, other, "E").values
    around = [values[max(0, k - 1) : k + 2] for k in range(len(values))]
    np.testing.assert_array_equal(found.transpose(dim, other, "E"), [np.median(one, axis=0) for one in around])


def test_neighbours_are_those_of_the_data_alone() -> None:
    for options in ({"beside": [cube()]}, {"as_stored": True}):
        with pytest.raises(TypeError, match="seen of the data alone, and as floating numbers"):
            along(cube(), "E", middle, overlap={"Y": 1}, **options)


@pytest.mark.parametrize("chunks", [None, 2])
def test_without_spectra_the_kernel_is_not_called(chunks: Any) -> None:
    def fail(block: Array) -> Array:
        raise AssertionError

    data = cube().isel(Y=slice(0))
    data = data if chunks is None else data.chunk(chunks)
    for kernel, output in ((fail, Output()), (fail, Output(dims=("figure",), sizes={"figure": 2}, dtype="i4"))):
        found = along(data, "E", kernel, output, overlap={"Y": 1}).compute()
        assert found.sizes == {"Y": 0, **({"E": 6} if output.dims is None else {"figure": 2}), "X": 3}
        assert found.dtype == output.dtype or output.dtype is None


def test_coordinates_that_bear_no_index_get_none() -> None:
    twice = xr.Coordinates({"Y": xr.Variable("Y", [1.0, 1.0, 2.0, 2.0], {"usid_role": "position"})}, indexes={})
    data = cube().drop_vars(["Y"]).assign_coords(twice)
    for found in (running_mean(data), along(data, "E", spectrum_of, {"power": Output(sizes={"E": 4})})):
        assert "Y" not in found.xindexes
        xr.testing.assert_identical(found.Y.variable, data.Y.variable)


def test_lazy_coordinates_stay_lazy() -> None:
    reads: list[Any] = []

    def read(block: Array) -> Array:
        reads.append(1)
        return block

    height = da.ones((4, 3), chunks=2).map_blocks(read, meta=np.empty((0, 0)))
    data = cube().assign_coords(height=(("Y", "X"), height)).chunk({"Y": 2})
    found = along(data, "E", lambda block: (block[..., 0], block), {"a": Output(dims=()), "b": Output()})
    assert found.height.chunks is not None
    assert not reads


def test_equal_calls_have_equal_graphs_that_pickle() -> None:
    data = cube().chunk({"Y": 2})
    assert running_mean(data).data.name == running_mean(data).data.name
    assert running_mean(data).data.name != running_mean(data, window=5).data.name
    again = pickle.loads(pickle.dumps(running_mean(data)))
    xr.testing.assert_identical(again.compute(), running_mean(cube()))
    assert any(name.startswith("average-") for name in running_mean(data).data.dask.layers)


def test_what_is_no_number_or_not_labelled_is_refused() -> None:
    with pytest.raises(UsidError, match="Array 'name' is of dtype <U1; numbers are wanted"):
        running_mean(xr.DataArray(["a", "b"], dims="x", name="name"))
    with pytest.raises(RoleError, match="A ndarray where a DataArray is expected"):
        running_mean(np.ones(3))  # type: ignore[arg-type]
    with pytest.raises(RoleError, match="No dim 'Z' here"):
        running_mean(cube(), "Z")
    with pytest.raises(UsidError, match="window=4"):
        running_mean(cube(), window=4)
    raw = along(cube(dtype="i4"), "E", lambda block: block.max(axis=-1), Output(dims=()), as_stored=True)
    assert raw.dtype == "i4"


@pytest.mark.parametrize("name", ["top", "peak"])
def test_what_stays_may_not_be_called_as_what_comes(name: str) -> None:
    data = cube()
    outputs = {"top": Output(dims=("peak",), sizes={"peak": 2})}
    for taken in (data.rename(X=name), data.assign_coords({name: 3.0}), data.rename(height=name)):
        with pytest.raises(ResultError, match=f"'cube' already has a dim or coordinate '{name}'.*Rename it first"):
            along(taken, "E", lambda block: block[..., :2], outputs)
    gone = along(data.rename(E=name), name, lambda block: block[..., :2], outputs)
    assert gone.top.dims == ("Y", "peak", "X")
    assert along(data.rename(step=name), "E", lambda block: block[..., :2], outputs).sizes["peak"] == 2
