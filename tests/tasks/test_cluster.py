"""Tasks on a worker of dask.distributed share its threads."""

import threading
from collections.abc import Iterator
from typing import Any

import dask
import pytest

from tests.kit.clusters import QUIET, start_cluster
from usidx.tasks import threads
from usidx.tasks.cluster import count_cluster_threads
from usidx.tasks.threads import worker_count

pytest.importorskip("distributed")
pytestmark = QUIET


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with start_cluster(1, 4, processes=False) as client:
        yield client


#: What a task shall call, by number: the worker is in this process, but tasks are pickled all the same.
held: dict[int, Any] = {}


def call_held(number: int, _: int) -> None:
    held[number]()


@pytest.mark.parametrize(("count", "expected"), [(1, 4), (2, 2), (4, 1)])
def test_tasks_share_the_threads_of_their_worker(count: int, expected: int, client: Any) -> None:
    meeting = threading.Barrier(count, timeout=60)
    found: list[int] = []

    def ask() -> None:
        meeting.wait()
        found.append(worker_count())
        meeting.wait()

    held[count] = ask
    dask.compute(*(dask.delayed(call_held, pure=False)(count, i) for i in range(count)))
    assert found == [expected] * count


def test_the_client_has_the_cores_of_its_process(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "count_cores", lambda: 6)
    assert worker_count() == 6
    assert count_cluster_threads() == 4


def test_without_a_cluster_there_are_no_threads_of_one() -> None:
    with dask.config.set(scheduler="threads"):
        assert count_cluster_threads() == 0
