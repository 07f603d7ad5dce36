"""Converting files of instruments: usidx, a plain loop of h5py that digests what it reads, and a copy of the file.

    python tests/benchmarks/convert_speed.py [--megabytes 512] [--rounds 5] [--folder DIRECTORY]

A scan of diffraction patterns lies in a file of each format, and each way makes another file of it, in turns. The loop
is what one would write by hand: blocks of 16 MiB from a memory map into one contiguous dataset, and the sha256 of each
block, which usidx records, too. usidx has to find out what the file is, label it, and sync what it wrote, so the loop
is also measured with the ``fsync`` after which its data would survive a power loss. The copy is ``shutil.copyfile``,
which neither looks at a byte nor digests it. The table gives medians of seconds (and the range), how fast each way is
compared with the loop (the median of the ratios, round by round), and seconds of processor time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

import usidx

Array = NDArray[Any]
#: What a way makes of a file: the file, the patterns in it, dims (pattern, row, column), and where to.
Way = Callable[[Path, Array, Path], None]

_SCAN, _PIXELS = 64, 128
_BLOCK = 16 << 20
_MIB_HEADER, _BLO_HEADER, _BLO_PATTERN = 384, 512, 6


def make_patterns(megabytes: int, dtype: str) -> Array:
    """Make patterns, dims (Y, X, detector_Y, detector_X), that no disk can pack."""
    lines = max(1, (megabytes << 20) // (_SCAN * _PIXELS**2 * np.dtype(dtype).itemsize))
    return np.random.default_rng(0).integers(0, 200, (lines, _SCAN, _PIXELS, _PIXELS), dtype="u2").astype(dtype)


def make_npy(folder: Path, megabytes: int) -> tuple[Path, Array]:
    """Make a NumPy file; the patterns are a memory map of it, as for all of these."""
    path = folder / "scan.npy"
    np.save(path, make_patterns(megabytes, "<u2"))
    return path, np.load(path, mmap_mode="r").reshape(-1, _PIXELS, _PIXELS)


def make_raw(folder: Path, megabytes: int) -> tuple[Path, Array]:
    """Make bare numbers, and the header beside them."""
    path, patterns = folder / "scan.raw", make_patterns(megabytes, "<u2")
    patterns.tofile(path)
    roles = {"Y": "position", "X": "position", "detector_Y": "spectroscopic", "detector_X": "spectroscopic"}
    axes = [{"name": name, "role": role} for name, role in roles.items()]
    path.with_suffix(".json").write_text(json.dumps({"shape": patterns.shape, "dtype": "<u2", "axes": axes}))
    return path, np.memmap(path, "<u2", "r", shape=patterns.shape).reshape(-1, _PIXELS, _PIXELS)


def make_blo(folder: Path, megabytes: int) -> tuple[Path, Array]:
    """Make a block file: a header, and each pattern behind six bytes."""
    patterns = make_patterns(megabytes, "u1")
    head = struct.pack(
        "<6sHIIIHHHHHddIHId", b"IMGBLO", 0x0102, 0, _BLO_HEADER, 0, _PIXELS, 0, _SCAN, len(patterns), 0, 1.0, 1.0, 0,
        500, 10, 0.0,
    )  # fmt: skip
    return _make_frames(folder / "scan.blo", head.ljust(_BLO_HEADER, b"\0"), bytes(_BLO_PATTERN), patterns)


def make_mib(folder: Path, megabytes: int) -> tuple[Path, Array]:
    """Make a file of Merlin: each pattern behind a header, and big-endian; how long a line is stands beside it."""
    patterns = make_patterns(megabytes, ">u2")
    head = f"MQ1,000001,{_MIB_HEADER:05d},01,{_PIXELS:04d},{_PIXELS:04d},U16,".encode().ljust(_MIB_HEADER, b"\0")
    (folder / "scan.hdr").write_text(f"HDR,\nFrames per Trigger (Number):\t{_SCAN}\nEnd\t\n")
    return _make_frames(folder / "scan.mib", b"", head, patterns)


def _make_frames(path: Path, head: bytes, before_each: bytes, patterns: Array) -> tuple[Path, Array]:
    flat = patterns.reshape(-1, _PIXELS, _PIXELS)
    frame = np.dtype([("head", f"V{len(before_each)}"), ("pixels", flat.dtype, (_PIXELS, _PIXELS))])
    with path.open("wb") as file:
        file.write(head)
        for line in patterns:
            frames = np.zeros(len(line), frame)
            frames["head"], frames["pixels"] = np.void(before_each), line
            frames.tofile(file)
    mapped = np.memmap(path, frame, "r", offset=len(head), shape=len(flat))
    return path, mapped["pixels"]


def by_usidx(path: Path, patterns: Array, target: Path) -> None:
    """Convert."""
    names: dict[str, Any] = {"position": ["Y", "X"], "spectroscopic": ["ky", "kx"]} if path.suffix == ".npy" else {}
    usidx.convert(path, target, progress=False, **names)


def by_loop(path: Path, patterns: Array, target: Path) -> None:
    """Copy block by block with h5py, and digest what is copied."""
    digest = hashlib.sha256()
    count = max(1, _BLOCK // patterns[0].nbytes)
    with h5py.File(target, "w") as file:
        shape = len(patterns), _PIXELS**2
        dataset = file.create_dataset("Raw_Data", shape, patterns.dtype.newbyteorder("="))
        for start in range(0, len(patterns), count):
            block = patterns[start : start + count].astype(dataset.dtype)
            digest.update(block.data)
            dataset[start : start + count] = block.reshape(-1, _PIXELS**2)
        dataset.attrs["sha256"] = digest.hexdigest()


def by_synced_loop(path: Path, patterns: Array, target: Path) -> None:
    """Copy with h5py, and wait until the disk has it."""
    by_loop(path, patterns, target)
    with target.open("rb+") as file:
        os.fsync(file.fileno())


def by_copy(path: Path, patterns: Array, target: Path) -> None:
    """Copy the file as it is."""
    shutil.copyfile(path, target)


MAKERS = {"npy": make_npy, "raw": make_raw, "blo": make_blo, "mib": make_mib}
WAYS: dict[str, Way] = {
    "h5py loop + sha256": by_loop,
    "h5py loop + sha256 + fsync": by_synced_loop,
    "copy of the file": by_copy,
    "usidx": by_usidx,
}


def _time(way: Way, path: Path, patterns: Array) -> tuple[float, float]:
    target = path.with_name("target.h5")
    os.sync()  # What earlier runs left to be written is not this run's cost.
    start, worked = time.perf_counter(), time.process_time()
    way(path, patterns, target)
    taken = time.perf_counter() - start, time.process_time() - worked
    target.unlink()
    return taken


def measure(megabytes: int, rounds: int, folder: Path) -> Iterator[str]:
    """Yield the rows of the table."""
    yield f"| {megabytes} MiB, median of {rounds} | way | seconds | speed, loop = 1 | processor seconds |"
    yield "|---" * 5 + "|"
    for kind, make in MAKERS.items():
        path, patterns = make(folder, megabytes)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
        for _ in range(rounds):
            for name, way in WAYS.items():
                taken[name].append(_time(way, path, patterns))
        loop = [seconds for seconds, _ in next(iter(taken.values()))]
        for name, runs in taken.items():
            seconds = [one for one, _ in runs]
            ratio = statistics.median(a / b for a, b in zip(loop, seconds, strict=True))
            spread = f"{statistics.median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"
            yield f"| {kind} | {name} | {spread} | {ratio:.2f} | {statistics.median(one for _, one in runs):.2f} |"
        path.unlink()


def main() -> None:
    """Read the options and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for line in measure(options.megabytes, options.rounds, Path(folder)):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
