"""Microscopy data in USID HDF5 files as lazy, labelled xarray objects.

Open a file, analyse it out of core, write the results back beside the data they came from::

    raw = usidx.open_main("scan.h5")
    result = raw.usid.svd(16)
    result.usid.write()
"""

from __future__ import annotations

import os as _os
import sys as _sys
from typing import TYPE_CHECKING

try:
    from usidx import accessor as _accessor  # noqa: F401 - registers .usid
except KeyboardInterrupt:
    # Loading takes a moment, in which the command is not there yet to say this.
    if _sys.orig_argv[1:3] != ["-m", "usidx"] and _os.path.basename(_sys.argv[0]) not in {"usidx", "usidx.exe"}:
        raise
    _sys.stderr.write("usidx: interrupted\n")
    raise SystemExit(130) from None
from usidx import public as _public

__all__ = sorted(_public.MODULES)

if TYPE_CHECKING:
    from usidx.public import *  # noqa: F403 - what it shows is what usidx shows
else:  # each name is loaded when it is first asked for: see usidx/public.py

    def __getattr__(name: str) -> object:
        if name not in _public.MODULES:
            raise AttributeError(f"module 'usidx' has no attribute {name!r}")
        return globals().setdefault(name, getattr(_public, name))

    def __dir__() -> list[str]:
        return [*__all__, *(name for name in globals() if name.startswith("__"))]
