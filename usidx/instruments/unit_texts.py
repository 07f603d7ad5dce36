"""Texts of units as instruments write them -> as usidx writes them; nothing is converted, and nothing is guessed."""

from __future__ import annotations

import re
from typing import Final

from usidx.label.units import clean

__all__ = ["normalize_units", "split_units"]

#: Of units that are written in several ways.
_SAME: Final = {
    "°": "deg",
    "º": "deg",
    "degree": "deg",
    "degrees": "deg",
    "Deg": "deg",
    "radian": "rad",
    "radians": "rad",
    "Ω": "Ohm",
    "ohm": "Ohm",
    "Ohms": "Ohm",
    "sec": "s",
    "seconds": "s",
    "Volt": "V",
    "Volts": "V",
    "volts": "V",
    "Amp": "A",
    "meter": "m",
    "metre": "m",
    "meters": "m",
    "micron": "um",
    "microns": "um",
    "Angstrom": "Å",
    "angstrom": "Å",
    "Ang": "Å",
    "1/cm": "1/cm",
    "cm-1": "1/cm",
    "cm^-1": "1/cm",
    "cm⁻¹": "1/cm",
    "nm-1": "1/nm",
    "nm^-1": "1/nm",
    "px": "pixel",
    "pixels": "pixel",
}
#: Signs that look the same, or that stand for an ASCII one.
_SIGNS: Final = str.maketrans({"µ": "u", "μ": "u", "Å": "Å", "Ω": "Ω"})

_TITLE = re.compile(
    r"(?P<a>.+?)\s*\((?P<ua>[^()]*)\)|(?P<b>.+?)\s*\[(?P<ub>[^\[\]]*)\]|(?P<c>.+?)\s+in\s+(?P<uc>\S{1,6})"
)


def normalize_units(text: str) -> str:
    """Write a unit in the one way that usidx does.

    Examples
    --------
    >>> normalize_units("µm"), normalize_units("° "), normalize_units("nA")
    ('um', 'deg', 'nA')
    """
    bare = clean(text.replace("\0", " "))
    if len(bare) > 2 and bare[0] + bare[-1] in {"[]", "()"}:
        bare = clean(bare[1:-1])
    bare = bare.translate(_SIGNS)
    return _SAME.get(bare, bare)


def split_units(title: str) -> tuple[str, str]:
    """Split the title of a column into a name and a unit.

    Examples
    --------
    >>> split_units("Input 3 (A)"), split_units("x in µm"), split_units("Energy [eV]"), split_units("index")
    (('Input 3', 'A'), ('x', 'µm'), ('Energy', 'eV'), ('index', ''))
    """
    found = _TITLE.fullmatch(title.strip())
    if found is None:
        return title.strip(), ""
    name = next(text for text in (found["a"], found["b"], found["c"]) if text is not None)
    unit = next(text for text in (found["ua"], found["ub"], found["uc"]) if text is not None)
    return name.strip(), unit.strip()
