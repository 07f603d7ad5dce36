"""The scripts of `examples/` -> copies that the gallery runs where what they write may lie."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).parents[2] / "examples"
#: Where the copies lie, below the folder of the pages.
FOLDER = "_examples"
HEADER = "GALLERY_HEADER.rst"
_TITLE = re.compile(r'^"""[^\n]+\n=+\n')


def copy_examples(app: Any) -> None:
    """Lay a copy of each example where the gallery looks, those in folders too; each has a title, if only its name."""
    target = Path(app.srcdir, FOLDER)
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(SOURCE, target, ignore=shutil.ignore_patterns("__pycache__"))
    for file in target.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        if not _TITLE.match(text):
            file.write_text(text.replace('"""', f'"""{_as_title(file.stem)}\n\n', 1), encoding="utf-8")
    for folder in (path for path in target.iterdir() if path.is_dir()):
        if not (folder / HEADER).exists():
            (folder / HEADER).write_text(_as_title(folder.name), encoding="utf-8")


def _as_title(name: str) -> str:
    words = name.replace("_", " ").capitalize()
    return f"{words}\n{'=' * len(words)}\n"
