"""The analyses that the app offers: when they apply, what they ask for, and the line of Python that each runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from importlib import import_module
from typing import Any, Final

import xarray as xr

from usidx.label.roles import position_dims, spectroscopic_dims
from usidx.look.draw.downsample import make_ruler
from usidx.look.draw.numbers import find_base_unit

__all__ = ["ANALYSES", "Analysis", "Setting", "list_analyses"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What an analysis asks for.

    Attributes
    ----------
    name : str
        Of the parameter.
    title : str
        What the page calls it.
    value : int, float or str
        The default; its type says what may be entered.
    choices : tuple of str
        All that may be chosen, of a text.
    """

    name: str
    title: str
    value: Any
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Analysis:
    """An analysis by one verb.

    Attributes
    ----------
    title : str
        What the page calls it.
    verb : str
        Of the accessor.
    settings : tuple of Setting
        What is asked for.
    applies : callable
        Says whether an array can be analysed so.
    dim : callable, optional
        Names the dim along which it works, where the verb should be told.
    magnitude : bool
        Whether complex values are analysed by their magnitude.
    model : str
        Of a fit, as one writes it.
    """

    title: str
    verb: str
    settings: tuple[Setting, ...] = ()
    applies: Callable[[xr.DataArray], bool] = lambda _: True
    dim: Callable[[xr.DataArray], str] | None = None
    magnitude: bool = False
    model: str = ""

    def write_call(self, data: xr.DataArray, chosen: Mapping[str, Any], name: str) -> str:
        """Write the call as one line of Python, on a variable of this name."""
        told = [f"usidx.models.{self.model.replace(' + ', ' + usidx.models.')}"] if self.model else []
        told += [f"{key}={value!r}" for key, value in self._arguments(data, chosen).items()]
        subject = f"abs({name})" if self._by_magnitude(data) else name
        return f"{subject}.usid.{self.verb}({', '.join(told)})"

    def run(self, data: xr.DataArray, chosen: Mapping[str, Any]) -> Any:
        """Do what :meth:`write_call` says; lazy where the array is."""
        subject = abs(data) if self._by_magnitude(data) else data
        verb = reduce(getattr, self.verb.split("."), subject.usid)
        return verb(*self._make_model(), **self._arguments(data, chosen))

    def _by_magnitude(self, data: xr.DataArray) -> bool:
        return self.magnitude and data.dtype.kind == "c"

    def _arguments(self, data: xr.DataArray, chosen: Mapping[str, Any]) -> dict[str, Any]:
        told = {s.name: chosen.get(s.name, s.value) for s in self.settings}
        return told | ({"dim": self.dim(data)} if self.dim is not None else {})

    def _make_model(self) -> list[Any]:
        if not self.model:
            return []
        models = import_module("usidx.models")
        terms = [getattr(models, term.removesuffix("()"))() for term in self.model.split(" + ")]
        return [sum(terms[1:], terms[0])]


def _has_spectra(data: xr.DataArray) -> bool:
    return bool(position_dims(data)) and bool(spectroscopic_dims(data))


def _is_real(data: xr.DataArray) -> bool:
    return data.dtype.kind in "iuf" and _has_spectra(data)


def _is_resonance(data: xr.DataArray) -> bool:
    return data.dtype.kind == "c" and any(_is_in(data, d, "Hz") for d in spectroscopic_dims(data))


def _is_loop(data: xr.DataArray) -> bool:
    return _has_spectra(data) and any(_goes_round(data, d) for d in spectroscopic_dims(data))


def _is_in(data: xr.DataArray, dim: str, unit: str) -> bool:
    return find_base_unit(make_ruler(data, dim).unit)[1] == unit


def _goes_round(data: xr.DataArray, dim: str) -> bool:
    """Say whether a voltage goes up and down."""
    return _is_in(data, dim, "V") and not make_ruler(data, dim).is_monotonic


def _is_picture(data: xr.DataArray) -> bool:
    return len(position_dims(data)) == 2 and data.dtype.kind in "iuf"


def _is_stack(data: xr.DataArray) -> bool:
    return _is_picture(data) and len(spectroscopic_dims(data)) == 1


def _is_still(data: xr.DataArray) -> bool:
    return _is_picture(data) and not spectroscopic_dims(data)


def _has_patterns(data: xr.DataArray) -> bool:
    return len(spectroscopic_dims(data)) == 2 and bool(position_dims(data)) and data.dtype.kind in "iuf"


def _find_last(data: xr.DataArray) -> str:
    return spectroscopic_dims(data)[-1]


def _find_voltage(data: xr.DataArray) -> str:
    return next(d for d in spectroscopic_dims(data) if _goes_round(data, d))


def _find_frequency(data: xr.DataArray) -> str:
    return next(d for d in spectroscopic_dims(data) if _is_in(data, d, "Hz"))


_COUNT = (Setting("n", "Components", 4),)
_CLUSTERS = (Setting("method", "Method", "kmeans", ("kmeans",)), Setting("n", "Clusters", 4))
_BASELINES = (Setting("method", "Method", "arpls", ("arpls", "asls", "psalsa", "iarpls", "polynomial")),)
_FLATTENINGS = (Setting("method", "Method", "plane", ("plane", "polynomial", "lines", "differences")),)
_GAUSSIAN, _LORENTZIAN = "Gaussian() + Constant()", "Lorentzian() + Constant()"

ANALYSES: Final = (
    Analysis("SVD", "svd", _COUNT, _has_spectra),
    Analysis("PCA", "pca", _COUNT, _has_spectra),
    Analysis("NMF", "nmf", _COUNT, _has_spectra, magnitude=True),
    Analysis("k-means", "cluster", _CLUSTERS, _has_spectra),
    Analysis("SHO fit", "sho_fit", (), _is_resonance, _find_frequency),
    Analysis("Loop fit", "loop_fit", (), _is_loop, _find_voltage),
    Analysis("Gaussian peak on a constant", "fit", (), _is_real, _find_last, model=_GAUSSIAN),
    Analysis("Lorentzian peak on a constant", "fit", (), _is_real, _find_last, model=_LORENTZIAN),
    Analysis("Baseline", "signal.baseline", _BASELINES, _is_real, _find_last),
    Analysis("Remove the baseline", "signal.remove_baseline", _BASELINES, _is_real, _find_last),
    Analysis("Remove spikes", "signal.remove_spikes", (), _is_real, _find_last),
    Analysis("Drift", "image.correct_drift", (), _is_stack, _find_last),
    Analysis("Flatten", "image.flatten", _FLATTENINGS, _is_still),
    Analysis("Find atoms", "image.find_atoms", (), _is_still),
    Analysis("Center of mass", "diffraction.center_of_mass", (), _has_patterns),
)


def list_analyses(data: xr.DataArray) -> list[Analysis]:
    """List the analyses that apply to an array."""
    return [one for one in ANALYSES if one.applies(data)]
