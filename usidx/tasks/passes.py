"""2-D matrix to what passes over its rows find: at once in memory, or as a graph that reads each block once a pass.

Verbs are written once against :class:`Passes`; what a pass finds is a value in memory or a Delayed, and is handed on
without being looked at.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Protocol

import dask
import dask.array as da
import numpy as np
import numpy.typing as npt
from dask._task_spec import Task, TaskRef
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.tokenize import tokenize

from usidx.tasks.blocks import Held, Rows, Shared, Streamed, change_rows
from usidx.tasks.graph import (
    Detached,
    Member,
    Plan,
    detach,
    list_block_keys,
    make_barrier,
    make_node,
    name_barrier,
    name_node,
    read_again,
)
from usidx.tasks.merge import count_below
from usidx.tasks.pool import Ask, meet
from usidx.tasks.process.blas import limit_blas
from usidx.tasks.threads import runs_on_cluster, worker_count

__all__ = ["Passes", "join_iterations", "plan_passes"]

Array = npt.NDArray[Any]
Func = Callable[..., Any]
#: What is taken of a value: an attribute by its name, what a function makes of it, or with None all of it.
Pick = str | Func | None

#: A lazy array no larger than this is read once and held while an iteration runs over it.
_HELD_BYTES = 2**26
#: The part of a cluster's memory in which blocks are kept between passes, where the configuration says nothing.
_KEEP = 0.3


class Passes(Protocol):
    """Passes over the rows of a matrix. `Any` stands for a value, or for the promise of one."""

    def fold(self, step: Func, merge: Func, *shared: Any) -> Any:
        """Join ``step(block, *shared)`` over all blocks: one pass."""

    def call(self, func: Func, *args: Any) -> Any:
        """Call a function on what was found; its result must be small."""

    def gather(self, func: Func, array: Any, *args: Any) -> Any:
        """Call a function on a whole array that fits in memory, and on what was found."""

    def pick_array(self, value: Any, pick: Pick, shape: tuple[int, ...], dtype: Any) -> Any:
        """Return what is picked of a value as an array of one block."""

    def map_rows(self, func: Func, value: Any, width: int, dtype: Any) -> Any:
        """Return ``func(block, value)`` for all blocks as a (rows, width) array: one more pass."""

    def follow(self, step: Func, first: Any) -> Any:
        """Return the last ``found = step(found, block)`` over all blocks in order, from `first`: one pass."""

    def map_numbered(self, func: Func, value: Any, width: int, dtype: Any) -> Any:
        """Return ``func(block, number of its first row, value)`` for all blocks, (rows, width): one more pass."""

    def read_again(self, value: Any) -> Any:
        """Return the matrix as the next pass reads it: after `value` is found, not held from the pass before."""

    def iterate(self, func: Func, *args: Any, hold: bool = False) -> Any:
        """Call ``func(blocks, *args)``, which may pass over the blocks as often as it needs; or hold them all."""

    def split(self, value: Any, pick: Pick, width: int, dtype: Any) -> Any:
        """Return what is picked, (rows, width) in the order of the blocks, as an array in the blocks of the rows."""


def plan_passes(values: Any) -> Passes:
    """Return the passes over a 2-D array, NumPy or dask with whole columns."""
    return _Lazy(values) if isinstance(values, da.Array) else _Now(values)


class _Now:
    """Passes that run when they are called."""

    def __init__(self, values: Array) -> None:
        self._values = values
        self._held = Held(values)

    def fold(self, step: Func, merge: Func, *shared: Any) -> Any:
        return self._held.fold(step, merge, *shared)

    def call(self, func: Func, *args: Any) -> Any:
        with limit_blas(worker_count()):
            return func(*args)

    def gather(self, func: Func, array: Any, *args: Any) -> Any:
        return self.call(func, np.asarray(array), *args)

    def pick_array(self, value: Any, pick: Pick, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.asarray(_pick(pick, value), dtype).reshape(shape)

    def map_rows(self, func: Func, value: Any, width: int, dtype: Any) -> Array:
        found = self._held.map(lambda block: func(block, value))
        return np.concatenate(found).astype(dtype, copy=False).reshape(-1, width)

    def follow(self, step: Func, first: Any) -> Any:
        return step(first, self._values)

    def map_numbered(self, func: Func, value: Any, width: int, dtype: Any) -> Array:
        return np.asarray(func(self._values, 0, value), dtype).reshape(-1, width)

    def read_again(self, value: Any) -> Array:
        return self._values

    def iterate(self, func: Func, *args: Any, hold: bool = False) -> Any:
        return func(self._held, *args)

    def split(self, value: Any, pick: Pick, width: int, dtype: Any) -> Array:
        found = _pick(pick, value)
        return np.asarray(found.join() if isinstance(found, Rows) else found, dtype).reshape(-1, width)


class _Lazy:
    """Passes that are nodes of a graph."""

    def __init__(self, values: Any) -> None:
        self._values = values
        self._detached: Detached | None = None

    def fold(self, step: Func, merge: Func, *shared: Any) -> Delayed:
        token = tokenize(self._values.name, step, merge, [_identify(s) for s in shared])
        plain = [TaskRef(s.key) if isinstance(s, Delayed) else s for s in shared]
        key = name_barrier("fold", token)
        blocks = list_block_keys(self._values)
        last = _name_parts(key, token, 0, len(blocks))
        graph: dict[Any, Any] = {
            part: Task(part, _step_alone, step, TaskRef(block), *plain)
            for part, block in zip(last, blocks, strict=True)
        }
        level = 0
        while len(last) > 1:
            level += 1
            pairs = [last[i : i + 2] for i in range(0, len(last), 2)]
            last = _name_parts(key, token, level, len(pairs))
            for part, pair in zip(last, pairs, strict=True):
                graph[part] = Task(part, _join, merge, *(TaskRef(p) for p in pair))
        return make_barrier(key, graph, [self._values, *(s for s in shared if isinstance(s, Delayed))])

    def call(self, func: Func, *args: Any) -> Delayed:
        return make_node(func, [], *args, token=tokenize(func, [_identify(a) for a in args]))

    def gather(self, func: Func, array: Any, *args: Any) -> Delayed:
        one = array.rechunk(-1)
        token = tokenize(func, one.name, [_identify(a) for a in args])
        return make_node(func, [one], TaskRef((one.name, *(0,) * one.ndim)), *args, token=token)

    def pick_array(self, value: Any, pick: Pick, shape: tuple[int, ...], dtype: Any) -> Any:
        name = f"usidx-{_name_pick(pick)}-{tokenize(value.key, pick, shape, dtype)}"
        key = (name, *(0,) * len(shape))
        graph = {key: Task(key, _pick_array, pick, TaskRef(value.key), dtype, shape)}
        return _build_array(name, graph, [value], tuple((n,) for n in shape), dtype)

    def map_rows(self, func: Func, value: Any, width: int, dtype: Any) -> Any:
        again = self.read_again(value)
        name = f"usidx-rows-{tokenize(again.name, func, value.key, width, dtype)}"
        graph = {}
        for i, key in enumerate(list_block_keys(again)):
            graph[(name, i, 0)] = Task((name, i, 0), _map_block, func, TaskRef(key), TaskRef(value.key), width, dtype)
        return _build_array(name, graph, [again, value], (again.chunks[0], (width,)), dtype)

    def follow(self, step: Func, first: Any) -> Delayed:
        token = tokenize(self._values.name, step, first)
        key = name_barrier("follow", token)
        blocks = list_block_keys(self._values)
        links: list[Any] = [(f"usidx-link-{token}", number) for number in range(len(blocks) - 1)]
        graph: dict[Any, Any] = {}
        before: Any = first
        for link, block in zip([*links, key], blocks, strict=True):
            graph[link] = Task(link, _follow_alone, step, before, TaskRef(block))
            before = TaskRef(link)
        return make_barrier(key, graph, [self._values])

    def map_numbered(self, func: Func, value: Any, width: int, dtype: Any) -> Any:
        again = self.read_again(value)
        name = f"usidx-numbered-{tokenize(again.name, func, value.key, width, dtype)}"
        starts = np.cumsum([0, *again.chunks[0]]).tolist()
        graph = {}
        for i, key in enumerate(list_block_keys(again)):
            numbered = partial(_call_numbered, func, starts[i])
            graph[(name, i, 0)] = Task(
                (name, i, 0), _map_block, numbered, TaskRef(key), TaskRef(value.key), width, dtype
            )
        return _build_array(name, graph, [again, value], (again.chunks[0], (width,)), dtype)

    def read_again(self, value: Any) -> Any:
        return read_again(self._values, value)

    def iterate(self, func: Func, *args: Any, hold: bool = False) -> Delayed:
        token = tokenize(self._values.name, func, [_identify(a) for a in args])
        sizes = list(self._values.chunks[0])
        if hold or self._values.nbytes <= _HELD_BYTES:
            return self.gather(_iterate_held, self._values, func, *args)
        source = self._detached = self._detached or detach(self._values)
        known = [TaskRef(key) for key in source.given]
        keep = float(dask.config.get("usidx.keep-blocks", _KEEP))
        plan = Plan(source, token, name_node(_iterate_stream, token), sizes, int(self._values.nbytes), keep)
        arguments = [func, plan, len(known), *known, *args]
        parents = [self._values] if known or source.held else []
        return make_node(_iterate_stream, parents, *arguments, token=token, hold=source.held)

    def split(self, value: Any, pick: Pick, width: int, dtype: Any) -> Any:
        name = f"usidx-{_name_pick(pick)}-{tokenize(value.key, pick, width, dtype, self._values.chunks)}"
        stops = np.cumsum(self._values.chunks[0])
        graph = {}
        for i, (stop, size) in enumerate(zip(stops, self._values.chunks[0], strict=True)):
            part = (int(stop - size), int(stop))
            graph[(name, i, 0)] = Task((name, i, 0), _cut, pick, TaskRef(value.key), part, width, dtype)
        return _build_array(name, graph, [value], (self._values.chunks[0], (width,)), dtype)


def _build_array(name: str, graph: dict[Any, Any], parents: Sequence[Any], chunks: Any, dtype: Any) -> Any:
    layers = HighLevelGraph.from_collections(name, graph, dependencies=parents)
    return da.Array(layers, name, chunks, dtype=dtype)


def _identify(value: Any) -> Any:
    return value.key if isinstance(value, Delayed) else value


def _name_parts(key: str, token: str, level: int, count: int) -> list[Any]:
    """Return the keys of the answers on one level of a fold; the last one of all is what the fold finds."""
    return [key] if count == 1 else [(f"usidx-part-{token}", level, i) for i in range(count)]


def _step_alone(step: Func, block: Array, *shared: Any) -> Any:
    with limit_blas():
        return step(block, *shared)


def _follow_alone(step: Func, before: Any, block: Array) -> Any:
    with limit_blas():
        return step(before, block)


def _call_numbered(func: Func, start: int, block: Array, value: Any) -> Any:
    return func(block, start, value)


def _join(merge: Func, first: Any, *second: Any) -> Any:
    return merge(first, *second) if second else first


def _pick(pick: Pick, value: Any) -> Any:
    if pick is None:
        return value
    return getattr(value, pick) if isinstance(pick, str) else pick(value)


def _name_pick(pick: Pick) -> str:
    """Name what is picked in the names of a graph."""
    return str(pick if isinstance(pick, str) else getattr(pick, "__name__", "array")).strip("_")


def _pick_array(pick: Pick, value: Any, dtype: Any, shape: tuple[int, ...]) -> Array:
    return np.asarray(_pick(pick, value), dtype).reshape(shape)


def _map_block(func: Func, block: Array, value: Any, width: int, dtype: Any) -> Array:
    with limit_blas():
        return np.asarray(func(block, value), dtype).reshape(-1, width)


def _cut(pick: Pick, value: Any, part: tuple[int, int], width: int, dtype: Any) -> Array:
    found = _pick(pick, value)
    rows = found.cut(*part) if isinstance(found, Rows) else found[part[0] : part[1]]
    return np.asarray(rows, dtype).reshape(-1, width)


def _iterate_held(values: Array, func: Func, *args: Any) -> Any:
    return func(Held(values), *args)


def _iterate_stream(func: Func, plan: Plan, known: int, *args: Any) -> Any:
    (found,) = _iterate_together([(func, plan, known, *args)])
    return found


def _iterate_several(counts: Sequence[int], *args: Any) -> list[Any]:
    """Call the functions of several nodes that iterate, whose arguments follow each other, so many each."""
    stops = np.cumsum(counts)
    return _iterate_together([args[stop - count : stop] for stop, count in zip(stops, counts, strict=True)])


def _iterate_together(calls: Sequence[Sequence[Any]]) -> list[Any]:
    """Call ``func(blocks, *args)`` of some ``(func, plan, known, *args)`` over the same blocks, in the same passes."""
    members = [Member(func, plan, args[:known], args[known:]) for func, plan, known, *args in calls]
    if runs_on_cluster():
        from usidx.tasks.spread import iterate_on_cluster

        return iterate_on_cluster(members)
    plan = members[0].plan
    blocks = Streamed(plan.source, members[0].known, plan.sizes)
    if len(members) == 1:
        return [change_rows(members[0].func(blocks, *members[0].args), Rows.settle)]
    found = meet([partial(_iterate_shared, one.hear()) for one in members], blocks.run_together)
    return [change_rows(one, Rows.settle) for one in found]


def _iterate_shared(member: Member, ask: Ask) -> Any:
    return member.func(Shared(member.plan.sizes, ask), *member.args)


def join_iterations(lazy: list[Any]) -> list[Any]:
    """Return the same arrays on one graph, in which nodes that iterate over the same blocks are one.

    Only such as do not wait for each other: each has so many others below it.
    """
    graphs = [one.__dask_graph__() for one in lazy if isinstance(one, da.Array)]
    layers = {name: layer for graph in graphs for name, layer in graph.layers.items()}
    depends = {name: set(found) for graph in graphs for name, found in graph.dependencies.items()}
    begin = name_node(_iterate_stream, "")
    nodes = {name: dict(layers[name])[name] for name in layers if name.startswith(begin)}
    groups: dict[Any, list[str]] = {}
    for name, task in nodes.items():
        plan = task.args[3] if isinstance(task, Task) and len(dict(layers[name])) == 1 else None
        if isinstance(plan, Plan) and not plan.source.held:
            height = count_below(depends, name, nodes)
            groups.setdefault((height, tuple(plan.source.blocks)), []).append(name)
    several = [group for group in groups.values() if len(group) > 1]
    for group in several:
        _join_nodes(layers, depends, nodes, group)
    if not several:
        return lazy
    graph = HighLevelGraph(layers, depends)
    return [da.Array(graph, a.name, a.chunks, meta=a._meta) if isinstance(a, da.Array) else a for a in lazy]


def _join_nodes(layers: dict[str, Any], depends: dict[str, set[str]], nodes: dict[str, Task], group: list[str]) -> None:
    """Put a node in the place of several, which pick from what it finds."""
    key = name_node(_iterate_several, tokenize(group))
    calls = [nodes[name].args[2:] for name in group]
    counts = [len(call) for call in calls]
    layers[key] = MaterializedLayer(
        {key: Task(key, _iterate_several, counts, *(one for call in calls for one in call))}
    )
    depends[key] = set().union(*(depends[name] for name in group))
    for number, name in enumerate(group):
        layers[name] = MaterializedLayer({name: Task(name, operator.getitem, TaskRef(key), number)})
        depends[name] = {key}
