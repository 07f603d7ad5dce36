"""The walls, the circles and the order of the folders, read from the imports; and the sizes of what is in them."""

import ast
from collections import deque
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).parent.parent / "usidx"
FILES = sorted(PACKAGE.rglob("*.py"))

#: What each folder or top-level module may be imported by: those that stand as high or higher.
LADDER = (
    {"catalogue", "errors", "escapes", "version"},
    {"format", "io.disk"},
    {"label", "results", "tasks"},
    {"learn", "fitting", "models", "signal", "image", "diffraction", "modes", "simulate", "mapping"},
    {"io.read"},
    {"io.write", "instruments"},
    {"recipes"},
    {"example", "testing"},
    {"look"},
    {"accessor", "cli", "demo", "mypy_plugin", "public", "__init__", "__main__"},
)
RANK = {name: height for height, names in enumerate(LADDER) for name in names}
OPERATIONS = {"learn", "fitting", "models", "signal", "image", "diffraction", "modes", "mapping"}
FILE_LIBRARIES = {"h5py", "h5netcdf", "netCDF4", "zarr", "tables"}

#: The walls: who must never import what.
WALLS = {
    "format": {"xarray", "dask"} | FILE_LIBRARIES,
    "label": FILE_LIBRARIES,
    "results": FILE_LIBRARIES,
    "tasks": FILE_LIBRARIES,
    "io.disk": {"usidx.io.read", "usidx.io.write", "xarray", "dask"},
    "io.read": {f"usidx.{name}" for name in OPERATIONS | {"io.write"}},
    **{name: {"usidx.io", *FILE_LIBRARIES} for name in OPERATIONS},
}

#: What stands highest: only these may import the package's top, and name modules for the types alone.
TOP = LADDER[-1]
#: Of one folder, `__init__` aside.
MOST_NAMES_IN_FOLDER = 16
MOST_LINES_IN_FILE = 400
MOST_LINES_IN_BODY = 40
SHORT_BODY = 15
SHARE_OF_SHORT_BODIES = 0.8
VAGUE_NAMES = {"utils.py", "common.py", "helpers.py", "base.py", "misc.py"}


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def nodes_of(file: Path) -> list[ast.AST]:
    return list(ast.walk(parsed(file)))


def module_of(file: Path) -> str:
    """Name the folder or top-level module of usidx that a file belongs to; of io the folder inside it."""
    first, *rest = file.relative_to(PACKAGE).with_suffix("").parts
    return f"{first}.{rest[0]}" if first == "io" and rest[0] != "__init__" else first


def name_of(file: Path) -> str:
    """Return the dotted name of the module in a file."""
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(file): file for file in FILES}


@cache
def imports_of(file: Path) -> list[tuple[int, str]]:
    """Return (line, dotted name) of each import, those inside functions too; modules by their whole name."""
    found = []
    for node in nodes_of(file):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.append((node.lineno, inner if inner in MODULES else node.module or "."))
    return found


def circles_in(arrows: Mapping[str, set[str]]) -> list[str]:
    """Return one circle of arrows through each name that is in any, as text."""
    found: dict[frozenset[str], str] = {}
    for start in sorted(arrows):
        path = shortest_way_back(arrows, start)
        if path is not None:
            found.setdefault(frozenset(path), " -> ".join(path))
    return list(found.values())


def shortest_way_back(arrows: Mapping[str, set[str]], start: str) -> list[str] | None:
    waiting, seen = deque([[start]]), set()
    while waiting:
        path = waiting.popleft()
        for following in sorted(arrows.get(path[-1], ())):
            if following == start:
                return [*path, start]
            if following not in seen:
                seen.add(following)
                waiting.append([*path, following])
    return None


def place_of(module: str) -> str:
    """Return the folder that a module is in; a module of the package's top stands for itself."""
    folder = name_of(MODULES[module].parent / "__init__.py")
    return module if folder == "usidx" else folder


def entries_of(folder: Path) -> tuple[int, int]:
    """Count the modules and the folders of modules in a folder."""
    modules = [file for file in folder.glob("*.py") if file.stem != "__init__"]
    return len(modules), len(list(folder.glob("*/__init__.py")))


def starts_with(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def bodies_of(file: Path) -> Iterator[tuple[str, int]]:
    """Yield (where, lines) of each function's body, its docstring left out."""
    for node in nodes_of(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            statements = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lines = (node.end_lineno or 0) - statements[0].lineno + 1 if statements else 0
            yield f"{file.relative_to(PACKAGE.parent)}:{node.lineno} {node.name}", lines


def report(offenders: list[str]) -> str:
    return "\n  ".join(["", *offenders])


def test_each_folder_has_its_place_on_the_ladder() -> None:
    unknown = sorted({module_of(file) for file in FILES} - set(RANK) - {"io"})
    assert not unknown, f"give these a place in LADDER: {unknown}"


@pytest.mark.parametrize("name", sorted(WALLS))
def test_walls(name: str) -> None:
    offenders = [
        f"{file.relative_to(PACKAGE.parent)}:{line} imports {imported}"
        for file in FILES
        if module_of(file) == name
        for line, imported in imports_of(file)
        if any(starts_with(imported, forbidden) for forbidden in WALLS[name])
    ]
    assert not offenders, f"{name} must not import {sorted(WALLS[name])}:{report(offenders)}"


def test_imports_point_down_the_ladder() -> None:
    offenders = []
    for file in FILES:
        for line, imported in imports_of(file):
            if imported not in MODULES:
                continue
            target = module_of(MODULES[imported])
            if RANK.get(target, 0) > RANK.get(module_of(file), len(LADDER)):
                offenders.append(f"{file.relative_to(PACKAGE.parent)}:{line} imports {imported}")
    assert not offenders, f"these import what stands above them:{report(offenders)}"


def test_nothing_below_the_top_imports_the_top() -> None:
    offenders = [
        f"{file.relative_to(PACKAGE.parent)}:{line}"
        for file in FILES
        if module_of(file) not in TOP
        for line, imported in imports_of(file)
        if imported == "usidx"
    ]
    assert not offenders, f"name the module that has it, not usidx:{report(offenders)}"


def test_no_circles_between_files() -> None:
    arrows = {name: {imported for _, imported in imports_of(file)} & set(MODULES) for name, file in MODULES.items()}
    offenders = circles_in(arrows)
    assert not offenders, report(offenders)


def test_no_circles_between_folders() -> None:
    arrows: dict[str, set[str]] = {}
    for name, file in MODULES.items():
        reached = {place_of(imported) for _, imported in imports_of(file) if imported in MODULES}
        arrows.setdefault(place_of(name), set()).update(reached - {place_of(name)})
    offenders = circles_in(arrows)
    assert not offenders, report(offenders)


def test_circles_are_found() -> None:
    arrows = {"a": {"b", "d"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"e"}}
    assert circles_in(arrows) == ["b -> c -> b", "e -> e"]


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES}), ids=lambda f: name_of(f / "__init__.py"))
def test_folders_show_few_names(folder: Path) -> None:
    modules, folders = entries_of(folder)
    # Of the package's top the folders are the arrows of the house, and the modules the ways in; the demo is beside it.
    shown = max(modules, folders - 1) if folder == PACKAGE else modules + folders
    assert shown <= MOST_NAMES_IN_FOLDER, f"{shown} names; make folders of what belongs together"


@pytest.mark.parametrize("folder", sorted({file.parent for file in FILES} - {PACKAGE}), ids=lambda f: f.name)
def test_each_folder_has_tests_of_its_own(folder: Path) -> None:
    """A folder of the package has the folder of the same name in tests, unless it is only there to hold folders."""
    modules, _ = entries_of(folder)
    tests = Path(__file__).parent / folder.relative_to(PACKAGE)
    assert not modules or list(tests.glob("test_*.py")), f"write {tests}/test_<module>.py"


def test_no_circle_is_hidden_behind_type_checking() -> None:
    """Types of optional packages may be imported for checking alone; usidx's own only where names are loaded late."""
    offenders = [
        f"{file.relative_to(PACKAGE.parent)}:{inner.lineno}"
        for file in FILES
        if module_of(file) not in TOP
        for node in nodes_of(file)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
        if isinstance(inner, ast.ImportFrom) and starts_with(inner.module or "usidx", "usidx")
    ]
    assert not offenders, report(offenders)


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Say whether a handler raises, or keeps the error (where C code calls, an error must wait to be raised)."""
    nodes = [inner for statement in handler.body for inner in ast.walk(statement)]
    return any(isinstance(n, ast.Raise) or (isinstance(n, ast.Name) and n.id == handler.name) for n in nodes)


def test_errors_are_not_swallowed() -> None:
    broad = {"Exception", "BaseException"}
    offenders = [
        f"{file.relative_to(PACKAGE.parent)}:{node.lineno}"
        for file in FILES
        for node in nodes_of(file)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in broad))
        and not passes_on(node)
    ]
    assert not offenders, f"name the errors that are caught:{report(offenders)}"


def test_each_module_opens_with_its_arrow() -> None:
    offenders = [str(file.relative_to(PACKAGE.parent)) for file in FILES if not ast.get_docstring(parsed(file))]
    assert not offenders, report(offenders)


def test_files_are_named_after_their_subject() -> None:
    offenders = [str(file.relative_to(PACKAGE.parent)) for file in FILES if file.name in VAGUE_NAMES]
    assert not offenders, report(offenders)


def test_files_are_short() -> None:
    lines = {str(f.relative_to(PACKAGE.parent)): len(f.read_text(encoding="utf-8").splitlines()) for f in FILES}
    offenders = [f"{name}: {count} lines" for name, count in lines.items() if count > MOST_LINES_IN_FILE]
    assert not offenders, f"more than {MOST_LINES_IN_FILE} lines:{report(offenders)}"
    assert median(lines.values()) <= MOST_LINES_IN_FILE / 2


def test_bodies_are_short() -> None:
    bodies = [body for file in FILES for body in bodies_of(file)]
    offenders = [f"{where}: {lines} lines" for where, lines in bodies if lines > MOST_LINES_IN_BODY]
    assert not offenders, f"more than {MOST_LINES_IN_BODY} lines in a body:{report(offenders)}"


def test_most_bodies_are_very_short() -> None:
    bodies = sorted((lines, where) for file in FILES for where, lines in bodies_of(file))
    short = sum(lines <= SHORT_BODY for lines, _ in bodies) / len(bodies)
    longest = [f"{where}: {lines} lines" for lines, where in reversed(bodies[-20:])]
    assert short >= SHARE_OF_SHORT_BODIES, f"{short:.0%} of bodies have {SHORT_BODY} lines or fewer:{report(longest)}"


def test_only_tasks_knows_the_inside_of_dask() -> None:
    """Private parts change with any version of dask: tests/tasks/test_dask_inside.py watches those in use there."""
    inside = tuple(
        f"dask.{name}" for name in ("_", "core", "highlevelgraph", "local", "optimization", "system", "threaded")
    )
    offenders = []
    for file in (file for file in FILES if module_of(file) != "tasks"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Attribute | ast.Import | ast.ImportFrom):
                continue
            if isinstance(node, ast.Attribute):
                names = [ast.unparse(node)]
            else:
                stem = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
                names = [f"{stem}{alias.name}" for alias in node.names]
            is_inside = any(n.startswith((*inside, "dask.base.get_scheduler")) or n.endswith("._meta") for n in names)
            offenders += [f"{file.relative_to(PACKAGE.parent)}:{node.lineno} {names}"] if is_inside else []
    assert not offenders, f"give these a function in usidx/tasks:{report(offenders)}"
