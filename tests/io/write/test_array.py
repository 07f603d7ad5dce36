"""Plain arrays in files: where they land, and that the same one is never written twice by mistake."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.errors import ExistsError, SelectionError, UsidError, UsidWarning
from usidx.io.write import same
from usidx.testing.assertions import assert_same
from usidx.testing.files import build_main


def scan(name: str = "Current", start: float = 0.0, **attrs: Any) -> xr.DataArray:
    """Return spectra of 5 steps on a raster of 3 x 4, every cell another number."""
    cells = start + np.arange(60, dtype="f4").reshape(3, 4, 5)
    coords = {"Y": np.arange(3) * 1e-6, "X": np.arange(4) * 2e-6, "Bias": np.linspace(-1, 1, 5)}
    array = xr.DataArray(cells, coords, ("Y", "X", "Bias"), name, {"long_name": name, "units": "nA", **attrs})
    return usidx.set_roles(array, position=["Y", "X"], spectroscopic="Bias")


def write(array: xr.DataArray, path: Path, **options: Any) -> str:
    return usidx.write(array, path, progress=False, **options)


def write_again(array: xr.DataArray, path: Path, **options: Any) -> str:
    """Write what is there; nothing may change on the disk."""
    before = path.read_bytes(), path.stat().st_mtime_ns
    with pytest.warns(UsidWarning, match=r"'/Measurement_000/.*' in '.*scan.h5' holds this very array already") as said:
        found = write(array, path, **options)
    assert len(said) == 1
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    return found


def test_channels_of_one_measurement_are_siblings(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    image = scan("Height").isel(Bias=0, drop=True)
    arrays = [scan("Current"), scan("Phase"), image]
    assert [write(array, path) for array in arrays] == [
        "/Measurement_000/Channel_000/Current",
        "/Measurement_000/Channel_001/Phase",
        "/Measurement_000/Channel_002/Height",
    ]
    with h5py.File(path) as file:
        mains = [file[main] for main in usidx.list_mains(path)]
        assert len({file[main.attrs["Position_Values"]].name for main in mains}) == 1
        assert file["Measurement_000/Channel_001"].attrs["usidx_version"]
    for array in arrays:
        assert_same(usidx.open_main(path, str(array.name)).compute(), array)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(scan("Current", start=1.0), id="the same name, other values"),
        pytest.param(scan("Phase").isel(X=slice(1, None)), id="fewer positions"),
        pytest.param(scan("Phase").assign_coords(X=("X", np.arange(4.0), scan().X.attrs)), id="positions elsewhere"),
        pytest.param(scan("Phase").isel(X=0, Y=0, drop=True), id="no positions"),
    ],
)
def test_what_does_not_fit_is_another_measurement(tmp_path: Path, other: xr.DataArray) -> None:
    write(scan(), tmp_path / "scan.h5")
    assert write(other, tmp_path / "scan.h5") == f"/Measurement_001/Channel_000/{other.name}"


def test_spectra_without_positions_share_a_measurement_where_their_steps_are_equal(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    spectrum = scan().isel(X=0, Y=0, drop=True)
    assert write(spectrum, path).startswith("/Measurement_000/Channel_000")
    assert write(spectrum.rename("Phase"), path) == "/Measurement_000/Channel_001/Phase"
    assert write(spectrum.rename("Other").isel(Bias=[0, 1]), path) == "/Measurement_001/Channel_000/Other"


KINDS: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "in memory": lambda a: a,
    "lazy": lambda a: a.chunk({"Y": 1, "Bias": 2}),
    "turned": lambda a: a.transpose("Bias", "X", "Y"),
    "complex": lambda a: (a * (1 + 2j)).astype("c8").assign_attrs(a.attrs),
    "whole numbers": lambda a: a.astype("i2"),
    "truth": lambda a: a > 30,
    "with gaps": lambda a: a.where(a > 30),
    "one cell": lambda a: a.isel(Y=0, X=0, Bias=0),
    "kept dims of one step": lambda a: a.isel(Y=[0], Bias=[1]),
    "sparse": lambda a: a.stack(position=["Y", "X"]).isel(position=[0, 3, 5, 7]).reset_index("position").pipe(flat),
    "attributes of all kinds": lambda a: a.assign_attrs(on=True, none=None, n=3, x=1.5, many=[1, 2], texts=["a", "b"]),
    "no attributes": lambda a: xr.DataArray(a.data, a.coords, a.dims, a.name),
    "compound": lambda a: a.copy(data=np.zeros(a.shape, [("A [V]", "f4"), ("w", "f8")])),
}


def flat(array: xr.DataArray) -> xr.DataArray:
    for name in ("Y", "X"):
        array[name].attrs["usid_role"] = "position"
    return usidx.set_roles(array, position="position")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_the_same_cell_run_again_finds_what_is_there(tmp_path: Path, kind: str, compression: str | None) -> None:
    path, array = tmp_path / "scan.h5", KINDS[kind](scan())
    made = write(array, path, compression=compression)
    assert write_again(array, path) == made
    assert usidx.list_mains(path) == [made]
    if array.dtype.names is None:
        assert usidx.open_main(path).shape == array.shape  # still the only one


def test_any_run_of_a_cell_finds_its_own(tmp_path: Path) -> None:
    """Of several measurements of one name each is found again, lazy or not, and whatever was written since."""
    path = tmp_path / "scan.h5"
    starts = (0.0, 100.0, 200.0)
    made = [write(scan(start=start), path) for start in starts]
    write(scan("Phase"), path)
    again = []
    for start in starts:
        with pytest.warns(UsidWarning, match="holds this very array already"):
            again.append(write(scan(start=start).chunk({"X": 2}), path))
    assert again == made


def test_an_array_as_it_was_opened_is_there_already(tmp_path: Path) -> None:
    write(scan(), tmp_path / "scan.h5")
    for opened in (usidx.open_main(tmp_path / "scan.h5"), usidx.open_main(tmp_path / "scan.h5", chunks=None)):
        assert write_again(opened, tmp_path / "scan.h5")


def differences() -> dict[str, xr.DataArray]:
    last = scan()
    last[-1, -1, -1] += 1
    gap = scan()
    gap[1, 1, 1] = np.nan
    noted = scan()
    noted.X.attrs["long_name"] = "Fast axis"
    return {
        "the last cell": last,
        "a gap": gap,
        "its type": scan().astype("f8"),
        "an attribute": scan(operator="A"),
        "an attribute's type": scan(gain=1),
        "units": scan().assign_attrs(units="pA"),
        "quantity": scan().assign_attrs(long_name="Tunnelling current"),
        "a coordinate": scan().assign_coords(Bias=("Bias", np.linspace(-2, 2, 5), scan().Bias.attrs)),
        "an attribute of a coordinate": noted,
        "one more coordinate": scan().assign_coords(time=("Y", np.arange(3.0), {"usid_role": "position"})),
        "the order of dims": scan().transpose("X", "Y", "Bias"),
        "a scalar coordinate": scan().assign_coords(Z=((), 1.0, {"usid_role": "position"})),
        "history": scan().assign_attrs(usid_provenance='[{"tool": "fft"}]'),
    }


@pytest.mark.parametrize("what", differences())
@pytest.mark.parametrize("lazy", [False, True])
def test_any_difference_makes_another_measurement(tmp_path: Path, what: str, lazy: bool) -> None:
    path, other = tmp_path / "scan.h5", differences()[what]
    write(scan(gain=1.0) if "type" in what and "attribute" in what else scan(), path)
    made = write(other.chunk({"Y": 1}) if lazy else other, path)
    assert made == "/Measurement_001/Channel_000/Current"
    assert usidx.open_main(path, made).equals(other)


def test_zeros_of_both_signs_are_not_the_same(tmp_path: Path) -> None:
    write(scan() * 0, tmp_path / "scan.h5")
    assert write(scan() * -0.0, tmp_path / "scan.h5").startswith("/Measurement_001")


def test_a_second_copy_can_be_forced(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    assert write(scan(), path) != write(scan(), path, reuse=False)
    with pytest.raises(SelectionError, match="has 2 main datasets"):
        usidx.open_main(path)


def test_what_is_lazy_is_computed_once_and_not_beyond_the_first_difference(tmp_path: Path) -> None:
    path, made = tmp_path / "scan.h5", []

    def block(cells: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        made.append(1)
        return cells

    def lazy(start: float) -> xr.DataArray:
        array = scan(start=start)
        blocks = da.from_array(array.values, chunks=(1, 1, 5))
        return array.copy(data=da.map_blocks(block, blocks, dtype="f4", meta=np.empty((0, 0, 0), "f4")))

    write(lazy(0.0), path)
    assert made == [1] * 12
    made.clear()
    with pytest.warns(UsidWarning, match="holds this very array already"):
        write(lazy(0.0), path)
    assert made == [1] * 12
    made.clear()
    with dask.config.set(scheduler="sync"):
        write(lazy(1.0), path)
    assert made == [1] * 13  # one block told, and all were written


def test_cells_are_not_read_where_anything_else_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(scan(), tmp_path / "scan.h5")

    def refuse(*arguments: object) -> bool:
        raise AssertionError("cells were compared")

    monkeypatch.setattr("usidx.io.write.array.have_equal_values", refuse)
    for other in (scan(operator="B"), scan().astype("f8"), scan("Phase"), scan().isel(Y=[0, 1])):
        write(other, tmp_path / "scan.h5")


def test_what_lies_in_memory_is_compared_block_by_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array = xr.DataArray(np.random.default_rng(0).normal(size=(4096, 4096)), dims=("X", "E"), name="big")
    array = usidx.set_roles(array, position="X", spectroscopic="E")
    write(array, tmp_path / "scan.h5")
    sizes: list[int] = []
    bits = same._view_bits

    def counted(cells: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        sizes.append(cells.nbytes)
        return bits(cells)

    monkeypatch.setattr(same, "_view_bits", counted)
    write_again(array, tmp_path / "scan.h5")
    assert sum(sizes) == 2 * array.nbytes  # each side once
    assert max(sizes) <= array.nbytes // 2


@pytest.mark.parametrize(
    "group", ["Measurement_003/Channel_001", "/Measurement_003/Channel_001/", "Sample A", "a/b/c/d"]
)
def test_a_group_can_be_named(tmp_path: Path, group: str) -> None:
    path = tmp_path / "scan.h5"
    made = write(scan(), path, group=group)
    assert made == f"/{group.strip('/')}/Current"
    assert_same(usidx.open_main(path).compute(), scan())
    assert write(scan("Phase"), path, group=group) == f"/{group.strip('/')}/Phase"
    with h5py.File(path) as file:
        assert "timestamp" in file[made].parent.attrs
        one, other = file[made], file[made].parent["Phase"]
        assert file[one.attrs["Position_Values"]] == file[other.attrs["Position_Values"]]


def test_a_named_group_keeps_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    build_main(path, np.zeros((3, 4, 1), "f4"), [("Y", "m", np.arange(3)), ("X", "m", np.arange(4))])
    with h5py.File(path, "r+") as file:
        file["Measurement_000"].attrs["operator"] = "A"
        before = dict(file["Measurement_000"].attrs)
    assert write(scan(), path, group="Measurement_000/Channel_001") == "/Measurement_000/Channel_001/Current"
    with h5py.File(path) as file:
        assert dict(file["Measurement_000"].attrs) == before
        assert sorted(file["Measurement_000"]) == ["Channel_000", "Channel_001"]


def test_in_a_named_group_the_same_is_found_and_other_content_is_refused(tmp_path: Path) -> None:
    path, group = tmp_path / "scan.h5", "Measurement_000/Channel_007"
    made = write(scan(), path, group=group)
    assert write_again(scan(), path, group=group) == made
    before = path.read_bytes()
    for other, found in (
        (scan().isel(X=[0, 1]), r"\(12, 5\) cells of float32, not \(3, 2, 5\) of float32"),
        (scan(start=1.0), "other values"),
        (scan().assign_attrs(units="V"), "'Current' in 'nA', not 'Current' in 'V'"),
    ):
        with pytest.raises(
            ExistsError, match=rf"'{made}' exists in '.*scan.h5' with other content \({found}.*name=\.\.\."
        ):
            write(other, path, group=group)
    with pytest.raises(ExistsError, match="reuse=False was passed"):
        write(scan(), path, group=group, reuse=False)
    assert path.read_bytes() == before
    assert write(scan(start=1.0), path, group=group, name="Current 2") == f"/{group}/Current 2"


@pytest.mark.parametrize("group", ["", "/", "..", "a/../b", "a//b", "//a", ".", "a/./b", " ", "a\0b"])
def test_a_group_that_leaves_is_refused(tmp_path: Path, group: str) -> None:
    with pytest.raises(UsidError, match=r"give names of groups with a slash between them"):
        write(scan(), tmp_path / "scan.h5", group=group)
    assert list(tmp_path.iterdir()) == []


def test_groups_of_results_are_refused(tmp_path: Path) -> None:
    for group in ("Measurement_000/Channel_000/Raw_Data-SVD_000", "a-b/c"):
        with pytest.raises(UsidError, match=r"is that of a results group \(<source>-<tool>_NNN\)"):
            write(scan(), tmp_path / "scan.h5", group=group)


def test_links_and_datasets_are_not_written_through(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write(scan(), path)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other.create_group("inside")
    with h5py.File(path, "r+") as file:
        file["away"] = h5py.ExternalLink("other.h5", "/inside")
        file["soft"] = h5py.SoftLink("/Measurement_000")
        file["nowhere"] = h5py.SoftLink("/none")
    before = path.read_bytes(), (tmp_path / "other.h5").read_bytes()
    for group in ("away", "soft/Channel_000", "nowhere"):
        with pytest.raises(ExistsError, match=r"is a link that leads elsewhere"):
            write(scan(), path, group=group)
    for group in ("Measurement_000/Channel_000/Current", "Measurement_000/Channel_000/Current/inside"):
        with pytest.raises(ExistsError, match=r"'/Measurement_000/Channel_000/Current' in '.*' is a dataset"):
            write(scan(), path, group=group)
    with pytest.raises(ExistsError, match=r"'/Measurement_000/Channel_000' exists .* with other content \(a group"):
        write(scan("Channel_000"), path, group="Measurement_000")
    assert (path.read_bytes(), (tmp_path / "other.h5").read_bytes()) == before


def test_a_result_takes_no_group(tmp_path: Path) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    with pytest.raises(UsidError, match=r"group='a' is for a DataArray"):
        usidx.open_main(path).usid.svd(2).usid.write(group="a")


def test_without_a_path_the_group_is_of_the_file_that_the_array_came_from(tmp_path: Path) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    raw = usidx.open_main(path)
    made = abs(raw).rename("Size").usid.write(group="Measurement_000/Channel_001")
    assert made == "/Measurement_000/Channel_001/Size"
    np.testing.assert_array_equal(usidx.open_main(path, made), abs(raw))


def test_a_path_in_full_costs_the_same_in_a_file_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing to a named group looks at that group, whatever lies beside it."""
    opened: list[str] = []
    get = h5py.Group.__getitem__

    def counted(group: h5py.Group, name: Any) -> Any:
        opened.append(str(name))
        return get(group, name)

    counts = []
    for others in (2, 60):
        path = tmp_path / f"{others}.h5"
        with h5py.File(path, "w") as file:
            for number in range(others):
                file.create_group(f"Measurement_{number:03d}/Channel_000")
        opened.clear()
        with monkeypatch.context() as patch:
            patch.setattr(h5py.Group, "__getitem__", counted)
            write(scan(), path, group="Measurement_001/Channel_001")
        counts.append(len(opened))
    assert counts[0] == counts[1]


def test_a_file_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "scan.h5"
    write(scan(), path)
    tree = xr.DataTree.from_dict({"/a": scan("Phase").to_dataset()})
    for data, made in ((scan(start=1.0), "/Measurement_001/Channel_000/Current"), (tree, "/Measurement_002")):
        held = h5py.File(path, "r+")
        threading.Timer(1.5, held.close).start()  # longer than a reader waits by itself
        assert usidx.write(data, path, wait=20, progress=False) == made
