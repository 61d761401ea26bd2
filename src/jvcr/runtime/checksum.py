"""A checksum inside each weights file, so that damaged files are detected when they are loaded.

It is a CRC-32 over all bytes of the file except the checksum itself. It takes about a millisecond and detects disk and
copy errors: every error burst of up to 32 bits, and all but one in four billion of the other errors. It does not
protect against manipulation, because a forged file can contain a valid checksum.

The network's description also states that the file has a checksum. So a file whose checksum entry is itself damaged is
not mistaken for an old file without one.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Sequence
from pathlib import Path

KEY = "jvcr-crc32"
"""Name of the entry in the file's metadata."""

BLANK = "0" * 8
"""Placeholder value, which ``seal`` replaces."""

MARK = {"checksum": "crc32"}
"""Entry in the network's description that states that the file has a checksum."""

# The bytes before the eight digits: in ONNX (Protocol Buffers tag and length of the value), in the JSON header of
# safetensors, in OpenVINO's XML, and in the comment at the end of TorchScript's ZIP archive.
_ONNX = KEY.encode() + b"\x12\x08"
_SAFETENSORS = f'"{KEY}":"'.encode()
_XML = f'<{KEY} value="'.encode()
_ZIP = f"{KEY} ".encode()
_END_OF_ZIP, _END_BYTES = b"PK\5\6", 22


def add_comment(path: Path) -> None:
    """Append a comment with a blank checksum to a ZIP archive.

    Raises:
        ValueError: not a ZIP archive, or it already has a comment.
    """
    data = path.read_bytes()
    if data[-_END_BYTES:][:4] != _END_OF_ZIP:
        raise ValueError(f"{path}: expected a ZIP archive without a comment")
    comment = _ZIP + BLANK.encode()
    path.write_bytes(data[:-2] + len(comment).to_bytes(2, "little") + comment)


def seal(path: Path, beside: Sequence[Path] = ()) -> None:
    """Compute a file's checksum and write it into the file.

    Args:
        beside: further files that the checksum covers, for example OpenVINO's ``.bin``.
    Raises:
        ValueError: the file has no entry ``KEY`` of eight digits.
    """
    data = path.read_bytes()
    place = _place(data)
    if place is None:
        raise ValueError(f"{path}: has no placeholder for a checksum; expected a metadata entry {KEY!r}")
    with path.open("r+b") as file:
        file.seek(place)
        file.write(_checksum(data, place, beside).encode())


def check_mark(path: Path, description: str, sealed: bool) -> None:
    """Raise ValueError if the description states that the file has a checksum, but none was found (``sealed``)."""
    if not sealed and json.dumps(MARK)[1:-1] in description:
        raise ValueError(f"{path}: damaged: metadata field {KEY!r} is missing; copy, download or export it again")


def verify(path: Path, beside: Sequence[Path] = ()) -> bool:
    """Check a file against the checksum inside it.

    Returns:
        False for a file without a checksum, as version 0.1 wrote them. ``check_mark`` checks whether it should have
        one.
    Raises:
        ValueError: the checksums differ: the file is damaged. OSError: it cannot be read.
    """
    if not path.stat().st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = _place(data)
        if place is None:
            return False
        found, expected = _checksum(data, place, beside), data[place : place + len(BLANK)]
    if found.encode() != expected:
        raise ValueError(
            f"{path}: damaged, or changed by another program: its checksum is {found}, but metadata field {KEY!r} "
            f"says {expected.decode('ascii', 'backslashreplace')}; copy, download or export it again"
        )
    return True


def _place(data: bytes | mmap.mmap) -> int | None:
    """Offset of the eight digits; None if there are none."""
    if data[8:9] == b"{":
        # The file starts with the length of the header, then the header.
        mark = _SAFETENSORS
        start = data.find(mark, 0, min(len(data), 8 + int.from_bytes(data[:8], "little")))
    elif data[:5] == b"<?xml":
        mark = _XML
        start = data.rfind(mark)
    elif data[:2] == b"PK":
        mark = _ZIP
        start = data.rfind(mark, max(0, len(data) - 100))
    else:
        # ONNX writes its metadata last.
        mark = _ONNX
        start = data.rfind(mark)
    place = start + len(mark)
    return None if start < 0 or place + len(BLANK) > len(data) else place


def _checksum(data: bytes | mmap.mmap, place: int, beside: Sequence[Path]) -> str:
    with memoryview(data) as view, view[:place] as before, view[place + len(BLANK) :] as after:
        value = zlib.crc32(after, zlib.crc32(BLANK.encode(), zlib.crc32(before)))
    for path in beside:
        value = zlib.crc32(path.read_bytes(), value)
    return f"{value:08x}"
