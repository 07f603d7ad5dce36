"""A function of one spectrum, at every position."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr

import usidx
from usidx.errors import ResultError, RoleError, SelectionError

Array = npt.NDArray[Any]
Prepare = Callable[[xr.DataArray], xr.DataArray]
KINDS = [lambda a: a, lambda a: a.chunk({"Y": 1, "E": 2})]


def cube() -> xr.DataArray:
    values = np.random.default_rng(0).normal(size=(4, 3, 6))
    array = xr.DataArray(values, dims=("Y", "X", "E"), coords={"Y": np.arange(4.0)}, name="cube", attrs={"units": "V"})
    return usidx.set_roles(array, position=["Y", "X"], spectroscopic="E")


def peak(spectrum: Array, power: int = 1) -> Any:
    return spectrum.max() ** power


@pytest.mark.parametrize("kind", KINDS, ids=["numpy", "dask"])
def test_a_number_per_spectrum(kind: Prepare) -> None:
    found = usidx.map_positions(peak, kind(cube()), units="V^2", parameters={"power": 2})
    np.testing.assert_allclose(found, cube().max("E") ** 2)
    assert found.dims == ("Y", "X")
    assert found.attrs["units"] == "V^2"
    assert usidx.position_dims(found) == ("Y", "X")


@pytest.mark.parametrize("kind", KINDS, ids=["numpy", "dask"])
def test_a_spectrum_per_spectrum_keeps_its_dims(kind: Prepare) -> None:
    found = usidx.map_positions(np.cumsum, kind(cube()))
    np.testing.assert_allclose(found, np.cumsum(cube().values, axis=2))
    assert found.dims == ("Y", "X", "E")
    assert found.E.attrs["usid_role"] == "spectroscopic"


@pytest.mark.parametrize("kind", KINDS, ids=["numpy", "dask"])
def test_a_dict_becomes_a_dataset(kind: Prepare) -> None:
    def two(spectrum: Array) -> dict[str, Any]:
        return {"mean": spectrum.mean(), "ends": spectrum[[0, -1]]}

    found = usidx.map_positions(two, kind(cube()), units={"mean": "V"})
    np.testing.assert_allclose(found["mean"], cube().mean("E"))
    np.testing.assert_allclose(found.ends, cube().values[..., [0, -1]])
    assert found.ends.dims == ("Y", "X", "ends_0")
    assert found["mean"].attrs["units"] == "V"


def test_complex_spectra_give_whole_numbers() -> None:
    found = usidx.map_positions(lambda s: int((abs(s) > 1).sum()), (cube() * 1j).chunk({"Y": 1}))
    np.testing.assert_array_equal(found, (abs(cube()) > 1).sum("E"))


def test_nothing_is_computed_but_the_first_spectrum() -> None:
    calls: list[int] = []

    def counted(spectrum: Array) -> float:
        calls.append(1)
        return float(spectrum[0])

    found = usidx.map_positions(counted, cube().chunk({"Y": 1}))
    assert len(calls) == 1
    usidx.map_positions(counted, cube().chunk({"Y": 1}), like=0.0)
    assert len(calls) == 1
    found.compute()
    assert len(calls) == 13


def test_other_shapes_are_refused() -> None:
    def uneven(spectrum: Array) -> Array:
        return spectrum[spectrum > 0]

    with pytest.raises(ResultError, match=r"returned float64 of shape \(\d,\) at entry \(.*\) of a block, but"):
        usidx.map_positions(uneven, cube())


def test_numbers_are_never_cut_down() -> None:
    """The first spectrum gives a whole number, as functions do where they find nothing."""
    data = cube()

    def height(spectrum: Array) -> Any:
        return 0 if spectrum[0] == data[0, 0, 0] else float(spectrum.max())

    with pytest.raises(ResultError, match=r"returned float64 at entry .* but int64 at .*like=0.0 makes floats"):
        usidx.map_positions(height, data)
    found = usidx.map_positions(height, data, like=0.0)
    expected = data.max("E").values.copy()
    expected[0, 0] = 0
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("returned", [None, "high", [None, 1.0], {"height": "high"}])
def test_what_is_no_number_is_refused(returned: Any) -> None:
    with pytest.raises(ResultError, match="which is no number and no array of numbers"):
        usidx.map_positions(lambda _: returned, cube())


def test_things_of_several_shapes_want_names() -> None:
    with pytest.raises(ResultError, match="returns a tuple of things of several shapes; a dict names them"):
        usidx.map_positions(lambda spectrum: (1.0, spectrum), cube())


def choosy(spectrum: Array) -> dict[str, Any]:
    if spectrum[0] < 0:
        raise ZeroDivisionError("no peak")
    return {"index": int(spectrum.argmax()), "normed": spectrum / spectrum.max()}


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_function_fails_there_is_nan(kind: Prepare) -> None:
    data = cube()
    like = {"index": 0, "normed": np.zeros(6)}
    found = usidx.map_positions(choosy, kind(data), errors="nan", like=like).compute()
    failed = data.values[..., 0] < 0
    assert failed.any()
    assert not failed.all()
    np.testing.assert_array_equal(found["index"], np.where(failed, np.nan, data.values.argmax(-1)))
    expected = np.where(failed[..., None], np.nan, data.values / data.values.max(-1, keepdims=True))
    np.testing.assert_array_equal(found["normed"], expected)
    with pytest.raises(ZeroDivisionError, match="no peak") as raised:
        usidx.map_positions(choosy, kind(data), like=like).compute()
    assert "errors='nan' puts NaN where a function fails" in raised.value.__notes__[0]


def test_a_function_that_fails_at_the_first_spectrum() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        usidx.map_positions(choosy, -abs(cube()), errors="nan")
    assert "Pass like=" in raised.value.__notes__[0]
    with pytest.raises(ResultError, match="errors is 'ignore'"):
        usidx.map_positions(choosy, cube(), errors="ignore")  # type: ignore[arg-type]


def greedy(spectrum: Array) -> float:
    spectrum -= spectrum.mean()
    return float(spectrum.max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_function_may_change_its_spectrum(kind: Prepare) -> None:
    data = cube()
    lazy = kind(data.copy(deep=True))
    found, mean = usidx.compute(usidx.map_positions(greedy, lazy), lazy.mean("E"))
    np.testing.assert_allclose(found, (data - data.mean("E")).max("E"))
    np.testing.assert_allclose(mean, data.mean("E"))
    np.testing.assert_array_equal(lazy, data)


def test_without_roles_a_dim_is_named() -> None:
    bare = xr.DataArray(np.ones((2, 3)), dims=("a", "b"))
    with pytest.raises(RoleError, match="no spectroscopic dim"):
        usidx.map_positions(peak, bare)
    np.testing.assert_array_equal(usidx.map_positions(peak, bare, dim="b"), [1, 1])


def test_different_functions_of_one_name_are_different_recipes(tmp_path: Path) -> None:
    usidx.write(cube(), tmp_path / "scan.h5")
    raw = usidx.open_main(tmp_path / "scan.h5", chunks={"Y": 1})
    first = usidx.map_positions(lambda s: s.max(), raw).usid.write()
    assert usidx.map_positions(lambda s: s.min(), raw).usid.write() != first
    named = usidx.map_positions(peak, raw).usid.write()
    assert (
        usidx.map_positions(peak, usidx.open_main(tmp_path / "scan.h5", "cube", chunks={"Y": 1})).usid.write() == named
    )
    np.testing.assert_allclose(usidx.open_result(tmp_path / "scan.h5", named).cube, cube().max("E"))


@pytest.mark.parametrize("kind", KINDS, ids=["numpy", "dask"])
@pytest.mark.parametrize("good", [[(0, 1)], [(3, 2), (1, 0)], [(0, 0), (2, 2)]])
def test_nan_wherever_the_function_fails_first(kind: Prepare, good: list[tuple[int, int]]) -> None:
    def choosy(spectrum: Array) -> Any:
        if spectrum.max() == 0:
            raise ValueError("no signal here")
        return {"height": spectrum.max(), "ends": spectrum[[0, -1]]}

    data = xr.zeros_like(cube())
    for place in good:
        data[place] = np.arange(6.0) + 1
    found = usidx.map_positions(choosy, kind(data), errors="nan").compute()
    kept = np.zeros((4, 3), bool)
    kept[tuple(zip(*good, strict=True))] = True
    np.testing.assert_array_equal(found.height, np.where(kept, 6.0, np.nan))
    np.testing.assert_array_equal(found.ends, np.where(kept[..., None], [1.0, 6.0], np.nan))


def test_a_function_that_fails_everywhere_says_so() -> None:
    def broken(spectrum: Array) -> Any:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone") as raised:
        usidx.map_positions(broken, cube(), errors="nan")
    assert "first of 12 spectra that were tried" in raised.value.__notes__[0]
    with pytest.raises(ResultError, match="'cube' has no position: pass like="):
        usidx.map_positions(peak, cube().isel(Y=slice(0)))


def test_the_graph_pickles() -> None:
    pickle.dumps(usidx.map_positions(peak, cube().chunk({"Y": 1})))


def test_compute_reads_each_block_once_for_many_results() -> None:
    import dask.array as da

    reads: list[int] = []

    def read(block_info: Any) -> Array:
        reads.append(1)
        return np.ones((1, 3, 6))

    blocks = da.map_blocks(read, chunks=((1,) * 4, (3,), (6,)), dtype=float, meta=np.empty((0, 0, 0)))
    lazy = cube().copy(data=blocks)
    mean, largest = usidx.compute(lazy.mean(), lazy.max(), progress=False)
    assert len(reads) == 4
    assert float(mean) == float(largest) == 1
    assert float(usidx.compute(lazy.sum())) == 72


def test_a_single_block_is_read_once_and_worked_through_in_parts() -> None:
    read: list[int] = []

    def one_block() -> Array:
        read.append(1)
        return np.arange(12.0).reshape(6, 2)

    source = da.from_delayed(dask.delayed(one_block)(), (6, 2), float)
    data = xr.DataArray(source, dims=("X", "Bias"))
    mapped = usidx.map_positions(np.sum, data, dim="Bias", like=0.0)
    assert len(mapped.chunks[0]) == 6
    np.testing.assert_array_equal(mapped.compute(), np.arange(12.0).reshape(6, 2).sum(axis=1))
    assert len(read) == 1
    assert usidx.map_positions(np.sum, data.isel(X=slice(0)), dim="Bias", like=0.0).compute().size == 0


@pytest.fixture
def measurements(tmp_path: Path) -> Path:
    """Write a file of two measurements, one of them with two channels, the other with a result already."""
    file = tmp_path / "several.h5"
    for number, channel, name in ((0, 0, "Raw_Data"), (1, 0, "Raw_Data"), (1, 1, "Other")):
        scan, _ = usidx.simulate.band_excitation((3 + number, 4), 16, seed=number + channel)
        group = f"Measurement_00{number}/Channel_00{channel}"
        usidx.write(scan, file, group=group, name=name, progress=False)
    usidx.open_main(file, "Measurement_000/Channel_000/Raw_Data").usid.svd(2).usid.write(progress=False)
    return file


def test_a_verb_works_on_all_mains_and_results_lie_beside_each(measurements: Path) -> None:
    tree = usidx.open_tree(measurements)
    fits = tree.usid.map_mains(usidx.sho_fit)
    sources = ["/Measurement_000/Channel_000/Raw_Data", "/Measurement_001/Channel_000/Raw_Data",
               "/Measurement_001/Channel_001/Other"]  # fmt: skip
    assert [leaf.path for leaf in fits.leaves] == sources
    assert all(v.chunks is not None for leaf in fits.leaves for v in leaf.data_vars.values())
    assert fits.usid.write(progress=False) == f"{sources[0]}-SHO_Fit_000"
    for source in sources:
        stored = usidx.open_result(measurements, f"{source}-SHO_Fit_000").compute()
        expected = usidx.sho_fit(usidx.open_main(measurements, source)).compute()
        xr.testing.assert_allclose(stored, expected)
    assert fits.usid.write(progress=False) == f"{sources[0]}-SHO_Fit_000"  # nothing is written twice
    assert len(usidx.list_results(measurements)) == 4


def test_results_of_all_mains_are_worked_on_further(measurements: Path) -> None:
    fits = usidx.open_tree(measurements).usid.map_mains(usidx.sho_fit, named="Raw_Data")
    signed = fits.usid.map_mains(usidx.response, offset=-0.4)
    assert [leaf.path.split("/")[1] for leaf in signed.leaves] == ["Measurement_000", "Measurement_001"]
    for leaf in signed.leaves:
        own = usidx.response(usidx.sho_fit(usidx.open_main(measurements, leaf.path)), offset=-0.4)
        xr.testing.assert_allclose(leaf["response"], own)
    assert signed.usid.write(progress=False).endswith("Raw_Data-Response_000")


def test_mains_that_are_not_there_and_verbs_that_fail_are_named(measurements: Path) -> None:
    tree = usidx.open_tree(measurements)
    with pytest.raises(SelectionError, match=r"no main 'Channel_001/Raw_Data'; it has \['Measurement_000/Chan"):
        tree.usid.map_mains(usidx.svd, 2, named="Channel_001/Raw_Data")
    with pytest.raises(RoleError) as raised:
        tree.usid.map_mains(usidx.sho_fit, "Bias", named="Other")
    assert "Measurement_001/Channel_001/Other" in raised.value.__notes__[0]
    with pytest.raises(ResultError, match="Name the one to write it to"):
        tree.usid.write()
