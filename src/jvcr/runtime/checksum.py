"""A checksum inside a weights file, over all of its bytes but the checksum's own: damage is seen before it predicts.

It is a CRC-32: it finds accidents of disks and copies (every change of up to 32 neighbouring bits, and all but one in
four billion of the others) in a millisecond. It protects from nobody who wants to deceive: such a file carries the
checksum of its own content.
"""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Sequence
from pathlib import Path

KEY = "jvcr-crc32"
"""Name of the entry in the file's metadata."""

BLANK = "0" * 8
"""What a writer puts there before ``seal``."""

# What stands before the eight digits: in ONNX (Protocol Buffers' tag and length of the value), in safetensors' JSON,
# and in OpenVINO's XML.
_ONNX = KEY.encode() + b"\x12\x08"
_SAFETENSORS = f'"{KEY}":"'.encode()
_XML = f'<{KEY} value="'.encode()


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


def verify(path: Path, beside: Sequence[Path] = ()) -> bool:
    """Check a file against the checksum inside it.

    Returns:
        False for a file without one, as version 0.1 wrote them.
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
            f"{path}: damaged: the checksum of its content is {found}, and metadata field {KEY!r} says "
            f"{expected.decode('ascii', 'backslashreplace')}; copy, download or export it again"
        )
    return True


def _place(data: bytes | mmap.mmap) -> int | None:
    """Where the eight digits begin."""
    if data[8:9] == b"{":
        # The header comes first, and its length before it.
        mark = _SAFETENSORS
        start = data.find(mark, 0, 8 + int.from_bytes(data[:8], "little"))
    elif data[:5] == b"<?xml":
        mark = _XML
        start = data.rfind(mark)
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
