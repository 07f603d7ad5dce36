"""Graphs of folds -> what they find, noted on the scheduler for a task that is started again."""

from __future__ import annotations

import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from distributed import Future, get_client, wait, worker_client

from usidx.tasks.graph import Graph
from usidx.tasks.keeper import Keeper, Numbered, forget, measure_bytes, read_notes, take_note
from usidx.tasks.threads import runs_on_cluster

__all__ = ["Folds", "Left", "States", "StoppedError"]

#: Seconds between two looks whether anybody still waits for the task that iterates.
_LOOK = 0.5
#: Rows of so few bytes are fetched at once: block by block it would take longer, and more work.
_FEW_BYTES = 2**22


class StoppedError(Exception):
    """Nobody waits any more for what a task iterates towards."""


class States(Sequence[Any]):
    """What a fold kept of each block, on the workers; reading one fetches it.

    Parameters
    ----------
    folds : Folds
        Who makes them again if they are gone.
    graph : dict
        The graph that makes them.
    name : str
        The first part of their keys; each stands for a pair of an answer and the states of a part of the blocks.
    count : int
        How many blocks there are.
    before : sequence
        The states that they were made from, which may have to be made again too.
    each : int
        How many blocks make a part.
    """

    def __init__(self, folds: Folds, graph: Graph, name: str, count: int, before: Sequence[Any], each: int) -> None:
        self._folds = folds
        self._graph: Graph | None = graph
        self._name = name
        self._count = count
        self._each = each
        self._before: Sequence[Any] | None = before
        self._futures: list[Any] | None = None

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        return self._ask()[number // self._each].result()[1][number % self._each]

    def __iter__(self) -> Iterator[Any]:
        return (state for _, states in self._folds.gather(self._ask()) for state in states)

    @property
    def keys(self) -> list[Any]:
        """The key of each part."""
        return [(self._name, part) for part in range(-(-self._count // self._each))]

    def join_sizes(self, sizes: Sequence[int]) -> list[int]:
        """Return the rows of each part, given those of each block."""
        return [sum(sizes[start : start + self._each]) for start in range(0, self._count, self._each)]

    def hold(self) -> list[Any]:
        """Return the keys, once the cluster is asked to hold what they stand for."""
        self._ask()
        return self.keys

    def take(self, futures: list[Any]) -> None:
        """Hold what is asked for already; how it is made the scheduler knows."""
        self._futures, self._graph, self._before = futures, None, None
        numbered = (self._name, len(self.keys))
        self._folds.hold(numbered)
        weakref.finalize(self, self._folds.let_go, numbered)

    def _ask(self) -> list[Any]:
        if self._futures is None:
            assert self._graph is not None
            if isinstance(self._before, States):
                self._before.hold()
            self.take(self._folds.submit(self._graph, self.keys))
        assert self._futures is not None
        return self._futures


class Left(Sequence[Any]):
    """Rows that a task which iterated has left on the workers; reading a part fetches it."""

    def __init__(self, name: str, count: int) -> None:
        self.name = name
        self.size = count

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < self.size:
            raise IndexError(number)
        if not runs_on_cluster():
            return _fetch(get_client(), (self.name, number))
        with worker_client() as client:  # it may have to be made again, for which this thread must be free
            return _fetch(client, (self.name, number))

    def hold(self) -> list[Any]:
        """Return the keys."""
        return [(self.name, number) for number in range(self.size)]


def _fetch(client: Any, key: Any) -> Any:
    (future,) = _ask_for(client, [key])
    return future.result()


def _ask_for(client: Any, keys: list[Any]) -> list[Any]:
    """Return futures of what the scheduler holds; it tells how these fare only to those who say that they want it."""
    futures = [Future(key, client) for key in keys]
    client._send_to_scheduler({"op": "client-desires-keys", "keys": keys, "client": client.id})
    return futures


def _wait_a_while(futures: Sequence[Any], seconds: float) -> None:
    """Wait until futures are done, or for so long."""
    try:
        wait(futures, timeout=seconds)
    except TimeoutError as err:
        # Distributed holds the error for a while, and its traceback all who called: their states stayed on the workers.
        err.__traceback__ = None


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
    owner : str
        The key of what it finds in the end, if the scheduler knows it: notes are kept for as long as that is wanted.
    token : str
        What tells this iteration from all others.
    """

    def __init__(self, client: Any, worker: Any, key: Any, owner: str, token: str) -> None:
        self._client = client
        self._worker = worker
        self._key = key
        self._count = 0
        client.register_plugin(Keeper())
        # Where one task alone needs what is found here, dask makes one of both, and there is no other key than its own.
        self._owner, run, self._notes, held = client.run_on_scheduler(read_notes, [owner, key])
        self.token = f"{token}-{run}"
        #: The note of what the task found in the end; a task that dask has made of several has several.
        self._end = f"usidx-end-{self.token}"
        self._held: set[Numbered] = {(name, count) for name, count in held}
        #: What to hold, and to let go of, from the next note on.
        self._new: list[Numbered] = []
        self._done: list[Numbered] = []
        self._left: list[Any] = []

    def name_next(self, kind: str = "fold") -> str:
        """Return the name of the next fold: the same one each time the task is started."""
        self._count += 1
        return f"usidx-{kind}-{self.token}-{self._count}"

    def measure_memory(self) -> int:
        """Return the bytes that the workers may take together."""
        workers = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return sum(int(worker["memory_limit"] or 0) for worker in workers)

    def count_threads(self) -> int:
        """Return how many tasks the workers may run at once."""
        return sum(int(worker["nthreads"]) for worker in self._client.scheduler_info(n_workers=-1)["workers"].values())

    def settle(self, what: str, find: Callable[[], Any]) -> Any:
        """Return what is found when the task runs for the first time, also when it is started again."""
        name = f"usidx-{what}-{self.token}"
        if name not in self._notes:
            self._tell(name, find())
        return pickle.loads(self._notes[name])

    def start(self, name: str, graph: Graph, keys: list[Any]) -> list[Any]:
        """Start a fold; return the futures of some of its keys, none where it is noted what it found."""
        return [] if self.is_noted(name) else self.submit(graph, keys)

    def is_noted(self, name: str) -> bool:
        """Say whether it is noted what a fold found."""
        return name in self._notes

    def find(self, name: str, started: Sequence[Any]) -> Any:
        """Return what a fold finds: the first of the futures with which it started, or what is noted."""
        if not started:
            return pickle.loads(self._notes[name])
        found = self._wait_for_result(started[0])
        self._tell(name, found)
        return found

    def restore(self, states: States) -> None:
        """Let states be those that the scheduler still holds, if it does."""
        keys = states.keys
        if (keys[0][0], len(keys)) in self._held:
            states.take(_ask_for(self._client, keys))

    def leave(self, graph: Graph, name: str, count: int) -> Left | list[Any]:
        """Let workers make rows and hold them beyond the end of the task; return them where they are few."""
        left = Left(name, count)
        futures = self.submit(graph, left.hold())
        self._wait(futures)
        next((future.result() for future in futures if future.status == "error"), None)
        if self._client.run_on_scheduler(measure_bytes, left.hold()) <= _FEW_BYTES:
            return self.gather(futures)
        self._left.extend(futures)
        return left

    def submit(self, graph: Graph, keys: list[Any]) -> list[Any]:
        """Start a graph; return the futures of some of its keys."""
        return list(self._client.get(graph, keys, sync=False))

    def hand_out(self, value: Any, count: int) -> Any:
        """Send a value to so many workers, this one among them; return a future of it.

        A graph that carried it would go through the scheduler, which has all tasks done by the first that holds it.
        """
        others = [one for one in self._client.scheduler_info(n_workers=-1)["workers"] if one != self._worker.address]
        chosen = [self._worker.address, *others[: count - 1]]
        (future,) = self._client.scatter([value], workers=chosen, broadcast=True, hash=False)
        return future

    def gather(self, futures: list[Any]) -> list[Any]:
        """Fetch what futures stand for."""
        return list(self._client.gather(futures))

    def hold(self, numbered: Numbered) -> None:
        """Let the scheduler hold some keys from the next note on, beyond the life of this worker."""
        self._new.append(numbered)

    def let_go(self, numbered: Numbered) -> None:
        """Let the scheduler hold some keys no longer, from the next note on."""
        self._done.append(numbered)

    def read_end(self) -> Any:
        """Return what the task has found in the end, when it ran before; None where it did not come so far."""
        return pickle.loads(self._notes[self._end]) if self._end in self._notes else None

    def note_end(self, found: Any, left: Sequence[Left]) -> None:
        """Note what the task found: all else can go."""
        self._new = [(one.name, one.size) for one in left]
        self._tell(self._end, found, ended=self.token)
        for future in self._left:
            future.release()

    def forget(self) -> None:
        """Let go of all that was noted or held."""
        self._client.run_on_scheduler(forget, self._owner)

    def _tell(self, name: str, found: Any, *, ended: str = "") -> None:
        new, done, self._new, self._done = self._new, self._done, [], []
        self._notes[name] = pickle.dumps(found)
        self._client.run_on_scheduler(take_note, self._owner, name, self._notes[name], new, done, ended)

    def _wait_for_result(self, future: Any) -> Any:
        self._wait([future])
        try:
            return future.result()
        finally:
            if future.status == "error":
                self.forget()
            future.release()  # the traceback of an error would hold it

    def _wait(self, futures: Sequence[Any]) -> None:
        """Wait for futures, for as long as anybody waits for the task."""
        while not all(future.done() for future in futures):
            if not self._is_wanted():
                self.forget()
                raise StoppedError("Nobody waits for this any more.")
            _wait_a_while(futures, _LOOK)

    def _is_wanted(self) -> bool:
        task = self._worker.state.tasks.get(self._key)
        return task is not None and task.state in {"executing", "long-running"}
