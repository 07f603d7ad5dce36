"""Named measurement modes: what a microscopist asks of each, made of the verbs beside it.

Verbs that everybody uses, as ``usidx.sho_fit`` and ``usidx.loop_fit``, stand at the top; those of one mode are here.
"""

from usidx.modes.force.curves import force_curves
from usidx.modes.gmode.giv import giv
from usidx.modes.gmode.lines import lines_to_pixels
from usidx.modes.kelvin_probe.gkpfm import gkpfm
from usidx.modes.kelvin_probe.jcpd import jcpd

__all__ = ["force_curves", "giv", "gkpfm", "jcpd", "lines_to_pixels"]
