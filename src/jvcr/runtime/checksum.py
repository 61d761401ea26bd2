"""A checksum inside a weights file, over all of its bytes but its own: damage is detected before prediction.

The network's description also states that there is one, so a flipped bit in its name cannot hide it.

It is a CRC-32. In a millisecond it detects errors of disks and copies: every change of up to 32 neighbouring bits, and
all but one in four billion of the others. It does not protect against manipulation: a forged file carries a valid
checksum of its own.
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
"""Placeholder until ``seal``."""

MARK = {"checksum": "crc32"}
"""What the description of a network in a file with a checksum says."""

# What stands before the eight digits: in ONNX (Protocol Buffers' tag and length of the value), in safetensors' JSON,
# in OpenVINO's XML, and in the comment at the end of TorchScript's ZIP archive.
_ONNX = KEY.encode() + b"\x12\x08"
_SAFETENSORS = f'"{KEY}":"'.encode()
_XML = f'<{KEY} value="'.encode()
_ZIP = f"{KEY} ".encode()
_END_OF_ZIP, _END_BYTES = b"PK\5\6", 22


def add_comment(path: Path) -> None:
    """Make room for a checksum at the end of a ZIP archive.

    Raises:
        ValueError: not a ZIP archive, or it already has a comment.
    """
    data = path.read_bytes()
    if data[-_END_BYTES:][:4] != _END_OF_ZIP:
        raise ValueError(f"{path}: expected a ZIP archive without a comment")
    comment = _ZIP + BLANK.encode()
    path.write_bytes(data[:-2] + len(comment).to_bytes(2, "little") + comment)


def seal(path: Path, beside: Sequence[Path] = ()) -> None:
    """Write the checksum of a file into it; ``beside`` are files that belong to it.

    Raises:
        ValueError: there is no entry ``KEY`` of eight digits in it.
    """
    data = path.read_bytes()
    place = _place(data)
    if place is None:
        raise ValueError(f"{path}: there is no room for a checksum in it; expected an entry {KEY!r}")
    with path.open("r+b") as file:
        file.seek(place)
        file.write(_checksum(data, place, beside).encode())


def check_mark(path: Path, description: str, sealed: bool) -> None:
    """Raise ValueError for a file whose description says that it has a checksum, and that has none."""
    if not sealed and json.dumps(MARK)[1:-1] in description:
        raise ValueError(f"{path}: damaged: metadata field {KEY!r} is missing; copy, download or export it again")


def verify(path: Path, beside: Sequence[Path] = ()) -> bool:
    """Check a file against the checksum inside it.

    Returns:
        False for a file without one, as version 0.1 wrote them: ``check_mark`` tells whether it should have one.
    Raises:
        ValueError: they differ: the file is damaged. OSError: it cannot be read.
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
            f"{path}: damaged, or changed by another program: the checksum of its content is {found}, and metadata "
            f"field {KEY!r} says {expected.decode('ascii', 'backslashreplace')}; copy, download or export it again"
        )
    return True


def _place(data: bytes | mmap.mmap) -> int | None:
    """Where the eight digits begin."""
    if data[8:9] == b"{":
        # The header comes first, and its length before it.
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
