"""Histories read as lists of calls."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.legacy import add_svd
from usidx.results.provenance import put_steps
from usidx.results.verbs import record_step
from usidx.testing.measurements import snake_file


def test_a_history_is_a_sequence_of_steps(tmp_path: Path) -> None:
    opened = usidx.open_main(snake_file(tmp_path / "scan.h5").path)
    done = record_step(opened, opened.isel(X=slice(2)), "clean", {"cut": 3, "names": ["a", "b"]})
    found = usidx.history(done)
    assert len(found) == 2
    assert [s["tool"] for s in found] == ["open", "clean"]
    assert found[-1]["tool"] == "clean"
    assert [s["tool"] for s in found[:1]] == ["open"]
    lines = repr(found).splitlines()
    assert lines[0].startswith(f"1. open({tmp_path / 'scan.h5'}, /Measurement_000/Channel_000/Raw_Data, fingerprint=")
    assert lines[1].startswith("2. clean(cut=3, names=['a', 'b']) on ")
    assert "X: 2" in lines[1]


def test_a_selection_is_told_with_its_ends() -> None:
    opened = usidx.open_main(usidx.example_file()).isel(Frequency=slice(4, 20))
    ends = f"{float(opened.Frequency[0]):.4g} to {float(opened.Frequency[-1]):.4g}"
    assert f"Frequency: 16 ({ends})" in repr(opened.usid.svd(2).usid.history)


def test_what_was_done_to_each_cell_is_told() -> None:
    raw = usidx.open_main(usidx.example_file())
    with xr.set_options(keep_attrs=True):  # type: ignore[no-untyped-call]  # as today's xarray does
        told = repr((2 * abs(raw)).astype("float64").usid.svd(2).usid.history)
    assert told.endswith(", after abs, mul 2, astype float64")


@pytest.mark.parametrize("change", [lambda a: a - a.mean(), xr.DataArray.compute], ids=["arithmetic", "in memory"])
def test_what_cannot_be_known_is_said_to_be_unknown(change: Callable[[xr.DataArray], xr.DataArray]) -> None:
    with xr.set_options(keep_attrs=True):  # type: ignore[no-untyped-call]  # as today's xarray does
        changed = change(usidx.open_main(usidx.example_file()))
    assert repr(changed.usid.svd(2).usid.history).endswith(", perhaps after changes that are not recorded")


def test_no_steps() -> None:
    found = usidx.history(xr.DataArray(np.zeros(2)))
    assert repr(found) == "No steps are recorded."
    assert found._repr_html_() == "<p>No steps are recorded.</p>"
    with pytest.raises(IndexError):
        found[0]


def test_html_is_escaped() -> None:
    marked = put_steps(xr.DataArray(np.zeros(2)), [{"tool": "<script>", "parameters": {"a": "<b>"}}])
    assert "<script>" not in usidx.history(marked)._repr_html_()
    assert "&lt;script&gt;" in usidx.history(marked)._repr_html_()


def test_long_parameters_are_cut() -> None:
    marked = put_steps(xr.DataArray(np.zeros(2)), [{"tool": "it", "parameters": {"a": list(range(1000))}}])
    assert len(repr(usidx.history(marked))) < 120
    assert "..." in repr(usidx.history(marked))


@pytest.mark.parametrize(
    "step",
    [
        {"tool": "it"},
        {"tool": "it", "parameters": 3},
        {"tool": "it", "input": 3},
        {"tool": "it", "input": {"since_last_step": {"selection": [1]}}},
        {"tool": "it", "input": {"since_last_step": {"selection": {"X": 3}}}},
        {"tool": "open"},
    ],
    ids=str,
)
def test_steps_of_other_writers_are_shown_as_far_as_they_go(step: dict[str, object]) -> None:
    assert repr(usidx.history(put_steps(xr.DataArray(np.zeros(2)), [step]))).startswith("1. ")


def test_old_results_begin_where_they_were_opened(tmp_path: Path) -> None:
    built = snake_file(tmp_path / "scan.h5")
    add_svd(built)
    assert [s["tool"] for s in usidx.history(usidx.open_result(built.path, "SVD_000"))] == ["open", "svd"]
