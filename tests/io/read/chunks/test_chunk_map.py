"""What may be read past HDF5 is proven or left to it; maps are kept for as long as they hold."""

import os
import threading
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from usidx.errors import UsidError
from usidx.io.disk.journal import find_journal_path, is_quiet
from usidx.io.read.chunks import cache as map_cache
from usidx.io.read.chunks import chunk_map
from usidx.io.read.chunks.cache import Located, locate
from usidx.io.read.chunks.chunk_map import ChunkMap, describe
from usidx.io.read.chunks.filters import DEFLATE, FLETCHER32, SHUFFLE, Filter
from usidx.io.read.place import local
from usidx.io.read.place.local import LocalFile, Version, read_version
from usidx.io.read.place.objects.lru import LruCache
from usidx.io.read.place.place import Place
from usidx.io.write.transaction import transaction


def described(path: Path, name: str = "x") -> ChunkMap | None:
    with h5py.File(path, "r") as file:
        return describe(file, name)


def test_contiguous_data(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=np.arange(12, dtype=">i2").reshape(3, 4))
        address = dataset.id.get_offset()
    found = described(tmp_path / "a.h5")
    assert found is not None
    assert (found.shape, found.chunk, found.grid, found.filters) == ((3, 4), (3, 4), (1, 1), ())
    assert (found.addresses.tolist(), found.sizes.tolist()) == ([address], [24])
    assert found.stored == np.dtype(">i2")
    assert not found.is_chunked
    content = (tmp_path / "a.h5").read_bytes()[address : address + 24]
    np.testing.assert_array_equal(np.frombuffer(content, ">i2"), np.arange(12))


def test_chunks_and_those_that_are_missing(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "x", (10, 7), "f4", chunks=(4, 3), compression="gzip", shuffle=True, fletcher32=True, fillvalue=2.5
        )
        dataset[9, 0] = dataset[0, 6] = 1
        infos = [dataset.id.get_chunk_info(n) for n in range(2)]
    found = described(tmp_path / "a.h5")
    assert found is not None
    assert found.grid == (3, 3)
    assert found.numbers.tolist() == [2, 6]
    assert {*zip(found.addresses.tolist(), found.sizes.tolist(), strict=True)} == {
        (i.byte_offset, i.size) for i in infos
    }
    assert [step.code for step in found.filters] == [SHUFFLE, DEFLATE, FLETCHER32]
    assert found.filters[0] == Filter(SHUFFLE, 4)
    assert found.fill == 2.5
    assert found.chunk_bytes == 48


@pytest.mark.parametrize("libver", ["earliest", "latest"])
@pytest.mark.parametrize(
    "options",
    [
        {"shape": (40, 30), "maxshape": (40, 30)},
        {"shape": (40, 30), "maxshape": (None, 30)},
        {"shape": (40, 30), "maxshape": (None, None)},
        {"shape": (4, 3), "maxshape": None},
    ],
    ids=str,
)
def test_every_index_of_chunks(tmp_path: Path, libver: str, options: dict[str, Any]) -> None:
    """B-trees of both kinds, fixed and extensible arrays, a single chunk."""
    with h5py.File(tmp_path / "a.h5", "w", libver=libver) as file:
        dataset = file.create_dataset("x", dtype="i4", chunks=(4, 3), **options)
        cells = np.arange(np.prod(options["shape"]), dtype="i4").reshape(options["shape"])
        dataset[...] = cells
    found = described(tmp_path / "a.h5")
    assert found is not None
    content = (tmp_path / "a.h5").read_bytes()
    for number, address, size in zip(found.numbers, found.addresses, found.sizes, strict=True):
        row, column = (4 * int(number // found.grid[1]), 3 * int(number % found.grid[1]))
        part = np.frombuffer(content[address : address + size], "i4").reshape(4, 3)
        np.testing.assert_array_equal(part, cells[row : row + 4, column : column + 3])


def compact(file: h5py.File) -> None:
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_INT32, h5py.h5s.create_simple((3,)), creation)


def external(file: h5py.File) -> None:
    file.create_dataset("x", (3,), "f4", external=[(str(Path(file.filename).with_suffix(".raw")), 0, 12)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource(str(file.filename), "y", (3,))
    file["y"] = np.zeros(3, "f4")
    file.create_virtual_dataset("x", layout)


def odd_type(kind: Any) -> Any:
    def make(file: h5py.File) -> None:
        h5py.h5d.create(file.id, b"x", kind(), h5py.h5s.create_simple((3,)))

    return make


def twelve_bits() -> Any:
    kind = h5py.h5t.STD_I16LE.copy()
    kind.set_precision(12)
    return kind


def other_names() -> Any:
    kind = h5py.h5t.create(h5py.h5t.COMPOUND, 8)
    kind.insert(b"real", 0, h5py.h5t.IEEE_F32LE)
    kind.insert(b"date", 4, h5py.h5t.C_S1)
    return kind


def bits() -> Any:
    return h5py.h5t.STD_B8LE.copy()


def with_link(file: h5py.File) -> None:
    other = Path(file.filename).with_name("other.h5")
    with h5py.File(other, "w") as there:
        there["x"] = np.zeros(3)
    file["x"] = h5py.ExternalLink(str(other), "/x")


LEFT_TO_HDF5 = {
    "nothing there": lambda file: None,
    "a group": lambda file: file.create_group("x"),
    "no space": lambda file: file.create_dataset("x", data=h5py.Empty("f4")),
    "compact": compact,
    "external": external,
    "virtual": virtual,
    "another file": with_link,
    "lzf": lambda file: file.create_dataset("x", (8,), "f4", chunks=(4,), compression="lzf"),
    "scaleoffset": lambda file: file.create_dataset("x", (8,), "i4", chunks=(4,), scaleoffset=0),
    "texts": lambda file: file.create_dataset("x", data=["a", "bc"]),
    "fixed texts": lambda file: file.create_dataset("x", data=np.array([b"ab"])),
    "references": lambda file: file.create_dataset("x", (2,), h5py.ref_dtype),
    "ragged": lambda file: file.create_dataset("x", (2,), h5py.vlen_dtype("f4")),
    "arrays": lambda file: file.create_dataset("x", (2,), np.dtype([("a", "f4", (3,))])),
    "16-byte floats": lambda file: file.create_dataset("x", (2,), np.longdouble),
    "12-bit integers": odd_type(twelve_bits),
    "other compounds": odd_type(other_names),
    "bits": odd_type(bits),
    "times": lambda file: file.create_dataset("x", (2,), h5py.opaque_dtype(np.dtype("M8[s]"))),
}


@pytest.mark.parametrize("case", LEFT_TO_HDF5)
def test_what_is_not_proven_is_left_to_hdf5(tmp_path: Path, case: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        LEFT_TO_HDF5[case](file)
    assert described(tmp_path / "a.h5") is None


def test_a_user_block_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["x"] = np.arange(5)
    assert described(tmp_path / "a.h5") is None


def test_enumerations_and_bools_are_bytes(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.array([True, False])
        file.create_dataset("y", (2,), h5py.enum_dtype({"ON": 1, "OFF": 0}, basetype="u1"))
    assert described(tmp_path / "a.h5", "x") is not None
    assert described(tmp_path / "a.h5", "y") is not None


def test_an_unknown_fill_value_is_left_open(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (8,), "f4", chunks=(4,), fill_time="never")
    found = described(tmp_path / "a.h5")
    assert found is not None
    assert found.fill is None


def test_a_claimed_shape_costs_nothing(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", (1 << 50, 1 << 8), "f4", chunks=(1, 1))[5, 5] = 1
        file.create_dataset("y", (1 << 60, 1 << 60), "f4", chunks=(1, 1))
        file.create_dataset("z", (1 << 40, 1 << 10), "f4")
    found = described(tmp_path / "a.h5", "x")
    assert found is not None
    assert found.nbytes < 2048
    assert described(tmp_path / "a.h5", "y") is None
    assert (contiguous := described(tmp_path / "a.h5", "z")) is None or contiguous.addresses.size == 0


def test_an_index_that_goes_round_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(9), chunks=(3,))

    class Endless:
        name = "/x"

        class id:
            @staticmethod
            def chunk_iter(visit: Any) -> None:
                info = h5py.h5d.StoreInfo((0,), 0, 2048, 24)
                while visit(info) is None:
                    pass

    with h5py.File(tmp_path / "a.h5") as file, pytest.raises(UsidError, match=r"'/x' in .* lists more than 3 chunks"):
        chunk_map.list_chunks(file, Endless(), 3)


# -- the cache --------------------------------------------------------------------------------------------------------


def scan(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.arange(100.0).reshape(10, 10), chunks=(5, 5))
    os.utime(path, (1, 1))
    return path


def found_in(path: Path) -> Located:
    found = locate(LocalFile(str(path)), "/x")
    assert found is not None
    return found


def test_a_chunk_that_lies_beyond_every_array_is_left_to_hdf5(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.arange(8.0), chunks=(8,))
    content = bytearray((tmp_path / "a.h5").read_bytes())
    corner = content.index(b"TREE\1") + 24 + 8  # behind the header of the node, and the size and mask of the chunk
    assert content[corner - 8 : corner + 8] == (64).to_bytes(8, "little") + bytes(8)
    content[corner : corner + 8] = (1 << 63).to_bytes(8, "little")
    (tmp_path / "a.h5").write_bytes(content)
    assert described(tmp_path / "a.h5") is None


def test_a_map_is_kept_while_the_file_is_the_same(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.h5")
    assert found_in(path) is found_in(path)
    first = found_in(path)
    os.utime(path, (2, 2))
    assert found_in(path) is not first
    assert first.map is not None
    assert (again := found_in(path).map) is not None
    assert first.map.equals(again)


def test_a_file_changed_just_now_is_looked_at_again(tmp_path: Path) -> None:
    """Two changes within one tick of the file system's clock look like one."""
    path = scan(tmp_path / "a.h5")
    os.utime(path)
    assert found_in(path) is not found_in(path)
    assert not found_in(path).is_settled


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps: LruCache[tuple[Place, str], Located] = LruCache(map_cache._maps.most, map_cache._count_bytes)
    monkeypatch.setattr(map_cache, "_maps", maps)
    paths = [scan(tmp_path / f"{n}.h5") for n in range(4)]
    maps.most = 3 * map_cache._count_bytes(found_in(paths[0]))
    first = found_in(paths[0])
    for path in paths[1:3]:
        found_in(path)
    assert found_in(paths[0]) is first  # and so the last one used
    found_in(paths[3])
    assert [maps.get((LocalFile(str(path)), "/x")) is not None for path in paths] == [True, False, True, True]
    assert maps.nbytes == maps.most


def test_a_journal_is_quiet_until_something_is_saved_in_it(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.h5")
    assert read_version(str(path)).journal is None
    with transaction(path) as changes:
        changes.file["y"] = np.zeros(10_000)
        changes.file.flush()
        during = read_version(str(path))
        assert is_quiet(find_journal_path(path).stat().st_size)
        changes._staged.settle()
        assert not is_quiet(find_journal_path(path).stat().st_size)
        assert read_version(str(path)) != during
    assert read_version(str(path)).journal is None


def test_a_file_that_never_rests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = scan(tmp_path / "a.h5")
    count = iter(range(1000))
    monkeypatch.setattr(local, "read_version", lambda _: Version(1, 1, next(count), 0, None))
    assert locate(LocalFile(str(path)), "/x") is None


def test_threads_locate_at_once(tmp_path: Path) -> None:
    path = scan(tmp_path / "a.h5")
    found: list[Located] = []
    threads = [threading.Thread(target=lambda: found.append(found_in(path))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    maps = [one.map for one in found]
    assert all(one is not None and maps[0] is not None and one.equals(maps[0]) for one in maps)
    assert len(maps) == 8


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none\.h5"):
        locate(LocalFile(str(tmp_path / "none.h5")), "/x")


@pytest.mark.parametrize("error", [OSError, RuntimeError, ValueError, KeyError, TypeError])
def test_damage_is_left_for_hdf5_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    path = scan(tmp_path / "a.h5")

    def fail(*_: Any) -> None:
        raise error("damaged")

    monkeypatch.setattr(chunk_map, "_fill", fail)
    assert described(path) is None
