"""Seeded damage to bytes and texts: what disks, copies, editors and attackers do."""

from __future__ import annotations

import random
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
)
