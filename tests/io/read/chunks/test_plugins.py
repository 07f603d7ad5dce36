"""What other filters compressed is read where hdf5plugin is installed, imported or not; else the filter is named."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import numpy.typing as npt
import pytest

import usidx
from usidx.errors import UsidError
from usidx.io.read.chunks.plugins import describe_missing_filters
from usidx.testing.files import build_main

FILTERS = {
    "bitshuffle": hdf5plugin.Bitshuffle(),
    "blosc": hdf5plugin.Blosc(cname="zstd", shuffle=hdf5plugin.Blosc.BITSHUFFLE),
    "blosc2": hdf5plugin.Blosc2(),
    "bzip2": hdf5plugin.BZip2(),
    "lz4": hdf5plugin.LZ4(),
    "zstd": hdf5plugin.Zstd(),
}
MAIN = "/Measurement_000/Channel_000/Raw_Data"
READ = """
import sys, warnings
warnings.simplefilter("error")
if sys.argv[1] == "without":
    sys.modules["hdf5plugin"] = None
import usidx
from usidx.errors import UsidError
for path in sys.argv[2:]:
    try:
        print(usidx.open_main(path).compute().values.tolist())
    except UsidError as err:
        print(err)
"""


def scan(path: Path, compression: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    cells = np.random.default_rng(0).permutation(360).astype("f4").reshape(6, 5, 12)
    dims = [("Y", "m", range(6)), ("X", "m", range(5))], [("Bias", "V", range(12))]
    built = build_main(path, cells, *dims, storage={"chunks": (10, 4), "shuffle": True, **compression})
    assert built.main == MAIN
    return cells


def in_a_fresh_process(hdf5plugin_is: str, *paths: Path) -> list[str]:
    command = [sys.executable, "-c", READ, hdf5plugin_is, *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


@pytest.mark.parametrize("name", FILTERS)
def test_blocks_equal_what_was_written(tmp_path: Path, name: str) -> None:
    cells = scan(tmp_path / "a.h5", FILTERS[name])
    lazy = usidx.open_main(tmp_path / "a.h5", chunks={"Y": 2})
    np.testing.assert_array_equal(lazy, cells)
    np.testing.assert_array_equal(lazy.isel(Y=[4, 1], Bias=slice(None, None, -3)), cells[[4, 1]][:, :, ::-3])


def test_the_filter_is_brought_in_where_it_is_needed(tmp_path: Path) -> None:
    """As in the workers of a cluster, which never imported hdf5plugin."""
    paths = [tmp_path / f"{name}.h5" for name in FILTERS]
    wanted = [scan(path, FILTERS[path.stem]).tolist() for path in paths]
    assert in_a_fresh_process("with", *paths) == [str(cells) for cells in wanted]


def test_a_filter_that_is_not_installed_is_named(tmp_path: Path) -> None:
    scan(tmp_path / "data.h5", FILTERS["zstd"])
    scan(tmp_path / "positions.h5", hdf5plugin.Zstd())
    with h5py.File(tmp_path / "positions.h5", "r+") as file:
        main = file[MAIN]
        found = file[main.attrs["Position_Indices"]]
        packed = file.create_dataset("packed", data=found[()], chunks=(30, 2), **hdf5plugin.LZ4())
        packed.attrs.update(found.attrs)
        main.attrs["Position_Indices"] = packed.ref
    data, positions = in_a_fresh_process("without", tmp_path / "data.h5", tmp_path / "positions.h5")
    assert data.startswith(f"{MAIN!r} in '{tmp_path / 'data.h5'}' cannot be read at (0, 0). It is compressed by the")
    assert data.endswith("(number 32015). Install it with: pip install 'usidx[filters]'")
    assert positions.startswith(f"'/packed' in '{tmp_path / 'positions.h5'}' cannot be read. It is compressed by the")
    assert positions.endswith("(number 32004). Install it with: pip install 'usidx[filters]'")


def test_a_filter_that_nobody_has_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan(tmp_path / "a.h5", FILTERS["lz4"])
    raw = usidx.open_main(tmp_path / "a.h5")
    monkeypatch.setattr(h5py.h5z, "filter_avail", lambda code: code != hdf5plugin.LZ4.filter_id)

    def refuse(*_: object) -> None:
        raise OSError("can't open filter")

    monkeypatch.setattr(h5py.Dataset, "__getitem__", refuse)
    with pytest.raises(UsidError, match=r"the HDF5 filter .*\(number 32004\), which hdf5plugin does not have either"):
        raw.compute()


def test_nothing_is_said_of_filters_that_are_there(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        assert (
            describe_missing_filters(file.create_dataset("x", data=np.arange(9), compression="lzf", shuffle=True)) == ""
        )
        assert describe_missing_filters(file.create_dataset("y", data=np.arange(9))) == ""
