"""Products of all rows with the vectors of some passes, kept while they are small -> scores that take no pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.learn.factors.eigen import Decomposition, project_rows
from usidx.learn.matrix.matrix import choose_working_dtype
from usidx.tasks.blocks import Blocks, Rows, join_nothing

__all__ = ["Images", "are_images_kept", "find_scores"]

Array = npt.NDArray[Any]

_MOST_BYTES = 2**26


def are_images_kept(rows: Any, n: int) -> bool:
    """Say whether what the passes make of the rows for `n` components is small enough to be kept for the scores."""
    return bool(2 * (n + 8) * rows.shape[0] * choose_working_dtype(rows.dtype).itemsize <= _MOST_BYTES)


class Images:
    """What the passes made of the rows, block by block; nothing once a block has holes or all take too much memory."""

    def __init__(self, blocks: Blocks, keep: bool) -> None:
        self._blocks = blocks
        self._keeps = keep
        self._kept: Sequence[Any] = [[] for _ in blocks.sizes]
        self._turn: Array | None = None

    def fold(self, step: Callable[..., Any], merge: Callable[..., Any], *shared: Any) -> Any:
        """Join ``step(block, *shared) -> (answer, images)`` over all blocks, and keep the images."""
        answer = partial(_answer_with_images, step, self._keeps, self._turn)
        join, self._turn = partial(_join_with_size, merge), None
        (found, size), kept = self._blocks.fold_states(answer, join, self._kept, *shared)
        self._keeps = self._keeps and size <= _MOST_BYTES
        self._kept = kept if self._keeps else [[] for _ in kept]
        return found

    def turn(self, turn: Array) -> None:
        """Have the images of other vectors from now on, which are made of those before; the next pass sees to it."""
        self._turn = turn if self._turn is None else self._turn @ turn

    def multiply(self, turn: Array, offset: Array) -> Rows | None:
        """Return ``images @ turn + offset`` for all rows in the order of the blocks, or None if they are not there."""
        turn = turn if self._turn is None else self._turn @ turn
        return Rows(self._kept, self._blocks.sizes).change(_multiply, turn, offset) if self._keeps else None


def _answer_with_images(
    step: Callable[..., Any], keeps: bool, turn: Array | None, block: Array, images: list[Array], *shared: Any
) -> tuple[tuple[Any, float], list[Array]]:
    """Return the answer with the bytes that the images take by now, endless where there are none; and the images."""
    found, newest = step(block, *shared)
    if not keeps or newest is None:
        return (found, np.inf), []
    if images and turn is not None:
        images = [_multiply(images, turn, np.zeros(turn.shape[1], turn.dtype))]
    kept = [*images, newest]
    return (found, float(sum(image.nbytes for image in kept))), kept


def _join_with_size(merge: Callable[..., Any], first: tuple[Any, float], second: tuple[Any, float]) -> Any:
    return merge(first[0], second[0]), first[1] + second[1]


def _multiply(images: list[Array], turn: Array, offset: Array) -> Array:
    stops = np.cumsum([image.shape[1] for image in images])
    parts = [turn[stop - image.shape[1] : stop] for image, stop in zip(images, stops, strict=True)]
    first, *others = (image @ part.astype(image.dtype) for image, part in zip(images, parts, strict=True))
    return np.asarray(sum(others, first) + offset.astype(first.dtype))


def find_scores(blocks: Blocks, found: Decomposition) -> Rows:
    """Return the scores of all rows in the order of the blocks: those that are there, or else by one more pass."""
    if found.scores is not None:
        return found.scores
    _, states = blocks.fold_states(_project, join_nothing, [None] * len(blocks.sizes), found)
    return Rows(states, blocks.sizes)


def _project(block: Array, _state: None, found: Decomposition) -> tuple[None, Array]:
    return None, project_rows(block, found)
