"""Read only regular files, and write files completely or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

MALFORMED = (ValueError, RecursionError)
"""What the JSON and TOML parsers raise. Syntax errors, text that is not UTF-8 and numbers with too many digits raise
subclasses of ValueError; deep nesting raises RecursionError."""


def check_name(path: Path) -> None:
    """Raise ValueError for a name that contains NUL: no file can have it."""
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r}: a file name cannot hold the character NUL")


def check_regular(path: Path, mode: int) -> None:
    """Raise ValueError unless ``mode`` (from ``stat``) is a regular file's: devices and pipes may never end."""
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "a special file")
        raise ValueError(f"{path}: cannot be read: it is {kind}; expected a regular file")


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading. Devices, pipes and sockets are refused before anything is read.

    Raises:
        ValueError: not a regular file, or not a possible file name. OSError: it cannot be opened.
    """
    check_name(path)
    # Opening a pipe can block, and opening a device can have effects. The file may be replaced between this check and
    # opening it, so it is checked again below.
    check_regular(path, path.stat().st_mode)
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        check_regular(path, os.fstat(number).st_mode)
        yield file


def read_text(path: Path) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        ValueError: the file is missing, not a regular file, or not UTF-8. The message names it.
    """
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file and move it into place at the end. If the program dies half-way, the old file (or none) remains.

    The file is written next to its target, as a hidden ``.jvcr-….part``, and then renamed. Symbolic links are followed,
    so the file that they point to is replaced. Hard links keep the old content. Pipes and devices are written directly.

    Raises:
        CannotWrite: the file cannot be written, for example because the disk is full. The message names it.
    """
    target = Path(os.path.realpath(path))
    try:
        before = target.stat().st_mode
    except OSError:
        before = None
    if before is not None and not stat.S_ISREG(before) and not stat.S_ISDIR(before):
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f".jvcr-{secrets.token_hex(6)}.part")
    try:
        with part.open("xb") as file:
            yield file
        if before is not None:
            part.chmod(stat.S_IMODE(before))
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise cannot_write(path, error) from error
        raise


class CannotWrite(OSError):
    """A result cannot be written. The message names the file; ``errno`` is the system's."""

    def __str__(self) -> str:
        return str(self.strerror)


def cannot_write(path: Path | str, error: OSError) -> CannotWrite:
    """Turn a system error into one that names the file and says what to do."""
    if isinstance(error, CannotWrite):
        return error
    return CannotWrite(
        error.errno,
        f"{path}: cannot be written ({error.strerror or error}); free some disk space, or choose another folder",
    )


def write_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write a file completely or not at all (``written_whole``)."""
    with written_whole(path) as file:
        file.write(data)


def write_text(path: Path, text: str, errors: str = "strict") -> None:
    """Write UTF-8 text completely or not at all, with ``\\n`` line ends on every system."""
    write_bytes(path, text.encode("utf-8", errors))
