"""Numbers and units to what a person reads: prefixes, extents, sizes, and text that is safe to show."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from usidx.label.units import clean

__all__ = [
    "Scale",
    "choose_scale",
    "escape_formulas",
    "find_base_unit",
    "find_finite_range",
    "find_name",
    "find_quantity",
    "find_unit",
    "make_printable",
    "write_extent",
    "write_label",
    "write_number",
    "write_size",
    "write_unit",
    "write_with_unit",
]

_PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
_SHOWN = {-15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}
# Only units that nobody reads otherwise: "min", "cm" and "a.u." must come out as they went in.
_BASES = ("eV", "Hz", "Pa", "Ohm", "ohm", "Ω", "m", "s", "V", "A", "N", "W", "J", "F", "C", "S", "T")
_SPLIT = re.compile(rf"({'|'.join(p for p in _PREFIXES if p)})?({'|'.join(_BASES)})")


@dataclass(frozen=True, slots=True)
class Scale:
    """How to show values: multiply by `factor` and write `unit` behind."""

    factor: float
    unit: str


def _parse(unit: str) -> tuple[int, str] | None:
    """Split a unit into (power of ten, base); None where it takes no prefix."""
    found = _SPLIT.fullmatch(clean(unit))
    return (_PREFIXES[found[1] or ""], found[2]) if found else None


def find_base_unit(unit: str) -> tuple[float, str]:
    """Return the factor to the base unit and the base: ``"um"`` is 1e-6 of ``"m"``."""
    parsed = _parse(unit)
    return (10.0 ** parsed[0], parsed[1]) if parsed else (1.0, clean(unit))


def choose_scale(largest: float, unit: str) -> Scale:
    """Choose the prefix that shows values up to `largest` with few digits.

    Examples
    --------
    >>> choose_scale(5e-6, "m")
    Scale(factor=1000000.0, unit='µm')
    >>> choose_scale(340e3, "Hz").unit, choose_scale(12, "1/cm").unit
    ('kHz', '1/cm')
    """
    parsed = _parse(unit)
    if parsed is None or not (math.isfinite(largest) and largest > 0) or 0.1 <= largest < 1000:
        return Scale(1.0, write_unit(unit))
    power, base = parsed
    # The nudge keeps a value of exactly 1000 from falling to either side by rounding.
    target = power + 3 * math.floor(math.log10(largest) / 3 + 1e-9)
    if target not in _SHOWN:
        return Scale(1.0, write_unit(unit))
    return Scale(10.0 ** (power - target), _SHOWN[target] + write_unit(base))


def write_unit(unit: str) -> str:
    """Write a unit with its own signs: ``"um"`` is ``"µm"``, ``"V^2"`` is ``"V²"``."""
    text = make_printable(unit)
    parsed = _parse(text)
    if parsed is not None:
        base = "Ω" if parsed[1].lower() == "ohm" else parsed[1]
        return _SHOWN[parsed[0]] + base
    return text.replace("^2", "²").replace("^3", "³")


def make_printable(text: Any, limit: int = 60) -> str:
    """Turn a name from a file into one printable line of bounded length."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text)[: 4 * limit])
    line = " ".join(kept.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def escape_formulas(words: str, limit: int = 60) -> str:
    """Keep a name from a file from being read as a formula, by Bokeh."""
    return make_printable(words, limit).replace("$$", "$")


def write_number(value: float, digits: int = 4) -> str:
    """Write a number with up to four digits: ``0.0333``, ``320``, ``1.2e-07``."""
    if not math.isfinite(value):
        return str(value)
    if value and not 1e-3 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def write_with_unit(value: float, unit: str) -> str:
    """Write a value in the prefix that suits it.

    Examples
    --------
    >>> write_with_unit(5e-6, "m"), write_with_unit(0.25, "")
    ('5 µm', '0.25')
    """
    scale = choose_scale(abs(value), unit)
    return f"{write_number(value * scale.factor)} {scale.unit}".strip()


def write_extent(first: float, last: float, unit: str) -> str:
    """Write where values begin and end.

    Examples
    --------
    >>> write_extent(300e3, 340e3, "Hz")
    '300–340 kHz'
    >>> write_extent(-1, 1, "V")
    '-1 to 1 V'
    """
    scale = choose_scale(max(abs(first), abs(last)), unit)
    low, high = (write_number(v * scale.factor) for v in (first, last))
    if low == high:
        return f"{low} {scale.unit}".strip()
    dash = " to " if "-" in low + high else "–"
    return f"{low}{dash}{high} {scale.unit}".strip()


def write_size(nbytes: int) -> str:
    """Write a number of bytes: ``134 MB``."""
    value, units = float(nbytes), ["bytes", "kB", "MB", "GB", "TB", "PB"]
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.3g} {units[0]}"


def find_quantity(array: xr.DataArray) -> str:
    """Return what is measured: the long name, else the name."""
    named = make_printable(array.attrs.get("long_name") or "")
    return named or find_name(array)


def find_name(array: xr.DataArray) -> str:
    """Return the name in words: ``quality_factor`` is ``quality factor``."""
    return make_printable("" if array.name is None else array.name).replace("_", " ")


def find_unit(array: xr.DataArray) -> str:
    """Return the unit as found, without stray white space."""
    return clean(str(array.attrs.get("units", "")))


def write_label(quantity: str, unit: str) -> str:
    """Write quantity and unit as an axis says them: ``Amplitude (mV)``; counts of counts are ``Counts``."""
    return f"{quantity} ({unit})" if unit and unit.lower() != quantity.lower() else quantity


def find_finite_range(values: ArrayLike) -> tuple[float, float] | None:
    """Return the smallest and largest finite value, None where there is none."""
    array = np.asarray(values)
    if array.dtype.kind == "f":
        array = array[np.isfinite(array)]
    return (float(array.min()), float(array.max())) if array.size else None
