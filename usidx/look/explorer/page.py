"""A page that panel saved -> the same page, which asks no server for anything."""

from __future__ import annotations

import base64
import re
from pathlib import Path

__all__ = ["close_page"]

_ICON = re.compile(r'<link\b[^>]*\bhref="https?:[^>]*>')
# The scripts are within the page, but they fetch sheets of style from where panel publishes its files.
_SHEET = re.compile(r'https?://[^"\'\s<>]*?/dist/([^"\'\s<>?]+\.css)(\?[^"\'\s<>]*)?')
# What else is named is not needed here: the script for formulas (names are escaped so that none is ever one), and those
# that panel would fetch for parts which are not on this page.
_SCRIPT = re.compile(r'https?://[^"\'\s<>]*\.m?js(?=["\'?])')
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' blob:; style-src 'unsafe-inline' data:; "
    "img-src data: blob:; font-src data:; worker-src blob:; base-uri 'none'; form-action 'none'"
)


def close_page(text: str, published: Path) -> str:
    """Put what a page would fetch into it, and forbid it to fetch anything else.

    Parameters
    ----------
    text : str
        HTML with its scripts inline.
    published : Path
        The folder in which the package has the files that it publishes.
    """
    bare = _ICON.sub("", text)
    closed = _SCRIPT.sub("data:,", _SHEET.sub(lambda found: _inline_sheet(published / found[1]), bare))
    policy = f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
    return re.sub(r"<head[^>]*>", lambda found: f"{found[0]}\n{policy}", closed, count=1)


def _inline_sheet(path: Path) -> str:
    """Return a sheet of style as a URL that holds it; an empty one where this version has none."""
    content = path.read_bytes() if path.is_file() else b""
    return f"data:text/css;base64,{base64.b64encode(content).decode('ascii')}"
