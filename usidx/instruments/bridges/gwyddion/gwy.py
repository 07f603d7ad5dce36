"""Gwyddion files -> channels: images, masks, volumes, spectra and scattered points; rows from the top, as they lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.errors import TranslationError
from usidx.instruments.bridges.gwyddion.objects import Numbers, Object, read_objects
from usidx.instruments.channel import Axis, Channel, build_tree
from usidx.instruments.file_array import lay_out
from usidx.instruments.reader import Confidence, FormatReader
from usidx.instruments.scan_frame import make_even_axis

__all__ = ["READER"]

#: Where a container keeps what it holds: images and their masks, volumes, spectra, points.
_PLACE: Final = re.compile(r"^/?(?:(?P<kind>brick|sps|xyz)/)?(?P<number>\d+)(?:/(?P<what>data|mask))?$")


def _recognize(path: Path, head: bytes) -> float:
    if head.startswith(b"GWYP"):
        return Confidence(0.99, "begins with 'GWYP'")
    if head.startswith(b"GWYO"):
        return Confidence(0.9, "begins with 'GWYO', as Gwyddion 1 wrote")
    return 0.0


def _parse(path: Path) -> xr.DataTree:
    top = read_objects(path)
    told = {name: value for name, value in top.items.items() if isinstance(value, str) and not name[1:2].isdigit()}
    return build_tree(_list_channels(path, top), told)


def _list_channels(path: Path, top: Object) -> Iterator[Channel]:
    for place, held in top.items.items():
        found = _PLACE.match(place)
        if found is None or not isinstance(held, Object):
            continue
        if held.kind == "GwyDataField" and found["what"]:
            yield _describe_field(path, top, found, held)
        elif held.kind == "GwyBrick":
            yield _describe_brick(
                path, _find_title(top, place, f"Volume {found['number']}"), _find_meta(top, place), held
            )
        elif held.kind == "GwySpectra":
            yield from _describe_spectra(held, f"Spectra {found['number']}")
        elif held.kind == "GwySurface":
            yield _describe_points(path, _find_title(top, place, f"Points {found['number']}"), held)


def _describe_field(path: Path, top: Object, found: re.Match[str], field: Object) -> Channel:
    stem = found.string.removesuffix(f"/{found['what']}")
    title = _find_title(top, f"{stem}/data", f"Image {found['number']}")
    rows, columns = _count(field, "yres"), _count(field, "xres")
    data = _lay(path, field, (rows, columns), (columns * 8, 8))
    axes = _place_pixels(field, {"Y": rows, "X": columns}, lambda _: field.unit("si_unit_xy"))
    if found["what"] == "mask":
        return Channel(f"{title} mask", data, axes, f"{title} mask", "")
    return Channel(title, data, axes, title, field.unit("si_unit_z"), attrs=_find_meta(top, stem))


def _describe_brick(path: Path, title: str, meta: dict[str, Any], brick: Object) -> Channel:
    counts = {"Y": _count(brick, "yres"), "X": _count(brick, "xres"), "Z": _count(brick, "zres")}
    # Planes lie one after another, each row by row: a spectrum is what lies one above another.
    row = 8 * counts["X"]
    data = _lay(path, brick, tuple(counts.values()), (row, 8, row * counts["Y"]))
    axes = _place_pixels(brick, counts, lambda name: brick.unit(f"si_unit_{name.lower()}"))
    line = brick.items.get("calibration")
    if isinstance(line, Object) and isinstance(line.items.get("data"), Numbers):
        values = line.items["data"].read()
        if values.size == counts["Z"]:
            axes = (*axes[:2], Axis("Z", values, line.unit("si_unit_y"), "spectroscopic"))
    return Channel(title, data, axes, title, brick.unit("si_unit_w"), attrs=meta)


def _describe_spectra(held: Object, title: str) -> Iterator[Channel]:
    """Describe spectra at places: one channel where all are as long, else a channel each."""
    lines = [one for one in held.items.get("data", []) if isinstance(one, Object) and "data" in one.items]
    places = held.items.get("coords")
    if not lines or not isinstance(places, Numbers) or places.count < 2 * len(lines):
        return
    title = str(held.items.get("title", "") or title)
    label = str(held.items.get("spec_xlabel", "") or "Abscissa")
    place = places.read().reshape(-1, 2)[: len(lines)]
    groups = (
        [list(range(len(lines)))]
        if len({_describe_line(one) for one in lines}) == 1
        else [[n] for n in range(len(lines))]
    )
    for group in groups:
        first = lines[group[0]]
        count, step = first.items["data"].count, first.number("real", 1.0) / max(1, first.items["data"].count)
        axes = (
            Axis("position", np.array(group, dtype="f8"), "", "position"),
            make_even_axis(
                label, count, step, first.unit("si_unit_x"), start=first.number("off"), role="spectroscopic"
            ),
        )
        data = np.stack([lines[n].items["data"].read() for n in group])
        coords = {
            name: xr.Variable(("position",), place[group, column], {"units": held.unit("si_unit_xy")})
            for column, name in enumerate(("X", "Y"))
        }
        yield Channel(
            title, data, axes, str(held.items.get("spec_ylabel", "") or title), first.unit("si_unit_y"), coords
        )


def _describe_line(line: Object) -> tuple[Any, ...]:
    return (
        line.items["data"].count,
        line.number("real"),
        line.number("off"),
        line.unit("si_unit_x"),
        line.unit("si_unit_y"),
    )


def _describe_points(path: Path, title: str, held: Object) -> Channel:
    numbers = held.items.get("data")
    if not isinstance(numbers, Numbers) or not numbers.count or numbers.count % 3:
        raise TranslationError(f"its points {title!r} are no triples of numbers")
    points = numbers.read().reshape(-1, 3)
    units = {"units": held.unit("si_unit_xy")}
    axis = Axis("position", np.arange(len(points), dtype="f8"), "", "position")
    coords = {name: xr.Variable(("position",), points[:, n].copy(), units) for n, name in enumerate(("X", "Y"))}
    return Channel(title, points[:, 2].copy(), (axis,), title, held.unit("si_unit_z"), coords)


def _lay(path: Path, held: Object, shape: tuple[int, ...], strides: tuple[int, ...]) -> Any:
    numbers = held.items.get("data")
    wanted = int(np.prod(shape, dtype=object))
    if not isinstance(numbers, Numbers) or numbers.count != wanted or numbers.dtype != np.dtype("<f8"):
        found = numbers.count if isinstance(numbers, Numbers) else "no"
        raise TranslationError(f"a {held.kind} of {shape} cells has {found} numbers")
    return lay_out(path, "gwy", shape, "<f8", offset=numbers.offset, strides=strides)


def _place_pixels(held: Object, counts: dict[str, int], find_unit: Any) -> tuple[Axis, ...]:
    axes = []
    for name, count in counts.items():
        size, start = held.number(f"{name.lower()}real", float(count)), held.number(f"{name.lower()}off")
        role: Any = "spectroscopic" if name == "Z" else "position"
        axes.append(make_even_axis(name, count, size / count, find_unit(name), start=start, role=role))
    return tuple(axes)


def _count(held: Object, name: str) -> int:
    count = held.items.get(name)
    if not isinstance(count, int) or count <= 0:
        raise TranslationError(f"a {held.kind} has {name} {count!r}")
    return count


def _find_title(top: Object, place: str, otherwise: str) -> str:
    found = top.items.get(f"{place}/title")
    return found.strip().replace("/", "_") if isinstance(found, str) and found.strip() else otherwise


def _find_meta(top: Object, stem: str) -> dict[str, Any]:
    found = top.items.get(f"{stem}/meta")
    return (
        {k: v for k, v in found.items.items() if not isinstance(v, Object | Numbers)}
        if isinstance(found, Object)
        else {}
    )


READER: Final = FormatReader(
    name="gwy",
    opens="Gwyddion files (.gwy)",
    recognize=_recognize,
    parse=_parse,
    extensions=(".gwy",),
)
