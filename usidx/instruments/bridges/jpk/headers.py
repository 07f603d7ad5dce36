"""Headers of JPK archives -> how the numbers of each channel become physical values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from usidx.errors import TranslationError
from usidx.format.layout import Array

__all__ = ["Conversion", "Properties", "expand_shared", "find_conversion", "group_shared", "parse_properties"]

#: Lines ``name=value`` of a header.
Properties = Mapping[str, str]

_ENCODERS: Final = {
    "signedshort": ">i2",
    "unsignedshort": ">u2",
    "signedinteger": ">i4",
    "unsignedinteger": ">u4",
    "signedlong": ">i8",
    "unsignedlong": ">u8",
}
_PLAIN: Final = {"short-data": ">f4", "float-data": ">f4", "double-data": ">f8", "float": ">f4", "double": ">f8"}
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)")


@dataclass(frozen=True, slots=True)
class Conversion:
    """How stored numbers become physical values: one after another, times the first plus the second of each step."""

    dtype: str
    steps: tuple[tuple[float, float], ...]
    quantity: str
    units: str

    def apply(self, content: bytes) -> Array:
        """Return the values of what is stored."""
        values: Array = np.frombuffer(content, self.dtype).astype("f8")
        for factor, offset in self.steps:
            values *= factor
            values += offset
        return values


def parse_properties(text: str) -> dict[str, str]:
    """Read a header, which is written as properties of Java are."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found[name.strip()] = _ESCAPE.sub(_unescape, value.strip())
    return found


def _unescape(found: re.Match[str]) -> str:
    code = found.group(1)
    return chr(int(code[1:], 16)) if len(code) == 5 else code


def group_shared(shared: Properties) -> dict[str, dict[str, str]]:
    """Return what is shared by what it is called where it is referred to: ``lcd-info.0``."""
    groups: dict[str, dict[str, str]] = {}
    for name, value in shared.items():
        kind, _, rest = name.partition(".")
        number, _, end = rest.partition(".")
        groups.setdefault(f"{kind}.{number}", {})[end] = value
    return groups


def expand_shared(own: Properties, groups: Mapping[str, Properties], begins: str = "") -> dict[str, str]:
    """Put what a header only refers to (``channel.height.lcd-info.*=0``) where it does, for names that begin so."""
    found = {name: value for name, value in own.items() if name.startswith(begins)}
    for name, number in list(found.items()):
        if name.endswith(".*"):
            stem, _, kind = name[:-2].rpartition(".")
            found.update({f"{stem}.{end}": value for end, value in groups.get(f"{kind}.{number}", {}).items()})
    return found


def find_conversion(header: Properties, channel: str) -> Conversion:
    """Return how the numbers of a channel become values in the unit that the file takes for it by default."""
    told = _list_of_channel(header, channel)
    encoder = _first(told, "data.encoder.type", "encoder.type")
    kind = _ENCODERS.get(encoder) or _PLAIN.get(_first(told, "data.type", "type"))
    if kind is None:
        raise TranslationError(f"channel {channel!r} is stored as {encoder!r}, which is not known")
    stem = "data.encoder" if "data.encoder.type" in told else "encoder"
    steps = _read_scaling(told, stem)
    base = told.get("conversion-set.conversions.base", "")
    slot = told.get("conversion-set.conversions.default", base)
    units = _first(told, f"{stem}.scaling.unit.unit", f"{stem}.scaling.unit", "unit.unit")
    chain: list[tuple[float, float]] = []
    named = told.get(f"conversion-set.conversion.{slot}.name", channel)
    if slot != base:
        one = f"conversion-set.conversion.{slot}.scaling"
        units = _first(told, f"{one}.unit.unit", f"{one}.unit") or units
    passed: set[str] = set()
    while slot != base:
        if slot in passed:
            raise TranslationError(f"the conversions of channel {channel!r} lead back to themselves")
        passed.add(slot)
        chain[:0] = _read_scaling(told, f"conversion-set.conversion.{slot}")
        slot = told.get(f"conversion-set.conversion.{slot}.base-calibration-slot", base)
    return Conversion(kind, tuple(steps + chain), named, units)


def _list_of_channel(header: Properties, channel: str) -> dict[str, Any]:
    begins = f"channel.{channel}."
    return {name[len(begins) :]: value for name, value in header.items() if name.startswith(begins)}


def _read_scaling(told: Properties, stem: str) -> list[tuple[float, float]]:
    style = told.get(f"{stem}.scaling.style", "offsetmultiplier")
    if style != "offsetmultiplier":
        raise TranslationError(f"a scale of the style {style!r} is not known")
    if f"{stem}.scaling.multiplier" not in told:
        return []
    return [(float(told[f"{stem}.scaling.multiplier"]), float(told.get(f"{stem}.scaling.offset", "0")))]


def _first(told: Properties, *names: str) -> str:
    return next((told[name] for name in names if name in told), "")
