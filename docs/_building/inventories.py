"""Names of other projects -> their inventories, so that the pages link to them without the network."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref

LIST = Path(__file__).with_name("inventories.txt")
#: Where the inventories lie, below the folder of the pages.
FOLDER = "_outputs/inventories"
_HEAD = ("# Sphinx inventory version 2", "# The remainder of this file is compressed using zlib.")
_PROJECT = re.compile(r"^(?P<project>\w+) (?P<site>https://\S+) (?P<page>\S+)$")
#: Short names in code, as everybody imports them.
_SHORT = {"xr": "xarray", "np": "numpy", "plt": "matplotlib.pyplot"}
_NAME = re.compile(
    r"^(?P<first>usidx|xarray|xr|numpy|np|dask|scipy|sklearn|matplotlib|pathlib|logging)(?P<rest>(\.\w+)*)(\(.*\))?$"
)


def read_inventories() -> dict[str, tuple[str, list[str]]]:
    """Return project -> (its site, the lines of its inventory)."""
    found: dict[str, tuple[str, list[str]]] = {}
    page, entries = "", []
    for line in filter(
        None, (line.partition("#")[0].strip() for line in LIST.read_text(encoding="utf-8").splitlines())
    ):
        start = _PROJECT.match(line)
        if start is not None:
            page, entries = start["page"], []
            found[start["project"]] = (start["site"], entries)
            continue
        kind, name, *own = line.split()
        module = name if kind == "module" else name.rpartition(".")[0]
        anchor = f"module-{name}" if kind == "module" else name
        entries.append(f"{name} py:{kind} 1 {(own or [page])[0].format(name=name, module=module)}#{anchor} -")
    return found


def write_inventories(app: Any, config: Any) -> None:
    """Write each as Sphinx reads it, and say where it is."""
    folder = Path(app.srcdir, FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    for project, (site, entries) in read_inventories().items():
        head = f"{_HEAD[0]}\n# Project: {project}\n# Version: \n{_HEAD[1]}\n"
        (folder / f"{project}.inv").write_bytes(head.encode() + zlib.compress("\n".join([*entries, ""]).encode()))
        config.intersphinx_mapping[project] = (site, f"{FOLDER}/{project}.inv")


def link_names(_app: Any, page: nodes.document) -> None:
    """Make each name in the text that some reference knows a link to it; what none knows stays as it is."""
    for literal in list(page.findall(nodes.literal)):
        name = _NAME.match(literal.astext())
        if name is None or isinstance(literal.parent, nodes.reference | pending_xref):
            continue
        target = _SHORT.get(name["first"], name["first"]) + name["rest"]
        link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refspecific=False, refexplicit=True)
        literal.replace_self(link)
        link += literal


def setup(app: Any) -> dict[str, Any]:
    """Write the inventories before they are looked for, and link the names in the text."""
    app.connect("config-inited", write_inventories, priority=100)
    app.connect("doctree-read", link_names)
    return {"parallel_read_safe": True}
