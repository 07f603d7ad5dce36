"""What a fitted hysteresis loop is called in memory and in the old tools' compound datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["LOOP_CRITERIA", "LOOP_FIELDS", "LOOP_METRICS", "SWITCHING_FIELDS"]

#: Fields of ``loop_fit32``: the parameters as the paper numbers them.
LOOP_FIELDS: Final[Mapping[str, str]] = {
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
LOOP_METRICS: Final[Mapping[str, str]] = {
    "area": "Area",
    "centroid_x": "Centroid x",
    "centroid_y": "Centroid y",
    "rotation_angle": "Rotation Angle [rad]",
    "offset": "Offset",
}
#: Fields of ``switching32``.
SWITCHING_FIELDS: Final[Mapping[str, str]] = {
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
LOOP_CRITERIA: Final[Mapping[str, str]] = {
    "aic_loop": "AIC_loop",
    "bic_loop": "BIC_loop",
    "aic_line": "AIC_line",
    "bic_line": "BIC_line",
}
