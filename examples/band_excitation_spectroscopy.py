"""Hysteresis loops by band excitation: fit oscillators, take the phase offset out, fit loops, write all back."""

import usidx

scan, truth = usidx.simulate.beps((16, 16), 48, dc_steps=32, noise=0.01, phase_offset=0.6)
main = usidx.write(scan, "spectroscopy.h5")

raw = usidx.open_main("spectroscopy.h5", main)  # lazy, dims (Y, X, DC_Offset, Frequency)
group = raw.usid.sho_fit().usid.write()  # guess and fit of each position and step, as BGlib lays them out
fitted = usidx.open_result("spectroscopy.h5", group)
print(f"phase offset: {float(fitted.usid.phase_offset()):.2f} rad")

signed = fitted.usid.correct_phase().usid.response().compute()
print(f"largest error of the response: {float(abs(signed - truth.response).max()) * 1e6:.2f} uV")

loops = usidx.open_result("spectroscopy.h5", fitted.usid.loop_fit().usid.write()).compute()
for name in ("v_plus", "v_minus", "imprint"):
    print(f"median error of {name}: {float(abs(loops[name] - truth[name]).median()) * 1e3:.0f} mV")

loops.usid.plot.maps(variables=["v_plus", "v_minus", "imprint", "switchable_polarization"]).savefig("switching.png")
signed.usid.plot.spectra("DC_Offset", limit=3).savefig("loops.png")
