"""Faces in the formats of other tools (docs/exports.md): 3D meshes, tables, annotation and predictions files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from jvcr.files import cannot_write, written_whole
from jvcr.io.exports.base import ExportedFace, PhotoFaces
from jvcr.io.exports.coco import write_coco
from jvcr.io.exports.dlib_xml import write_dlib
from jvcr.io.exports.glb import write_glb
from jvcr.io.exports.npz import write_npz
from jvcr.io.exports.obj import write_obj
from jvcr.io.exports.ply import write_ply
from jvcr.io.exports.pts import write_pts
from jvcr.io.exports.rows import import_pyarrow, write_csv, write_csv_points, write_parquet
from jvcr.io.outputs import check_outputs
from jvcr.suggest import did_you_mean

__all__ = [
    "ENDINGS",
    "FORMATS",
    "ExportedFace",
    "Format",
    "FormatName",
    "PhotoFaces",
    "export_bytes",
    "format_of",
    "write_export",
]


class FormatName(StrEnum):
    """Names of the formats."""

    OBJ = "obj"
    PLY = "ply"
    GLB = "glb"
    PTS = "pts"
    CSV = "csv"
    CSV_POINTS = "csv-points"
    PARQUET = "parquet"
    COCO = "coco"
    DLIB = "dlib"
    NPZ = "npz"


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        ending: of its files, with the dot.
        one: writes one photo a file; None for formats that hold many photos.
        many: writes many photos into one file; None for formats of one photo a file.
        best_only: holds one face a photo, the one with the best score.
        needs: raises MissingExtra unless the package that it needs is installed.
    """

    ending: str
    one: Callable[[BinaryIO, PhotoFaces], None] | None = None
    many: Callable[[BinaryIO, Sequence[PhotoFaces]], None] | None = None
    best_only: bool = False
    needs: Callable[[], object] = bool

    def write(self, file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
        """Write photos to an open file; a format of one photo a file takes the first."""
        if self.many is not None:
            self.many(file, photos)
        elif self.one is not None:
            self.one(file, photos[0])


FORMATS: dict[FormatName, Format] = {
    FormatName.OBJ: Format(".obj", one=write_obj),
    FormatName.PLY: Format(".ply", one=write_ply),
    FormatName.GLB: Format(".glb", one=write_glb),
    FormatName.PTS: Format(".pts", one=write_pts, best_only=True),
    FormatName.CSV: Format(".csv", many=write_csv),
    FormatName.CSV_POINTS: Format(".points.csv", many=write_csv_points),
    FormatName.PARQUET: Format(".parquet", many=write_parquet, needs=import_pyarrow),
    FormatName.COCO: Format(".json", many=write_coco),
    FormatName.DLIB: Format(".xml", many=write_dlib),
    FormatName.NPZ: Format(".npz", many=write_npz, best_only=True),
}

ENDINGS = tuple(form.ending for form in FORMATS.values())


def format_of(path: Path) -> FormatName:
    """The format of a file's ending; the longest one that fits.

    Raises:
        ValueError: no format has it.
    """
    fitting = [name for name, form in FORMATS.items() if path.name.lower().endswith(form.ending)]
    if not fitting:
        ending = path.suffix
        near = did_you_mean(ending, list(ENDINGS)) if ending else ""
        raise ValueError(f"{path}: ending {ending!r} is unknown{near}; expected one of {', '.join(ENDINGS)}")
    return max(fitting, key=lambda name: len(FORMATS[name].ending))


def write_export(path: Path, photos: Sequence[PhotoFaces], name: FormatName | None = None) -> None:
    """Write faces to one file, completely or not at all.

    Args:
        name: the format; None takes it from the ending.
    Raises:
        ValueError: an unknown ending, or faces that the format cannot hold: several photos in a format of one photo a
            file, different markups in a table.
        MissingExtra: an optional package is not installed. OSError: the file cannot be written.
    """
    form = FORMATS[name or format_of(path)]
    form.needs()
    if form.one is not None and len(photos) != 1:
        raise ValueError(
            f"{path}: there are {len(photos)} photos or frames, but a {form.ending} file holds one; write one file each"
        )
    try:
        with written_whole(path) as file:
            form.write(file, photos)
    except OSError as error:
        # Devices and pipes give errors without a name.
        raise cannot_write(path, error) from error


def export_bytes(photo: PhotoFaces, name: FormatName) -> bytes:
    """The file of one photo's faces, in memory.

    Raises:
        ValueError: faces that the format cannot hold. MissingExtra: an optional package is not installed.
    """
    form = FORMATS[name]
    form.needs()
    file = io.BytesIO()
    form.write(file, [photo])
    return file.getvalue()


def save_face(
    path: Path, face: ExportedFace, image: str, size: tuple[int, int] | None, overwrite: bool = False
) -> None:
    """Write one face by the file's ending.

    Raises:
        ExistingResults: the file exists, and ``overwrite`` is False. Others as ``write_export``.
    """
    format_of(path)
    check_outputs({"the face's file": path}, may_replace=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_export(path, [PhotoFaces(image or path.stem, size, [face])])
