"""What is read while a file is opened takes no more memory than it should; sound files read right."""

import resource
import subprocess
import sys
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

import usidx
from usidx.errors import UsidError
from usidx.io.read.chunks.bounded import read_part
from usidx.io.read.chunks.stored_array import describe_stored_array

NUMBERS = np.random.default_rng(0).integers(0, 50, (300, 200)).astype(">i4")


@pytest.mark.parametrize("chunks", [(7, 11), (150, 200), (300, 200), (100, 199)])
@pytest.mark.parametrize("filters", [{}, {"shuffle": True, "fletcher32": True}])
@pytest.mark.parametrize("part", [None, np.s_[3:4, 5:170], np.s_[290:, :], np.s_[10:10, :], np.s_[149:151, 198:200]])
def test_reads_what_h5py_reads(
    tmp_path: Path, chunks: tuple[int, int], filters: dict[str, object], part: tuple[slice, slice] | None
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=NUMBERS, chunks=chunks, compression="gzip", **filters)
    with h5py.File(tmp_path / "a.h5") as file:
        wanted = NUMBERS if part is None else NUMBERS[part]
        np.testing.assert_array_equal(read_part(file["x"], part), wanted)


@pytest.mark.parametrize("made", [{"compression": "lzf"}, {"scaleoffset": 0}, {}, {"chunks": True}])
def test_other_storage_is_left_to_hdf5(tmp_path: Path, made: dict[str, object]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        np.testing.assert_array_equal(read_part(file.create_dataset("x", data=NUMBERS, **made)), NUMBERS)


def test_what_was_never_written_has_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", (300, 300), "f8", chunks=(100, 300), compression="gzip", fillvalue=7)
        made[100:110] = 1
        wanted = np.full((300, 300), 7.0)
        wanted[100:110] = 1
        np.testing.assert_array_equal(read_part(made), wanted)


def bomb(dataset: h5py.Dataset, gigabytes: float = 1.0) -> None:
    """Put zeros in the place of the first chunk, far more than it holds."""
    packer, zeros = zlib.compressobj(9), bytes(1 << 24)
    parts = [packer.compress(zeros) for _ in range(int(64 * gigabytes))]
    dataset.id.write_direct_chunk((0,) * dataset.ndim, b"".join(parts) + packer.flush())


@pytest.mark.parametrize("chunks", [(10, 10), (300, 200)])
def test_bombs_are_refused(tmp_path: Path, chunks: tuple[int, int]) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", data=NUMBERS, chunks=chunks, compression="gzip")
        bomb(made, 0.1)
        with pytest.raises(UsidError, match=r"it is damaged|does not decompress"):
            read_part(made)


CODE = """
import resource, sys, warnings, usidx
warnings.simplefilter("ignore")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for call in (usidx.open_main, usidx.validate, usidx.open_tree):
    try:
        call(sys.argv[1])
    except usidx.errors.UsidError as err:
        print(err, file=sys.stderr)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts kB, as Linux does")
@pytest.mark.parametrize(
    "where", ["Raw_Data", pytest.param("Position_Values", marks=pytest.mark.slow), "Spectroscopic_Indices"]
)
def test_opening_takes_no_gigabytes(tmp_path: Path, where: str) -> None:
    assert resource.RUSAGE_SELF == 0
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        main = file.create_dataset("Raw_Data", data=np.ones((300, 200)), chunks=(300, 200), compression="gzip")
        main.attrs["quantity"] = main.attrs["units"] = "V"
        tables = {"Position": np.arange(300.0)[:, None], "Spectroscopic": np.arange(200.0)[None]}
        for role, counters in tables.items():
            for kind in ("Indices", "Values"):
                table = file.create_dataset(f"{role}_{kind}", data=counters, chunks=counters.shape, compression="gzip")
                table.attrs["labels"] = table.attrs["units"] = np.array([b"X"])
                main.attrs[f"{role}_{kind}"] = table.ref
        bomb(file[where])
    done = subprocess.run([sys.executable, "-c", CODE, path], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 150
    if where != "Raw_Data":
        assert where in done.stderr


def test_texts_of_fixed_length_are_bounded(tmp_path: Path) -> None:
    texts = np.array([f"text {k}".encode() for k in range(20_000)], "S10")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("notes", data=texts, chunks=(20_000,), compression="gzip")
        file.create_dataset("bomb", data=texts, chunks=(20_000,), compression="gzip")
        bomb(file["bomb"], 0.1)
    with pytest.warns(usidx.errors.UsidWarning, match="'/bomb' in .* is left out"):
        tree = usidx.open_tree(tmp_path / "a.h5")
    assert tree.notes.values.tolist() == [text.decode() for text in texts.tolist()]


@pytest.mark.parametrize("made", ["scaleoffset", "lzf", "nbit", "blosc"])
def test_a_filter_that_is_told_of_more_than_a_chunk_holds_is_refused(tmp_path: Path, made: str) -> None:
    """HDF5 would take the memory for it; the parameters are patched in the bytes of the file."""
    path = tmp_path / "a.h5"
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_chunk((30, 20))
    if made == "blosc":
        creation.set_filter(32001, 1, (2, 2, 4, 2400, 5, 1, 0))
    elif made == "nbit":
        creation.set_filter(h5py.h5z.FILTER_NBIT, 0, ())
    with h5py.File(path, "w") as file:
        if made in {"blosc", "nbit"}:
            kind = h5py.h5t.STD_I32LE.copy()
            kind.set_precision(17)
            h5py.h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((300, 200)), creation)
            if made == "nbit":
                file["x"][...] = NUMBERS
        else:
            options = {"scaleoffset": 0} if made == "scaleoffset" else {"compression": "lzf"}
            file.create_dataset("x", data=NUMBERS.astype("<i4"), chunks=(30, 20), **options)
    with h5py.File(path) as file:
        values = file["x"].id.get_create_plist().get_filter(0)[2]
        counted = {"scaleoffset": 2, "nbit": 2, "lzf": 2, "blosc": 3}[made]
        if made != "blosc":  # which nothing was written with
            np.testing.assert_array_equal(
                describe_stored_array(file["x"]).read(slice(40), slice(50)), NUMBERS[:40, :50]
            )
    if made == "scaleoffset" and h5py.version.version_tuple < (3, 13):
        pytest.skip("h5py of before 3.13 does not tell all parameters of this filter")
    told = np.array(values, "<u4")
    lied = told.copy()
    lied[counted] = 0x0FFFFFFF
    content = path.read_bytes()
    assert content.count(told.tobytes()) == 1
    path.write_bytes(content.replace(told.tobytes(), lied.tobytes()))
    with h5py.File(path) as file:
        stored = describe_stored_array(file["x"])
        with pytest.raises(UsidError, match=r"'/x' claims to make \d{9,} bytes of a chunk that holds 2400"):
            read_part(file["x"])
    with pytest.raises(UsidError, match=r"'/x' in .*a\.h5' cannot be read.* claims to make \d{9,} bytes"):
        stored.read(slice(3), slice(200))


def test_more_in_the_file_than_a_chunk_holds_is_refused_whatever_the_filter(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("x", data=NUMBERS, chunks=(30, 20), compression="lzf")
        dataset.id.write_direct_chunk((30, 40), bytes(100_000))
        file.flush()
        stored = describe_stored_array(dataset)
    for part in (np.s_[:, :], np.s_[31:32, 41:42]):
        with pytest.raises(UsidError, match=r"'/x' in .* cannot be read.*holds 2400 bytes takes 100000 in the file"):
            stored.read(*part)
    np.testing.assert_array_equal(stored.read(slice(30), slice(200)), NUMBERS[:30])
