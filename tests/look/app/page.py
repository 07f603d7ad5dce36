"""A page of the app or the explorer, as the tests see it and touch it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.look.app.conftest import PATIENCE, Watched

# The figure of this name that is on the page: of one whose place it took the browser may still know.
FIGURE = """(name => [...Bokeh.documents[0]._all_models.values()]
  .find(m => m.name === name && Bokeh.index.find_one(m) != null))"""
# Where a point of a figure lies on the page.
PLACE = f"""([name, x, y]) => {{
  const view = Bokeh.index.find_one({FIGURE}(name))
  const box = view.canvas_view.el.getBoundingClientRect()
  return [box.x + view.frame.x_scale.compute(x), box.y + view.frame.y_scale.compute(y)]
}}"""


def wait_until_shown(watched: Watched, name: str, words: str) -> None:
    """Wait until a figure is drawn and its title has these words."""
    figure = f"{FIGURE}({json.dumps(name)})"
    has_words = f"{figure}?.renderers.length && {figure}.title.text.includes({json.dumps(words)})"
    watched.wait_for(f"window.Bokeh?.documents[0]?.is_idle && {has_words}")


def find_point(watched: Watched, name: str, x: float, y: float) -> Any:
    return watched.page.evaluate(PLACE, [name, x, y])


def drag(watched: Watched, name: str, start: tuple[float, float], end: tuple[float, float]) -> None:
    mouse = watched.page.mouse
    mouse.move(*find_point(watched, name, *start))
    mouse.down()
    mouse.move(*find_point(watched, name, *end), steps=6)
    mouse.up()


def read_line(watched: Watched) -> list[float]:
    """Read the numbers of the strongest curve, which is drawn last."""
    code = f"""Array.from({FIGURE}('usidx-curves').renderers
      .find(r => r.name === 'usidx-lines').data_source.get('ys').at(-1))"""
    found: list[float] = watched.page.evaluate(code)
    return found


def read_map(watched: Watched, name: str = "usidx-map") -> Any:
    """Read the numbers of a map, whose first row is the lowest."""
    code = f"""(({FIGURE})('{name}').renderers.at(0).data_source.get('image')[0])"""
    shape = watched.page.evaluate(f"{code}.shape")
    return np.array(watched.page.evaluate(f"Array.from({code})")).reshape(shape)


# Where the inner part of a figure lies on the page.
_FRAME = f"""name => {{
  const view = Bokeh.index.find_one({FIGURE}(name)), frame = view.frame.bbox
  const box = view.canvas_view.el.getBoundingClientRect()
  return {{x: box.x + frame.x, y: box.y + frame.y, width: frame.width, height: frame.height}}
}}"""


def take_picture(watched: Watched, name: str) -> Any:
    """Return the pixels of the inner part of a figure, the highest row first."""
    from PIL import Image

    png = watched.page.screenshot(clip=watched.page.evaluate(_FRAME, name))
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def take_cells(watched: Watched, name: str, shape: tuple[int, int]) -> Any:
    """Return the colour in the middle of each cell of a map, the lowest row first."""
    pixels = take_picture(watched, name)
    y, x = (((np.arange(n) + 0.5) * size / n).astype(int) for n, size in zip(shape, pixels.shape, strict=False))
    return pixels[::-1][np.ix_(y, x)]


def wait_for_picture(watched: Watched, is_right: Callable[[], bool]) -> None:
    """Look at a picture until it is right: the browser paints when it finds the time."""
    for _ in range(PATIENCE // 400):
        if is_right():
            return
        watched.page.wait_for_timeout(100)
    assert is_right()
