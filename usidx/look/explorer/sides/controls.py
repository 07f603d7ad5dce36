"""What is looked at to the controls beside it: sliders with units, parts, colours, what a drag does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from usidx.look.draw.downsample import make_ruler
from usidx.look.draw.extras import require
from usidx.look.explorer.pictures.maps import escape_long
from usidx.look.explorer.pictures.shades import COLORMAPS, Taste
from usidx.look.explorer.reading.scene import PARTS, Scene
from usidx.look.explorer.reading.subject import Subject

__all__ = ["DRAGS", "REDUCTIONS", "Controls", "listen", "make_controls"]

_PURPOSE = "`usidx view`"
#: What the map is made of, as it is called, and as it is recorded.
REDUCTIONS = {"Step": "step", "Mean": "mean", "Sum": "sum", "Centre": "centre"}
DRAGS = ("Point", "Box", "Lasso", "Line")


# The browser tells where a slider was let go only if it was let go elsewhere before, and never of values that a click
# into the curves sets. So what it rests at for a moment counts as let go, too.
_AT_REST = """
clearTimeout(cb_obj.usidx_rest)
cb_obj.usidx_rest = setTimeout(() => cb_obj.setv({value_throttled: cb_obj.value}), 300)
"""


def listen(model: Any, name: str, func: Callable[[Any], None]) -> None:
    """Call a function with each new value of a property."""

    def take(attr: str, old: Any, new: Any) -> None:
        func(new)

    model.on_change(name, take)


@dataclass(frozen=True)
class Controls:
    """The controls of a view; those with nothing to choose are there but hidden.

    Attributes
    ----------
    sliders : dict of str to Slider
        By swept dim.
    """

    variable: Any
    part: Any
    along: Any
    reduce: Any
    drag: Any
    pin: Any
    clear: Any
    sliders: dict[str, Any]
    colormap: Any
    percent: Any
    switches: Any
    gamma: Any
    beside: Any
    follow: Any
    radii: Any

    @property
    def taste(self) -> Taste:
        """What of the colours is chosen."""
        low, high = self.percent.value
        return Taste(self.colormap.value, low, high, 0 in self.switches.active, self.gamma.value)

    @property
    def has_histogram(self) -> bool:
        """Whether the histogram of the map is wanted."""
        return 1 in self.switches.active

    def choose_side(self, *, is_pattern: bool) -> None:
        """Hide what is for curves where there is a pattern, and the other way round."""
        self.radii.visible = is_pattern
        if is_pattern:
            self.along.visible = self.pin.visible = False

    def on_taste(self, func: Callable[[], None]) -> None:
        """Call a function whenever the colours change."""
        listen(self.colormap, "value", lambda _: func())
        listen(self.percent, "value_throttled", lambda _: func())
        listen(self.switches, "active", lambda _: func())
        listen(self.gamma, "value_throttled", lambda _: func())


def make_controls(
    subject: Subject, scene: Scene, begun: dict[str, int], *, along: str, beside: list[str], follows: bool
) -> Controls:
    """Make the controls."""
    models = require("bokeh.models", _PURPOSE)
    select, group = models.Select, models.RadioButtonGroup
    is_main, has_map = subject.kind in ("main", "result"), scene.kind != "none"
    both = is_main and has_map and bool(scene.swept)
    has_curves = bool(scene.swept) or subject.kind in ("fit", "clusters")
    drags = DRAGS if scene.kind == "image" else DRAGS[:3]
    lines = [d for d in reversed(scene.swept) if scene.array.sizes[d] > 1]
    return Controls(
        variable=select(title="Map of", options=_name(subject.names), width=190, visible=len(subject.names) > 1),
        part=select(title="Part", options=list(PARTS), value=PARTS[0], width=120, visible=scene.is_complex),
        along=select(
            title="Curve along", options=_name(lines), value=along, width=150,
            visible=is_main and len(lines) > 1,
        ),
        reduce=group(labels=list(REDUCTIONS), active=0, visible=both, name="usidx-reduce"),
        drag=group(labels=list(drags), active=0, visible=has_map, name="usidx-drag"),
        pin=models.Button(label="Pin", width=60, visible=bool(scene.swept)),
        clear=models.Button(label="Clear", width=60, visible=has_map),
        sliders={d: _make_slider(models, scene, d, begun[d]) for d in scene.swept},
        colormap=select(title="Colours", options=list(COLORMAPS), value=COLORMAPS[0], width=110),
        percent=models.RangeSlider(
            title="Limits, percent", start=0, end=100, step=0.5, value=(0, 100), width=150
        ),
        switches=models.CheckboxGroup(labels=["logarithmic", "histogram"], active=[], width=95),
        gamma=models.Slider(title="Gamma", start=0.2, end=3, step=0.05, value=1, width=90),
        radii=models.RangeSlider(
            title="Detector, radii in cells", start=0, end=100, value=(0, 10), step=0.5, width=220
        ),
        beside=select(
            title="Maps beside", options=[("", "add or remove"), *_name(beside)], value="", width=170,
            visible=bool(beside), name="usidx-add-beside",
        ),
        follow=models.CheckboxGroup(
            labels=["follow the pointer"], active=[0] * follows, width=150, visible=has_map and has_curves
        ),
    )  # fmt: skip


def _name(names: list[str]) -> list[tuple[str, str]]:
    return [(name, escape_long(name)) for name in names]


def _make_slider(models: Any, scene: Scene, dim: str, value: int) -> Any:
    """Make a slider that says the coordinate, with its unit, and not the index."""
    length = scene.array.sizes[dim]
    ruler = make_ruler(scene.array, dim)
    numbers, said = ruler.scale_values()
    unit = said.rpartition(" (")[2].rstrip(")") if ruler.unit else ""
    code = "return `${Number(numbers[Math.round(tick)].toPrecision(5))} ${unit}`"
    quantities = [make_ruler(scene.array, d).quantity for d in scene.swept]
    title = ruler.quantity if quantities.count(ruler.quantity) < 2 else dim.replace("_", " ")
    words = models.CustomJSTickFormatter(args={"numbers": numbers, "unit": unit}, code=code)
    slider = models.Slider(
        title=escape_long(title), start=0, end=max(length - 1, 1), value=value, step=1, format=words,
        width=230, visible=length > 1, name=f"usidx-step-{scene.swept.index(dim)}",
    )  # fmt: skip
    slider.js_on_change("value", models.CustomJS(code=_AT_REST))
    return slider
