"""``python -m usidx``: the command, where its own name is not on the path."""

import sys

from usidx.cli import main

sys.exit(main())
