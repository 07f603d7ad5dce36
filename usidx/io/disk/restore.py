"""A file with a journal that was left beside it -> its last commit, or the next if finished; never others' work undone.

Recovery must never destroy what another program wrote after the interruption. So before a byte is touched, each sector
of all that the write was going to change is compared with what the journal says of it:

========= =========================================================================
BEFORE    what it held at the last commit
AFTER     what it was going to hold
TORN      some earlier content up to a byte, and another from there on
FOREIGN   anything else: another program wrote there
========= =========================================================================

The superblock, where every HDF5 program notes how long the file is, counts among these even if the write left it alone.
What follows from it:

* nothing was going to be overwritten yet: a superblock as before means that nobody appended, and the tail is cut off;
  else the file is whole as it is, and kept;
* marked as done, or all announced and all of it AFTER: the commit has happened, and whatever came later is kept;
* all of it known: the old bytes are put back, the superblock first, so that nobody finds a tail that is going;
* something FOREIGN, or a length that neither commit had: nothing is touched, and a `RecoveryError` leaves the choice to
  the user.

What the write did not touch is not looked at, since it is not touched now: others may have changed it. Putting back
twice, or being killed while doing so, does no harm.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import permutations
from pathlib import Path

from usidx.errors import RecoveryError
from usidx.io.disk.journal import (
    DONE,
    NEXT,
    OLD,
    PAGE,
    UNDO,
    Entries,
    Record,
    discard,
    is_quiet,
    open_journal,
    read_entries,
)
from usidx.io.disk.raw import RawFile

__all__ = ["Recovery", "is_readable", "put_back", "restore"]

#: Disks write whole sectors; a kill may tear one at any byte.
_SECTOR = 512


@dataclass(frozen=True, slots=True)
class Recovery:
    """What `recover` did to a file.

    Parameters
    ----------
    needed : bool
        Whether there was a journal at all.
    restored, dropped : int
        Bytes written back from the journal, and bytes cut off the end.
    left_alone : bool
        The file was changed by another program, and nothing of the interrupted write was in it but its tail.
    finished : bool
        All had been written when the write was interrupted: the file is as after it.
    """

    needed: bool = False
    restored: int = 0
    dropped: int = 0
    left_alone: bool = False
    finished: bool = False

    def __str__(self) -> str:
        if not self.needed:
            return "no write was interrupted"
        if self.left_alone:
            return "an interrupted write had overwritten nothing; the file was changed since then and is kept as it is"
        if self.finished:
            return "a write was interrupted when all of it was in the file; it is kept, with whatever was changed since"
        if not (self.restored or self.dropped):
            return "a write was interrupted before it changed the file"
        return f"an interrupted write was undone: {self.restored} bytes put back, {self.dropped} cut off the end"


class State(IntEnum):
    """What a piece of the file holds; of several pieces the largest counts."""

    AFTER = 0
    BEFORE = 1
    TORN = 2
    FOREIGN = 3


def restore(target: RawFile, path: Path) -> Recovery:
    """Put a file back to its last commit, or find that the next one has happened, and remove its journal.

    Parameters
    ----------
    target : RawFile
        The file, open for writing, with its lock held.
    path : Path
        Its journal.

    Returns
    -------
    Recovery
        What was done.

    Raises
    ------
    RecoveryError
        The journal is not of this file, damaged or not to be trusted, or another program changed the file after the
        interruption.
    """
    journal = open_journal(path, target)
    try:
        entries = _read(target, journal)
        done = Recovery(True) if entries is None else _decide(target, journal, entries)
    finally:
        journal.close()
    discard(path)
    return done


def put_back(target: RawFile, path: Path) -> Recovery:
    """Put back a file that this very transaction has changed, whose lock kept everyone off, and remove its journal."""
    journal = RawFile(path, write=False)
    try:
        entries = _read(target, journal)
        done = Recovery(True) if entries is None else _put_back(target, journal, entries)
    finally:
        journal.close()
    discard(path)
    return done


def is_readable(target: RawFile, path: Path) -> bool:
    """Say whether a file that cannot be written, nor its journal removed, holds one whole commit as it is.

    Raises
    ------
    RecoveryError
        The journal is damaged, or not to be trusted.
    """
    journal = open_journal(path, target)
    try:
        entries = _read(target, journal)
        if entries is None or not (entries.records or entries.is_torn):
            return True
        return _is_finished(target, entries, _judge(target, journal, entries))
    finally:
        journal.close()


def _read(target: RawFile, journal: RawFile) -> Entries | None:
    """Read a journal; None where it has protected nothing yet."""
    entries = read_entries(journal)
    if entries.is_damaged if entries is not None else not is_quiet(journal.measure()):
        raise RecoveryError(_describe_damage(target, journal))
    return entries


def _decide(target: RawFile, journal: RawFile, entries: Entries) -> Recovery:
    state = _judge(target, journal, entries)
    if _is_finished(target, entries, state):
        return _finish(target, entries)
    if not (entries.records or entries.is_torn) and (state is State.FOREIGN or target.measure() < entries.base):
        return Recovery(True, left_alone=True)
    if state is State.FOREIGN or not _has_length(target, entries):
        raise RecoveryError(_describe_foreign(target, journal, entries))
    return _put_back(target, journal, entries)


def _is_finished(target: RawFile, entries: Entries, state: State) -> bool:
    """Say whether the commit has happened: it was said so, or all that it was going to write is there."""
    if entries.has(DONE):
        return True
    is_whole = entries.size is not None and target.measure() >= entries.size and not entries.has(UNDO)
    return is_whole and state is State.AFTER


def _finish(target: RawFile, entries: Entries) -> Recovery:
    size = entries.size
    if size is not None and not entries.has(DONE) and size < target.measure() == entries.base:
        target.truncate(size)
    target.sync()
    return Recovery(True, finished=True)


def _has_length(target: RawFile, entries: Entries) -> bool:
    """Say whether the file can have its length from the write that was interrupted, or from HDF5, which cuts tails."""
    return target.measure() >= entries.base or target.measure() == entries.size


def _put_back(target: RawFile, journal: RawFile, entries: Entries) -> Recovery:
    restored, head = 0, entries.superblock.address
    old = entries.of(OLD)
    for record in sorted(old, key=lambda record: not record.address <= head < record.address + record.length):
        target.write_at(record.address, memoryview(journal.read(record.start, record.length)))
        restored += record.length
    dropped = target.measure() - entries.base
    if dropped:
        target.truncate(entries.base)
    target.sync()
    return Recovery(True, restored, max(dropped, 0))


# -- what the file holds ----------------------------------------------------------------------------------------------


def _judge(target: RawFile, journal: RawFile, entries: Entries) -> State:
    """Compare all that the write was going to change, and the superblock, with what the journal says of it."""
    worst = State.AFTER
    head, is_head_known = entries.superblock, False
    following = sorted(entries.of(NEXT), key=lambda record: record.address)
    for old in entries.of(OLD):
        is_head_known = is_head_known or old.address <= head.address < old.address + old.length
        worst = max(worst, _judge_record(target, journal, old, _find_over(following, old)))
    if not is_head_known and target.read(head.address, len(head.content)) != head.content:
        return State.FOREIGN
    return worst


def _find_over(records: Sequence[Record], old: Record) -> list[Record]:
    """Return those of the records, which are sorted, that lie over another, in the order of writing."""
    longest = max((record.length for record in records), default=0)
    first = bisect_left(records, old.address - longest, key=lambda record: record.address)
    last = bisect_left(records, old.address + old.length, key=lambda record: record.address)
    over = (record for record in records[first:last] if record.address + record.length > old.address)
    return sorted(over, key=lambda record: record.start)


def _judge_record(target: RawFile, journal: RawFile, old: Record, over: Sequence[Record]) -> State:
    found, before = target.read(old.address, old.length), journal.read(old.start, old.length)
    worst = State.AFTER
    for place in range(0, old.length, PAGE):
        page = slice(place, min(place + PAGE, old.length))
        known = [before[page], *_read_over(journal, over, old.address + page.start, page.stop - page.start)]
        worst = max(worst, _judge_page(found[page], known))
    return worst


def _read_over(journal: RawFile, records: Sequence[Record], address: int, length: int) -> Iterator[bytes]:
    """Read what was announced for a page; records hold whole pages."""
    for record in records:
        if record.address <= address < record.address + record.length:
            yield journal.read(record.start + address - record.address, length)


def _judge_page(found: bytes, known: Sequence[bytes]) -> State:
    """Say what a page holds, given what it held and was going to hold, in the order of writing."""
    if found == known[-1] and len(known) > 1:
        return State.AFTER
    if found == known[0]:
        return State.BEFORE
    sectors = (slice(place, place + _SECTOR) for place in range(0, len(found), _SECTOR))
    is_ours = all(_is_torn(found[sector], [content[sector] for content in known]) for sector in sectors)
    return State.TORN if is_ours else State.FOREIGN


def _is_torn(found: bytes, known: Sequence[bytes]) -> bool:
    """Say whether a sector holds one known content, or begins as one and goes on as another."""
    if found in known:
        return True
    alike = [_count_alike(found, content) for content in known]
    alike_back = [_count_alike(found[::-1], content[::-1]) for content in known]
    return any(alike[a] + alike_back[b] >= len(found) for a, b in permutations(range(len(known)), 2))


def _count_alike(one: bytes, other: bytes) -> int:
    """Count the bytes up to the first that differs."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=True)) if a != b), len(one))


# -- words ------------------------------------------------------------------------------------------------------------


def _describe_damage(target: RawFile, journal: RawFile) -> str:
    """Say so of a journal with records behind a bad one: what comes first was on the disk first."""
    return (
        f"{str(target.path)!r} holds a write that was interrupted, and its journal {str(journal.path)!r} is damaged. "
        "Bring back the journal or the file from a copy; to keep the file as it is now, perhaps half written, delete "
        "the journal."
    )


def _describe_foreign(target: RawFile, journal: RawFile, entries: Entries) -> str:
    return (
        f"{str(target.path)!r} holds a write that was interrupted ({entries.who}), and another program changed or "
        f"replaced it after that; undoing the write would destroy that change. Keep a copy of both files; then delete "
        f"{str(journal.path)!r} to keep the file as it is now, or bring back the file that the journal belongs to."
    )
