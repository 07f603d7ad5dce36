"""Terms of a fitted sum, by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from usidx.errors import SelectionError
from usidx.fitting.models.composite import Sum
from usidx.fitting.models.function import Function
from usidx.fitting.models.model import Model

__all__ = ["name_terms", "select_terms"]


def name_terms(model: Model) -> tuple[str, ...]:
    """Return a name for each term of a model: its prefix without the underscore, or its kind, counted where needed."""
    plain = [_name_term(term) for term in model.terms]
    counts, seen = Counter(plain), Counter[str]()
    named = []
    for name in plain:
        seen[name] += 1
        named.append(f"{name}_{seen[name]}" if counts[name] > 1 else name)
    return tuple(named)


def _name_term(term: Model) -> str:
    if prefix := (term.prefix or "").rstrip("_"):
        return prefix
    if isinstance(term, Function):
        named = str(getattr(term.function, "__name__", "function"))
        return named if named.isidentifier() else "function"
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(term).__name__).lower()


def select_terms(model: Model, wanted: Sequence[str]) -> Model:
    """Return the model of some terms, whose parameters keep their names.

    Raises
    ------
    SelectionError
        There is no such term, or none is named.
    """
    names = name_terms(model)
    kinds = [type(term).__name__ for term in model.terms]
    chosen = set()
    for one in wanted:
        found = [k for k, name in enumerate(names) if one in (name, f"{name}_")]
        found = found or [k for k, kind in enumerate(kinds) if kind == one]
        if len(found) != 1:
            several = f"{len(found)} terms are a" if found else "no term"
            raise SelectionError(f"terms: {several} {one!r}; the terms of the model are {names}.")
        chosen.add(found[0])
    if not chosen:
        raise SelectionError(f"terms: none is named; the terms of the model are {names}.")
    terms = tuple(term for k, term in enumerate(model.terms) if k in chosen)
    return Sum(terms) if len(terms) > 1 else terms[0]
