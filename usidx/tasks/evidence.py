"""Lazy arrays -> what their graphs are made of: functions, values that they hold, arrays that were opened.

Dask names the tasks after what they do, but a function by its name and a block that was computed before by the name of
the task that made it. So equal names prove equal results only together with what is collected here.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
from dask._task_spec import DataNode, GraphNode, Task
from dask.array.chunk import astype
from dask.blockwise import Blockwise

__all__ = [
    "Evidence",
    "Operation",
    "UnprovenError",
    "collect_evidence",
    "collect_layers",
    "find_opened",
    "find_operations",
    "find_unselected",
    "read_token",
    "selects_of",
    "takes_all_cells",
]

#: What dask's tokens look like; a layer without one was named by hand, and the name proves nothing.
_TOKEN: Final = re.compile(r"[0-9a-f]{32}")
#: How the layers are called that xarray and dask add when cells are only selected, reordered or cut into other blocks.
_SELECTING: Final = ("getitem", "rechunk", "transpose")
#: A node that streams a graph stands in a layer of few tasks; a pass over blocks in one of many.
_FEW_TASKS: Final = 4
_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, slice, np.generic, np.dtype, type(Ellipsis))


_CONTAINERS: Final = (partial, list, tuple, set, frozenset, dict)


class UnprovenError(Exception):
    """It cannot be proven what a graph computes."""


@dataclass(slots=True)
class Evidence:
    """What graphs are made of.

    Attributes
    ----------
    functions : dict
        Functions that tasks call, and objects that are handed to them, by identity.
    held : dict
        Arrays that stand in the graph instead of a task that makes them, by key.
    opened : dict
        Stored arrays that the tasks read, by the name of their layer.
    """

    functions: dict[int, Any] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    opened: dict[str, Any] = field(default_factory=dict)


def collect_layers(arrays: Iterable[Any]) -> dict[str, Any]:
    """Return the layers of the graphs of dask arrays, each once."""
    return {str(name): layer for array in arrays for name, layer in array.__dask_graph__().layers.items()}


def read_token(name: str) -> str:
    """Return the tokens in the name of a layer: what stands beside them may be an address in memory.

    A name without one, which was given by hand, stands for itself.
    """
    return "-".join(_TOKEN.findall(name)) or name


def collect_evidence(layers: Mapping[str, Any]) -> Evidence:
    """Return what the layers are made of.

    Raises
    ------
    UnprovenError
        A layer has a name that was given by hand, or results that a cluster holds.
    """
    evidence = Evidence()
    for name, layer in layers.items():
        if not _TOKEN.search(name):
            raise UnprovenError(f"the layer {name!r} was named by hand")
        if isinstance(layer, Blockwise):
            _look_at(layer.task, evidence)
            for value, index in layer.indices:
                if index is None:
                    _look_at(value, evidence)
        else:
            _look_at_tasks(dict(layer), evidence)
    return evidence


def find_opened(layers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored arrays that the layers read, by key, without a look at what is done with them.

    Those stand in the graph by themselves, or within the few tasks that stream a graph of their own.
    """
    evidence = Evidence()
    for layer in layers.values():
        if isinstance(layer, Blockwise):
            continue
        few = len(layer) <= _FEW_TASKS
        for key, task in layer.items():
            if few or isinstance(key, str):
                _look_at_tasks({key: task}, evidence)
    return evidence.opened


@dataclass(frozen=True, slots=True)
class Operation:
    """What was done to each cell of an array.

    Attributes
    ----------
    name : str
        As the module operator calls it, or "real", "imag", "astype".
    number : object
        The other operand, or the type; None where there is none.
    is_number_first : bool
        Whether it is the left one.
    """

    name: str
    number: Any = None
    is_number_first: bool = False


def find_operations(array: Any, made: Callable[[str], bool]) -> list[Operation] | None:
    """Return what was done, oldest first, to the cells of a dask array that `made` knows, beside selecting some.

    None where anything else was done than arithmetic with numbers, parts of complex numbers and changes of type.
    """
    graph = array.__dask_graph__()
    name, found = str(array.name), []
    while not made(name):
        before = [str(d) for d in graph.dependencies.get(name, ())]
        if len(before) != 1:
            return None
        if not name.startswith(_SELECTING):
            operation = _read_operation(graph.layers[name])
            if operation is None:
                return None
            found.append(operation)
        name = before[0]
    return found[::-1]


def takes_all_cells(array: Any, made: Callable[[str], bool]) -> bool:
    """Say whether a dask array has all cells of the one that `made` knows, whatever was done to each."""
    graph, name = array.__dask_graph__(), str(array.name)
    while not made(name):
        before = [str(d) for d in graph.dependencies.get(name, ())]
        if name.startswith(_SELECTING[0]) or len(before) != 1:
            return False
        name = before[0]
    return True


#: Functions in the tasks of dask, and what they are called here.
_ARITHMETIC: Final[dict[Any, str]] = {
    operator.add: "add", operator.sub: "sub", operator.mul: "mul", operator.truediv: "truediv", operator.pow: "pow",
    np.add: "add", np.subtract: "sub", np.multiply: "mul", np.true_divide: "truediv", np.power: "pow",
}  # fmt: skip
_OF_ONE: Final[dict[Any, str]] = {
    operator.abs: "abs", abs: "abs", np.absolute: "abs", operator.neg: "neg", np.negative: "neg",
    np.real: "real", np.imag: "imag",
}  # fmt: skip


def _read_operation(layer: Any) -> Operation | None:
    """Return what a layer does to each cell; None where it is not one of these operations, on one array."""
    if not isinstance(layer, Blockwise) or not isinstance(layer.task, Task):
        return None
    function, keywords = _unwrap(layer.task.func), dict(layer.task.kwargs)
    values = [(place, value) for place, (value, index) in enumerate(layer.indices) if index is None]
    if len(layer.indices) - len(values) != 1:
        return None
    if function is astype and not values and set(keywords) == {"astype_dtype"}:
        return Operation("astype", str(np.dtype(keywords["astype_dtype"])))
    if keywords or len(values) > 1:
        return None
    if not values:
        return Operation(_OF_ONE[function]) if function in _OF_ONE else None
    place, number = values[0]
    is_number = isinstance(number, bool | int | float | complex | np.number | np.bool_)
    is_plain = function in _ARITHMETIC and is_number
    return Operation(_ARITHMETIC[function], number, place == 0) if is_plain else None


def _unwrap(function: Any) -> Any:
    """Return a function that can be looked up."""
    try:
        hash(function)
    except TypeError:
        return None
    return function


def find_unselected(array: Any) -> list[str]:
    """Return the names of the layers that a dask array comes from, but for a selection of their cells."""
    graph = array.__dask_graph__()
    waiting, found = [str(array.name)], set()
    while waiting:
        name = waiting.pop()
        before = [str(d) for d in graph.dependencies.get(name, ())]
        if name.startswith(_SELECTING) and before:
            waiting.extend(before)
        else:
            found.add(name)
    return sorted(found)


def selects_of(array: Any, opened: Callable[[str], bool]) -> bool:
    """Say whether cells are selected, or put in another order, of an opened array before anything else is done."""
    graph = array.__dask_graph__()
    waiting = [name for name in graph.layers if opened(name)]
    while waiting:
        for name in graph.dependents[waiting.pop()]:
            if name.startswith(_SELECTING[0]):
                return True
            if name.startswith(_SELECTING):
                waiting.append(name)
    return False


def _look_at_tasks(tasks: Mapping[Any, Any], evidence: Evidence) -> None:
    for key, task in tasks.items():
        value = task.value if isinstance(task, DataNode) else task
        if isinstance(value, GraphNode):
            _look_at(value, evidence)
        elif _is_opened(value):
            evidence.opened.setdefault(str(key), _find_stored(value))
        elif isinstance(value, np.ndarray):
            evidence.held[str(key)] = value
        else:
            _look_at(value, evidence)


def _look_at(value: Any, evidence: Evidence) -> None:
    """Collect from a task, or from what is handed to one, however deep."""
    waiting: list[Any] = [value]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, _PLAIN) or id(one) in seen:
            continue
        seen.add(id(one))
        if not _collect(one, evidence):
            waiting.extend(_list_parts(one))


def _collect(one: Any, evidence: Evidence) -> bool:
    """Keep a value that is to be digested; say whether it is done with."""
    if type(one).__module__.startswith("distributed"):
        raise UnprovenError("a cluster holds a part of the data")
    if _is_opened(one):
        evidence.opened.setdefault(repr(id(one)), _find_stored(one))
        return True
    if isinstance(one, GraphNode) or type(one) in _CONTAINERS or _is_streamed(one):
        return False
    evidence.functions[id(one)] = one
    # What is made of a container may say more than its parts, and do more with them.
    return not isinstance(one, partial | list | tuple | set | frozenset | Mapping)


def _is_streamed(one: Any) -> bool:
    """Say whether a task goes through a graph of its own."""
    return type(one).__module__.startswith("usidx.") and hasattr(one, "graph")


def _list_parts(one: Any) -> Iterator[Any]:
    if isinstance(one, Task):
        yield from (one.func, *one.args, *one.kwargs.values())
    elif isinstance(one, DataNode):
        yield one.value
    elif isinstance(one, partial):
        yield from (one.func, *one.args, *one.keywords.values())
    elif isinstance(one, Mapping):
        yield from one.values()
    elif isinstance(one, list | tuple | set | frozenset):
        yield from one
    elif _is_streamed(one):
        yield from dict(one.graph).values()  # a graph that a task streams by itself


def _is_opened(value: Any) -> bool:
    return type(value).__module__.startswith("xarray.") and hasattr(value, "array")


def _find_stored(adapter: Any) -> Any:
    """Return the stored array below xarray's adapters; whatever lies there, where it is none of usidx."""
    while not hasattr(adapter, "stored") and hasattr(adapter, "array"):
        adapter = adapter.array
    return getattr(adapter, "stored", adapter)
