"""Graphs of folds -> what they find, noted on the scheduler for a task that is started again."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from usidx.tasks.graph import Graph

__all__ = ["Folds", "States", "StoppedError"]

#: Keys of a graph, and what is called with the future of each.
Takers = Mapping[Any, Callable[[Any], None]]

#: Seconds between two looks whether anybody still waits for the task that iterates.
_LOOK = 0.5
#: Under this name the notes stand in the metadata of the scheduler.
_NOTES = "usidx-folds"


class StoppedError(Exception):
    """Nobody waits any more for what a task iterates towards."""


class States(Sequence[Any]):
    """What a fold kept of each block, on the workers; reading one fetches it.

    Parameters
    ----------
    folds : Folds
        Who makes them again if they are gone.
    name : str
        The fold.
    graph : dict
        The graph that makes them.
    keys : list
        The key of each: a pair of its answer and its state.
    before : sequence
        The states that they were made from, which may have to be made again too.
    """

    def __init__(self, folds: Folds, name: str, graph: Graph, keys: list[Any], before: Sequence[Any]) -> None:
        self._folds = folds
        self._name = name
        self._graph: Graph | None = graph
        self._keys = keys
        self._before: Sequence[Any] | None = before
        self._futures: list[Any] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: Any) -> Any:
        self.hold()
        assert self._futures is not None
        return self._futures[number].result()[1]

    def __iter__(self) -> Iterator[Any]:
        self.hold()
        assert self._futures is not None
        return (state for _, state in self._folds.gather(self._futures))

    def hold(self) -> list[Any]:
        """Return the keys, once the cluster is asked to hold what they stand for."""
        if self._futures is None:
            assert self._graph is not None
            if isinstance(self._before, States):
                self._before.hold()
            self.take(self._folds.submit(self._graph, self._keys))
        return self._keys

    def take(self, futures: list[Any]) -> None:
        """Hold what is asked for already; how it is made the scheduler knows."""
        self._futures, self._graph, self._before = futures, None, None
        self._folds.publish(self._name, futures)
        weakref.finalize(self, self._folds.withdraw, self._name)


def _hand_over(takers: Takers, futures: Sequence[Any]) -> None:
    for take, future in zip(takers.values(), futures, strict=True):
        take(future)


def _wait_a_while(future: Any, seconds: float) -> None:
    """Wait until a future is done, or for so long."""
    from distributed import wait

    with suppress(TimeoutError):
        wait(future, timeout=seconds)


class Folds:
    """The folds of one task that iterates: their names, what they found, what they keep.

    Parameters
    ----------
    client : distributed.Client
        Of the worker.
    worker : distributed.Worker
        The worker that runs the task.
    key : object
        The key of the task.
    token : str
        What tells this iteration from all others.
    """

    def __init__(self, client: Any, worker: Any, key: Any, token: str) -> None:
        self._client = client
        self._worker = worker
        self._key = key
        self.token = token
        self._count = 0
        self._notes: dict[str, bytes] = client.get_metadata([_NOTES, self.token], {}) or {}
        self._published = set(client.list_datasets())

    def name_next(self) -> str:
        """Return the name of the next fold: the same one each time the task is started."""
        self._count += 1
        return f"usidx-fold-{self.token}-{self._count}"

    def measure_memory(self) -> int:
        """Return the bytes that the workers may take together."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return sum(int(worker["memory_limit"] or 0) for worker in workers)

    def find(self, name: str, graph: Graph, root: Any, takers: Takers) -> Any:
        """Return what a fold finds; hand the futures of further keys to those who take them."""
        if name in self._notes:
            return pickle.loads(self._notes[name])
        future, *others = self.submit(graph, [root, *takers])
        _hand_over(takers, others)
        return self._note(name, self._wait(future))

    def find_states(
        self, name: str, graph: Graph, root: Any, takers: Takers, keys: list[Any], before: Sequence[Any]
    ) -> tuple[Any, States]:
        """Return what a fold finds, and what it keeps of each block; hand on futures as in `find`."""
        states = States(self, name, graph, keys, before)
        if name in self._notes:
            if name in self._published:
                states.take(self._client.get_dataset(name))
            return pickle.loads(self._notes[name]), states
        future, *others = self.submit(graph, [root, *keys, *takers])
        states.take(others[: len(keys)])
        _hand_over(takers, others[len(keys) :])
        return self._note(name, self._wait(future)), states

    def submit(self, graph: Graph, keys: list[Any]) -> list[Any]:
        """Start a graph; return the futures of some of its keys."""
        return list(self._client.get(graph, keys, sync=False))

    def gather(self, futures: list[Any]) -> list[Any]:
        """Fetch what futures stand for."""
        return list(self._client.gather(futures))

    def publish(self, name: str, futures: list[Any]) -> None:
        """Let the scheduler hold what was kept, beyond the life of this worker."""
        if name not in self._published:
            self._published.add(name)
            self._client.publish_dataset(futures, name=name, override=True)

    def withdraw(self, name: str) -> None:
        """Let go of what was kept."""
        if name in self._published:
            self._published.discard(name)
            self._client.unpublish_dataset(name)

    def forget(self) -> None:
        """Let go of all that was noted or kept, once all is found."""
        for name in [name for name in self._published if name.startswith(f"usidx-fold-{self.token}-")]:
            self.withdraw(name)
        self._client.set_metadata([_NOTES, self.token], {})

    def _note(self, name: str, found: Any) -> Any:
        self._notes[name] = pickle.dumps(found)
        self._client.set_metadata([_NOTES, self.token, name], self._notes[name])
        return found

    def _wait(self, future: Any) -> Any:
        """Wait for a fold, for as long as anybody waits for the task."""
        while not future.done():
            if not self._is_wanted():
                self.forget()
                raise StoppedError("Nobody waits for this any more.")
            _wait_a_while(future, _LOOK)
        try:
            return future.result()
        finally:
            if future.status == "error":
                self.forget()
            future.release()  # the traceback of an error would hold it

    def _is_wanted(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is not None and task.state in {"executing", "long-running"}
