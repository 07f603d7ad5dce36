"""Force curves
============

A map of force curves: contact points, moduli and adhesion, with their errors, written beside the curves.
"""

import usidx

curves, truth = usidx.simulate.force_map((24, 24), noise=0.01)
main = usidx.write(curves, "force.h5")

# Analysis
raw = usidx.open_main("force.h5", main)  # lazy, dims (Y, X, time)
found = usidx.open_result("force.h5", raw.usid.modes.force_curves(model="hertz").usid.write()).compute()
found.usid.plot.maps(variables=["contact_point", "modulus", "adhesion", "work"]).savefig("force.png")

# Truth
off = abs(found.modulus / truth.modulus - 1)
print(f"modulus: within {float(off.median()) * 100:.1f} %, where one in three is beyond the standard error:")
print(f"  {float((abs(found.modulus - truth.modulus) > found.modulus_stderr).mean()) * 100:.0f} %")
assert float(off.median()) < 0.01
assert float((abs(found.contact_point - truth.contact_point) / truth.indentation).median()) < 0.01
