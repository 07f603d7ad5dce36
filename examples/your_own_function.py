"""A function of your own
======================

A function of your own at every position: lazy, resumable, written back with its parameters.
"""

import numpy as np

import usidx


def width_at(spectrum: np.ndarray, level: float = 0.5) -> int:
    """Count the steps at which the magnitude is above a part of its maximum."""
    magnitude = np.abs(spectrum)
    return int((magnitude > level * magnitude.max()).sum())


raw = usidx.open_main(usidx.example_file())
width = usidx.map_positions(width_at, raw, units="steps", parameters={"level": 0.7}).rename("Width")
group = width.usid.write(name="Width")
print(group)
print(usidx.open_main(raw.usid.history[1]["file"], f"{group}/Width").values)
