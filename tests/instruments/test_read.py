"""Any file of an instrument is known by what it holds, read as its format says, or refused in one error."""

import random
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.small_scans import MAKERS, SmallScan, find_arrays
from usidx.errors import MissingExtraError, MissingFileError, SelectionError, TranslationError, UsidError, UsidWarning
from usidx.instruments import registry
from usidx.instruments.reader import FormatReader, Package
from usidx.label.roles import ROLE

each_format = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
Files = Callable[[str], Path]
Maker = Callable[[Path], SmallScan]


@each_format
def test_a_file_is_read_as_its_format_says(make: Maker, tmp_path: Path) -> None:
    made = make(tmp_path)
    tree = usidx.read_instrument(made.path)
    assert tree.attrs["recognized"].startswith(f"{made.reader}, ")
    found = find_arrays(tree)
    for path, truth in made.truth.items():
        np.testing.assert_allclose(found[path], truth, rtol=1e-6)
        assert all(found[path][dim].attrs[ROLE] in {"position", "spectroscopic"} for dim in found[path].dims)
        assert found[path].dtype.isnative


@each_format
def test_a_file_is_known_by_any_name(make: Maker, tmp_path: Path) -> None:
    made = make(tmp_path)
    if made.reader == "raw":
        pytest.skip("bare numbers are known by the header beside them")
    shutil.copy(made.path, tmp_path / "other.dm3")
    assert usidx.read_instrument(tmp_path / "other.dm3").attrs["recognized"].startswith(f"{made.reader}, ")


@each_format
def test_parts_of_a_file_are_refused(make: Maker, tmp_path: Path) -> None:
    made = make(tmp_path)
    whole = made.path.read_bytes()
    for size in (0, 1, 10, len(whole) // 3 + 1, len(whole) // 2 + 1, len(whole) - 1):
        made.path.write_bytes(whole[:size])
        if not made.is_counted and size > 10:
            continue
        with pytest.raises(TranslationError, match=made.path.name):
            usidx.read_instrument(made.path, reader=made.reader).load()


def read_or_tell(made: SmallScan) -> TranslationError | None:
    try:
        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # of cells that are NaN
            usidx.read_instrument(made.path, reader=made.reader).load()
    except TranslationError as err:
        return err
    return None


@each_format
def test_damage_is_told_in_one_error_or_does_no_harm(make: Maker, tmp_path: Path) -> None:
    made = make(tmp_path)
    whole, chance = made.path.read_bytes(), random.Random(0)
    for _ in range(40):
        damaged = bytearray(whole)
        for _ in range(chance.choice([1, 3, 20])):
            damaged[chance.randrange(min(len(damaged), 600))] = chance.randrange(256)
        made.path.write_bytes(damaged)
        told = read_or_tell(made)
        assert told is None or (made.path.name in str(told) and told.reader == made.reader)


@pytest.mark.parametrize("name", ["empty.emd", "wrongnpyfile.npy", "chip_trunc.gsf", "sxm_moire_truncated.sxm"])
def test_bad_files_name_file_and_reason(real_files: Files, name: str) -> None:
    with pytest.raises(TranslationError, match=f"{name}.*cannot be read"):
        usidx.read_instrument(real_files(f"bad/{name}"))


def test_an_empty_file_names_the_reader_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.VERT").touch()
    with pytest.raises(TranslationError, match=r"a\.VERT' cannot be read by the reader 'createc_vert': it is empty"):
        usidx.read_instrument(tmp_path / "a.VERT", reader="createc_vert")


def test_hdf5_that_is_cut_off_is_told_from_usid(real_files: Files) -> None:
    with pytest.raises(
        TranslationError, match=r"chip_truncated\.h5' cannot be read: .*cut off or damaged \(.*truncated"
    ):
        usidx.read_instrument(real_files("bad/chip_truncated.h5"))
    with pytest.raises(TranslationError, match=r"opened by usidx\.open_tree"):
        usidx.read_instrument(real_files("usid/pycroscopy_chip.h5"))


def test_a_renamed_file_is_known(real_files: Files) -> None:
    tree = usidx.read_instrument(real_files("bad/gsf_renamed.dm3"))
    assert tree.attrs["recognized"] == "gsf, 0.99: begins with 'Gwyddion Simple Field 1.0'"


def test_the_history_begins_with_the_file(real_files: Files) -> None:
    file = real_files("gsf/chip.gsf")
    (step,) = find_arrays(usidx.read_instrument(file))["/Topography"].usid.history
    assert (step["tool"], step["file"], step["parameters"]["reader"]) == ("read_instrument", "chip.gsf", "gsf")
    assert step["sha256"].startswith("2e48b0198fd3")
    assert step["reader_version"].startswith("usidx ")


def test_dims_of_an_unnamed_array_are_asked_for(tmp_path: Path) -> None:
    np.save(tmp_path / "cube.npy", np.arange(24.0).reshape(2, 3, 4))
    with pytest.raises(TranslationError, match=r"which of the dims \('dim_0', 'dim_1', 'dim_2'\) of 'cube'.*position="):
        usidx.read_instrument(tmp_path / "cube.npy")
    tree = usidx.read_instrument(tmp_path / "cube.npy", position=["Y", "X"], spectroscopic="Energy")
    named = find_arrays(tree)["/cube"]
    assert named.dims == ("Y", "X", "Energy")
    assert (usidx.position_dims(named), usidx.spectroscopic_dims(named)) == (("Y", "X"), ("Energy",))
    turned = find_arrays(usidx.read_instrument(tmp_path / "cube.npy", spectroscopic="dim_0"))["/cube"]
    assert turned.dims == ("dim_1", "dim_2", "dim_0")
    np.testing.assert_array_equal(turned, np.arange(24.0).reshape(2, 3, 4).transpose(1, 2, 0))


def test_roles_of_a_file_are_overridden(tmp_path: Path) -> None:
    made = MAKERS["gsf"](tmp_path)
    field = find_arrays(usidx.read_instrument(made.path, position="Y"))["/Z"]
    assert (usidx.position_dims(field), usidx.spectroscopic_dims(field)) == (("Y",), ("X",))
    with pytest.raises(TranslationError, match=r"no dim 'Q'; the dims are \['X', 'Y'\]"):
        usidx.read_instrument(made.path, position="Q")
    with pytest.raises(TranslationError, match="'X' is named both"):
        usidx.read_instrument(made.path, position="X", spectroscopic="X")


def test_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([print, {}], dtype=object))
    with pytest.raises(TranslationError, match="never loaded"):
        usidx.read_instrument(tmp_path / "objects.npy")


@pytest.mark.parametrize(
    ("reader", "content", "said"),
    [
        (
            "npy",
            b"\x93NUMPY\x01\0v\0{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000, 9)}",
            "promises",
        ),
        ("gsf", b"Gwyddion Simple Field 1.0\nXRes = 2000000000\nYRes = 2000000000\n\0\0\0\0", "promises|pixels"),
        ("mib", b"MQ1,000001,00384,01,9999,9999,U16,".ljust(500), "ends within frame 0"),
    ],
)
def test_sizes_of_terabytes_are_refused_at_once(tmp_path: Path, reader: str, content: bytes, said: str) -> None:
    file = tmp_path / "huge.bin"
    file.write_bytes(content.ljust(128, b" ") + b"\n" + bytes(100))
    with pytest.raises(TranslationError, match=said):
        usidx.read_instrument(file, reader=reader)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError):
        usidx.read_instrument(tmp_path / "nothing.sxm")
    with pytest.raises(TranslationError, match="a folder"):
        usidx.read_instrument(tmp_path)
    (tmp_path / "notes.txt").write_text("Tip changed at noon.\n")
    with pytest.raises(TranslationError, match=r"notes\.txt"):
        usidx.read_instrument(tmp_path / "notes.txt")
    with pytest.raises(SelectionError, match=r"No reader 'nanonsi'; there are .*nanonis_sxm"):
        usidx.read_instrument(tmp_path / "notes.txt", reader="nanonsi")


class _Sure:
    """A reader of another package that fails in its own way."""

    opens, licence = "anything", "MIT"

    def sniff(self, path: Path, head: bytes) -> float:
        return 0.5

    def __call__(self, path: Path) -> xr.DataTree:
        raise IndexError("list index out of range")


def test_a_reader_of_another_package_is_wrapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zzz").write_bytes(b"\0\1\2")
    monkeypatch.setattr(registry, "_load_readers", lambda: {"one": _Sure()})
    with pytest.raises(TranslationError, match=r"a\.zzz' cannot be read by the reader 'one': IndexError: list index"):
        usidx.read_instrument(tmp_path / "a.zzz")
    monkeypatch.setattr(registry, "_load_readers", lambda: {"one": _Sure(), "two": _Sure()})
    with pytest.raises(TranslationError, match=r"\['one', 'two'\] are equally sure"):
        usidx.read_instrument(tmp_path / "a.zzz")


class _Point:
    """An entry point as another package has it."""

    name = "of_another"

    def load(self) -> type:
        return _Sure


def test_readers_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [_Point()] if group == "usidx.readers" else [])
    found = registry._load_readers.__wrapped__()
    assert isinstance(found["of_another"], _Sure)
    assert "gsf" in found


class _Broken(_Point):
    name = "broken"

    def load(self) -> type:
        raise ImportError("no module named 'of_another'")


def test_a_reader_that_cannot_be_loaded_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [_Broken(), _Point()])
    with pytest.warns(UsidWarning, match=r"'broken' cannot be loaded: no module named 'of_another'"):
        found = registry._load_readers.__wrapped__()
    assert "of_another" in found
    assert "broken" not in found


def test_a_reader_may_be_given_itself(tmp_path: Path) -> None:
    (tmp_path / "a.zzz").write_bytes(b"\0\1\2")
    with pytest.raises(TranslationError, match="by the reader '_Sure': IndexError"):
        usidx.read_instrument(tmp_path / "a.zzz", reader=_Sure())
    with pytest.raises(SelectionError, match="neither a name nor a reader"):
        usidx.read_instrument(tmp_path / "a.zzz", reader=3)  # type: ignore[arg-type]


class _Missing(_Sure):
    def __call__(self, path: Path) -> xr.DataTree:
        return FormatReader("m", "files of M", lambda *_: 1.0, self.__call__, package=Package("no_such", "mm"))(path)


def test_a_missing_package_is_told_by_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.zzz").write_bytes(b"\0\1\2")
    monkeypatch.setattr(registry, "_load_readers", lambda: {"m": _Missing()})
    with pytest.raises(MissingExtraError, match=r"Reading files of M needs .*'no_such'.*'usidx\[mm\]'"):
        usidx.read_instrument(tmp_path / "a.zzz")


def test_the_tree_says_first_who_read_it(tmp_path: Path) -> None:
    tree = usidx.read_instrument(MAKERS["nanonis_sxm"](tmp_path).path)
    assert list(tree.attrs)[:4] == ["instrument_file", "recognized", "read_by", "sha256"]
    assert "nanonis_sxm, 0.99: begins with" in repr(tree)
    assert tree.attrs["SCAN_DIR"] == "down"


def test_readers_are_listed_as_a_table() -> None:
    readers = usidx.list_readers()
    shown = repr(readers).splitlines()
    assert shown[0].split() == ["reader", "opens", "licence", "extra", "installed"]
    assert len(shown) == len(readers) + 2
    own = next(info for info in readers if info.name == "nanonis_sxm")
    assert (own.opens, own.licence, own.extra, own.installed) == ("Nanonis scan (.sxm)", "MIT", "", True)
    assert "<td>nanonis_sxm</td>" in readers._repr_html_()


def test_errors_are_those_of_usidx() -> None:
    assert issubclass(TranslationError, UsidError)
