"""What a run writes: nothing that it reads, no file twice, and no existing result unless it may be replaced."""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from jvcr.files import check_name

_FileId = tuple[int, int]
"""Device and number: the same for every name of a file, through links and differences in case."""

_Named = Mapping[str, "Path | str | None"] | Iterable[tuple[str, "Path | str | None"]]


class ExistingResults(ValueError):
    """A result already exists, and the run may not replace it."""


def check_outputs(
    outputs: _Named, inputs: Iterable[Path | str | None] = (), *, may_replace: bool | Collection[Path] = True
) -> None:
    """Check the outputs of a run, before anything is opened.

    Args:
        outputs: files to write, by the option that the user gave (``"--json"``); ``"-"`` and None are not files.
        inputs: files and folders that the run reads. An existing file inside such a folder counts as one of
            its inputs. Those that are no files (URLs, names of shipped weights) are left alone.
        may_replace: earlier results may be replaced; or those that may.
    Raises:
        ValueError: an output is an input, by whatever name (links of both kinds, other capitals on a file system that
            does not tell them apart), or lies inside one that is a file; two outputs are one file, or would be where
            capitals do not count; an output is a folder.
        ExistingResults: an output already exists, and may not be replaced.
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
            # Devices and pipes store nothing, so nothing can be overwritten.
            continue
        if found is not None:
            _check_no_input(label, path, real, _id(found), files, folders)
            if may_replace is not True and (may_replace is False or path not in may_replace):
                raise ExistingResults(f"{path}: already exists")
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
                    f"{label} {path} already exists inside the input {folders[_id(found)]}; nothing was written: "
                    f"choose another {label}"
                )


def _check_folder(folder: str, label: str, path: Path, taken: dict[object, tuple[int, str]]) -> None:
    """Every parent of an output must be a folder, or not exist yet. ``folder`` is in the spelling of ``taken``."""
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
    """A key that is equal for names that some file systems treat as one."""
    return unicodedata.normalize("NFC", real).casefold()


def _stat(path: Path | str) -> os.stat_result | None:
    try:
        return Path(path).stat()
    except (OSError, ValueError):
        return None


def _id(found: os.stat_result) -> _FileId:
    return found.st_dev, found.st_ino


WRITING = os.O_WRONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
"""How growing files are opened: never truncated."""


@contextlib.contextmanager
def growing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Where to write a file that is useful before it is complete: a new, empty file.

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
        os.close(os.open(place, WRITING | os.O_CREAT | os.O_EXCL, 0o666))
    except FileExistsError as error:
        raise ExistingResults(f"{path}: already exists") from error
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
