"""Machine code of one program beside the machine that runs all programs, and beside closed forms."""

import subprocess
import sys
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from llvmlite import binding
from numpy.testing import assert_allclose, assert_array_equal

from usidx.fitting.compile import layout as at
from usidx.fitting.compile import llvm as fused
from usidx.fitting.compile.bytecode import Program
from usidx.fitting.compile.normal_equations import fill_normal_equations
from usidx.fitting.fit import fit
from usidx.fitting.solver import compiled as solve
from usidx.models import SHO, Constant, Expression, Gaussian, Gaussian2D, Linear, Model

Array = npt.NDArray[Any]
PEAK = Gaussian() + Constant()
PURPOSES = (at.AT_PARAMETERS, at.AT_TRIAL)


@cache
def caller() -> Any:
    """Return what calls as the solver does, through a pointer."""
    import numba

    return numba.njit(lambda f, a, b, c, d, e, k: f(a, b, c, d, e, k))


def run(equations: Any, tables: at.Tables, purpose: int) -> float:
    return float(caller()(equations, *tables, purpose))


def prepared(
    model: Model, parameters: Array, x: Array, y: Array, weight: Array | None = None, free: tuple[str, ...] = ()
) -> tuple[at.Tables, Any]:
    free = free or model.names
    options = solve.Options(free, dict.fromkeys(free, (-np.inf, np.inf)))
    variables = solve.add_derived(model, np.atleast_2d(x)[None])[0]
    tables = solve._copy_tables(model, options, x.shape[-1], weighted=weight is not None)
    head, size = tables.head, x.shape[-1]
    head[at.SAMPLES] = size
    tables.data[: len(variables), :size] = variables
    parts = np.stack([y.real, y.imag]) if model.is_complex else y[None]
    tables.data[head[at.Y] : head[at.Y] + len(parts), :size] = parts
    if weight is not None:
        tables.data[head[at.WEIGHT], :size] = weight
    tables.bench[at.PARAMETERS, : len(parameters)] = parameters
    tables.bench[at.TRIAL, : len(parameters)] = parameters
    program = solve._assemble_program(model, free)
    return tables, fused.choose_equations(program, weighted=weight is not None, robust=False)


def filled(equations: Any, tables: at.Tables, purpose: int) -> tuple[float, Array, Array]:
    """Return cost, gradient and lower triangle."""
    free = tables.head[at.N_FREE]
    row = at.GRADIENT if purpose == at.AT_PARAMETERS else at.TRIAL_GRADIENT
    first = tables.head[at.MATRIX if purpose == at.AT_PARAMETERS else at.TRIAL_MATRIX]
    tables.bench[row], tables.bench[first : first + free] = 7.0, 7.0
    cost = run(equations, tables, purpose)
    return cost, tables.bench[row, :free].copy(), np.tril(tables.bench[first : first + free, :free])


def assert_same(made: Any, tables: at.Tables) -> None:
    for purpose in PURPOSES:
        cost, gradient, matrix = filled(fill_normal_equations, tables, purpose)
        own_cost, own_gradient, own_matrix = filled(made, tables, purpose)
        length = np.sqrt(np.diagonal(matrix))
        assert_allclose(own_cost, cost, rtol=1e-12)
        with np.errstate(all="ignore"):
            scale = length * np.sqrt(cost)
            assert_allclose(own_gradient, gradient, rtol=1e-11, atol=1e-12 * np.nanmax(scale, initial=0.0))
            rounding = np.where(np.isfinite(np.outer(length, length)), np.outer(length, length), 0.0)
        finite = np.isfinite(matrix)
        assert_array_equal(np.isfinite(own_matrix), finite)
        assert (abs(own_matrix - matrix)[finite] <= 1e-11 * rounding[finite]).all()


@pytest.mark.parametrize("size", [*range(1, 40), 63, 64, 65, 127, 128, 255, 256, 257, 300])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_numpy(size: int, weighted: bool) -> None:
    rng = np.random.default_rng(size)
    x, y, weight = rng.uniform(-3, 3, size), rng.normal(size=size), rng.uniform(0.5, 2.0, size)
    values = dict(zip(PEAK.names, (2.0, 0.3, 0.8, 0.1), strict=True))
    tables, made = prepared(PEAK, np.array([*values.values()]), x, y, weight if weighted else None)
    assert isinstance(made, fused.FusedEquations)
    factor = weight if weighted else 1.0
    shape = np.exp(-0.5 * ((x - 0.3) / 0.8) ** 2) / (0.8 * np.sqrt(2 * np.pi))
    residual = (y - 2.0 * shape - 0.1) * factor
    z = (x - 0.3) / 0.8
    slopes = [shape, 2.0 * shape * z / 0.8, 2.0 * shape * (z * z - 1.0) / 0.8, np.ones(size)]
    columns = np.array([np.broadcast_to(s, size) for s in slopes]) * factor
    for purpose in PURPOSES:
        cost, gradient, matrix = filled(made, tables, purpose)
        assert_allclose(cost, (residual**2).sum(), rtol=1e-12)
        assert_allclose(gradient, columns @ residual, rtol=1e-11, atol=1e-11)
        assert_allclose(matrix, np.tril(columns @ columns.T), rtol=1e-11, atol=1e-11)


def test_complex_sums_are_those_of_numpy() -> None:
    rng = np.random.default_rng(4)
    model, x = SHO(), np.linspace(0.5, 1.5, 101)
    y = rng.normal(size=101) + 1j * rng.normal(size=101)
    values = {"amplitude": 1.2, "frequency": 0.97, "quality_factor": 12.0, "phase": 0.7}
    tables, made = prepared(model, np.array([*values.values()]), x, y)
    assert isinstance(made, fused.FusedEquations)
    residual = y - model(x, **values)
    columns = np.array([*model.jacobian(x, **values).values()])
    cost, gradient, matrix = filled(made, tables, at.AT_PARAMETERS)
    assert_allclose(cost, (abs(residual) ** 2).sum(), rtol=1e-12)
    assert_allclose(gradient, (columns.conj() @ residual).real, rtol=1e-10, atol=1e-10)
    assert_allclose(matrix, np.tril((columns.conj() @ columns.T).real), rtol=1e-10, atol=1e-10)


def _models() -> list[Model]:
    from usidx import models

    made = []
    for name in models.__all__:
        try:
            model = getattr(models, name)()
        except TypeError:  # needs arguments, or is a base
            continue
        if isinstance(model, Model) and model.has_formula:
            made.append(model)
    return [*made, PEAK, Gaussian() + Gaussian() + Linear()]


@pytest.mark.parametrize("model", _models(), ids=lambda m: type(m).__name__)
def test_every_model_gives_what_the_machine_gives(model: Model) -> None:
    rng = np.random.default_rng(1)
    for size in (1, 7, 61, 300):
        x = rng.uniform(0.1, 3.0, (max(model.variables, 1), size))
        y = rng.normal(size=size) + (1j * rng.normal(size=size) if model.is_complex else 0.0)
        parameters = rng.uniform(0.3, 1.7, len(model.names))
        tables, made = prepared(model, parameters, x, y)
        if isinstance(made, fused.FusedEquations):
            assert_same(made, tables)


def test_the_usual_models_are_covered() -> None:
    for model in (PEAK, SHO(), Linear(), Expression("a * exp(-x / tau) + c")):
        made = fused.choose_equations(solve._assemble_program(model, model.names), weighted=False, robust=False)
        assert isinstance(made, fused.FusedEquations), model
    program = solve._assemble_program(PEAK, PEAK.names)
    assert fused.choose_equations(program, weighted=False, robust=True) is fill_normal_equations


ATOMS = st.sampled_from(["x", "a", "b", "2.5", "0.3"])
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["exp", "sin", "cos", "tanh", "arctan", "sqrt", "log", "abs"]), inner).map(
            lambda t: f"{t[0]}({t[1]})"
        ),
    ),
    max_leaves=7,
)


@settings(max_examples=40, deadline=None)
@given(formula=FORMULAS, size=st.integers(1, 300), seed=st.integers(0, 99))
def test_any_formula_gives_what_the_machine_gives(formula: str, size: int, seed: int) -> None:
    model = Expression(f"a * x + b + ({formula})")
    rng = np.random.default_rng(seed)
    tables, made = prepared(model, rng.uniform(0.5, 2.0, 2), rng.uniform(0.1, 2.0, size), rng.normal(size=size))
    assert isinstance(made, fused.FusedEquations)
    cost = run(fill_normal_equations, tables, at.AT_PARAMETERS)
    if np.isfinite(cost) and cost < 1e12:
        assert_same(made, tables)
    else:
        own = run(made, tables, at.AT_PARAMETERS)
        assert np.isfinite(own) == np.isfinite(cost)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e200, 0.0])
@pytest.mark.parametrize("place", range(4))
def test_hopeless_parameters_are_told_as_by_the_machine(bad: float, place: int) -> None:
    parameters = np.array([2.0, 0.3, 0.8, 0.1])
    parameters[place] = bad
    x = np.linspace(-3, 3, 50)
    tables, made = prepared(PEAK, parameters, x, np.sin(x))
    for purpose in PURPOSES:
        cost, own = run(fill_normal_equations, tables, purpose), run(made, tables, purpose)
        assert np.isfinite(own) == np.isfinite(cost)
        if np.isfinite(cost):
            assert_allclose(own, cost, rtol=1e-12)


def test_held_parameters_have_no_sums() -> None:
    x = np.linspace(-3, 3, 50)
    tables, made = prepared(PEAK, np.array([2.0, 0.3, 0.8, 0.1]), x, np.sin(x), free=("center", "offset"))
    assert isinstance(made, fused.FusedEquations)
    assert_same(made, tables)


def _spectra(count: int = 60) -> xr.DataArray:
    rng = np.random.default_rng(3)
    x = np.linspace(-5, 5, 90)
    center, sigma = rng.uniform(-2, 2, (count, 1)), rng.uniform(0.4, 1.2, (count, 1))
    y = 3.0 * np.exp(-0.5 * ((x - center) / sigma) ** 2) + 0.5 + 0.05 * rng.normal(size=(count, 90))
    y[3, 10:14], y[4] = np.nan, np.nan
    return xr.DataArray(y, dims=("spectrum", "x"), coords={"x": x})


@pytest.mark.parametrize("failure", [RuntimeError, AttributeError, OSError])
def test_without_a_compiler_the_machine_fits(monkeypatch: pytest.MonkeyPatch, failure: type[Exception]) -> None:
    data = _spectra()
    expected = fit(data, PEAK, "x", bounds={"offset": (0.45, 10.0)})

    def refuse(*_: object) -> None:
        raise failure

    monkeypatch.setattr(fused, "_made", {})
    monkeypatch.setattr(binding, "create_mcjit_compiler", refuse)
    found = fit(data, PEAK, "x", bounds={"offset": (0.45, 10.0)})
    assert [*fused._made.values()] == [fill_normal_equations]
    assert_array_equal(found.converged, expected.converged)
    assert not found.converged[4]
    for name in PEAK.names:
        assert_allclose(found[name], expected[name], rtol=1e-7)
        assert_allclose(found[f"{name}_stderr"], expected[f"{name}_stderr"], rtol=1e-5)


def test_unknown_layouts_and_symbols_are_left_to_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    program = solve._assemble_program(SHO(), SHO().names)
    monkeypatch.setattr(fused, "_made", {})
    monkeypatch.setattr(fused, "_is_known_layout", lambda: False)
    assert fused.choose_equations(program, weighted=False, robust=False) is fill_normal_equations
    monkeypatch.undo()
    monkeypatch.setattr(binding, "address_of_symbol", lambda name: None)
    assert fused.choose_equations(program, weighted=False, robust=False) is fill_normal_equations


def test_any_blocks_give_the_same_bits() -> None:
    data = _spectra()
    whole = fit(data, PEAK, "x")
    for chunk in (1, 7, 60):
        xr.testing.assert_equal(fit(data.chunk({"spectrum": chunk}), PEAK, "x").compute(), whole)


def test_programs_are_compiled_once_from_any_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    from concurrent.futures import ThreadPoolExecutor

    made, real = [], fused._compile

    def counted(program: Program, *, weighted: bool) -> fused.FusedEquations:
        made.append(program)
        return real(program, weighted=weighted)

    monkeypatch.setattr(fused, "_made", {})
    monkeypatch.setattr(fused, "_compile", counted)
    program = solve._assemble_program(PEAK, PEAK.names)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: fused.choose_equations(program, weighted=False, robust=False), range(16)))
    assert len(found) == len(made) == 1


def test_coordinates_may_be_several_and_differ_from_spectrum_to_spectrum() -> None:
    rng = np.random.default_rng(8)
    model = Gaussian2D(normalized="height")
    coordinates = rng.uniform(-3, 3, (40, 2, 200))
    truth = rng.uniform([1.0, -0.5, -0.5, 1.5, 0.7, -0.5], [2.0, 0.5, 0.5, 2.0, 1.0, 0.5], (40, 6))
    named = dict(zip(model.names, truth.T[..., None], strict=True))
    turned = [f(named["rotation"]) for f in (np.cos, np.sin)]
    y, x = coordinates[:, 0] - named["center_y"], coordinates[:, 1] - named["center_x"]
    u, v = x * turned[0] + y * turned[1], y * turned[0] - x * turned[1]
    values = named["amplitude"] * np.exp(-0.5 * (u / named["sigma_x"]) ** 2 - 0.5 * (v / named["sigma_y"]) ** 2)
    bounds = dict.fromkeys(model.names, (-np.inf, np.inf))
    assert isinstance(
        fused.choose_equations(solve._assemble_program(model, model.names), weighted=False, robust=False),
        fused.FusedEquations,
    )
    found = solve.solve_block(model, solve.Options(model.names, bounds), values, coordinates, None, truth * 1.02)
    assert_allclose(found[:, :6], truth, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("model", [PEAK, SHO(), Linear()])
@pytest.mark.parametrize("purpose", [at.FOR_RESIDUAL, at.AT_TRIAL])
@pytest.mark.parametrize("by_machine", [False, True])
def test_the_residual_is_data_less_model(model: Model, purpose: int, *, by_machine: bool) -> None:
    rng = np.random.default_rng(9)
    x = rng.uniform(0.2, 3.0, 300)
    parameters = rng.uniform(0.5, 1.5, len(model.names))
    y = rng.normal(size=300) + (1j * rng.normal(size=300) if model.is_complex else 0.0)
    tables, made = prepared(model, parameters, x, y)
    assert isinstance(made, fused.FusedEquations)
    squares = run(fill_normal_equations if by_machine else made, tables, purpose)
    away = y - model(x, **dict(zip(model.names, parameters, strict=True)))
    parts = np.stack([away.real, away.imag]) if model.is_complex else away[None]
    first = tables.head[at.RESIDUAL]
    assert_allclose(tables.data[first : first + len(parts), :300], parts, rtol=1e-10, atol=1e-13)
    assert_allclose(squares, (parts**2).sum(), rtol=1e-12)


def test_the_residual_of_the_last_but_one_parameters_stays() -> None:
    x = np.linspace(0.2, 3.0, 90)
    tables, made = prepared(PEAK, np.array([2.0, 1.3, 0.8, 0.1]), x, np.sin(x))
    first = tables.head[at.RESIDUAL]
    tables.data[first] = 7.0
    run(made, tables, at.AT_PARAMETERS)
    assert (tables.data[first] == 7.0).all()


def test_what_is_not_needed_is_not_compiled() -> None:
    code = (
        "import sys, numpy as np, xarray as xr, usidx; from usidx.models import Constant, Gaussian;"
        "x = np.linspace(-3, 3, 40); y = xr.DataArray(np.exp(-x * x), dims='x', coords={'x': x});"
        "assert usidx.fit(y, Gaussian() + Constant()).converged;"
        "assert 'usidx.fitting.compile.normal_equations' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
