"""Tables: CSV and Parquet. Image axes (x right, y down, z away from the camera), pixels, 0-based."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from jvcr.extras import missing
from jvcr.io.exports.base import ExportedFace, PhotoFaces, common_markup

Row = dict[str, Any]
"""Column → value; None where there is none."""


def face_rows(photos: Sequence[PhotoFaces]) -> Iterator[Row]:
    """One row for each face: ``jaw_0_x``, ``jaw_0_y``, ``jaw_0_z``, …"""
    for photo, number, face in _faces(photos):
        row = _start(photo, number, face)
        for name, point in zip(face.markup.labels, _rounded(face), strict=True):
            row |= {f"{name}_{axis}": value for axis, value in zip("xyz", point, strict=True)}
        yield row


def landmark_rows(photos: Sequence[PhotoFaces]) -> Iterator[Row]:
    """One row for each landmark of each face: ``landmark`` (number), ``name``, ``x``, ``y``, ``z``."""
    for photo, number, face in _faces(photos):
        start = _start(photo, number, face)
        for index, (name, point) in enumerate(zip(face.markup.labels, _rounded(face), strict=True)):
            yield start | {"landmark": index, "name": name} | dict(zip("xyz", point, strict=True))


def write_csv(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """One line for each face (``face_rows``), UTF-8, with a header.

    Raises:
        ValueError: the faces have different markups.
    """
    names = [f"{name}_{axis}" for name in common_markup(photos).labels for axis in "xyz"]
    _write(file, [*_columns(photos), *names], face_rows(photos))


def write_csv_points(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """One line for each landmark (``landmark_rows``), UTF-8, with a header."""
    _write(file, [*_columns(photos), "landmark", "name", "x", "y", "z"], landmark_rows(photos))


def write_parquet(file: BinaryIO, photos: Sequence[PhotoFaces]) -> None:
    """The columns of ``write_csv``, typed: coordinates as float32. Needs pyarrow (extra ``parquet``).

    Raises:
        MissingExtra: pyarrow is not installed. ValueError: the faces have different markups.
    """
    pyarrow, parquet = import_pyarrow()
    markup = common_markup(photos)
    kinds = {
        "image": pyarrow.string(),
        "time": pyarrow.float64(),
        **dict.fromkeys(("frame", "id", "width", "height", "face"), pyarrow.int64()),
    }
    columns = [*_columns(photos), *(f"{name}_{axis}" for name in markup.labels for axis in "xyz")]
    schema = pyarrow.schema(
        [(name, kinds.get(name, pyarrow.float32())) for name in columns],
        metadata={"axes": "x right, y down, z away from the camera; pixels, 0-based", "markup": markup.name},
    )
    rows = [row | ({"image": photo.printable} if "image" in row else {}) for photo, row in _named_rows(photos)]
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema=schema), file)


def import_pyarrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet module; raises MissingExtra without it."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise missing("parquet", error) from error
    return pyarrow, pyarrow.parquet


def _named_rows(photos: Sequence[PhotoFaces]) -> Iterator[tuple[PhotoFaces, Row]]:
    return zip((photo for photo, _, _ in _faces(photos)), face_rows(photos), strict=True)


def _faces(photos: Sequence[PhotoFaces]) -> Iterator[tuple[PhotoFaces, int, ExportedFace]]:
    return ((photo, number, face) for photo in photos for number, face in enumerate(photo.faces, 1))


def _columns(photos: Sequence[PhotoFaces]) -> list[str]:
    """Columns before the landmarks: frames of a video have a number, a time and identities, photos have a name."""
    of_video = any(photo.frame is not None for photo in photos)
    own = ["frame", "time", "id"] if of_video else ["image"]
    return [*own, "width", "height", "face", "score", "x0", "y0", "x1", "y1", "yaw_deg", "pitch_deg", "roll_deg"]


def _start(photo: PhotoFaces, number: int, face: ExportedFace) -> Row:
    width, height = photo.size or (None, None)
    angles: tuple[float | None, ...] = (None, None, None)
    if face.has_pose:
        # Records hold landmarks to a thousandth of a pixel, which is worth a hundredth of a degree.
        angles = tuple(round(v, 2) for v in (face.pose.yaw_deg, face.pose.pitch_deg, face.pose.roll_deg))
    if photo.frame is None:
        row: Row = {"image": photo.image}
    else:
        identity = photo.identities[number - 1] if photo.identities else None
        row = {"frame": photo.frame, "time": photo.time_s, "id": identity}
    row |= {"width": width, "height": height, "face": number, "score": round(float(face.score), 4)}
    row |= dict(zip(("x0", "y0", "x1", "y1"), (round(float(v), 3) for v in face.box.to_list()), strict=True))
    return row | dict(zip(("yaw_deg", "pitch_deg", "roll_deg"), angles, strict=True))


def _rounded(face: ExportedFace) -> list[list[float]]:
    """To a thousandth of a pixel, as in the JSON lines."""
    return np.round(face.landmarks.astype(np.float64), 3).tolist()


def _write(file: BinaryIO, columns: list[str], rows: Iterator[Row]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(row)
        if text.tell() > 2**20:
            _drain(file, text)
    _drain(file, text)


def _drain(file: BinaryIO, text: io.StringIO) -> None:
    # A file name that is not UTF-8 keeps its bytes.
    file.write(text.getvalue().encode("utf-8", "surrogateescape"))
    text.seek(0)
    text.truncate()
