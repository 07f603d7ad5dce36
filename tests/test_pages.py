"""What pages and recipes beside the code say twice is what the code says."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
MESSAGES = re.findall(
    r"^### `(.*)`$", (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE
)
#: Of other packages.
FOREIGN = ("KilledWorker",)


def list_texts() -> Iterator[str]:
    """Give every text of the sources, with a gap where a value is filled in."""
    for file in (REPOSITORY / "usidx").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(v.value) if isinstance(v, ast.Constant) else "\0" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@pytest.fixture(scope="module")
def texts() -> str:
    return "\n".join(list_texts())


def test_messages_are_found() -> None:
    assert len(MESSAGES) > 12


@pytest.mark.parametrize("message", [m for m in MESSAGES if m not in FOREIGN])
def test_each_message_is_one_of_ours(message: str, texts: str) -> None:
    parts = [part.strip() for part in message.split("…") if part.strip()]
    assert parts
    for part in parts:
        assert part in texts


def read_project() -> dict[str, object]:
    project: dict[str, object] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    return project


def test_conda_wants_the_same_packages() -> None:
    recipe = (REPOSITORY / "conda/meta.yaml").read_text()
    run = recipe[recipe.index("  run:") : recipe.index("test:")]
    wanted = dict(re.findall(r"- ([\w-]+) >=([\d.]+)", run))
    project = read_project()
    listed = project["dependencies"]
    assert isinstance(listed, list)
    ours = {re.split(r"[\[>]", one)[0]: one.split(">=")[1] for one in listed}
    ours["dask-core"] = ours.pop("dask")
    ours["python"] = str(project["requires-python"]).removeprefix(">=")
    assert wanted == ours


@pytest.mark.parametrize("file", ["CITATION.cff", "conda/meta.yaml"])
def test_versions_are_the_same(file: str) -> None:
    (version,) = re.findall(
        r'^(?:version: |\{% set version = ")([\d.]+)', (REPOSITORY / file).read_text(), re.MULTILINE
    )
    assert version == read_project()["version"]


def test_each_example_is_in_the_gallery() -> None:
    gallery = (REPOSITORY / "docs/gallery.md").read_text(encoding="utf-8")
    patterns = re.findall(r"_(examples/\S+\.py)", gallery)
    shown = {file for pattern in patterns for file in REPOSITORY.glob(pattern)}
    started = {REPOSITORY / "examples" / f"{name}.py" for name in re.findall(r"`examples/(\w+)\.py`", gallery)}
    assert shown | started == set((REPOSITORY / "examples").rglob("*.py"))
