"""The table of docs/scaling.md that says how often each verb reads a file, counted."""

import re
import threading
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.tasks import passes

TABLE = re.findall(
    r"^\| `(raw\.usid\..*)` \| (\d+) \|$", (Path(__file__).parent.parent / "docs/scaling.md").read_text(), re.M
)
BLOCKS, ROWS, STEPS = 16, 1024, 64


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing be small enough to be held between passes."""
    monkeypatch.setattr(passes, "_HELD_BYTES", 1)


@pytest.fixture
def reads() -> list[int]:
    return []


@pytest.fixture
def raw(reads: list[int]) -> xr.DataArray:
    rng = np.random.default_rng(0)
    cells = np.abs(rng.normal(size=(ROWS, 4))) @ np.abs(rng.normal(size=(4, STEPS)))
    cells = (cells + 0.01 * np.abs(rng.normal(size=cells.shape))).astype("f4")
    lock, height = threading.Lock(), ROWS // BLOCKS

    def read(first: np.ndarray[Any, Any]) -> Any:
        with lock:
            reads.append(int(first[0, 0]))
        return cells[first[0, 0] : first[0, 0] + height]

    starts = da.from_array(np.arange(0, ROWS, height)[:, None], chunks=(1, 1))
    blocks = starts.map_blocks(read, chunks=((height,) * BLOCKS, (STEPS,)), dtype="f4", meta=np.empty((0, 0), "f4"))
    made = xr.DataArray(blocks, dims=("position", "Bias"), coords={"Bias": np.linspace(-1, 1, STEPS)}, name="raw")
    return made.assign_coords(position=np.arange(ROWS)).usid.set_roles(position=["position"], spectroscopic=["Bias"])


def test_the_table_is_found() -> None:
    assert len(TABLE) >= 8


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize(("call", "promised"), TABLE, ids=[call for call, _ in TABLE])
def test_passes(raw: xr.DataArray, reads: list[int], call: str, promised: str) -> None:
    made = eval(call.replace("`, `", ", "), {"raw": raw, "usidx": usidx})
    results = made if isinstance(made, tuple) else (made,)
    assert reads == []  # lazy
    usidx.compute(*results)
    counts = [reads.count(first) for first in range(0, ROWS, ROWS // BLOCKS)]
    assert counts == [int(promised)] * BLOCKS
