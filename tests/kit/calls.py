"""A call of a verb on a small file: plain arguments, and another value for each parameter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import usidx

__all__ = ["Call", "Source", "Together", "make_mask", "opened"]

Source = Callable[[Path], Any]


def opened(name: str, folder: Path, chunks: Mapping[str, int] | None = None) -> xr.DataArray:
    """Open one of the files, in two blocks at least."""
    return usidx.open_main(folder / f"{name}.h5", chunks=chunks or {"Y": 2})


class Together(dict[str, Any]):
    """Values of several parameters that go together."""


@dataclass(frozen=True)
class Call:
    """A verb, what it is called on, and its arguments.

    Attributes
    ----------
    verb : str
        Its name.
    source : callable
        From the folder of the files to what the verb goes on from.
    given : mapping
        The plain arguments.
    others : mapping
        For each parameter another value, or a function that makes it of the source.
    """

    verb: str
    source: Source
    given: Mapping[str, Any] = field(default_factory=dict)
    others: Mapping[str, Any] = field(default_factory=dict)

    def make(self, folder: Path, **changed: Any) -> Any:
        """Call the verb on a source that is opened anew."""
        data = self.source(folder)
        for value in [v for v in changed.values() if isinstance(v, Together)]:
            changed = value
        arguments = {k: v(data) if isinstance(v, partial) else v for k, v in {**self.given, **changed}.items()}
        function = attrgetter(self.verb)(usidx)
        if self.verb == "map_positions":
            return function(arguments.pop("function"), data, **arguments)
        if self.verb == "project":
            return function(arguments.pop("result"), data, **arguments)
        if self.verb == "compare":
            return function(data, *arguments.pop("others"), **arguments)
        return function(data, **arguments)


def make_mask(data: xr.DataArray) -> xr.DataArray:
    return xr.DataArray(np.arange(data.sizes["Y"]) > 0, dims="Y", name="mask")
