"""Several who iterate over the same blocks read each of them once for all, on threads and on a cluster."""

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.clusters import QUIET, start_cluster
from usidx.tasks.blocks import Blocks, Rows
from usidx.tasks.passes import plan_passes
from usidx.tasks.pool import meet

pytest.importorskip("distributed")
pytestmark = QUIET

VALUES = np.arange(40.0)[:, np.newaxis] + np.linspace(0, 0.5, 6)
BLOCKS = 8


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    with start_cluster(processes=False) as client:
        yield client


@pytest.fixture(params=["threads", "cluster"])
def machine(request: pytest.FixtureRequest, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    scheduler = {"scheduler": "threads"} if request.param == "threads" else {}
    with dask.config.set({"usidx.keep-blocks": 0, **scheduler}):
        yield request.param


def note_read(block: Any, path: str) -> Any:
    with open(path, "a") as file:
        file.write("r")
    return np.array(block)


def read_rows(log: Path) -> Any:
    rows = da.from_array(VALUES, chunks=(5, 6))
    return rows.map_blocks(note_read, str(log), meta=np.empty((0, 0)))


def sum_rows(block: Any, factor: float = 1) -> Any:
    return factor * block.sum(axis=0)


def keep_rows(block: Any, state: Any) -> tuple[int, Any]:
    return len(block), block[:, 0] if state is None else state + 1


def fold_often(blocks: Blocks, times: int) -> list[Any]:
    return [blocks.fold(sum_rows, operator.add, float(k)) for k in range(times)]


@dataclass(frozen=True)
class Found:
    sample: Any
    means: list[float]
    rows: Rows


def use_all(blocks: Blocks) -> Found:
    sample = blocks.sample(40)
    _, states = blocks.fold_states(keep_rows, operator.add, [None] * len(blocks.sizes))
    means = blocks.map(np.mean)
    _, states = blocks.fold_states(keep_rows, operator.add, states)
    return Found(sample, [float(mean) for mean in means], Rows(states, blocks.sizes))


def test_passes_over_the_same_blocks_are_one(machine: str, tmp_path: Path) -> None:
    log = tmp_path / "reads"
    passes = plan_passes(read_rows(log))
    often, all_ = passes.iterate(fold_often, 6), passes.iterate(use_all)
    rows = passes.split(all_, "rows", 1, np.float64)
    longer = passes.pick_array(often, None, (6, 6), np.float64)
    sample = passes.pick_array(all_, "sample", (40, 6), np.float64)
    means = passes.pick_array(all_, "means", (BLOCKS,), np.float64)
    found = usidx.compute(longer, sample, means, rows, progress=False)
    np.testing.assert_allclose(found[0], np.arange(6.0)[:, np.newaxis] * VALUES.sum(axis=0))
    np.testing.assert_array_equal(found[1], VALUES)
    np.testing.assert_allclose(found[2], VALUES.reshape(BLOCKS, -1).mean(axis=1))
    np.testing.assert_array_equal(found[3][:, 0], VALUES[:, 0] + 1)
    assert len(log.read_text()) == 6 * BLOCKS


def list_verbs(data: xr.DataArray) -> list[xr.Dataset]:
    return [
        data.usid.svd(2, solver="adaptive"),
        data.usid.cluster("kmeans", 3, max_iter=5),
        data.usid.nmf(2, max_iter=6, tol=0),
    ]


def test_verbs_share_their_passes(machine: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.dirichlet([0.4] * 3, (16, 10)) @ rng.random((3, 24)) + 0.01 * rng.random((16, 10, 24))
    data = xr.DataArray(values, {"Bias": np.arange(24.0)}, ("Y", "X", "Bias"), "Raw").chunk({"Y": 2})
    data = usidx.set_roles(data, position=["Y", "X"], spectroscopic="Bias")

    def read(log: Path) -> xr.DataArray:
        return data.copy(data=data.data.map_blocks(note_read, str(log), meta=np.empty((0, 0, 0))))

    alone, reads = [], []
    for number in range(3):
        log = tmp_path / f"{number}"
        alone.append(usidx.compute(list_verbs(read(log))[number], progress=False))
        reads.append(len(log.read_text()))
    together = usidx.compute(*list_verbs(read(tmp_path / "all")), progress=False)
    assert len((tmp_path / "all").read_text()) == max(reads)
    for one, other in zip(together, alone, strict=True):
        xr.testing.assert_allclose(one, other, rtol=1e-9)


def refuse(blocks: Blocks) -> None:
    blocks.fold(sum_rows, operator.add)
    raise ValueError("not these blocks")


def test_an_error_of_one_is_the_error(machine: str, tmp_path: Path) -> None:
    passes = plan_passes(read_rows(tmp_path / "reads"))
    found = [passes.pick_array(passes.iterate(*one), None, (6, 6), float) for one in ((fold_often, 6), (refuse,))]
    with pytest.raises(ValueError, match="not these blocks"):
        usidx.compute(*found, progress=False)


def test_what_rests_on_another_comes_after_it(machine: str, tmp_path: Path) -> None:
    log = tmp_path / "reads"
    passes = plan_passes(read_rows(log))
    first = passes.iterate(fold_often, 2)
    second = passes.iterate(scale, first)
    third = passes.iterate(fold_often, 3)
    found = usidx.compute(
        *(passes.pick_array(one, None, (n, 6), float) for one, n in ((second, 1), (third, 3))), progress=False
    )
    np.testing.assert_allclose(found[0][0], VALUES.sum(axis=0) ** 2)
    np.testing.assert_allclose(found[1][2], 2 * VALUES.sum(axis=0))
    assert len(log.read_text()) == (3 + 1) * BLOCKS


def scale(blocks: Blocks, found: list[Any]) -> list[Any]:
    return [blocks.fold(sum_rows, operator.add) * found[1]]


def test_calls_meet_until_each_is_done() -> None:
    def count(most: int) -> Callable[[Any], list[int]]:
        return lambda ask: [ask(number) for number in range(most)]

    met: list[list[int]] = []

    def answer(asked: list[int]) -> list[int]:
        met.append(asked)
        return [10 * one for one in asked]

    assert meet([count(1), count(3), count(0)], answer) == [[0], [0, 10, 20], []]
    assert met == [[0, 0], [1], [2]]


def test_an_error_of_the_answer_ends_all() -> None:
    ended: list[str] = []

    def ask_once(ask: Any) -> None:
        try:
            ask(1)
        finally:
            ended.append("")

    def fail(_asked: list[Any]) -> list[Any]:
        raise ZeroDivisionError("in the answer")

    with pytest.raises(ZeroDivisionError, match="in the answer"):
        meet([ask_once, ask_once], fail)
    assert len(ended) == 2
