"""A stored result is made again from its record, or it is said why not."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

import usidx
from tests.kit import verb_calls
from tests.kit.calls import opened
from tests.kit.pyusid import check_results
from tests.kit.verb_calls import CALLS, Call, spread, write_sources
from usidx.cli import main
from usidx.diffraction import Disk, Mask
from usidx.errors import ReplayError
from usidx.results.declarations import find_declaration
from usidx.results.provenance import PROVENANCE, read_steps

pytestmark = [
    pytest.mark.usefixtures("keep_attrs"),  # some calls compute with what they were given
    pytest.mark.filterwarnings("ignore::usidx.errors.UsidWarning"),
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:.*zero-size array|.*invalid value|.*divide by zero:RuntimeWarning"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("sources")
    write_sources(made)
    (made / "untouched").mkdir()
    shutil.copy(made / "spectra.h5", made / "untouched")
    return made


@pytest.fixture
def scan(folder: Path, tmp_path: Path) -> Path:
    """Return a folder with a file of one's own."""
    shutil.copy(folder / "untouched" / "spectra.h5", tmp_path)
    return tmp_path


def file_of(result: Any) -> str:
    return str(next(step["file"] for step in reversed(read_steps(result)) if step["tool"] == "open"))


def project_changed(scan: Path) -> str:
    """Write what a result that was changed by hand makes of the data; return the group."""
    raw = opened("spectra", scan)
    found = raw.usid.svd(2).compute()
    group: str = usidx.project(found.assign(components=2 * found.components), raw).usid.write(progress=False)
    return group


def test_small_results_that_were_changed_by_hand_are_in_the_record(scan: Path) -> None:
    assert usidx.replay(scan / "spectra.h5", project_changed(scan)).attrs["equal"]


def test_arguments_of_which_nothing_is_known_are_named(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("usidx.results.described._MOST_OF_ALL", 0)
    group = project_changed(scan)
    with pytest.raises(
        ReplayError, match=r"the argument 'result' cannot be made again: .*is not recorded what was done"
    ):
        usidx.replay(scan / "spectra.h5", group)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.verb)
def test_a_result_of_every_verb_is_replayed_and_pyusid_reads_those_of_modes(call: Call, folder: Path) -> None:
    made = call.make(folder)
    group = made.usid.write(progress=False)
    found = usidx.replay(file_of(made), group)
    assert found.attrs["equal"], found
    assert all(float(difference) <= 1e-6 for difference in found.values())
    assert len(found) == (1 if isinstance(made, xr.DataArray) else len(made))
    declared = find_declaration(call.verb)
    if declared is not None and declared.module.startswith("usidx.modes.") and find_spec("pyUSID"):
        assert check_results(file_of(made), group) > 0 or call.verb == "phase_offset"  # which is one number


CHANGES: dict[str, Callable[[xr.DataArray], xr.DataArray]] = {
    "abs": abs,
    "arithmetic": lambda a: 3 - (2 * a - 1) / np.float32(4) ** 2,
    "types": lambda a: (a.astype("complex64") * 2j).imag,
    "real": lambda a: (-a).real,
    "a part": lambda a: a.isel(X=slice(1, 4)).sel(Energy=slice(-2, 2)),
    "strides": lambda a: a.isel(Y=slice(None, None, -1), Energy=slice(1, None, 3)),
    "one line": lambda a: 2 * a.isel(Y=2),
    "another order": lambda a: a.transpose("Energy", "X", "Y"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_plain_xarray_did_before_is_repeated(change: Callable[[xr.DataArray], xr.DataArray], scan: Path) -> None:
    made = usidx.signal.gaussian(change(opened("spectra", scan)), 0.7, dim="Energy")
    assert usidx.replay(scan / "spectra.h5", made.usid.write()).attrs["equal"]


def test_what_plain_xarray_did_after_the_last_verb_is_repeated(scan: Path) -> None:
    made = 2 * opened("spectra", scan).usid.svd(3).isel(component=slice(0, 2))
    assert usidx.replay(scan / "spectra.h5", made.usid.write()).attrs["equal"]


def test_a_variable_of_a_result_that_was_stored_goes_on(scan: Path) -> None:
    path = scan / "spectra.h5"
    first = usidx.open_result(
        path, opened("spectra", scan).usid.fit(usidx.models.Gaussian(), dim="Energy").usid.write()
    )
    made = usidx.signal.normalize(first.amplitude, dim="X")
    assert usidx.replay(path, made.usid.write()).attrs["equal"]


CHAINS: dict[str, Callable[[xr.Dataset], xr.DataArray | xr.Dataset]] = {
    "oscillators": lambda fit: fit.usid.project_loops(),
    "a part of them": lambda fit: fit.isel(Y=slice(1, 2), X=1).usid.project_loops(),
    "loops": lambda fit: fit.usid.loop_fit(mask=xr.DataArray([True, False], dims="Y", name="mask")),
    "their response": lambda fit: fit.usid.correct_phase().usid.response().usid.project_loops(),
}


@pytest.mark.parametrize("goes_on", CHAINS.values(), ids=CHAINS)
def test_what_is_made_of_a_fit_of_oscillators_is_replayed(
    goes_on: Callable[[xr.Dataset], xr.DataArray | xr.Dataset], tmp_path: Path
) -> None:
    path = tmp_path / "beps.h5"
    usidx.write(usidx.simulate.beps((2, 2), 12, dc_steps=8)[0], path, progress=False)
    made = goes_on(usidx.open_main(path).usid.sho_fit())
    group = made.usid.write(progress=False)
    assert usidx.replay(path, group).attrs["equal"]
    assert made.usid.write(progress=False) == group  # it is known again
    (row,) = usidx.run(made.usid.recipe(), path)
    assert row.status in ("done", "there"), row.reason


def test_atoms_that_were_moved_by_hand_are_kept_in_the_record(tmp_path: Path) -> None:
    path = tmp_path / "atoms.h5"
    usidx.write(usidx.simulate.atoms((48, 48), spacing=0.24)[0], path, progress=False)
    atoms = usidx.image.find_atoms(usidx.open_main(path))
    other = atoms.compute()
    other = other.assign(y=other.y + 1e-3 * other.y.mean())
    for made in (usidx.image.displacements(atoms, other), usidx.image.strain(atoms, usidx.image.lattice(other))):
        assert usidx.replay(path, made.usid.write(progress=False)).attrs["equal"]


def test_a_dim_that_only_counts_keeps_its_coordinate(tmp_path: Path) -> None:
    path = tmp_path / "atoms.h5"
    usidx.write(usidx.simulate.atoms((48, 48), spacing=0.24)[0], path, progress=False)
    made = usidx.image.neighbours(usidx.image.find_atoms(usidx.open_main(path)), n=3)
    made.usid.write(progress=False)
    (row,) = usidx.run(made.usid.recipe(), path)
    assert row.status in ("done", "there"), row.reason
    for group in usidx.list_results(path):
        opened_again = usidx.open_result(path, group)
        assert opened_again.neighbour.values.tolist() == [0, 1, 2]
        assert "neighbour" in opened_again.coords


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda a: a + a.mean(), "not recorded what was done to its input"),
        (lambda a: a.compute() + 1, "not recorded what was done to its input"),
        (lambda a: a.isel(Energy=[0, 1, 3, 4, 9]), "which 5 of 16 cells along 'Energy'"),
        (lambda a: a.isel(Energy=[0, 3, 2, 1, 4]), "which 5 of 16 cells along 'Energy'"),
        (lambda a: a.assign_coords(Energy=2 * a.Energy), "which 16 of 16 cells along 'Energy'"),
    ],
    ids=["unknown", "in memory", "uneven", "shuffled", "another axis"],
)
def test_what_cannot_be_repeated_is_named(
    change: Callable[[xr.DataArray], xr.DataArray], reason: str, scan: Path
) -> None:
    made = change(opened("spectra", scan)).usid.svd(2)
    with pytest.raises(ReplayError, match=f"Step 2, svd, cannot be run again: .*{reason}"):
        usidx.replay(scan / "spectra.h5", made.usid.write())


PIXELS = np.hypot(*np.mgrid[-12:12, -14:14]) < 6
MASKS: dict[str, tuple[str, Callable[[xr.DataArray], Any]]] = {
    "an array": ("patterns", lambda a: usidx.diffraction.center_of_mass(a, mask=PIXELS)),
    "with labels": (
        "patterns",
        lambda a: usidx.diffraction.center_of_mass(a, mask=xr.DataArray(PIXELS, dims=a.dims[2:])),
    ),
    "detectors": (
        "patterns",
        lambda a: usidx.diffraction.virtual_image(
            a, {"disk": Disk((0, 0), 4), "mask": Mask(PIXELS), "weights": Mask(PIXELS / np.float32(3))}
        ),
    ),
    "one detector": ("patterns", lambda a: usidx.diffraction.virtual_image(a, Mask(PIXELS))),
    "shifts": (
        "frames",
        lambda a: usidx.image.shift(a, xr.Dataset({"shift_Y": 0.3, "shift_X": ("Frame", [0, 1, 2, 3])})),
    ),
    "an image": ("frames", lambda a: usidx.image.register(a, a.isel(Frame=0).compute().round(2))),
}


@pytest.mark.parametrize(("source", "call"), MASKS.values(), ids=MASKS)
def test_arrays_that_were_arguments_are_recorded(
    source: str, call: Callable[[xr.DataArray], Any], folder: Path
) -> None:
    group = call(opened(source, folder)).usid.write(progress=False)
    assert usidx.replay(folder / f"{source}.h5", group).attrs["equal"]


def test_arrays_that_would_make_the_record_long_are_named(folder: Path) -> None:
    weights = np.random.default_rng(0).random((300, 300))
    raw = usidx.set_roles(
        xr.DataArray(weights[:2, :2, None, None] * weights, dims=("Y", "X", "v", "u")), position=["Y", "X"]
    )
    raw = usidx.set_roles(raw, spectroscopic=["v", "u"])
    usidx.write(raw, folder / "wide.h5", progress=False)
    made = usidx.diffraction.virtual_image(usidx.open_main(folder / "wide.h5"), Mask(weights))
    with pytest.raises(
        ReplayError, match=r"of the argument 'detector', an array of shape .*only a digest was recorded"
    ):
        usidx.replay(folder / "wide.h5", made.usid.write(progress=False))


def test_another_result_in_the_group_differs(scan: Path) -> None:
    path, made = scan / "spectra.h5", opened("spectra", scan).usid.svd(2)
    group = made.usid.write()
    with h5py.File(path, "r+") as file:
        held = file[f"{group}/S"]
        held[0] *= 1.01
    found = usidx.replay(path, group)
    assert not found.attrs["equal"]
    assert float(found.singular_values) == pytest.approx(0.01 / 1.01)
    assert float(found.components) < 1e-6
    assert usidx.replay(path, group, rtol=0.1).attrs == {"group": group, "rtol": 0.1, "equal": True}


@pytest.mark.parametrize(("value", "expected"), [(np.nan, np.inf), (0.5, 0.5)])
def test_cells_and_labels_are_compared(value: float, expected: float, scan: Path) -> None:
    path, made = scan / "spectra.h5", opened("spectra", scan).usid.cluster("kmeans", 2)
    group = made.usid.write()
    with h5py.File(path, "r+") as file:
        labels, response = file[f"{group}/Labels"], file[f"{group}/Mean_Response"]
        labels[:5] = 1 - labels[:5]  # of 20
        response[0, 0] = np.nan if np.isnan(value) else 2 * np.max(np.abs(response[()]))
    found = usidx.replay(path, group)
    assert float(found.labels) == 0.25
    assert float(found.mean_response) == pytest.approx(expected, abs=0.5) or np.isinf(expected)
    assert np.isinf(float(found.mean_response)) == np.isinf(expected)


def test_a_source_that_changed_is_a_reason(scan: Path) -> None:
    path, group = scan / "spectra.h5", opened("spectra", scan).usid.svd(2).usid.write()
    with h5py.File(path, "r+") as file:
        file["Measurement_000/Channel_000/Counts"][3, 7] += 1.0
    with pytest.raises(ReplayError, match=r"The source '/Measurement_000/Channel_000/Counts' changed since"):
        usidx.replay(path, group)


def test_a_function_is_called_only_if_it_is_there_and_the_same(scan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, made = scan / "spectra.h5", opened("spectra", scan).usid.map_positions(spread)
    group = made.usid.write()
    monkeypatch.setattr(verb_calls, "spread", verb_calls.mean)
    with pytest.raises(ReplayError, match=r"the function 'tests\.kit\.verb_calls\.spread' was changed since"):
        usidx.replay(path, group)
    for name in [n for n in sys.modules if n == "tests" or n.startswith("tests.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ReplayError, match=r"is not loaded: import its module 'tests\.kit\.verb_calls' first"):
        usidx.replay(path, group)


def test_a_source_in_another_file_is_read_only_if_it_is_named(scan: Path, tmp_path: Path) -> None:
    group = opened("spectra", scan).usid.svd(2).usid.write(tmp_path / "results.h5")
    with pytest.raises(ReplayError, match=r"made of '/Measurement_000/Channel_000/Counts' in .*Name the file: source="):
        usidx.replay(tmp_path / "results.h5", group)
    assert usidx.replay(tmp_path / "results.h5", group, source=scan / "spectra.h5").attrs["equal"]


def test_a_file_that_was_moved_is_replayed_where_it_is(scan: Path, tmp_path: Path) -> None:
    made = opened("spectra", scan)
    group = usidx.project(made.usid.svd(2), made).usid.write()
    moved = (scan / "spectra.h5").rename(tmp_path / "moved.h5")
    assert usidx.replay(moved, group).attrs["equal"]


def rewrite(path: Path, group: str, change: Callable[[list[dict[str, Any]]], Any]) -> None:
    """Change what a group records, as a stranger might."""
    with h5py.File(path, "r+") as file:
        steps = json.loads(file[group].attrs[PROVENANCE])
        change(steps)
        file[group].attrs[PROVENANCE] = json.dumps(steps)


@pytest.mark.parametrize(
    ("tool", "parameters", "reason"),
    [
        ("os.system", {"command": "true"}, "no verb that usidx knows"),
        ("write", {}, "no verb that usidx knows"),
        ("svd", {"n": 2, "mask": {"dims": {"Y": 4}, "name": "mask", "digest": "0"}}, "only its name and a digest"),
        ("svd", {"n": 2, "mask": {"shape": [999], "dtype": "bool", "digest": "0"}}, r"an array of shape \[999\]"),
        ("signal.gaussian", {}, "the argument 'sigma' was not recorded"),
        ("svd", {"n": 999}, "it failed: "),
        ("decompose", {"estimator": "PCA(__import__('os').getpid())"}, "more to it than its text says"),
        ("decompose", {"estimator": "Popen(args='true')"}, "'Popen' is none of sklearn.decomposition"),
        ("signal.fft_filter", {"filters": ["LowPass(wide=1)"]}, r"'LowPass\(wide=1\)' cannot be made"),
        ("map_positions", {"function": "<os.system 00ff>"}, "the function 'os.system' was changed"),
        ("map_positions", {"function": "<strange_module.run 00ff>"}, "import its module 'strange_module' first"),
        ("fit", {"model": {"model": "Strange"}}, "its model cannot be made again: No model named 'Strange'"),
    ],
)
def test_nothing_that_a_file_names_is_run(tool: str, parameters: dict[str, Any], reason: str, scan: Path) -> None:
    path, group = scan / "spectra.h5", opened("spectra", scan).usid.svd(2).usid.write()
    rewrite(path, group, lambda steps: steps[-1].update(tool=tool, parameters=parameters))
    with pytest.raises(ReplayError, match=reason):
        usidx.replay(path, group)
    assert "strange_module" not in sys.modules


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ({"selection": {"Y": 3, "X": 3, "Energy": 3}}, "does not fit its input"),
        ({"selection": {"Z": {"size": 1}}}, "it is not recorded where along 'Y'"),
        ({"selection": {}, "operations": [{"operation": "eval"}]}, "in a way that is not known"),
        ({"selection": {}, "operations": [{"operation": "mul", "number": "2; exit"}]}, "which is no number"),
        ({"selection": {}, "operations": [{"operation": "astype", "dtype": "O"}]}, "'O' is no type of numbers"),
        ({"selection": {}, "operations": 5}, "does not fit together"),
        ({"selection": {"Y": {"size": "x"}, "X": {"size": 5}, "Energy": {"size": 16}}}, "does not fit together"),
        ({"selection": {"Y": {"size": float("nan")}, "X": {}, "Energy": {}}}, "does not fit together"),
    ],
)
def test_records_that_make_no_sense_are_refused(since: Any, reason: str, scan: Path) -> None:
    path, group = scan / "spectra.h5", opened("spectra", scan).usid.svd(2).usid.write()
    rewrite(path, group, lambda steps: steps[-1]["input"].update(since_last_step=since))
    with pytest.raises(ReplayError, match=reason):
        usidx.replay(path, group)


@pytest.mark.parametrize(("key", "value"), [("dims", None), ("dims", 5), ("name", {"a": 1})])
def test_records_of_an_input_that_are_damaged_are_refused(key: str, value: Any, scan: Path) -> None:
    path, group = scan / "spectra.h5", (opened("spectra", scan) * 2.0).usid.svd(2).usid.write()
    rewrite(path, group, lambda steps: steps[-1]["input"].update({key: value}))
    with pytest.raises(ReplayError, match="does not fit together"):
        usidx.replay(path, group)


def test_groups_without_steps_and_steps_without_a_source_are_refused(scan: Path) -> None:
    path, group = scan / "spectra.h5", opened("spectra", scan).usid.svd(2).usid.write()
    rewrite(path, group, lambda steps: steps.pop(0))
    with pytest.raises(ReplayError, match="not recorded which file it was made of"):
        usidx.replay(path, group)
    rewrite(path, group, lambda steps: steps.clear())
    with pytest.raises(
        ReplayError, match=r"'/Measurement_000/Channel_000/Counts-SVD_000' records no steps: they cannot"
    ):
        usidx.replay(path, "SVD_000")


def test_the_command_tells_differences_and_reasons_by_its_exit_code(
    scan: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, group = scan / "spectra.h5", opened("spectra", scan).usid.svd(2).usid.write()
    assert main(["replay", str(path), "SVD_000"]) == 0
    said = capsys.readouterr().out
    assert said.splitlines()[-1] == f"{group}: equal, to 1e-06"
    assert "singular_values" in said
    with h5py.File(path, "r+") as file:
        file[f"{group}/S"][0] = 0.0
    assert main(["replay", str(path), "SVD_000"]) == 1
    assert "different" in capsys.readouterr().out
    rewrite(path, group, lambda steps: steps[-1].update(tool="strange"))
    assert main(["replay", str(path), "SVD_000"]) == 2
    assert "no verb that usidx knows" in capsys.readouterr().err
