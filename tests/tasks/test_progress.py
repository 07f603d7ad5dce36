"""What is shown of work that takes long: the iteration that a verb is at, of how many, and what it gained."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit.clusters import QUIET, start_cluster
from usidx.tasks.progress import Iterations, call_named, hear, show_iterations

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
    monkeypatch.setattr("usidx.tasks.progress._SHOWN_AFTER", -1.0)
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
    out = capsys.readouterr().out
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
    written = list_told(capsys.readouterr().out, VERBS[name][1])
    with dask.config.set(scheduler="threads"):
        _, numbers_alone, values_alone = run(name, capsys)
    assert numbers == written[0] == numbers_alone
    np.testing.assert_allclose(values, values_alone, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(written[1], values_alone, rtol=1e-3, atol=1e-9)


def test_the_gain_is_that_of_the_last_step(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    def iterate() -> None:
        watched = Iterations("fit", 3, "error")
        for value in (4.0, 3.0, 3.3):
            watched.tell(value)

    lazy = dask.delayed(iterate)(dask_key_name="mine")
    with show_iterations([lazy]):
        call_named("mine", iterate)
        hear("another", "of someone else")
    assert capsys.readouterr().out.replace("\r", "\n").split("\n")[1:] == [
        "fit: iteration 1 of at most 3, error 4",
        "fit: iteration 2 of at most 3, error 3, 25 % less",
        "fit: iteration 3 of at most 3, error 3.3, 10 % more",
        "",
    ]


def test_a_line_is_no_wider_than_the_terminal(
    watched: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    with show_iterations([]) as line:
        line.tell("x" * 30)
        line.draw_bar(1, 2)
        line.tell("short")
        line.write("\n")
    first, second, third = capsys.readouterr().out.split("\r")[1:]
    assert (first, second) == ("x" * 19, "x" * 19)
    assert third.startswith("short | 50% Complet")
    assert third.endswith("\n")


def test_nothing_is_told_where_nobody_asked(watched: None, capsys: pytest.CaptureFixture[str]) -> None:
    usidx.compute(VERBS["nmf"][0](DATA.chunk({"Y": 4})), progress=False)
    VERBS["nmf"][0](DATA)
    assert capsys.readouterr().out == ""
