"""What usidx shows: sorted, complete, documented, and loaded when it is asked for."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
import sys
from pathlib import Path

import pytest

import usidx
from usidx import public

PACKAGE = Path(usidx.__file__).parent


def in_order(name: str) -> tuple[bool, bool, str]:
    """Sort constants first, then classes, then functions, as ruff sorts ``__all__``."""
    return not name.isupper(), not name[:1].isupper(), name


def test_all_is_sorted_and_without_repeats() -> None:
    assert list(usidx.__all__) == sorted(set(usidx.__all__), key=in_order)


def test_what_is_shown_is_what_is_public() -> None:
    assert {name for name in dir(usidx) if not name.startswith("_")} == set(usidx.__all__)


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


def test_checkers_are_told_what_the_table_says() -> None:
    """Editors and mypy read the imports of usidx/public.py, Python its table."""
    checking = next(
        n for n in ast.parse(Path(public.__file__).read_text(encoding="utf-8")).body if isinstance(n, ast.If)
    )
    imports = [n for n in checking.body if isinstance(n, ast.ImportFrom)]
    told = {a.name: f"usidx.{a.name}" if n.module == "usidx" else n.module for n in imports for a in n.names}
    assert told == public.MODULES
    assert all(alias.asname == alias.name for node in imports for alias in node.names), "else mypy hides the name"


def test_the_table_names_modules_that_have_the_name() -> None:
    for name, module in public.MODULES.items():
        found = importlib.import_module(module)
        assert getattr(usidx, name) is (found if module == f"usidx.{name}" else vars(found)[name])


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match=r"module 'usidx' has no attribute 'sdv'"):
        _ = usidx.sdv  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="sdv"):
        from usidx import sdv  # type: ignore[attr-defined]  # noqa: F401


def test_nothing_hides_a_module() -> None:
    """A function named like a module of its own package would be what `import package.module as m` gives."""
    names = [m.name for m in pkgutil.walk_packages(usidx.__path__, "usidx.") if not m.name.endswith("__main__")]
    for name in names:
        importlib.import_module(name)
    hidden = [
        n for n in names if getattr(sys.modules[n.rpartition(".")[0]], n.rpartition(".")[2]) is not sys.modules[n]
    ]
    assert not hidden
