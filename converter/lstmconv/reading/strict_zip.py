"""Zip archives that every reader would read alike (rule R4).

The members must tile the file: first local header at byte 0, each next one where the last ended, then the central
directory, then the end record, then nothing. That one rule leaves no room for overlapping entries, for prepended or
appended data, and for sizes that disagree; the standard library's `zipfile` accepts all of these. Names are compared
as raw bytes. Only members asked for are ever decompressed, and nothing is extracted.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ..errors import InvalidFileError, LimitError, UnsupportedError, printable

MAX_MEMBERS = 10_000

_LOCAL, _CENTRAL, _END, _END64, _LOCATOR64 = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"
_END_FORMAT = struct.Struct("<4s4H2IH")
_END64_FORMAT = struct.Struct("<4sQ2H2I4Q")
_LOCATOR64_FORMAT = struct.Struct("<4sIQI")
_CENTRAL_FORMAT = struct.Struct("<4s6H3I5H2I")
_LOCAL_FORMAT = struct.Struct("<4s5H3I2H")
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _DESCRIPTOR_FOLLOWS = 0x0001, 0x0008
_FULL32 = 0xFFFFFFFF
# After a member written to a pipe: with or without signature, sizes of 4 or of 8 bytes.
_DESCRIPTOR_SIZES = (12, 16, 20, 24)


@dataclass(frozen=True)
class Member:
    name: bytes
    flags: int
    method: int
    crc: int
    stored: int  # bytes in the archive
    size: int  # bytes once decompressed
    start: int  # of the member's data in the archive


class StrictZip:
    """The member table of a zip archive held in memory."""

    def __init__(self, data: memoryview, shown: str) -> None:
        """Raises InvalidFileError (E_TRUNCATED, E_ZIP_…), LimitError (E_LIMIT_MEMBERS)."""
        self._data = data
        self._shown = shown
        try:
            self.members = self._read_members()
        except struct.error as error:
            raise self._invalid("the member table is cut short", "E_TRUNCATED") from error

    def names(self) -> tuple[bytes, ...]:
        return tuple(self.members)

    def read(self, name: bytes, limit: int) -> memoryview:
        """The checked content of member `name`, at most `limit` bytes; a view of the archive where it is stored plain.

        Raises InvalidFileError (E_ZIP_MISSING, E_ZIP_CRC, E_ZIP_SIZE, E_ZIP_METHOD), UnsupportedError
        (E_ZIP_ENCRYPTED), LimitError (E_LIMIT_MEMBER).
        """
        shown = printable(name.decode("latin-1"))
        member = self.members.get(name)
        if member is None:
            raise self._invalid(f"holds no {shown}", "E_ZIP_MISSING")
        if member.flags & _ENCRYPTED:
            raise UnsupportedError(f"{self._shown}: member {shown} is encrypted", "E_ZIP_ENCRYPTED")
        if member.method not in (_STORED, _DEFLATED):
            raise self._invalid(f"member {shown} has compression method {member.method}", "E_ZIP_METHOD")
        if member.size > limit:
            raise LimitError(
                f"{self._shown}: member {shown} has {member.size} bytes; the limit is {limit}", "E_LIMIT_MEMBER"
            )
        content = self._data[member.start : member.start + member.stored]
        if member.method == _DEFLATED:
            # A model fresh from the optimizer's first step is two thirds zeros; 1000 to 1 is a bomb.
            if member.size > 32 * 2**20 + 8 * member.stored:
                raise LimitError(
                    f"{self._shown}: member {shown} expands from {member.stored} to {member.size} bytes",
                    "E_LIMIT_MEMBER",
                )
            content = memoryview(self._inflate(content, member.size, shown))
        if len(content) != member.size:
            raise self._invalid(f"member {shown} has not the {member.size} bytes it declares", "E_ZIP_SIZE")
        if zlib.crc32(content) != member.crc:
            raise self._invalid(f"member {shown} is damaged: its checksum is wrong", "E_ZIP_CRC")
        return content

    def _inflate(self, content: memoryview, size: int, shown: str) -> bytes:
        inflater = zlib.decompressobj(-15)
        try:
            result = inflater.decompress(content, size + 1)
        except zlib.error as error:
            raise self._invalid(f"member {shown} is damaged: {printable(str(error), 60)}", "E_ZIP_CRC") from error
        if not inflater.eof or inflater.unused_data:
            raise self._invalid(f"member {shown} has not the {size} bytes it declares", "E_ZIP_SIZE")
        return result

    def _read_members(self) -> dict[bytes, Member]:
        count, directory, directory_end = self._read_end()
        if count > MAX_MEMBERS:
            raise LimitError(f"{self._shown}: has {count} members; the limit is {MAX_MEMBERS}", "E_LIMIT_MEMBERS")
        members: dict[bytes, Member] = {}
        position, next_local = directory, 0
        entries = []
        for _ in range(count):
            entry, position = self._read_entry(position, directory_end)
            entries.append(entry)
        if position != directory_end:
            raise self._invalid("the member table has not the size it declares", "E_ZIP_SIZE")
        for local, listed in sorted(entries, key=lambda pair: pair[0]):
            if local != next_local:
                if next_local == 0:
                    raise self._invalid("there are bytes before the first member", "E_ZIP_PREFIX")
                raise self._invalid("its members overlap or leave gaps", "E_ZIP_OVERLAP")
            member, next_local = self._read_local(local, listed)
            if member.name in members:
                raise self._invalid(f"has two members '{printable(member.name.decode('latin-1'))}'", "E_ZIP_DUPLICATE")
            members[member.name] = member
        if next_local != directory:
            raise self._invalid("its members overlap or leave gaps", "E_ZIP_OVERLAP")
        return members

    def _read_end(self) -> tuple[int, int, int]:
        """(number of members, start, end) of the central directory, from the record that must end the file."""
        at = len(self._data) - _END_FORMAT.size
        if at < 0 or self._data[at : at + 4] != _END:
            if _END in bytes(self._data[-(_END_FORMAT.size + 65535) : max(at, 0) + 3]):
                raise self._invalid("the archive is followed by a comment or other bytes", "E_ZIP_SUFFIX")
            raise self._invalid("the archive has no end record: the file is cut short", "E_TRUNCATED")
        _, disk, first_disk, here, count, size, start, comment = _END_FORMAT.unpack_from(self._data, at)
        if comment or disk or first_disk or here != count:
            raise self._invalid("the archive's end record is not one of a whole archive", "E_ZIP_END")
        end = at
        locator = at - _LOCATOR64_FORMAT.size
        if locator >= 0 and self._data[locator : locator + 4] == _LOCATOR64:
            # zipfile writes the 64-bit record once an offset passes 2 GiB; both records must then tell the same.
            count64, size64, start64, end = self._read_end64(locator)
            for short, full, mask in ((count, count64, 0xFFFF), (size, size64, _FULL32), (start, start64, _FULL32)):
                if short not in (full, mask):
                    raise self._invalid("the archive's two end records disagree", "E_ZIP_END")
            count, size, start = count64, size64, start64
        if start + size != end:
            raise self._invalid("the member table does not end where the end record starts", "E_ZIP_END")
        return count, start, end

    def _read_end64(self, locator: int) -> tuple[int, int, int, int]:
        _, disk, at, disks = _LOCATOR64_FORMAT.unpack_from(self._data, locator)
        if disk or disks != 1 or at != locator - _END64_FORMAT.size:
            raise self._invalid("the 64-bit end record is not where it must be", "E_ZIP_END")
        signature, length, _, _, disk, first_disk, here, count, size, start = _END64_FORMAT.unpack_from(self._data, at)
        if signature != _END64 or length != _END64_FORMAT.size - 12 or disk or first_disk or here != count:
            raise self._invalid("the 64-bit end record is damaged", "E_ZIP_END")
        return count, size, start, at

    def _read_entry(self, at: int, end: int) -> tuple[tuple[int, Member], int]:
        """((offset of the local header, the member, its data start yet unknown), where the next entry starts)."""
        (
            signature,
            _,
            _,
            flags,
            method,
            _,
            _,
            crc,
            stored,
            size,
            name_size,
            extra_size,
            comment_size,
            _,
            _,
            _,
            local,
        ) = _CENTRAL_FORMAT.unpack_from(self._data, at)
        name_at = at + _CENTRAL_FORMAT.size
        extra_at = name_at + name_size
        next_at = extra_at + extra_size + comment_size
        if signature != _CENTRAL or next_at > end:
            raise self._invalid("the member table is damaged", "E_ZIP_END")
        name = bytes(self._data[name_at:extra_at])
        if b"\0" in name or not name:
            raise self._invalid("a member's name is empty or holds a zero byte", "E_ZIP_NAME")
        size, stored, local = self._widen((size, stored, local), self._data[extra_at : extra_at + extra_size])
        return (local, Member(name, flags, method, crc, stored, size, 0)), next_at

    def _widen(self, values: tuple[int, ...], extra: memoryview) -> list[int]:
        """`values` with each 0xFFFFFFFF replaced, in order, by the next number of the 64-bit extra field."""
        numbers: list[int] = []
        at = 0
        while at + 4 <= len(extra):
            kind, length = struct.unpack_from("<2H", extra, at)
            if kind == 1:
                field = extra[at + 4 : at + 4 + length]
                numbers = list(struct.unpack_from(f"<{len(field) // 8}Q", field))
                break
            at += 4 + length
        result = []
        for value in values:
            if value == _FULL32:
                if not numbers:
                    raise self._invalid("a member declares a size it cannot have", "E_ZIP_SIZE")
                value = numbers.pop(0)
            result.append(value)
        return result

    def _read_local(self, at: int, entry: Member) -> tuple[Member, int]:
        """(`entry` with its data start, where the next local header must be), once its local header agrees with it."""
        signature, _, flags, method, _, _, crc, stored, size, name_size, extra_size = _LOCAL_FORMAT.unpack_from(
            self._data, at
        )
        name_at = at + _LOCAL_FORMAT.size
        start = name_at + name_size + extra_size
        end = start + entry.stored
        if signature != _LOCAL or self._data[name_at : name_at + name_size] != entry.name:
            raise self._invalid("a member's two headers name different files", "E_ZIP_NAME")
        if end > len(self._data) or flags != entry.flags or method != entry.method:
            raise self._invalid("a member's two headers disagree", "E_ZIP_SIZE")
        if flags & _DESCRIPTOR_FOLLOWS:
            end = self._after_descriptor(end, entry)
        else:
            size, stored = self._widen((size, stored), self._data[name_at + name_size : start])
            if (crc, stored, size) != (entry.crc, entry.stored, entry.size):
                raise self._invalid("a member's two headers disagree", "E_ZIP_SIZE")
        if entry.method == _STORED and entry.stored != entry.size and not entry.flags & _ENCRYPTED:
            raise self._invalid("a member's two sizes disagree", "E_ZIP_SIZE")
        return Member(entry.name, flags, method, entry.crc, entry.stored, entry.size, start), end

    def _after_descriptor(self, at: int, entry: Member) -> int:
        for length in _DESCRIPTOR_SIZES:
            head = b"PK\7\x08" if length in (16, 24) else b""
            sizes = "<I2I" if length < 20 else "<I2Q"
            if entry.size > _FULL32 and length < 20:
                continue
            if self._data[at : at + length] == head + struct.pack(sizes, entry.crc, entry.stored, entry.size):
                return at + length
        raise self._invalid("a member's two headers disagree", "E_ZIP_SIZE")

    def _invalid(self, message: str, code: str) -> InvalidFileError:
        return InvalidFileError(f"{self._shown}: {message}", code)
