"""Models that are put together -> names of theirs and of their parameters that tell them apart."""

from __future__ import annotations

from collections import Counter
from typing import Any

from usidx.errors import UsidError

__all__ = ["make_names_unique"]


def make_names_unique(members: tuple[Any, ...]) -> tuple[Any, ...]:
    """Prefix the members whose names another member has too."""
    counts = Counter(name for m in members for name in m.names)
    kinds = Counter(type(m).__name__ for m in members)
    seen: Counter[str] = Counter()
    renamed = []
    for member in members:
        kind = type(member).__name__
        seen[kind] += 1
        if member.prefix == "" and any(counts[name] > 1 for name in member.names):
            number = f"_{seen[kind]}" if kinds[kind] > 1 else ""
            member = member.with_prefix(f"{kind.lower()}{number}_")
        renamed.append(member)
    repeated = [n for n, count in Counter(name for m in renamed for name in m.names).items() if count > 1]
    if repeated:
        raise UsidError(f"The parameter {repeated[0]!r} appears twice; give the models different prefixes.")
    return tuple(renamed)
