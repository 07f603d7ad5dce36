"""Curves over one another, a panel for each place: what was measured, what is true, what was fitted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from usidx.look.draw.canvas import (
    INK,
    SMALL,
    Sheet,
    choose_grid_shape,
    escape_text,
    open_sheet,
    points,
    wrap_words,
    write_letters,
)
from usidx.look.draw.lines import Stroke, count_panels, draw_lines, stack_panels
from usidx.look.draw.numbers import find_finite_range
from usidx.look.draw.wishes import Wishes
from usidx.look.interactive.layouts import lay_out_curves

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Layer", "draw_curves"]

_TITLE = 36  # characters that have room above a panel


@dataclass(frozen=True)
class Layer:
    """One kind of curve, dims (cell, the dim that runs to the right), in memory; and how it is drawn."""

    lines: xr.DataArray
    stroke: Stroke


def draw_curves(layers: Sequence[Layer], dim: str, names: Sequence[str], wishes: Wishes) -> Any:
    """Draw a panel for each cell, named by where it is, or two where the curves are complex."""
    first = layers[0].lines
    found = find_finite_range(np.abs(first.values))
    scales = {"largest": found[1]} if found else {}
    if wishes.is_interactive:
        return lay_out_curves([(one.lines, one.stroke) for one in layers], dim, names, scales, wishes)
    count, split = first.sizes["cell"], count_panels(first)
    rows, columns = choose_grid_shape(count, 0.8)
    size = (2.9 * columns + 0.5, rows * (2.2 if split == 1 else 3.0) + 0.4)
    sheet = open_sheet(wishes.ax, count * split, size, wishes.figsize)
    panels = _make_panels(sheet, (rows, columns), count, split)
    titles = _wrap_titles(names)
    for number, stacked in enumerate(panels):
        for one in layers:
            draw_lines(stacked, one.lines.isel(cell=[number]), dim, one.stroke, scales, wishes.shades)
        title = wishes.name_panel(titles[number])
        stacked[0].set_title(escape_text(title), fontsize=points(SMALL), color=INK)
        for axes in stacked if number % columns and not sheet.panels else ():
            axes.set_ylabel("")
    _write_legend(sheet, panels)
    write_letters([stacked[0] for stacked in panels], wishes.letters)
    return sheet.finish(wishes.title)


def _make_panels(sheet: Sheet, shape: tuple[int, int], count: int, split: int) -> list[list[Axes]]:
    if sheet.panels:
        return [sheet.panels[n * split : (n + 1) * split] for n in range(count)]
    holders = np.asarray(sheet.figure.subfigures(*shape, squeeze=False)).ravel()
    return [stack_panels(holder, split) for holder in holders[:count]]


def _write_legend(sheet: Sheet, panels: list[list[Axes]]) -> None:
    handles, names = panels[-1][0].get_legend_handles_labels()
    if sheet.panels:
        panels[0][0].legend(handles, names, fontsize=points(SMALL), frameon=False)
    elif names:
        sheet.figure.legend(
            handles, names, loc="outside upper right", ncols=len(names), fontsize=points(SMALL), frameon=False
        )


def _wrap_titles(names: Sequence[str]) -> list[str]:
    """Write where each cell is, all in as many lines, else panels beside one another differ in height."""
    told = [wrap_words(name, _TITLE) for name in names]
    lines = max(t.count("\n") for t in told)
    return ["\n" * (lines - t.count("\n")) + t for t in told]
