"""2-D array in row blocks, folded by a function now: in memory, or streamed from a graph that a node carries.

A fold calls ``step(block, *shared)`` on every block and joins the answers two by two with ``merge``. A step that keeps
something per block (scores, labels) is given and returns it as its state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from dask import local, threaded
from dask._task_spec import DataNode, Task, TaskRef, fuse_linear_task_spec

from usidx.tasks.blas import limit_blas
from usidx.tasks.graph import Detached, Graph
from usidx.tasks.threads import find_room, open_pool, worker_count

__all__ = ["Blocks", "Changed", "Held", "Streamed", "cut_pieces", "join_nothing"]

Array = npt.NDArray[Any]
Step = Callable[..., Any]

#: A piece is what a kernel works on at once: small enough to stay in the cache between two products.
_PIECE_BYTES = 2**22
_SMALL = 2**21
#: A sample of the rows is taken from one in this many blocks.
_SHARE = 8


class Blocks(Protocol):
    """Rows in blocks, all columns in each."""

    sizes: list[int]

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, list[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""

    def map(self, func: Step) -> list[Any]:
        """Return the answer of every block, in order."""

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from a subset of the blocks; all rows where there are fewer."""


def cut_pieces(rows: int, row_bytes: int, least: int = 256) -> list[slice]:
    """Cut rows into slices that fit the cache, each of at least `least` rows."""
    size = max(least, _PIECE_BYTES // max(1, row_bytes))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


class Held:
    """An array in memory; its blocks are views."""

    def __init__(self, values: Array, sizes: Sequence[int] | None = None) -> None:
        self.sizes = _even_sizes(values) if sizes is None else list(sizes)
        stops = np.cumsum(self.sizes)
        self._blocks = [values[stop - size : stop] for size, stop in zip(self.sizes, stops, strict=True)]

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self._run(lambda i: step(self._blocks[i], *shared), merge)

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, list[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        kept = list(states)

        def answer(i: int) -> Any:
            found, kept[i] = step(self._blocks[i], kept[i], *shared)
            return found

        return self._run(answer, merge), kept

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        yield from self._blocks

    def sample(self, count: int) -> Array:
        """Sample about `count` rows evenly from all blocks; all rows where there are fewer."""
        step = max(1, sum(self.sizes) // count)
        return np.concatenate([block[::step] for block in self._blocks])

    def map(self, func: Step) -> list[Any]:
        """Return the answer of every block, in order."""
        return self._run(lambda i: [func(self._blocks[i])], list.__add__)  # type: ignore[no-any-return]

    def _run(self, answer: Callable[[int], Any], merge: Step) -> Any:
        if len(self._blocks) == 1:
            with limit_blas(worker_count()):
                return answer(0)
        with open_pool() as pool, limit_blas():
            # Not by `pool.map` where no thread is started: it would hold all answers before the first two are joined.
            found = map if pool is None else pool.map
            return reduce(merge, found(answer, range(len(self._blocks))))


class Streamed:
    """An array that is read anew in every fold, a few blocks at a time."""

    def __init__(self, source: Detached, given: Sequence[Any], sizes: Sequence[int]) -> None:
        known = zip(source.given, given, strict=True)
        self.sizes = list(sizes)
        self._graph = {**source.graph, **{key: DataNode(key, value) for key, value in known}}
        self._keys = source.blocks

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self._run([(step, TaskRef(key), *shared) for key in self._keys], merge)

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, list[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        kept = list(states)

        def answer(block: Array, i: int) -> Any:
            found, kept[i] = step(block, kept[i], *shared)
            return found

        return self._run([(answer, TaskRef(key), i) for i, key in enumerate(self._keys)], merge), kept

    def map(self, func: Step) -> list[Any]:
        """Return the answer of every block, in order."""
        return self.fold(lambda block: [func(block)], list.__add__)  # type: ignore[no-any-return]

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        for key in self._keys:
            yield _run_graph(self._graph, key)

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from every eighth block, or from all where those hold too few."""
        chosen = range(0, len(self._keys), _SHARE) if sum(self.sizes) >= _SHARE * count else range(len(self._keys))
        step = max(1, sum(self.sizes[i] for i in chosen) // count)
        calls = [(_every, TaskRef(self._keys[i]), step) for i in chosen]
        return np.concatenate(self._run(calls, list.__add__))

    def _run(self, calls: list[tuple[Any, ...]], merge: Step) -> Any:
        graph, last = dict(self._graph), "answer-0"
        for i, (func, *args) in enumerate(calls):
            graph[f"answer-{i}"] = Task(f"answer-{i}", func, *args)
            if i:  # one after another: a tree would keep an answer per level
                graph[f"joined-{i}"] = Task(f"joined-{i}", merge, TaskRef(last), TaskRef(f"answer-{i}"))
                last = f"joined-{i}"
        # A block that is read and answered in one task is gone when that ends, before another is read.
        fused = fuse_linear_task_spec(graph, {last, *(f"answer-{i}" for i in range(len(calls)))})
        with limit_blas():
            return _run_graph(fused, last)


class Changed:
    """Blocks that are seen through a function, which keeps their rows."""

    def __init__(self, blocks: Blocks, change: Callable[[Array], Array]) -> None:
        self.sizes = blocks.sizes
        self._blocks = blocks
        self._change = change

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self._blocks.fold(self._on_changed(step), merge, *shared)

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, list[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        return self._blocks.fold_states(self._on_changed(step), merge, states, *shared)

    def map(self, func: Step) -> list[Any]:
        """Return the answer of every block, in order."""
        return self._blocks.map(self._on_changed(func))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        return map(self._change, self._blocks.read_each())

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from a subset of the blocks; all rows where there are fewer."""
        return self._change(self._blocks.sample(count))

    def _on_changed(self, step: Step) -> Step:
        return lambda block, *args: step(self._change(block), *args)


def _run_graph(graph: Graph, key: Any) -> Any:
    """Compute one key of a graph."""
    with open_pool() as pool:
        return local.get_sync(graph, key) if pool is None else threaded.get(graph, key, pool=pool)


def _every(block: Array, step: int) -> list[Array]:
    return [np.array(block[::step])]


def _even_sizes(values: Array) -> list[int]:
    """Cut an array for the workers there are; a small one is not worth a thread."""
    rows = len(values)
    count = min(2 * find_room().threads, max(1, values.nbytes // _SMALL), max(1, rows))
    edges = np.linspace(0, rows, count + 1).astype(int)
    return [int(size) for size in np.diff(edges)]


def join_nothing(_first: None, _second: None) -> None:
    """Join the answers of a pass that only keeps states."""
