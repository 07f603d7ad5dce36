"""Parts of an opened file: fingerprints, fields, extras."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from usidx.io.read.place.local import LocalFile
from usidx.io.read.usid.datasets import digest_sample, make_extra_variable, open_group_dataset
from usidx.results.provenance import find_last_step
from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import distinct, raster, snake_file

BIAS = [("Bias", "V", np.linspace(-1, 1, 6))]


def print_of(built: Expected) -> str:
    step = find_last_step(usidx.open_main(built.path, built.main), "open")
    assert step is not None
    return str(step["fingerprint"])


def test_fingerprints_tell_data_apart(tmp_path: Path) -> None:
    one = build_main(tmp_path / "a.h5", distinct((3, 4, 6)), raster(), BIAS)
    same = build_main(tmp_path / "b.h5", distinct((3, 4, 6)), raster(), BIAS, storage={"chunks": (5, 2)}, name="Other")
    other = build_main(tmp_path / "c.h5", distinct((3, 4, 6), seed=1), raster(), BIAS)
    typed = build_main(tmp_path / "d.h5", distinct((3, 4, 6)).astype("f8"), raster(), BIAS)
    assert print_of(one) == print_of(same)
    assert len({print_of(one), print_of(other), print_of(typed)}) == 3


def test_fingerprints_look_at_few_cells(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "large.h5", "w") as file:
        large = file.create_dataset("x", (1_000_000, 100_000), dtype="f4", chunks=(1, 1000))
        assert len(digest_sample(large, LocalFile(str(tmp_path / "large.h5")))) == 24


@pytest.mark.parametrize("dtype", ["f4", ">f4", ">c8", [("a", "<i2"), ("b", ">f8")]])
def test_large_chunks_have_the_same_fingerprint(tmp_path: Path, dtype: Any) -> None:
    cells = np.frombuffer(np.random.default_rng(0).bytes(64 * 8192 * np.dtype(dtype).itemsize), "u1") % 64
    cells = cells.view(dtype).reshape(64, 8192)
    found = []
    for name, storage in {"plain": {}, "large": {"chunks": (32, 8192), "compression": "gzip", "shuffle": True}}.items():
        path = tmp_path / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=cells, **storage)
        with h5py.File(path) as file:
            found.append(digest_sample(file["x"], LocalFile(str(path))))
    assert found[0] == found[1] != ""


def test_a_damaged_file_has_no_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = snake_file(tmp_path / "scan.h5")

    def refuse(*_: Any) -> None:
        raise OSError("damaged")

    with h5py.File(built.path) as file:
        main = file[built.main]
        monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
        assert digest_sample(main, LocalFile(str(built.path))) == ""


def test_extras_never_take_a_name_for_a_dim(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["size_3"] = np.zeros((3, 3))
        file["plain"] = np.zeros(3)
        found = open_group_dataset(file["/"], ["/size_3", "/plain"])
    assert found.size_3.dims == ("size_3_again", "size_3_again_again")
    assert found.plain.dims == ("size_3_again",)
    assert not found.coords


def test_extras_that_hold_no_numbers(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert make_extra_variable(file.create_dataset("null", data=h5py.Empty("f4"))) is None
        found = make_extra_variable(file.create_dataset("texts", data=["abc"]))
    assert found is not None
    assert found.values.tolist() == ["abc"]
