"""A file to what is shown of it first: facts, images, spectra; and the images of one scan to one array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

import usidx
from usidx.look.draw.downsample import describe_cell, pick, pick_cells, take_first
from usidx.look.draw.numbers import find_quantity, write_number, write_size
from usidx.look.report import Figure, Section, Table, make_pairs_table
from usidx.results.verbs import add_choices, verb

__all__ = [
    "describe_file",
    "describe_main",
    "find_telling_step",
    "list_images",
    "look_at_images",
    "look_at_spectra",
    "share_grid",
    "stack_images",
]

_SPOTS = 16


def describe_file(path: Path, name: str, raw: xr.DataArray) -> Section:
    """Say what the file holds."""
    facts = {"File": str(path), "Size": write_size(path.stat().st_size)}
    others = [m for m in usidx.list_mains(path) if m != name]
    blocks: list[Any] = [make_pairs_table(facts | _state_facts(name, raw))]
    if others:
        blocks.append(Table([[m] for m in others], ("Other main datasets",)))
    return Section("The file", blocks)


def describe_main(name: str, raw: xr.DataArray) -> Table:
    """Say what one measurement is."""
    return make_pairs_table(_state_facts(name, raw))


def _state_facts(name: str, raw: xr.DataArray) -> dict[str, str]:
    return {
        "Main dataset": name,
        "Quantity": f"{raw.attrs.get('long_name', '')} [{raw.attrs.get('units', '')}]",
        "Position dims": ", ".join(f"{d} ({raw.sizes[d]})" for d in raw.usid.position_dims) or "one place",
        "Spectroscopic dims": ", ".join(f"{d} ({raw.sizes[d]})" for d in raw.usid.spectroscopic_dims) or "none",
        "Type": str(raw.dtype),
    }


def look_at_images(images: list[xr.DataArray]) -> list[Figure]:
    """Draw every image, those of one scan side by side."""
    scans: list[list[xr.DataArray]] = []
    for image in images:
        kin = next((scan for scan in scans if share_grid(scan[0], image)), None)
        if kin is None:
            scans.append([image])
        else:
            kin.append(image)
    return [_draw_scan(scan) for scan in scans]


def _draw_scan(images: list[xr.DataArray]) -> Figure:
    if len(images) == 1:
        return _draw_map(images[0], find_quantity(images[0]))
    named: dict[str, xr.Variable] = {}
    for channel, image in enumerate(images):
        quantity = find_quantity(image)
        is_taken = quantity in named or quantity in images[0].coords
        named[f"{quantity} {channel}" if is_taken else quantity] = image.variable
    picture = usidx.plot_maps(xr.Dataset(named, images[0].coords), limit=len(images))
    return Figure(picture, "The images of the scan.", "maps")


def look_at_spectra(raw: xr.DataArray) -> list[Any]:
    """Show a map and spectra of one measurement."""
    if not raw.ndim:
        return [f"A single value: {write_number(float(abs(raw)))} {raw.attrs.get('units', '')}."]
    blocks: list[Any] = []
    if raw.usid.position_dims:
        step = find_telling_step(raw)
        blocks.append(_draw_map(raw.isel(step), f"{find_quantity(raw)} at {describe_cell(raw, step)}"))
    told = "Spectra from across the scan." if raw.ndim > 1 else "The spectrum."
    blocks.append(Figure(usidx.plot_spectra(raw, raw.usid.spectroscopic_dims[-1]), told, "spectra"))
    return blocks


def _draw_map(array: xr.DataArray, told: str) -> Figure:
    shown, where = take_first(array, 2)
    return Figure(usidx.plot_map(shown), f"{', '.join(filter(None, (told, where)))}.", "map")


def find_telling_step(raw: xr.DataArray) -> dict[str, int]:
    """Return the step of the sweep at which positions differ most; the middle of a sweep often shows noise."""
    spots = pick(raw, pick_cells({d: raw.sizes[d] for d in raw.usid.position_dims}, _SPOTS)).compute()
    swept = raw.usid.spectroscopic_dims
    spread = np.nan_to_num(spots.transpose("cell", *swept).values, posinf=0, neginf=0).std(axis=0)
    steps = np.unravel_index(int(spread.argmax()), spread.shape)
    return {d: int(n) for d, n in zip(swept, steps, strict=True)}


def list_images(path: Path) -> list[xr.DataArray]:
    """Return every image that was measured, field by field where a dataset has several, in the order of the file."""
    mains = [main for main in usidx.list_mains(path) if "-" not in main]
    measured = (array for main in mains for array in usidx.open_dataset(path, main).data_vars.values())
    return [a for a in measured if a.ndim and not a.usid.spectroscopic_dims and a.dtype.kind in "biufc"]


def share_grid(one: xr.DataArray, other: xr.DataArray) -> bool:
    """Whether two arrays were measured at the same places; a scan back has its places the other way round."""
    return one.dims == other.dims and all(one[d].equals(other[d]) for d in one.dims)


@verb()
def stack_images(image: xr.DataArray, images: list[xr.DataArray]) -> xr.DataArray:
    """Stack images, each in units of its own spread, as one spectrum of channels per position of the given one."""
    scaled = [_scale(c) for c in images]
    stacked = xr.concat([c.drop_vars(_list_scalars(c)) for c in scaled], "Channel", coords="minimal", compat="override")
    stacked = stacked.transpose(*image.dims, "Channel").assign_coords(Channel=np.arange(len(images)))
    stacked.attrs = {**image.attrs, "long_name": "Channels in units of their spread", "units": ""}
    stacked = usidx.set_roles(stacked.rename(str(image.name)).chunk({"Channel": -1}), spectroscopic="Channel")
    return add_choices(stacked, channels=[c.attrs.get("long_name") for c in images])


def _scale(channel: xr.DataArray) -> xr.DataArray:
    spread = channel.std()
    return (channel - channel.mean()) / spread.where(spread > 0, 1)


def _list_scalars(array: xr.DataArray) -> list[str]:
    return [str(name) for name, c in array.coords.items() if not c.dims]
