"""General mode: fast currents
===========================

General mode: lines filtered and cut into pixels, then resistance and capacitance told apart, with errors.
"""

import usidx

lines, truth = usidx.simulate.gmode_lines((8, 8), 250)  # dims (Y, Time): a bias of 200 Hz, and a disturbance
main = usidx.write(lines, "general_mode.h5")

raw = usidx.open_main("general_mode.h5", main, chunks={"Y": 4})  # lazy: a few lines at a time
clean = raw.usid.signal.fft_filter([usidx.signal.LowPass(10e3), usidx.signal.NoiseFloor(1e-6)])
pixels = clean.usid.modes.lines_to_pixels(8, spacing=1e-6 / 7)
group = pixels.usid.modes.giv(200.0, sigma=0.3).usid.write()

found = usidx.open_result("general_mode.h5", group).compute()
error = abs(found.capacitance.values / truth.capacitance.values[..., None] - 1)
assert error.mean() < 0.05
print(f"{group}: mean error of the capacitance {error.mean():.1%}")
loop = found.resistance.sel(direction="reverse") - found.resistance.sel(direction="forward")
loop.attrs = found.resistance.attrs | {"long_name": "Hysteresis of the resistance"}
loop.sel(voltage=-1.0, method="nearest").usid.plot.map().savefig("hysteresis.png")
