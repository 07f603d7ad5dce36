"""Figures that code saves -> pictures of the site, of pages and of the gallery alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

_save = Figure.savefig
#: Saved since they were last taken, the last state of each.
_saved: list[Figure] = []


def _note(figure: Figure, target: Any, **options: Any) -> None:
    """Save as asked; a figure in a file is one to show, one in memory is part of something else."""
    if isinstance(target, str | Path) and figure not in _saved:
        _saved.append(figure)
    _save(figure, target, **options)


@contextmanager
def noting() -> Iterator[Callable[[], list[Figure]]]:
    """Give a function that returns the figures which were saved, or left open, since it was last called."""
    Figure.savefig = _note  # type: ignore[method-assign,assignment]
    _saved.clear()
    try:
        yield take
    finally:
        Figure.savefig = _save  # type: ignore[method-assign]
        take()


def take() -> list[Figure]:
    """Return the figures since the last call, and close those of pyplot."""
    still_open = [plt.figure(number) for number in plt.get_fignums()]
    figures = list(dict.fromkeys([*_saved, *still_open]))
    _saved.clear()
    plt.close("all")
    return figures


def save(figure: Figure, path: Path) -> None:
    """Save a picture of the site."""
    _save(figure, path, dpi=100)


def describe(figure: Figure) -> str:
    """Say what is in a figure, for those who do not see it: its titles, else its labels."""
    titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
    labels = [ax.get_ylabel() for ax in figure.axes]
    named = [text for text in titles if text.strip()] or [text for text in labels if text.strip()]
    return " ".join(", ".join(dict.fromkeys(named)).replace("[", "(").replace("]", ")").split())


def scrape(_block: Any, names: dict[str, Any], gallery: dict[str, Any]) -> str:
    """Give sphinx-gallery the figures of a part of an example."""
    found = take()
    paths = []
    for figure, path in zip(found, names["image_path_iterator"], strict=False):
        save(figure, Path(path))
        paths.append(path)
    titles = "; ".join(map(describe, found))
    return str(figure_rst(paths, gallery["src_dir"], titles)) if paths else ""


def begin_anew(gallery: dict[str, Any], _file: str | None, when: str) -> None:
    """Note figures while an example runs, and let none find the files of another."""
    Figure.savefig = _note if when == "before" else _save  # type: ignore[method-assign,assignment]
    take()
    kept = {".py", ".rst"}
    for folder in gallery["examples_dirs"]:
        for left in Path(gallery["src_dir"], folder).rglob("*"):
            if left.is_file() and left.suffix not in kept:
                left.unlink()
