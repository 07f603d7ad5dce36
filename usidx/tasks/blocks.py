"""2-D array in row blocks, folded by a function now: in memory, or streamed from a graph that a node carries.

A fold calls ``step(block, *shared)`` on every block and joins the answers two by two with ``merge``. A step that keeps
something per block (scores, labels) is given and returns it as its state; what is made of states are rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial, reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from dask import local, threaded
from dask._task_spec import DataNode, Task, TaskRef, cull, fuse_linear_task_spec

from usidx.tasks.graph import Detached, Graph
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.threads import find_room, open_pool, worker_count

__all__ = [
    "Blocks",
    "Change",
    "Changed",
    "Held",
    "Pass",
    "Rows",
    "Shared",
    "Streamed",
    "apply_changes",
    "change_rows",
    "choose_sampled",
    "cut_pieces",
    "hold_rows",
    "join_nothing",
    "list_rows",
]

Array = npt.NDArray[Any]
Step = Callable[..., Any]
Answer = Callable[[Array, int], Any]
#: A function, and what it is called with after the rows.
Change = tuple[Callable[..., Any], tuple[Any, ...]]

#: A piece is what a kernel works on at once: small enough to stay in the cache between two products.
_PIECE_BYTES = 2**22
_SMALL = 2**21
#: A sample of the rows is taken from one in this many blocks.
_SHARE = 8


class Blocks(ABC):
    """Rows in blocks, all columns in each."""

    sizes: list[int]

    @abstractmethod
    def run(self, answer: Answer, merge: Step) -> Any:
        """Return the joined answers of ``answer(block, number)`` to all blocks."""

    @abstractmethod
    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""

    @abstractmethod
    def sample(self, count: int) -> Array:
        """Sample about `count` rows from a subset of the blocks; all rows where there are fewer."""

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self.run(lambda block, _: step(block, *shared), merge)

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, Sequence[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        kept = list(states)

        def answer(block: Array, number: int) -> Any:
            found, kept[number] = step(block, kept[number], *shared)
            return found

        return self.run(answer, merge), kept

    def map(self, func: Step, *shared: Any) -> list[Any]:
        """Return the answer ``func(block, *shared)`` of every block, in order."""
        return self.run(lambda block, _: [func(block, *shared)], list.__add__)  # type: ignore[no-any-return]

    def call_each(self, func: Step, items: Sequence[Any], *shared: Any) -> list[Any]:
        """Return ``func(item, *shared)`` of each item, in order; no block is read for it.

        This is for work on a few rows, from several starts: each has a thread, or a worker where there are workers.
        """
        with open_pool() as pool:
            found = map if pool is None else pool.map
            return [*found(lambda item: func(item, *shared), items)]


def choose_sampled(sizes: Sequence[int], count: int) -> tuple[range, int]:
    """Choose the blocks that about `count` rows are sampled from, and how many rows to step on in each."""
    chosen = range(0, len(sizes), _SHARE) if sum(sizes) >= _SHARE * count else range(len(sizes))
    return chosen, max(1, sum(sizes[i] for i in chosen) // count)


def cut_pieces(rows: int, row_bytes: int, least: int = 32) -> list[slice]:
    """Cut rows into slices that fit the cache, each of at least `least` rows: of few, a product is slow."""
    size = max(least, _PIECE_BYTES // max(1, row_bytes))
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


class Held(Blocks):
    """An array in memory; its blocks are views."""

    def __init__(self, values: Array, sizes: Sequence[int] | None = None) -> None:
        self.sizes = _cut_evenly(values) if sizes is None else list(sizes)
        stops = np.cumsum(self.sizes)
        self._blocks = [values[stop - size : stop] for size, stop in zip(self.sizes, stops, strict=True)]

    def run(self, answer: Answer, merge: Step) -> Any:
        """Return the joined answers, found side by side."""
        if len(self._blocks) == 1:
            with limit_blas(worker_count()):
                return answer(self._blocks[0], 0)
        with open_pool() as pool, limit_blas():
            # Not by `pool.map` where no thread is started: it would hold all answers before the first two are joined.
            found = map if pool is None else pool.map
            return reduce(merge, found(answer, self._blocks, range(len(self._blocks))))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        yield from self._blocks

    def sample(self, count: int) -> Array:
        """Sample about `count` rows evenly from all blocks; all rows where there are fewer."""
        step = max(1, sum(self.sizes) // count)
        return np.concatenate([block[::step] for block in self._blocks])


class Streamed(Blocks):
    """An array that is read anew in every fold, a few blocks at a time."""

    def __init__(self, source: Detached, given: Sequence[Any], sizes: Sequence[int]) -> None:
        known = zip(source.given, given, strict=True)
        self.sizes = list(sizes)
        self._graph = {**source.graph, **{key: DataNode(key, value) for key, value in known}}
        self._keys = source.blocks

    def run(self, answer: Answer, merge: Step) -> Any:
        """Return the joined answers; blocks are read as they are needed."""
        return self._run(answer, merge, range(len(self._keys)))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        for key in self._keys:
            yield _run_graph(self._graph, key)

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from every eighth block, or from all where those hold too few."""
        chosen, step = choose_sampled(self.sizes, count)
        return np.concatenate(self._run(lambda block, _: [np.array(block[::step])], list.__add__, chosen))

    def run_together(self, passes: Sequence[Pass]) -> list[Any]:
        """Return what several passes find, each block being read once for all of them."""
        if len(passes) == 1:
            return [self._run(passes[0].answer, passes[0].merge, passes[0].numbers)]
        wanted = [set(one.numbers) for one in passes]

        def answer(block: Array, number: int) -> list[list[Any]]:
            pairs = zip(passes, wanted, strict=True)
            return [[one.answer(block, number)] if number in numbers else [] for one, numbers in pairs]

        def merge(first: list[list[Any]], second: list[list[Any]]) -> list[list[Any]]:
            pairs = zip(passes, first, second, strict=True)
            return [[reduce(one.merge, [*a, *b])] if a or b else [] for one, a, b in pairs]

        return [found for (found,) in self._run(answer, merge, sorted(set().union(*wanted)))]

    def _run(self, answer: Answer, merge: Step, numbers: Sequence[int]) -> Any:
        graph, last = dict(self._graph), f"answer-{numbers[0]}"
        for i in numbers:
            graph[f"answer-{i}"] = Task(f"answer-{i}", answer, TaskRef(self._keys[i]), i)
            if i != numbers[0]:  # one after another: a tree would keep an answer per level
                graph[f"joined-{i}"] = Task(f"joined-{i}", merge, TaskRef(last), TaskRef(f"answer-{i}"))
                last = f"joined-{i}"
        # A block that is read and answered in one task is gone when that ends, before another is read.
        fused = fuse_linear_task_spec(graph, {last, *(f"answer-{i}" for i in numbers)})
        with limit_blas():
            return _run_graph(fused, last)


@dataclass(frozen=True, slots=True)
class Pass:
    """A pass that is asked for: the answers to some blocks, joined."""

    numbers: Sequence[int]
    answer: Answer
    merge: Step


class Shared(Blocks):
    """Blocks over which several iterate, whose passes are one."""

    def __init__(self, sizes: Sequence[int], ask: Callable[[Pass], Any]) -> None:
        self.sizes = list(sizes)
        self._ask = ask

    def run(self, answer: Answer, merge: Step) -> Any:
        """Return the joined answers, found in a pass of all who iterate."""
        return self._ask(Pass(range(len(self.sizes)), answer, merge))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        for number in range(len(self.sizes)):
            yield self._ask(Pass([number], _keep, join_nothing))

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from every eighth block, or from all where those hold too few."""
        chosen, step = choose_sampled(self.sizes, count)
        found = self._ask(Pass(chosen, lambda block, _: [np.array(block[::step])], list.__add__))
        return np.concatenate(found)


def _keep(block: Array, _number: int) -> Array:
    return block


class Changed(Blocks):
    """Blocks that are seen through a function, which keeps their rows."""

    def __init__(self, blocks: Blocks, change: Callable[[Array], Array]) -> None:
        self.sizes = blocks.sizes
        self._blocks = blocks
        self._change = change

    def run(self, answer: Answer, merge: Step) -> Any:
        """Return the joined answers to the changed blocks."""
        return self._blocks.run(partial(_answer_changed, self._change, answer), merge)

    # The blocks below do these in their own way, which may be on other machines.
    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(changed block, *shared)``."""
        return self._blocks.fold(partial(_answer_changed, self._change, step), merge, *shared)

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, Sequence[Any]]:
        """Return the joined answers of ``step(changed block, state, *shared)``, and the new states."""
        return self._blocks.fold_states(partial(_answer_changed, self._change, step), merge, states, *shared)

    def map(self, func: Step, *shared: Any) -> list[Any]:
        """Return the answer of every changed block, in order."""
        return self._blocks.map(partial(_answer_changed, self._change, func), *shared)

    def call_each(self, func: Step, items: Sequence[Any], *shared: Any) -> list[Any]:
        """Return ``func(item, *shared)`` of each item, in order."""
        return self._blocks.call_each(func, items, *shared)

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        return map(self._change, self._blocks.read_each())

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from a subset of the blocks; all rows where there are fewer."""
        return self._change(self._blocks.sample(count))


def _answer_changed(change: Callable[[Array], Array], answer: Step, block: Array, *others: Any) -> Any:
    return answer(change(block), *others)


def _run_graph(graph: Graph, key: Any) -> Any:
    """Compute one key of a graph."""
    needed = cull(graph, [key])  # older dask computes all that it is given
    with open_pool() as pool:
        return local.get_sync(needed, key) if pool is None else threaded.get(needed, key, pool=pool)


def _cut_evenly(values: Array) -> list[int]:
    """Cut an array for the workers there are; a small one is not worth a thread."""
    rows = len(values)
    count = min(2 * find_room().threads, max(1, values.nbytes // _SMALL), max(1, rows))
    edges = np.linspace(0, rows, count + 1).astype(int)
    return [int(size) for size in np.diff(edges)]


def join_nothing(_first: None, _second: None) -> None:
    """Return nothing, for a pass that only keeps states."""


class Rows:
    """Scores or labels of all rows, block by block; on a cluster they stay on the workers that found them.

    Parameters
    ----------
    parts : sequence
        What was found in each block. Those of a cluster are fetched when they are asked for.
    sizes : sequence of int
        Rows of each.
    changes : tuple, optional
        What makes rows of a part, one after another.
    """

    def __init__(self, parts: Sequence[Any], sizes: Sequence[int], changes: tuple[Change, ...] = ()) -> None:
        self.parts = parts
        self.sizes = list(sizes)
        self.changes = changes

    def change(self, func: Callable[..., Any], *others: Any) -> Rows:
        """Return what ``func(part, *others)`` makes of each part."""
        return Rows(self.parts, self.sizes, (*self.changes, (func, others)))

    def cut(self, start: int, stop: int) -> Array:
        """Return the rows from `start` to before `stop`."""
        stops = np.cumsum(self.sizes)
        first, last = np.searchsorted(stops, [start, stop - 1], side="right") if stop > start else (0, 0)
        parts = [self._make(number) for number in range(int(first), int(last) + 1)]
        begin = int(stops[first]) - self.sizes[first]
        found = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return np.asarray(found[start - begin : stop - begin])

    def settle(self) -> Rows:
        """Return the same with all changes made."""
        return Rows([self._make(number) for number in range(len(self.sizes))], self.sizes)

    def join(self) -> Array:
        """Return all rows."""
        return np.concatenate([apply_changes(part, self.changes) for part in self.parts])

    def _make(self, number: int) -> Any:
        return apply_changes(self.parts[number], self.changes)


def hold_rows(values: Array) -> Rows:
    """Return rows that are there, as one part."""
    return Rows([values], [len(values)])


def change_rows(found: Any, func: Callable[[Rows], Rows]) -> Any:
    """Return what was found, rows or a dataclass of which some fields are rows, with what a function makes of these."""
    if isinstance(found, Rows):
        return func(found)
    rows = {name: one for name, one in _list_fields(found).items() if isinstance(one, Rows)}
    return replace(found, **{name: func(one) for name, one in rows.items()}) if rows else found


def list_rows(found: Any) -> list[Rows]:
    """Return the rows among what was found."""
    return [one for one in [found, *_list_fields(found).values()] if isinstance(one, Rows)]


def _list_fields(found: Any) -> dict[str, Any]:
    return {f.name: getattr(found, f.name) for f in fields(found)} if is_dataclass(found) else {}


def apply_changes(part: Any, changes: Sequence[Change]) -> Any:
    """Return what the changes make of a part, one after another."""
    return reduce(lambda found, change: change[0](found, *change[1]), changes, part)
