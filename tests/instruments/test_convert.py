"""Files of instruments become one USID file, whole or not at all, and read back as what they were."""

import errno
import hashlib
import os
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.small_scans import MAKERS, make_mib, make_sxm
from usidx.cli import main
from usidx.errors import ExistsError, MissingFileError, TranslationError, UsidWarning


@pytest.mark.parametrize("name", MAKERS)
def test_what_is_converted_reads_back(name: str, tmp_path: Path) -> None:
    made = MAKERS[name](tmp_path)
    target = usidx.convert(made.path, tmp_path / "out.h5")
    assert usidx.validate(target) == []
    tree = usidx.open_tree(target)
    found = {
        node.parent.attrs["usidx_node"]: next(iter(node.data_vars.values()))
        for node in tree.leaves
        if node.parent is not None
    }
    for path, truth in made.truth.items():
        np.testing.assert_allclose(found[path], truth, rtol=1e-6)
        first = found[path].usid.history[0]
        assert first["tool"] == "read_instrument"
        assert first["sha256"] == hashlib.sha256(made.path.read_bytes()).hexdigest()
    assert tree["Measurement_000"].attrs["instrument_file"] == made.path.name


def test_the_frame_and_the_header_are_kept(tmp_path: Path) -> None:
    usidx.convert(make_sxm(tmp_path).path, tmp_path / "out.h5")
    tree = usidx.open_tree(tmp_path / "out.h5")
    assert tree["Measurement_000"].attrs["Bias>Bias (V)"] == "0.25"
    height = usidx.open_main(tmp_path / "out.h5", "Z_backward")
    assert (float(height.scan_center_X), float(height.scan_angle)) == (1e-7, 30.0)
    np.testing.assert_allclose(height.X, np.arange(6)[::-1] * 1e-9)
    np.testing.assert_allclose(height.Y, np.arange(4)[::-1] * 2e-9)


def test_nothing_is_overwritten_unless_told(tmp_path: Path) -> None:
    made = MAKERS["gsf"](tmp_path)
    (tmp_path / "out.h5").write_text("mine")
    with pytest.raises(ExistsError, match="overwrite=True"):
        usidx.convert(made.path, tmp_path / "out.h5")
    assert (tmp_path / "out.h5").read_text() == "mine"
    usidx.convert(made.path, tmp_path / "out.h5", overwrite=True)
    assert usidx.validate(tmp_path / "out.h5") == []
    with pytest.raises(ExistsError, match="one of the sources"):
        usidx.convert(made.path, made.path, overwrite=True)


def test_a_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MAKERS["gsf"](tmp_path)
    bad = tmp_path / "bad.gsf"
    bad.write_bytes(made.path.read_bytes()[:-1])
    with pytest.raises(TranslationError, match=r"bad\.gsf"):
        usidx.convert([made.path, bad], tmp_path / "out.h5")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("usidx.instruments.convert.os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        usidx.convert(made.path, tmp_path / "out.h5")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["bad.gsf", "field.gsf"]


def test_files_of_a_folder_become_measurements(tmp_path: Path) -> None:
    folder = tmp_path / "evening"
    folder.mkdir()
    first = make_sxm(folder, "down").path
    shutil.copy(first, folder / "second.sxm")
    (folder / "notes.txt").write_text("Tip changed at noon.\n")
    with pytest.warns(UsidWarning, match=r"1 of 3 files .*notes\.txt"):
        usidx.convert(folder, tmp_path / "folder.h5")
    usidx.convert(str(folder / "*.sxm"), tmp_path / "pattern.h5")
    for name in ("folder.h5", "pattern.h5"):
        with h5py.File(tmp_path / name) as file:
            assert [(top, len(file[top])) for top in file] == [("Measurement_000", 3), ("Measurement_001", 3)]


def test_files_on_one_grid_become_channels_of_one_measurement(tmp_path: Path) -> None:
    np.save(tmp_path / "height.npy", np.arange(12.0).reshape(3, 4))
    np.save(tmp_path / "phase.npy", np.ones((3, 4)))
    np.save(tmp_path / "other.npy", np.ones((5, 4)))
    usidx.convert([tmp_path / f"{name}.npy" for name in ("height", "other", "phase")], tmp_path / "out.h5")
    mains = usidx.list_mains(tmp_path / "out.h5")
    paths = [str(getattr(main, "path", main)) for main in mains]
    assert [p.rsplit("/", 1)[-1] for p in paths] == ["height", "phase", "other"]
    assert [p.split("/")[-3] for p in paths] == ["Measurement_000", "Measurement_000", "Measurement_001"]
    tree = usidx.open_tree(tmp_path / "out.h5")
    assert tree["Measurement_000"].attrs["instrument_file"] == "height.npy"
    assert tree["Measurement_000/Channel_001"].attrs["instrument_file"] == "phase.npy"


def test_files_of_one_name_keep_their_own_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.instruments.read._DIGESTED_AT_ONCE", 0)  # as for large files
    for folder, value in (("a", 1.0), ("b", 2.0)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "height.npy", np.full((3, 4), value))
    files = [tmp_path / "a" / "height.npy", tmp_path / "b" / "height.npy"]
    usidx.convert(files, tmp_path / "out.h5")
    for number, file in enumerate(files):
        step = usidx.open_main(tmp_path / "out.h5", f"Measurement_00{number}/Channel_000/height").usid.history[0]
        assert step["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_missing_sources_and_folders_are_told(tmp_path: Path) -> None:
    made = MAKERS["gsf"](tmp_path)
    (tmp_path / "empty").mkdir()
    wrong: list[Path | str | list[Path]] = [tmp_path / "no.gsf", str(tmp_path / "*.sxm"), tmp_path / "empty", []]
    for sources in wrong:
        with pytest.raises(MissingFileError):
            usidx.convert(sources, tmp_path / "out.h5")
    with pytest.raises(MissingFileError, match="no folder"):
        usidx.convert(made.path, tmp_path / "nowhere" / "out.h5")


def test_pyusid_reads_what_is_converted(tmp_path: Path) -> None:
    pyusid = pytest.importorskip("pyUSID")
    made = MAKERS["nanonis_3ds"](tmp_path)
    usidx.convert(made.path, tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        main = pyusid.USIDataset(file["Measurement_000/Channel_000/Current"])
        assert sorted(main.n_dim_labels) == ["Bias", "X", "Y"]
        found = main.get_n_dim_form().transpose([main.n_dim_labels.index(label) for label in ("Y", "X", "Bias")])
    np.testing.assert_array_equal(found, made.truth["/Current"])


def test_lazy_frames_need_no_conversion(tmp_path: Path) -> None:
    made = make_mib(tmp_path)
    scan = usidx.read_instrument(made.path)["Counts"]["Counts"]
    assert scan.dims == ("Y", "X", "detector_Y", "detector_X")
    disk = scan.isel(detector_Y=slice(1, 3)).sum(["detector_Y", "detector_X"])
    np.testing.assert_array_equal(disk, made.truth["/Counts"][:, :, 1:3].sum((2, 3)))


def test_the_shell_converts_and_lists(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_sxm(tmp_path)
    assert main(["convert", "down.sxm", "out.h5"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out.h5")
    assert main(["convert", "down.sxm", "out.h5"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["convert", "--overwrite", "--reader", "nanonis_sxm", "down.sxm", "out.h5"]) == 0
    assert main(["readers"]) == 0
    assert "Nanonis scan (.sxm)" in capsys.readouterr().out


def test_dims_that_a_file_does_not_name_are_named_by_the_user(tmp_path: Path) -> None:
    cells = np.arange(2.0 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.save(tmp_path / "stem.npy", cells)
    target = usidx.convert(
        tmp_path / "stem.npy", tmp_path / "a.h5", position=["Y", "X"], spectroscopic=["ky", "kx"], progress=False
    )
    opened = usidx.open_main(target)
    assert opened.dims == ("Y", "X", "ky", "kx")
    np.testing.assert_array_equal(opened, cells)
    assert usidx.spectroscopic_dims(opened) == ("ky", "kx")


def test_the_shell_takes_the_names_of_dims(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("stem.npy", np.zeros((2, 3, 4, 5)))
    assert main(["convert", "stem.npy", "stem.h5", "--position", "Y,X", "--spectroscopic", "ky, kx"]) == 0
    assert usidx.open_main("stem.h5").sizes == {"Y": 2, "X": 3, "ky": 4, "kx": 5}


def test_what_is_converted_is_digested_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "height.npy", np.zeros((4, 5)))
    monkeypatch.setattr("usidx.instruments.read.digest_file", lambda _: pytest.fail("it was digested twice"))
    target = usidx.convert(tmp_path / "height.npy", tmp_path / "height.h5", progress=False)
    told = usidx.open_main(target).usid.history[0]
    assert told["sha256"] == hashlib.sha256((tmp_path / "height.npy").read_bytes()).hexdigest()
