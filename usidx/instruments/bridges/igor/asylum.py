"""What Asylum Research keeps in a wave -> channels with their own units; the wave has one unit for all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.instruments.channel import Axis, Channel
from usidx.instruments.scan_frame import describe_frame

__all__ = ["describe_curves", "describe_images", "parse_note"]

#: Channel -> its unit; the wave says the one of height for all. Of lengths the wave is right.
_UNITS: Final = {
    "Phase": "deg",
    "Frequency": "Hz",
    "Current": "A",
    "Potential": "V",
    "Lateral": "V",
    "Drive": "V",
    "DAC": "V",
    "UserIn": "V",
    "BackPackIn": "V",
    "Input": "V",
    "Capacitance": "F",
    "Dissipation": "W",
    "Count": "",
    "QFactor": "",
    "Theta": "deg",
}
_DIRECTION: Final = re.compile(r"^(?P<what>.*?)(?P<way>Trace|Retrace)(?P<more>\w*)$")


def parse_note(text: str) -> dict[str, str]:
    """Read the lines ``name: value`` of a note; a name that comes again gets a number."""
    found: dict[str, str] = {}
    for line in re.split(r"[\r\n]+", text):
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            continue
        key, number = name.strip(), 2
        while key in found:
            key, number = f"{name.strip()}_{number}", number + 1
        found[key] = value.strip()
    return found


def describe_images(
    data: Any, labels: Sequence[str], axes: Sequence[Axis], units: str, note: Mapping[str, str]
) -> list[Channel]:
    """Describe the layers of an image wave, (layer, Y, X)."""
    size = (axes[0].values.size * _step(axes[0]), axes[1].values.size * _step(axes[1]))
    center = (_number(note, "YOffset"), _number(note, "XOffset"))
    frame = describe_frame(axes[0].units or "m", center=center, size=size, angle=_number(note, "ScanAngle"))
    found = []
    for layer in range(data.shape[0]):
        label = labels[layer] if layer < len(labels) and labels[layer] else f"Channel {layer}"
        way = _DIRECTION.match(label)
        name = f"{way['what']}{way['more']}/{way['way'].lower()}" if way and way["what"] else label
        quantity = f"{way['what']}{way['more']}" if way and way["what"] else label
        found.append(Channel(name, data[layer], tuple(axes), quantity, _find_units(label, units), frame))
    return found


def describe_curves(data: Any, labels: Sequence[str], time: Axis, units: str, note: Mapping[str, str]) -> list[Channel]:
    """Describe the columns of a force curve, (column, time): deflection against time, and the force."""
    columns = {label: data[number] for number, label in enumerate(labels) if label}
    coords = _number_segments(note, time.values.size)
    for axis in ("Y", "X"):
        place = _number(note, f"{axis}LVDT")
        if np.isfinite(place):
            coords[axis] = xr.Variable((), place, {"units": "m"})
    told = {}
    for key, name in (("SpringConstant", "spring_constant"), ("InvOLS", "inverse_sensitivity")):
        if np.isfinite(_number(note, key)):
            told[name] = _number(note, key)
    found = [
        Channel(name, values, (time,), name, _find_units(name, units), dict(coords), dict(told))
        for name, values in columns.items()
    ]
    for column, name in (("ZSnsr", "height_measured"), ("Raw", "height_piezo")):
        if column in columns:
            # As other instruments count: heights fall towards the sample, while the piezo extends.
            found.append(Channel(name, -columns[column], (time,), name, units, dict(coords), dict(told)))
    if "Defl" in columns and "spring_constant" in told:
        # In the precision of the deflection, as a NumPy scalar would not be.
        force = columns["Defl"] * columns["Defl"].dtype.type(told["spring_constant"])
        found.append(Channel("Force", force, (time,), "Force", "N", dict(coords), dict(told)))
    return found


def _number_segments(note: Mapping[str, str], count: int) -> dict[str, xr.Variable]:
    """Return which part of the curve each sample belongs to: `Indexes` has where one ends and the next begins."""
    try:
        ends = [int(float(one)) for one in note.get("Indexes", "").split(",") if one.strip()]
    except ValueError:
        return {}
    if len(ends) < 2 or ends != sorted(ends) or ends[0] < 0 or ends[-1] >= count:
        return {}
    numbers = np.searchsorted(np.array(ends[1:-1]), np.arange(count), side="right").astype("i2")
    return {"segment": xr.Variable(("time",), numbers, {"long_name": "segment of the curve"})}


def _find_units(label: str, units: str) -> str:
    bare = label.removeprefix("Nap").removeprefix("Live")
    known = next((unit for name, unit in _UNITS.items() if bare.startswith(name)), None)
    if known is not None:
        return known
    return units


def _number(note: Mapping[str, str], name: str) -> float:
    try:
        return float(note.get(name, "nan").split(" ")[0])
    except ValueError:
        return float("nan")


def _step(axis: Axis) -> float:
    return float(axis.values[1] - axis.values[0]) if axis.values.size > 1 else float("nan")
