"""The photos of a batch: folders, globs, lists, WebDataset tars and Parquet data sets, here or behind a URL."""

from __future__ import annotations

import glob
import os
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from jvcr.batch.schema import import_arrow
from jvcr.batch.store import is_url, open_url
from jvcr.files import open_regular, read_text
from jvcr.images import IMAGE_ENDINGS
from jvcr.io.boxes import GivenBoxes

_GLOB = re.compile(r"[*?\[]")
_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
_LISTS = (".txt", ".lst", ".list")
_PARQUETS = (".parquet", ".pq")
_IMAGE_COLUMNS = ("image", "img", "jpg", "png", "bytes", "image_path", "path", "file", "file_name", "url")
_ID_COLUMNS = ("id", "key", "__key__", "photo", "image_id", "path", "file_name")
_BLOCK = 4 << 20
"""Bytes that are fetched at a time while a tar's headers are read."""


class Kind(StrEnum):
    """What the photos are stored in."""

    FILES = "files"
    TARS = "tars"
    PARQUET = "parquet"


class Photo(NamedTuple):
    """A photo of the plan.

    Attributes:
        id: its name in the results.
        path: of the file that holds it.
        place: where it lies in this file: offset and bytes in a tar, row group and row in Parquet; () for a file of
            its own.
        boxes: landmark boxes that were given in a file; None: find the faces.
    """

    id: str
    path: str
    place: tuple[int, ...] = ()
    boxes: list[list[float]] | None = None


@dataclass(frozen=True)
class Source:
    """Where photos come from. Written into the plan.

    Attributes:
        given: as the user gave it; paths are absolute.
        image_column, id_column, box_column: of Parquet files; "" where there is none.
    """

    given: str
    kind: str
    image_column: str = ""
    id_column: str = ""
    box_column: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For the plan."""
        return asdict(self)


class Listing(NamedTuple):
    """A source, and its photos in a fixed order."""

    source: Source
    photos: Iterator[Photo]


def list_photos(
    given: str,
    *,
    image_column: str = "",
    id_column: str = "",
    box_column: str = "",
    boxes: GivenBoxes | None = None,
) -> Listing:
    """The photos of a source.

    Args:
        given: a folder (searched to any depth), a glob, a text file of paths or URLs (``.txt``), a tar, a Parquet file,
            or a URL of one of these. Folders, globs and lists hold photos, tars, or Parquet files.
        image_column, id_column, box_column: of Parquet files; guessed where they are "" (boxes: none).
        boxes: of photos by id or file name; a photo that is not listed has none.
    Raises:
        ValueError: nothing is there, or it is nothing of these; it is named.
    """
    given = given if is_url(given) else str(Path(given).absolute())
    named = _expanded(given)
    endings = {_ending(path) for _, path in named}
    if not named:
        raise ValueError(
            f"{given}: no photos there; expected a folder, a glob, a text file of paths, .tar or .parquet files, or a "
            f"URL of one of them; photos end in {', '.join(sorted(IMAGE_ENDINGS))}"
        )
    columns = {"image_column": image_column, "id_column": id_column, "box_column": box_column}
    photos: Iterator[Photo]
    if endings <= set(_PARQUETS):
        columns = _columns(named[0][1], columns)
        source = Source(given, Kind.PARQUET, **columns)
        photos = _in_parquets(named, source)
    elif any(columns.values()):
        raise ValueError(f"{given}: columns are given, and it holds no Parquet files; expected .parquet files")
    elif endings == {".tar"}:
        source, photos = Source(given, Kind.TARS), _in_tars(named)
    else:
        mixed = endings & {".tar", ".gz", ".tgz", *_PARQUETS}
        if mixed:
            raise ValueError(
                f"{given}: holds {' and '.join(sorted(endings))} files; expected photos, uncompressed .tar files, or "
                ".parquet files alone"
            )
        source, photos = Source(given, Kind.FILES), (Photo(name, path) for name, path in named)
    if boxes is not None:
        photos = (photo._replace(boxes=_boxes_of(boxes, photo)) for photo in photos)
    return Listing(source, photos)


def read_bytes(path: str, place: tuple[int, ...], most_bytes: int) -> bytes:
    """The encoded photo in a file of its own, or in a tar.

    Raises:
        OSError: it cannot be read. ValueError: it is no ordinary file, or has more bytes.
    """
    if place and place[1] > most_bytes:
        raise ValueError(f"{place[1] / 1e6:.0f} MB, more than an image within the limit of pixels can take")
    if not is_url(path):
        with open_regular(Path(path)) as file:
            if place:
                file.seek(place[0])
            elif os.fstat(file.fileno()).st_size > most_bytes:
                raise ValueError(f"{path}: larger than an image within the limit of pixels can be")
            return file.read(place[1] if place else -1)
    system, inside = open_url(path)
    if place:
        data: bytes = system.cat_file(inside, start=place[0], end=place[0] + place[1])
        return data
    if (system.size(inside) or 0) > most_bytes:
        raise ValueError(f"{path}: larger than an image within the limit of pixels can be")
    data = system.cat_file(inside)
    return data


def _expanded(given: str) -> list[tuple[str, str]]:
    """(id, path) of each file that a source names, in order."""
    if match := _BRACES.search(given):
        # WebDataset's {000..123}.
        low, high = match.groups()
        names = [
            f"{given[: match.start()]}{number:0{len(low)}}{given[match.end() :]}"
            for number in range(int(low), int(high) + 1)
        ]
        return [pair for name in names for pair in _expanded(name)]
    if given.lower().endswith(_LISTS):
        return _in_list(given)
    return _at_url(given) if is_url(given) else _at_path(given)


def _at_path(given: str) -> list[tuple[str, str]]:
    path = Path(given)
    if path.is_dir():
        return _chosen((os.path.relpath(found, given), found) for found in _walk(given))
    if path.exists():
        return [(path.name, given)]
    if not _GLOB.search(given):
        raise ValueError(f"{given}: no such file or folder")
    matches = [match for match in glob.glob(given, recursive=True) if Path(match).is_file()]  # noqa: PTH207 - absolute
    return _below(given, sorted(matches))


def _walk(folder: str) -> Iterator[str]:
    """Files to any depth, in an order that does not depend on the file system. Hidden ones are left out."""
    with os.scandir(folder) as found:
        entries = sorted((entry for entry in found if not entry.name.startswith(".")), key=lambda entry: entry.name)
    for entry in entries:
        # A link to a folder may lead back to where it lies.
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.is_file() or not entry.is_dir():
            yield entry.path


def _at_url(given: str) -> list[tuple[str, str]]:
    system, inside = open_url(given)
    if _GLOB.search(inside):
        return _below(given, sorted(system.unstrip_protocol(path) for path in system.glob(inside)))
    if system.isfile(inside):
        return [(inside.rpartition("/")[2], given)]
    root = system.unstrip_protocol(inside).rstrip("/")
    found = sorted(system.unstrip_protocol(path) for path in system.find(inside))
    return _chosen((path.removeprefix(root).lstrip("/"), path) for path in found)


def _in_list(given: str) -> list[tuple[str, str]]:
    """Paths in a list are relative to its folder."""
    if is_url(given):
        system, inside = open_url(given)
        lines = system.cat_file(inside).decode("utf-8-sig").splitlines()
        base = given.rpartition("/")[0]
        named = [line.strip() for line in lines]
        return [(line, line if is_url(line) else f"{base}/{line}") for line in named if line]
    lines = read_text(Path(given)).splitlines()
    folder = Path(given).parent
    return [(line, line if is_url(line) else str(folder / line)) for line in map(str.strip, lines) if line]


def _below(pattern: str, matches: list[str]) -> list[tuple[str, str]]:
    """Ids are relative to the folder before the pattern's first wildcard."""
    first = _GLOB.search(pattern)
    base = pattern[: first.start() if first else None].rpartition("/")[0] + "/"
    return [(match.removeprefix(base), match) for match in matches]


def _chosen(found: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The photos of a folder; without any, its tars; without those, its Parquet files."""
    by_kind: dict[Kind, list[tuple[str, str]]] = {kind: [] for kind in Kind}
    for name, path in found:
        ending = _ending(path)
        kind = Kind.FILES if ending in IMAGE_ENDINGS else Kind.TARS if ending == ".tar" else Kind.PARQUET
        if kind is not Kind.PARQUET or ending in _PARQUETS:
            by_kind[kind].append((Path(name).as_posix(), path))
    return next((files for files in by_kind.values() if files), [])


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 - a URL, too


def _in_tars(named: Iterable[tuple[str, str]]) -> Iterator[Photo]:
    """Photos in tars, with their places, so that a worker reads only the bytes of a photo."""
    for name, path in named:
        try:
            if is_url(path):
                system, inside = open_url(path)
                opened: Any = system.open(inside, "rb", block_size=_BLOCK)
                size = system.size(inside)
            else:
                opened, size = Path(path).open("rb"), Path(path).stat().st_size  # noqa: SIM115 - closed below
            with opened as file, tarfile.open(fileobj=file, mode="r:") as archive:
                for member in archive:
                    if member.isfile() and _ending(member.name) in IMAGE_ENDINGS:
                        if member.offset_data + member.size > size:
                            raise tarfile.ReadError(f"{member.name} reaches beyond the end of the file")
                        yield Photo(f"{name}/{member.name}", path, (member.offset_data, member.size))
                    # Otherwise it keeps what it knows of each member.
                    archive.members = []  # type: ignore[attr-defined]
        except (tarfile.TarError, OSError) as error:
            raise ValueError(f"{path}: cannot be read as a tar ({error}); expected an uncompressed tar") from error


def _in_parquets(named: Iterable[tuple[str, str]], source: Source) -> Iterator[Photo]:
    for name, path in named:
        with _parquet(path) as file:
            for group in range(file.num_row_groups):
                column = (
                    file.read_row_group(group, columns=[source.id_column]).column(0).to_pylist()
                    if source.id_column
                    else [f"{name}#{group}.{row}" for row in range(file.metadata.row_group(group).num_rows)]
                )
                yield from (Photo(str(key), path, (group, row)) for row, key in enumerate(column))


def _columns(path: str, given: dict[str, str]) -> dict[str, str]:
    """The columns that are used, checked against those of the first file."""
    with _parquet(path) as file:
        known = file.schema_arrow.names
    for option, name in given.items():
        if name and name not in known:
            option = "--" + option.replace("_", "-")
            raise ValueError(f"{path}: has no column {name!r} ({option}); expected one of {', '.join(known)}")
    image = given["image_column"] or next((name for name in _IMAGE_COLUMNS if name in known), "")
    if not image:
        raise ValueError(
            f"{path}: which column holds the images? It has {', '.join(known)}; name the one with encoded images or "
            "paths with --image-column"
        )
    key = given["id_column"] or next((name for name in _ID_COLUMNS if name in known and name != image), "")
    return given | {"image_column": image, "id_column": key}


def _parquet(path: str) -> Any:
    """An open Parquet file.

    Raises:
        ValueError: it is none.
    """
    pa, parquet = import_arrow()
    try:
        if is_url(path):
            system, inside = open_url(path)
            return parquet.ParquetFile(inside, filesystem=system)
        return parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path}: cannot be read as Parquet ({error})") from error


class ParquetRows:
    """Reads the images and boxes of a Parquet source. Keeps the row group that it read last."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._kept: tuple[str, int] | None = None
        self._images: Any = None
        self._boxes: Any = None

    def image(self, photo: Photo) -> bytes | str:
        """The encoded image in a row, or the path of its file.

        Raises:
            ValueError: the row holds neither.
        """
        self._load(photo)
        value = self._images[photo.place[1]].as_py()
        if isinstance(value, dict):
            # Hugging Face's images.
            value = value.get("bytes") or value.get("path")
        if isinstance(value, str) and not is_url(value):
            base = photo.path.rpartition("/")[0]
            return f"{base}/{value}" if is_url(photo.path) else str(Path(photo.path).parent / value)
        if not isinstance(value, bytes | str) or not value:
            raise ValueError(f"column {self._source.image_column!r} holds neither an encoded image nor a path")
        return value

    def boxes(self, photo: Photo) -> list[list[float]] | None:
        """The boxes in a row; None without a column of boxes."""
        if not self._source.box_column:
            return None
        self._load(photo)
        return [list(row) for row in self._boxes[photo.place[1]].as_py() or []]

    def _load(self, photo: Photo) -> None:
        group = (photo.path, photo.place[0])
        if self._kept == group:
            return
        columns = [name for name in (self._source.image_column, self._source.box_column) if name]
        with _parquet(photo.path) as file:
            table = file.read_row_group(group[1], columns=columns)
        self._images = table.column(self._source.image_column)
        self._boxes = table.column(self._source.box_column) if self._source.box_column else None
        self._kept = group


def _boxes_of(boxes: GivenBoxes, photo: Photo) -> list[list[float]]:
    return boxes.of(Path(photo.id))
