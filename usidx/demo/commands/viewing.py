"""``usidx view``: files in a browser."""

from __future__ import annotations

from argparse import Namespace

from usidx.look.app.memory import do_without_others

__all__ = ["view"]


def view(options: Namespace) -> int:
    """Look at files in a browser."""
    do_without_others()
    from usidx.look.app.serve import view as serve  # loads dask

    chosen = {"folder": options.folder, "host": options.host, "port": options.port}
    serve(options.file, **chosen, token=not options.no_token, browser=not options.no_browser)
    return 0
