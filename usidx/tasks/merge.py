"""Graphs whose later passes read the same source -> graphs that share those passes.

A verb that passes twice over its source reads it under other names the second time, after what the first pass found. Of
two such verbs each would read the source a second time; merged, the second passes are one, after both first ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from operator import getitem
from typing import Any

import dask.array as da
from dask._task_spec import Alias, Task, TaskRef, convert_legacy_graph
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer
from dask.tokenize import tokenize

__all__ = [
    "AGAIN",
    "BARRIER",
    "UNREAD",
    "count_below",
    "merge_passes",
    "wait_for",
]

#: Stands in the names of layers that read a source once more, before the token of the pass.
AGAIN = "-again-"
#: How the names begin of what is found from all of a source, in one task or many, before anything that rests on it.
BARRIER = "usidx-barrier"
#: How the names of layers begin whose blocks are handed on unread, before the name of the layer that reads them.
UNREAD = "unread-"

Layers = dict[str, Any]
Dependencies = dict[str, set[str]]


def wait_for(value: Any, *_found: Any) -> Any:
    """Return a value once others are found."""
    return value


def merge_passes(lazy: list[Any]) -> list[Any]:
    """Return the same arrays on one graph, in which later passes over one source are one where they can be."""
    graphs = [one.__dask_graph__() for one in lazy if isinstance(one, da.Array)]
    layers: Layers = {name: layer for graph in graphs for name, layer in graph.layers.items()}
    depends: Dependencies = {name: set(found) for graph in graphs for name, found in graph.dependencies.items()}
    groups: dict[str, list[str]] = {}
    for name in layers:
        if AGAIN in name:
            groups.setdefault(name.rsplit(AGAIN, 1)[0], []).append(name)
    changed = _share_reads(layers, depends)
    for group in groups.values():
        for other in group[1:]:
            changed |= _merge(layers, depends, group[0], other)
    if not changed:
        return lazy
    graph = HighLevelGraph(layers, depends)
    return [da.Array(graph, a.name, a.chunks, meta=a._meta) if isinstance(a, da.Array) else a for a in lazy]


def _share_reads(layers: Layers, depends: Dependencies) -> bool:
    """Read blocks once that several want unread, or some whole and some unread, in the dicts; say if there are any."""
    changed = False
    for name in [name for name in layers if name.startswith(UNREAD)]:
        read = name.removeprefix(UNREAD)
        users = [user for user, found in depends.items() if name in found]
        if read in layers:
            layers[name] = MaterializedLayer({(name, *key[1:]): Alias((name, *key[1:]), key) for key in layers[read]})
            depends[name] = {read}
        elif len(users) < 2 or not _work_together(layers, depends, name, users):
            continue
        changed = True
    return changed


def _work_together(layers: Layers, depends: Dependencies, name: str, users: list[str]) -> bool:
    """Let one task work on each unread block for all layers that use it; say whether that could be."""
    of_block: dict[Any, list[Any]] = {key: [] for key in layers[name]}
    for user in users:
        for task in convert_legacy_graph(dict(layers[user])).values():
            keys = set(task.dependencies)
            if len(keys) != 1 or not keys <= of_block.keys():
                return False
            of_block[keys.pop()].append(task)
    joined = f"usidx-joined-{tokenize(name, *users)}"
    layers[joined] = MaterializedLayer(
        {
            (joined, *key[1:]): Task((joined, *key[1:]), _Together(key, tasks), TaskRef(key))
            for key, tasks in of_block.items()
        }
    )
    depends[joined] = {name}
    for user in users:
        depends[user] = {joined}
        layers[user] = MaterializedLayer(
            {
                task.key: Task(task.key, getitem, TaskRef((joined, *key[1:])), number)
                for key, tasks in of_block.items()
                for number, task in enumerate(tasks)
                if task.key[0] == user
            }
        )
    return True


@dataclass(frozen=True, slots=True, eq=False)
class _Together:
    """Run several tasks on one block that was not read yet."""

    key: Any
    tasks: list[Any]

    def __call__(self, block: Any) -> list[Any]:
        return list(block.work_together([partial(self._run, task) for task in self.tasks]))

    def _run(self, task: Any, block: Any) -> Any:
        return task({self.key: block})


def _merge(layers: Layers, depends: Dependencies, kept: str, other: str) -> bool:
    """Put one layer in the place of another, in the dicts; say whether that could be."""
    users = [name for name, found in depends.items() if other in found]
    materialised = all(isinstance(layers[name], MaterializedLayer) for name in (kept, other, *users))
    if not materialised or other in _find_below(depends, [kept]) or kept in _find_below(depends, [other]):
        return False
    ending, wanted = other.rsplit(AGAIN, 1)[1], kept.rsplit(AGAIN, 1)[1]
    own: dict[Any, Any] = dict(layers[other])
    names = {key: _rename(key, ending, wanted) for key in own}
    if not set(names.values()) <= set(layers[kept]):
        return False
    names = {key: name for key, name in names.items() if key != name}
    layers[kept] = MaterializedLayer(
        {key: _wait_for_both(task, own.get(_rename(key, wanted, ending))) for key, task in dict(layers[kept]).items()}
    )
    for user in users:
        layers[user] = MaterializedLayer({key: task.substitute(names) for key, task in dict(layers[user]).items()})
        depends[user] = (depends[user] - {other}) | {kept}
    depends[kept] |= depends.pop(other)
    del layers[other]
    return True


def _find_below(depends: Dependencies, names: Iterable[str]) -> set[str]:
    """Return all that the layers rest on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        new = depends.get(waiting.pop(), set()) - found
        found |= new
        waiting.extend(new)
    return found


def count_below(depends: Dependencies, name: str, among: Iterable[str]) -> int:
    """Return how many of some layers stand below one of them, on the longest way down."""
    below = _find_below(depends, [name]) & set(among)
    return max((1 + count_below(depends, other, below) for other in below), default=0)


def _rename(key: Any, ending: str, wanted: str) -> Any:
    if isinstance(key, tuple):
        return (_rename(key[0], ending, wanted), *key[1:])
    return f"{key.removesuffix(ending)}{wanted}" if isinstance(key, str) and key.endswith(ending) else key


def _wait_for_both(task: Any, other: Any) -> Any:
    """Let a task that waits for what one pass found wait for what the other found as well."""
    if not (isinstance(task, Task) and task.func is wait_for and isinstance(other, Task) and other.func is wait_for):
        return task
    # Older dask makes an Alias of a TaskRef that it is given.
    keys = {ref.key: None for ref in (*task.args[1:], *other.args[1:]) if isinstance(ref, TaskRef | Alias)}
    return Task(task.key, wait_for, task.args[0], *map(TaskRef, keys))
