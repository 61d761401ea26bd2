"""Files of JSON lines. They contain only complete lines, whatever happens, and a later run can resume from them."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jvcr.files import cannot_write, written_whole
from jvcr.io.outputs import WRITING, growing


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """One or more whole lines, each with its end."""
        ...

    def flush(self) -> object:
        """Hold nothing back."""
        ...


class LineFile:
    """A growing file of lines. It contains only complete lines: a line that cannot be written completely is removed.

    Args:
        path: for messages. number: of the open file, which is closed by ``close``.
    """

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._whole = os.lseek(number, 0, os.SEEK_END) if stat.S_ISREG(os.fstat(number).st_mode) else None

    def write(self, text: str, /) -> None:
        """Write whole lines at once.

        Raises:
            OSError: they cannot be written (a full disk, for example); no part of them stays in the file.
        """
        data = memoryview(text.encode("utf-8"))
        try:
            while data:
                data = data[os.write(self._number, data) :]
        except BrokenPipeError:
            raise
        except OSError as error:
            if self._whole is not None:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._number, self._whole)
                    os.lseek(self._number, self._whole, os.SEEK_SET)
            raise cannot_write(self._path, error) from error
        if self._whole is not None:
            self._whole = os.lseek(self._number, 0, os.SEEK_CUR)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Close the file; what was written stays."""
        os.close(self._number)


@contextlib.contextmanager
def json_lines(target: str | Path | None, *, overwrite: bool = False, append: bool = False) -> Iterator[Lines | None]:
    """Where to write lines to: a file, stdout for ``-``, or nowhere for None.

    A new file grows under its own name, line by line. A killed run leaves complete lines and at most one partial line,
    which ``read_earlier`` detects. A file that replaces another grows beside it (``part_of``) and takes its place at
    the end; until then the old file is unchanged.

    Args:
        overwrite: replace an existing file. append: continue it.
    Raises:
        ExistingResults: the file exists, and neither was requested.
        ValueError: ``-``, and stdout is closed. OSError: it cannot be opened.
    """
    if target is None:
        yield None
        return
    if target == "-":
        # None: the process was started without stdout, and all output would be lost silently.
        if sys.stdout is None:
            raise ValueError("--json -: standard output is closed; open it, or give a file's name")
        yield sys.stdout
        return
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    special = path.exists() and not path.is_file()
    if special or append:
        flags = 0 if special else os.O_CREAT | os.O_APPEND
        with contextlib.closing(LineFile(path, os.open(path, WRITING | flags, 0o666))) as lines:
            yield lines
        return
    with (
        growing(path, overwrite=overwrite) as place,
        contextlib.closing(LineFile(path, os.open(place, WRITING))) as lines,
    ):
        yield lines


class Done(NamedTuple):
    """Processing details in the record of a photo. size: bytes of the photo. modified_ns: its time of change.
    written: names of the pictures and pages that were written for it."""

    size: int
    modified_ns: int
    written: tuple[str, ...]


def source_entry(path: Path) -> dict[str, int]:
    """Identifies the version of a photo that was processed."""
    found = path.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}


class Earlier(NamedTuple):
    """Contents of a file of JSON lines. records: by name of the photo. dropped: numbers of the lines, from 1, that must
    go before the file is continued (``drop_lines``)."""

    records: dict[str, Done]
    dropped: set[int]


def read_earlier(path: Path, is_done: Callable[[str, Done], bool | None]) -> Earlier:
    """The photos that a file of JSON lines already contains.

    To be dropped are a last line that was cut short by a kill, and the lines of photos that are to be done again.

    Args:
        is_done: name and record of a photo → whether it is complete; None for a photo of another run.
    Returns:
        the records of all that ``is_done`` does not give None for: those that are done, and those to be done again.
    Raises:
        ValueError: the file holds lines that are no records of ``jvcr predict``.
    """
    found: dict[str, Done] = {}
    dropped: set[int] = set()
    line_of: dict[str, int] = {}
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                if not (line.startswith(_RECORD_START) or _RECORD_START.startswith(line)):
                    raise _no_record(path, number, "the line has no end")
                dropped.add(number)
                continue
            name, entry = _record_of(path, number, line)
            complete = is_done(name, entry)
            if complete is None:
                continue
            # Of several lines about a photo, the last one counts.
            if name in line_of:
                dropped.add(line_of[name])
            line_of[name], found[name] = number, entry
            if not complete:
                dropped.add(number)
    return Earlier(found, dropped)


def drop_lines(path: Path, numbers: set[int]) -> None:
    """Rewrite a file without these lines, counted from 1."""
    if numbers:
        with path.open("rb") as file, written_whole(path) as fresh:
            fresh.writelines(line for number, line in enumerate(file, 1) if number not in numbers)


_RECORD_START = b'{"image": '


def _record_of(path: Path, number: int, line: bytes) -> tuple[str, Done]:
    try:
        record: Any = json.loads(line)
        name, source = record["image"], record["source"]
        entry = Done(source["bytes"], source["modified_ns"], tuple(record.get("written", ())))
        if not isinstance(name, str) or not all(Path(file).name == file for file in entry.written):
            raise ValueError("image and written are no names")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _no_record(path, number, f"{type(error).__name__}: {error}") from None
    return name, entry


def _no_record(path: Path, number: int, reason: str) -> ValueError:
    return ValueError(
        f"{path}: line {number} is no record that --resume can go on from ({reason}); expected a file that "
        "`jvcr predict --json` of this version wrote; give another --json, or --overwrite"
    )
