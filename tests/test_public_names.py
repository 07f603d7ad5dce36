"""What usidx shows: sorted, complete, documented; and an accessor that only opens doors."""

import ast
import importlib
import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import usidx

PACKAGE = Path(usidx.__file__).parent


def accessor_methods() -> list[ast.FunctionDef]:
    """Return the public methods and properties that the accessor's classes spell out."""
    file = PACKAGE / "accessor.py"
    if not file.exists():
        return []
    classes = [n for n in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(n, ast.ClassDef)]
    methods = [n for c in classes for n in c.body if isinstance(n, ast.FunctionDef)]
    return [m for m in methods if not m.name.startswith("_")]


def statements(function: ast.FunctionDef) -> list[ast.stmt]:
    """Return what a function does, its docstring and imports of heavy modules aside."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return [s for s in body if not isinstance(s, ast.Import | ast.ImportFrom)]


def in_order(name: str) -> tuple[bool, bool, str]:
    """Sort constants first, then classes, then functions, as ruff sorts ``__all__``."""
    return not name.isupper(), not name[:1].isupper(), name


def test_all_is_sorted_and_without_repeats() -> None:
    assert list(usidx.__all__) == sorted(set(usidx.__all__), key=in_order)


def test_all_equals_the_public_names() -> None:
    # Submodules become attributes of a package when they are imported; only those in __all__ are meant.
    shown = {n for n, v in vars(usidx).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    modules = {n for n in usidx.__all__ if isinstance(getattr(usidx, n), ModuleType)}
    assert shown | modules == {n for n in usidx.__all__ if not n.startswith("__")}


@pytest.mark.parametrize("name", usidx.__all__)
def test_each_public_name_is_there_and_documented(name: str) -> None:
    shown = getattr(usidx, name)
    if not isinstance(shown, str):
        assert inspect.getdoc(shown), f"usidx.{name} has no docstring"


def test_each_function_states_its_types() -> None:
    functions = [f for n in usidx.__all__ if inspect.isfunction(f := getattr(usidx, n))]
    untyped = [f.__name__ for f in functions if "return" not in f.__annotations__]
    assert not untyped


@pytest.mark.parametrize("name", [f.relative_to(PACKAGE.parent) for f in sorted(PACKAGE.rglob("*.py"))], ids=str)
def test_each_module_lists_names_that_it_has(name: Path) -> None:
    dotted = ".".join(name.with_suffix("").parts).removesuffix(".__init__").removesuffix(".__main__")
    module = importlib.import_module(dotted)
    listed = list(getattr(module, "__all__", []))
    missing = [n for n in listed if not hasattr(module, n) and importlib.util.find_spec(f"{dotted}.{n}") is None]
    assert not missing


@pytest.mark.parametrize("method", accessor_methods(), ids=lambda method: str(method.name))
def test_each_accessor_method_is_a_door(method: ast.FunctionDef) -> None:
    done = statements(method)
    assert ast.get_docstring(method), f"{method.name} has no docstring"
    assert len(done) == 1, f"{method.name} does {len(done)} things; a door does one"
    assert isinstance(done[0], ast.Return), f"{method.name} must return what the function returns"


@pytest.mark.skipif(not (PACKAGE / "accessor.py").exists(), reason="there is no accessor yet")
def test_each_door_leads_to_the_public_function_of_its_name() -> None:
    accessor = importlib.import_module("usidx.accessor")
    classes = [getattr(accessor, name) for name in accessor.__all__]
    doors = [(c, n, m) for c in classes for n, m in inspect.getmembers(c) if not n.startswith("_")]
    assert doors
    for cls, name, member in doors:
        assert name in usidx.__all__, f"{cls.__name__}.{name} is no public function of usidx"
        function = getattr(usidx, name)
        assert inspect.getdoc(member), f"{cls.__name__}.{name} has no docstring"
        if inspect.isfunction(member):
            assert inspect.unwrap(member) is inspect.unwrap(function), f"{cls.__name__}.{name} is another function"
            assert parameters(member) == parameters(function)


def parameters(function: Callable[..., object]) -> list[inspect.Parameter]:
    """Return the parameters but for the object itself, which is the first, or called data."""
    found = list(inspect.signature(function).parameters.values())
    names = [p.name for p in found]
    itself = "data" if names[:2] == ["function", "data"] else names[0]
    return [p for p in found if p.name != itself]
