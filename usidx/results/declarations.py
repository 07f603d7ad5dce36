"""What is known of each verb, by its name or by the datasets that its results have on disk.

Declarations are made by :func:`usidx.results.verbs.verb`. A verb whose module nobody has used yet is imported when it
is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final, Literal

from usidx.catalogue import MODULES
from usidx.results.fit_names import FitNames
from usidx.results.forms import Form
from usidx.results.provenance import Step

__all__ = [
    "HANDED_ON",
    "Declaration",
    "Projection",
    "Quantity",
    "declare",
    "find_declaration",
    "find_declaration_by_datasets",
]

#: How scores of other data are found on the components: least squares, not negative, or a sum of one beside.
Projection = Literal["linear", "nonnegative", "closed"]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a variable of a result is.

    Attributes
    ----------
    long_name : str
        The quantity; empty for that of the data.
    of_data : int
        Power of the units of the data that it has.
    """

    long_name: str = ""
    of_data: int = 0


@dataclass(frozen=True, slots=True)
class Declaration:
    """All that is known of a verb.

    Attributes
    ----------
    name, module : str
        Of the function; a verb of a family is named after it, ``signal.fft``.
    title : str
        Ends the name of its groups on disk.
    datasets, dims : mapping
        Variable to dataset, and dim to its label on disk, where they differ from the name.
    old_labels : tuple of str
        What other programs call the dim that counts.
    count, algorithm : str
        What the old tools call the number of components, and the method, among the attributes.
    outputs : mapping
        Variable to quantity; the verb itself sets those that are not here.
    projection : str
        How scores of other data are found; empty where the verb decomposes nothing.
    fit : callable or None
        From the step of a fit to its names on disk.
    keeps : bool
        Whether what it returns is still the result of the verb before, with other values.
    signature : Signature
        Of the function.
    source : str
        The parameter that the steps go on from.
    form : Form or None
        How its results are laid out on disk, where that is another shape.
    """

    name: str
    module: str
    title: str
    datasets: Mapping[str, str]
    dims: Mapping[str, str]
    old_labels: tuple[str, ...]
    count: str
    algorithm: str
    outputs: Mapping[str, Quantity]
    projection: Projection | Literal[""]
    fit: Callable[[Step], FitNames] | None
    keeps: bool
    signature: inspect.Signature = field(repr=False)
    source: str
    form: Form | None = None


#: What a verb declares as its outputs whose variables are those that it was given.
HANDED_ON: Final[Mapping[str, Quantity]] = {"*": Quantity()}

_declared: dict[str, Declaration] = {}


def find_declaration(name: str) -> Declaration | None:
    """Return the declaration of a verb, None where there is none of that name."""
    listed = name.partition(".")[0]  # of a verb of a family the family is listed
    if name not in _declared and listed in MODULES:
        import_module(MODULES[listed])
    return _declared.get(name)


def find_declaration_by_datasets(datasets: frozenset[str]) -> Declaration | None:
    """Return the verb whose results on disk have these datasets among others, None where there is none."""
    for name in MODULES:
        find_declaration(name)
    fitting = [d for d in _declared.values() if d.datasets and set(d.datasets.values()) & datasets]
    whole = [d for d in fitting if _list_essential_datasets(d) <= datasets]
    return max(whole, key=lambda d: len(_list_essential_datasets(d)), default=None)


def _list_essential_datasets(declaration: Declaration) -> set[str]:
    """Return the datasets that other programs write, too."""
    names = ("scores", "components", "singular_values", "labels", "mean_response")
    return {declaration.datasets[name] for name in names if name in declaration.datasets}


def declare(declaration: Declaration) -> None:
    """Keep the declaration of a verb."""
    _declared[declaration.name] = declaration
