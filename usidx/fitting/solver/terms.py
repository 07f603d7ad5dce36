"""Model -> its terms in the order in which they are looked for, whatever order they are written in."""

from __future__ import annotations

from typing import Final

from usidx.fitting.models.model import Model

__all__ = ["order_terms"]

# What lies below all else comes first: a peak is looked for in what a background leaves.
_RANKS: Final = {"candidates": 0, "given": 0, "resonance": 1, "peak": 2}


def order_terms(model: Model) -> tuple[Model, ...]:
    """Return the terms, backgrounds first."""
    return tuple(sorted(model.terms, key=lambda term: (_RANKS[term.search], str(term.describe()["model"]))))
