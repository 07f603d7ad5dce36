"""What a fitted hysteresis loop is called in memory and in the old tools' compound datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from usidx.results.fit_names import GUESS, STDERR, FitNames

__all__ = ["LOOP_NAMES"]

#: Fields of ``loop_fit32``: the parameters as the paper numbers them.
_LOOP_FIELDS: Final[Mapping[str, str]] = {
    "r_minus": "a_0",
    "switchable_polarization": "a_1",
    "v_minus": "a_2",
    "v_plus": "a_3",
    "slope": "a_4",
    "falling_width_below": "b_0",
    "falling_width_above": "b_1",
    "rising_width_below": "b_2",
    "rising_width_above": "b_3",
}
#: Fields of ``loop_metrics32``.
_LOOP_METRICS: Final[Mapping[str, str]] = {
    "area": "Area",
    "centroid_x": "Centroid x",
    "centroid_y": "Centroid y",
    "rotation_angle": "Rotation Angle [rad]",
    "offset": "Offset",
}
#: Fields of ``switching32``.
_SWITCHING_FIELDS: Final[Mapping[str, str]] = {
    "v_plus": "V+",
    "v_minus": "V-",
    "imprint": "Imprint",
    "r_plus": "R+",
    "r_minus": "R-",
    "switchable_polarization": "Switchable Polarization",
    "work_of_switching": "Work of Switching",
    "nucleation_bias_1": "Nucleation Bias 1",
    "nucleation_bias_2": "Nucleation Bias 2",
}
#: Fields of ``crit32``.
_LOOP_CRITERIA: Final[Mapping[str, str]] = {
    "aic_loop": "AIC_loop",
    "bic_loop": "BIC_loop",
    "aic_line": "AIC_line",
    "bic_line": "BIC_line",
}
#: ``Loop_Fit`` of BGlib, with what it cannot hold beside it.
LOOP_NAMES: Final = FitNames(
    "Loop_Fit",
    fields=_LOOP_FIELDS,
    shows_units=False,
    others={
        "Loop_Metrics": _LOOP_METRICS,
        "Fit_Loop_Parameters": _SWITCHING_FIELDS,
        "Guess_Loop_Parameters": {f"{n}{GUESS}": t for n, t in _SWITCHING_FIELDS.items()},
        "Loop_Parameters_stderr": {
            **{f"{n}{STDERR}": t for n, t in _SWITCHING_FIELDS.items() if n not in _LOOP_FIELDS},
            f"area{STDERR}": "Area",
        },
        "Loop_Criteria": _LOOP_CRITERIA,
    },
    datasets={"projected_loops": "Projected_Loops"},
    attributes={
        "projection_method": "usidx principal axis",
        "guess_method": "usidx area and branches",
        "fit_method": "usidx functional",
    },
    told=dict.fromkeys(("Fit_Loop_Parameters", "Guess_Loop_Parameters"), ("nuc_threshold",)),
    source="Fit",
)
