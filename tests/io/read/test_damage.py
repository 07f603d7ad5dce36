"""Files with damaged structures: each opens as far as it goes, or an error says why not."""

import struct
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import usidx
from tests.kit.legacy import add_cluster, add_svd
from usidx.errors import UsidError, UsidWarning
from usidx.testing.measurements import beps_file, shared_file, sparse_file

SIGNATURES = (b"TREE", b"SNOD", b"HEAP", b"GCOL")


def whole_file(path: Path) -> bytes:
    built = beps_file(path)
    add_svd(built)
    add_cluster(built)
    return path.read_bytes()


def places(content: bytes, signature: bytes) -> list[int]:
    found, start = [], content.find(signature)
    while start >= 0:
        found.append(start)
        start = content.find(signature, start + 1)
    return found


def try_everything(path: Path) -> int:
    """Call all that reads; count what opened."""
    opened = 0
    calls: list[Any] = [usidx.list_mains, usidx.list_results, usidx.validate, usidx.open_tree]
    calls += [lambda p, m=m: usidx.open_dataset(p, m).compute() for m in ("Channel_000/Raw_Data", "SVD_000/U")]
    calls += [lambda p, r=r: usidx.open_result(p, r).compute() for r in ("SVD_000", "Cluster_000")]
    for call in calls:
        try:
            call(path)
        except UsidError:
            continue
        opened += 1
    return opened


@pytest.mark.parametrize("signature", SIGNATURES)
@pytest.mark.filterwarnings("ignore::usidx.errors.UsidWarning")
def test_each_structure_may_be_gone(tmp_path: Path, signature: bytes) -> None:
    content = whole_file(tmp_path / "scan.h5")
    found = places(content, signature)
    assert found
    opened = []
    for number, place in enumerate(found[:12]):
        damaged = tmp_path / f"{number}.h5"
        damaged.write_bytes(content[:place] + b"\0\0\0\0" + content[place + 4 :])
        opened.append(try_everything(damaged))
    assert max(opened) > 0


def test_sound_parts_beside_a_damaged_group_open(tmp_path: Path) -> None:
    """The names of one group cannot be read any more; the other channels are there."""
    built = shared_file(tmp_path / "scan.h5")
    with h5py.File(built[0].path, "r+") as file:
        file.create_group("Measurement_000/Broken")["x"] = [1, 2]
    content = built[0].path.read_bytes()
    for place in places(content, b"SNOD"):
        damaged = tmp_path / f"{place}.h5"
        damaged.write_bytes(content[:place] + b"\0\0\0\0" + content[place + 4 :])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UsidWarning)
            try:
                left = usidx.list_mains(damaged)
            except UsidError:
                continue
            for each in built:
                if each.main in left:
                    np.testing.assert_array_equal(usidx.open_main(damaged, each.main), each.array[..., 0])


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_files_that_were_cut_off(tmp_path: Path, part: float) -> None:
    content = whole_file(tmp_path / "scan.h5")
    (tmp_path / "cut.h5").write_bytes(content[: int(part * len(content))])
    with pytest.raises(UsidError, match=r"cut\.h5' cannot be opened as HDF5: it is cut off"):
        usidx.open_tree(tmp_path / "cut.h5")


@pytest.mark.parametrize("size", [2**31, 2**62])
def test_a_superblock_that_lies_about_the_size(tmp_path: Path, size: int) -> None:
    content = bytearray(sparse_file(tmp_path / "scan.h5").path.read_bytes())
    end = content.find(struct.pack("<Q", len(content)))
    content[end : end + 8] = struct.pack("<Q", size)
    (tmp_path / "lies.h5").write_bytes(content)
    with pytest.raises(UsidError, match=r"lies\.h5' cannot be opened as HDF5"):
        usidx.open_main(tmp_path / "lies.h5")
