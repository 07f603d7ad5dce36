"""Recorded arguments -> values, as :func:`usidx.results.arguments.as_json` told them; nothing is executed or imported.

Filters and estimators are called only if they are listed here, with literals; a function of the user's is used only if
its module is loaded and it does what it did.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from inspect import BoundArguments, Parameter
from typing import Any, Final

import numpy as np
import xarray as xr

from usidx.diffraction.detectors import Mask
from usidx.errors import ReplayError, ResultError
from usidx.fitting.models.model import Model, from_description
from usidx.results.arguments import as_json
from usidx.results.declarations import Declaration
from usidx.results.packed import unpack_array

__all__ = ["decode_arguments"]

#: Makes the object again that the record of a labelled argument tells of.
Remake = Callable[[Mapping[str, Any]], xr.DataArray | xr.Dataset]

#: Modules whose classes may be called, by the name of the parameter.
_CALLABLE: Final = {
    "filters": ("usidx.signal.bands",),
    "detector": ("usidx.diffraction.detectors",),
    "annulus": ("usidx.diffraction.detectors",),
    "estimator": ("sklearn.decomposition", "sklearn.cluster"),
}
_CALL: Final = re.compile(r"[A-Za-z_]\w*\(.*\)", re.DOTALL)
_NAMED: Final = re.compile(r"<(?P<name>[\w.]+) (?P<digest>[0-9a-f]+)>")
_NOT_FINITE: Final = frozenset({"nan", "inf", "-inf"})


def decode_arguments(declared: Declaration, recorded: Mapping[str, Any], source: Any, remake: Remake) -> BoundArguments:
    """Return the arguments of a call, with what the verb goes on from among them.

    What was recorded beside the parameters is what the verb chose, and is left out.

    Raises
    ------
    ReplayError
        An argument cannot be made again; the text says which, and why.
    """
    found: dict[str, Any] = {}
    for name, parameter in declared.signature.parameters.items():
        if name == declared.source:
            found[name] = source
        elif name in recorded:
            decoded = _Decoder(parameter, remake).decode(recorded[name])
            found[name] = tuple(decoded or ()) if parameter.kind is Parameter.VAR_POSITIONAL else decoded
        elif parameter.default is Parameter.empty and parameter.kind not in _ANY_NUMBER:
            raise ReplayError(f"the argument {name!r} was not recorded")
    _check_digest(recorded, found)
    return BoundArguments(declared.signature, found)


_ANY_NUMBER: Final = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


def _check_digest(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    """Refuse an estimator that has more to it than its text says, such as an object among its parameters."""
    told = recorded.get("estimator_digest")
    if told is not None and not isinstance(found.get("estimator"), str) and as_json(found["estimator"]) != told:
        raise ReplayError(f"the estimator {recorded['estimator']!r} is another one now")


class _Decoder:
    """Decodes what is recorded of one parameter."""

    def __init__(self, parameter: Parameter, remake: Remake) -> None:
        self._name = parameter.name
        self._type = str(parameter.annotation)
        self._remake = remake

    def decode(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._decode_text(value)
        if isinstance(value, list):
            return self._decode_list(value)
        if isinstance(value, dict):
            return self._decode_mapping(value)
        return value

    def _decode_text(self, text: str) -> Any:
        if text in _NOT_FINITE and not ("str" in self._type or "Literal" in self._type):
            return float(text)
        if (named := _NAMED.fullmatch(text)) is not None:
            return _find_function(named["name"], text)
        if self._name in _CALLABLE and _CALL.fullmatch(text):
            return _call(text, _CALLABLE[self._name])
        return _read_model(text) if "Model" in self._type else text

    def _decode_list(self, values: list[Any]) -> Any:
        decoded = [self.decode(value) for value in values]
        if "Mapping[float" in self._type and all(isinstance(pair, list) and len(pair) == 2 for pair in values):
            return dict(decoded)  # pairs, as a verb may keep what JSON would make texts of
        if "DataArray" in self._type or "ArrayLike" in self._type or "ndarray" in self._type:
            is_plain = not any(isinstance(v, xr.DataArray | xr.Dataset | dict | str) for v in decoded)
            return np.asarray(decoded) if is_plain and "Mapping" not in self._type else decoded
        return tuple(decoded) if "tuple" in self._type else decoded

    def _decode_mapping(self, told: dict[str, Any]) -> Any:
        if told.keys() == {"real", "imag"}:
            return complex(float(told["real"]), float(told["imag"]))
        if told.keys() == {"start", "stop", "step"}:
            return slice(*(self.decode(told[key]) for key in ("start", "stop", "step")))
        if told.keys() - {"packed"} == {"shape", "dtype", "digest"}:
            if "packed" in told:
                return self._unpack(told)
            raise ReplayError(
                f"of the argument {self._name!r}, an array of shape {told['shape']}, only a digest was recorded"
            )
        if "digest" in told and isinstance(told.get("dims"), dict):
            return self._remake_labelled(told)
        if isinstance(told.get("model"), str):
            return _make_model(told)
        if self._name == "detector" and told.keys() == {"mask"} and _is_array(told["mask"]):
            return Mask(self.decode(told["mask"]))
        return {key: self.decode(value) for key, value in told.items()}

    def _unpack(self, told: Mapping[str, Any]) -> Any:
        try:
            return unpack_array(told["packed"], told["dtype"], told["shape"])
        except (ValueError, TypeError) as err:
            raise ReplayError(f"the argument {self._name!r} cannot be made again: {err}") from err

    def _remake_labelled(self, told: dict[str, Any]) -> Any:
        try:
            return self._remake(told)
        except ReplayError as err:
            raise ReplayError(f"the argument {self._name!r} cannot be made again: {err}") from err


def _make_model(told: Mapping[str, Any]) -> Model:
    import_module("usidx.models")  # registers those of the house
    try:
        return from_description(told)
    except ResultError as err:
        raise ReplayError(f"its model cannot be made again: {err}") from err


def _is_array(told: Any) -> bool:
    """Say whether this is the record of the array of a mask, and not that of a detector that is called so."""
    return isinstance(told, list) or (isinstance(told, dict) and "digest" in told)


def _read_model(text: str) -> Model | str:
    """Return the model of a name, or of a formula; a name that is none is what the verb calls so."""
    if not text.isidentifier():
        return Model.from_expression(text)
    try:
        return _make_model({"model": text})
    except ReplayError:
        return text


def _find_function(name: str, recorded: str) -> Any:
    """Return a function of the user's if it is loaded, and does what it did."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = sys.modules.get(".".join(parts[:cut]))
        if module is None:
            continue
        found: Any = module
        for part in parts[cut:]:
            found = getattr(found, part, None)
        if callable(found) and as_json(found) == recorded:
            return found
        raise ReplayError(f"the function {name!r} was changed since, or is not there any more")
    raise ReplayError(f"the function {name!r} is not loaded: import its module {'.'.join(parts[:-1])!r} first")


def _call(text: str, modules: tuple[str, ...]) -> Any:
    """Call a listed class with literals: ``LowPass(cut_off=0.5, width=None)``."""
    try:
        node: Any = ast.parse(text, mode="eval").body
        name = node.func.id
        given = [ast.literal_eval(argument) for argument in node.args]
        named = {str(word.arg): ast.literal_eval(word.value) for word in node.keywords}
    except (SyntaxError, ValueError, AttributeError, RecursionError, MemoryError) as err:
        raise ReplayError(f"{text!r} has more to it than its text says") from err
    for module in map(import_module, modules):
        kind = getattr(module, name, None) if name in module.__all__ else None
        if isinstance(kind, type):
            try:
                return kind(*given, **named)
            except (TypeError, ValueError) as err:
                raise ReplayError(f"{text!r} cannot be made: {err}") from err
    raise ReplayError(f"{name!r} is none of {', '.join(modules)}")
