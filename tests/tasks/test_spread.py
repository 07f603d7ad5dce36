"""Iterations on a cluster: folds by all workers, blocks that stay where they are, workers that die."""

import gc
import operator
import os
import signal
import time
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from tests.kit.clusters import QUIET, start_cluster
from usidx.tasks.blocks import Blocks, Changed, Rows
from usidx.tasks.folds import _wait_a_while
from usidx.tasks.graph import Detached, Plan
from usidx.tasks.passes import plan_passes
from usidx.tasks.spread import _choose_part

distributed = pytest.importorskip("distributed")
SchedulerPlugin = distributed.SchedulerPlugin
pytestmark = QUIET

ROWS, COLUMNS = 40, 64
VALUES = np.arange(ROWS, dtype=np.float64)[:, np.newaxis] + np.linspace(0, 0.5, COLUMNS)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster(3, processes=False) as client:
        yield client


@pytest.fixture(autouse=True)
def always_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)


def make_rows(wide: int = COLUMNS) -> Any:
    """Give the values as a graph of nine blocks that are made when they are asked for."""
    return da.from_array(VALUES[:, :wide], chunks=(5, wide)).map_blocks(np.array)


def sum_rows(block: Any, factor: float = 1) -> Any:
    return factor * block.sum(axis=0)


def note_read(block: Any, path: str) -> Any:
    with open(path, "a") as file:
        file.write("r")
    return block


def number_block(block: Any, state: Any, step: int) -> tuple[int, int]:
    before = 0 if state is None else state
    return len(block), before + step


def find_worker(_block: Any) -> str:
    return str(distributed.get_worker().address)


def call_on_worker(item: int, factor: Any) -> tuple[int, str]:
    return int(item * factor.sum()), str(distributed.get_worker().address)


def use_all(blocks: Blocks) -> dict[str, Any]:
    first, states = blocks.fold_states(number_block, operator.add, [None] * len(blocks.sizes), 2)
    _, states = blocks.fold_states(number_block, operator.add, states, 5)
    return {
        "sum": blocks.fold(sum_rows, operator.add, 2.0),
        "changed": Changed(blocks, np.negative).fold(sum_rows, operator.add),
        "rows": first,
        "states": list(states),
        "one": states[1],
        "means": blocks.map(lambda block, less: block.mean() - less, 1.0),
        "sample": blocks.sample(ROWS),
        "each": [block[0, 0] for block in blocks.read_each()],
        "workers": blocks.map(find_worker),
        "called": Changed(blocks, np.negative).call_each(call_on_worker, [1, 2, 3], np.full(2**18, 2)),
    }


def test_folds_are_those_of_numpy(client: Any) -> None:
    found = plan_passes(make_rows()).iterate(use_all).compute()
    np.testing.assert_allclose(found["sum"], 2 * VALUES.sum(axis=0))
    np.testing.assert_allclose(found["changed"], -VALUES.sum(axis=0))
    assert found["rows"] == ROWS
    assert (found["states"], found["one"]) == ([7] * 8, 7)
    np.testing.assert_allclose(found["means"], VALUES.reshape(8, -1).mean(axis=1) - 1)
    np.testing.assert_array_equal(found["sample"], VALUES)
    assert found["each"] == VALUES[::5, 0].tolist()
    assert len(set(found["workers"])) > 1
    values, workers = zip(*found["called"], strict=True)
    assert values == (2**19, 2**20, 3 * 2**19)
    assert len(set(workers)) > 1


def sum_roughly(block: Any) -> Any:
    """Return sums of numbers whose order shows in the last bits."""
    return np.tan(block.sum(axis=0))


def sum_states_roughly(block: Any, state: Any) -> tuple[Any, Any]:
    state = np.zeros(block.shape[1]) if state is None else state
    return sum_roughly(block) + state, state + sum_roughly(block)


def use_parts(blocks: Blocks, _each: int) -> Any:
    plain = blocks.fold(sum_roughly, operator.add)
    first, states = blocks.fold_states(sum_states_roughly, operator.add, [None] * len(blocks.sizes))
    second, states = blocks.fold_states(sum_states_roughly, operator.add, states)
    numbers = blocks.run(lambda _block, number: [number], list.__add__)
    few = blocks.sample(3)
    return np.concatenate([plain, first, second, *states, states[3], numbers, few.ravel()])


@pytest.mark.parametrize("keep", [0.3, 0])
def test_how_many_blocks_make_a_part_changes_no_bit(keep: float, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = da.from_array(VALUES, chunks=(2, COLUMNS)).map_blocks(np.array)[:38]  # 19 blocks: no power of two
    found = []
    for each in (1, 2, 4, 8, 32):
        monkeypatch.setattr("usidx.tasks.spread._choose_part", lambda *_, each=each: each)
        with dask.config.set({"usidx.keep-blocks": keep}):
            # Each is a task of its own: distributed of 2025 may hang where the same one is asked for again at once.
            found.append(plan_passes(rows).iterate(use_parts, each).compute())
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    np.testing.assert_allclose(found[0][:COLUMNS], np.tan(VALUES[:38].reshape(19, 2, COLUMNS).sum(axis=1)).sum(axis=0))
    assert len(found[0]) == (3 + 19 + 1) * COLUMNS + 19 + 3 * COLUMNS


@pytest.mark.parametrize(
    ("blocks", "rows", "threads", "each"),
    [
        (64, 1, 16, 1),  # two tasks a thread are too few
        (256, 1, 16, 4),
        (6000, 1, 4, 512),
        (6000, 1000, 4, 2),  # of 8 MB
        (6000, 4000, 4, 1),
        (1, 1, 1, 1),
    ],
)
def test_parts_hold_small_blocks_and_leave_every_thread_more_than_two(
    blocks: int, rows: int, threads: int, each: int
) -> None:
    nbytes = blocks * rows * 8000
    plan = Plan(Detached({}, [], [], []), "", "", [rows] * blocks, nbytes, 0)
    assert _choose_part(plan, 2 * threads) == each
    assert each == 1 or (-(-blocks // each) > 2 * threads and each * rows * 8000 <= 2**24)


def find_worker_slowly(block: Any) -> str:
    time.sleep(0.03)
    return find_worker(block)


def find_workers(blocks: Blocks) -> list[list[str]]:
    return [list(blocks.map(find_worker_slowly)) for _ in range(3)]


def test_few_blocks_are_shared_out_evenly(client: Any) -> None:
    rows = da.from_array(VALUES, chunks=(7, COLUMNS)).map_blocks(np.array)  # 6 blocks: two for each worker
    with dask.config.set({"usidx.keep-blocks": 0}):
        found = plan_passes(rows).iterate(find_workers).compute()
    assert [len(workers) for workers in found] == [6, 6, 6]
    assert max(len(set(workers)) for workers in found) == 3  # one that is slow may lose its blocks to others once


def test_an_error_of_a_block_is_the_error(client: Any) -> None:
    def refuse(_block: Any) -> None:
        raise ValueError("not this block")

    with pytest.raises(ValueError, match="not this block"):
        plan_passes(make_rows()).iterate(lambda blocks: blocks.fold(refuse, operator.add)).compute()


def list_left(dask_scheduler: Any) -> tuple[list[str], list[Any], list[str]]:
    """Return the tasks, what is kept for them, and who holds results: the keeper is no client."""
    keeper = dask_scheduler.plugins["usidx-keeper"]
    holders = [name for name in dask_scheduler.clients if name.startswith("usidx")]
    return [str(key) for key in dask_scheduler.tasks], list(keeper.kept), holders


def test_nothing_is_left_on_the_cluster(client: Any) -> None:
    plan_passes(make_rows()).iterate(use_all).compute()
    for _ in range(100):
        left = client.run_on_scheduler(list_left)
        if left == ([], [], []):
            break
        time.sleep(0.1)
    assert left == ([], [], [])


def wait_for_event() -> None:
    distributed.Event("go on").wait()


class Marker:
    """Something that may be held."""


def test_waiting_in_vain_holds_nothing_of_who_waited(client: Any) -> None:
    future = client.submit(wait_for_event, pure=False)

    def wait_beside(_held: Marker) -> None:
        _wait_a_while([future], 0.01)

    marker = Marker()
    held = weakref.ref(marker)
    gc.disable()
    try:
        wait_beside(marker)
        del marker
        assert held() is None
    finally:
        gc.enable()
        distributed.Event("go on", client=client).set()


def test_persisted_blocks_stay_where_they_are(client: Any) -> None:
    rows = da.ones((40, 2**18), chunks=(5, 2**18)).persist()  # 10 MiB each: moving one takes longer than summing it
    distributed.wait(rows)
    found = plan_passes(rows).iterate(lambda blocks: [blocks.fold(sum_rows, operator.add)[0] for _ in range(4)])
    assert found.compute() == [40] * 4
    # The scheduler may copy a block to a worker that is idle, and drop the first of both; it gathers them nowhere.
    held = Counter(worker for workers in client.who_has(rows).values() for worker in workers)
    assert 8 <= held.total() <= 8 + 4
    assert max(held.values()) < 8


@pytest.mark.parametrize(("keep", "reads"), [(0.3, 1), (0, 4)])
def test_blocks_are_kept_between_passes(keep: float, reads: int, client: Any, tmp_path: Path) -> None:
    log = tmp_path / "reads"
    rows = make_rows().map_blocks(note_read, str(log), meta=np.empty((0, 0)))
    with dask.config.set({"usidx.keep-blocks": keep}):
        found = plan_passes(rows).iterate(lambda blocks: [blocks.fold(sum_rows, operator.add)[0] for _ in range(4)])
        assert found.compute() == [VALUES[:, 0].sum()] * 4
    assert len(log.read_text()) == 8 * reads


def test_persisted_blocks_outlive_their_array(client: Any) -> None:
    rows = make_rows().persist()
    total = plan_passes(rows).iterate(lambda blocks: blocks.fold(sum_rows, operator.add)).persist()
    del rows
    np.testing.assert_allclose(total.compute(), VALUES.sum(axis=0))


def keep_rows(block: Any, _state: None) -> tuple[float, tuple[Any, Any]]:
    return float(block.sum()), (block[:, 0], find_worker(block))


def keep_first_cells(blocks: Blocks) -> Rows:
    _, states = blocks.fold_states(keep_rows, operator.add, [None] * len(blocks.sizes))
    return Rows(states, blocks.sizes).change(operator.itemgetter(0)).change(operator.mul, 2)


def pass_on(_blocks: Blocks, found: Rows) -> Rows:
    return found


def test_iterations_that_dask_makes_one_task_of(client: Any) -> None:
    """Over a single block each is needed by one task alone."""
    passes = plan_passes(da.arange(50.0, chunks=50)[:, np.newaxis])
    second = passes.iterate(pass_on, passes.iterate(keep_first_cells))
    for _ in range(2):
        found = passes.split(second, None, 1, np.float64).compute()
        np.testing.assert_array_equal(found[:, 0], 2 * np.arange(50.0))


class Watch(SchedulerPlugin):  # type: ignore[misc,valid-type,unused-ignore]
    """Notes the bytes of each result, and how many workers ran the tasks of each name."""

    name = "watch"

    def __init__(self) -> None:
        self.largest: dict[str, int] = {}
        self.workers: dict[str, set[str]] = {}

    async def start(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        if finish == "memory" and start == "processing":
            name = distributed.utils.key_split(key)
            self.largest[name] = max(self.largest.get(name, 0), kwargs["nbytes"])
            self.workers.setdefault(name, set()).add(kwargs["worker"])


def read_watch(dask_scheduler: Any) -> tuple[dict[str, int], dict[str, set[str]]]:
    watch = dask_scheduler.plugins["watch"]
    return watch.largest, watch.workers


def test_rows_are_left_where_they_are_found(client: Any) -> None:
    rows = da.arange(40_000.0, chunks=5000)[:, np.newaxis]
    client.register_plugin(Watch())
    passes = plan_passes(rows)
    first = passes.split(passes.iterate(keep_first_cells), None, 1, np.float64)
    np.testing.assert_array_equal(first.compute()[:, 0], 2 * np.arange(40_000.0))
    largest, workers = client.run_on_scheduler(read_watch)
    client.unregister_scheduler_plugin("watch")
    assert largest["usidx-rows"] >= 8 * 5000  # those of one block
    assert largest["usidx-barrier"] < 8 * 5000
    assert len(workers["usidx-rows"]) > 1


FOLDS = 6


def iterate_slowly(blocks: Blocks, path: str, folds: int = FOLDS) -> list[float]:
    """Note each fold that reads, and the process; states go from fold to fold."""
    found: list[Any] = []
    states: Sequence[Any] = [None] * len(blocks.sizes)
    for number in range(folds):
        total, states = blocks.fold_states(partial(add_slowly, path=path, number=number), operator.add, states)
        found.append(total)
    return [*found, *states]


def add_slowly(block: Any, state: Any, path: str, number: int) -> tuple[float, float]:
    with open(path, "a") as file:
        file.write(f"{number}\n")
    time.sleep(0.05)
    state = 0.0 if state is None else state
    return float(block[0, 0]) + state, state + 1


@pytest.mark.slow
def test_the_worker_that_iterates_may_die(tmp_path: Path) -> None:
    path = str(log := tmp_path / "folds")
    with dask.config.set({"distributed.scheduler.allowed-failures": 5}), start_cluster(3) as client:
        running = plan_passes(make_rows(8)).iterate(iterate_slowly, path).persist()
        while not log.exists() or "3" not in log.read_text():
            time.sleep(0.02)
        (address,) = find_runner(client, running)
        pid = client.run(os.getpid, workers=[address])[address]
        os.kill(pid, signal.SIGKILL)
        found = running.compute()
        starts = VALUES[::5, 0].sum()
        assert found == [*(starts + 8 * fold for fold in range(FOLDS)), *[FOLDS] * 8]
        # Fold 0 was not done again for all blocks, only for those whose states the dead worker held.
        assert log.read_text().splitlines().count("0") < 16


def test_what_nobody_waits_for_ends(client: Any, tmp_path: Path) -> None:
    log = tmp_path / "folds"
    running = plan_passes(make_rows(8)).iterate(iterate_slowly, str(log), 1000).persist()
    while not log.exists() or "3" not in log.read_text():
        time.sleep(0.02)
    del running
    before, after = -1, 0
    for _ in range(60):
        time.sleep(1)
        before, after = after, len(log.read_text())
        if before == after:
            break
    assert before == after
    assert after < 8 * 1000


def test_a_worker_may_be_retired_and_another_one_come(client: Any, tmp_path: Path) -> None:
    log = tmp_path / "folds"
    running = plan_passes(make_rows(8)).iterate(iterate_slowly, str(log)).persist()
    while not log.exists() or "2" not in log.read_text():
        time.sleep(0.02)
    client.cluster.scale(4)
    client.retire_workers(find_runner(client, running))
    starts = VALUES[::5, 0].sum()
    assert running.compute() == [*(starts + 8 * fold for fold in range(FOLDS)), *[FOLDS] * 8]


def find_runner(client: Any, running: Any) -> list[str]:
    """Return the worker that runs the task which iterates."""
    key = str(running.key)
    return list(
        client.run_on_scheduler(
            lambda dask_scheduler: [
                ts.processing_on.address for ts in dask_scheduler.tasks.values() if ts.key == key and ts.processing_on
            ]
        )
    )
