"""Relaxation
==========

Band-excitation relaxation: oscillators, their signed response, and the decay that it follows after each pulse.
"""

import usidx

scan, truth = usidx.simulate.relaxation((6, 6), 24, biases=3, frequencies=24)  # dims (Y, X, DC_Offset, Time, Frequency)
main = usidx.write(scan, "relaxation.h5")

raw = usidx.open_main("relaxation.h5", main)
fitted = raw.usid.sho_fit().compute()
response = fitted.usid.response(offset=-0.4, sensitivity=90e3, units="pm")  # amplitude and phase as one signed number
decay = response.usid.relaxation_fit("exponential").compute()
print(decay.usid.write())

error = float(abs(decay.time_constant / truth.time_constant - 1).median())
assert error < 0.1
print(f"median error of the time constant: {error:.1%}")
decay.isel(DC_Offset=0).usid.plot.maps(variables=["amplitude", "time_constant", "offset"]).savefig("decay.png")
