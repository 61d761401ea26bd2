"""Files on disk: only regular files are read, and files are written completely or not at all."""

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
"""What the parsers of JSON and TOML raise. Syntax errors, text that is not UTF-8 and numbers with too many digits are
kinds of ValueError; deep nesting is a RecursionError."""


def check_name(path: Path) -> None:
    """Raise ValueError for a name that no file can have (NUL)."""
    if "\0" in str(path):
        raise ValueError(f"{str(path)!r}: a file name cannot hold the character NUL")


def check_regular(path: Path, mode: int) -> None:
    """Raise ValueError unless ``mode`` (``stat``'s) is an ordinary file's: devices and pipes may never end."""
    if not stat.S_ISREG(mode):
        kind = next((name for test, name in _KINDS if test(mode)), "no ordinary file")
        raise ValueError(f"{path}: cannot be read: it is {kind}; expected an ordinary file")


@contextlib.contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """An ordinary file, open for reading; devices, pipes and sockets are refused before anything is read.

    Raises:
        ValueError: no ordinary file, or no file name. OSError: it cannot be opened.
    """
    check_name(path)
    # Opening alone can block on a pipe or act on a device. Checked again below: the name may be replaced in between.
    check_regular(path, path.stat().st_mode)
    number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(number, "rb") as file:
        check_regular(path, os.fstat(number).st_mode)
        yield file


def read_text(path: Path) -> str:
    """UTF-8 text, with or without a byte order mark.

    Raises:
        ValueError: it is missing, no ordinary file, or no UTF-8; it is named.
    """
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Write a file and move it into place at the end. A run that dies half-way leaves the old file, or none.

    The file is written beside its target, as a hidden ``.jvcr-….part``, and renamed. A symbolic link is followed, so
    its target is replaced. A hard link to the same file keeps the old content. Pipes and devices are written directly.

    Raises:
        CannotWrite: it cannot be written (a full disk, for example); the message names it.
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
    """A result that cannot be written; the message names it. ``errno`` is the system's."""

    def __str__(self) -> str:
        return str(self.strerror)


def cannot_write(path: Path | str, error: OSError) -> CannotWrite:
    """This error with the file's name and what to do."""
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
    """Write UTF-8 text completely or not at all, with ``\\n`` at line ends on every system."""
    write_bytes(path, text.encode("utf-8", errors))
