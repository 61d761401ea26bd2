"""Seeded damage to bytes and texts: what disks, copies, editors and attackers do."""

from __future__ import annotations

import copy
import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**62, 2**64 - 1)
"""Numbers at which sizes and offsets overflow."""

WORDS = (b"nan", b"-inf", b"1e999", b"null", b"{}", b"[]", b'""', b"true", b"-1", b"0", b"9" * 30, b"\0", b"\xff\xfe")


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """One to four damages, one after the other.

    Args:
        others: pieces of them may be spliced in.
    """
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice(_DAMAGES)(out, others, rng)
    return bytes(out)


def _place(out: bytearray, rng: random.Random) -> int:
    """Half of all damage is at the beginning, where headers are."""
    end = min(len(out), 64) if rng.random() < 0.5 else len(out)
    return rng.randrange(max(1, end))


def _flip_bits(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8))):
        if out:
            out[_place(out, rng) % len(out)] ^= 1 << rng.randrange(8)


def _set_bytes(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start = _place(out, rng)
    length = rng.choice((1, 2, 4, 16, 200))
    out[start : start + length] = rng.randbytes(len(out[start : start + length]))


def _set_number(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    width, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    value = rng.choice(EXTREMES) % 256**width
    start = _place(out, rng)
    out[start : start + width] = value.to_bytes(width, order)  # type: ignore[arg-type]


def _cut(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    del out[_place(out, rng) :]


def _remove(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start = _place(out, rng)
    del out[start : start + rng.choice((1, 2, 7, 64, 500))]


def _insert(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start = _place(out, rng)
    out[start:start] = rng.choice((rng.randbytes(rng.choice((1, 4, 100))), rng.choice(WORDS), bytes(300)))


def _repeat(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    start = _place(out, rng)
    piece = bytes(out[start : start + rng.choice((1, 8, 60, 400))])
    out[start:start] = piece * rng.choice((1, 2, 20))


def _splice(out: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    start, end = sorted(rng.randrange(len(other) + 1) for _ in range(2))
    at = _place(out, rng)
    out[at : at + (end - start if rng.random() < 0.5 else 0)] = other[start:end]


def _swap(out: bytearray, _: Sequence[bytes], rng: random.Random) -> None:
    length = rng.choice((1, 4, 12, 64))
    one, other = sorted(_place(out, rng) for _ in range(2))
    if one + length <= other and other + length <= len(out):
        out[one : one + length], out[other : other + length] = out[other : other + length], out[one : one + length]


_DAMAGES: tuple[Callable[[bytearray, Sequence[bytes], random.Random], None], ...] = (
    _flip_bits,
    _flip_bits,
    _set_bytes,
    _set_number,
    _cut,
    _remove,
    _insert,
    _repeat,
    _splice,
    _swap,
)


_TEXT_WORDS = (
    *WORDS,
    *(b"[" * 5000, b'{"a":' * 5000, b'"' + b"x" * 5000 + b'"'),
    *(b"9" * 400, b"9" * 5000, b"1e400", b'"\\ud800"'),
)
"""Also nested too deeply for a parser, and too large for floats and for Python's limit of digits."""

_TOKEN = re.compile(rb"""[A-Za-z_]+|-?[0-9.]+|"[^"\n]*"|[^\sA-Za-z0-9]""")


def text_mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Damage to texts. Half of the time whole words, numbers and brackets change, so that more of it still parses."""
    if rng.random() < 0.5:
        return mutated(data, others, rng)
    for _ in range(rng.choice((1, 1, 2, 4))):
        tokens = list(_TOKEN.finditer(data))
        if not tokens:
            break
        where, taken = rng.choice(tokens), rng.choice(tokens)
        put = rng.choice((b"", taken.group(), taken.group(), rng.choice(_TEXT_WORDS), where.group() * 2))
        data = data[: where.start()] + put + data[where.end() :]
    return data


def value_damaged(value: object, rng: random.Random) -> None:
    """Replace, or remove, something somewhere in nested dictionaries and lists."""
    while isinstance(value, dict | list) and value:
        key = rng.choice(list(value) if isinstance(value, dict) else list(range(len(value))))
        inner = value[key]  # type: ignore[index, call-overload]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.7:
            value = inner
            continue
        if rng.random() < 0.2:
            del value[key]  # type: ignore[arg-type]
        else:
            # A copy: some are changed later.
            value[key] = copy.deepcopy(rng.choice(_VALUES))  # type: ignore[index, call-overload]
        return


_VALUES = (None, -1, 0, 3, 2**62, 10**40, 1e308, 1e-320, float("nan"), "", "x", "\0", "\ud800", True)
_VALUES += ([], {}, [[]], [1] * 50, {"a": {}}, [None])  # type: ignore[assignment]

_PNG = b"\x89PNG\r\n\x1a\n"


def png_resealed(data: bytes) -> bytes:
    """A damaged PNG with the right checksum in each chunk, so that its content is looked at; others unchanged."""
    if not data.startswith(_PNG):
        return data
    out, at = bytearray(data), len(_PNG)
    while at + 12 <= len(out):
        (length,) = struct.unpack_from(">I", out, at)
        end = at + 8 + length
        if end + 4 > len(out):
            break
        struct.pack_into(">I", out, end, zlib.crc32(out[at + 4 : end]))
        at = end + 4
    return bytes(out)


def tar_resealed(data: bytes, good: bytes) -> bytes:
    """A damaged tar file with the right checksum in each block where ``good`` has a header."""
    out = bytearray(data)
    for at in range(0, min(len(out), len(good)) - 511, 512):
        if good[at + 257 : at + 262] == b"ustar":
            out[at + 148 : at + 156] = b" " * 8
            out[at + 148 : at + 156] = b"%06o\0 " % sum(out[at : at + 512])
    return bytes(out)


def zip_mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """Damage to a ZIP archive: half of the time to its members, in an archive that is in order."""
    if rng.random() < 0.5:
        return mutated(data, others, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(members))
    damage = rng.randrange(4)
    if damage == 0:
        del members[name]
    elif damage == 1:
        members[name] = members[rng.choice(list(members))]
    else:
        members[name] = mutated(members[name], list(members.values()), rng)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for key, content in members.items():
            archive.writestr(zipfile.ZipInfo(key), content)
    return file.getvalue()
