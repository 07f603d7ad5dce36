"""Values, arrays and functions -> short digests that differ where they do, the bodies of functions included."""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from dis import get_instructions
from functools import cache, partial
from hashlib import blake2b, sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import resolve_name
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final

import dask
import numpy as np
import xarray as xr
from dask.tokenize import tokenize

from usidx.tasks.evidence import UnprovenError

__all__ = ["digest", "digest_array", "digest_parts"]

_SIMPLE: Final = (type(None), bool, int, float, complex, str, bytes, slice, np.dtype, type(Ellipsis), range)
#: Folders of code that changes with its version only.
_LIBRARIES: Final = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
#: Packages that a user, a system or a cluster's modules add to the path lie in such folders, too.
_PACKAGES: Final = re.compile(r"[\\/](site|dist)-packages[\\/]")
_DEEPEST: Final = 40


def digest(value: Any) -> str:
    """Return a digest of any value: arrays by their bytes, functions by what they do.

    A function of the user's is its code, its defaults, what it closes over, and every function and value of the user's
    that it names; one of an installed package is its name and the version of the package.

    Raises
    ------
    UnprovenError
        The value is of a kind whose content cannot be told.
    """
    return _Digester().of(value, 0)


def digest_parts(*parts: str) -> str:
    """Return one digest of several texts; where one ends matters."""
    hashed = blake2b(digest_size=16)
    for part in parts:
        hashed.update(f"{len(part)}:".encode())
        hashed.update(part.encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


def digest_array(values: np.ndarray[Any, Any]) -> str:
    """Return a digest of type, shape and bytes of an array."""
    if values.dtype.hasobject:
        return digest_parts("objects", str(values.shape), *(digest(one) for one in values.ravel().tolist()))
    hashed = sha256(f"{values.dtype.str} {values.dtype.descr} {values.shape}".encode())
    hashed.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return hashed.hexdigest()[:32]


class _Digester:
    """Digests one value, following what it refers to; what was met before is named by its number."""

    def __init__(self) -> None:
        self._met: dict[int, int] = {}
        self._kept: list[Any] = []  # an id stands for an object only as long as that lives

    def of(self, value: Any, depth: int) -> str:
        if isinstance(value, _SIMPLE):
            return digest_parts(type(value).__name__, repr(value))
        if type(value) is np.ndarray or isinstance(value, np.generic):
            return digest_parts(type(value).__name__, digest_array(np.asarray(value)))
        if id(value) in self._met:
            return digest_parts("met", str(self._met[id(value)]))
        if depth > _DEEPEST:
            raise UnprovenError(f"a {type(value).__name__} lies too deep")
        self._met[id(value)] = len(self._met)
        self._kept.append(value)
        return self._digest_other(value, depth + 1)

    def _digest_other(self, value: Any, depth: int) -> str:
        if isinstance(value, np.ndarray):  # a mask lies beside the numbers
            return digest_parts(type(value).__name__, digest_array(np.asarray(value)), self.of(vars(value), depth))
        if type(value) in (dict, MappingProxyType):
            items = [self.of(part, depth) for item in value.items() for part in item]
            return digest_parts("mapping", *items)
        if type(value) in (list, tuple):
            return digest_parts(type(value).__name__, *(self.of(one, depth) for one in value))
        if type(value) in (set, frozenset):
            return digest_parts("set", *sorted(_Digester().of(one, depth) for one in value))
        if isinstance(value, ModuleType):
            return self._of_module(value, set(), depth)
        if isinstance(value, type):
            return self._digest_class(value, depth)
        if callable(value):
            return self._digest_callable(value, depth)
        return self._digest_object(value, depth)

    def _digest_callable(self, value: Any, depth: int) -> str:
        if isinstance(value, partial):
            return digest_parts("partial", *(self.of(p, depth) for p in (value.func, value.args, value.keywords)))
        if isinstance(value, MethodType):
            return digest_parts("method", self.of(value.__func__, depth), self.of(value.__self__, depth))
        if isinstance(value, FunctionType):
            return self._digest_function(value, depth)
        if isinstance(python := getattr(value, "py_func", None), FunctionType):  # compiled by numba
            return digest_parts("compiled", repr(getattr(value, "targetoptions", "")), self.of(python, depth))
        if isinstance(value, np.ufunc):
            return _name_ufunc(value)
        if isinstance(value, BuiltinFunctionType):
            return _name_library_object(value)
        if hasattr(value, "__qualname__") and _is_library_file(_find_file(type(value).__module__)):
            return self._of_wrapper(value, depth)
        return self._digest_object(value, depth)

    def _of_wrapper(self, value: Any, depth: int) -> str:
        """Digest what a package made of a function, such as one with a cache; its type says what that is."""
        if hasattr(value, "__wrapped__"):
            return digest_parts("wrapper", _name_library_object(type(value)), self.of(value.__wrapped__, depth))
        if not _is_library_file(_find_file(getattr(value, "__module__", None))):
            raise UnprovenError(f"nobody can look into {value!r}")
        return _name_library_object(value)

    def _digest_function(self, function: FunctionType, depth: int) -> str:
        parts = [function.__qualname__, self._digest_code(function.__code__, depth)]
        parts += [self.of(given, depth) for given in (function.__defaults__, function.__kwdefaults__, vars(function))]
        named = _list_names(function.__code__)
        parts += [self._digest_cell(cell, named, depth) for cell in function.__closure__ or ()]
        if _is_library(function):
            return digest_parts(function.__module__, _find_version(function.__module__), *parts)
        for name in sorted(named & function.__globals__.keys()):
            parts += [name, self._of_named(function.__globals__[name], named, depth)]
        for name in sorted(_imports_in(function.__code__, function.__globals__.get("__package__"))):
            parts += [name, self._of_module(_loaded(name), named, depth)]
        return digest_parts("function", *parts)

    def _digest_cell(self, cell: Any, named: set[str], depth: int) -> str:
        try:
            return self._of_named(cell.cell_contents, named, depth)
        except ValueError:  # not filled yet
            return "empty"

    def _of_named(self, value: Any, named: set[str], depth: int) -> str:
        """Digest what a function finds by a name; of a module, what the names in the function may mean."""
        return self._of_module(value, named, depth) if isinstance(value, ModuleType) else self.of(value, depth)

    def _of_module(self, module: ModuleType, named: set[str], depth: int) -> str:
        """Digest what is used of a module of the user's; one of a package changes with its version only."""
        if _is_library_file(_find_file(module.__name__)):
            return digest_parts("module", module.__name__, _find_version(module.__name__))
        if not named:
            raise UnprovenError(f"who knows what is used of the module {module.__name__!r}")
        if depth > _DEEPEST:
            raise UnprovenError(f"the module {module.__name__!r} lies too deep")
        if id(module) in self._met:
            return digest_parts("met", str(self._met[id(module)]))
        self._met[id(module)] = len(self._met)
        used = sorted(name for name in named if name in vars(module))
        parts = (part for n in used for part in (n, self._of_named(vars(module)[n], named, depth + 1)))
        return digest_parts("module", module.__name__, *parts)

    def _digest_code(self, code: CodeType, depth: int) -> str:
        constants = (
            self._digest_code(c, depth) if isinstance(c, CodeType) else self.of(c, depth) for c in code.co_consts
        )
        names = (*code.co_names, "|", *code.co_varnames, "|", *code.co_freevars, "|", *code.co_cellvars)
        return digest_parts(code.co_code.hex(), *names, str(code.co_flags), *constants)

    def _digest_class(self, cls: type, depth: int) -> str:
        if cls.__module__ == "builtins" or _is_library_file(_find_file(cls.__module__)):
            return _name_library_object(cls)
        own = {k: v for k, v in vars(cls).items() if k not in _NO_CONTENT}
        plain = {k: _unwrap_functions(v) for k, v in own.items() if not type(v).__name__.endswith("_descriptor")}
        return digest_parts("class", cls.__qualname__, *(self.of(part, depth) for part in (cls.__bases__, plain)))

    def _digest_object(self, value: Any, depth: int) -> str:
        if isinstance(value, xr.DataArray | xr.Dataset | xr.Variable):
            return _token_of_labelled(value)
        made = self.of(type(value), depth)
        if is_dataclass(value):
            state: Any = {f.name: getattr(value, f.name) for f in fields(value)}
        elif hasattr(value, "__dask_tokenize__") or not (state := _state_of(value)):
            return digest_parts("object", made, _find_token(value))
        items = [self.of(part, depth) for part in _items_of(value)]
        return digest_parts("object", made, self.of(state, depth), *items)


def _state_of(value: Any) -> dict[str, Any]:
    """Return the attributes of an object, those in slots too."""
    listed = [getattr(cls, "__slots__", ()) for cls in type(value).__mro__]
    slots = [name for one in listed for name in ((one,) if isinstance(one, str) else one)]
    return {name: getattr(value, name) for name in slots if hasattr(value, name)} | getattr(value, "__dict__", {})


def _items_of(value: Any) -> list[Any]:
    """Return what an object holds that is a list or a mapping beside."""
    if isinstance(value, Mapping):
        return list(value.items())
    return list(value) if isinstance(value, list | tuple) else []


def _token_of_labelled(value: xr.DataArray | xr.Dataset | xr.Variable) -> str:
    """Return a token of a labelled object; what is still in a file may be changed there."""
    held = value._to_temp_dataset() if isinstance(value, xr.DataArray) else value
    if not all(v._in_memory for v in (held.variables.values() if isinstance(held, xr.Dataset) else [held])):
        raise UnprovenError(f"a {type(value).__name__} that a function holds is not in memory")
    return digest_parts("labelled", _find_token(value))


#: Entries of a class that say nothing of what it does.
_NO_CONTENT: Final = frozenset(
    {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__", "__slots__"}
)


def _unwrap_functions(entry: Any) -> Any:
    """Return the functions of a static or class method, or of a property, as the class keeps them."""
    if isinstance(entry, property):
        return (entry.fget, entry.fset, entry.fdel)
    return getattr(entry, "__func__", entry)


def _find_token(value: Any) -> str:
    """Return dask's token, where that is the same each time."""
    try:
        with dask.config.set({"tokenize.ensure-deterministic": True}):
            return str(tokenize(value))
    except Exception as err:  # whatever the object's own methods raise
        raise UnprovenError(f"a {type(value).__module__}.{type(value).__qualname__} cannot be told apart") from err


def _list_names(code: CodeType) -> set[str]:
    """Return the names that a function looks up, functions inside it included."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _list_names(constant)
    return found


def _imports_in(code: CodeType, package: str | None) -> set[str]:
    """Return the whole names of the modules that a function imports when it runs, functions inside it included."""
    found: set[str] = set()
    told: list[Any] = []
    for one in get_instructions(code):
        if one.opname == "IMPORT_NAME":  # the level and the names are put before it
            found.add(_whole_name(str(one.argval), told[-2], package))
        told.append(one.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _imports_in(constant, package)
    return found


def _whole_name(name: str, level: Any, package: str | None) -> str:
    return resolve_name("." * int(level or 0) + name, package) if level else name


def _loaded(name: str) -> ModuleType:
    if name not in sys.modules:
        raise UnprovenError(f"the module {name!r} is imported later")
    return sys.modules[name]


def _name_ufunc(function: np.ufunc) -> str:
    """Name a ufunc of an installed package; into one that was made of a Python function nobody can look."""
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), function.__name__, None) is function:
            return digest_parts("ufunc", module, function.__name__, _find_version(module))
    raise UnprovenError(f"{function!r} is of no package that is known")


def _name_library_object(value: Any) -> str:
    module = str(getattr(value, "__module__", None) or type(value).__module__)
    name = str(getattr(value, "__qualname__", getattr(value, "__name__", repr(value))))
    owner = getattr(value, "__self__", None)  # of a bound method in C, such as rng.normal
    if owner is not None and not isinstance(owner, ModuleType | type):
        return digest_parts("bound", module, name, _find_token(owner))
    return digest_parts("named", module, name, _find_version(module))


def _is_library(function: Callable[..., Any]) -> bool:
    return _is_library_file(_find_file(function.__module__))


def _find_file(module: str | None) -> str | None:
    found = sys.modules.get(module or "")
    if found is not None and getattr(found, "__file__", None) is None and module in sys.builtin_module_names:
        return _LIBRARIES[0]
    return getattr(found, "__file__", None)


def _is_library_file(file: str | None) -> bool:
    own = __file__.rsplit("results", 1)[0]
    return file is not None and (file.startswith((*_LIBRARIES, own)) or _PACKAGES.search(file) is not None)


def _find_version(module: str) -> str:
    return _find_version_of_package(module.partition(".")[0])


@cache
def _find_version_of_package(top: str) -> str:
    """Return the version as of the first question: it is that of the modules that are loaded, and slow to look up."""
    try:
        return version(top)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(top), "__version__", sys.version_info[:2]))
