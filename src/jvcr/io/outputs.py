"""What a run writes: nothing that it reads, nothing twice, and nothing that is there already unless it may."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import sys
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jvcr.files import cannot_write, check_name, written_whole

_FileId = tuple[int, int]
"""Device and number: the same for every name of a file, through links and other capitals."""

_Named = Mapping[str, "Path | str | None"] | Iterable[tuple[str, "Path | str | None"]]


class ExistingResults(ValueError):
    """A result is there already, and the run may not replace it."""


def check_outputs(
    outputs: _Named, inputs: Iterable[Path | str | None] = (), *, may_replace: bool | Collection[Path] = True
) -> None:
    """Check where a run is to write, before anything is opened.

    Args:
        outputs: what is to be written, by what the user calls it (``"--json"``); ``"-"`` and None are no files.
        inputs: files and folders that the run reads. A file that is there already inside such a folder counts as one of
            its inputs. Those that are no files (URLs, names of shipped weights) are left alone.
        may_replace: earlier results may be replaced; or those that may.
    Raises:
        ValueError: an output is an input, by whatever name (links of both kinds, other capitals on a file system that
            does not tell them apart), or lies inside one that is a file; two outputs are one file, or would be where
            capitals do not count; an output is a folder.
        ExistingResults: an output is there already, and it may not be replaced.
    """
    files, folders = _inputs(inputs)
    named = outputs.items() if isinstance(outputs, Mapping) else outputs
    taken: dict[object, tuple[int, str]] = {}
    above: dict[str, tuple[str, Path]] = {}
    for number, (label, output) in enumerate(named):
        if output is None or output == "-":
            continue
        path = Path(output)
        check_name(path)
        real = os.path.realpath(path)
        found = _stat(real)
        if found is not None and not stat.S_ISREG(found.st_mode):
            if stat.S_ISDIR(found.st_mode):
                raise ValueError(f"{label} {path}: is a folder; expected the name of a file to write")
            # Devices and pipes take what comes, and keep nothing.
            continue
        if found is not None:
            _check_no_input(label, path, real, _id(found), files, folders)
            if may_replace is not True and (may_replace is False or path not in may_replace):
                raise ExistingResults(f"{path}: is there already")
        for key in (spelling(real), _id(found) if found is not None else None):
            if key is not None and (other := taken.setdefault(key, (number, f"{label} {path}")))[0] != number:
                raise ValueError(f"{label} {path} and {other[1]} are one file; give them different names")
        above.setdefault(spelling(str(Path(real).parent)), (label, path))
    for folder, (label, path) in above.items():
        _check_folder(folder, label, path, taken)


def _inputs(inputs: Iterable[Path | str | None]) -> tuple[dict[_FileId, Path], dict[_FileId, Path]]:
    files: dict[_FileId, Path] = {}
    folders: dict[_FileId, Path] = {}
    for given in inputs:
        found = None if given is None or not str(given) else _stat(given)
        if found is not None:
            (folders if stat.S_ISDIR(found.st_mode) else files)[_id(found)] = Path(str(given))
    return files, folders


def _check_no_input(
    label: str, path: Path, real: str, identity: _FileId, files: dict[_FileId, Path], folders: dict[_FileId, Path]
) -> None:
    if identity in files:
        other = files[identity]
        same = "itself one of the inputs" if str(path) == str(other) else f"the same file as the input {other}"
        raise ValueError(f"{label} {path} is {same}; nothing was written: choose another {label}")
    if folders:
        for parent in Path(real).parents:
            found = _stat(parent)
            if found is not None and _id(found) in folders:
                raise ValueError(
                    f"{label} {path} is there already, inside the input {folders[_id(found)]}; nothing was written: "
                    f"choose another {label}"
                )


def _check_folder(folder: str, label: str, path: Path, taken: dict[object, tuple[int, str]]) -> None:
    """Every folder above an output must be one, or be nothing yet. ``folder`` is in the spelling of ``taken``."""
    for parent in (Path(folder), *Path(folder).parents):
        if str(parent) in taken:
            raise ValueError(f"{label} {path} lies inside {taken[str(parent)][1]}, which is to be a file; rename one")
    for parent in path.parents:
        found = _stat(parent)
        if found is not None:
            if not stat.S_ISDIR(found.st_mode):
                raise ValueError(f"{label} {path}: {parent} is a file, not a folder; choose another place")
            return


def spelling(real: str) -> str:
    """What names have in common that are one on some file systems."""
    return unicodedata.normalize("NFC", real).casefold()


def _stat(path: Path | str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except (OSError, ValueError):
        return None


def _id(found: os.stat_result) -> _FileId:
    return found.st_dev, found.st_ino


class Lines(Protocol):
    """Where lines go."""

    def write(self, text: str, /) -> object:
        """One or more whole lines, each with its end."""
        ...

    def flush(self) -> object:
        """Hold nothing back."""
        ...


class LineFile:
    """A file of lines that grows. It holds whole lines only: what cannot be written whole is taken back.

    Args:
        path: for messages. number: of the open file, which is closed by ``close``.
    """

    def __init__(self, path: Path, number: int) -> None:
        self._path, self._number = path, number
        self._whole = os.lseek(number, 0, os.SEEK_END) if stat.S_ISREG(os.fstat(number).st_mode) else None

    def write(self, text: str, /) -> None:
        """Write whole lines at once.

        Raises:
            OSError: they cannot be written (the disk is full, say); nothing of them is left in the file.
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


_FLAGS = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@contextlib.contextmanager
def json_lines(target: str | Path | None, *, overwrite: bool = False, append: bool = False) -> Iterator[Lines | None]:
    """Where to write lines to: a file, stdout for ``-``, or nowhere for None.

    A new file grows under its own name, line by line: whoever is killed leaves whole lines (and at most a part of one,
    which ``read_earlier`` finds). A file that replaces another grows beside it, as ``part_of`` says, and takes its
    place at the end; until then the old one stays as it was.

    Args:
        overwrite: a file that is there is replaced. append: it is continued.
    Raises:
        ExistingResults: the file is there, and neither was asked for.
        ValueError: ``-``, and stdout is closed. OSError: it cannot be opened.
    """
    if target is None:
        yield None
        return
    if target == "-":
        # None: the process was started without one, and everything would be lost in silence.
        if sys.stdout is None:
            raise ValueError("--json -: standard output is closed; open it, or give a file's name")
        yield sys.stdout
        return
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    found = _stat(path)
    special = found is not None and not stat.S_ISREG(found.st_mode)
    if special or append:
        flags = 0 if special else os.O_CREAT | os.O_APPEND
        with contextlib.closing(LineFile(path, os.open(path, _FLAGS | flags, 0o666))) as lines:
            yield lines
        return
    with (
        growing(path, overwrite=overwrite) as place,
        contextlib.closing(LineFile(path, os.open(place, _FLAGS))) as lines,
    ):
        yield lines


@contextlib.contextmanager
def growing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Where to write a file that is worth something before it is complete: an empty file, made just now.

    A new file grows under its own name. One that replaces another grows beside it (``part_of``) and takes its place at
    the end; after an error the old one stays, and the new one beside it.

    Raises:
        ExistingResults: the file is there, and may not be replaced.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    replaces = overwrite and path.exists()
    place = part_of(path) if replaces else path
    try:
        os.close(os.open(place, _FLAGS | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError as error:
        raise ExistingResults(f"{path}: is there already") from error
    try:
        yield place
    except BaseException:
        if place.stat().st_size == 0:
            place.unlink()
        raise
    if replaces:
        place.replace(path)


def part_of(path: Path) -> Path:
    """A free name beside ``path``: ``film.mp4`` → ``film.part.mp4``, or ``film.part2.mp4``, …"""
    for number in itertools.count(1):
        part = path.with_name(f"{path.stem}.part{number if number > 1 else ''}{path.suffix}")
        if not os.path.lexists(part):
            return part
    raise AssertionError("numbers do not end")


class Done(NamedTuple):
    """What the record of a photo says of its making. size: bytes of the photo. modified_ns: its time of change.
    written: names of the pictures and pages that were made of it."""

    size: int
    modified_ns: int
    written: tuple[str, ...]


def source_entry(path: Path) -> dict[str, int]:
    """What tells whether a photo is still the one that was looked at."""
    found = path.stat()
    return {"bytes": found.st_size, "modified_ns": found.st_mtime_ns}


class Earlier(NamedTuple):
    """What a file of JSON lines holds. records: by name of the photo. dropped: numbers of the lines, from 1, that must
    go before the file is continued (``drop_lines``)."""

    records: dict[str, Done]
    dropped: set[int]


def read_earlier(path: Path, is_done: Callable[[str, Done], bool | None]) -> Earlier:
    """The photos that a file of JSON lines has already.

    To be dropped are a last line that was cut short by a kill, and the lines of photos that are to be done again.

    Args:
        is_done: name and record of a photo → whether it needs no second look; None for a photo of another run.
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
