"""A subject to a map and the curves or the pattern of a place of it, linked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import xarray as xr

from usidx.errors import UsidError
from usidx.look.explorer.address import Address
from usidx.look.explorer.reading.scene import make_scene
from usidx.look.explorer.reading.subject import Subject
from usidx.look.explorer.reading.work import Desk
from usidx.look.explorer.sides.beside import list_beside
from usidx.look.explorer.sides.controls import REDUCTIONS, listen, make_controls
from usidx.look.explorer.sides.curve_side import CurveSide
from usidx.look.explorer.sides.looking import Looking, begin_at
from usidx.look.explorer.sides.map_side import MapSide
from usidx.look.explorer.sides.pattern_side import PatternSide, is_pattern

__all__ = ["View"]

# Which dim of the places, counted from the last, and by how much.
_MOVES: Final = {"left": (-1, -1), "right": (-1, 1), "up": (-2, 1), "down": (-2, -1)}


class View:
    """One subject as it is looked at.

    Parameters
    ----------
    subject : Subject
        What.
    desk : Desk
        Where reading is done.
    changed : callable
        Is told when something else is looked at.
    address : Address
        Where to begin.
    is_embedded : bool
        Whether it stands among other things, as in a notebook: the pointer is followed, and a mean over everything is
        that of a few steps, for work goes on while one waits.
    """

    def __init__(
        self, subject: Subject, desk: Desk, changed: Callable[[], None], address: Address, *, is_embedded: bool = False
    ) -> None:
        self.subject = subject
        self.variable = address.variable if address.variable in subject.names else subject.first
        self.scene = make_scene(subject.arrays[self.variable])
        begun = begin_at(self.scene, address.index)
        lines = [d for d in self.scene.swept if self.scene.array.sizes[d] > 1]
        along = lines[-1] if lines else ""
        beside = list_beside(subject, self.scene, self.variable)
        self.controls = make_controls(subject, self.scene, begun, along=along, beside=beside, follows=is_embedded)
        self._set_up_controls(address, has_band=bool(along))
        self.looking = Looking(
            subject, self.variable, self.scene, self.controls, desk, begun, self.refresh_map, changed, is_embedded
        )
        is_picture = is_pattern(self.looking)
        self.controls.choose_side(is_pattern=is_picture)
        self.side: CurveSide | PatternSide = (
            PatternSide(self.looking) if is_picture else CurveSide(self.looking, along, address.band)
        )
        self.map = MapSide(self.looking, self.side) if self.scene.kind != "none" else None
        self._connect()
        if self.map is not None:
            self.map.beside.show(address.beside)

    def _set_up_controls(self, address: Address, *, has_band: bool) -> None:
        controls, known = self.controls, list(REDUCTIONS.values())
        controls.variable.value = self.variable
        if address.part in controls.part.options:
            controls.part.value = address.part
        if has_band and address.reduce in known:
            controls.reduce.active = known.index(address.reduce)

    def _connect(self) -> None:
        """Let the controls act."""
        controls = self.controls
        listen(controls.part, "value", lambda _: self._show_again())
        listen(controls.reduce, "active", lambda _: self._change_map())
        controls.on_taste(self._show_again)
        controls.pin.on_click(self.side.pin)
        controls.clear.on_click(self.clear)
        for dim, slider in controls.sliders.items():
            self._connect_slider(dim, slider)

    def _connect_slider(self, dim: str, slider: Any) -> None:
        listen(slider, "value", lambda step: self._slide(dim, int(step)))
        listen(slider, "value_throttled", lambda _: self._let_go())

    def _slide(self, dim: str, step: int) -> None:
        """Follow a slider: of curves of another step at once, of the map when it is let go."""
        self.looking.index[dim] = step
        if dim in self.side.list_kept_dims() and self.looking.is_plain:
            self.side.mark()
        else:
            self.side.refresh()

    def _let_go(self) -> None:
        """Make the map of where a slider was let go, if it is not there already."""
        if self.map is None or not self.map.is_of_now:
            self._change_map()

    def _change_map(self) -> None:
        self.refresh_map()
        self.looking.changed()

    def _show_again(self) -> None:
        """Draw in another part or other colours what was read."""
        if self.map is not None:
            self.map.show()
            self.map.beside.show_again()
        self.side.show_again()
        self.looking.changed()

    def refresh_map(self) -> None:
        """Read the map anew."""
        if self.map is not None:
            self.map.refresh()

    def begin(self) -> None:
        """Read the first pictures."""
        self.refresh_map()
        self.side.refresh()

    def move(self, to: str) -> None:
        """Go to the next place to the left or right, up or down on the map."""
        scene, index = self.scene, self.looking.index
        if self.map is None or to not in _MOVES or len(scene.places) < -_MOVES[to][0]:
            return
        dim, by = scene.places[_MOVES[to][0]], _MOVES[to][1]
        if scene.grid is not None and scene.grid.from_top and to in ("up", "down"):
            by = -by
        index[dim] = min(max(index[dim] + by, 0), scene.array.sizes[dim] - 1)
        self.map.look_there()

    def clear(self) -> None:
        """Take away what is pinned, the region, and the band or the detector."""
        self.side.clear()
        if self.map is not None:
            self.map.clear()
        if self.looking.reduce != "step":
            self.controls.reduce.active = 0
        self.side.refresh()

    def close(self) -> None:
        """Let go of what is drawn."""
        self.side.picture.empty()
        if self.map is not None:
            self.map.empty()

    def describe(self) -> dict[str, Any]:
        """Return what of an address this view knows."""
        told: dict[str, Any] = {"variable": self.variable, "index": dict(self.looking.index)}
        told |= {"part": self.looking.part} if self.scene.is_complex else {}
        told |= {"beside": tuple(self.map.beside.names)} if self.map is not None else {}
        reduce = self.looking.reduce
        return told | ({"reduce": reduce, "band": self.side.band} if reduce != "step" and self.side.band else {})

    @property
    def map_values(self) -> xr.DataArray | None:
        """The map that was read; None where there is none.

        Raises
        ------
        UsidError
            It was not read to its end.
        """
        if self.map is None or self.map.values is None:
            return None
        if not self.map.is_whole:
            raise UsidError("The map is coarse: it is not read to its end. Wait for that, or choose its step again.")
        return self.map.values
