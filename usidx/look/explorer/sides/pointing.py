"""The pointer and the keys over a map, which a script in the browser tells: the place that they lead to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from usidx.look.draw.extras import require
from usidx.look.explorer.sides.controls import listen

__all__ = ["follow_clicks", "follow_keys", "follow_pointer"]

_PURPOSE = "`usidx view`"
# Not oftener than a spectrum is drawn; the last place counts in any case.
_POINTER = """
if (!box.active.length) return
line.usidx_at = `${cb_obj.x} ${cb_obj.y}`
if (line.usidx_waits) return
line.usidx_waits = setTimeout(() => { line.usidx_waits = 0; line.setv({value: line.usidx_at}) }, 60)
"""
# The map takes the keys while the pointer is over it, and nothing else on the page sees them.
_KEYS = """
const el = Bokeh.index.find_one(figure)?.el
if (!el) return
if (!el.usidx_keys) {
  let count = 0
  el.usidx_keys = true
  el.tabIndex = 0
  el.style.outline = "none"
  const moves = {ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down"}
  el.addEventListener("keydown", event => {
    if (!moves[event.key]) return
    event.preventDefault()
    event.stopPropagation()
    line.setv({value: `${moves[event.key]} ${++count}`})
  })
}
el.focus({preventScroll: true})
"""


def follow_clicks(figure: Any, take: Callable[[Any], None]) -> None:
    """Call a function with each click; of two quick ones Bokeh calls the second a double one, wherever they are."""
    events = require("bokeh.events", _PURPOSE)
    for kind in (events.Tap, events.DoubleTap):
        figure.on_event(kind, take)


def follow_pointer(figure: Any, box: Any, take: Callable[[float, float], None]) -> None:
    """Call a function with each place under the pointer while a box is ticked."""
    models = require("bokeh.models", _PURPOSE)
    line = models.TextInput(visible=False)
    figure.js_on_event("mousemove", models.CustomJS(args={"line": line, "box": box}, code=_POINTER))
    listen(line, "value", lambda text: take(*map(float, text.split())))


def follow_keys(figure: Any, take: Callable[[str], None]) -> None:
    """Call a function with "left", "right", "up" or "down" when an arrow is pressed over a map."""
    models = require("bokeh.models", _PURPOSE)
    line = models.TextInput(visible=False)
    figure.js_on_event("mouseenter", models.CustomJS(args={"line": line, "figure": figure}, code=_KEYS))
    listen(line, "value", lambda text: take(text.split()[0]))
