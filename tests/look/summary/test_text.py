"""Summaries say what a scientist asks for, read no data, and cannot be led astray by names."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import xarray as xr

import usidx
from usidx.look.summary.html import summary_html
from usidx.look.summary.text import summary
from usidx.results.provenance import make_opening_step, put_steps
from usidx.results.verbs import record_step
from usidx.simulate import band_excitation

EVIL = "<script>alert(1)</script>\x1b[31m\n"


def unread(shape: tuple[int, ...], dtype: str = "float32") -> Any:
    def fail() -> Any:
        raise AssertionError("a summary read data")

    return da.map_blocks(fail, chunks=tuple((n,) for n in shape), dtype=dtype, meta=np.empty((0,) * len(shape), dtype))


def main(name: str = "Raw_Data", **attrs: str) -> xr.DataArray:
    return xr.DataArray(
        unread((4, 6, 8), "complex64"),
        dims=("Y", "X", "Frequency"),
        coords={
            "Y": ("Y", np.linspace(0, 3e-6, 4), {"usid_role": "position", "units": "m"}),
            "X": ("X", np.linspace(0, 5e-6, 6), {"usid_role": "position", "units": "m"}),
            "Frequency": ("Frequency", np.linspace(300e3, 340e3, 8), {"usid_role": "spectroscopic", "units": "Hz"}),
            "DC_Offset": ((), 1.5, {"usid_role": "spectroscopic", "units": "V"}),
        },
        name=name,
        attrs={"long_name": "Deflection", "units": "V", **attrs},
    )


def test_an_array_at_a_glance() -> None:
    array = put_steps(main(), [make_opening_step("/data/scan.h5", "/M/Raw_Data", "f")])
    assert summary(array) == "\n".join(
        [
            "Raw_Data  Deflection (V)  complex64  1.54 kB, lazy",
            "  positions      Y 4 (0–3 µm), X 6 (0–5 µm)",
            "  spectroscopic  Frequency 8 (300–340 kHz)",
            "  at             DC_Offset 1.5 V",
            "  steps          open scan.h5",
        ]
    )


def test_points_without_a_grid_tell_where_they_lie() -> None:
    points = xr.DataArray(
        unread((5,)),
        dims="position",
        coords={
            "position": ("position", np.arange(5), {"usid_role": "position"}),
            "X": ("position", np.arange(5.0), {"usid_role": "position", "units": "um"}),
            "Y": ("position", np.arange(5.0) * 2, {"usid_role": "position", "units": "um"}),
        },
    )
    assert "positions  position 5 (X 0–4 µm, Y 0–8 µm)" in summary(points)


def test_an_array_without_roles_or_name() -> None:
    text = summary(xr.DataArray(np.zeros((2, 3)), dims=("y", "x")))
    assert text == "(no name)  float64  48 bytes\n  dims  y 2, x 3"


@pytest.mark.parametrize(
    "coordinate",
    [
        np.array(["a", "b"]),
        np.array(["2026-01-01", "2026-01-02"], "datetime64[ns]"),
        np.array([np.nan, np.nan]),
        np.array([True, False]),
        np.array([1, 2]),
    ],
    ids=str,
)
def test_any_coordinate(coordinate: Any) -> None:
    array = xr.DataArray(np.zeros(2), dims="t", coords={"t": coordinate})
    assert "t 2" in summary(array)
    assert "t 2" in summary_html(array)


def test_blocks_are_counted() -> None:
    scan, _ = band_excitation((8, 8), 8, chunks={"Y": 2})
    assert "4.1 kB, lazy in 4 blocks" in summary(scan)


def test_a_result_says_what_made_it() -> None:
    scan = main()
    result = xr.Dataset(
        {"scores": (("Y", "X", "component"), unread((4, 6, 2)), {"units": "V"})}, coords=dict(scan.coords)
    )
    text = summary(record_step(result.drop_dims("Frequency"), scan, "svd", {"n": 2}))
    first, second, *_ = text.splitlines()
    assert first == "Result of svd(n=2) on Raw_Data  1 variable, 280 bytes"
    assert second == "  scores  V  float32  4 × 6 positions (Y 0–3 µm, X 0–5 µm) × 2 component  192 bytes, lazy"


def tree() -> xr.DataTree:
    raw = xr.Dataset({"Raw_Data": main()})
    fields = xr.Dataset({"Amplitude": main("Amplitude"), "Phase": main("Phase")})
    result = {
        "tool": "SHO_Fit",
        "source_000": "/Measurement_000/Channel_000/Raw_Data",
        "timestamp": "2026_01_02-03_04_05",
    }
    extra = xr.Dataset({"completed_positions": ("size_24", np.zeros(24, "uint8"))}, attrs=result)
    made = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"operator": "me", "data_type": "BELineData", "long": "x" * 500, "array": [1, 2]}),
            "/Measurement_000/Channel_000": xr.Dataset(attrs={"gain": 3}),
            "/Measurement_000/Channel_000/Raw_Data": raw,
            "/Measurement_000/Channel_000/Raw_Data-SHO_Fit_000": extra,
            "/Measurement_000/Channel_000/Raw_Data-SHO_Fit_000/Fit": fields,
        }
    )
    made.encoding["source"] = "/data/scan.h5"
    return made


def test_a_file_at_a_glance() -> None:
    lines = summary(tree()).splitlines()
    assert lines[0] == "scan.h5  2 main datasets, 4.61 kB"
    assert [line.split() for line in lines[1:3]] == [["data_type", "BELineData"], ["operator", "me"]]
    shape = "4 × 6 positions (Y 0–3 µm, X 0–5 µm) × 8 Frequency (300–340 kHz)"
    assert lines[4:] == [
        "  Measurement_000",
        "    Channel_000",
        f"      Raw_Data  Deflection (V)  complex64  {shape}  1.54 kB, lazy",
        "      Raw_Data-SHO_Fit_000  result of SHO_Fit on Raw_Data, 2026_01_02-03_04_05",
        "        1 more dataset  completed_positions",
        f"        Fit  2 fields, {shape}",
        "          Amplitude  Deflection (V)  complex64  1.54 kB, lazy",
        "          Phase  Deflection (V)  complex64  1.54 kB, lazy",
    ]
    page = summary_html(tree())
    for said in ("scan.h5", "Raw_Data-SHO_Fit_000", "completed_positions", "300–340 kHz"):
        assert said in page


def test_a_result_that_recorded_its_steps_is_told_with_arguments() -> None:
    attrs = record_step(xr.Dataset(), main(), "svd", {"n": 4}).attrs
    made = xr.DataTree.from_dict({"/Raw_Data-SVD_000": xr.Dataset(attrs=attrs)})
    assert "Raw_Data-SVD_000  result of svd(n=4) on Raw_Data" in summary(made)


def test_a_crowded_file_is_cut_short() -> None:
    made = xr.DataTree.from_dict({f"/group_{n:03d}/below": xr.Dataset() for n in range(300)})
    lines = summary(made).splitlines()
    assert len(lines) < 210
    # 200 lines show 100 groups with one child each.
    assert lines[-1] == "  and 400 more"


def test_names_are_escaped_and_printable() -> None:
    odd = main(EVIL, long_name=EVIL, units=EVIL).rename(X=EVIL)
    # A tree takes no name with a slash.
    inside = EVIL.replace("/", "")
    held = xr.Dataset({inside: main(inside, units=EVIL)}, attrs={EVIL: EVIL, "tool": EVIL})
    below = xr.DataTree.from_dict({"/": xr.Dataset(attrs={EVIL: EVIL}), "/a": held, "/b": xr.Dataset(attrs=held.attrs)})
    for given in (odd, held, below):
        assert "<script" not in summary_html(given)
        assert "&lt;script" in summary_html(given)
        assert "\x1b" not in summary(given)


def test_what_plain_xarray_did_to_a_result_is_told_in_words(tmp_path: Path) -> None:
    path = usidx.example_file(tmp_path / "scan.h5")
    made = usidx.open_main(path, "Raw_Data").usid.svd(2).compute()
    group = made.assign(scores=2 * made.scores).usid.write()
    opened = usidx.open_result(path, group)
    for text in (usidx.summary(usidx.open_tree(path)), usidx.summary(opened)):
        assert re.search(r"[Rr]esult of svd\(n=2.* on Raw_Data, changed since by plain xarray", text)
        assert "xarray()" not in text
    assert str(usidx.history(opened)).splitlines()[-1] == "4. changes by plain xarray"
