"""Hysteresis loops
================

Hysteresis loops by band excitation: fit oscillators, take the phase offset out, fit loops, write all back.
"""

import usidx

scan, truth = usidx.simulate.beps((16, 16), 48, dc_steps=32, noise=0.01, phase_offset=0.6)
usidx.write(scan, "spectroscopy.h5")

raw = usidx.open_main("spectroscopy.h5")  # lazy, dims (Y, X, DC_Offset, Frequency)
fitted = usidx.open_result("spectroscopy.h5", raw.usid.sho_fit().usid.write())  # guess and fit, as BGlib lays them out
signed = fitted.usid.correct_phase().usid.response().compute()
loops = usidx.open_result("spectroscopy.h5", fitted.usid.loop_fit().usid.write()).compute()
loops.usid.plot.maps(variables=["v_plus", "v_minus", "imprint", "switchable_polarization"]).savefig("switching.png")
signed.usid.plot.spectra("DC_Offset", limit=3).savefig("loops.png")

assert abs(float(fitted.usid.phase_offset()) - 0.6) < 0.02  # rad
assert all(abs(loops[name] - truth[name]).median() < 0.05 for name in ("v_plus", "v_minus", "imprint"))  # V
