"""The JSON format of the method's published code: a list of faces with 68 3D points each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from jvcr.data.reading import DepthSign, Samples, markup_of, only_file, points_from, read_json
from jvcr.data.sample import Sample
from jvcr.frames import Box
from jvcr.images import read_image
from jvcr.markups.markup import Markup

_SCALE_PX = 200.0
"""``scale_provided`` is in units of 200 pixels, as in the MPII annotations that the format comes from."""


def read_authors_json(
    root: Path,
    images: Path | None = None,
    base: float = 1.0,
    z: DepthSign = "towards",
    markup: Markup | None = None,
) -> Samples:
    """All entries ``{img_paths, landmarks, objpos, scale_provided, isValidation}``, in file order.

    ``objpos`` and ``scale_provided`` (both or neither) define the box: a square of 200·scale pixels around objpos.
    ``isValidation`` defines the split, ``val`` or ``train``. If an image has several entries, a number is added to
    their names.

    Args:
        root: the JSON file, or a folder that contains one.
        images: the folder that ``img_paths`` is relative to; by default that of the JSON file.
        base: coordinate of the first pixel's centre. 1 if the labels were copied from MATLAB files.
        z: direction in which z grows.
        markup: needed unless there are 68 or 66 points.
    Raises:
        FileNotFoundError: no JSON file.
        ValueError: the file is not such a list. When an entry is read: its landmarks are not N rows of numbers.
        ImageError: when an entry is read: its image is missing or damaged.
    """
    path = only_file(root, "*.json")
    folder = path.parent if images is None else images
    entries = read_json(path)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError(f"{path}: expected a list of objects with img_paths and landmarks")
    for number, entry in enumerate(entries):
        if not isinstance(entry.get("img_paths"), str) or "landmarks" not in entry:
            raise ValueError(f"{path}: entry {number} has {sorted(entry)}; expected img_paths and landmarks")
    faces = Counter(entry["img_paths"] for entry in entries)

    def read(number: int) -> Sample:
        entry = entries[number]
        image = folder / entry["img_paths"]
        where = f"{path}: entry {number} ({entry['img_paths']})"
        try:
            points = points_from(entry["landmarks"], base, z, complete=True)
            box = _box(entry, base)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{where}: {error}") from None
        stem = Path(entry["img_paths"]).with_suffix("").as_posix()
        return Sample(
            name=f"{stem}#{number}" if faces[entry["img_paths"]] > 1 else stem,
            image=read_image(image),
            points_img=points,
            given_box=box,
            group=stem,
            markup=markup_of(len(points), markup, where),
            source=path.stem,
            provenance=f"{path.name} entry {number}, base {base:g}, z {z} the camera",
            file=image,
            split=_split(entry.get("isValidation")),
        )

    return Samples(range(len(entries)), read)


def _box(entry: dict[str, Any], base: float) -> Box | None:
    if "objpos" not in entry or "scale_provided" not in entry:
        return None
    x, y = np.asarray(entry["objpos"], np.float64).tolist()
    half = _SCALE_PX * float(entry["scale_provided"]) / 2
    return Box(x - half - base, y - half - base, x + half - base, y + half - base)


def _split(is_validation: object) -> str:
    return "" if is_validation is None else "val" if is_validation else "train"
