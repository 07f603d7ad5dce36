"""Several maps to one figure, each with its colour bar or all with one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from usidx.look.draw.canvas import choose_grid_shape, open_sheet, write_letters
from usidx.look.draw.colours import AUTOMATIC, Colours, Shades, choose_colours
from usidx.look.draw.downsample import as_floats
from usidx.look.draw.maps import (
    Drawn,
    choose_map_size,
    draw_bar,
    draw_map,
    measure_map_aspect,
    read_map,
    split_complex,
)
from usidx.look.draw.wishes import Wishes
from usidx.look.interactive.layouts import lay_out_maps, lay_out_panels

__all__ = ["draw_maps"]

_Named = Sequence[tuple[str, xr.DataArray]]
_Panel = tuple[str, xr.DataArray, Shades | Colours]


def draw_maps(named: _Named, wishes: Wishes, *said: str, shared: bool = False) -> Any:
    """Draw arrays, each below its name, as far as a picture shows them; what was left out before is `said`."""
    if wishes.is_interactive and not shared:
        return lay_out_maps(named, wishes)
    read = [(name, *read_map(array)) for name, array in named]
    panels: list[_Panel] = [
        (", ".join(filter(None, (name, part))), real, AUTOMATIC if part == "phase" else wishes.shades)
        for name, shown, _ in read
        for part, real in split_complex(shown)
    ]
    parts = len(panels) // len(named)
    if shared:
        panels = _share_colours(panels, parts)
    if wishes.is_interactive:
        return lay_out_panels(panels, wishes)
    aspect = _find_middle([measure_map_aspect(array) for _, array, _ in panels])
    drawn, sheet = _draw_panels(panels, wishes, aspect, parts, shared=shared)
    return sheet.finish(wishes.title, *said, *(left_out for *_, left_out in read), *(one.said for one in drawn))


def _share_colours(panels: Sequence[_Panel], parts: int) -> list[_Panel]:
    """Choose the colours of all panels, or of all magnitudes and all phases, by all of their values."""
    chosen = []
    for part in range(parts):
        alike = panels[part::parts]
        values = np.concatenate([as_floats(array.values).ravel() for _, array, _ in alike])
        _, first, shades = alike[0]
        chosen.append(choose_colours(first, values, shades))
    return [(name, array, chosen[number % parts]) for number, (name, array, _) in enumerate(panels)]


def _draw_panels(
    panels: Sequence[_Panel], wishes: Wishes, aspect: float, parts: int, *, shared: bool
) -> tuple[list[Drawn], Any]:
    rows, columns = choose_grid_shape(len(panels), aspect)
    if parts > 1 and len(panels) > 2:
        # Magnitude and phase side by side, never parted by the end of a row.
        rows, columns = -(-len(panels) // 4), 4
    width, height = choose_map_size(aspect, columns)
    size = (columns * width, rows * height + (0.3 if wishes.title else 0.0))
    sheet = open_sheet(wishes.ax, len(panels), size, wishes.figsize)
    grid = sheet.panels or sheet.figure.subplots(rows, columns, squeeze=False).ravel()
    drawn = []
    for axes, (name, array, shades) in zip(grid, panels, strict=False):
        title = wishes.name_panel(name) if len(panels) > 1 else ""
        drawn.append(
            draw_map(sheet.figure, axes, array, title=title, bar=not shared, shades=shades, scalebar=wishes.scalebar)
        )
    for part in range(parts if shared else 0):
        draw_bar(sheet.figure, list(grid[part : len(panels) : parts]), drawn[part], aspect)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    write_letters(grid[: len(panels)], wishes.letters)
    return drawn, sheet


def _find_middle(aspects: list[float]) -> float:
    """Return the aspect that panels are made for: the tallest, but no strip among images makes all of them strips."""
    return max(aspects) if max(aspects) <= 2 else float(np.median(aspects))
