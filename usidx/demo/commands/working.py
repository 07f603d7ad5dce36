"""``usidx demo``, ``report``, ``convert``, ``export`` and ``recover``: what makes or mends files."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Callable
from typing import Any, Final

import usidx
from usidx.demo.commands.showing import list_files
from usidx.demo.commands.telling import tell
from usidx.errors import UsidError

__all__ = ["convert", "demo", "export", "recover", "report"]

#: Format by the ending of a target.
_ENDINGS: Final = {
    ".nxs": "nexus",
    ".json": "kerchunk",
    ".icechunk": "icechunk",
    ".nc": "netcdf",
    ".zarr": "zarr",
    ".hspy": "hspy",
    ".csv": "csv",
}


def _choose_voice(options: Namespace) -> Callable[[str], None]:
    """Return what tells of each step: nothing where quiet is wanted."""
    return (lambda line: None) if options.quiet else tell


def demo(options: Namespace) -> int:
    """Analyse a file, and write a report."""
    from usidx.demo.run import run_demo

    with options.connect(options.scheduler):
        left = run_demo(options.file, report=options.report, write=options.write, say=_choose_voice(options))
    tell(f"results in {left.results}:" if left.groups else "there are no results to keep")
    for group in left.groups:
        tell(f"  {group}")
    tell(f"report: {left.page}")
    return 0


def report(options: Namespace) -> int:
    """Write a page about files as they are."""
    from usidx.demo.file_report import report_files

    page = report_files(list_files(options.file), page=options.report, say=_choose_voice(options))
    tell(f"report: {page}")
    return 0


def convert(options: Namespace) -> int:
    """Convert files of instruments into a USID file."""
    chosen = {name: getattr(options, name) for name in ("reader", "position", "spectroscopic", "overwrite")}
    tell(usidx.convert(options.source, options.target, progress=not options.quiet, **chosen))
    return 0


def export(options: Namespace) -> int:
    """Write a file in the format of another program, or check what such a file shows."""
    if options.check:
        usidx.check_export(options.file)
        tell(f"{options.file}: shows what it was made to show")
        return 0
    if options.target is None:
        raise UsidError("Name the file to make: usidx export FILE TARGET.")
    to: Any = options.to or _ENDINGS.get(os.path.splitext(options.target)[1].lower(), "nexus")
    copy = not options.no_copy
    tell(usidx.export(options.file, options.target, group=options.group, to=to, copy=copy, overwrite=options.overwrite))
    return 0


def recover(options: Namespace) -> int:
    """Put a file back to its last commit."""
    from usidx.io.read.place.place import find_local_path

    tell(usidx.recover(find_local_path(options.file), lock=not options.no_lock))
    return 0
