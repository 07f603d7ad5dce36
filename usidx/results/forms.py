"""A result in memory <-> the tree of an old tool, where that is another shape and not only other names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import xarray as xr

__all__ = ["Form"]

Turn = Callable[[xr.Dataset], xr.Dataset]


@dataclass(frozen=True, slots=True)
class Form:
    """How results of a verb are laid out on disk.

    Attributes
    ----------
    pack, unpack : callable
        From memory to what is stored, and back, lazily; both return what they do not know as it is.
    fields : mapping
        Compound datasets of what is stored, dataset to {variable: field}.
    attributes : mapping
        Parameter of the verb to the attribute in which the old tool keeps it.
    """

    pack: Turn
    unpack: Turn
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
