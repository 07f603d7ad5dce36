"""``.usid`` only opens doors: to the public functions, with their signatures, loaded when they are asked for."""

import ast
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx import accessor
from usidx.look import plot

CLASSES = (accessor.UsidDataArrayAccessor, accessor.UsidDatasetAccessor, accessor.UsidDataTreeAccessor)
FAMILIES = {
    "diffraction": usidx.diffraction,
    "image": usidx.image,
    "modes": usidx.modes,
    "plot": plot,
    "signal": usidx.signal,
}


def doors() -> list[tuple[type, str]]:
    found = [(c, name) for c in CLASSES for name in dir(c) if not name.startswith("_")]
    return [(c, name) for c, name in found if name not in FAMILIES]


def properties() -> list[ast.FunctionDef]:
    """Return what the accessors spell out, which are properties: verbs are doors."""
    body = ast.parse(Path(accessor.__file__).read_text(encoding="utf-8")).body
    classes = [n for n in body if isinstance(n, ast.ClassDef) and n.name != "Family"]
    methods = [n for c in classes for n in c.body if isinstance(n, ast.FunctionDef)]
    return [m for m in methods if not m.name.startswith("_")]


def parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters but for the object itself, which is the first, or called data."""
    found = list(inspect.signature(function).parameters.values())
    names = [p.name for p in found]
    itself = "data" if names[:2] == ["function", "data"] else names[0]
    return [p for p in found if p.name != itself]


def spectra() -> xr.DataArray:
    scan, _ = usidx.simulate.band_excitation((4, 5), 16)
    return scan


@pytest.mark.parametrize(("cls", "name"), doors(), ids=str)
def test_each_door_leads_to_the_public_function_of_its_name(cls: type, name: str) -> None:
    assert name in usidx.__all__, f"{cls.__name__}.{name} is no public function of usidx"
    function, member = getattr(usidx, name), getattr(cls, name)
    assert inspect.getdoc(member), f"{cls.__name__}.{name} has no docstring"
    if inspect.isfunction(member):
        assert member.__name__ == name
        assert inspect.unwrap(member) is inspect.unwrap(function), f"{cls.__name__}.{name} is another function"
        assert parameters(member) == parameters(function)


@pytest.mark.parametrize("method", properties(), ids=lambda method: str(method.name))
def test_what_is_spelt_out_returns_what_a_function_returns(method: ast.FunctionDef) -> None:
    assert ast.get_docstring(method), f"{method.name} has no docstring"
    assert len(method.body) == 2, f"{method.name} does more than a door does"
    assert isinstance(method.body[1], ast.Return), f"{method.name} must return what the function returns"


def test_the_signature_is_that_of_the_call() -> None:
    data = spectra()
    assert list(inspect.signature(data.usid.svd).parameters)[:2] == ["n", "dim"]
    assert list(inspect.signature(data.usid.map_positions).parameters)[:2] == ["function", "dim"]
    names = ["title", "cmap", "vmin", "vmax", "robust", "norm", "ax", "figsize", "scalebar", "letters", "backend"]
    assert list(inspect.signature(data.usid.plot.map).parameters) == names
    assert inspect.getdoc(data.usid.svd) == inspect.getdoc(usidx.svd)
    assert inspect.getdoc(data.usid.plot.map) == inspect.getdoc(usidx.plot_map)


def test_doors_give_the_object_first_or_after_the_users_function() -> None:
    data = abs(spectra())
    xr.testing.assert_identical(data.usid.svd(2), usidx.svd(data, 2))
    peak = data.usid.map_positions(np.max, dim="Frequency")
    np.testing.assert_array_equal(peak, data.values.max(axis=-1))


def test_nothing_is_kept_but_the_object() -> None:
    data = spectra()
    data.usid.svd(2)
    _ = data.usid.plot
    assert vars(data.usid) == {"_data": data}


@pytest.mark.parametrize(("name", "module"), FAMILIES.items())
def test_a_family_has_the_functions_of_its_module(name: str, module: ModuleType) -> None:
    family = getattr(spectra().usid, name)
    listed = {n.removeprefix(f"{name}_") for n in module.__all__ if inspect.isfunction(getattr(module, n))}
    assert {n for n in dir(family) if not n.startswith("_")} == listed
    assert repr(family) == f"{module.__name__}: {', '.join(sorted(listed))}"


def test_a_family_draws() -> None:
    scan, truth = usidx.simulate.band_excitation((4, 5), 16)
    assert truth.frequency.usid.plot.map(title="here").get_suptitle() == "here"
    names = [axes.get_title() for axes in truth.usid.plot.maps(variables=["amplitude", "phase"]).axes]
    assert names == [axes.get_title() for axes in usidx.plot_maps(truth, variables=["amplitude", "phase"]).axes]
    assert not hasattr(scan.usid, "plot_map")


def test_any_module_becomes_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    def turn(data: xr.DataArray, by: int = 1) -> xr.DataArray:
        return data + by

    made: Any = ModuleType("lab.wave")
    made.wave_turn = turn
    made.turn_back = lambda data: -data
    made.Angle, made.not_listed = type("Angle", (), {}), turn
    made.__all__ = ["Angle", "turn_back", "wave_turn"]
    monkeypatch.setitem(sys.modules, "lab.wave", made)
    family = accessor.Family(xr.DataArray([1.0, 2.0]), "lab.wave")
    assert [n for n in dir(family) if not n.startswith("_")] == ["turn", "turn_back"]
    assert family.turn(by=3).values.tolist() == [4.0, 5.0]
    assert family.turn_back().values.tolist() == [-1.0, -2.0]
    assert str(inspect.signature(family.turn)).startswith("(by: int = 1)")


def test_an_unknown_verb_is_told_what_there_is() -> None:
    with pytest.raises(AttributeError, match=r"^usidx.look.plot has no verb 'mpa'; it has atoms, clusters, dendrogram"):
        _ = spectra().usid.plot.mpa  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"'UsidDataArrayAccessor' object has no attribute 'sdv'"):
        _ = spectra().usid.sdv  # type: ignore[attr-defined]


def test_methods_travel_to_other_processes() -> None:
    data = abs(spectra())
    svd = pickle.loads(pickle.dumps(data.usid.svd))
    xr.testing.assert_identical(svd(2), usidx.svd(data, 2))
    assert repr(pickle.loads(pickle.dumps(data.usid.plot))) == repr(data.usid.plot)


LOADING = """
import sys
import xarray as xr, usidx
data = xr.DataArray([[1.0, 2.0]], dims=("x", "e"))
dir(data.usid), data.usid.plot
before = {m for m in sys.modules if m.startswith("usidx.")}
data.usid.svd
print(*sorted(before), sep="\\n")
print("then")
print(*sorted({m for m in sys.modules if m.startswith("usidx.")} - before), sep="\\n")
"""


def test_a_door_loads_what_it_leads_to_and_no_other_verb() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True, check=True)
    before, _, after = done.stdout.partition("then")
    assert before.split() == ["usidx.accessor", "usidx.catalogue", "usidx.public"]
    assert "usidx.learn.svd" in after.split()
    assert not {"usidx.fitting.fit", "usidx.learn.nmf", "usidx.look.plot"} & set(after.split())
