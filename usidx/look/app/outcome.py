"""What an analysis of the app made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import xarray as xr

__all__ = ["Outcome"]

# What is larger goes to the file as it is computed, never into memory.
_MOST_BYTES = 256_000_000


@dataclass(frozen=True)
class Outcome:
    """What an analysis made.

    Attributes
    ----------
    title : str
        Of the analysis.
    data : Dataset or DataArray
        In memory; lazy where it is too large for that.
    script : list of str
        The lines of Python that make it.
    """

    title: str
    data: Any
    script: list[str]

    @property
    def is_large(self) -> bool:
        """Whether it is not computed before it is written."""
        return bool(self.data.nbytes > _MOST_BYTES)

    def as_dataset(self) -> xr.Dataset:
        """Return it as a Dataset."""
        data = self.data
        return data if isinstance(data, xr.Dataset) else data.to_dataset(name=str(data.name or "values"))
