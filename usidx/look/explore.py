"""An array, a result or a tree to a linked map and spectrum to point at, in a notebook or a browser."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from usidx.errors import UsidError
from usidx.label.quantities import store_units
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.extras import require
from usidx.look.explorer.address import Address
from usidx.look.explorer.page import close_page
from usidx.look.explorer.pane import make_pane
from usidx.look.explorer.reading.scene import make_scene, start_at
from usidx.look.explorer.subjects import list_subjects

__all__ = ["explore", "save_explorer"]

_REDUCTIONS = {"index": "step", "mean": "mean"}
_PURPOSE = "Exploring"


def explore(
    data: xr.DataArray | xr.Dataset | xr.DataTree,
    *,
    at: Mapping[str, Any] | None = None,
    reduce: Literal["index", "mean"] = "index",
    source: xr.DataArray | None = None,
) -> Any:
    """Open a map that is linked with the spectrum or the pattern under the pointer.

    Of a lazy array only what is looked at is read: one map at the steps that the sliders choose, and the spectrum of
    one position. A click chooses a position, and so does the pointer where "follow the pointer" is on, and an arrow
    key over the map. A click into the spectrum chooses the step that the map shows; a drag over it makes the map of a
    band. A box or a lasso on the map shows the mean of its spectra, a line what lies under it. A fit is drawn over its
    data, components beside their scores, the means of clusters in the colours of the map, atoms over their image.

    Parameters
    ----------
    data : DataArray, Dataset or DataTree
        An array of any dims: the two fastest position dims make the map; points without a grid are shown where they
        lie, a single position dim is a line, and without one there is only the spectrum. Complex values are shown by
        part. A result, with a map of each of its variables. Or a tree, of which everything can be chosen.
    at : mapping of dim to coordinate value, optional
        Where to begin; the nearest index is taken. By default in the middle of every dim.
    reduce : {"index", "mean"}
        Whether the map begins with one step of the swept dims, or with the mean over four spread steps of each.
    source : DataArray, optional
        What a fit was fitted to, or what atoms were found in, where it lies in no file. By default it is sought in the
        file that the result was opened or computed from.

    Returns
    -------
    panel.viewable.Viewable
        Shows itself in a notebook; ``.show()`` opens a browser, ``.servable()`` serves it.

    Raises
    ------
    ResultError
        Nothing in it holds numbers over a dim.
    RoleError
        This is no labelled object, the array is a single value or holds no numbers, or `at` names no dim.
    UsidError
        `reduce` is none of those named.
    MissingExtraError
        panel is not installed.

    Notes
    -----
    A map is at most 512 x 512 cells: of a larger one every n-th row and column is read. The mean over a band, or over
    a region, is read block by block.

    Compute a lazy result first, or each map and each place computes it anew.

    A notebook fetches the scripts of panel from the network. Where there is none, as beside many instruments, run
    ``panel.extension(inline=True)`` first, and the notebook holds them itself.

    Examples
    --------
    >>> from usidx.look.explore import explore
    >>> from usidx.simulate import band_excitation
    >>> scan, truth = band_excitation((16, 16), 32)
    >>> view = explore(scan, at={"Frequency": 320e3})
    """
    data = store_units(data)
    refuse_unlabelled(data, (xr.DataArray, xr.Dataset, xr.DataTree))
    if reduce not in _REDUCTIONS:
        raise UsidError(f"Unknown reduce {reduce!r}: give one of {', '.join(map(repr, _REDUCTIONS))}.")
    subjects = list_subjects(data, source)
    first = next(iter(subjects.values()))()
    begun = start_at(make_scene(first.arrays[first.first]), at)
    return make_pane(subjects, Address(index=begun, reduce=_REDUCTIONS[reduce]))


def save_explorer(path: str | os.PathLike[str], view: Any) -> Path:
    """Save what an explorer shows now as one HTML file that needs no network.

    The picture can be zoomed and hovered over; it is no longer linked to the data.

    Parameters
    ----------
    path : str or path
        The file to write.
    view : panel.viewable.Viewable
        As :func:`explore` returns it.

    Returns
    -------
    Path
        The file.

    Examples
    --------
    >>> import tempfile
    >>> from usidx.look.explore import explore, save_explorer
    >>> from usidx.simulate import band_excitation
    >>> scan, truth = band_excitation((8, 8), 8)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_explorer(f"{folder}/scan.html", explore(scan)).name
    'scan.html'
    """
    inline = require("bokeh.resources", _PURPOSE).INLINE
    page = Path(path)
    page.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.StringIO()
    view.save(buffer, resources=inline, embed=False, title="usidx")
    published = Path(str(require("panel", _PURPOSE).__file__)).parent / "dist"
    page.write_text(close_page(buffer.getvalue(), published), encoding="utf-8")
    return page
