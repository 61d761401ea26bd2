"""Your own labels: a CSV file or an NPZ file of arrays, with any number of landmarks."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from jvcr.data.reading import DepthSign, Samples, markup_of, only_file, points_of, read_arrays, read_csv
from jvcr.data.sample import Sample
from jvcr.frames import Box
from jvcr.images import read_image
from jvcr.markups.markup import Markup

_TEXT = ("id", "group", "split", "source", "provenance")
_NUMBER = ("weight", "yaw_deg")
_BOX = ("box_x0", "box_y0", "box_x1", "box_y1")


def read_csv_table(
    root: Path,
    images: Path | None = None,
    base: float = 0.0,
    z: DepthSign = "away",
    markup: Markup | None = None,
) -> Samples:
    """All rows of a CSV file with a header line.

    Columns: ``image`` (path), ``x0``, ``y0``, ``x1``, ``y1``, … and for 3D also ``z0``, ``z1``, …; an empty x, y or z
    is an unmarked landmark. Optional: ``id`` (by default the image's path without ending), ``group``,
    ``split``, ``source``, ``provenance``, ``weight``, ``yaw_deg``, and ``box_x0``, ``box_y0``, ``box_x1``, ``box_y1``.

    Args:
        root: the CSV file, or a folder that contains one.
        images: the folder that ``image`` is relative to; by default that of the CSV file.
        base: coordinate of the first pixel's centre.
        z: direction in which z grows. The defaults are our own frame: away from the camera, 0-based.
        markup: needed unless there are 68 or 66 points.
    Raises:
        FileNotFoundError: no CSV file.
        ValueError: columns are missing, or ids are not unique. When a row is read: a value is not a number.
        ImageError: when a row is read: its image is missing or damaged.
    """
    path = only_file(root, "*.csv")
    columns, rows = read_csv(path)
    n_points = sum(bool(re.fullmatch(r"x\d+", column)) for column in columns)
    has_z = any(re.fullmatch(r"z\d+", column) for column in columns)
    wanted = [f"{axis}{n}" for n in range(n_points) for axis in ("xyz" if has_z else "xy")]
    missing = [column for column in ("image", *wanted) if column not in columns]
    if missing or not n_points or not rows:
        raise ValueError(
            f"{path}: expected a header with image, x0, y0 (, z0), x1, … and at least one row; "
            + (f"missing {', '.join(missing[:4])}" if missing else f"found {len(rows)} rows, {n_points} landmarks")
        )

    bare = next((number for number, row in enumerate(rows) if not row["image"]), None)
    if bare is not None:
        raise ValueError(f"{path}: line {bare + 2} names no image")

    def values(row: dict[str, str], number: int) -> dict[str, Any]:
        found: dict[str, Any] = {"image": row["image"]} | {key: row[key] for key in _TEXT if row.get(key)}
        try:
            found["points"] = np.array([_number(row[column]) for column in wanted]).reshape(n_points, -1)
            found |= {key: _number(row[key]) for key in _NUMBER if row.get(key)}
            if all(row.get(key) for key in _BOX):
                found["box"] = [_number(row[key]) for key in _BOX]
        except (ValueError, TypeError) as error:
            # The header is line 1.
            raise ValueError(f"{path}: line {number + 2} ({row['image']}): {error}") from None
        return found

    names = [row.get("id") or Path(row["image"]).with_suffix("").as_posix() for row in rows]
    return _samples(path, images, names, lambda number: values(rows[number], number), n_points, base, z, markup)


def read_npz_table(
    root: Path,
    images: Path | None = None,
    base: float = 0.0,
    z: DepthSign = "away",
    markup: Markup | None = None,
) -> Samples:
    """All rows of an NPZ file: ``image`` (M,) paths and ``points`` (M, N, 2) or (M, N, 3), NaN if unmarked.

    Optional: ``id``, ``group``, ``split``, ``source``, ``provenance``, ``weight``, ``yaw_deg``, ``openings``, each
    (M,), ``box`` (M, 4) x0, y0, x1, y1, ``hand2d`` (M, N, 2) and ``visibility`` (M, N); see ``Sample``.
    Arguments and errors are those of ``read_csv_table``.
    """
    path = only_file(root, "*.npz")
    arrays = read_arrays(path, ("image", "points"))
    points = arrays["points"]
    if points.ndim != 3 or points.shape[2] not in (2, 3) or not points.size:
        raise ValueError(f"{path}: points have shape {points.shape}; expected (M, N, 2) or (M, N, 3)")
    more = ("box", "openings", "hand2d", "visibility")
    known = {key: arrays[key] for key in ("image", "points", *more, *_TEXT, *_NUMBER) if key in arrays}
    shapes = {"box": (len(points), 4), "hand2d": (*points.shape[:2], 2), "visibility": points.shape[:2]}
    for key, array in known.items():
        expected = shapes.get(key, (len(points),))
        if key != "points" and array.shape != expected:
            raise ValueError(f"{path}: {key} has shape {array.shape}; expected {expected}, one row for each of points")
    names = [
        str(known["id"][row]) if "id" in known else Path(str(image)).with_suffix("").as_posix()
        for row, image in enumerate(known["image"])
    ]

    def values(number: int) -> dict[str, Any]:
        return {key: array[number] for key, array in known.items()}

    return _samples(path, images, names, values, points.shape[1], base, z, markup)


def _samples(
    path: Path,
    images: Path | None,
    names: list[str],
    values: Callable[[int], dict[str, Any]],
    n_points: int,
    base: float,
    z: DepthSign,
    markup: Markup | None,
) -> Samples:
    folder = path.parent if images is None else images
    known = markup_of(n_points, markup, path)
    twice, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{path}: id {twice!r} occurs {count} times; give each face an id of its own (column id)")

    def read(number: int) -> Sample:
        row = values(number)
        image = folder / str(row["image"])
        dimension = row["points"].shape[1]
        stated = f"{path.name} row {number}, base {base:g}" + (f", z {z} the camera" if dimension == 3 else ", 2D")
        return Sample(
            name=names[number],
            image=read_image(image),
            points_img=points_of(f"{path}: row {number} ({row['image']})", row["points"], base, z),
            weight=float(row.get("weight", 1.0)),
            yaw_deg=float(row.get("yaw_deg", math.nan)),
            given_box=_box(row.get("box"), base, f"{path}: row {number}"),
            group=str(row.get("group", "")) or Path(str(row["image"])).with_suffix("").as_posix(),
            markup=known,
            source=str(row.get("source", "")) or path.stem,
            provenance=str(row.get("provenance", "")) or stated,
            file=image,
            split=str(row.get("split", "")),
            openings=str(row.get("openings", "")),
            hand2d=None if "hand2d" not in row else row["hand2d"].astype(np.float32) - np.float32(base),
            visibility=None if "visibility" not in row else row["visibility"].astype(np.int8),
        )

    return Samples(range(len(names)), read)


def _number(text: str | None) -> float:
    if text is None:
        raise ValueError("the line is too short")
    return float(text) if text.strip() else math.nan


def _box(values: list[float] | NDArray[np.float64] | None, base: float, where: str) -> Box | None:
    if values is None or not np.isfinite(values).all():
        return None
    x0, y0, x1, y1 = (np.asarray(values, np.float64) - base).tolist()
    try:
        return Box(x0, y0, x1, y1)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
