"""What a user says of a picture, beyond what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from usidx.errors import UsidError
from usidx.look.draw.colours import AUTOMATIC, Shades

__all__ = ["Backend", "Title", "Wishes"]

Backend = Literal["matplotlib", "hvplot"]
#: Of a figure; False takes the titles of the panels away, too.
Title = str | Literal[False] | None


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a picture is drawn with.

    Attributes
    ----------
    title : str or False
        Heading; False for none, above panels neither.
    shades : Shades
        Colours and limits.
    ax : Axes
        Where to draw.
    figsize : tuple of float
        Size of a new figure.
    scalebar : bool or float
        A length in place of the axes.
    letters : bool or str
        Names of panels.
    backend : str
        What draws.
    """

    title: Title = None
    shades: Shades = AUTOMATIC
    ax: Any = None
    figsize: tuple[float, float] | None = None
    scalebar: bool | float = False
    letters: bool | str = False
    backend: Backend = "matplotlib"

    def __post_init__(self) -> None:
        if self.backend not in ("matplotlib", "hvplot"):
            raise UsidError(f"Unknown backend {self.backend!r}: give 'matplotlib' or 'hvplot'.")
        if self.is_interactive and (self.ax is not None or self.letters):
            raise UsidError("ax and letters are of matplotlib; leave them out with backend='hvplot'.")

    @property
    def is_interactive(self) -> bool:
        """Whether hvplot draws."""
        return self.backend == "hvplot"

    def name_panel(self, name: str) -> str:
        """Return what is written above a panel."""
        return "" if self.title is False else name
