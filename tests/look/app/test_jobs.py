"""An analysis tells how far it is, ends when it is cancelled, and can be written down as Python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.look.app.analyses import ANALYSES
from usidx.look.app.jobs import compute_outcome, watch, write_notebook, write_outcome, write_recipe
from usidx.look.explorer.reading.work import Cancelled, Task

RAW = "/Measurement_000/Channel_000/Raw_Data"


def test_cancelled_work_computes_no_more_blocks() -> None:
    task, computed = Task("analysis", "NMF", lambda _: None), list[int]()

    def block(values: Any) -> Any:
        computed.append(1)
        task.cancel()
        return values

    lazy = xr.DataArray(da.zeros(400, chunks=1)).copy()
    lazy.data = da.map_blocks(block, lazy.data, dtype=float, meta=np.empty(0))
    with pytest.raises(Cancelled), watch(task):
        usidx.compute(lazy, progress=False)
    # Those that had begun by then come to their end.
    assert len(computed) < 400


def test_cancelled_iterations_end() -> None:
    raw = abs(usidx.simulate.band_excitation((8, 8), 16)[0]).chunk(Y=2)
    told: list[str] = []

    class Impatient(Task):
        """Cancels itself when the first iteration is told."""

        def tell(self, done: float, text: str | None = None) -> None:
            if text is not None:
                told.append(text)
                self.cancel()
            super().tell(done, text)

    task = Impatient("analysis", "NMF", lambda _: None)
    with pytest.raises(Cancelled), watch(task):
        usidx.compute(raw.usid.nmf(2, tol=0, max_iter=200), progress=False)
    assert len(told) == 1


def test_an_outcome_is_written_and_told(tmp_path: Path) -> None:
    path = Path(usidx.example_file(tmp_path / "scan.h5"))
    task = Task("analysis", "SVD", lambda _: None)
    svd = next(a for a in ANALYSES if a.title == "SVD")
    outcome = compute_outcome(task, path, RAW, "Raw_Data", svd, {"n": 2}, is_result=False)
    expected = usidx.open_main(path).usid.svd(2).singular_values.values
    np.testing.assert_allclose(outcome.data.singular_values, expected, rtol=1e-6)
    group = write_outcome(task, outcome)
    assert usidx.open_result(path, group).sizes["component"] == 2
    cells = json.loads(write_notebook(outcome, "SVD"))["cells"]
    sources = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    scope: dict[str, Any] = {}
    exec("\n".join(sources), scope)
    np.testing.assert_allclose(scope["result"].singular_values, expected, rtol=1e-6)
    assert 'verb = "svd"' in write_recipe(outcome).decode()
