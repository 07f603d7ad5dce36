"""Blocks of a part -> their joined answer, within one task; the same to the bit however many blocks make a part."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
from dask._task_spec import Task, TaskRef

from usidx.tasks.blocks import Change, Step, apply_changes
from usidx.tasks.graph import Graph
from usidx.tasks.process.blas import limit_blas

__all__ = [
    "answer_alone",
    "answer_in_list",
    "answer_part",
    "answer_with_number",
    "answer_with_states",
    "call_with",
    "change_made_rows",
    "make_list",
    "make_rows",
    "put_tree",
    "take_every",
    "take_first",
]

Array = npt.NDArray[Any]

#: Answers that one task joins: few enough that no worker holds many, many enough that the tree is low.
_JOINED = 8


def put_tree(graph: Graph, name: str, keys: list[Any], merge: Step) -> Any:
    """Add the tasks that join answers, always the same ones with each other; return the key of the last."""
    level = 0
    while len(keys) > 1 or level == 0:
        level += 1
        parts = [keys[start : start + _JOINED] for start in range(0, len(keys), _JOINED)]
        keys = [(f"{name}-joined", level, number) for number in range(len(parts))]
        for key, part in zip(keys, parts, strict=True):
            graph[key] = Task(key, _join, merge, *(TaskRef(one) for one in part))
    return keys[0]


def make_rows(pair: tuple[Any, list[Any]], changes: tuple[Change, ...]) -> Any:
    """Return the rows of some blocks, whose states come beside their answers."""
    with limit_blas():
        found = [apply_changes(state, changes) for state in pair[1]]
    return found[0] if len(found) == 1 else np.concatenate(found)


def change_made_rows(rows: Any, changes: tuple[Change, ...]) -> Any:
    """Return what the changes make of the rows of some blocks."""
    with limit_blas():
        return apply_changes(rows, changes)


def make_list(*blocks: Array) -> list[Array]:
    """Return the blocks of a part."""
    return [*blocks]


def call_with(func: Step, item: Any, shared: tuple[Any, ...]) -> Any:
    """Return what a function makes of an item."""
    return func(item, *shared)


def answer_part(
    blocks: list[Array],
    places: list[int],
    shared: tuple[Any, ...],
    numbers: list[int],
    answer: Step,
    merge: Step,
) -> Any:
    """Return the joined answers to some blocks."""
    with limit_blas():
        pairs = zip(places, numbers, strict=True)
        return _join_pairs(merge, (answer(blocks[place], shared, number) for place, number in pairs))


def answer_alone(block: Array, shared: tuple[Any, ...], _number: int) -> Any:
    """Return the answer to one block."""
    step, *others = shared
    return step(block, *others)


def answer_with_number(block: Array, shared: tuple[Any, ...], number: int) -> Any:
    """Return the answer to one block, which is told its number."""
    return shared[0](block, number)


def answer_in_list(block: Array, shared: tuple[Any, ...], number: int) -> list[Any]:
    """Return the answer to one block in a list, to which those of others are joined."""
    return [answer_alone(block, shared, number)]


def take_every(block: Array, shared: tuple[int], _number: int) -> list[Array]:
    """Return every n-th row of a block in a list."""
    return [np.array(block[:: shared[0]])]


def answer_with_states(
    blocks: list[Array],
    places: list[int],
    shared: tuple[Any, ...],
    before: tuple[Any, list[Any]] | None,
    merge: Step,
) -> tuple[Any, list[Any]]:
    """Return the joined answers to some blocks, and their new states."""
    step, *others = shared
    states: list[Any] = []

    def answer(place: int) -> Any:
        found, state = step(blocks[place], None if before is None else before[1][place], *others)
        states.append(state)
        return found

    with limit_blas():
        return _join_pairs(merge, map(answer, places)), states


def take_first(pair: tuple[Any, Any]) -> Any:
    """Return the answer without the states that come beside it."""
    return pair[0]


def _join(merge: Step, *answers: Any) -> Any:
    with limit_blas():
        return _join_pairs(merge, answers)


def _join_pairs(merge: Step, answers: Iterable[Any]) -> Any:
    """Join answers by the binary tree whose branches are pairs of neighbours, with few of them held at a time."""
    held: list[tuple[int, Any]] = []
    for answer in answers:
        height, found = 0, answer
        while held and held[-1][0] == height:
            height, found = height + 1, merge(held.pop()[1], found)
        held.append((height, found))
    return reduce(lambda later, earlier: merge(earlier, later), (found for _, found in reversed(held)))
