"""What was typed -> options; or a line that says what is wrong, and what may have been meant."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

__all__ = ["Parser", "parse", "suggest"]

_CHOICE = re.compile(r"invalid choice: '(?P<word>.+?)' \(choose from (?P<choices>.+)\)")


def suggest(word: str, known: Iterable[str]) -> str:
    """Return a question after the known word that is most like one that is not known; empty where none is like it."""
    close = get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


class Parser(argparse.ArgumentParser):
    """A parser that asks whether another word was meant."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Say what is wrong, with the usage of the command, and leave."""
        chosen = _CHOICE.search(message)
        if chosen is not None:
            message += "." + suggest(chosen["word"], re.split(r"[', ]+", chosen["choices"]))
        super().error(message)

    def refuse(self, words: Sequence[str]) -> None:
        """Say which words the command does not take, and leave."""
        known = [option for option in self._option_string_actions if option.startswith("--")]
        asked = [suggest(word.partition("=")[0], known) for word in words if word.startswith("--")]
        self.error(f"unrecognized arguments: {' '.join(words)}.{''.join(asked[:1])}")


def parse(parser: Parser, arguments: Sequence[str] | None) -> argparse.Namespace | int:
    """Return what was asked for, or the exit code where that was help, a version, or nothing that is known."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if not given:
        parser.print_help(sys.stderr)
        return 2
    try:
        options, left = parser.parse_known_args(given)
        if left:
            options.parser.refuse(left)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    return options
