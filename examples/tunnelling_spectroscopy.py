"""Tunnelling spectroscopy
=======================

Tunnelling spectroscopy: from current by bias to differential and normalised conductance, and a map of the gap.
"""

import matplotlib.pyplot as plt

import usidx

curves, truth = usidx.simulate.current_voltage((32, 32), 401, noise=1e-4)
main = usidx.write(curves, "tunnelling.h5")

raw = usidx.open_main("tunnelling.h5", main)  # lazy, dims (Y, X, Bias)
slope = raw.usid.didv()
ratio = raw.usid.normalized_conductance(broadening=1.0)
found = slope.usid.gap(inside=(-0.3, 0.3))
print("wrote", found.usid.write())

found = found.compute()
error = float(abs(found.gap - truth.gap).median())
assert error < 0.01, f"the gap is off by {error * 1e3:.0f} mV"

found.usid.plot.maps(variables=["gap", "valence_edge", "conduction_edge"]).savefig("gap.png")

figure, (left, right) = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for y, x in ((4, 4), (16, 20), (28, 10)):
    left.plot(slope.Bias, 1e9 * slope[y, x], linewidth=1)
    right.plot(ratio.Bias, ratio[y, x], linewidth=1)
left.set(xlabel="Bias (V)", ylabel="dI/dV (nA/V)")
right.set(xlabel="Bias (V)", ylabel="(dI/dV) / (I/V)")
figure.savefig("conductance.png", dpi=150)
