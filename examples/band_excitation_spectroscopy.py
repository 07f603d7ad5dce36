"""Hysteresis loops by band excitation: fit oscillators, take the phase offset out, fit loops, write all back."""

import matplotlib.pyplot as plt

import usidx

scan, truth = usidx.simulate.beps((16, 16), 48, dc_steps=32, noise=0.01, phase_offset=0.6)
usidx.write(scan, "spectroscopy.h5")

raw = usidx.open_main("spectroscopy.h5")  # lazy, dims (Y, X, DC_Offset, Frequency)
group = raw.usid.sho_fit().usid.write()  # guess and fit of each position and step, as BGlib lays them out
fitted = usidx.open_result("spectroscopy.h5", group)
print(f"phase offset: {float(fitted.usid.phase_offset()):.2f} rad")

signed = fitted.usid.correct_phase().usid.response().compute()
print(f"largest error of the response: {float(abs(signed - truth.response).max()) * 1e6:.2f} uV")

loops = usidx.open_result("spectroscopy.h5", fitted.usid.loop_fit().usid.write()).compute()
for name in ("v_plus", "v_minus", "imprint"):
    print(f"median error of {name}: {float(abs(loops[name] - truth[name]).median()) * 1e3:.0f} mV")

loops.usid.plot_maps(variables=["v_plus", "v_minus", "imprint", "switchable_polarization"]).savefig("switching.png")

figure, axes = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
for y, x in ((2, 3), (8, 12), (13, 5)):
    axes.plot(signed.DC_Offset, 1e6 * signed[y, x], ".-", markersize=4, linewidth=1)
axes.set(xlabel="DC offset (V)", ylabel="Response (uV)")
figure.savefig("loops.png", dpi=150)
