"""Import what only pictures need, at the call, or say what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from usidx.errors import MissingExtraError

__all__ = ["require"]


def require(module: str, purpose: str) -> ModuleType:
    """Import a module of the extra ``plot``.

    Parameters
    ----------
    module : str
        Dotted name; the part before the first dot is the package to install.
    purpose : str
        What needs it, as the start of a sentence.

    Returns
    -------
    module
        The imported module.

    Raises
    ------
    MissingExtraError
        The package is not installed.

    Examples
    --------
    >>> require("json", "Reading").loads("[1]")
    [1]
    """
    try:
        return importlib.import_module(module)
    except ImportError as err:
        raise MissingExtraError(module.partition(".")[0], "plot", purpose) from err
