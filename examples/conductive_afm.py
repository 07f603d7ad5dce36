"""Conductive AFM
==============

Conductive AFM: a line fitted to each current-voltage curve, and maps of its parameters with errors.
"""

import usidx
from usidx.models import Linear

curves, truth = usidx.simulate.current_voltage((12, 12), 53, kind="ohmic")
main = usidx.write(curves, "conductive_afm.h5")

raw = usidx.open_main("conductive_afm.h5", main)  # lazy, dims (Y, X, Bias)
line = raw.usid.fit(Linear(), dim="Bias").compute()
off = (line.slope - 1 / truth.resistance) / line.slope_stderr
assert 0.6 < float((abs(off) < 1).mean()) < 0.76
print(line.usid.write(), f"conductance {float(line.slope.median()):.2e} {line.slope.units}")

line.usid.plot.maps(variables=["slope", "slope_stderr"]).savefig("conductance.png")
