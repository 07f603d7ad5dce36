"""Run the benchmarks and put their tables into docs/performance.md.

    python tests/benchmarks/tables.py [--only read write ...] [--quick] [--folder DIRECTORY] [--print]

Each benchmark is a program of its own beside this one, and runs in a process of its own. Peers that are not installed
are left out; ``pip install -e ".[test,bench]"`` brings all of them. The folder holds the files that are read and
written: without one, memory where the system has it (/dev/shm), so that the programs are measured and not the disk.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parent.parent / "docs" / "performance.md"
# Old kernels that some machines are told to use; they say nothing of this one.
_KERNELS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")
_PACKAGES = (
    "usidx", "numpy", "scipy", "dask", "xarray", "h5py", "numba", "scikit-learn", "isal", "deflate", "pyUSID",
    "h5netcdf", "lmfit", "hyperspy", "xeofs", "sidpy", "dask-ml",
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """One program: its file, and its options for the page and for a quick look."""

    program: str
    full: Sequence[str]
    quick: Sequence[str]
    has_files: bool = True


BENCHMARKS = {
    "read": Benchmark("read_speed.py", ("--size", "1024", "--rounds", "5"), ("--size", "64", "--rounds", "3")),
    "write": Benchmark("write_speed.py", ("--megabytes", "1024"), ("--megabytes", "64", "--rounds", "3")),
    "convert": Benchmark("convert_speed.py", ("--megabytes", "512"), ("--megabytes", "16", "--rounds", "2")),
    "append": Benchmark("append_speed.py", ("--megabytes", "500"), ("--megabytes", "32", "--rounds", "3")),
    "memory": Benchmark("memory_use.py", ("--sizes", "256", "1024"), ("--sizes", "16", "32", "--scan", "16")),
    "learn": Benchmark("learn_speed.py", ("--size", "1", "--rounds", "3"), ("--size", "0.05", "--rounds", "2")),
    "signal": Benchmark("signal_speed.py", ("--rows", "4096"), ("--rows", "256", "--rounds", "1"), has_files=False),
    "image": Benchmark("image_speed.py", ("--seeds", "2"), ("--seeds", "1"), has_files=False),
    "atoms": Benchmark("atoms_speed.py", ("--rounds", "5"), ("--rounds", "1"), has_files=False),
    "diffraction": Benchmark("diffraction_speed.py", ("--size", "64"), ("--size", "4", "--rounds", "1")),
    "fit": Benchmark(
        "fit_speed.py", ("--spectra", "100000"), ("--spectra", "4000", "--few", "50", "--rounds", "3"), has_files=False
    ),
}


def machine() -> str:
    """Say what the tables were measured on."""
    rows = [("processor", f"{_processor()}, {os.cpu_count()} cores"), ("memory", f"{_memory():.0f} GiB")]
    rows += [("system", f"{platform.system()} {platform.machine()}"), ("Python", platform.python_version())]
    rows += [("packages", ", ".join(f"{name} {version}" for name in _PACKAGES if (version := _version(name))))]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.MULTILINE) if info.exists() else None
    return found[1].strip() if found else platform.processor() or "unknown"


def _memory() -> float:
    """Return GiB."""
    if not hasattr(os, "sysconf"):
        return float("nan")
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def run(benchmark: Benchmark, folder: Path | None, *, quick: bool) -> str:
    """Return the table of one benchmark."""
    options = [*(benchmark.quick if quick else benchmark.full)]
    if benchmark.has_files and folder is not None:
        options += ["--folder", str(folder)]
    env = {name: value for name, value in os.environ.items() if name not in _KERNELS}
    command = [sys.executable, str(HERE / benchmark.program), *options]
    sys.stderr.write(f"{benchmark.program} {' '.join(options)}\n")
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, env=env, check=True).stdout.strip()


def put(page: str, name: str, table: str) -> str:
    """Put a table between its marks.

    Raises
    ------
    SystemExit
        The page has no such marks.
    """
    marks = f"<!-- measured: {name} -->", "<!-- end -->"
    pattern = re.compile(f"({re.escape(marks[0])}\n).*?({re.escape(marks[1])})", re.DOTALL)
    if not pattern.search(page):
        raise SystemExit(f"{PAGE.name} has no place for {name!r}: no {marks[0]} ... {marks[1]} in it.")
    return pattern.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def main() -> None:
    """Read the options, run what is asked for, and write the page after each benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="small data; ratios of small data are not worth keeping")
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    parser.add_argument("--print", action="store_true", help="write the tables to the terminal, not into the page")
    options = parser.parse_args()
    for name, table in [("machine", machine()), *((name, None) for name in options.only)]:
        found = table or run(BENCHMARKS[name], options.folder, quick=options.quick)
        if options.print:
            sys.stdout.write(f"\n{found}\n")
        else:
            PAGE.write_text(put(PAGE.read_text(), name, found))


if __name__ == "__main__":
    main()
