"""A zip archive -> its members, read by ranges and never to more bytes than each says it has."""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from usidx.errors import TranslationError

__all__ = ["Archive", "Member", "open_archive", "read_member"]

#: Texts of a header are a few kB; larger ones are no headers.
_MOST_HEADER_BYTES: Final = 4 << 20
#: A member that unpacks to more than so many bytes, and to so many times its size, is no measurement.
_LARGE, _MOST_RATIO = 32 << 20, 100
_LOCAL_HEADER: Final = struct.Struct("<4s5H3L2H")
_STORED, _DEFLATED = 0, 8
#: Name and extra field before what is packed seldom take more: so a member is one read.
_USUAL_NAME: Final = 256


@dataclass(frozen=True, slots=True)
class Member:
    """Where a member lies: `start` of its local header, bytes as packed and as unpacked, and how it is packed."""

    start: int
    packed: int
    size: int
    method: int


@dataclass(frozen=True, slots=True)
class Archive:
    """The members of an archive by name, folders left out."""

    path: Path
    members: dict[str, Member]

    def read_text(self, name: str) -> str:
        """Return a header as text, empty where there is none of that name."""
        with self.open() as file:
            return self.read_text_from(file, name)

    def open(self) -> BinaryIO:
        """Open the file, to read many members."""
        return cast(BinaryIO, self.path.open("rb", buffering=0))

    def read_text_from(self, file: BinaryIO, name: str) -> str:
        """Return a header as `read_text` does, from the open file."""
        member = self.members.get(name)
        if member is None:
            return ""
        if member.size > _MOST_HEADER_BYTES:
            raise TranslationError(f"its header {name!r} says that it has {member.size} bytes")
        return read_member(file, member).decode("latin-1")


def open_archive(path: Path) -> Archive:
    """List the members of an archive.

    Raises
    ------
    TranslationError
        It is no archive, is cut off, or holds what cannot be a measurement.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            listed = archive.infolist()
    except (zipfile.BadZipFile, ValueError) as err:
        raise TranslationError(f"its archive is cut off or damaged ({err})") from err
    return Archive(path, {one.filename: _describe(one) for one in listed if not one.is_dir()})


def _describe(found: zipfile.ZipInfo) -> Member:
    member = Member(found.header_offset, found.compress_size, found.file_size, found.compress_type)
    if member.size > max(_LARGE, _MOST_RATIO * member.packed):
        raise TranslationError(
            f"{found.filename!r} says that its {member.packed} bytes unpack to {member.size}, as no measurement does"
        )
    if member.method not in {_STORED, _DEFLATED} or found.flag_bits & 1:
        raise TranslationError(f"{found.filename!r} is encrypted, or packed in a way that no instrument uses")
    return member


def read_member(file: BinaryIO, member: Member) -> bytes:
    """Read and unpack a member of an open archive.

    Raises
    ------
    TranslationError
        It is damaged, or not as long as the archive says.
    """
    file.seek(member.start)
    found = file.read(_LOCAL_HEADER.size + _USUAL_NAME + member.packed)
    if len(found) < _LOCAL_HEADER.size or found[:4] != b"PK\x03\x04":
        raise TranslationError(f"there is no member of the archive at byte {member.start}")
    *_, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(found[: _LOCAL_HEADER.size])
    begin = _LOCAL_HEADER.size + name_bytes + extra_bytes
    if begin > _LOCAL_HEADER.size + _USUAL_NAME:
        file.seek(member.start)
        found = file.read(begin + member.packed)
    packed = found[begin : begin + member.packed]
    if len(packed) != member.packed:
        raise TranslationError(f"it is cut off in the member of the archive at byte {member.start}")
    if member.method == _STORED:
        content = packed
    else:
        try:
            content = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, member.size + 1)
        except zlib.error as err:
            raise TranslationError(f"the member of the archive at byte {member.start} is damaged ({err})") from err
    if len(content) != member.size:
        raise TranslationError(f"the member of the archive at byte {member.start} is not {member.size} bytes long")
    return content
