"""Trees of channels in files: one measurement, whole or not at all, and the same tree again when it is opened."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import LayoutError, ResultError, RoleError, UsidError, UsidWarning
from usidx.format.names import BOOK_KEEPING
from usidx.testing import measurements
from usidx.testing.assertions import assert_same
from usidx.testing.files import build_main
from usidx.testing.instrument import instrument_file


def channel(name: str, start: float = 0.0, **attrs: Any) -> xr.DataArray:
    cells = start + np.arange(60, dtype="f4").reshape(3, 4, 5)
    coords = {"Y": np.arange(3) * 1e-6, "X": np.arange(4) * 2e-6, "Bias": np.linspace(-1, 1, 5)}
    array = xr.DataArray(cells, coords, ("Y", "X", "Bias"), name, {"long_name": name, "units": "nA", **attrs})
    return usidx.set_roles(array, position=["Y", "X"], spectroscopic="Bias")


def reader_tree() -> xr.DataTree:
    """Return what a reader of an instrument's file may give."""
    height = channel("Height").isel(Bias=0, drop=True)
    return xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"instrument": "STM", "setpoint": 1e-9}),
            "/topography": height.to_dataset().assign_attrs(direction="up"),
            "/spectra": xr.Dataset(attrs={"sweeps": 3}),
            "/spectra/forward": channel("Current").to_dataset().assign(order=("sweep", [2, 0, 1])),
            "/spectra/backward": xr.Dataset({"Current": channel("Current", 7.0), "Phase": channel("Phase").chunk()}),
        }
    )


def write(tree: xr.DataTree, path: Path, **options: Any) -> str:
    return usidx.write(tree, path, progress=False, **options)


def assert_same_trees(actual: xr.DataTree, expected: xr.DataTree) -> None:
    """Compare paths, attributes but those of who wrote it and when, and everything of each array."""
    assert [node.path for node in actual.subtree] == [node.path for node in expected.subtree]
    for node in expected.subtree:
        mine, other = actual[node.path].to_dataset(), node.to_dataset()
        assert list(mine.data_vars) == list(other.data_vars)
        for name in other.data_vars:
            assert_same(mine[name].compute(), other[name].compute())
        told = [
            {k: v for k, v in d.attrs.items() if k not in BOOK_KEEPING | {"usid_provenance"}} for d in (mine, other)
        ]
        assert xr.Dataset(attrs=told[0]).identical(xr.Dataset(attrs=told[1]))


def test_a_tree_of_channels_is_one_measurement(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    assert write(reader_tree(), path) == "/Measurement_000"
    assert usidx.list_mains(path) == [
        "/Measurement_000/Channel_000/Height",
        "/Measurement_000/Channel_001/Current",
        "/Measurement_000/Channel_002/Current",
        "/Measurement_000/Channel_002/Phase",
    ]
    for number, array in ((0, channel("Height").isel(Bias=0, drop=True)), (1, channel("Current"))):
        opened = usidx.open_main(path, f"Channel_{number:03d}/{array.name}")
        assert_same(opened.compute(), array)
    np.testing.assert_array_equal(usidx.open_main(path, "Channel_002/Current"), channel("Current", 7.0))
    np.testing.assert_array_equal(usidx.open_main(path, "Phase"), channel("Phase"))
    with h5py.File(path) as file:
        measurement = file["Measurement_000"]
        assert (measurement.attrs["instrument"], measurement.attrs["setpoint"]) == ("STM", 1e-9)
        assert "timestamp" in measurement.attrs
        forward = measurement["Channel_001"]
        assert (forward.attrs["sweeps"], forward.attrs["usidx_node"]) == (3, "/spectra/forward")
        assert measurement["Channel_000"].attrs["direction"] == "up"
        assert forward["order"][()].tolist() == [2, 0, 1]
        mains = [file[main] for main in usidx.list_mains(path)]
        assert len({file[main.attrs["Position_Values"]].name for main in mains}) == 1
        assert len({file[main.attrs["Spectroscopic_Values"]].name for main in mains}) == 2
    assert usidx.validate(path) == []


def test_the_next_tree_gets_the_next_number(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    usidx.write(channel("Current"), path, group="Measurement_004/Channel_000", progress=False)
    assert write(reader_tree(), path) == "/Measurement_005"
    named = {f"/Measurement_{n:03d}/Channel_002": channel("Current", n).to_dataset() for n in (4, 7)}
    assert write(xr.DataTree.from_dict(named), path) == "/Measurement_008"  # 004 is taken, 007 is kept
    np.testing.assert_array_equal(usidx.open_main(path, "Measurement_008/Channel_002/Current"), channel("Current", 4))
    np.testing.assert_array_equal(usidx.open_main(path, "Measurement_007/Channel_002/Current"), channel("Current", 7))


def with_results(path: Path) -> None:
    usidx.example_file(str(path))
    raw = usidx.open_main(path)
    for result in (raw.usid.svd(3), raw.usid.sho_fit(), raw.usid.cluster("kmeans", 3)):
        usidx.write(result, progress=False)
    usidx.write(usidx.map_positions(lambda s: abs(s).max(), raw), name="Peak", progress=False)


def with_odds_and_ends(path: Path) -> None:
    """Write a file with empty groups, plain datasets, texts, and attributes everywhere."""
    built = build_main(path, np.arange(24.0).reshape(2, 3, 4), [("Y", "m", [0, 1]), ("X", "m", [0, 1, 2])],
                       [("E", "V", np.arange(4))], name="X")  # fmt: skip
    with h5py.File(path, "r+") as file:
        file.attrs["project"] = "Höhe"
        file.create_group("notes/empty").attrs["n"] = np.arange(3)
        group = file[built.main].parent
        group.attrs["gain"] = 2.5
        group["log"] = np.array([b"a", b"bc"])
        group["texts"] = np.array(["one", "µ"], dtype=h5py.string_dtype())
        group["table"] = np.arange(6, dtype="i2").reshape(2, 3)
        group["Position_Values_old"], group["number"] = np.zeros((5, 2)), 3.5
        group["table"].attrs["units"] = "V"
        file["loose"] = np.arange(3)


def outside_measurements(path: Path) -> None:
    built = build_main(path, np.arange(24.0).reshape(2, 3, 4), [("Y", "m", [0, 1]), ("X", "m", [0, 1, 2])],
                       [("E", "V", np.arange(4))])  # fmt: skip
    with h5py.File(path, "r+") as file:
        file.move(built.main, "/scan 1/deep/Raw")
        file["/scan 1"].attrs["mode"] = "AC"


FILES: dict[str, Callable[[Path], object]] = {
    "beps": measurements.beps_file,
    "forc": measurements.forc_file,
    "relaxation": measurements.relaxation_file,
    "sparse": measurements.sparse_file,
    "aborted": measurements.aborted_file,
    "snake": measurements.snake_file,
    "image": measurements.image_file,
    "shared": measurements.shared_file,
    "instrument": lambda path: instrument_file(str(path), usidx.simulate.band_excitation((3, 4), 16, seed=0)[0]),
    "results": with_results,
    "odds and ends": with_odds_and_ends,
    "outside measurements": outside_measurements,
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.filterwarnings("ignore:.*attribute .* is missing:usidx.errors.UsidWarning")
def test_the_tree_of_a_file_opens_from_its_copy_as_it_was(tmp_path: Path, kind: str) -> None:
    path, copy = tmp_path / "scan.h5", tmp_path / "copy.h5"
    FILES[kind](path)
    tree = usidx.open_tree(path)
    made = write(tree, copy)
    assert made in [node.path for node in tree.subtree]
    again = usidx.open_tree(copy)
    assert_same_trees(again, tree)
    before = copy.read_bytes()
    for same in (tree, usidx.open_tree(path, chunks=None), again):
        with pytest.warns(UsidWarning, match=rf"'{made}' in '.*copy.h5' holds this very tree already"):
            assert write(same, copy) == made
    assert copy.read_bytes() == before


def test_results_of_a_copied_tree_are_results(tmp_path: Path) -> None:
    path, copy = tmp_path / "scan.h5", tmp_path / "copy.h5"
    with_results(path)
    write(usidx.open_tree(path), copy)
    assert usidx.list_results(copy) == usidx.list_results(path)
    for group in usidx.list_results(path):
        xr.testing.assert_identical(
            usidx.open_result(copy, group).compute().drop_attrs(), usidx.open_result(path, group).compute().drop_attrs()
        )
        with h5py.File(copy) as file:
            assert file[file[group].attrs["source_000"]].name == "/Measurement_000/Channel_000/Raw_Data"
    assert usidx.validate(copy) == []


def test_a_second_copy_has_another_number_and_its_own_sources(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    with_results(path)
    made = write(usidx.open_tree(path), path, reuse=False)
    assert made == "/Measurement_001"
    with h5py.File(path) as file:
        group = file["Measurement_001/Channel_000/Raw_Data-SVD_000"]
        assert file[group.attrs["source_000"]].name == "/Measurement_001/Channel_000/Raw_Data"
    one, other = (usidx.open_main(path, f"Measurement_00{n}/Channel_000/Raw_Data") for n in (0, 1))
    assert_same(other.compute(), one.compute())


def test_a_measurement_alone_is_one_again(tmp_path: Path) -> None:
    path, copy = tmp_path / "scan.h5", tmp_path / "copy.h5"
    measurements.shared_file(path)
    tree = usidx.open_tree(path, group="Measurement_000")
    assert write(tree, copy) == "/Measurement_000"
    assert_same_trees(usidx.open_tree(copy, group="Measurement_000"), tree)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda t: t["spectra/forward"].Current.__setitem__((0, 0, 0), 99.0), id="a cell"),
        pytest.param(lambda t: t["topography"].attrs.update(direction="down"), id="an attribute of a leaf"),
        pytest.param(lambda t: t.attrs.update(setpoint=2e-9), id="an attribute of the root"),
        pytest.param(lambda t: t["spectra/forward"].order.__setitem__(0, 5), id="a cell of a plain array"),
        pytest.param(lambda t: t["topography"].Height.attrs.update(units="m"), id="units"),
    ],
)
def test_a_changed_tree_is_another_measurement(tmp_path: Path, change: Callable[[xr.DataTree], None]) -> None:
    path, tree = tmp_path / "scan.h5", reader_tree().compute()
    write(tree, path)
    with pytest.warns(UsidWarning, match="'/Measurement_000' in '.*' holds this very tree already"):
        assert write(reader_tree(), path) == "/Measurement_000"
    change(tree)
    assert write(tree, path) == "/Measurement_001"
    with pytest.warns(UsidWarning, match="'/Measurement_001' in '.*' holds this very tree already"):
        assert write(tree, path) == "/Measurement_001"


def test_leaves_stay_lazy_and_are_computed_once(tmp_path: Path) -> None:
    made: list[int] = []

    def block(block_id: Any) -> np.ndarray[Any, Any]:
        made.append(block_id[0])
        return np.full((1, 4, 5), block_id[0], "f4")

    blocks = da.map_blocks(block, chunks=((1, 1, 1), 4, 5), dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    tree = xr.DataTree.from_dict(
        {"/a": channel("a").copy(data=blocks).to_dataset(), "/b": channel("b").copy(data=2 * blocks).to_dataset()}
    )
    write(tree, tmp_path / "scan.h5")
    assert sorted(made) == [0, 1, 2]  # one pass for both
    np.testing.assert_array_equal(usidx.open_main(tmp_path / "scan.h5", "b").isel(X=0, Bias=0), [0, 2, 4])


def test_a_leaf_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def fail(cells: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        raise ZeroDivisionError("on purpose")

    path = tmp_path / "scan.h5"
    write(reader_tree(), path)
    before = path.read_bytes()
    lazy = da.map_blocks(fail, channel("b").chunk().data, dtype="f4", meta=np.empty((0, 0, 0), "f4"))
    tree = xr.DataTree.from_dict({"/a": channel("a").to_dataset(), "/b": channel("b").copy(data=lazy).to_dataset()})
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        write(tree, path)
    assert path.read_bytes() == before
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        write(tree, tmp_path / "new.h5")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["scan.h5"]


def test_a_leaf_without_roles_is_named(tmp_path: Path) -> None:
    tree = reader_tree()
    tree["/spectra/bare"] = xr.DataTree(xr.Dataset({"Z": (("y", "x"), np.eye(2))}))
    with pytest.raises(RoleError, match=r"Leaf '/spectra/bare' .*: 'Z' has the dims \('y', 'x'\)\. Mark them with"):
        write(tree, tmp_path / "scan.h5")
    texts = channel("t").astype(str)
    with pytest.raises(LayoutError, match="Leaf '/a/b' of the tree: 't' holds <U"):
        write(xr.DataTree.from_dict({"/a/b": texts.to_dataset()}), tmp_path / "scan.h5")
    with pytest.raises(UsidError, match="has no array whose dims have roles, so there is nothing"):
        write(xr.DataTree.from_dict({"/a/b": xr.Dataset(attrs={"n": 1})}), tmp_path / "scan.h5")
    dates = channel("a").to_dataset().assign(when=("t", np.zeros(2, "M8[ns]")))
    with pytest.raises(LayoutError, match="'when' for the group '/Measurement_000/Channel_000' holds datetime64"):
        write(xr.DataTree.from_dict({"/a/b": dates}), tmp_path / "scan.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_tree_needs_a_path_and_takes_no_name(tmp_path: Path) -> None:
    with pytest.raises(ResultError, match=r"A tree may come from many files\. Name the one"):
        usidx.write(reader_tree())
    for options in ({"name": "a"}, {"group": "a"}):
        with pytest.raises(UsidError, match="in a tree the paths of its nodes decide"):
            write(reader_tree(), tmp_path / "scan.h5", **options)


def test_what_the_root_of_a_file_says_is_kept(tmp_path: Path) -> None:
    path, other = tmp_path / "scan.h5", tmp_path / "other.h5"
    with_odds_and_ends(path)
    shutil.copy(path, other)
    with h5py.File(other, "r+") as file:
        file.attrs["project"], file.attrs["more"] = "Another", 1
    with pytest.warns(UsidWarning, match=r"says something else in its attributes \['project'\], and keeps that"):
        assert write(usidx.open_tree(other), path) == "/Measurement_001"
    with h5py.File(path) as file:
        assert (file.attrs["project"], file.attrs["more"]) == ("Höhe", 1)


def test_cost_is_linear_in_the_number_of_channels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the channels take twice the calls of HDF5, and two more tables at most."""
    calls: dict[str, int] = {}

    def count(kind: type[h5py.Group], name: str) -> None:
        plain = getattr(kind, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[name] = calls.get(name, 0) + 1
            return plain(*arguments, **options)

        monkeypatch.setattr(kind, name, counted)

    for name in ("create_dataset", "create_group", "__getitem__", "__contains__", "__iter__", "get"):
        count(h5py.Group, name)
    found = []
    for size in (10, 20, 40):
        calls.clear()
        leaves = {f"/c{n}": channel(f"c{n}", n).to_dataset() for n in range(size)}
        write(xr.DataTree.from_dict(leaves), tmp_path / f"{size}.h5")
        found.append(dict(calls))
    assert found[2]["create_dataset"] == 40 + 4
    for name in found[0]:
        small, middle, large = (counts[name] for counts in found)
        assert large - middle == 2 * (middle - small), name
