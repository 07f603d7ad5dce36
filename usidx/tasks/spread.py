"""Blocks of rows folded by all workers of a cluster, for a task that iterates on one of them.

The task that iterates holds what is small: centres, components, Gram matrices. For each fold it hands the cluster one
graph: a task per block, which reads the block where it runs and answers at once, and a tree that joins the answers.
What a fold is given is sent to each worker once. What it keeps per block (scores, labels) stays where it was made.

What each fold found is noted on the scheduler. If the worker of the task that iterates dies, dask starts the task
again elsewhere; it then takes what is noted instead of reading, and goes on with the fold that was broken off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
from dask._task_spec import DataNode, GraphNode, Task, TaskRef

from usidx.tasks.blas import limit_blas
from usidx.tasks.blocks import Blocks, Change, Rows, Step, apply_changes, change_rows, choose_sampled, list_rows
from usidx.tasks.folds import Folds, Left, States
from usidx.tasks.graph import Graph, Member, Plan
from usidx.tasks.pool import Ask, meet

__all__ = ["iterate_on_cluster"]

Array = npt.NDArray[Any]

#: Answers that one task joins: few enough that no worker holds many, many enough that the tree is low.
_JOINED = 8
#: What several blocks need is handed to each of them up to this size, and larger is a task of its own.
_SMALL = 2**14


def iterate_on_cluster(members: Sequence[Member]) -> list[Any]:
    """Call ``func(blocks, *args)`` of each within a task of a worker, the folds being done by all workers.

    Parameters
    ----------
    members : sequence of Member
        Who iterates, over the same blocks.
    """
    from distributed import get_worker, worker_client

    worker = get_worker()
    key = worker.get_current_task()
    with worker_client() as client:  # the thread of this task is free for others
        folds = [Folds(client, worker, key, one.plan.owner, one.plan.token) for one in members]
        if len(members) == 1:
            return [_iterate(members[0], folds[0])]
        pool = _Pool(folds[0])
        calls = [partial(_iterate, one.hear(), mine, pool) for one, mine in zip(members, folds, strict=True)]
        return meet(calls, pool.start)


def _iterate(member: Member, folds: Folds, pool: _Pool | None = None, ask: Ask | None = None) -> Any:
    found = folds.read_end()
    if found is not None:
        return found
    blocks = _Spread(folds, member.plan, member.known, pool, ask)
    try:
        found = change_rows(member.func(blocks, *member.args), partial(_leave, folds))
    finally:
        blocks.release()
    folds.note_end(found, [rows.parts for rows in list_rows(found) if isinstance(rows.parts, Left)])
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A fold to be started: its graph, the keys that are wanted of it, and the tasks that read its blocks."""

    graph: Graph
    keys: list[Any]
    reads: Graph


class _Pool:
    """Starts the folds of several at once, so that they read each block once; blocks have the same keys for all."""

    def __init__(self, folds: Folds) -> None:
        self._folds = folds
        self._count = 0
        self.token = folds.token

    def name_block(self, number: int) -> Any:
        """Return the key of a block in the pass that comes next."""
        return (f"usidx-pass-{self.token}-{self._count}", number)

    def start(self, wanted: list[_Wanted]) -> list[Any]:
        """Start folds; return the futures of each."""
        graph: Graph = {}
        for one in wanted:
            graph.update(one.reads)
            graph.update(one.graph)
        self._count += 1
        futures = iter(self._folds.submit(graph, [key for one in wanted for key in one.keys]))
        return [list(islice(futures, len(one.keys))) for one in wanted]


def _leave(folds: Folds, rows: Rows) -> Rows:
    """Return rows with all changes made, by the workers that hold them."""
    if not isinstance(rows.parts, States | Left) or (isinstance(rows.parts, Left) and not rows.changes):
        return rows
    name = folds.name_next("rows")
    changes = (*rows.changes,) if isinstance(rows.parts, Left) else ((_take_second, ()), *rows.changes)
    graph: Graph = {f"{name}-changes": DataNode(f"{name}-changes", changes)}
    for number, key in enumerate(rows.parts.hold()):
        graph[name, number] = Task((name, number), _make_rows, TaskRef(key), TaskRef(f"{name}-changes"))
    return Rows(folds.leave(graph, name, len(rows.parts)), rows.sizes)


def _make_rows(part: Any, changes: tuple[Change, ...]) -> Any:
    with limit_blas():
        return apply_changes(part, changes)


class _Spread(Blocks):
    """Rows in blocks that the workers of a cluster read."""

    def __init__(
        self, folds: Folds, plan: Plan, known: Sequence[Any], pool: _Pool | None = None, ask: Ask | None = None
    ) -> None:
        self.sizes = plan.sizes
        self._folds = folds
        self._pool, self._ask = pool, ask
        given = {key: DataNode(key, value) for key, value in zip(plan.source.given, known, strict=True)}
        self._keys = plan.source.blocks
        self._reads, self._common = _share_out({**plan.source.graph, **given}, plan.source.blocks)
        self._keeps = plan.nbytes <= plan.keep * folds.measure_memory()
        self._kept: dict[int, Any] = {}

    def release(self) -> None:
        """Let go of the blocks that were kept, also where the traceback of an error holds on to them here."""
        for future in self._kept.values():
            future.release()

    def run(self, answer: Any, merge: Step) -> Any:
        """Join ``answer(block, number)``, which must not change anything around it: it is called elsewhere."""
        return self._find(range(len(self._keys)), _answer_with_number, merge, (answer,))

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self._find(range(len(self._keys)), _answer, merge, (step, *shared))

    def map(self, func: Step, *shared: Any) -> list[Any]:
        """Return the answer of every block, in order."""
        return self._find(range(len(self._keys)), _answer_in_list, list.__add__, (func, *shared))  # type: ignore[no-any-return]

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from every eighth block, or from all where those hold too few."""
        chosen, step = choose_sampled(self.sizes, count)
        return np.concatenate(self._find(chosen, _take_every, list.__add__, (step,)))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        for number in range(len(self._keys)):
            (block,) = self._find([number], _take_every, list.__add__, (1,))
            yield block

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, Sequence[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        name = self._folds.name_next()
        graph = {**self._common, f"{name}-shared": DataNode(f"{name}-shared", (step, *shared))}
        kept = [(f"{name}-state", number) for number in range(len(self._keys))]
        before = _put_states(graph, name, states)
        for number, key in enumerate(kept):
            self._put_answer(graph, key, number, _answer_with_state, before[number])
            graph[f"{name}-answer", number] = Task((f"{name}-answer", number), _take_first, TaskRef(key))
        root = _put_tree(graph, name, [(f"{name}-answer", number) for number in range(len(kept))], merge)
        made = States(self._folds, graph, f"{name}-state", len(kept), states)
        futures = self._start(name, graph, range(len(kept)), [root, *kept])
        if futures:
            made.take(futures[1:])
        else:
            self._folds.restore(made)
        return self._folds.find(name, futures), made

    def _find(self, numbers: Sequence[int], answer: Step, merge: Step, shared: tuple[Any, ...]) -> Any:
        name = self._folds.name_next()
        graph = {**self._common, f"{name}-shared": DataNode(f"{name}-shared", shared)}
        answers = [(f"{name}-answer", number) for number in numbers]
        for number, key in zip(numbers, answers, strict=True):
            self._put_answer(graph, key, number, answer, number)
        root = _put_tree(graph, name, answers, merge)
        return self._folds.find(name, self._start(name, graph, numbers, [root]))

    def _start(self, name: str, graph: Graph, numbers: Sequence[int], keys: list[Any]) -> list[Any]:
        """Start a fold, and keep its blocks from now on; return the futures of some keys."""
        wanted = self._put_kept(graph, numbers)
        if self._pool is None or self._ask is None:
            futures = self._folds.start(name, graph, [*keys, *wanted])
        elif self._folds.is_noted(name):
            futures = []
        else:
            futures = self._ask(_Wanted(graph, [*keys, *wanted], {} if self._keeps else self._make_reads(numbers)))
        self._kept.update(zip(wanted.values(), futures[len(keys) :], strict=bool(futures)))
        return futures[: len(keys)]

    def _put_answer(self, graph: Graph, key: Any, number: int, answer: Step, *args: Any) -> None:
        """Add the task that reads a block and answers; if the block is not kept it is gone when the task is done."""
        reads, block = self._reads[number], self._keys[number]
        shared = TaskRef(f"{key[0].rpartition('-')[0]}-shared")
        if reads and (self._keeps or self._pool is not None):
            block, reads = self._name_kept(number), []
        task = Task(key, answer, TaskRef(block), shared, *args)
        graph[key] = Task.fuse(*reads, task, key=key) if reads else task

    def _put_kept(self, graph: Graph, numbers: Sequence[int]) -> dict[Any, int]:
        """Add the tasks that read blocks to be kept from now on; return their keys, and the number of each."""
        wanted: dict[Any, int] = {}
        for number in numbers if self._keeps else ():
            if number not in self._kept and self._reads[number]:
                key = self._name_kept(number)
                graph[key] = self._make_read(number)
                wanted[key] = number
        return wanted

    def _make_reads(self, numbers: Sequence[int]) -> Graph:
        """Return the tasks that read blocks for all who pass over them."""
        return {self._name_kept(number): self._make_read(number) for number in numbers if self._reads[number]}

    def _make_read(self, number: int) -> GraphNode:
        key = self._name_kept(number)
        return Task.fuse(*self._reads[number], Task(key, _return, TaskRef(self._keys[number])), key=key)

    def _name_kept(self, number: int) -> Any:
        if self._pool is None:
            return (f"usidx-block-{self._folds.token}", number)
        return (f"usidx-block-{self._pool.token}", number) if self._keeps else self._pool.name_block(number)


def _share_out(graph: Graph, blocks: Sequence[Any]) -> tuple[list[list[GraphNode]], Graph]:
    """Return the tasks that each block alone needs, or that are small enough to be handed to each; and the others."""
    own: dict[Any, int] = {}
    common: set[Any] = set()
    for number, block in enumerate(blocks):
        waiting, seen = [block], set()
        while waiting:
            key = waiting.pop()
            if key not in graph or key in seen:  # what is not here the cluster holds
                continue
            seen.add(key)
            if own.setdefault(key, number) != number and not _is_small(graph[key]):
                common.add(key)
            waiting.extend(graph[key].dependencies)
    common = _close(graph, common)
    reads = [_collect(graph, block, common) for block in blocks]
    return reads, {key: graph[key] for key in common}


def _is_small(task: GraphNode) -> bool:
    return isinstance(task, DataNode) and int(getattr(task.value, "nbytes", 0)) <= _SMALL


def _close(graph: Graph, common: set[Any]) -> set[Any]:
    """Return some tasks with all that they need."""
    found: set[Any] = set()
    waiting = list(common)
    while waiting:
        key = waiting.pop()
        if key in graph and key not in found:
            found.add(key)
            waiting.extend(graph[key].dependencies)
    return found


def _collect(graph: Graph, block: Any, common: set[Any]) -> list[GraphNode]:
    found: dict[Any, GraphNode] = {}
    waiting = [block]
    while waiting:
        key = waiting.pop()
        if key in graph and key not in found and (key not in common or _is_small(graph[key])):
            found[key] = graph[key]
            waiting.extend(graph[key].dependencies)
    return list(found.values())


def _put_states(graph: Graph, name: str, states: Sequence[Any]) -> list[Any]:
    """Add what each block is given of a state, and return what stands for it."""
    if isinstance(states, States):
        return [TaskRef(key) for key in states.hold()]
    found: list[Any] = []
    for number, state in enumerate(states):
        key = (f"{name}-given", number)
        if state is not None:
            graph[key] = DataNode(key, (None, state))
        found.append(None if state is None else TaskRef(key))
    return found


def _put_tree(graph: Graph, name: str, keys: list[Any], merge: Step) -> Any:
    """Add the tasks that join answers, always the same ones with each other; return the key of the last."""
    level = 0
    while len(keys) > 1 or level == 0:
        level += 1
        parts = [keys[start : start + _JOINED] for start in range(0, len(keys), _JOINED)]
        keys = [(f"{name}-joined", level, number) for number in range(len(parts))]
        for key, part in zip(keys, parts, strict=True):
            graph[key] = Task(key, _join, merge, *(TaskRef(one) for one in part))
    return keys[0]


def _answer(block: Array, shared: tuple[Any, ...], _number: int) -> Any:
    step, *others = shared
    with limit_blas():
        return step(block, *others)


def _answer_with_number(block: Array, shared: tuple[Any, ...], number: int) -> Any:
    with limit_blas():
        return shared[0](block, number)


def _answer_in_list(block: Array, shared: tuple[Any, ...], number: int) -> list[Any]:
    return [_answer(block, shared, number)]


def _answer_with_state(block: Array, shared: tuple[Any, ...], state: tuple[Any, Any] | None) -> Any:
    step, *others = shared
    with limit_blas():
        return step(block, None if state is None else state[1], *others)


def _take_every(block: Array, shared: tuple[int], _number: int) -> list[Array]:
    return [np.array(block[:: shared[0]])]


def _return(block: Array) -> Array:
    return block


def _take_first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _take_second(pair: tuple[Any, Any]) -> Any:
    return pair[1]


def _join(merge: Step, *answers: Any) -> Any:
    with limit_blas():
        return reduce(merge, answers)
