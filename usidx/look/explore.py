"""Labelled array to a linked map and spectrum to point at, in a notebook or a browser."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from usidx.errors import ResultError, UsidError
from usidx.label.quantities import store_units
from usidx.label.roles import refuse_unlabelled
from usidx.look.draw.downsample import describe_cell
from usidx.look.draw.extras import require
from usidx.look.draw.numbers import make_printable
from usidx.look.explorer import elements
from usidx.look.explorer.page import close_page
from usidx.look.explorer.scene import (
    PARTS,
    Scene,
    find_nearest,
    make_scene,
    read_map,
    read_mean,
    read_spectrum,
    start_at,
    take_part,
)
from usidx.look.summary.facts import collect_facts, write_facts
from usidx.results.provenance import read_steps

__all__ = ["Explorer", "build", "explore", "save_explorer"]

_FITS = {"fit", "sho_fit", "loop_fit", "relaxation_fit"}
_REDUCTIONS = {"index": "one step", "mean": "mean of a few steps"}
_PURPOSE = "Exploring"
# The browser sends the value at which a slider was let go only if it differs from the last such value, and panel never
# tells it of values that a click into the spectrum sets. So the slider would not act when it is dragged back to where
# it was let go before. What it rests at for a moment therefore counts as let go.
_LET_GO_AT_REST = """
clearTimeout(cb_obj.usidx_rest)
cb_obj.usidx_rest = setTimeout(() => cb_obj.setv({value_throttled: cb_obj.value}), 300)
"""


def explore(
    data: xr.DataArray | xr.Dataset,
    *,
    at: Mapping[str, Any] | None = None,
    reduce: Literal["index", "mean"] = "index",
) -> Any:
    """Open a map that is linked with the spectrum under the pointer.

    Of a lazy array only what is looked at is read: one map at the steps that the sliders choose, and the spectrum of
    one position. A click chooses a position, and so does the pointer where "follow the pointer" is on. A click into
    the spectrum chooses the step that the map shows. Sliders over a lazy array act when they rest or are let go.

    Parameters
    ----------
    data : DataArray
        Any dims; of a Dataset the error says which of its arrays to take. The two fastest position dims make the map;
        points without a grid are shown where they lie, a single position dim is a line, and without one there is only
        the spectrum. Complex values are shown by part.
    at : mapping of dim to coordinate value, optional
        Where to begin; the nearest index is taken. By default in the middle of every dim.
    reduce : {"index", "mean"}
        Whether the map begins with one step of the swept dims, or with the mean over four spread steps of each.

    Returns
    -------
    panel.viewable.Viewable
        Shows itself in a notebook; ``.show()`` opens a browser, ``.servable()`` serves it.

    Raises
    ------
    ResultError
        It is a result or another Dataset; the message names the arrays in it that can be explored.
    RoleError
        This is no array, the array is a single value or holds no numbers, or `at` names no dim.
    UsidError
        `reduce` is none of those named.
    MissingExtraError
        panel or holoviews is not installed.

    Notes
    -----
    A map is at most 512 x 512 cells: of a larger one every n-th row and column is read.

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
    if isinstance(data, xr.Dataset):
        raise ResultError(_suggest_variables(data))
    refuse_unlabelled(data)
    assert isinstance(data, xr.DataArray)
    if reduce not in _REDUCTIONS:
        raise UsidError(f"Unknown reduce {reduce!r}: give one of {', '.join(map(repr, _REDUCTIONS))}.")
    scene = make_scene(data)
    return build(scene, start_at(scene, at), reduce).view


def _suggest_variables(data: xr.Dataset) -> str:
    """Say which arrays of a result, or made from it, can be explored."""
    named = ((str(name), v) for name, v in data.data_vars.items() if not str(name).endswith("_stderr"))
    drawable = [name for name, v in named if v.dtype.kind in "biufc" and v.ndim]
    # Those of most dims have most to look at.
    best = sorted(drawable, key=lambda name: -data[name].ndim)[:3]
    doors = " or ".join(f"result[{make_printable(name)!r}].usid.explore()" for name in best)
    tools = {step["tool"] for step in read_steps(data)}
    curves = " The fitted curves are result.usid.evaluate().usid.explore()." if tools & _FITS else ""
    return (
        f"One array is explored at a time, and this Dataset has {len(data.data_vars)} variables: "
        f"{doors or 'none of them holds numbers over a dim'}. All maps at once are result.usid.plot.maps().{curves}"
    )


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


@dataclass(frozen=True)
class Explorer:
    """The view, and the handles that move it: for tests and for apps that embed it."""

    view: Any
    place: Any
    widgets: dict[str, Any]
    pointers: dict[str, Any]
    map: Any
    spectrum: Any


def build(scene: Scene, begun: dict[str, int], reduce: str) -> Explorer:
    """Put an explorer together."""
    pn = require("panel", _PURPOSE)
    require("holoviews.plotting.bokeh", _PURPOSE)
    if not getattr(pn.extension, "_loaded", False):
        pn.extension()
    widgets = _make_widgets(pn, scene, begun, reduce)
    place = _make_place_stream(scene, begun)
    looking = _Looking(scene, widgets, place)
    map_, spectrum = looking.draw_map(), looking.draw_spectrum()
    frames = (elements.choose_map_size(scene), elements.choose_spectrum_size())
    panes = [
        pn.pane.HoloViews(
            drawn, backend="bokeh", **elements.add_margins(frame, has_bar=drawn is map_ and scene.kind != "line")
        )
        for drawn, frame in zip((map_, spectrum), frames, strict=True)
        if drawn is not None
    ]
    title = pn.pane.HTML(f"<b>{escape(write_facts(collect_facts(scene.array)))}</b>", margin=(5, 10))
    shown = [w for w in widgets.values() if w.visible]
    controls = [pn.FlexBox(*shown)] if shown else []
    view = pn.Column(title, *controls, pn.FlexBox(*panes), sizing_mode="stretch_width")
    return Explorer(view, place, widgets, looking.pointers, map_, spectrum)


def _make_place_stream(scene: Scene, begun: dict[str, int]) -> Any:
    """Hold the place that is looked at: one index per dim of the map."""
    streams = require("holoviews.streams", _PURPOSE)
    names = {f"place{n}": begun[dim] for n, dim in enumerate(scene.places)}
    return streams.Stream.define("Place", **names)()


def _make_widgets(pn: Any, scene: Scene, begun: dict[str, int], reduce: str) -> dict[str, Any]:
    """Make the controls; those with nothing to choose are there but hidden."""
    made: dict[str, Any] = {}
    has_map, has_steps = scene.kind != "none", bool(scene.swept)
    for number, dim in enumerate(scene.swept):
        length = scene.array.sizes[dim]
        limits = {"start": 0, "end": max(length - 1, 1), "value": begun[dim]}
        made[f"step{number}"] = _make_titled_widget(
            pn.widgets.IntSlider, _escape_markup(dim), width=260, visible=length > 1, **limits
        )
        if scene.is_lazy:
            made[f"step{number}"].jscallback(value=_LET_GO_AT_REST)
    along = {_escape_markup(d): d for d in reversed(scene.swept)}
    first = next(iter(along.values()), None)
    select, box = pn.widgets.Select, pn.widgets.Checkbox
    made["along"] = _make_titled_widget(
        select, "spectrum along", options=along, value=first, width=150, visible=len(along) > 1
    )
    made["part"] = _make_titled_widget(select, "part", options=list(PARTS), width=120, visible=scene.is_complex)
    chosen = {text: key for key, text in _REDUCTIONS.items()}
    both = has_map and has_steps
    made["reduce"] = _make_titled_widget(select, "map of", options=chosen, value=reduce, width=160, visible=both)
    made["follow"] = _make_titled_widget(box, "follow the pointer", value=True, visible=both, margin=(25, 10))
    return made


def _make_titled_widget(widget: Any, title: str, **options: Any) -> Any:
    """Make a widget with a title, which newer versions of panel call its label."""
    return widget(**{"label" if "label" in widget.param else "name": title}, **options)


def _escape_markup(name: str, limit: int = 40) -> str:
    """Keep a name from a file from being read as mark-up."""
    return make_printable(name, limit).replace("<", "‹").replace(">", "›").replace("$$", "$")


class _Looking:
    """What is looked at now, and the pictures of it."""

    def __init__(self, scene: Scene, widgets: dict[str, Any], place: Any) -> None:
        self.scene = scene
        self.widgets = widgets
        self.place = place
        self.hv = require("holoviews", _PURPOSE)
        self.pointers: dict[str, Any] = {}
        self._read: dict[str, tuple[Any, xr.DataArray]] = {}

    def _read_once(self, what: str, key: Any, read: Callable[[], xr.DataArray]) -> xr.DataArray:
        """Read, unless this very map or spectrum was the last one read: another part of it costs nothing."""
        if what not in self._read or self._read[what][0] != key:
            self._read[what] = (key, read())
        return self._read[what][1]

    def index(self) -> dict[str, int]:
        """Return the index along every dim."""
        contents = self.place.contents
        chosen = {dim: int(contents[f"place{n}"]) for n, dim in enumerate(self.scene.places)}
        return chosen | {dim: int(self.widgets[f"step{n}"].value) for n, dim in enumerate(self.scene.swept)}

    def _watch_widgets(self, *names: str, place: bool = False) -> list[Any]:
        """Make streams of widgets; sliders of lazy arrays act when let go."""
        params = require("holoviews.streams", _PURPOSE).Params
        event = "value_throttled" if self.scene.is_lazy else "value"
        watched = {n: event if n.startswith("step") else "value" for n in names}
        # All widgets call theirs "value"; each needs a name of its own to be told apart.
        streams = [params(self.widgets[n], [p], rename={p: f"{p}_{n}"}) for n, p in watched.items()]
        return [*streams, self.place] if place else streams

    def _make_dynamic(self, draw: Any, streams: list[Any]) -> Any:
        # All state is read from the widgets, so what a stream brings is of no interest, only that it came.
        return self.hv.DynamicMap(lambda **_: draw(), streams=streams)

    def draw_map(self) -> Any:
        """Make the map, its marker, and the pointing; nothing where there is no position."""
        if self.scene.kind == "none":
            return None
        steps = [f"step{n}" for n in range(len(self.scene.swept))]
        base = self._make_dynamic(self._map, self._watch_widgets(*steps, "part", "reduce"))
        marker = self._make_dynamic(
            lambda: elements.make_marker(self.scene, self.index()), self._watch_widgets(place=True)
        )
        self._point_with(base)
        return (base * marker).opts(**elements.choose_map_size(self.scene), backend="bokeh")

    def _map(self) -> Any:
        by_mean = self.widgets["reduce"].value == "mean" and bool(self.scene.swept)
        part, index = self.widgets["part"].value, self.index()
        steps = {d: index[d] for d in self.scene.swept}
        read = self._read_once(
            "map",
            "mean" if by_mean else steps,
            lambda: read_mean(self.scene) if by_mean else read_map(self.scene, steps),
        )
        values = read if by_mean else take_part(read, part)
        there = {d: index[d] for d in self.scene.swept if self.scene.array.sizes[d] > 1}
        title = "mean" if by_mean else describe_cell(self.scene.array, there)
        return elements.make_map_element(self.scene, values, _escape_markup(title, 80))

    def _point_with(self, base: Any) -> None:
        if not self.scene.swept:
            return
        streams = require("holoviews.streams", _PURPOSE)
        self.pointers |= {"click": streams.Tap(source=base), "pointer": streams.PointerXY(source=base)}
        self.pointers["click"].add_subscriber(self.handle_click)
        self.pointers["pointer"].add_subscriber(self.follow_pointer)

    def handle_click(self, x: float | None = None, y: float | None = None) -> None:
        """Look at the place under a click and stay there; the pointer is followed again when that is asked for."""
        self.widgets["follow"].value = False
        self._move(x, y)

    def follow_pointer(self, x: float | None = None, y: float | None = None) -> None:
        """Look at the place under the pointer."""
        if self.widgets["follow"].value:
            self._move(x, y)

    def _move(self, x: float | None, y: float | None) -> None:
        found = find_nearest(self.scene, x, y)
        now = self.index()
        if found is not None and any(now[dim] != n for dim, n in found.items()):
            self.place.event(**{f"place{n}": found[dim] for n, dim in enumerate(self.scene.places)})

    def draw_spectrum(self) -> Any:
        """Make the spectrum of the place, with a line at the step that the map shows; nothing for a mere image."""
        if not self.scene.swept:
            return None
        steps = [f"step{n}" for n in range(len(self.scene.swept))]
        curve = self._make_dynamic(self._draw_curve, self._watch_widgets(*steps, "along", "part", place=True))
        line = self._make_dynamic(self._draw_step_line, self._watch_widgets(*steps, "along"))
        streams = require("holoviews.streams", _PURPOSE)
        self.pointers["step"] = streams.Tap(source=curve)
        self.pointers["step"].add_subscriber(self.handle_step)
        return (curve * line).opts(**elements.choose_spectrum_size(), backend="bokeh")

    def _draw_curve(self) -> Any:
        along, index = self.widgets["along"].value, self.index()
        others = {d: n for d, n in index.items() if d != along}
        read = self._read_once("spectrum", (along, others), lambda: read_spectrum(self.scene, others, along))
        values = take_part(read, self.widgets["part"].value)
        there = {d: index[d] for d in map(str, self.scene.array.dims) if d != along and self.scene.array.sizes[d] > 1}
        return elements.make_curve(values, along, _escape_markup(describe_cell(self.scene.array, there), 80))

    def _draw_step_line(self) -> Any:
        return elements.make_step_line(self.scene, self.index(), self.widgets["along"].value)

    def handle_step(self, x: float | None = None, y: float | None = None) -> None:
        """Show the map of the step under a click into the spectrum."""
        along = self.widgets["along"].value
        number = None if x is None else elements.find_step(self.scene, along, x)
        if number is not None:
            slider = self.widgets[f"step{self.scene.swept.index(along)}"]
            slider.value = number
            if self.scene.is_lazy:
                with require("param", _PURPOSE).edit_constant(slider):
                    slider.value_throttled = number
