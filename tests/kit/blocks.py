"""Text of a page -> the blocks of code in it: what the tests run, and the site shows with what it gives.

A block is left out by a comment on the line above it::

    <!-- not run: needs an instrument -->
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w+-]*)[^`]*$")
NOT_RUN = re.compile(r"<!--\s*not run:(?P<reason>[^>]*)-->")


@dataclass(frozen=True)
class Block:
    """Code between two fences, the line of the first fence, how far both are indented, and the line above."""

    language: str
    code: str
    line: int
    indent: int
    above: str

    @property
    def last_line(self) -> int:
        return self.line + self.code.count("\n") + 2

    @property
    def reason_not_to_run(self) -> str | None:
        found = NOT_RUN.search(self.above)
        return None if found is None else found["reason"].strip()


def blocks_of(text: str) -> Iterator[Block]:
    lines = text.splitlines()
    start: re.Match[str] | None = None
    first = 0
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if fence is None:
            continue
        if start is None:
            start, first = fence, number
            continue
        indent = len(start["indent"])
        code = "\n".join(inner[indent:] for inner in lines[first + 1 : number])
        above = next((a for a in reversed(lines[:first]) if a.strip()), "")
        yield Block(start["language"], code, first + 1, indent, above)
        start = None


def python_blocks(text: str) -> list[Block]:
    return [b for b in blocks_of(text) if b.language in {"python", "py"}]
