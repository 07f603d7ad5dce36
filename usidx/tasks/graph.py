"""Lazy 2-D array to a graph that reads it once more, and to a graph that a node can stream by itself.

Two passes that shared the keys of the blocks would keep every block of the first in memory for the second. Each
further pass therefore has keys of its own, and its blocks wait for what the pass before has found. Small results of
a pass, the barriers, are never copied: what lies above them is computed once, whatever reads the array.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask._task_spec import Alias, DataNode, GraphNode, Task, TaskRef, convert_legacy_graph
from dask.array.optimization import GETTERS, optimize
from dask.core import flatten, toposort
from dask.delayed import Delayed
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.optimization import cull
from dask.tokenize import tokenize

from usidx.tasks.merge import AGAIN, BARRIER, wait_for
from usidx.tasks.progress import call_heard, call_named, find_listener

__all__ = [
    "Detached",
    "Graph",
    "Member",
    "Plan",
    "Settled",
    "build_like",
    "count_tasks",
    "detach",
    "has_barrier",
    "is_small",
    "list_block_keys",
    "list_layers",
    "make_barrier",
    "make_node",
    "name_barrier",
    "name_node",
    "optimize_for_cluster",
    "read_again",
    "reshape_blocks",
    "settle",
]

Graph = dict[Any, GraphNode]

#: Bytes of a value up to which each task that needs it is handed a copy, and larger it is a task of its own.
_SMALL = 2**14


def list_block_keys(array: Any) -> list[Any]:
    """Return the keys of the row blocks of a 2-D array whose columns are whole."""
    return [(array.name, i, 0) for i in range(array.numblocks[0])]


def list_layers(array: Any) -> list[str]:
    """Return the names of the layers of a lazy array's graph, in no order."""
    return list(array.__dask_graph__().layers)


def has_barrier(array: Any) -> bool:
    """Say whether a lazy array rests on something that is found from all of a source."""
    return any(name.startswith(BARRIER) for name in list_layers(array))


def count_tasks(array: Any) -> int:
    """Count the tasks that an array needs; what is optimised may hold more, which are dropped when it is computed."""
    (optimised,) = dask.optimize(array)
    needed, _ = cull(dict(optimised.dask), list_keys(optimised))
    return len(needed)


@dataclass(frozen=True, slots=True)
class Settled:
    """An array with the tasks that make it and others, optimised: parts of it cost no more than what they hold."""

    array: Any
    tasks: Graph

    def cut(self, axis: int, part: slice) -> Any:
        """Return a part of the array along an axis; the tasks of whole blocks are picked, not looked for."""
        stops = np.cumsum([0, *self.array.chunks[axis]]).tolist()
        if part.start not in stops or part.stop not in stops:
            return self.array[(slice(None),) * axis + (part,)]
        first, last = stops.index(part.start), stops.index(part.stop)
        chunks = tuple(c[first:last] if k == axis else c for k, c in enumerate(self.array.chunks))
        name = f"usidx-part-{tokenize(self.array.name, axis, first, last)}"
        graph: Graph = {}
        for place in product(*(range(len(sizes)) for sizes in chunks)):
            block = (self.array.name, *(i + first if k == axis else i for k, i in enumerate(place)))
            graph[name, *place] = Task((name, *place), _return, TaskRef(block))
        needed, _ = cull(self.tasks, [key for task in graph.values() for key in task.dependencies])
        layers = HighLevelGraph.from_collections(name, {**needed, **graph})
        return da.Array(layers, name, chunks, meta=self.array._meta)


def settle(arrays: Sequence[Any]) -> list[Settled]:
    """Optimise arrays together, once for all parts of them that are asked for."""
    whole = HighLevelGraph.merge(*(array.dask for array in arrays))
    # By dask.optimize each would get a copy of the tasks that several come from.
    tasks = convert_legacy_graph(dict(optimize(whole, [array.__dask_keys__() for array in arrays])))
    return [Settled(da.Array(tasks, a.name, a.chunks, meta=a._meta), tasks) for a in arrays]


def optimize_for_cluster(lazy: Sequence[Any]) -> list[Any]:
    """Return the same lazy objects, optimised, arrays in fewer tasks: each costs a cluster milliseconds.

    dask joins plain chains only, and leaves a second task for the name of each.
    """
    if not lazy or not all(isinstance(one, da.Array) for one in lazy):
        return list(dask.optimize(*lazy))
    wanted = {key for array in lazy for key in list_keys(array)}
    if any(_find_futures(array.dask) for array in lazy):
        return list(dask.optimize(*lazy))  # dask keeps count of them
    needed, _ = cull(settle(lazy)[0].tasks, list(wanted))
    tasks = _join_tasks(_hand_out(needed, wanted), wanted)
    return [da.Array(tasks, a.name, a.chunks, meta=a._meta) for a in lazy]


def _join_tasks(tasks: Graph, wanted: set[Any]) -> Graph:
    """Join each task with the only one that it alone needs; what others need as well, as barriers, stays apart.

    Of several that it alone needs each may be done by another worker.
    """
    users = Counter(key for task in tasks.values() for key in task.dependencies)
    apart = {key for key in tasks if users[key] != 1 or key in wanted or _is_barrier(key)}
    found: Graph = {}
    for key in toposort(tasks, {key: task.dependencies for key, task in tasks.items()}):
        own = tasks[key].dependencies - apart
        if len(own) != 1 or tasks[key].block_fusion or tasks[next(iter(own))].block_fusion:
            found[key] = tasks[key]
        elif isinstance(tasks[key], Alias):
            found[key] = found.pop(*own).substitute({}, key=key)
        else:
            found[key] = Task.fuse(found.pop(*own), tasks[key], key=key)
    return found


def list_keys(array: Any) -> list[Any]:
    """Return the keys of all blocks of an array."""
    return list(flatten(array.__dask_keys__()))


def _hand_out(tasks: Graph, wanted: set[Any]) -> Graph:
    """Give each task copies of the small values that it needs."""
    small = {key: task for key, task in tasks.items() if is_small(task) and key not in wanted}
    found: Graph = {}
    for key, task in tasks.items():
        if key not in small:
            given = [small[one] for one in task.dependencies if one in small]
            found[key] = Task.fuse(*given, task, key=key) if given else task
    return found


def is_small(task: GraphNode) -> bool:
    """Say whether a task is a value of which each that needs it can be handed a copy."""
    return isinstance(task, DataNode) and int(getattr(task.value, "nbytes", 0)) <= _SMALL


def _return(value: Any) -> Any:
    return value


def reshape_blocks(array: Any, chunks: tuple[tuple[int, ...], ...]) -> Any:
    """Return the array of the same blocks, each reshaped, in the same order.

    As :func:`dask.array.reshape_blockwise`, which loses count where dims are one long.
    """
    name = f"usidx-reshaped-{tokenize(array.name, chunks)}"
    found = product(*(range(len(sizes)) for sizes in array.chunks))
    made = zip(product(*(range(len(sizes)) for sizes in chunks)), product(*chunks), strict=True)
    graph = {
        (name, *place): Task((name, *place), np.reshape, TaskRef((array.name, *key)), shape)
        for key, (place, shape) in zip(found, made, strict=True)
    }
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[array])
    return da.Array(layers, name, chunks, dtype=array.dtype)


def build_like(array: Any, name: str, calls: Mapping[Any, tuple[Callable[..., Any], Sequence[Any]]]) -> Any:
    """Return an array of the shape and the blocks of another, and called `name`, from ``func(*values of keys)``."""
    graph = {key: Task(key, func, *map(TaskRef, keys)) for key, (func, keys) in calls.items()}
    layers = HighLevelGraph.from_collections(name, graph, dependencies=[array])
    return da.Array(layers, name, array.chunks, meta=array._meta)


def make_node(
    func: Callable[..., Any], parents: list[Any], *args: Any, token: str, hold: Sequence[Any] = ()
) -> Delayed:
    """Return a lazy call of `func`; Delayed arguments become references, and its result is a barrier.

    What a cluster is to `hold` until the call is done is not handed to it: it stays on the workers where it is.
    """
    key = name_node(func, token)
    plain = [TaskRef(a.key) if isinstance(a, Delayed) else a for a in args]
    graph: dict[Any, Any] = {key: Task(key, call_named, key, func, *plain)}
    if hold:
        called = f"{key}-held"
        graph = {called: Task(called, call_named, key, func, *plain)}
        for number, held in enumerate(hold):
            graph[called, number] = Task((called, number), _drop_all, TaskRef(called), TaskRef(held))
        graph[key] = Task(key, wait_for, TaskRef(called), *(TaskRef((called, number)) for number in range(len(hold))))
    return make_barrier(key, graph, [*parents, *(a for a in args if isinstance(a, Delayed))])


def _drop_all(*_values: Any) -> None:
    """Return nothing: the task only has to be scheduled where its arguments are."""


def name_barrier(label: str, token: str) -> str:
    """Return the name of a barrier."""
    return f"{BARRIER}-{label}-{token}"


def name_node(func: Callable[..., Any], token: str) -> str:
    """Return the key of what a lazy call of `func` finds."""
    return name_barrier(func.__name__.strip("_"), token)


def make_barrier(key: str, graph: Mapping[Any, Any], parents: list[Any]) -> Delayed:
    """Return the Delayed of a graph that rests on other collections."""
    return Delayed(key, HighLevelGraph.from_collections(key, dict(graph), dependencies=parents))


def read_again(array: Any, after: Delayed) -> Any:
    """Return the same array under other keys, none of whose sources runs before `after` is there."""
    graph, held = _collect_tasks(array)
    token = tokenize(array.name, after.key)
    name = f"{array.name}{AGAIN}{token}"
    blocks = set(list_block_keys(array))
    shared = {key for key, found in graph.items() if isinstance(found, DataNode) and key not in blocks}
    own = {key for key in graph if key not in shared and not _is_barrier(key)}
    renamed = {key: _rename(key, array.name, name, token) for key in own}
    copies: dict[Any, Any] = {}
    for key in own:
        copy = graph[key].substitute(renamed, key=renamed[key])
        waits = isinstance(copy, DataNode) or not own.isdisjoint(graph[key].dependencies)
        copies[renamed[key]] = copy if waits else Task(renamed[key], wait_for, copy, TaskRef(after.key))
    fixed = {key: graph[key] for key in shared}
    for key in blocks & held.keys():
        alias = _rename(key, array.name, name, token)
        copies[alias] = Task(alias, wait_for, held[key], TaskRef(after.key))
    layers = HighLevelGraph.from_collections(name, {**fixed, **copies}, dependencies=[array, after])
    return da.Array(layers, name, array.chunks, meta=array._meta)


@dataclass(frozen=True, slots=True)
class Detached:
    """The graph of an array as a plain value that dask does not look into, and what it rests on.

    Barriers, which are small, are given to the node; what a cluster holds in memory already stays there.
    """

    graph: Graph
    blocks: list[Any]
    given: list[Any]
    held: list[Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of blocks that are passed over many times, before anything is computed.

    Attributes
    ----------
    source : Detached
        Their graph.
    token : str
        What tells the work on them from all other.
    owner : str
        The key of what that work finds in the end. The task that works may have another one: dask renames what it
        fuses.
    sizes : list of int
        Rows of each.
    nbytes : int
        Of all.
    keep : float
        The part of a cluster's memory that they may take to be kept between passes.
    """

    source: Detached
    token: str
    owner: str
    sizes: list[int]
    nbytes: int
    keep: float

    @property
    def graph(self) -> Graph:
        """The tasks that make the blocks."""
        return self.source.graph


@dataclass(frozen=True, slots=True)
class Member:
    """A function that iterates: its plan, the values that its blocks rest on, and its further arguments."""

    func: Callable[..., Any]
    plan: Plan
    known: Sequence[Any]
    args: Sequence[Any]

    def hear(self) -> Member:
        """Return the same, to be called in any thread, which tells of its iterations as the task that runs here."""
        return replace(self, func=partial(call_heard, find_listener(self.plan.owner), self.func))


def detach(array: Any) -> Detached:
    """Take the graph of an array off its barriers, for a node that reads the blocks by itself."""
    graph, held = _collect_tasks(array)
    barriers = [key for key in graph if _is_barrier(key)]
    own = {key: found for key, found in graph.items() if not _is_barrier(key)}
    return Detached(own, list_block_keys(array), barriers, list(held))


def _collect_tasks(array: Any) -> tuple[Graph, dict[Any, Any]]:
    """Return the tasks that the blocks need, slices pushed into the reads, and nothing above a barrier.

    Also the futures that they need: values which a cluster holds already.
    """
    graph = array.__dask_graph__()
    futures = _find_futures(graph)
    found = [key for key in graph.keys() if _is_barrier(key)]  # noqa: SIM118 - a graph is no dict
    tasks = _optimise(array, graph, [*list_block_keys(array), *found], futures)
    kept: Graph = {}
    held: dict[Any, Any] = {}
    waiting = list_block_keys(array)
    while waiting:
        key = waiting.pop()
        if key in futures:
            held[key] = futures[key]
        elif key not in kept:
            kept[key] = tasks[key]
            waiting.extend(() if _is_barrier(key) else tasks[key].dependencies)
    return kept, held


def _find_futures(graph: HighLevelGraph) -> dict[Any, Any]:
    """Return the values of a graph that a cluster holds."""
    # Other layers are made by calls, and long if they are listed.
    layers = [layer for layer in graph.layers.values() if isinstance(layer, MaterializedLayer)]
    return {key: value for layer in layers for key, value in layer.items() if isinstance(value, TaskRef)}


def _optimise(array: Any, graph: Any, keys: list[Any], futures: Mapping[Any, Any]) -> Graph:
    """Return the tasks that some keys need; they are fused, which takes long, where that brings slices to the reads."""
    with dask.config.set({"optimization.fuse.active": False}):
        optimised = dict(array.__dask_optimize__(graph, keys))
    tasks: Graph = convert_legacy_graph({key: v for key, v in optimised.items() if key not in futures})
    if any(_is_slice_of_task(task, tasks) for task in tasks.values()):
        optimised = dict(array.__dask_optimize__(graph, keys))
        tasks = convert_legacy_graph({key: v for key, v in optimised.items() if key not in futures})
    return tasks


def _is_slice_of_task(task: GraphNode, tasks: Graph) -> bool:
    if not (isinstance(task, Task) and task.func in GETTERS):
        return False
    return any(key in tasks and not isinstance(tasks[key], DataNode) for key in task.dependencies)


def _rename(key: Any, array_name: str, name: str, token: str) -> Any:
    if isinstance(key, tuple):
        return (name if key[0] == array_name else f"{key[0]}-{token}", *key[1:])
    return f"{key}-{token}"


def _is_barrier(key: Any) -> bool:
    return isinstance(key, str) and key.startswith(BARRIER)
