"""Frames of a stack, one after the other -> how far each has moved; the picture that they are compared with grows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from usidx.image.kernels.matching import Frame, Match, Target, prepare

__all__ = ["Found", "Stack", "finish", "follow", "refine", "start"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Stack:
    """What stacks are compared by.

    Attributes
    ----------
    count : int
        Of stacks that move each by itself.
    shape : tuple of int
        Of an image.
    most : tuple of float
        Samples: farthest from one frame to the next.
    reference : {"mean", "previous", "first"}
    left_out : ndarray of bool, optional
        Samples that do not count in any frame.
    """

    count: int
    shape: tuple[int, int]
    most: tuple[float, float]
    reference: str
    left_out: Array | None

    def cut(self, row: Array) -> list[Frame | None]:
        """Return the image of each stack in one row of the matrix of frames."""
        return [prepare(image, self.left_out) for image in row.reshape(self.count, *self.shape)]


@dataclass(frozen=True, slots=True)
class Found:
    """What the frames so far tell.

    Attributes
    ----------
    total, counts : ndarray, shape (stack, y, x)
        Sum of the frames that are compared with, moved back, and how many of them show a sample.
    last : ndarray, shape (stack, 2)
        How far the last frame that showed anything has moved.
    rows : ndarray, shape (frame, stack, 4)
        Shift and its variance of each frame, in samples.
    """

    total: Array
    counts: Array
    last: Array
    rows: Array


def start(stack: Stack) -> Found:
    """Return what is known before the first frame."""
    size = (stack.count, *stack.shape)
    return Found(np.zeros(size), np.zeros(size), np.zeros((stack.count, 2)), np.empty((0, stack.count, 4)))


def follow(found: Found, block: Array, *, stack: Stack) -> Found:
    """Return what is known after some more frames, each compared with those before it."""
    total, counts, last = found.total.copy(), found.counts.copy(), found.last.copy()
    rows = np.full((len(block), stack.count, 4), np.nan)
    for number, row in enumerate(block):
        for one, frame in enumerate(stack.cut(row)):
            if frame is None:
                continue
            match = _match_next(frame, total[one], counts[one], last[one], stack)
            if not np.isfinite(match.shift).all():
                continue
            rows[number, one] = *match.shift, *match.variance
            if stack.reference != "first" or not counts[one].any():
                _keep(frame, match.shift, total[one], counts[one], stack)
            last[one] = match.shift
    return replace(found, total=total, counts=counts, last=last, rows=np.concatenate([found.rows, rows]))


def _match_next(frame: Frame, total: Array, counts: Array, last: Array, stack: Stack) -> Match:
    if not counts.any():
        return Match(np.zeros(2), np.zeros(2))
    target = _average(total, counts)
    # The frame before is kept as it was seen, so that the picture may move on for ever.
    origin = last if stack.reference == "previous" else np.zeros(2)
    near = last - origin
    match = target.match(frame, target.search(frame, near, np.asarray(stack.most)))
    return replace(match, shift=match.shift + origin)


def _keep(frame: Frame, shift: Array, total: Array, counts: Array, stack: Stack) -> None:
    if stack.reference == "previous":
        total[...], counts[...] = np.where(frame.counts, frame.image, 0.0), frame.counts
        return
    moved, known = frame.move_back(shift)
    total += moved * known
    counts += known


def _average(total: Array, counts: Array) -> Target:
    return Target(np.divide(total, counts, out=np.zeros_like(total), where=counts > 0.5), counts > 0.5)


def refine(block: Array, first: int, found: Found, *, stack: Stack) -> Array:
    """Return shifts and variances of some frames, each compared with the mean of all others, (frame, stack * 4)."""
    rows = found.rows[first : first + len(block)].copy()
    for number, row in enumerate(block):
        for one, frame in enumerate(stack.cut(row)):
            begin = rows[number, one, :2].copy()
            if frame is None or not np.isfinite(begin).all():
                continue
            moved, known = frame.move_back(begin)
            target = _average(found.total[one] - moved * known, found.counts[one] - known)
            match = target.match(frame, begin)
            if np.isfinite(match.shift).all():
                rows[number, one] = *match.shift, *match.variance
    return rows.reshape(len(block), -1)


def finish(rows: Array, stack: Stack) -> Array:
    """Return shifts since the first frame that shows anything, and their standard errors, (frame, stack * 4)."""
    made = np.array(rows, np.float64).reshape(len(rows), stack.count, 4)
    for one in np.moveaxis(made, 1, 0):
        (known,) = np.nonzero(np.isfinite(one[:, 0]))
        if not known.size:
            continue
        if stack.reference == "previous":
            one[known, 2:] = np.cumsum(one[known, 2:], axis=0)
        begin = one[known[0]].copy()
        one[:, :2] -= begin[:2]
        one[:, 2:] += begin[2:]
        one[known[0], 2:] = 0
        one[:, 2:] = np.sqrt(one[:, 2:])
    return made.reshape(len(rows), -1)
