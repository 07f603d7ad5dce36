"""Every Python block of the README and of docs/ runs, or states why not.

The blocks of a page run in order and share their names, in a folder of their own that holds what ``usidx.example_file``
writes, as ``scan.h5``, and nothing else.
"""

import ast
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest

import usidx
from tests.kit.blocks import blocks_of, python_blocks

REPOSITORY = Path(__file__).parent.parent
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder that holds nothing but the example, and draw to no screen."""
    usidx.example_file(tmp_path / "scan.h5")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    return tmp_path


@pytest.mark.usefixtures("folder", "keep_attrs")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_each_python_block_runs(page: Path) -> None:
    names: dict[str, object] = {"__name__": "__docs__"}
    for block in python_blocks(read(page)):
        if block.reason_not_to_run is None:
            # Blank lines above make tracebacks tell the line of the page.
            source = "\n" * block.line + block.code
            exec(compile(source, str(page), "exec"), names)


def list_wanted(extra: str) -> set[str]:
    """Return the packages that an extra brings by itself and by other extras, and those that usidx needs."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted, found = [*project["dependencies"], *project["optional-dependencies"][extra]], set()
    while wanted:
        name, extras = re.match(r"([\w-]+)(?:\[([\w,]+)\])?", wanted.pop()).groups()  # type: ignore[union-attr]
        if name == "usidx":
            wanted += [one for more in extras.split(",") for one in project["optional-dependencies"][more]]
        found.add({"scikit-learn": "sklearn", "scikit-image": "skimage"}.get(name, name))
    return found


def list_imports(code: str) -> set[str]:
    nodes = list(ast.walk(ast.parse(code)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_the_site_is_built_with_what_its_extra_brings() -> None:
    wanted = list_wanted("docs")
    assert {"usidx", "sphinx", "sklearn", "numpy"} <= wanted
    missing = {
        (page.name, block.line, name)
        for page in PAGES
        for block in python_blocks(read(page))
        if block.reason_not_to_run is None
        for name in list_imports(block.code) - wanted
    }
    assert not missing, f"not in the extra `docs`: {sorted(missing)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_a_block_that_does_not_run_states_a_reason(page: Path) -> None:
    without = [block.line for block in python_blocks(read(page)) if block.reason_not_to_run == ""]
    assert not without, f"{page.name}: give a reason at lines {without}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!\w+:|#)([^)#\s]+)", page.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


def test_the_reference_lists_each_public_name_once() -> None:
    lists = runpy.run_path(str(REPOSITORY / "docs" / "conf.py"))["reference_lists"]()
    listed = [f"{module}.{name}" for module, names in lists.values() for name in names]
    whole = ("diffraction", "image", "models", "modes", "signal", "simulate")
    verbs = [f"usidx.{name}" for name in usidx.__all__ if name not in {"errors", *whole}]
    inside = [f"usidx.{m}.{name}" for m in whole for name in getattr(usidx, m).__all__]
    assert sorted(listed) == sorted([*verbs, *inside]), "give the folder of a new name a list in docs/conf.py"
    assert "svd" in lists["Decompose, unmix, cluster"][1]


def test_blocks_are_found_as_written() -> None:
    text = "a\n\n<!-- not run: slow -->\n```python\nx = 1\n```\n- b\n  ```py\n  y = 2\n  ```\n```bash\nls\n```\n"
    first, second, third = blocks_of(text)
    assert (first.code, first.line, first.last_line, first.reason_not_to_run) == ("x = 1", 4, 6, "slow")
    assert (second.code, second.indent, second.reason_not_to_run) == ("y = 2", 2, None)
    assert third.language == "bash"


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    shell = "\n".join(b.code for b in blocks_of((REPOSITORY / "README.md").read_text(encoding="utf-8")))
    commands = [line.strip() for line in shell.splitlines() if "pip install" in line and "pytest" in line]
    script = (REPOSITORY / ".ci" / "run").read_text(encoding="utf-8")
    assert all(command in script for command in commands)


def test_the_first_page_begins_with_a_file_to_try_things_on() -> None:
    for page in ("README.md", "docs/index.md", "docs/first-steps.md"):
        first = python_blocks(read(REPOSITORY / page))[0]
        assert "path = usidx.example_file()" in first.code, page
