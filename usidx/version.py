"""The version of usidx that is installed."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

__all__ = ["usidx_version"]


@cache
def usidx_version() -> str:
    """Return the installed version of usidx."""
    try:
        return version("usidx")
    except PackageNotFoundError:
        return "unknown"
