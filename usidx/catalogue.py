"""In which module each public name lies, for who shows the names and who looks up verbs; it loads none of them."""

from __future__ import annotations

from typing import Final

__all__ = ["FAMILIES", "MODULES"]

#: The module of each public name; where that is `usidx.<name>`, the module itself is meant. `usidx/public.py`, which
#: every import of usidx loads, fills it: what lies below may ask for a verb by its name, but not import what is above.
MODULES: Final[dict[str, str]] = {}

#: Public modules whose verbs are theirs alone: `usidx.signal.fft`, which is recorded as "signal.fft". What
#: lies in one of them and stands in the table above is recorded by its plain name.
FAMILIES: Final = ("diffraction", "image", "modes", "signal")
