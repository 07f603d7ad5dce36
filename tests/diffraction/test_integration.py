"""Integrated deflections beside closed forms and simulated fields."""

import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.diffraction import center_of_mass, phase_contrast
from usidx.errors import ResultError, RoleError, UnitsError, UsidError


def make_field(turned: bool = False, dtype: str = "f8") -> tuple[xr.Dataset, xr.DataArray]:
    """Return deflections by a wave, and the wave, over 24 x 30 positions of 0.5 and 0.25 nm."""
    y = xr.DataArray(0.5 * np.arange(24) + 3, dims="Y", attrs={"units": "nm"})
    x = xr.DataArray(0.25 * np.arange(30), dims="X", attrs={"units": "nm"})
    ky, kx = 2 * np.pi * 2 / 12, 2 * np.pi * 3 / 7.5
    angle = (ky * y + kx * x).assign_coords(Y=y, X=x)
    wave, slope = xr.zeros_like(angle) + np.sin(angle), xr.zeros_like(angle) + np.cos(angle)
    slopes = {n: (k * slope).astype(dtype).assign_attrs(units="mrad") for n, k in {"y": ky, "x": kx}.items()}
    com = usidx.set_roles(xr.Dataset(slopes), position=["Y", "X"])
    return (com.isel(Y=slice(None, None, -1)) if turned else com), wave


@pytest.mark.parametrize("chunks", [None, {"Y": 5, "X": 7}])
@pytest.mark.parametrize("turned", [False, True])
def test_a_wave_comes_back_from_its_slopes(turned: bool, chunks: dict[str, int] | None) -> None:
    com, wave = make_field(turned)
    found = phase_contrast(com if chunks is None else com.chunk(chunks), edges="periodic")
    np.testing.assert_allclose(found, wave.sel(Y=found.Y), atol=1e-12)
    assert (found.name, found.units, found.dims) == ("phase", "mrad nm", ("Y", "X"))
    single = phase_contrast(make_field(turned, "f4")[0], edges="periodic")
    assert single.dtype == "f4"
    tilted = phase_contrast(com + 3, edges="periodic")
    np.testing.assert_allclose(tilted, found, atol=1e-12)


@pytest.mark.parametrize("angle", [90.0, -35.0])
@pytest.mark.parametrize("flip", [False, True])
def test_a_detector_that_is_turned_is_turned_back(flip: bool, angle: float) -> None:
    com, wave = make_field()
    turn = np.deg2rad(-angle)
    y, x = np.cos(turn) * com.y + np.sin(turn) * com.x, np.cos(turn) * com.x - np.sin(turn) * com.y
    seen = xr.Dataset({"y": -y if flip else y, "x": x})
    np.testing.assert_allclose(phase_contrast(seen, rotation=angle, flip=flip, edges="periodic"), wave, atol=1e-12)


def test_mirror_images_do_without_periods() -> None:
    """Waves of any length, whose map does not go on as it began; a tilt of the phase is lost."""
    rng = np.random.default_rng(0)
    place = np.arange(48) / 48
    y, x = place[:, None], place
    com = xr.Dataset(
        {"y": (("Y", "X"), np.zeros((48, 48))), "x": (("Y", "X"), np.zeros((48, 48)))}, {"Y": place, "X": place}
    )
    phase = np.zeros((48, 48))
    for ky, kx, shift in rng.normal(size=(8, 3)) * 6:
        angle = ky * y + kx * x + shift
        phase, com["y"], com["x"] = phase + np.sin(angle), com.y + ky * np.cos(angle), com.x + kx * np.cos(angle)
    phase = phase - com.y.mean().item() * y - com.x.mean().item() * x
    com = usidx.set_roles(com, position=["Y", "X"])
    found = phase_contrast(com)
    assert float((found - phase).std()) < 0.02 * phase.std()
    assert float((phase_contrast(com, edges="periodic") - phase).std()) > 0.2 * phase.std()


def test_the_phase_of_a_known_field_is_found() -> None:
    scan, truth = usidx.simulate.diffraction((24, 24), (32, 32), radius=6.0, counts=1e5)
    found = phase_contrast(center_of_mass(scan))
    assert np.corrcoef(found.values.ravel(), truth.phase.values.ravel())[0, 1] > 0.999
    assert float((found - truth.phase + truth.phase.mean()).std()) < 0.05 * float(truth.phase.std())
    assert found.units == "mrad m"


def test_other_dims_and_missing_positions() -> None:
    com, wave = make_field()
    both = xr.concat([com, 2 * com], xr.DataArray([1.0, 2.0], dims="T")).transpose("Y", "T", "X").chunk({"T": 1})
    both = both.map(lambda v: v.assign_attrs(units="mrad"))
    found = phase_contrast(both, dims=("Y", "X"), edges="periodic")
    assert found.dims == ("Y", "T", "X")
    np.testing.assert_allclose(found.sel(T=2), 2 * wave, atol=1e-12)
    com["y"][3, 4] = np.nan
    gone = phase_contrast(com, edges="periodic")
    assert np.argwhere(np.isnan(gone.values)).tolist() == [[3, 4]]
    assert float(abs(gone - wave).max()) < 0.3


def test_what_cannot_be_integrated_is_refused() -> None:
    com, _ = make_field()
    with pytest.raises(ResultError, match="here are \\['a'\\]"):
        phase_contrast(xr.Dataset({"a": com.y}))
    with pytest.raises(RoleError, match="2 should be worked along"):
        phase_contrast(com.isel(Y=0))
    with pytest.raises(UsidError, match="edges='none'"):
        phase_contrast(com, edges="none")  # type: ignore[arg-type]
    with pytest.raises(UnitsError, match="steps"):
        phase_contrast(com.isel(Y=[0, 1, 3, 7]))
    bent = com.assign(x=com.x.assign_attrs(units="1/nm"))
    with pytest.raises(UnitsError, match="one unit"):
        phase_contrast(bent)
