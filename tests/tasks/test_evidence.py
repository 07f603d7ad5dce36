"""What graphs are made of: functions, arrays that they hold or read; names given by hand prove nothing."""

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.tasks.evidence import (
    Operation,
    UnprovenError,
    collect_evidence,
    collect_layers,
    find_opened,
    find_operations,
    read_token,
)
from usidx.testing.measurements import snake_file


def add(block: Any) -> Any:
    return block + 1


@pytest.fixture
def raw(tmp_path: Path) -> xr.DataArray:
    return usidx.open_main(snake_file(tmp_path / "scan.h5").path, chunks={"Y": 1})


def evidence_of(array: xr.DataArray) -> Any:
    return collect_evidence(collect_layers([array.data]))


def test_opened_arrays_are_found_behind_selections_and_verbs(raw: xr.DataArray) -> None:
    for made in (
        raw,
        raw.isel(X=0),
        abs(raw),
        raw.usid.svd(2).scores,
        xr.concat([raw, raw], "Cycle"),
        abs(raw).usid.nmf(2).components,
    ):
        datasets = {stored.dataset for stored in evidence_of(made).opened.values()}
        assert datasets == {"/Measurement_000/Channel_000/Raw_Data"}
        assert {stored.dataset for stored in find_opened(collect_layers([made.data])).values()} == datasets


def test_functions_of_the_user_are_found(raw: xr.DataArray) -> None:
    mapped = xr.apply_ufunc(add, raw, dask="parallelized", output_dtypes=[raw.dtype])
    assert add in evidence_of(mapped).functions.values()
    assert add not in evidence_of(raw).functions.values()


def test_blocks_that_were_computed_before_are_held(raw: xr.DataArray) -> None:
    assert not evidence_of(raw).held
    held = evidence_of(raw.persist()).held
    assert len(held) == raw.data.npartitions
    assert sum(block.size for block in held.values()) == raw.size


def test_names_given_by_hand_prove_nothing() -> None:
    named = da.from_array(np.arange(4), chunks=2, name="by-hand")
    with pytest.raises(UnprovenError, match=r"'.*by-hand.*' was named by hand"):
        collect_evidence(collect_layers([named]))
    assert read_token("by-hand") == "by-hand"
    token = "0123456789abcdef" * 2
    assert read_token(f"<object at 0x7f>-{token}") == token


def opened(name: str) -> bool:
    return name.startswith("usid-")


def test_selections_are_told_from_computations(raw: xr.DataArray) -> None:
    assert find_operations(raw.isel(X=[2, 0], Y=0).transpose().data, opened) == []
    assert find_operations((raw + raw.mean()).isel(X=0).data, opened) is None
    assert find_operations(raw.cumsum("X").data, opened) is None


def test_what_is_done_to_each_cell_is_read_from_the_graph_in_order(raw: xr.DataArray) -> None:
    half = np.float32(0.5)
    changed = (3 - abs(raw).isel(X=slice(1, None)).astype("complex64") * half) ** 2
    found = find_operations(changed.data, opened)
    assert found == [
        Operation("abs"),
        Operation("astype", "complex64"),
        Operation("mul", half),
        Operation("sub", 3, is_number_first=True),
        Operation("pow", 2),
    ]
    assert found is not None
    assert type(found[2].number) is np.float32


@pytest.mark.parametrize(
    "change",
    [lambda a: a * a, lambda a: a + xr.DataArray(1.0), lambda a: a > 0, lambda a: a.where(a > 0)],
    ids=range(4),
)
def test_other_computations_are_not_read(raw: xr.DataArray, change: Any) -> None:
    assert find_operations(change(raw).data, opened) is None
