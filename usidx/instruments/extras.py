"""Import what only one target needs, at the call, or say which extra to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from usidx.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import a module.

    Raises
    ------
    MissingExtraError
        It is not installed; the message names the extra.
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise MissingExtraError(module.partition(".")[0], extra, purpose) from err
