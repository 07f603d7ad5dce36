"""Blocks of rows folded by all workers of a cluster, for a task that iterates on one of them.

The task that iterates holds what is small: centres, components, Gram matrices. For each fold it hands the cluster one
graph: a task per block, which reads the block where it runs and answers at once, and a tree that joins the answers.
What a fold is given is sent to each worker once. What it keeps per block (scores, labels) stays where it was made.

What each fold found is noted on the scheduler. If the worker of the task that iterates dies, dask starts the task
again elsewhere; it then takes what is noted instead of reading, and goes on with the fold that was broken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from dask._task_spec import DataNode, GraphNode, Task, TaskRef

from usidx.tasks.answers import (
    answer_alone,
    answer_in_list,
    answer_part,
    answer_with_number,
    answer_with_states,
    call_with,
    change_made_rows,
    make_list,
    make_rows,
    put_tree,
    take_every,
    take_first,
)
from usidx.tasks.blocks import Blocks, Rows, Step, change_rows, choose_sampled, list_rows
from usidx.tasks.folds import Folds, Left, States
from usidx.tasks.graph import Graph, Member, Plan, is_small
from usidx.tasks.pool import Ask, meet

__all__ = ["iterate_on_cluster"]

Array = npt.NDArray[Any]

#: So many bytes of small blocks, and no more, are worked on in one task: what a block that is not small has.
_PART_BYTES = 2**24
#: More parts than this for each thread: of fewer tasks the scheduler hands all to the worker that holds what they need,
#: and lets others take them over only slowly. Those that are done early find more to do, too.
_PARTS = 2


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
    graph: Graph = {f"{name}-changes": DataNode(f"{name}-changes", rows.changes)}
    keys = rows.parts.hold()
    make: Step = make_rows if isinstance(rows.parts, States) else change_made_rows
    sizes = rows.parts.join_sizes(rows.sizes) if isinstance(rows.parts, States) else rows.sizes
    for number, key in enumerate(keys):
        graph[name, number] = Task((name, number), make, TaskRef(key), TaskRef(f"{name}-changes"))
    return Rows(folds.leave(graph, name, len(keys)), sizes)


class _Spread(Blocks):
    """Rows in blocks that the workers of a cluster read.

    Small blocks are worked on a part at a time, several in one task: a task costs the scheduler a millisecond or more.
    How many make a part changes no bit of what is found, since answers are joined by the same binary tree.
    """

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
        # Blocks that lie on workers already are left where they are, and those of several verbs have one name for all.
        alone = pool is not None or not all(self._reads)
        self._few = _PARTS * folds.count_threads()
        self._each = 1 if alone else folds.settle("each", partial(_choose_part, plan, self._few))
        self._kept: dict[int, Any] = {}

    def release(self) -> None:
        """Let go of the blocks that were kept, also where the traceback of an error holds on to them here."""
        for future in self._kept.values():
            future.release()

    def run(self, answer: Any, merge: Step) -> Any:
        """Join ``answer(block, number)``, which must not change anything around it: it is called elsewhere."""
        return self._find(range(len(self._keys)), answer_with_number, merge, (answer,))

    def fold(self, step: Step, merge: Step, *shared: Any) -> Any:
        """Return the joined answers of ``step(block, *shared)``."""
        return self._find(range(len(self._keys)), answer_alone, merge, (step, *shared))

    def map(self, func: Step, *shared: Any) -> list[Any]:
        """Return the answer of every block, in order."""
        return self._find(range(len(self._keys)), answer_in_list, list.__add__, (func, *shared))  # type: ignore[no-any-return]

    def call_each(self, func: Step, items: Sequence[Any], *shared: Any) -> list[Any]:
        """Return ``func(item, *shared)`` of each item, in order, found by as many workers as there are items."""
        name = self._folds.name_next()
        if self._folds.is_noted(name):
            return self._folds.find(name, [])  # type: ignore[no-any-return]
        held = self._folds.hand_out(shared, len(items))
        graph: Graph = {}
        for number, item in enumerate(items):
            graph[name, number] = Task((name, number), call_with, func, item, TaskRef(held.key))
        graph[name] = Task(name, make_list, *(TaskRef(key) for key in list(graph)))
        return self._folds.find(name, self._folds.submit(graph, [name]))  # type: ignore[no-any-return]

    def sample(self, count: int) -> Array:
        """Sample about `count` rows from every eighth block, or from all where those hold too few."""
        chosen, step = choose_sampled(self.sizes, count)
        return np.concatenate(self._find(chosen, take_every, list.__add__, (step,)))

    def read_each(self) -> Iterator[Array]:
        """Yield one block after another."""
        for number in range(len(self._keys)):
            (block,) = self._find([number], take_every, list.__add__, (1,))
            yield block

    def fold_states(self, step: Step, merge: Step, states: Sequence[Any], *shared: Any) -> tuple[Any, Sequence[Any]]:
        """Return the joined answers of ``step(block, state, *shared) -> (answer, state)``, and the new states."""
        name = self._folds.name_next()
        parts = self._list_parts(range(len(self._keys)))
        graph, given = self._share(name, (step, *shared), len(parts))
        kept = [(f"{name}-state", part) for part in parts]
        before = _list_states(states, parts)
        for key, (part, numbers) in zip(kept, parts.items(), strict=True):
            self._put_answer(graph, key, part, numbers, answer_with_states, given, before[part], merge)
            graph[f"{name}-answer", part] = Task((f"{name}-answer", part), take_first, TaskRef(key))
        root = put_tree(graph, name, [(f"{name}-answer", part) for part in parts], merge)
        made = States(self._folds, graph, f"{name}-state", len(self._keys), states, self._each)
        futures = self._start(name, graph, parts, [root, *kept])
        if futures:
            made.take(futures[1:])
        else:
            self._folds.restore(made)
        return self._folds.find(name, futures), made

    def _find(self, numbers: Sequence[int], answer: Step, merge: Step, shared: tuple[Any, ...]) -> Any:
        name = self._folds.name_next()
        parts = self._list_parts(numbers)
        graph, given = self._share(name, shared, len(parts))
        for part, wanted in parts.items():
            self._put_answer(graph, (f"{name}-answer", part), part, wanted, answer_part, given, wanted, answer, merge)
        root = put_tree(graph, name, [(f"{name}-answer", part) for part in parts], merge)
        return self._folds.find(name, self._start(name, graph, parts, [root]))

    def _share(self, name: str, shared: tuple[Any, ...], count: int) -> tuple[Graph, Any]:
        """Return the beginning of a graph, and what stands in it for what so many tasks are given.

        Few tasks are given a copy each: else the scheduler would hand all of them to the worker that holds it.
        """
        if count <= self._few:
            return dict(self._common), shared
        key = f"{name}-shared"
        return {**self._common, key: DataNode(key, shared)}, TaskRef(key)

    def _list_parts(self, numbers: Sequence[int]) -> dict[int, list[int]]:
        """Return the parts that hold some blocks, each with the numbers of these."""
        return {part: list(found) for part, found in groupby(numbers, lambda number: number // self._each)}

    def _start(self, name: str, graph: Graph, parts: Iterable[int], keys: list[Any]) -> list[Any]:
        """Start a fold, and keep its blocks from now on; return the futures of some keys."""
        wanted = self._put_kept(graph, parts)
        if self._pool is None or self._ask is None:
            futures = self._folds.start(name, graph, [*keys, *wanted])
        elif self._folds.is_noted(name):
            futures = []
        else:
            futures = self._ask(_Wanted(graph, [*keys, *wanted], {} if self._keeps else self._make_reads(parts)))
        self._kept.update(zip(wanted.values(), futures[len(keys) :], strict=bool(futures)))
        return futures[: len(keys)]

    def _put_answer(self, graph: Graph, key: Any, part: int, numbers: list[int], answer: Step, *args: Any) -> None:
        """Add the task that reads blocks and answers; blocks that are not kept are gone when the task is done."""
        if self._is_apart(part):
            first = part * self._each
            places = [number - first for number in numbers]
            graph[key] = Task(key, answer, TaskRef(self._name_kept(part)), places, *args)
        else:
            read = self._make_read((*key, "blocks"), numbers)
            task = Task(key, answer, TaskRef(read.key), [*range(len(numbers))], *args)
            graph[key] = Task.fuse(read, task, key=key)

    def _is_apart(self, part: int) -> bool:
        """Say whether the blocks of a part are read by a task of their own."""
        return bool(self._reads[part * self._each]) and (self._keeps or self._pool is not None)

    def _put_kept(self, graph: Graph, parts: Iterable[int]) -> dict[Any, int]:
        """Add the tasks that read parts to be kept from now on; return their keys, and the number of each."""
        if not self._keeps:
            return {}
        reads = self._make_reads(part for part in parts if part not in self._kept)
        graph.update(reads)
        return {key: key[1] for key in reads}

    def _make_reads(self, parts: Iterable[int]) -> Graph:
        """Return the tasks that read parts for all who pass over them."""
        apart = [part for part in parts if self._is_apart(part)]
        return {self._name_kept(part): self._make_read(self._name_kept(part), self._list_whole(part)) for part in apart}

    def _list_whole(self, part: int) -> range:
        return range(part * self._each, min((part + 1) * self._each, len(self._keys)))

    def _make_read(self, key: Any, numbers: Iterable[int]) -> GraphNode:
        """Return the task that makes a list of blocks."""
        reads = {node.key: node for number in numbers for node in self._reads[number]}
        blocks = [TaskRef(self._keys[number]) for number in numbers]
        return Task.fuse(*reads.values(), Task(key, make_list, *blocks), key=key)

    def _name_kept(self, part: int) -> Any:
        if self._pool is None:
            return (f"usidx-block-{self._folds.token}", part)
        return (f"usidx-block-{self._pool.token}", part) if self._keeps else self._pool.name_block(part)


def _choose_part(plan: Plan, few: int) -> int:
    """Return how many blocks make a part, of which there are to be more than a few.

    It is a power of two, so that the parts are branches of the tree.
    """
    largest = plan.nbytes // max(1, sum(plan.sizes)) * max(plan.sizes, default=1)
    fit = min(_PART_BYTES // max(1, largest), (len(plan.sizes) - 1) // max(1, few))
    return int(1 << (max(1, fit).bit_length() - 1))


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
            if own.setdefault(key, number) != number and not is_small(graph[key]):
                common.add(key)
            waiting.extend(graph[key].dependencies)
    common = _close(graph, common)
    reads = [_collect(graph, block, common) for block in blocks]
    return reads, {key: graph[key] for key in common}


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
        if key in graph and key not in found and (key not in common or is_small(graph[key])):
            found[key] = graph[key]
            waiting.extend(graph[key].dependencies)
    return list(found.values())


def _list_states(states: Sequence[Any], parts: dict[int, list[int]]) -> dict[int, Any]:
    """Return what the tasks of each part are given as the states of its blocks."""
    if isinstance(states, States):
        return {part: TaskRef(key) for part, key in zip(parts, states.hold(), strict=True)}
    # No tasks of their own: the scheduler would have all parts worked on by the few workers that hold what is given.
    found = {part: [states[number] for number in numbers] for part, numbers in parts.items()}
    return {part: (None, given) if any(one is not None for one in given) else None for part, given in found.items()}
