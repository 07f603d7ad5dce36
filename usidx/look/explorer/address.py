"""What is looked at to the query of an address, and back: so a page can be kept, sent and reloaded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

__all__ = ["Address"]


@dataclass(frozen=True)
class Address:
    """What is looked at.

    Attributes
    ----------
    file : str
        As :meth:`Shelf.name` calls it.
    at : str
        Path of a main or a result in the file.
    variable : str
        Which variable of it the map shows; empty for the first.
    index : mapping of dim to int
        The place, and the step of each swept dim.
    reduce : str
        "step", or what the map makes of the band.
    band : (low, high) or None
        Ends of the band, in the unit of the coordinate.
    part : str
        Of complex values; empty for the first.
    beside : tuple of str
        What is shown on further maps.
    """

    file: str = ""
    at: str = ""
    variable: str = ""
    index: Mapping[str, int] = field(default_factory=dict)
    reduce: str = "step"
    band: tuple[float, float] | None = None
    part: str = ""
    beside: tuple[str, ...] = ()

    def write(self, token: str) -> str:
        """Write the query, which begins with a question mark."""
        told: dict[str, str] = {"token": token, "file": self.file, "at": self.at, "variable": self.variable}
        told["point"] = ",".join(f"{dim}:{n}" for dim, n in self.index.items() if not {",", ":"} & set(dim))
        told["part"] = self.part
        told["beside"] = ",".join(name for name in self.beside if "," not in name)
        if self.band is not None:
            told |= {"map": self.reduce, "band": ",".join(f"{end:.9g}" for end in self.band)}
        return f"?{urlencode({k: v for k, v in told.items() if v})}"

    @classmethod
    def read(cls, arguments: Mapping[str, list[bytes]]) -> Address:
        """Read the arguments of a request; what makes no sense is left out."""
        told = {k: v[-1].decode("utf-8", "replace") for k, v in arguments.items() if v}
        band = _read_band(told.get("band", ""))
        reduce = told.get("map", "step") if band is not None else "step"
        names = {name: told.get(name, "") for name in ("file", "at", "variable", "part")}
        beside = tuple(name for name in told.get("beside", "").split(",") if name)
        return cls(**names, beside=beside, index=_read_index(told.get("point", "")), reduce=reduce, band=band)


def _read_index(text: str) -> dict[str, int]:
    pairs = (one.rpartition(":") for one in text.split(",") if one)
    return {dim: int(n) for dim, _, n in pairs if dim and n.isascii() and n.isdigit() and len(n) < 12}


def _read_band(text: str) -> tuple[float, float] | None:
    parts = text.split(",")
    try:
        low, high = (float(part) for part in parts)
    except ValueError:
        return None
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None
