"""Lazy arrays outlive handles, folders, processes; what went or changed is told."""

import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import h5py
import numpy as np
import pytest

import usidx
from tests.kit.agreement import assert_opens
from tests.kit.clusters import start_cluster
from usidx.errors import SelectionError, UsidError
from usidx.testing import measurements
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import distinct, raster

BIAS = [("Bias", "V", np.linspace(-1, 1, 6))]


@pytest.mark.parametrize("kind", [str, Path])
def test_relative_paths_stay_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Any]) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    monkeypatch.chdir(tmp_path)
    lazy = [usidx.open_main(kind("scan.h5")), usidx.open_main(kind("scan.h5"), chunks=None)]
    tree = usidx.open_tree(kind("scan.h5"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for array in (*lazy, tree["Measurement_000/Channel_000/Raw_Data"].Raw_Data):
        np.testing.assert_array_equal(array, built.array)


def test_a_path_from_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    np.testing.assert_array_equal(usidx.open_main("~/scan.h5"), built.array)


def test_a_read_only_file(tmp_path: Path) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    built.path.chmod(0o400)
    assert_opens(usidx.open_main(built.path), built)


@pytest.mark.parametrize("chunks", [{}, None])
def test_no_handle_stays_open(tmp_path: Path, chunks: Any) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks=chunks)
    tree = usidx.open_tree(built.path, chunks=chunks)
    np.testing.assert_array_equal(array[0, 0], built.array[0, 0])
    with h5py.File(built.path, "r+") as file:  # would be refused if a handle were open
        file["more"] = np.arange(100)
        build_main(file, distinct((2, 1)), [("X", "m", [0, 1])], name="Later")
    np.testing.assert_array_equal(array, built.array)
    moved = shutil.move(built.path, tmp_path / "moved.h5")
    with pytest.raises(FileNotFoundError, match=r"There is no file .*scan\.h5"):
        tree["Measurement_000/Channel_000/Raw_Data"].Raw_Data.compute()
    os.remove(moved)


def test_a_file_that_changed(tmp_path: Path) -> None:
    built = measurements.snake_file(tmp_path / "scan.h5")
    gone, reshaped, retyped = (usidx.open_main(built.path) for _ in range(3))
    with h5py.File(built.path, "r+") as file:
        del file[built.main]
    with pytest.raises(UsidError, match=r"Raw_Data' in .* has changed since it was opened.* there is nothing. Open it"):
        gone.compute()
    with h5py.File(built.path, "r+") as file:
        file[built.main] = np.zeros((20, 7))
    with pytest.raises(UsidError, match=r"it had the shape \(20, 6\) of float32, now there is \(20, 7\) of float64"):
        reshaped.compute()
    with h5py.File(built.path, "r+") as file:
        del file[built.main]
        file[built.main] = np.zeros((20, 6), dtype="i4")
    with pytest.raises(UsidError, match=r"of float32, now there is \(20, 6\) of int32"):
        retyped.compute()


def test_a_field_that_went(tmp_path: Path) -> None:
    cells = np.zeros((3, 4, 6), dtype=[("Amplitude [V]", "f4"), ("Phase [rad]", "f8")])
    built = build_main(tmp_path / "fit.h5", cells, raster(), BIAS)
    phase = usidx.open_main(built.path, field="Phase")
    with h5py.File(built.path, "r+") as file:
        del file[built.main]
        file[built.main] = np.zeros((12, 6), dtype=[("Amplitude [V]", "f4")])
    with pytest.raises(UsidError, match=r"in a field 'Phase \[rad\]', now there is"):
        phase.compute()


def test_a_damaged_chunk_says_so_when_it_is_read(tmp_path: Path) -> None:
    storage = {"chunks": (5, 6), "fletcher32": True}
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS, storage=storage)
    with h5py.File(built.path) as file:
        place = file[built.main].id.get_chunk_info(0).byte_offset
    content = bytearray(built.path.read_bytes())
    content[place] ^= 0xFF
    built.path.write_bytes(content)
    array = usidx.open_main(built.path, chunks={"Y": 1, "X": 2})
    assert usidx.open_tree(built.path).groups
    np.testing.assert_array_equal(array[2], built.array[2])
    with pytest.raises(UsidError, match=r"Raw_Data' in .* cannot be read at .*: it is damaged"):
        array[0].compute()


@pytest.mark.parametrize("opener", [usidx.open_main, usidx.open_dataset, usidx.open_tree, usidx.list_mains])
def test_what_is_no_file(tmp_path: Path, opener: Callable[..., Any]) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.h5"):
        opener(tmp_path / "none.h5")
    built = measurements.snake_file(tmp_path / "scan.h5")
    content = built.path.read_bytes()
    parts = {"empty": b"", "no HDF5 file": b"USID " * 400, "cut off": content[: len(content) // 2]}
    for reason, part in parts.items():
        (tmp_path / "bad").write_bytes(part)
        with pytest.raises(UsidError, match=f"bad' cannot be opened as HDF5: it is {reason}"):
            opener(tmp_path / "bad")
    with pytest.raises(UsidError, match="is a folder, not an HDF5 file"):
        opener(tmp_path)


def test_a_file_that_was_never_closed(tmp_path: Path) -> None:
    """As the program of an instrument leaves it when it dies."""
    measurements.snake_file(tmp_path / "scan.h5")
    program = """
import os, sys, h5py
with h5py.File(sys.argv[1]) as whole:
    file = h5py.File(sys.argv[2], "w", libver="latest")
    whole.copy("/Measurement_000", file)
    file.flush()
    os._exit(0)
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "scan.h5", tmp_path / "open.h5"], check=True)
    with pytest.raises(UsidError, match=r"open\.h5' cannot .*: the program that writes it has it open, .* h5clear -s"):
        usidx.open_main(tmp_path / "open.h5")


def linked_file(folder: Path) -> tuple[Expected, Expected]:
    built = build_main(folder / "scan.h5", distinct((3, 4, 6)), raster(), BIAS)
    other = build_main(folder / "other.h5", distinct((3, 4, 6), seed=1), raster(), BIAS)
    with h5py.File(built.path, "r+") as file:
        file["soft"] = h5py.SoftLink(built.main)
        file["nowhere"] = h5py.SoftLink("/none")
        file["outside"] = h5py.ExternalLink("other.h5", other.main)
        file["no_file"] = h5py.ExternalLink("none.h5", "/x")
        file["Measurement_000/Channel_000/loop"] = file["/"]
    return built, other


def test_loops_and_soft_links_are_not_followed(tmp_path: Path) -> None:
    built, _ = linked_file(tmp_path)
    assert usidx.list_mains(built.path) == [built.main]
    assert {n.path for n in usidx.open_tree(built.path).subtree} == {
        "/", "/Measurement_000", "/Measurement_000/Channel_000", built.main,
    }  # fmt: skip


@pytest.mark.parametrize("chunks", [{}, None])
def test_links_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunks: Any) -> None:
    built, other = linked_file(tmp_path)
    monkeypatch.chdir(tmp_path)
    opened = {n: usidx.open_main("scan.h5", n, chunks=chunks, external=True) for n in ("soft", "outside")}
    opened["dataset"] = usidx.open_dataset("scan.h5", "outside", chunks=chunks, external=True).Raw_Data
    opened["loop"] = usidx.open_main("scan.h5", "Measurement_000/Channel_000/loop" + built.main, chunks=chunks)
    monkeypatch.chdir("/")
    np.testing.assert_array_equal(opened["soft"], built.array)
    np.testing.assert_array_equal(opened["loop"], built.array)
    np.testing.assert_array_equal(opened["outside"], other.array)
    np.testing.assert_array_equal(opened["dataset"], other.array)


def test_links_to_nowhere(tmp_path: Path) -> None:
    built, _ = linked_file(tmp_path)
    with pytest.raises(SelectionError, match="has no main dataset 'nowhere'"):
        usidx.open_main(built.path, "nowhere")
    with pytest.raises(UsidError, match=r"another file, 'none.h5', which is not read unless you ask for it"):
        usidx.open_main(built.path, "no_file")
    with pytest.raises(UsidError, match=r"its data from 'none.h5', and there is no such file"):
        usidx.open_main(built.path, "no_file", external=True)


@pytest.mark.parametrize("row_order", ["raster", "random"])
def test_lazy_arrays_pickle_small(tmp_path: Path, row_order: str) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS, row_order=row_order)
    options: list[Any] = [{}, None]
    for chunks in options:
        array = usidx.open_main(built.path, chunks=chunks)
        packed = pickle.dumps(array)
        assert len(packed) < 12_000
        assert_opens(pickle.loads(packed), built, ordered=False)
    tree = pickle.loads(pickle.dumps(usidx.open_tree(built.path)))
    assert_opens(tree["Measurement_000/Channel_000/Raw_Data"].Raw_Data, built, ordered=False)


@pytest.mark.parametrize("scheduler", ["synchronous", "threads", "processes"])
def test_schedulers(tmp_path: Path, scheduler: str) -> None:
    built = build_main(tmp_path / "scan.h5", distinct((3, 4, 6)), raster(), BIAS, row_order="random")
    array = usidx.open_main(built.path, chunks={"Y": 1})
    with dask.config.set(scheduler=scheduler, num_workers=2):
        assert_opens(array, built, ordered=False)


def test_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    built = measurements.snake_file(tmp_path / "scan.h5")
    array = usidx.open_main(built.path, chunks={"Y": 2})
    with start_cluster(1, 2, processes=False):
        assert_opens(array, built)
        np.testing.assert_allclose(array.mean("Bias"), built.array.mean(axis=-1), rtol=1e-6)
