"""Further maps beside the first, of other variables or channels: they zoom and are pointed at together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import xarray as xr

from usidx.look.draw.extras import require
from usidx.look.explorer.pictures.maps import MapPicture, escape_long
from usidx.look.explorer.reading.growing import Draft
from usidx.look.explorer.reading.reads import read_step
from usidx.look.explorer.reading.scene import Scene, take_part
from usidx.look.explorer.reading.subject import Subject
from usidx.look.explorer.reading.work import Task
from usidx.look.explorer.sides.controls import listen
from usidx.look.explorer.sides.looking import Looking
from usidx.look.explorer.sides.pointing import follow_clicks

__all__ = ["Beside", "list_beside"]

_PURPOSE = "`usidx view`"
_SIZE = 0.75


def list_beside(subject: Subject, scene: Scene, variable: str) -> list[str]:
    """List what has a value at every place of a map: other variables, and other mains of the same places."""
    if scene.kind == "none":
        return []
    own = [n for n, v in subject.arrays.items() if n != variable and _fits(v, scene)]
    return [*own, *(subject.others if subject.kind == "main" else ())]


def _fits(array: xr.DataArray, scene: Scene) -> bool:
    return all(array.sizes.get(d) == scene.array.sizes[d] for d in scene.places)


class Beside:
    """The maps beside the first.

    Parameters
    ----------
    looking : Looking
        What is looked at.
    first : MapPicture
        The map that they follow.
    choose : callable
        Takes the place of a click.
    """

    def __init__(
        self, looking: Looking, first: MapPicture, choose: Callable[[float | None, float | None], None]
    ) -> None:
        self._looking, self._first, self._choose = looking, first, choose
        self._shown: dict[str, tuple[xr.DataArray, MapPicture]] = {}
        self._drafts: dict[str, Draft] = {}
        self.box = require("bokeh.models", _PURPOSE).Row(styles={"flex-wrap": "wrap"}, visible=False)
        listen(looking.controls.beside, "value", self._take_choice)

    @property
    def names(self) -> list[str]:
        """What is shown."""
        return list(self._shown)

    def _take_choice(self, name: str) -> None:
        """Show what is chosen, or take it away; the list goes back to its first line."""
        if name:
            self.show([n for n in self.names if n != name] if name in self._shown else [*self.names, name])
            self._looking.controls.beside.value = ""
            self._looking.changed()

    def show(self, names: Sequence[str]) -> None:
        """Show these of what can be shown, and nothing else."""
        known = list_beside(self._looking.subject, self._looking.scene, self._looking.variable)
        wanted = [n for n in names if n in known]
        new = [n for n in wanted if n not in self._shown]
        self._shown = {n: self._shown[n] if n in self._shown else self._make(n) for n in wanted}
        self.box.children = [picture.figure for _, picture in self._shown.values()]
        self.box.visible = bool(wanted)
        for name in new:
            self._read(name)

    def _make(self, name: str) -> tuple[xr.DataArray, MapPicture]:
        subject, scene = self._looking.subject, self._looking.scene
        array = subject.arrays[name] if name in subject.arrays else subject.others[name]()
        picture = MapPicture(replace(scene, array=array), _SIZE)
        picture.figure.name = "usidx-beside"
        picture.figure.x_range, picture.figure.y_range = self._first.figure.x_range, self._first.figure.y_range
        follow_clicks(picture.figure, lambda event: self._choose(event.x, event.y))
        return array, picture

    def _read(self, name: str) -> None:
        """Read a map at the steps of the first, as far as it was swept in the same way."""
        array, _ = self._shown[name]
        places = self._looking.scene.places
        swept = tuple(str(d) for d in array.dims if d not in places)
        steps = {d: min(self._looking.index.get(d, n // 2), n - 1) for d in swept for n in [array.sizes[d]]}
        scene = replace(self._looking.scene, array=array, swept=swept)
        desk = self._looking.desk

        def work(task: Task) -> Draft:
            return read_step(scene, steps, task, lambda draft: desk.post(task, lambda: self._take(name, draft)))

        desk.start(
            f"beside {name}",
            "Reading the map beside",
            work,
            lambda draft: self._take(name, draft),
        )

    def _take(self, name: str, draft: Draft) -> None:
        self._drafts[name] = draft
        self._draw(name)

    def _draw(self, name: str) -> None:
        if name in self._shown and name in self._drafts:
            looking, (_, picture), draft = self._looking, self._shown[name], self._drafts[name]
            title = draft.complete(escape_long(name))
            picture.show(take_part(draft.values, looking.part), looking.controls.taste, title)
            picture.mark(looking.index)

    def refresh(self) -> None:
        """Read all anew, for another step; what was not swept stays."""
        for name, (array, _) in self._shown.items():
            if array.ndim > len(self._looking.scene.places):
                self._read(name)

    def show_again(self) -> None:
        """Draw in another part or other colours what was read."""
        for name in self._shown:
            self._draw(name)

    def mark(self) -> None:
        """Put the marker on the place that is looked at."""
        for _, picture in self._shown.values():
            picture.mark(self._looking.index)

    def empty(self) -> None:
        """Let go of what is drawn."""
        for _, picture in self._shown.values():
            picture.empty()
