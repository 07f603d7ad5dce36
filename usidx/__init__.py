"""Microscopy data in USID HDF5 files as lazy, labelled xarray objects.

Open a file, analyse it out of core, write the results back beside the data they came from::

    raw = usidx.open_main("scan.h5")
    result = raw.usid.svd(16)
    result.usid.write()
"""

from __future__ import annotations

import logging as _logging
import os as _os
import signal as _signal
import sys as _sys


def _end_at_once(*_signal_and_frame: object) -> None:
    _os.write(2, b"usidx: interrupted\n")
    _os._exit(130)


# Loading takes a moment, in which the command is not there yet to say this. What is raised meanwhile may be lost: the
# import system's own weak references print it and go on.
_name = _os.path.basename((*_sys.argv, "")[0])
_is_command = _sys.orig_argv[1:3] == ["-m", "usidx"] or _name in {"usidx", "usidx.exe"}
if _is_command and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    _signal.signal(_signal.SIGINT, _end_at_once)

from typing import TYPE_CHECKING  # noqa: E402 - after what must come first

from usidx import accessor as _accessor  # noqa: E402, F401 - registers .usid
from usidx import public as _public  # noqa: E402

# Who wants to read what long work tells asks for it: logging.getLogger("usidx").
_logging.getLogger("usidx").addHandler(_logging.NullHandler())

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
