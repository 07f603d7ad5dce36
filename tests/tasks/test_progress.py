"""What is shown of work that takes long: the iteration that a verb is at, of how many, and what it gained."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.clusters import QUIET, start_cluster
from usidx.tasks.progress import (
    Iterations,
    call_named,
    clear_lines,
    count_progress,
    hear,
    name_step,
    show_iterations,
)

pytestmark = QUIET

rng = np.random.default_rng(0)
PROFILES = np.exp(-(((np.linspace(0, 1, 24) - np.array([[0.2], [0.5], [0.8]])) / 0.1) ** 2))
DATA = usidx.set_roles(
    xr.DataArray(
        rng.dirichlet([0.4] * 3, (16, 10)) @ PROFILES + 0.01 * rng.random((16, 10, 24)),
        {"Bias": np.arange(24.0)},
        ("Y", "X", "Bias"),
        "Raw",
    ),
    position=["Y", "X"],
    spectroscopic="Bias",
)

Verb = Callable[[xr.DataArray], xr.Dataset]
#: What each verb is called, what it counts, to how many at most, and what it lowers.
VERBS: dict[str, tuple[Verb, str]] = {
    "nmf": (lambda a: a.usid.nmf(3, max_iter=7, tol=0), "nmf: iteration {} of at most 7, error "),
    "compressed": (lambda a: a.usid.nmf(3, solver="compressed"), "nmf: pass {} of at most 21, error "),
    "kmeans": (lambda a: a.usid.cluster("kmeans", 3, max_iter=9), "kmeans: iteration {} of at most 9, inertia "),
    "mcr_als": (lambda a: a.usid.mcr_als(3, max_iter=4, tol=0), "mcr_als: pass {} of at most 5, error "),
    "ica": (lambda a: a.usid.ica(3, max_iter=50), "ica: iteration {} of at most 50, turned by "),
    "svd": (
        lambda a: a.usid.svd(2, solver="krylov"),
        "svd: pass {} of at most 64, relative error of singular values ",
    ),
    "pca": (
        lambda a: a.usid.pca(2, solver="krylov"),
        "pca: pass {} of at most 64, relative error of singular values ",
    ),
}


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show all at once, as in a wide terminal that somebody looks at."""
    for module in ("progress", "cluster"):
        monkeypatch.setattr(f"usidx.tasks.{module}.is_watched", lambda: True)
    for name in ("_SHOWN_AFTER", "_DRAWN_EVERY"):
        monkeypatch.setattr(f"usidx.tasks.progress.{name}", -1.0)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    pytest.importorskip("distributed")
    with start_cluster(processes=False) as client:
        yield client


def list_told(out: str, said: str) -> tuple[list[int], list[float]]:
    """Return the numbers and values that were told, each once."""
    number, value = r"(\d+)", r"(\S+?)(?:[,\s]|$)"
    found = re.findall(re.escape(said).replace(re.escape("{}"), number) + value, out)
    each = {int(n): float(v) for n, v in found}
    return list(each), list(each.values())


def run(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[xr.Dataset, list[int], list[float]]:
    verb, said = VERBS[name]
    found = usidx.compute(verb(DATA.chunk({"Y": 4})))
    told = capsys.readouterr()
    out = told.err
    assert told.out == ""
    assert out.endswith("\n")
    return found, *list_told(out, said)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", sorted(VERBS))
def test_each_iteration_tells_what_it_gained(
    name: str, streamed: bool, watched: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    found, numbers, values = run(name, capsys)
    assert numbers == list(range(1, len(numbers) + 1))
    assert numbers
    if name in {"nmf", "compressed", "mcr_als"}:
        np.testing.assert_allclose(values[-1], found.reconstruction_error, rtol=1e-3)
    if name == "kmeans":
        np.testing.assert_allclose(values[-1], found.inertia, rtol=1e-3)
    if name in {"svd", "pca"}:
        assert values[-1] <= 1e-7


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["ica", "kmeans", "nmf"])
def test_workers_of_a_cluster_tell_it_too(
    name: str,
    streamed: bool,
    client: Any,
    watched: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if streamed:
        monkeypatch.setattr("usidx.tasks.passes._HELD_BYTES", 0)
    _, numbers, values = run(name, capsys)
    usidx.write(VERBS[name][0](DATA.chunk({"Y": 4})), tmp_path / "scan.h5")
    written = list_told(capsys.readouterr().err, VERBS[name][1])
    with dask.config.set(scheduler="threads"):
        _, numbers_alone, values_alone = run(name, capsys)
    assert numbers == written[0] == numbers_alone
    np.testing.assert_allclose(values, values_alone, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(written[1], values_alone, rtol=1e-3, atol=1e-9)


def read_lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was drawn, without the time, each once: a tick may draw the same again."""
    drawn = [re.sub(r" \[.*?\] *", "", text) for text in re.split(r"[\r\n]", capsys.readouterr().err)]
    return list(dict.fromkeys(text.strip() for text in drawn if text.strip()))


def test_the_gain_is_that_of_the_last_step(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    def iterate() -> None:
        watched = Iterations("fit", 3, "error")
        for value in (4.0, 3.0, 3.3):
            watched.tell(value)

    lazy = dask.delayed(iterate)(dask_key_name="mine")
    with show_iterations([lazy]):
        call_named("mine", iterate)
        hear("another", "of someone else")
    assert read_lines(capsys) == [
        "fit: iteration 1 of at most 3, error 4",
        "fit: iteration 2 of at most 3, error 3, 25 % less",
        "fit: iteration 3 of at most 3, error 3.3, 10 % more",
    ]


def test_a_line_names_the_step_how_far_it_is_and_what_is_left(
    watched: None, capsys: pytest.CaptureFixture[str]
) -> None:
    usidx.compute(DATA.chunk({"Y": 4}).usid.svd(2))
    drawn = capsys.readouterr().err
    assert re.search(r"\rsvd:  *\d+%\|.*\| \d+/\d+ \[\d\d:\d\d, \d\d:\d\d left\]", drawn)
    assert re.search(r"svd: 100%\|█+\| (\d+)/\1 .*\n$", drawn)
    assert drawn.count("\n") == 1


def test_passes_and_nested_work_share_one_line(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    with count_progress(2, progress=True, step="all") as advance:
        for _ in range(2):
            usidx.compute(VERBS["nmf"][0](DATA.chunk({"Y": 4})))
            advance()
    drawn = capsys.readouterr().err
    assert drawn.count("\n") == 1
    assert "nmf: iteration 7 of at most 7" in drawn
    assert re.search(r"all: 100%.* 2/2 ", drawn)


@pytest.mark.parametrize("part", [1, 2])
def test_ctrl_c_ends_the_line(part: int, watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        with count_progress(2, progress=True, step="fit") as advance:
            for _ in range(part):
                advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    drawn = capsys.readouterr().err
    assert drawn.endswith("\n")
    assert drawn.rpartition("\r")[2].startswith("fit:")


def test_a_line_is_no_wider_than_the_terminal(
    watched: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with show_iterations([]) as line:
        line.tell("x" * 30)
        line.count(1, 2)
    drawn = [text for text in re.split(r"[\r\n]", capsys.readouterr().err) if text]
    assert max(map(len, drawn)) <= 19  # the cursor needs a place
    assert drawn[0].startswith("xxxxxxxxx [")


def test_what_else_is_written_gets_a_line_of_its_own(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    with show_iterations([], "fit") as line:
        line.count(1, 2)
        clear_lines()
        sys.stderr.write("a warning\n")
        line.count(2, 2)
    assert re.search(r"\r +\ra warning\n\rfit: 100%", capsys.readouterr().err)


def test_nothing_is_told_where_nobody_asked(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    usidx.compute(VERBS["nmf"][0](DATA.chunk({"Y": 4})), progress=False)
    VERBS["nmf"][0](DATA)
    assert capsys.readouterr().err == ""


def test_a_step_is_named_by_what_was_recorded_and_by_nothing_else() -> None:
    lazy = DATA.chunk({"Y": 4})
    assert name_step([lazy.usid.svd(2), lazy.usid.pca(2), lazy.usid.svd(3)]) == "svd, pca"
    assert name_step([lazy.usid.svd(2).scores], "write") == "write svd"
    assert name_step([lazy, lazy.data, 7]) == "compute"
    for text in ("no JSON", "[]", "{}", "7", '[{"tool": "\\u001b[2J"}]', '[{"tool": 7}]', "[[]]"):
        assert name_step([lazy.assign_attrs(usid_provenance=text)]) == "compute"


class Kernel:
    """What IPython tells of the kernel of a notebook."""

    def __init__(self, *, is_asked: bool) -> None:
        self.kernel = SimpleNamespace(_allow_stdin=is_asked)


@pytest.mark.parametrize("is_asked", [True, False])
def test_a_notebook_shows_one_output_that_goes(
    is_asked: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    display = pytest.importorskip("IPython.display")
    for name in ("_SHOWN_AFTER", "_DRAWN_EVERY"):
        monkeypatch.setattr(f"usidx.tasks.progress.{name}", -1.0)
    shown: list[str] = []
    output = SimpleNamespace(update=lambda data, raw: shown.append(data["text/plain"]))

    def show(data: dict[str, str], raw: bool, display_id: bool) -> Any:
        output.update(data, raw)
        return output

    monkeypatch.setattr("IPython.get_ipython", lambda: Kernel(is_asked=is_asked))
    monkeypatch.setattr(display, "display", show)
    with count_progress(2, progress=True, step="fit") as advance:
        advance()
        advance()
    assert capsys.readouterr().err == ""
    if is_asked:
        assert shown[1].startswith("fit:  50%|█")
        assert shown[-1] == ""
    else:  # run by a program, whose reader wants no bar in the notebook
        assert shown == []
