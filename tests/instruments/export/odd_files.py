"""Files that are stored, ordered and named in ways that exports stumble over, each with what must come out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from usidx.testing.files import Expected, build_main
from usidx.testing.measurements import aborted_file, beps_file, distinct, forc_file, raster, sparse_file

__all__ = ["IN_FILE", "ODD", "build"]

SWEEP = [("Frequency", "Hz", np.linspace(1e5, 2e5, 6))]
GZIP = {"compression": "gzip", "shuffle": True}

Build = Callable[[Path], Expected]


def build(path: Path, dtype: str = "f4", rows: int = 4, **options: Any) -> Expected:
    """Build a main of rows x 6 positions and 6 steps."""
    return build_main(path, distinct((rows, 6, 6), dtype=dtype), raster(rows, 6), SWEEP, **options)


def build_fields(path: Path) -> Expected:
    fields = np.zeros((4, 6), [("Amplitude [V]", "f4"), ("Phase [rad]", "f8")])
    fields["Amplitude [V]"], fields["Phase [rad]"] = distinct((4, 6)), distinct((4, 6), seed=1)
    return build_main(path, fields, raster(4, 6))


#: What a reference can say: chunks are boxes of the grid, or the data is contiguous.
IN_FILE: dict[str, Build] = {
    "contiguous": build,
    "a line in a chunk": lambda path: build(path, storage={"chunks": (6, 6), **GZIP}),
    "parts of lines": lambda path: build(path, storage={"chunks": (3, 2), "compression": "gzip", "fletcher32": True}),
    "lines that stick out": lambda path: build(path, rows=5, storage={"chunks": (12, 4), **GZIP}),
    "chunks without filters": lambda path: build(path, storage={"chunks": (12, 6)}),
    "complex64": lambda path: build(path, "c8", storage={"chunks": (6, 6), **GZIP}),
    "complex128": lambda path: build(path, "c16"),
    "big-endian": lambda path: build(path, ">f8"),
    "uint16": lambda path: build(path, "u2", storage={"chunks": (6, 6), **GZIP}),
    "bool": lambda path: build_main(path, distinct((4, 6, 6)) > 50, raster(4, 6), SWEEP),
    "zeros": lambda path: build_main(path, np.zeros((4, 6, 6), "f4"), raster(4, 6), SWEEP, storage={"chunks": (6, 6)}),
    "snake": lambda path: build(path, row_order="snake"),
    "reversed": lambda path: build(path, row_order="reversed"),
    "random": lambda path: build(path, row_order="random"),
    "random, a row in a chunk": lambda path: build(path, row_order="random", storage={"chunks": (1, 6), **GZIP}),
    "one line": lambda path: build(path, rows=1),
    "one position": lambda path: build_main(path, distinct((1, 6)), [("Y", "m", [2.0])], SWEEP),
    "one cell": lambda path: build_main(path, distinct((1,)), [("Y", "m", [2.0])]),
    "image": lambda path: build_main(path, distinct((4, 6)), raster(4, 6)),
    "compound": build_fields,
    "band excitation": beps_file,
    "dependent": forc_file,
    "sparse": sparse_file,
    "aborted": aborted_file,
    "odd names": lambda path: build_main(
        path,
        distinct((4, 6, 6)),
        [("Y/a", "m", np.arange(4.0)), ("X b", "µm", np.arange(6.0))],
        SWEEP,
        name="Raw [a]",
        units="nA/√Hz",
    ),
}

#: What is exported by copying only.
ODD: dict[str, Build] = {
    **IN_FILE,
    "chunks across lines": lambda path: build(path, storage={"chunks": (5, 6), **GZIP}),
    "snake in chunks": lambda path: build(path, row_order="snake", storage={"chunks": (6, 6), **GZIP}),
    "columns at random": lambda path: build(path, step_order="random"),
}
