"""Model and what is free in it -> groups of parameters that can be looked for apart, and their templates.

Parameters belong together where one template needs both: those of a peak, or of two peaks that are tied to each other.
What enters linearly is no template's own: it says how much of the template there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from usidx.fitting.formula.nodes import ZERO, Node, make_parameter, make_variable, substitute
from usidx.fitting.formula.numpy_backend import interpret
from usidx.fitting.models.model import Model, build_graphs
from usidx.fitting.solver.search.terms import find_linear_parameters

__all__ = ["Group", "evaluate_templates", "split_model"]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that are looked for together.

    Attributes
    ----------
    searched : tuple of str
        Free parameters that are not linear; none for what is solved for at once.
    linear : tuple of str
        How much there is of each template.
    moves : bool
        Whether something depends on the group that no linear parameter scales.
    """

    searched: tuple[str, ...]
    linear: tuple[str, ...]
    moves: bool


@cache
def split_model(model: Model, free: tuple[str, ...]) -> tuple[Group, ...]:
    """Return the groups, first the one that is linear altogether; it may be empty."""
    linear = find_linear_parameters(model, free)
    wanted = frozenset(free) - frozenset(linear)
    needs = {name: _list_used(_slopes(model, name)) & wanted for name in linear}
    rest = frozenset().union(*(_list_used([node]) for node in _offsets(model, linear))) & wanted
    together = [set(found) for found in (*needs.values(), rest) if found]
    joined: list[set[str]] = []
    for names in together:
        for known in [k for k in joined if k & names]:
            joined.remove(known)
            names |= known
        joined.append(names)
    groups = [Group((), tuple(n for n in linear if not needs[n]), moves=False)]
    for names in joined:
        own = tuple(n for n in linear if needs[n] & names)
        groups.append(Group(tuple(n for n in free if n in names), own, moves=bool(rest & names)))
    # What moves by itself comes first: the others see what it leaves.
    return (groups[0], *sorted(groups[1:], key=lambda g: not g.moves))


def _slopes(model: Model, name: str) -> list[Node]:
    return [part[1 + model.names.index(name)] for part in build_graphs(model)]


def _offsets(model: Model, linear: tuple[str, ...]) -> list[Node]:
    """Return the parts of the model where the linear parameters are zero."""
    nothing = {make_parameter(n): ZERO for n in linear}
    return [substitute(part[0], nothing) for part in build_graphs(model)]


def _list_used(nodes: list[Node]) -> frozenset[str]:
    """Return the names of the parameters in graphs."""
    return frozenset(n for node in nodes for n in _walk(node, set()))


def _walk(node: Node, seen: set[Node]) -> Iterator[str]:
    if node in seen:
        return
    seen.add(node)
    if node.op == "parameter":
        yield str(node.value)
    for argument in node.args:
        yield from _walk(argument, seen)


def evaluate_templates(
    model: Model, free: tuple[str, ...], group: Group, values: Array, x: Array, fixed: Array
) -> tuple[Array, Array | None]:
    """Return the templates of candidates, and what is there without any, None for nothing.

    `values` (row, candidate, searched), `x` (row, variable, sample) and `fixed` (row, parameter), NaN for what is not
    fixed, have one row for each spectrum, or one for all. Templates are of shape (row, candidate, linear, sample times
    parts), what is there without of (row, candidate, sample times parts).
    """
    known: dict[Node, npt.ArrayLike] = {
        make_parameter(n): fixed[:, k, None, None] for k, n in enumerate(model.names) if n not in group.searched
    }
    known |= {make_parameter(n): values[:, :, k, None] for k, n in enumerate(group.searched)}
    known |= {make_variable(k): x[:, k, None, :] for k in range(x.shape[1])}
    shape = (max(len(values), len(x), len(fixed)), values.shape[1], x.shape[2])

    def evaluate(nodes: list[Node]) -> Array:
        return np.concatenate([np.broadcast_to(interpret(node, known), shape) for node in nodes], axis=2)

    columns = [evaluate(_slopes(model, n)) for n in group.linear]
    parts = len(build_graphs(model))
    templates = np.stack(columns, axis=2) if columns else np.empty((*shape[:2], 0, shape[2] * parts))
    offsets = _offsets(model, find_linear_parameters(model, free))
    there = group.moves or not group.searched
    return templates, evaluate(offsets) if there and any(node is not ZERO for node in offsets) else None
