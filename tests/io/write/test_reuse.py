"""Whether the same work is found again, and nothing else: functions, arrays that were named or kept, and files."""

import functools
import operator
import shutil
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask.array as da
import h5py
import numba
import numpy as np
import pytest
import xarray as xr
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA, FastICA

import usidx
from usidx.errors import ResultError
from usidx.io.read.chunks.content import digest_content
from usidx.testing.files import build_main

CHANNEL = "/Measurement_000/Channel_000/Raw_Data"
BIAS = np.linspace(-1, 1, 6)
FACTOR = 2.0

Function = Callable[[Any], Any]


def build(path: Path, *, seed: int = 0, **options: Any) -> Path:
    data = np.random.default_rng(seed).uniform(1, 2, (8, 3, 6))
    position = [("Y", "m", 1e-6 * np.arange(8)), ("X", "m", 2e-6 * np.arange(3))]
    build_main(path, data, position, [("Bias", "V", BIAS)], **options)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    return build(tmp_path / "scan.h5")


def write_mapped(scan: Path, function: Function, **options: Any) -> str:
    group: str = usidx.map_positions(function, usidx.open_main(scan, CHANNEL), **options).usid.write()
    return group


def close_over(value: Any) -> Function:
    return lambda spectrum: spectrum.sum() * value


def close_over_labelled(value: float) -> Function:
    labelled = xr.DataArray([value, 0.0], dims="k")
    return lambda spectrum: spectrum.sum() * labelled.values[0]


def default_to(value: Any) -> Function:
    def function(spectrum: Any, by: Any = value) -> Any:
        return spectrum.sum() * by

    return function


def define(text: str, name: str = "users_module") -> types.ModuleType:
    """Make a module of the user's, as an edited file is after it was loaded again."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"/home/user/{name}.py", "exec"), vars(module))
    return module


@pytest.fixture
def _modules_go() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("users_"):
            del sys.modules[name]


class Scaled:
    """A callable with a state."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, spectrum: Any) -> Any:
        return spectrum.sum() * self.by

    def apply(self, spectrum: Any) -> Any:
        return spectrum.max() * self.by


class Graphed(Scaled):
    """A callable with an attribute of a common name."""

    def __init__(self, by: float) -> None:
        super().__init__(by)
        self.graph = {"a": 1}


class Slotted:
    """A callable whose state lies in slots."""

    __slots__ = ("by",)

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, spectrum: Any) -> Any:
        return spectrum.sum() * self.by


class HalfSlotted(Slotted):
    """A callable whose state lies in the slots of its parent, beside a dict of its own."""


class Listed(list[float]):
    """A list with a state beside its items."""

    by = 0.0

    def __call__(self, spectrum: Any) -> Any:
        return spectrum.sum() * self.by


class Decorator:
    """A callable that looks like the function that it holds."""

    def __init__(self, function: Function, by: float) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.by = by

    def __call__(self, spectrum: Any) -> Any:
        return self.function(spectrum) * self.by


class Cached(Scaled):
    """A callable that a property tells how to scale."""

    @property
    def factor(self) -> float:
        return self.by

    def __call__(self, spectrum: Any) -> Any:
        return spectrum.sum() * self.factor


def chain(first: Function, second: Function) -> Function:
    return lambda spectrum: second(first(spectrum))


def scale_by(by: Any, spectrum: Any) -> Any:
    return spectrum.sum() * by


def total(spectrum: Any) -> Any:
    return spectrum.sum()


def cache_first(value: float) -> Function:
    @functools.lru_cache
    def by() -> float:
        return value

    return lambda spectrum: spectrum.sum() * by()


def keep_on_itself(value: float) -> Function:
    module = define("def work(s):\n    return s.sum() * work.by\n")
    module.work.by = value
    found: Function = module.work
    return found


def list_with(value: float) -> Function:
    made = Listed([1.0])
    made.by = value
    return made


def mask_by(value: float) -> Function:
    mask = np.ma.masked_array(np.ones(6), mask=np.arange(6) < value)
    return lambda spectrum: float((spectrum * mask).sum())


def raise_to(power: float) -> Function:
    compiled: Function = numba.njit(lambda spectrum: (spectrum**power).sum())
    return compiled


def write_down(text: str) -> Function:
    found: Function = define(text).work
    return found


HELPER = "import numpy as np\ndef help_with(s):\n    return s.sum() * {}\ndef work(s):\n    return help_with(s)\n"
GLOBAL = "LIMIT = {}\ndef work(s):\n    return s.sum() * LIMIT\n"
NESTED = "TABLE = {{'by': [{}]}}\ndef work(s):\n    return (lambda v: v.sum() * TABLE['by'][0])(s)\n"
DECORATED = (
    "import functools\ndef by(value):\n    def wrap(f):\n        @functools.wraps(f)\n"
    "        def call(s):\n            return f(s) * value\n        return call\n    return wrap\n"
    "@by({})\ndef work(s):\n    return s.sum()\n"
)
CLASS = (
    "class Tool:\n    by = {}\n    def run(self, s):\n        return s.sum() * self.by\n"
    "def work(s):\n    return Tool().run(s)\n"
)


def import_helper(value: float) -> Function:
    """Return a function that calls another module of the user's by its name."""
    define(f"def help_with(s):\n    return s.sum() * {value}\n", "users_helper")
    found: Function = define("import users_helper\ndef work(s):\n    return users_helper.help_with(s)\n").work
    return found


def import_from_helper(value: float) -> Function:
    define(f"BY = {value}\ndef help_with(s):\n    return s.sum() * BY\n", "users_helper")
    found: Function = define("from users_helper import help_with\ndef work(s):\n    return help_with(s)\n").work
    return found


def import_package(value: float) -> Function:
    """Return a function that goes through a package of the user's to a module of it."""
    package = define("", "users_package")
    package.part = define(f"def help_with(s):\n    return s.sum() * {value}\n", "users_package.part")  # type: ignore[attr-defined]
    found: Function = define("import users_package\ndef work(s):\n    return users_package.part.help_with(s)\n").work
    return found


def import_inside(value: float) -> Function:
    """Return a function that imports a module of the user's when it runs."""
    define(f"def help_with(s):\n    return s.sum() * {value}\n", "users_helper")
    text = "def work(s):\n    from users_helper import help_with\n    return help_with(s)\n"
    found: Function = define(text).work
    return found


MAKERS: dict[str, Callable[[float], Any]] = {
    "closure": close_over,
    "closure over an array": lambda v: close_over(np.full(3, v)),
    "default": default_to,
    "keyword default": lambda v: write_down(f"def work(s, *, by={v}):\n    return s.sum() * by\n"),
    "constant": lambda v: write_down(f"def work(s):\n    return s.sum() * {v}\n"),
    "global": lambda v: write_down(GLOBAL.format(v)),
    "global in a lambda inside": lambda v: write_down(NESTED.format(v)),
    "helper beside it": lambda v: write_down(HELPER.format(v)),
    "helper in another module": import_helper,
    "helper imported by name": import_from_helper,
    "helper in a package": import_package,
    "helper imported when it runs": import_inside,
    "decorator": lambda v: write_down(DECORATED.format(v)),
    "class beside it": lambda v: write_down(CLASS.format(v)),
    "numba, closure": raise_to,
    "partial": lambda v: functools.partial(scale_by, v),
    "partial of a keyword": lambda v: (
        functools.partial(scale_by, spectrum=None) if v < 0 else functools.partial(scale_by, v)
    ),
    "callable object": Scaled,
    "slots": Slotted,
    "slots of a parent": HalfSlotted,
    "list with a state": list_with,
    "class that decorates": lambda v: Decorator(total, v),
    "cache around a function": cache_first,
    "attribute of the function": keep_on_itself,
    "masked array": mask_by,
    "labelled array": close_over_labelled,
    "object with a graph": Graphed,
    "property": Cached,
    "bound method": lambda v: Scaled(v).apply,
    "poly1d": lambda v: lambda s: np.poly1d([v, 1.0])(s),
    "chained": lambda v: chain(np.sum, close_over(v)),
    "ufunc method": lambda v: functools.partial(np.add.reduce, initial=v),
}


@pytest.mark.usefixtures("_modules_go")
@pytest.mark.parametrize("kind", MAKERS)
def test_another_function_of_the_same_name_is_another_result(scan: Path, kind: str) -> None:
    raw = usidx.open_main(scan).values
    groups = []
    for value in (2.0, 3.0):
        function = MAKERS[kind](value)
        expected = np.array([[function(spectrum) for spectrum in row] for row in raw])
        groups.append(write_mapped(scan, function))
        found = usidx.open_result(scan, groups[-1])
        np.testing.assert_allclose(next(iter(found.data_vars.values())).values, expected)
    assert len(set(groups)) == 2


@pytest.mark.usefixtures("_modules_go")
@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_function_made_again_is_the_same_result(scan: Path, kind: str) -> None:
    first = write_mapped(scan, MAKERS[kind](2.0))
    assert write_mapped(scan, MAKERS[kind](2.0)) == first


def test_a_function_whose_global_changes_is_another(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = write_mapped(scan, multiply)
    monkeypatch.setattr(sys.modules[__name__], "FACTOR", 5.0)
    second = write_mapped(scan, multiply)
    assert second != first
    np.testing.assert_allclose(usidx.open_result(scan, second).Raw_Data, usidx.open_main(scan).sum("Bias") * 5)


def multiply(spectrum: Any) -> Any:
    return spectrum.sum() * FACTOR


def test_a_state_that_changes_is_another(scan: Path) -> None:
    tool = Scaled(2.0)
    first = write_mapped(scan, tool)
    tool.by = 3.0
    assert write_mapped(scan, tool) != first


def test_what_draws_numbers_is_not_found_again(scan: Path) -> None:
    rng = np.random.default_rng(0)
    first = write_mapped(scan, lambda s: s.sum() + rng.uniform())
    assert write_mapped(scan, lambda s: s.sum() + rng.uniform()) != first


@pytest.mark.parametrize("chunks", ["auto", None])
def test_a_function_that_holds_what_is_in_a_file_is_not_found_again(scan: Path, chunks: Any) -> None:
    ground = usidx.open_main(scan, CHANNEL, chunks=chunks)
    first = write_mapped(scan, lambda s: (s - ground[4, 1].values).sum())
    assert write_mapped(scan, lambda s: (s - ground[4, 1].values).sum()) != first


def masked_blocks(raw: xr.DataArray, value: float) -> xr.DataArray:
    masked = np.ma.masked_array(raw.values, mask=raw.values > value)
    blocks = da.from_array(masked, chunks=(2, 3, 6), asarray=False, name="mine-" + "d" * 32)
    return raw.copy(data=blocks.map_blocks(np.ma.filled, 0.0, dtype="f8", meta=np.empty((0, 0, 0))))


def test_another_mask_is_another_array(scan: Path) -> None:
    groups = []
    for value in (1.2, 1.7):
        changed = masked_blocks(usidx.open_main(scan, CHANNEL), value)
        groups.append(CALLS["map_positions"](changed).usid.write(progress=False))
        assert same(opened(scan, groups[-1]), CALLS["map_positions"](changed.compute()))
    assert len(set(groups)) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda r: usidx.decompose(r, PCA(2)), lambda r: usidx.decompose(r, PCA(2, whiten=True))),
        (lambda r: usidx.decompose(r, PCA(2)), lambda r: usidx.decompose(r, PCA(3))),
        (
            lambda r: usidx.decompose(r, FastICA(2, random_state=0)),
            lambda r: usidx.decompose(r, FastICA(2, random_state=0, fun="cube")),
        ),
        (
            lambda r: usidx.cluster(r, KMeans(2, random_state=0)),
            lambda r: usidx.cluster(r, KMeans(2, random_state=1)),
        ),
    ],
)
def test_another_estimator_is_another_result(scan: Path, one: Any, other: Any) -> None:
    first = one(usidx.open_main(scan)).usid.write()
    assert other(usidx.open_main(scan, CHANNEL)).usid.write() != first
    assert one(usidx.open_main(scan, CHANNEL)).usid.write() == first


CALLS: dict[str, Callable[[xr.DataArray], xr.DataArray | xr.Dataset]] = {
    "svd": lambda raw: usidx.svd(raw, 2),
    "fit": lambda raw: usidx.fit(raw, usidx.models.Linear()),
    "map_positions": lambda raw: usidx.map_positions(np.ptp, raw),
    "didv": lambda raw: usidx.didv(raw, window=3),
}


def correct(scan: Path, row: int = 11) -> None:
    with h5py.File(scan, "r+") as file:
        file[CHANNEL][row] += 1


def same(found: xr.DataArray | xr.Dataset, expected: xr.DataArray | xr.Dataset) -> bool:
    one = found if isinstance(found, xr.Dataset) else found.to_dataset(name="it")
    other = expected if isinstance(expected, xr.Dataset) else expected.to_dataset(name="it")
    return all(np.allclose(one[n], other[n], equal_nan=True) for n in other.data_vars)


def opened(scan: Path, group: str) -> Any:
    found = usidx.open_result(scan, group)
    return next(iter(found.data_vars.values())) if len(found.data_vars) == 1 else found


@pytest.mark.parametrize("verb", CALLS)
def test_a_corrected_row_is_another_source(scan: Path, verb: str) -> None:
    first = CALLS[verb](usidx.open_main(scan)).usid.write()
    correct(scan)
    second = CALLS[verb](usidx.open_main(scan, CHANNEL)).usid.write()
    assert second != first
    assert same(opened(scan, second), CALLS[verb](usidx.open_main(scan, CHANNEL).compute()))


@pytest.mark.parametrize("verb", CALLS)
def test_a_row_corrected_in_a_compressed_source_is_another(tmp_path: Path, verb: str) -> None:
    scan = build(tmp_path / "scan.h5", storage={"chunks": (5, 4), "compression": "gzip"})
    first = CALLS[verb](usidx.open_main(scan)).usid.write()
    assert CALLS[verb](usidx.open_main(scan, CHANNEL)).usid.write() == first
    correct(scan, 12)
    second = CALLS[verb](usidx.open_main(scan, CHANNEL)).usid.write()
    assert second != first
    assert same(opened(scan, second), CALLS[verb](usidx.open_main(scan, CHANNEL).compute()))


@pytest.mark.parametrize("verb", CALLS)
def test_what_was_kept_in_memory_is_not_the_corrected_file(scan: Path, verb: str) -> None:
    kept = usidx.open_main(scan).persist()
    old = CALLS[verb](usidx.open_main(scan).compute())
    correct(scan)
    first = CALLS[verb](kept).usid.write()
    assert same(opened(scan, first), old)
    second = CALLS[verb](usidx.open_main(scan, CHANNEL)).usid.write()
    assert second != first
    assert same(opened(scan, second), CALLS[verb](usidx.open_main(scan, CHANNEL).compute()))
    third = CALLS[verb](kept).usid.write()
    assert same(opened(scan, third), old)


@pytest.mark.parametrize("verb", CALLS)
def test_a_result_kept_in_memory_is_not_that_of_the_corrected_file(scan: Path, verb: str) -> None:
    kept = CALLS[verb](usidx.open_main(scan)).persist()
    old = kept.compute()
    correct(scan)
    first = kept.usid.write()
    assert same(opened(scan, first), old)
    second = CALLS[verb](usidx.open_main(scan, CHANNEL)).usid.write()
    assert second != first
    assert same(opened(scan, kept.usid.write()), old)


def named_array(raw: xr.DataArray, value: float) -> xr.DataArray:
    return raw.copy(data=da.from_array(raw.values * value, chunks=(2, 3, 6), name="mine"))


def named_hash(raw: xr.DataArray, value: float) -> xr.DataArray:
    return raw.copy(data=da.from_array(raw.values * value, chunks=(2, 3, 6), name="mine-" + "a" * 32))


def named_blocks(raw: xr.DataArray, value: float) -> xr.DataArray:
    return raw.copy(data=raw.data.map_blocks(lambda b: b * value, dtype="f8", name="mine"))


def hashed_blocks(raw: xr.DataArray, value: float) -> xr.DataArray:
    return raw.copy(data=raw.data.map_blocks(lambda b: b * value, dtype="f8", name="mine-" + "b" * 32))


def token_blocks(raw: xr.DataArray, value: float) -> xr.DataArray:
    return raw.copy(data=raw.data.map_blocks(operator.mul, value, dtype="f8", token="c" * 32))


def random_blocks(raw: xr.DataArray, value: float) -> Any:
    return raw * da.random.default_rng(int(value)).uniform(size=raw.shape, chunks=raw.data.chunks)


@pytest.mark.parametrize(
    "make",
    [named_array, named_hash, named_blocks, hashed_blocks, token_blocks, random_blocks],
    ids=lambda f: f.__name__,
)
@pytest.mark.parametrize("verb", ["map_positions", "svd"])
@pytest.mark.filterwarnings("ignore:The `token=` keyword:FutureWarning")  # dask of early 2025
def test_a_graph_that_was_named_by_hand_proves_nothing(scan: Path, make: Any, verb: str) -> None:
    groups = []
    for value in (2.0, 3.0):
        changed = make(usidx.open_main(scan, CHANNEL, chunks={"Y": 2}), value)
        groups.append(CALLS[verb](changed).usid.write(progress=False))
        assert same(opened(scan, groups[-1]), CALLS[verb](changed.compute()))
    assert len(set(groups)) == 2


def test_a_linked_or_relative_path_is_the_same_file(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = CALLS["svd"](usidx.open_main(scan)).usid.write()
    link = scan.with_name("link.h5")
    link.symlink_to(scan)
    monkeypatch.chdir(scan.parent)
    for path in (link, Path("scan.h5"), Path("../") / scan.parent.name / "scan.h5", Path("link.h5")):
        result = CALLS["svd"](usidx.open_main(path, CHANNEL))
        assert result.usid.write() == first
        assert result.usid.write(scan) == first
        assert CALLS["svd"](usidx.open_main(scan, CHANNEL)).usid.write(path) == first
    monkeypatch.chdir(scan.parent.parent)
    assert CALLS["svd"](usidx.open_main(scan, CHANNEL)).usid.write() == first


def test_copies_are_written_each_by_itself(scan: Path) -> None:
    copy = scan.with_name("copy.h5")
    shutil.copy(scan, copy)
    results = {path: CALLS["svd"](usidx.open_main(path)) for path in (scan, copy)}
    groups = {path: result.usid.write() for path, result in results.items()}
    assert all(usidx.list_results(path) == [groups[path]] for path in groups)
    correct(copy)
    other = CALLS["svd"](usidx.open_main(copy, CHANNEL)).usid.write()
    assert other != groups[copy]
    assert usidx.list_results(scan) == [groups[scan]]


def test_a_moved_file_is_worked_on_where_it_is(scan: Path) -> None:
    result = CALLS["svd"](usidx.open_main(scan))
    result.usid.write()
    moved = scan.with_name("moved.h5")
    scan.rename(moved)
    with pytest.raises(ResultError, match="is gone"):
        result.usid.write()
    group = CALLS["svd"](usidx.open_main(moved, CHANNEL)).usid.write()
    assert not scan.exists()
    assert same(opened(moved, group), CALLS["svd"](usidx.open_main(moved, CHANNEL).compute()))


def credited(path: Path, group: str) -> set[tuple[str, str]]:
    """Return (file, dataset) of all sources of a group, by its attributes."""
    found = set()
    with h5py.File(path) as file:
        attrs = file[group].attrs
        for number in range(int(attrs["num_source_dsets"])):
            if f"source_{number:03d}" in attrs:
                found.add((str(path), file[attrs[f"source_{number:03d}"]].name))
            else:
                endings = ["", f"_{number:03d}"] if number == 0 else [f"_{number:03d}"]
                ending = next(e for e in endings if f"source_file_path{e}" in attrs)
                found.add((attrs[f"source_file_path{ending}"], attrs[f"source_dataset_path{ending}"]))
    return found


def joined(scans: list[Path], how: str, *, lazy: bool) -> Any:
    if how == "open_mfdataset":
        whole = xr.open_mfdataset(
            scans, engine="usid", group=CHANNEL, combine="nested", concat_dim="Run", parallel=False
        ).Raw_Data
        return whole if lazy else whole.compute()
    raws = [usidx.open_main(scan) if lazy else usidx.open_main(scan).compute() for scan in scans]
    if how == "concat":
        return xr.concat(raws, dim="Run")
    if how == "concat along Y":
        return xr.concat([r.assign_coords(Y=r.Y + k) for k, r in enumerate(raws)], dim="Y")
    if how == "sum":
        return raws[0] + raws[1]
    merged = xr.merge([r.rename(f"r{k}") for k, r in enumerate(raws)]).to_dataarray("Run").rename("Raw_Data")
    return merged.assign_coords(Run=range(2))


HOWS = ["concat", "concat along Y", "merge", "sum", "open_mfdataset"]


@pytest.mark.parametrize("how", HOWS)
def test_work_on_several_files_credits_all(tmp_path: Path, how: str) -> None:
    scans = [build(tmp_path / f"{k}.h5", seed=k) for k in range(2)]
    result = usidx.map_positions(np.ptp, joined(scans, how, lazy=True), dim="Bias")
    with pytest.raises(ResultError, match="several files"):
        result.usid.write()
    assert [usidx.list_results(s) for s in scans] == [[], []]
    group = result.to_dataset(name="it").usid.write(tmp_path / "new.h5")
    assert credited(tmp_path / "new.h5", group) == {(str(s), CHANNEL) for s in scans}


@pytest.mark.parametrize("how", HOWS)
def test_work_on_several_files_in_memory_is_not_put_into_one(tmp_path: Path, how: str) -> None:
    scans = [build(tmp_path / f"{k}.h5", seed=k) for k in range(2)]
    result = usidx.map_positions(np.ptp, joined(scans, how, lazy=False), dim="Bias")
    expected = result.values
    try:
        group = result.usid.write()
    except ResultError:
        assert [usidx.list_results(s) for s in scans] == [[], []]
        return
    assert CALLS["map_positions"](usidx.open_main(scans[0], CHANNEL)).usid.write() != group
    np.testing.assert_allclose(opened(scans[0], group).values, expected)


def test_arrays_of_one_file_are_both_credited(tmp_path: Path) -> None:
    scan = build(tmp_path / "scan.h5")
    other = usidx.write(usidx.open_main(scan).compute() * 2, scan, name="Doubled")
    both = usidx.open_main(scan, CHANNEL) + usidx.open_main(scan, other)
    group = usidx.map_positions(np.ptp, both).usid.write()
    assert credited(scan, group) == {(str(scan), CHANNEL), (str(scan), other)}
    with h5py.File(scan, "r+") as file:
        file[other][3] += 1
    both = usidx.open_main(scan, CHANNEL) + usidx.open_main(scan, other)
    again = usidx.map_positions(np.ptp, both).usid.write()
    assert again != group
    np.testing.assert_allclose(opened(scan, again).values, np.ptp(both.values, axis=-1))


def test_an_array_that_is_a_result_gets_no_step_that_nobody_made(scan: Path) -> None:
    group = CALLS["didv"](usidx.open_main(scan)).usid.write()
    assert [step["tool"] for step in usidx.history(usidx.open_result(scan, group))][:2] == ["open", "didv"]
    with h5py.File(scan) as file:
        assert '"tool": "xarray"' not in file[group].attrs["usid_provenance"]


def test_a_source_is_read_once_for_all_groups_that_may_be_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = usidx.example_file(str(tmp_path / "scan.h5"))
    groups = [usidx.open_main(path).usid.svd(2).usid.write(reuse=False, progress=False) for _ in range(3)]
    digested: list[str] = []

    def count(dataset: h5py.Dataset) -> str | None:
        digested.append(str(dataset.name))
        return digest_content(dataset)

    monkeypatch.setattr("usidx.io.write.reuse.digest_content", count)
    assert usidx.open_main(path).usid.svd(2).usid.write(progress=False) == max(groups)
    assert digested == ["/Measurement_000/Channel_000/Raw_Data"]
