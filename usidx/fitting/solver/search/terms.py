"""Model -> its terms in the order in which they are looked for, and what enters linearly."""

from __future__ import annotations

from functools import cache
from typing import Final

from usidx.fitting.formula.nodes import ZERO, differentiate, make_parameter
from usidx.fitting.models.model import Model, build_graphs

__all__ = ["find_linear_parameters", "order_terms"]

# What lies below all else comes first: a peak is looked for in what a background leaves.
_RANKS: Final = {"candidates": 0, "given": 0, "resonance": 1, "peak": 2}


def order_terms(model: Model) -> tuple[Model, ...]:
    """Return the terms, backgrounds first, whatever order they are written in."""
    return tuple(sorted(model.terms, key=lambda term: (_RANKS[term.search], str(term.describe()["model"]))))


@cache
def find_linear_parameters(model: Model, free: tuple[str, ...]) -> tuple[str, ...]:
    """Return free parameters that enter linearly all at once, chosen in order."""
    if not model.has_formula:
        return ()
    chosen: list[str] = []
    for name in free:
        k = 1 + model.names.index(name)
        tested = (*chosen, name)
        if all(
            differentiate(part[k], make_parameter(other)) is ZERO for part in build_graphs(model) for other in tested
        ):
            chosen.append(name)
    return tuple(chosen)
