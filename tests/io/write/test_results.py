"""Results and arrays in files: where they land, what they share, and that nothing else changes."""

import json
import threading
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from sklearn.decomposition import PCA

import usidx
from usidx.errors import ExistsError, LayoutError, LockedError, ResultError, RoleError, UsidWarning
from usidx.testing.files import build_main
from usidx.testing.measurements import snake_file


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """Write a 4 x 3 raster of 5-step spectra by plain h5py."""
    data = np.random.default_rng(0).normal(size=(4, 3, 5)).astype("f4")
    position = [("Y", "m", np.arange(4) * 1e-6), ("X", "m", np.arange(3) * 2e-6)]
    build_main(tmp_path / "scan.h5", data, position, [("Bias", "V", np.linspace(-1, 1, 5))])
    return tmp_path / "scan.h5"


def everything(path: Path) -> dict[str, bytes]:
    """Return the bytes of every dataset of a file."""
    found: dict[str, bytes] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, o: found.update({name: np.asarray(o[()]).tobytes()}) if isinstance(o, h5py.Dataset) else None
        )
    return found


def test_a_result_lands_beside_its_source_under_the_old_names(scan: Path) -> None:
    before = everything(scan)
    raw = usidx.open_main(scan)
    source, main_path = raw.attrs["usid_provenance"], usidx.list_mains(scan)[0]
    group = raw.usid.svd(3).usid.write()
    with h5py.File(scan) as file:
        main = file[group].parent["Raw_Data"]
        assert group == f"{main.name}-SVD_000"
        assert {"U", "V", "S"} <= set(file[group])
        assert file[group].attrs["tool"] == "SVD"
        assert file[group].attrs["algorithm"] == "usidx.svd"
        assert file[group].attrs["num_source_dsets"] == 1
        assert file[group].attrs["num_components"] == 3
        assert file[file[group].attrs["source_000"]] == main
        assert file[file[f"{group}/U"].attrs["Position_Indices"]] == file[main.attrs["Position_Indices"]]
        assert file[file[f"{group}/V"].attrs["Spectroscopic_Values"]] == file[main.attrs["Spectroscopic_Values"]]
        assert file[f"{group}/U"].shape == (12, 3)
        assert file[f"{group}/V"].shape == (3, 5)
    after = everything(scan)
    assert {name: after[name] for name in before} == before
    assert usidx.open_main(scan, main_path).attrs["usid_provenance"] == source


def test_u_and_v_are_what_linear_algebra_says(scan: Path) -> None:
    raw = usidx.open_main(scan)
    group = raw.usid.svd(5).usid.write()
    matrix = raw.values.reshape(12, 5)
    expected = np.linalg.svd(matrix, compute_uv=False)
    with h5py.File(scan) as file:
        u, s, v = (file[group][name][()] for name in "USV")
    np.testing.assert_allclose(s, expected, rtol=1e-5)
    np.testing.assert_allclose(u.T @ u, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(u * s @ v, matrix, atol=1e-5)


@pytest.mark.parametrize("verb", ["svd", "pca", "nmf", "cluster"])
def test_a_result_opens_as_the_dataset_that_was_written(scan: Path, verb: str) -> None:
    raw = abs(usidx.open_main(scan))
    result = raw.usid.cluster("kmeans", 3) if verb == "cluster" else getattr(raw.usid, verb)(3)
    again = usidx.open_result(scan, result.usid.write())
    assert dict(again.attrs) == dict(result.attrs)
    assert set(again.data_vars) == set(result.data_vars)
    for name, variable in result.data_vars.items():
        assert again[name].dims == variable.dims
        assert again[name].dtype == variable.dtype
        assert again[name].attrs == variable.attrs
        np.testing.assert_allclose(again[name], variable, rtol=1e-5, atol=1e-6)
        for dim in variable.dims:
            xr.testing.assert_equal(again[dim], variable[dim])


@pytest.mark.parametrize("verb", ["ica", "mcr_als", "nfindr", "vca", "rotate"])
def test_every_decomposition_finds_its_way_back(scan: Path, verb: str) -> None:
    raw = abs(usidx.open_main(scan))
    result = raw.usid.svd(3).usid.rotate() if verb == "rotate" else getattr(raw.usid, verb)(3)
    group = result.usid.write()
    assert group.endswith("/Raw_Data-Decomposition_000")
    again = usidx.open_result(scan, group)
    assert list(again.data_vars) == list(result.data_vars)
    xr.testing.assert_allclose(again.compute(), result.compute(), rtol=1e-5, atol=1e-6)


def test_a_result_from_a_file_still_reconstructs(scan: Path) -> None:
    raw = usidx.open_main(scan)
    again = usidx.open_result(scan, raw.usid.pca(5).usid.write())
    rebuilt = again.usid.reconstruct()
    assert rebuilt.name == "Raw_Data"
    assert rebuilt.attrs["units"] == raw.attrs["units"]
    np.testing.assert_allclose(rebuilt, raw, atol=1e-5)


def test_a_result_of_few_numbers_opens_again(scan: Path) -> None:
    made = usidx.scree(usidx.open_main(scan).usid.svd(3))
    group = usidx.write(made, progress=False)
    xr.testing.assert_identical(usidx.open_result(scan, group), made.compute())
    assert usidx.validate(scan) == []


@pytest.mark.usefixtures("keep_attrs")
def test_results_of_a_snake_scan_share_its_positions(tmp_path: Path) -> None:
    expected = snake_file(tmp_path / "snake.h5")
    raw = usidx.open_main(expected.path)
    np.testing.assert_array_equal(raw.values, np.squeeze(expected.array))
    result = (raw * 2).rename("Doubled")
    group = result.usid.write(name="Doubled")
    with h5py.File(expected.path) as file:
        mains = usidx.list_mains(expected.path)
        doubled = file[next(m for m in mains if m.endswith("Doubled"))]
        source = file[expected.main]
        assert file[doubled.attrs["Position_Indices"]] == file[source.attrs["Position_Indices"]]
        np.testing.assert_array_equal(doubled[()], source[()] * 2)
    assert group.endswith("-Doubled_000")


def test_groups_get_the_next_free_number(scan: Path) -> None:
    raw = usidx.open_main(scan)
    raw_path = usidx.list_mains(scan)[0]
    with h5py.File(scan, "r+") as file:
        file.create_group(f"{raw_path}-SVD_final")
        file.create_group(f"{raw_path}-SVD_007")
    assert raw.usid.svd(1).usid.write().endswith("-SVD_008")
    assert raw.usid.svd(2).usid.write().endswith("-SVD_009")


def test_a_result_in_another_file_names_its_source(tmp_path: Path, scan: Path) -> None:
    raw = usidx.open_main(scan)
    group = usidx.write(raw.usid.svd(2), tmp_path / "results.h5")
    with h5py.File(tmp_path / "results.h5") as file:
        assert file[group].attrs["source_file_path"] == str(scan)
        assert "source_000" not in file[group].attrs
    again = usidx.open_result(tmp_path / "results.h5", group)
    xr.testing.assert_allclose(again.compute(), raw.usid.svd(2).compute(), rtol=1e-5)


def test_what_has_no_file_needs_a_path() -> None:
    with pytest.raises(ResultError, match="not recorded which file"):
        usidx.write(xr.DataArray([1.0], dims="x"))


def test_what_has_no_roles_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RoleError, match=r"'field' with dims \('x',\) has no position or spectroscopic dims"):
        usidx.write(xr.DataArray([1.0], dims="x", name="field"), tmp_path / "new.h5")
    assert not (tmp_path / "new.h5").exists()


def test_a_vanished_source_is_named(scan: Path) -> None:
    result = usidx.open_main(scan).usid.svd(2).compute()
    scan.unlink()
    with pytest.raises(ResultError, match=r"scan\.h5' that this came from, or 'is gone|is gone"):
        result.usid.write()


def test_a_failing_block_leaves_the_file_as_it_was(scan: Path) -> None:
    before = scan.read_bytes()

    def broken(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        raise ZeroDivisionError("on purpose")

    raw = usidx.open_main(scan)
    failing = raw.copy(data=da.map_blocks(broken, raw.data, dtype=raw.dtype, meta=np.empty((0, 0, 0), raw.dtype)))
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        failing.usid.write(name="Broken")
    assert scan.read_bytes() == before


def test_blocks_stream_through_memory_one_by_one(tmp_path: Path, scan: Path) -> None:
    """Each block is made once and let go before the last is made."""
    alive: list[int] = []
    most = 0

    def make(block_info: Any) -> npt.NDArray[np.float32]:
        nonlocal most
        alive.append(1)
        most = max(most, len(alive))
        return np.full((1, 3, 5), block_info[None]["chunk-location"][0], "f4")

    def count_down(block: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        alive.pop()
        return block

    blocks = da.map_blocks(make, chunks=((1,) * 40, (3,), (5,)), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    array = xr.DataArray(blocks.map_blocks(count_down, dtype="f4"), dims=("Y", "X", "E"), name="stream")
    with dask.config.set(scheduler="threads", num_workers=2):
        usidx.set_roles(array, position=["Y", "X"], spectroscopic="E").usid.write(tmp_path / "stream.h5")
    assert most <= 4
    opened = usidx.open_main(tmp_path / "stream.h5")
    np.testing.assert_array_equal(opened.isel(X=0, E=0), np.arange(40))


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_any_scheduler_writes_the_same(tmp_path: Path, scan: Path, scheduler: str) -> None:
    raw = usidx.open_main(scan, chunks={"Y": 2})
    with dask.config.set(scheduler=scheduler):
        group = raw.usid.svd(2).usid.write()
    np.testing.assert_allclose(usidx.open_result(scan, group).scores, raw.compute().usid.svd(2).scores, rtol=1e-5)


def test_what_usid_cannot_hold_is_named(tmp_path: Path) -> None:
    things = np.empty(2, object)
    things[:] = [{1}, {2}]
    array = xr.DataArray(np.eye(2), dims=("a", "b"), coords={"label": ("a", things)}, name="eye")
    with pytest.warns(UsidWarning, match="'label' of 'eye' is not written"):
        usidx.set_roles(array, position="a", spectroscopic="b").usid.write(tmp_path / "new.h5")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    from usidx.io.write.main import create_main
    from usidx.io.write.shelf import Shelf

    array = usidx.set_roles(xr.DataArray([1.0, 2.0], dims="x", name="line"), position="x")
    with h5py.File(tmp_path / "new.h5", "w") as file:
        create_main(file, array, "line", Shelf())
        with pytest.raises(ExistsError, match="/line exists in"):
            create_main(file, array, "line", Shelf())


def test_history_survives_files(scan: Path, tmp_path: Path) -> None:
    raw = usidx.open_main(scan)
    rebuilt = usidx.open_result(scan, raw.usid.svd(2).usid.write()).usid.reconstruct()
    usidx.write(rebuilt, tmp_path / "clean.h5")
    tools = [step["tool"] for step in usidx.open_main(tmp_path / "clean.h5").usid.history]
    assert tools == ["open", "svd", "reconstruct", "open"]


def test_a_selection_is_recorded(scan: Path) -> None:
    raw = usidx.open_main(scan)
    step = raw.sel(Y=slice(0, 2e-6)).usid.svd(2).usid.history[-1]
    extent = step["input"]["since_last_step"]["selection"]["Y"]
    assert extent == {"size": 3, "first": 0.0, "last": pytest.approx(2e-6)}
    assert (raw * raw).usid.svd(2).usid.history[-1]["input"]["since_last_step"] == "unknown"


@pytest.mark.parametrize("dtype", ["U3", "O", "M8[ns]", "m8[ns]", "S2"])
def test_what_holds_no_numbers_is_refused(tmp_path: Path, dtype: str) -> None:
    data = xr.DataArray(np.zeros((3, 4), "i8").astype(dtype), dims=("X", "E"), name="Raw_Data")
    scan = usidx.set_roles(data, position="X", spectroscopic="E")
    with pytest.raises(LayoutError, match=r"'Raw_Data' holds .*; a main dataset holds numbers"):
        usidx.write(scan, tmp_path / "scan.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_another_program_has_open_is_waited_for(scan: Path) -> None:
    raw = usidx.open_main(scan)
    with h5py.File(scan), pytest.raises(LockedError, match=r"cannot be written: it is locked by this program itself"):
        raw.usid.svd(2).usid.write(wait=0)
    held = h5py.File(scan)
    threading.Timer(0.3, held.close).start()
    assert raw.usid.svd(2).usid.write(wait=20).endswith("SVD_000")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    data, _ = usidx.simulate.band_excitation((3, 4), 16, seed=0)
    with pytest.raises(FileNotFoundError, match=r"There is no folder '.*none' to make 'scan.h5' in"):
        usidx.write(data, tmp_path / "none" / "scan.h5")


def _pairs(raw: xr.DataArray) -> dict[str, tuple[xr.Dataset, xr.Dataset]]:
    """Return calls that differ in one argument, or in what was chosen of an earlier result."""
    masks = [xr.DataArray(np.arange(raw.sizes["Y"]) == k, dims="Y") for k in (0, 1)]
    size = abs(raw)
    pure = [size.isel(Y=0, X=[k, k + 1]).drop_vars(["Y", "X"]).rename(X="component").compute() for k in (0, 1)]
    found = raw.usid.svd(4)
    some = [found.isel(component=chosen) for chosen in ([0, 1], [2, 3])]

    def both(verb: Any, **arguments: Any) -> tuple[xr.Dataset, xr.Dataset]:
        (name, values), *_ = arguments.items()
        one, other = (verb(**{name: value}) for value in values)
        return one, other

    return {
        "svd": both(partial(raw.usid.svd, 2), mask=masks),
        "pca": both(partial(raw.usid.pca, 2), mask=[None, masks[1]]),
        "nmf": both(partial(size.usid.nmf, 2), mask=masks),
        "ica": both(partial(size.usid.ica, 2), mask=masks),
        "mcr_als": both(partial(size.usid.mcr_als, 2), mask=masks),
        "initial": both(partial(size.usid.mcr_als, 2), initial=pure),
        "nfindr": both(partial(size.usid.nfindr, 2), mask=masks),
        "vca": both(partial(size.usid.vca, 2), mask=masks),
        "fcls": both(size.usid.fcls, endmembers=pure),
        "masked fcls": both(partial(size.usid.fcls, pure[0]), mask=masks),
        "cluster": both(partial(size.usid.cluster, "kmeans", 2), mask=masks),
        "decompose": both(partial(size.usid.decompose, PCA(2)), mask=masks),
        "clusters of modes": (some[0].usid.cluster("kmeans", 2), some[1].usid.cluster("kmeans", 2)),
        "modes": (some[0].usid.reconstruct().to_dataset(), some[1].usid.reconstruct().to_dataset()),
    }


def test_other_masks_profiles_and_modes_are_other_results(scan: Path) -> None:
    """What decides a result is in its recipe: a finished one of another call is never returned."""
    for name, (one, other) in _pairs(usidx.open_main(scan)).items():
        groups = [usidx.write(result, progress=False) for result in (one, other, one)]
        assert groups[0] != groups[1], name
        assert groups[0] == groups[2], name


def _two_files(tmp_path: Path, scan: Path) -> list[xr.DataArray]:
    other = tmp_path / "other.h5"
    usidx.write(2 * usidx.open_main(scan), other, progress=False)
    return [usidx.open_main(path).drop_vars("X") for path in (scan, other)]


def test_what_was_made_of_several_files_names_all_of_them_and_wants_a_path(tmp_path: Path, scan: Path) -> None:
    both = usidx.set_roles(xr.concat(_two_files(tmp_path, scan), "X"), position="X").usid.svd(2)
    with pytest.raises(ResultError, match=r"made of several files, .*scan\.h5.*other\.h5.*write\(path\)"):
        both.usid.write()
    group = both.usid.write(tmp_path / "both.h5")
    with h5py.File(tmp_path / "both.h5") as file:
        told = dict(file[group].attrs)
    assert told["num_source_dsets"] == 2
    assert told["source_file_path"] == str(scan)
    assert told["source_file_path_001"] == str(tmp_path / "other.h5")


def test_what_was_put_together_in_memory_is_credited_to_no_file(tmp_path: Path, scan: Path) -> None:
    loaded = [array.load() for array in _two_files(tmp_path, scan)]
    both = usidx.set_roles(xr.concat(loaded, "X"), position="X").usid.svd(2)
    with pytest.raises(ResultError, match=r"it was put together of more than that.*write\(path\)"):
        both.usid.write()


def test_no_file_holds_a_seal_of_this_process(tmp_path: Path, scan: Path) -> None:
    raw = usidx.open_main(scan)
    raw.usid.svd(2).usid.write()
    usidx.write(raw * 2, tmp_path / "plain.h5", progress=False)
    usidx.write(usidx.open_tree(scan), tmp_path / "tree.h5", progress=False)
    for name in ("scan.h5", "plain.h5", "tree.h5"):
        assert b'"seal"' not in (tmp_path / name).read_bytes()


def test_a_result_from_elsewhere_needs_a_path(tmp_path: Path, scan: Path) -> None:
    """Its attributes name a file that this process did not open: they may be anybody's."""
    result = usidx.open_main(scan).usid.svd(2).compute()
    told = json.loads(result.attrs["usid_provenance"])
    result.attrs["usid_provenance"] = json.dumps([{k: v for k, v in s.items() if k != "seal"} for s in told])
    for variable in result.data_vars.values():
        del variable.attrs["usid_provenance"]
    with pytest.raises(ResultError, match=r"names .*scan\.h5', but this process did not open it"):
        result.usid.write()
    assert result.usid.write(scan).endswith("Raw_Data-SVD_000")


@pytest.mark.parametrize("sources", [5, "text", {"a": 1}, [3], [None], [{"file": "/x"}]])
def test_sources_in_a_text_that_are_none_are_passed_over(scan: Path, sources: Any) -> None:
    result = usidx.open_main(scan).usid.svd(2)
    told = json.loads(result.attrs["usid_provenance"])
    result.attrs["usid_provenance"] = json.dumps([*told[:-1], {**told[-1], "sources": sources}])
    assert result.usid.write(progress=False).endswith("Raw_Data-SVD_000")


@pytest.mark.parametrize("odd", [{"input": 5}, {"parameters": "text"}, {"input": None}])
def test_an_odd_neighbour_of_before_hinders_nothing(scan: Path, odd: dict[str, Any]) -> None:
    first = usidx.open_main(scan).usid.svd(2).usid.write(progress=False)
    with h5py.File(scan, "r+") as file:
        attributes = file[first].attrs
        del attributes["usidx_identity"]
        told = json.loads(attributes["usid_provenance"])
        attributes["usid_provenance"] = json.dumps([*told[:-1], {**told[-1], **odd}])
    assert usidx.open_main(scan).usid.svd(2).usid.write(progress=False) != first
